/* Sequential quadratic programming with real-time iterations on HPIPM, in scaled variables.
 *
 * The generated functions of the stages and their table `stage_functions` stand above this text. Memory comes from the
 * caller; nothing is allocated here, and nothing is shared between solvers but the pointers to HPIPM's functions.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "hpipm_common.h"
#include "hpipm_d_ocp_qp.h"
#include "hpipm_d_ocp_qp_dim.h"
#include "hpipm_d_ocp_qp_ipm.h"
#include "hpipm_d_ocp_qp_res.h"
#include "hpipm_d_ocp_qp_sol.h"
#ifdef _WIN32
#include <windows.h>
#define EXPORT __declspec(dllexport)
#else
#include <time.h>
#define EXPORT __attribute__((visibility("default")))
#endif

/* HPIPM is called through pointers: no library is linked, so no path of this machine is in the binary */
#define HPIPM(F)                                                                                                    \
    F(dim_memsize) F(dim_create) F(dim_set_all) F(memsize) F(create) F(set_all_zero)                                 \
    F(set_A) F(set_B) F(set_b) F(set_Q) F(set_S) F(set_R) F(set_q) F(set_r) F(set_C) F(set_D)                         \
    F(set_lbx) F(set_ubx) F(set_lbu) F(set_ubu) F(set_lg) F(set_ug)                                                  \
    F(set_lbx_mask) F(set_ubx_mask) F(set_lbu_mask) F(set_ubu_mask) F(set_lg_mask) F(set_ug_mask)                    \
    F(set_idxbx) F(set_idxbu) F(set_idxs) F(set_Zl) F(set_Zu) F(set_zl) F(set_zu)                                    \
    F(sol_memsize) F(sol_create) F(sol_set_zero) F(ipm_arg_memsize) F(ipm_arg_create) F(ipm_arg_set_default)         \
    F(ipm_arg_set_mu0) F(ipm_arg_set_tol_stat) F(ipm_arg_set_tol_eq) F(ipm_arg_set_tol_ineq)                         \
    F(ipm_arg_set_tol_comp) F(ipm_arg_set_iter_max) F(ipm_arg_set_warm_start) F(ipm_ws_memsize) F(ipm_ws_create)     \
    F(ipm_solve) F(ipm_get_status) F(ipm_get_iter) F(ipm_get_max_res_ineq) F(ipm_get_max_res_eq)                     \
    F(res_memsize) F(res_create) F(res_ws_memsize) F(res_ws_create) F(res_compute) F(res_compute_inf_norm)

#define DECLARE(f) __typeof__(&d_ocp_qp_##f) f;
static struct { HPIPM(DECLARE) } hp;
#define NAME(f) "d_ocp_qp_" #f,
static const char *names[] = {HPIPM(NAME) 0};

enum { SOLVED, ITERATED, OUT_OF_TIME, INFEASIBLE, FAILED, NOT_FINITE };
enum { NEXT, A, B, R, S, Q, RU, QX, ROWS, C, D, RESULTS };

typedef struct {
    int64_t stages, nx, nu, values;                /* values: parameters and references of a node */
    int64_t arguments, results, integers, doubles; /* work space of the generated functions */
    int64_t max_rows;
    const int64_t *function, *free, *moves, *soft; /* by node */
    const int64_t *shift;                          /* by node: the node whose time is one period later, at or before */
    const double *shift_part;                      /* how far it is from that node to the next */
    const double *duration, *weight;
    const double *u_lower, *u_upper, *x_lower, *x_upper;
    const double *row_lower, *row_upper; /* max_rows for each node */
    const double *l1, *l2;               /* max_rows for each node, weighted */
    double mu0, qp_tolerance, tolerance;
    int64_t qp_iterations, warm_start;
} Setup;

typedef struct {
    double cost, soft_violation, hard_violation, step, residual, seconds;
    int64_t iterations, qp_iterations;
} Told;

typedef struct {
    const Setup *setup;
    struct d_ocp_qp_dim dim;
    struct d_ocp_qp qp;
    struct d_ocp_qp_sol sol;
    struct d_ocp_qp_ipm_arg arg;
    struct d_ocp_qp_ipm_ws ws;
    struct d_ocp_qp_res res;
    struct d_ocp_qp_res_ws res_ws;
    int64_t warm;
    char *programs; /* the memory of all that HPIPM writes to */
    size_t programs_size;
    void *qp_memory, *sol_memory, *ws_memory, *res_memory, *res_ws_memory;
    double *z, *u, *rolled, *next, *results[RESULTS], *bound, *mask;
    const double **argument;
    double **result;
    long long *integers;
    double *doubles;
    int *index;
} Solver;

EXPORT const char *galenic_rti_symbol(int64_t number) { return names[number]; }

EXPORT void galenic_rti_link(void *const *pointers) { memcpy(&hp, pointers, sizeof hp); }

static double now(void) {
#ifdef _WIN32
    LARGE_INTEGER count, rate;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&rate);
    return (double)count.QuadPart / (double)rate.QuadPart;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

/* a piece of the caller's memory; with no memory it only counts */
static void *take(char **at, size_t size) {
    uintptr_t start = ((uintptr_t)*at + 63) & ~(uintptr_t)63;
    *at = (char *)start + size;
    return (void *)start;
}

static int64_t rows_of(const Setup *p, int64_t k) { return p->moves[k] + p->soft[k]; }

static int64_t bounded(const double *lower, const double *upper, int64_t n, int *index) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(lower[i]) || isfinite(upper[i])) index[count++] = (int)i;
    return count;
}

static void set_masked(Solver *s, int64_t n, const double *bound, void (*mask)(int, double *, struct d_ocp_qp *),
                       int k) {
    for (int64_t i = 0; i < n; i++) s->mask[i] = isfinite(bound[i]) ? 1.0 : 0.0;
    mask(k, s->mask, &s->qp);
}

/* what never changes: masks, indices, prices of slacks */
static void set_fixed(Solver *s) {
    const Setup *p = s->setup;
    hp.set_all_zero(&s->qp);
    for (int k = 0; k <= p->stages; k++) {
        const int64_t rows = rows_of(p, k), first = k * p->max_rows;
        if (p->free[k]) {
            int64_t n = bounded(p->u_lower, p->u_upper, p->nu, s->index);
            hp.set_idxbu(k, s->index, &s->qp);
            for (int64_t i = 0; i < n; i++) s->bound[i] = p->u_lower[s->index[i]];
            set_masked(s, n, s->bound, hp.set_lbu_mask, k);
            for (int64_t i = 0; i < n; i++) s->bound[i] = p->u_upper[s->index[i]];
            set_masked(s, n, s->bound, hp.set_ubu_mask, k);
        }
        if (k > 0) {
            int64_t n = bounded(p->x_lower, p->x_upper, p->nx, s->index);
            hp.set_idxbx(k, s->index, &s->qp);
            for (int64_t i = 0; i < n; i++) s->bound[i] = p->x_lower[s->index[i]];
            set_masked(s, n, s->bound, hp.set_lbx_mask, k);
            for (int64_t i = 0; i < n; i++) s->bound[i] = p->x_upper[s->index[i]];
            set_masked(s, n, s->bound, hp.set_ubx_mask, k);
        }
        set_masked(s, rows, p->row_lower + first, hp.set_lg_mask, k);
        set_masked(s, rows, p->row_upper + first, hp.set_ug_mask, k);
        if (p->soft[k]) {
            const int boxes = s->dim.nb[k];
            for (int i = 0; i < p->soft[k]; i++) s->index[i] = boxes + (int)p->moves[k] + i;
            hp.set_idxs(k, s->index, &s->qp);
            /* the slack of a side without a limit keeps its price and its bound: it is zero */
            hp.set_zl(k, (double *)p->l1 + first, &s->qp);
            hp.set_zu(k, (double *)p->l1 + first, &s->qp);
            hp.set_Zl(k, (double *)p->l2 + first, &s->qp);
            hp.set_Zu(k, (double *)p->l2 + first, &s->qp);
        }
    }
}

static void set_options(const Setup *p, struct d_ocp_qp_ipm_arg *arg) {
    double mu0 = p->mu0, tolerance = p->qp_tolerance;
    int most = (int)p->qp_iterations;
    hp.ipm_arg_set_default(SPEED, arg);
    hp.ipm_arg_set_mu0(&mu0, arg);
    hp.ipm_arg_set_tol_stat(&tolerance, arg);
    hp.ipm_arg_set_tol_eq(&tolerance, arg);
    hp.ipm_arg_set_tol_ineq(&tolerance, arg);
    hp.ipm_arg_set_tol_comp(&tolerance, arg);
    hp.ipm_arg_set_iter_max(&most, arg);
}

/* A NaN stays in HPIPM's matrices, even in those that a new problem overwrites: all are made anew. */
static void forget(Solver *s) {
    memset(s->programs, 0, s->programs_size);
    hp.create(&s->dim, &s->qp, s->qp_memory);
    hp.sol_create(&s->dim, &s->sol, s->sol_memory);
    hp.ipm_ws_create(&s->dim, &s->arg, &s->ws, s->ws_memory);
    hp.res_create(&s->dim, &s->res, s->res_memory);
    hp.res_ws_create(&s->dim, &s->res_ws, s->res_ws_memory);
    set_fixed(s);
    hp.sol_set_zero(&s->sol);
    s->warm = 0;
}

/* Lays a solver out in `memory` (aligned to 64 bytes); with memory of null it tells how much is needed. */
EXPORT int64_t galenic_rti_create(const Setup *p, void *memory, int *sizes) {
    const int64_t K = p->stages, nz = p->nx + p->nu, n = K + 1;
    int *nx = sizes, *nu = nx + n, *nbx = nu + n, *nbu = nbx + n, *ng = nbu + n, *ns = ng + n, *index = ns + n;
    const int boxes_x = (int)bounded(p->x_lower, p->x_upper, p->nx, index);
    const int boxes_u = (int)bounded(p->u_lower, p->u_upper, p->nu, index);
    for (int64_t k = 0; k < n; k++) {
        nx[k] = k ? (int)nz : 0;
        nu[k] = p->free[k] ? (int)p->nu : 0;
        nbx[k] = k ? boxes_x : 0;
        nbu[k] = p->free[k] ? boxes_u : 0;
        ng[k] = (int)rows_of(p, k);
        ns[k] = (int)p->soft[k];
    }
    /* sizes depend on dimensions, which a small first structure holds, in the caller's scratch after the integers */
    struct d_ocp_qp_dim dim;
    char *scratch = (char *)(((uintptr_t)(index + 2 * (nz + p->max_rows + 1)) + 63) & ~(uintptr_t)63);
    hp.dim_create((int)K, &dim, scratch);
    hp.dim_set_all(nx, nu, nbx, nbu, ng, ns, &dim);
    struct d_ocp_qp_ipm_arg arg;
    hp.ipm_arg_create(&dim, &arg, scratch + hp.dim_memsize((int)K) + 64);
    set_options(p, &arg); /* they decide on sizes too */

    char *at = memory;
    Solver *s = take(&at, sizeof *s);
    void *dim_memory = take(&at, hp.dim_memsize((int)K));
    void *arg_memory = take(&at, hp.ipm_arg_memsize(&dim));
    void *qp_memory = take(&at, hp.memsize(&dim)), *sol_memory = take(&at, hp.sol_memsize(&dim));
    void *ws_memory = take(&at, hp.ipm_ws_memsize(&dim, &arg));
    void *res_memory = take(&at, hp.res_memsize(&dim)), *res_ws_memory = take(&at, hp.res_ws_memsize(&dim));
    const size_t real = sizeof(double);
    const int64_t size[RESULTS] = {nz,          nz * nz, nz * p->nu,  p->nu * p->nu,    p->nu * nz,         nz * nz,
                                   p->nu,       nz,      p->max_rows, p->max_rows * nz, p->max_rows * p->nu};
    double *results[RESULTS];
    for (int i = 0; i < RESULTS; i++) results[i] = take(&at, real * (size_t)(size[i] + 1));
    double *z = take(&at, real * (size_t)(n * nz)), *u = take(&at, real * (size_t)(K * p->nu));
    double *rolled = take(&at, real * (size_t)(n * p->nx)), *next = take(&at, real * (size_t)(nz * n));
    double *bound = take(&at, real * (size_t)(nz + p->max_rows + 1));
    double *mask = take(&at, real * (size_t)(nz + p->max_rows + 1));
    double *doubles = take(&at, real * (size_t)(p->doubles + 1));
    long long *integers = take(&at, sizeof(long long) * (size_t)(p->integers + 1));
    const double **argument = take(&at, sizeof(void *) * (size_t)(p->arguments + 6));
    double **result = take(&at, sizeof(void *) * (size_t)(p->results + RESULTS));
    int *indices = take(&at, sizeof(int) * (size_t)(nz + p->max_rows + 1));
    if (!memory) return (int64_t)(at - (char *)memory) + 64;

    memset(s, 0, sizeof *s);
    *s = (Solver){.setup = p, .programs = qp_memory, .programs_size = (size_t)((char *)results[0] - (char *)qp_memory),
                  .qp_memory = qp_memory, .sol_memory = sol_memory, .ws_memory = ws_memory, .res_memory = res_memory,
                  .res_ws_memory = res_ws_memory, .z = z, .u = u, .rolled = rolled, .next = next, .bound = bound, .mask = mask,
                  .argument = argument, .result = result, .integers = integers, .doubles = doubles, .index = indices};
    memcpy(s->results, results, sizeof results);
    hp.dim_create((int)K, &s->dim, dim_memory);
    hp.dim_set_all(nx, nu, nbx, nbu, ng, ns, &s->dim);
    hp.ipm_arg_create(&s->dim, &s->arg, arg_memory);
    set_options(p, &s->arg);
    forget(s);
    return (int64_t)(at - (char *)memory);
}

EXPORT void galenic_rti_reset(Solver *s) { forget(s); }

static void call(Solver *s, const StageFunction f, int64_t k, const double *x, const double *v, const double *u,
                 const double *values) {
    const Setup *p = s->setup;
    const double *given[] = {x, v, u, values + k * p->values, p->duration + k, p->weight + k};
    memcpy(s->argument, given, sizeof given);
    f(s->argument, s->result, s->integers, s->doubles, 0);
}

static void roll(Solver *s, int64_t k, const double *x, const double *v, const double *u, const double *values,
                 double *next, double *cost) {
    s->result[0] = next;
    s->result[1] = s->results[ROWS];
    s->result[2] = cost;
    call(s, rolled_functions[s->setup->function[k]], k, x, v, u, values);
}

/* The quadratic program at the present plan, in deviations from it. */
static void linearise(Solver *s, const double *values) {
    const Setup *p = s->setup;
    const int64_t K = p->stages, nx = p->nx, nu = p->nu, nz = nx + nu;
    struct d_ocp_qp *qp = &s->qp;
    for (int k = 0; k <= K; k++) {
        double *z = s->z + k * nz, *u = s->u + (k < K ? k : 0) * nu, *r[RESULTS];
        memcpy(r, s->results, sizeof r);
        memcpy(s->result, r, sizeof r);
        call(s, stage_functions[p->function[k]], k, z, z + nx, u, values);
        if (k < K) {
            const double *ahead = z + nz;
            for (int64_t i = 0; i < nz; i++) r[NEXT][i] -= ahead[i];
            hp.set_b(k, r[NEXT], qp);
            if (k) hp.set_A(k, r[A], qp);
            if (p->free[k]) hp.set_B(k, r[B], qp);
        }
        if (p->free[k]) {
            hp.set_R(k, r[R], qp);
            hp.set_r(k, r[RU], qp);
            if (k) hp.set_S(k, r[S], qp);
            int64_t n = 0;
            double *low = s->bound, *high = s->mask;
            for (int64_t i = 0; i < nu; i++)
                if (isfinite(p->u_lower[i]) || isfinite(p->u_upper[i])) {
                    low[n] = isfinite(p->u_lower[i]) ? p->u_lower[i] - u[i] : 0.0;
                    high[n++] = isfinite(p->u_upper[i]) ? p->u_upper[i] - u[i] : 0.0;
                }
            if (n) hp.set_lbu(k, low, qp), hp.set_ubu(k, high, qp);
        }
        if (k) {
            hp.set_Q(k, r[Q], qp);
            hp.set_q(k, r[QX], qp);
            int64_t n = 0;
            double *low = s->bound, *high = s->mask;
            for (int64_t i = 0; i < nx; i++)
                if (isfinite(p->x_lower[i]) || isfinite(p->x_upper[i])) {
                    low[n] = isfinite(p->x_lower[i]) ? p->x_lower[i] - z[i] : 0.0;
                    high[n++] = isfinite(p->x_upper[i]) ? p->x_upper[i] - z[i] : 0.0;
                }
            if (n) hp.set_lbx(k, low, qp), hp.set_ubx(k, high, qp);
        }
        const int64_t rows = rows_of(p, k);
        if (rows) {
            const double *lower = p->row_lower + k * p->max_rows, *upper = p->row_upper + k * p->max_rows;
            for (int64_t i = 0; i < rows; i++) {
                s->bound[i] = isfinite(lower[i]) ? lower[i] - r[ROWS][i] : 0.0;
                s->mask[i] = isfinite(upper[i]) ? upper[i] - r[ROWS][i] : 0.0;
            }
            hp.set_lg(k, s->bound, qp);
            hp.set_ug(k, s->mask, qp);
            if (k) hp.set_C(k, r[C], qp);
            if (p->free[k]) hp.set_D(k, r[D], qp);
        }
    }
}

/* hold the previous input and roll the model forward */
static void cold_guess(Solver *s, const double *values) {
    const Setup *p = s->setup;
    const int64_t nz = p->nx + p->nu;
    const double *v = s->z + p->nx;
    for (int64_t k = 0; k < p->stages; k++) {
        double *z = s->z + k * nz, *u = s->u + k * p->nu;
        for (int64_t i = 0; i < p->nu; i++) u[i] = fmin(fmax(v[i], p->u_lower[i]), p->u_upper[i]);
        if (!p->free[k]) memcpy(u, z + p->nx, sizeof(double) * (size_t)p->nu);
        double cost;
        roll(s, k, z, z + p->nx, u, values, z + nz, &cost);
        memcpy(z + nz + p->nx, u, sizeof(double) * (size_t)p->nu);
    }
    hp.sol_set_zero(&s->sol);
    s->warm = 0;
}

static void copy(struct blasfeo_dvec *from, struct blasfeo_dvec *to, int n) {
    memcpy(to->pa, from->pa, sizeof(double) * (size_t)n);
}

/* The plan and its multipliers one sampling period later. */
static void shift(Solver *s) {
    const Setup *p = s->setup;
    const int64_t K = p->stages, nz = p->nx + p->nu;
    const struct d_ocp_qp_dim *d = &s->dim;
    memcpy(s->next, s->z, sizeof(double) * (size_t)(nz * (K + 1)));
    for (int64_t k = 0; k <= K; k++) {
        const int64_t j = p->shift[k] < K ? p->shift[k] : K, after = j < K ? j + 1 : K;
        const double part = p->shift_part[k];
        for (int64_t i = 0; i < nz; i++)
            s->z[k * nz + i] = (1.0 - part) * s->next[j * nz + i] + part * s->next[after * nz + i];
        if (k < K) {
            const int64_t stage = j < K ? j : K - 1;
            if (stage > k) memcpy(s->u + k * p->nu, s->u + stage * p->nu, sizeof(double) * (size_t)p->nu);
        }
        if (j == k || d->nu[j] != d->nu[k] || d->nb[j] != d->nb[k] || d->ng[j] != d->ng[k] || d->ns[j] != d->ns[k])
            continue;
        const int sides = 2 * (d->nb[k] + d->ng[k] + d->ns[k]);
        copy(s->sol.lam + j, s->sol.lam + k, sides);
        copy(s->sol.t + j, s->sol.t + k, sides);
        memcpy(s->sol.ux[k].pa + d->nu[k] + d->nx[k], s->sol.ux[j].pa + d->nu[j] + d->nx[j],
               sizeof(double) * (size_t)(2 * d->ns[k]));
        if (k < K && j < K) copy(s->sol.pi + j, s->sol.pi + k, (int)nz);
    }
    /* what is applied in each stage is the state of the next */
    for (int64_t k = 0; k < K; k++)
        memcpy(s->z + (k + 1) * nz + p->nx, s->u + k * p->nu, sizeof(double) * (size_t)p->nu);
}

static int finite_all(const double *v, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += v[i] * 0.0;
    return sum == 0.0;
}

static int solve_qp(Solver *s, int warm, Told *told) {
    const struct d_ocp_qp_dim *d = &s->dim;
    int status, iterations;
    /* deviations start at zero; slacks and multipliers stay */
    for (int64_t k = 0; k <= s->setup->stages; k++)
        memset(s->sol.ux[k].pa, 0, sizeof(double) * (size_t)(d->nu[k] + d->nx[k]));
    hp.ipm_arg_set_warm_start(&warm, &s->arg);
    hp.ipm_solve(&s->qp, &s->sol, &s->arg, &s->ws);
    hp.ipm_get_status(&s->ws, &status);
    hp.ipm_get_iter(&s->ws, &iterations);
    told->qp_iterations += iterations;
    return status;
}

/* add the deviations; the largest one, or NaN */
static double advance(Solver *s) {
    const Setup *p = s->setup;
    const int64_t nz = p->nx + p->nu;
    double largest = 0.0;
    for (int64_t k = 0; k <= p->stages; k++) {
        const double *du = s->sol.ux[k].pa, *dz = du + s->dim.nu[k];
        double *z = s->z + k * nz, *u = s->u + k * p->nu;
        if (k)
            for (int64_t i = 0; i < nz; i++) {
                if (!(fabs(dz[i]) <= largest)) largest = fabs(dz[i]);
                z[i] += dz[i];
            }
        if (p->free[k])
            for (int64_t i = 0; i < p->nu; i++) {
                if (!(fabs(du[i]) <= largest)) largest = fabs(du[i]);
                u[i] += du[i];
            }
        else if (k < p->stages)
            memcpy(u, z + p->nx, sizeof(double) * (size_t)p->nu);
        if (isnan(largest)) return largest;
    }
    return largest;
}

/* What the inputs lead to by the model, its cost and violations. */
static void roll_out(Solver *s, const double *values, Told *told) {
    const Setup *p = s->setup;
    const int64_t K = p->stages;
    double *x = s->rolled, soft = 0.0, hard = 0.0, total = 0.0;
    memcpy(x, s->z, sizeof(double) * (size_t)p->nx);
    for (int64_t k = 0; k <= K; k++, x += p->nx) {
        const double *u = s->u + (k < K ? k : K - 1) * p->nu, *v = k ? s->u + (k - 1) * p->nu : s->z + p->nx;
        double cost;
        roll(s, k, x, v, u, values, k < K ? x + p->nx : s->results[NEXT], &cost);
        total += cost;
        for (int64_t i = 0; i < p->soft[k]; i++) {
            const int64_t at = k * p->max_rows + p->moves[k] + i, price = k * p->max_rows + i;
            const double c = s->results[ROWS][p->moves[k] + i];
            const double over = fmax(fmax(p->row_lower[at] - c, c - p->row_upper[at]), 0.0);
            soft = fmax(soft, over);
            total += p->l1[price] * over + 0.5 * p->l2[price] * over * over;
        }
        for (int64_t i = 0; k && i < p->nx; i++)
            hard = fmax(hard, fmax(p->x_lower[i] - x[i], x[i] - p->x_upper[i]));
    }
    told->cost = total;
    told->soft_violation = soft;
    told->hard_violation = hard;
}

/* Solve from (x, v): iterate at most `most` times, until a step is below the tolerance or the budget [s] is spent. */
EXPORT int64_t galenic_rti_solve(Solver *s, const double *x, const double *v, const double *values, int64_t elapsed,
                                 int64_t most, double budget, int64_t verify, Told *told) {
    const Setup *p = s->setup;
    const int64_t nx = p->nx, nu = p->nu, K = p->stages;
    const double began = now();
    *told = (Told){NAN, NAN, NAN, NAN, NAN, NAN, 0, 0};
    if (!finite_all(x, nx) || !finite_all(v, nu) || !finite_all(values, p->values * (K + 1))) {
        galenic_rti_reset(s);
        told->seconds = now() - began;
        return NOT_FINITE;
    }
    if (elapsed > K) s->warm = 0;
    for (int64_t i = 0; s->warm && i < elapsed; i++) shift(s);
    memcpy(s->z, x, sizeof(double) * (size_t)nx);
    memcpy(s->z + nx, v, sizeof(double) * (size_t)nu);
    if (!s->warm) cold_guess(s, values);
    int64_t result = ITERATED;
    double last = began;
    while (told->iterations < most) {
        linearise(s, values);
        int status = solve_qp(s, s->warm ? (int)p->warm_start : 0, told);
        if (status != SUCCESS && s->warm) {
            hp.sol_set_zero(&s->sol);
            status = solve_qp(s, 0, told);
        }
        told->iterations++;
        const double step = status == SUCCESS ? advance(s) : NAN;
        told->step = step;
        if (!isfinite(step)) {
            double outside;
            hp.ipm_get_max_res_ineq(&s->ws, &outside);
            galenic_rti_reset(s);
            told->seconds = now() - began;
            return status != NAN_SOL && status != SUCCESS && outside > 10 * p->qp_tolerance ? INFEASIBLE : FAILED;
        }
        s->warm = 1;
        if (step < p->tolerance) {
            result = SOLVED;
            break;
        }
        const double time = now(), spent = time - last;
        last = time;
        if (told->iterations < most && time - began + spent > budget) {
            result = OUT_OF_TIME;
            break;
        }
    }
    roll_out(s, values, told);
    if (!isfinite(told->cost)) {
        galenic_rti_reset(s);
        told->seconds = now() - began;
        return FAILED;
    }
    if (verify) {
        linearise(s, values);
        for (int64_t k = 0; k <= K; k++)
            memset(s->sol.ux[k].pa, 0, sizeof(double) * (size_t)(s->dim.nu[k] + s->dim.nx[k]));
        hp.res_compute(&s->qp, &s->sol, &s->res, &s->res_ws);
        hp.res_compute_inf_norm(&s->res);
        told->residual = 0.0;
        for (int i = 0; i < 4; i++) told->residual = fmax(told->residual, s->res.res_max[i]);
    }
    told->seconds = now() - began;
    return result;
}

EXPORT void galenic_rti_plan(const Solver *s, double *inputs, double *states) {
    memcpy(inputs, s->u, sizeof(double) * (size_t)(s->setup->stages * s->setup->nu));
    memcpy(states, s->rolled, sizeof(double) * (size_t)((s->setup->stages + 1) * s->setup->nx));
}
