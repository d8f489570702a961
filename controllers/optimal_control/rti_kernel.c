/* Sequential quadratic programming with real-time iterations on HPIPM, in scaled variables.
 *
 * The generated functions of the stages and their tables stand above this text, with GALENIC_TREE defined where the
 * nodes are a tree of scenarios and not a chain. Memory comes from the caller; nothing is allocated here, and nothing is
 * shared between solvers but the pointers to HPIPM's functions.
 *
 * A node's parent stands before it; the edge into node n has HPIPM's number n - 1, in a chain and in a tree.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "hpipm_common.h"
#ifdef GALENIC_TREE
#include "hpipm_d_tree_ocp_qp.h"
#include "hpipm_d_tree_ocp_qp_dim.h"
#include "hpipm_d_tree_ocp_qp_ipm.h"
#include "hpipm_d_tree_ocp_qp_res.h"
#include "hpipm_d_tree_ocp_qp_sol.h"
#include "hpipm_tree.h"
#define QP(name) d_tree_ocp_qp##name
#define PREFIX "d_tree_ocp_qp_"
#else
#include "hpipm_d_ocp_qp.h"
#include "hpipm_d_ocp_qp_dim.h"
#include "hpipm_d_ocp_qp_ipm.h"
#include "hpipm_d_ocp_qp_res.h"
#include "hpipm_d_ocp_qp_sol.h"
#define QP(name) d_ocp_qp##name
#define PREFIX "d_ocp_qp_"
#endif
#ifdef _WIN32
#include <windows.h>
#define EXPORT __declspec(dllexport)
#else
#include <time.h>
#define EXPORT __attribute__((visibility("default")))
#endif

/* HPIPM is called through pointers: no library is linked, so no path of this machine is in the binary */
#define HPIPM(F)                                                                                                    \
    F(dim_memsize) F(dim_create) F(dim_set_all) F(memsize) F(create)                                                 \
    F(set_A) F(set_B) F(set_b) F(set_Q) F(set_S) F(set_R) F(set_q) F(set_r) F(set_C) F(set_D)                         \
    F(set_lbx) F(set_ubx) F(set_lbu) F(set_ubu) F(set_lg) F(set_ug)                                                  \
    F(set_lbx_mask) F(set_ubx_mask) F(set_lbu_mask) F(set_ubu_mask) F(set_lg_mask) F(set_ug_mask)                    \
    F(set_idxbx) F(set_idxbu) F(set_idxs) F(set_Zl) F(set_Zu) F(set_zl) F(set_zu)                                    \
    F(sol_memsize) F(sol_create) F(ipm_arg_memsize) F(ipm_arg_create) F(ipm_arg_set_default)                         \
    F(ipm_ws_memsize) F(ipm_ws_create) F(ipm_solve) F(ipm_get_status) F(ipm_get_iter) F(ipm_get_max_res_ineq)        \
    F(res_memsize) F(res_create) F(res_ws_memsize) F(res_ws_create) F(res_compute) F(res_compute_inf_norm)

#define DECLARE(f) __typeof__(&QP(_##f)) f;
static struct { HPIPM(DECLARE) } hp;
#define NAME(f) PREFIX #f,
static const char *names[] = {HPIPM(NAME) 0};

enum { SOLVED, ITERATED, OUT_OF_TIME, INFEASIBLE, FAILED, NOT_FINITE };
enum { NEXT, A, B, R, S, Q, RU, QX, ROWS, C, D, RESULTS };

typedef struct {
    int64_t nodes, stages, nx, nu;
    int64_t values, parameters;                    /* of a node: parameters, then references; the first alone */
    int64_t arguments, results, integers, doubles; /* work space of the generated functions */
    int64_t max_rows;
    const int64_t *function, *free, *moves, *soft; /* by node; a leaf is not free */
    const int64_t *depth, *parent, *scenario;      /* by node; scenario -1 has no offsets */
    const int64_t *kids;                           /* how many follow, by node */
    const int64_t *branch;                         /* by node: the first branch it is on */
    const int64_t *path;                           /* (branches, stages + 1): the nodes of each branch */
    const int64_t *held;                           /* (nodes, nu): the input is that of the parent, in this solve */
    const double *share;                           /* by node: the weight of its moves */
    const double *offsets;                         /* (scenarios, values) */
    const double *duration, *weight;               /* by node */
    const double *length;                          /* by stage, in sampling periods */
    const double *u_lower, *u_upper, *x_lower, *x_upper;
    const double *row_lower, *row_upper; /* max_rows for each node */
    const double *l1, *l2;               /* max_rows for each node, weighted */
    double mu0, qp_tolerance, tolerance;
    double least;                        /* multipliers and slacks of a hot start are not smaller */
    int64_t qp_iterations;
    int64_t hot_iterations;              /* of a hot start, before it is given up; 0: none is made */
    int64_t calm;                        /* a hot start is made after a solve of at most so many */
    void *tree;                          /* memory for HPIPM's description of the tree */
} Setup;

typedef struct {
    double cost, soft_violation, hard_violation, step, residual, seconds, linearise_seconds, qp_seconds;
    int64_t iterations, qp_iterations;
} Told;

typedef struct {
    const Setup *setup;
    struct QP(_dim) dim;
    struct QP() qp;
    struct QP(_sol) sol;
    struct QP(_ipm_arg) arg;
    struct QP(_ipm_ws) ws;
    struct QP(_res) res;
    struct QP(_res_ws) res_ws;
    const double *guess; /* inputs to begin with where there is no plan, or null: those in force */
    int64_t warm;
    int64_t moved; /* a reference did since the last solve */
    int64_t last;  /* iterations of the last quadratic program */
    double linearise_seconds, qp_seconds, roll_seconds; /* what each takes, the second by interior-point iteration */
    char *programs; /* the memory of all that HPIPM writes to */
    size_t programs_size;
    void *qp_memory, *sol_memory, *ws_memory, *res_memory, *res_ws_memory;
    double *z, *u, *rolled, *next, *next_u, *results[RESULTS], *bound, *mask, *values, *unused, *length, *wanted;
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

static void set_masked(Solver *s, int64_t n, const double *bound, void (*mask)(int, double *, struct QP() *),
                       int k) {
    for (int64_t i = 0; i < n; i++) s->mask[i] = isfinite(bound[i]) ? 1.0 : 0.0;
    mask(k, s->mask, &s->qp);
}

/* what a solve may change: which rows have limits, and prices */
static void set_terms(Solver *s) {
    const Setup *p = s->setup;
    for (int k = 0; k < p->nodes; k++) {
        const int64_t first = k * p->max_rows;
        set_masked(s, rows_of(p, k), p->row_lower + first, hp.set_lg_mask, k);
        set_masked(s, rows_of(p, k), p->row_upper + first, hp.set_ug_mask, k);
        if (p->soft[k]) {
            /* the slack of a side without a limit keeps its price and its bound: it is zero */
            hp.set_zl(k, (double *)p->l1 + first, &s->qp);
            hp.set_zu(k, (double *)p->l1 + first, &s->qp);
            hp.set_Zl(k, (double *)p->l2 + first, &s->qp);
            hp.set_Zu(k, (double *)p->l2 + first, &s->qp);
        }
    }
}

/* what never changes: masks, indices */
static void set_fixed(Solver *s) {
    const Setup *p = s->setup;
    for (int k = 0; k < p->nodes; k++) {
        const int count = s->dim.nb[k] + s->dim.ng[k];
        for (int i = 0; i < count; i++) s->qp.idxs_rev[k][i] = -1;
        for (int i = 0; i < 2 * (count + s->dim.ns[k]); i++) s->qp.d_mask[k].pa[i] = 1.0;
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
        if (p->soft[k]) {
            const int boxes = s->dim.nb[k];
            for (int i = 0; i < p->soft[k]; i++) s->index[i] = boxes + (int)p->moves[k] + i;
            hp.set_idxs(k, s->index, &s->qp);
        }
    }
    set_terms(s);
}

static void set_options(const Setup *p, struct QP(_ipm_arg) *arg) {
    hp.ipm_arg_set_default(SPEED, arg);
    arg->mu0 = p->mu0;
    arg->res_g_max = arg->res_b_max = arg->res_d_max = arg->res_m_max = p->qp_tolerance;
    arg->iter_max = (int)p->qp_iterations;
    arg->stat_max = arg->iter_max;
    arg->lam0_min = arg->t0_min = p->least;
}

static void zero_solution(Solver *s) {
    const struct QP(_dim) *d = &s->dim;
    const size_t real = sizeof(double);
    for (int64_t k = 0; k < s->setup->nodes; k++) {
        const size_t sides = 2 * (size_t)(d->nb[k] + d->ng[k] + d->ns[k]);
        memset(s->sol.ux[k].pa, 0, real * (size_t)(d->nu[k] + d->nx[k] + 2 * d->ns[k]));
        if (k) memset(s->sol.pi[k - 1].pa, 0, real * (size_t)d->nx[k]);
        memset(s->sol.lam[k].pa, 0, real * sides);
        memset(s->sol.t[k].pa, 0, real * sides);
    }
}

/* A NaN stays in HPIPM's matrices, even in those that a new problem overwrites: all are made anew. */
static void forget(Solver *s) {
    set_options(s->setup, &s->arg);
    memset(s->programs, 0, s->programs_size);
    hp.create(&s->dim, &s->qp, s->qp_memory);
    hp.sol_create(&s->dim, &s->sol, s->sol_memory);
    hp.ipm_ws_create(&s->dim, &s->arg, &s->ws, s->ws_memory);
    hp.res_create(&s->dim, &s->res, s->res_memory);
    hp.res_ws_create(&s->dim, &s->res_ws, s->res_ws_memory);
    set_fixed(s);
    zero_solution(s);
    s->warm = s->last = 0;
}

#ifdef GALENIC_TREE
static size_t dim_size(const Setup *p) { return hp.dim_memsize((int)p->nodes); }

static void make_dim(const Setup *p, struct QP(_dim) *dim, void *memory, int *sizes) {
    const int64_t n = p->nodes;
    struct tree *tree = p->tree;
    struct node *node = (struct node *)(tree + 1);
    int *kids = (int *)(node + n), used = 0;
    for (int k = 0; k < n; k++) {
        node[k] = (struct node){.kids = kids + used, .idx = k, .dad = (int)p->parent[k], .stage = (int)p->depth[k]};
        used += (int)p->kids[k];
        if (k) {
            struct node *dad = node + p->parent[k];
            node[k].idxkid = dad->nkids;
            dad->kids[dad->nkids++] = k;
        }
    }
    *tree = (struct tree){.root = node, .kids = kids, .Nn = (int)n};
    hp.dim_create((int)n, dim, memory);
    hp.dim_set_all(tree, sizes, sizes + n, sizes + 2 * n, sizes + 3 * n, sizes + 4 * n, sizes + 5 * n, dim);
}
#else
static size_t dim_size(const Setup *p) { return hp.dim_memsize((int)p->stages); }

static void make_dim(const Setup *p, struct QP(_dim) *dim, void *memory, int *sizes) {
    const int64_t n = p->nodes;
    hp.dim_create((int)p->stages, dim, memory);
    hp.dim_set_all(sizes, sizes + n, sizes + 2 * n, sizes + 3 * n, sizes + 4 * n, sizes + 5 * n, dim);
}
#endif

/* Lays a solver out in `memory` (aligned to 64 bytes); with memory of null it tells how much is needed. */
EXPORT int64_t galenic_rti_create(const Setup *p, void *memory, int *sizes) {
    const int64_t n = p->nodes, nz = p->nx + p->nu;
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
    struct QP(_dim) dim;
    char *scratch = (char *)(((uintptr_t)(index + 2 * (nz + p->max_rows + 1)) + 63) & ~(uintptr_t)63);
    make_dim(p, &dim, scratch, sizes);
    struct QP(_ipm_arg) arg;
    hp.ipm_arg_create(&dim, &arg, scratch + dim_size(p) + 64);
    set_options(p, &arg); /* they decide on sizes too */

    char *at = memory;
    Solver *s = take(&at, sizeof *s);
    void *dim_memory = take(&at, dim_size(p));
    void *arg_memory = take(&at, hp.ipm_arg_memsize(&dim));
    void *qp_memory = take(&at, hp.memsize(&dim)), *sol_memory = take(&at, hp.sol_memsize(&dim));
    void *ws_memory = take(&at, hp.ipm_ws_memsize(&dim, &arg));
    void *res_memory = take(&at, hp.res_memsize(&dim)), *res_ws_memory = take(&at, hp.res_ws_memsize(&dim));
    const size_t real = sizeof(double);
    const int64_t size[RESULTS] = {nz,          nz * nz, nz * p->nu,  p->nu * p->nu,    p->nu * nz,         nz * nz,
                                   p->nu,       nz,      p->max_rows, p->max_rows * nz, p->max_rows * p->nu};
    double *results[RESULTS];
    int64_t largest = 0;
    for (int i = 0; i < RESULTS; i++) {
        results[i] = take(&at, real * (size_t)(size[i] + 1));
        if (size[i] > largest) largest = size[i];
    }
    double *z = take(&at, real * (size_t)(n * nz)), *u = take(&at, real * (size_t)(n * p->nu));
    double *rolled = take(&at, real * (size_t)(n * p->nx)), *next = take(&at, real * (size_t)(nz * n));
    double *next_u = take(&at, real * (size_t)(n * p->nu)), *unused = take(&at, real * (size_t)(largest + 1));
    double *values = take(&at, real * (size_t)(p->values + 1)), *length = take(&at, real * (size_t)(p->stages + 1));
    double *wanted = take(&at, real * (size_t)(p->values + 1));
    double *bound = take(&at, real * (size_t)(nz + p->max_rows + 1));
    double *mask = take(&at, real * (size_t)(nz + p->max_rows + 1));
    double *doubles = take(&at, real * (size_t)(p->doubles + 1));
    long long *integers = take(&at, sizeof(long long) * (size_t)(p->integers + 1));
    const double **argument = take(&at, sizeof(void *) * (size_t)(p->arguments + 7));
    double **result = take(&at, sizeof(void *) * (size_t)(p->results + RESULTS));
    int *indices = take(&at, sizeof(int) * (size_t)(nz + p->max_rows + 1));
    if (!memory) return (int64_t)(at - (char *)memory) + 64;

    memset(s, 0, sizeof *s);
    *s = (Solver){.setup = p, .programs = qp_memory, .programs_size = (size_t)((char *)results[0] - (char *)qp_memory),
                  .qp_memory = qp_memory, .sol_memory = sol_memory, .ws_memory = ws_memory, .res_memory = res_memory,
                  .res_ws_memory = res_ws_memory, .z = z, .u = u, .rolled = rolled, .next = next, .next_u = next_u,
                  .unused = unused, .values = values, .length = length, .wanted = wanted, .bound = bound, .mask = mask,
                  .argument = argument, .result = result, .integers = integers, .doubles = doubles, .index = indices};
    memcpy(s->results, results, sizeof results);
    make_dim(p, &s->dim, dim_memory, sizes);
    hp.ipm_arg_create(&s->dim, &s->arg, arg_memory);
    forget(s);
    return (int64_t)(at - (char *)memory);
}

EXPORT void galenic_rti_reset(Solver *s) { forget(s); }

/* the inputs (nu) stay the caller's */
EXPORT void galenic_rti_guess(Solver *s, const double *inputs) { s->guess = inputs; }

/* after the caller changed limits of rows or prices */
EXPORT void galenic_rti_update(Solver *s) { set_terms(s); }

/* parameters and references at node k in a scenario; those of the last call */
static const double *values_of(Solver *s, const double *values, int64_t k, int64_t scenario) {
    const Setup *p = s->setup;
    const double *nominal = values + p->depth[k] * p->values;
    if (scenario < 0) return nominal;
    for (int64_t i = 0; i < p->values; i++) s->values[i] = nominal[i] + p->offsets[scenario * p->values + i];
    return s->values;
}

static void call(Solver *s, const StageFunction f, int64_t k, const double *x, const double *v, const double *u,
                 const double *values) {
    const Setup *p = s->setup;
    const double *given[] = {x, v, u, values, p->duration + k, p->weight + k, p->share + k};
    memcpy(s->argument, given, sizeof given);
    f(s->argument, s->result, s->integers, s->doubles, 0);
}

/* x one stage after node k in a scenario, with the node's rows and cost */
static void roll(Solver *s, int64_t k, int64_t scenario, const double *x, const double *v, const double *u,
                 const double *values, double *next, double *rows, double *cost) {
    s->result[0] = next;
    s->result[1] = rows;
    s->result[2] = cost;
    call(s, rolled_functions[s->setup->function[k]], k, x, v, u, values_of(s, values, k, scenario));
}

/* the child of node k after `kid` (k: the first), or -1 */
static int64_t next_kid(const Setup *p, int64_t k, int64_t kid) {
    for (int64_t n = kid + 1; n < p->nodes; n++)
        if (p->parent[n] == k) return n;
    return -1;
}

/* Where an input is held, u = v; the rows and columns of u move to v, and an input without effect stays. Here
 * column-major R (nu, nu), S (nu, nz), Q (nz, nz), B (nz, nu), A (nz, nz), D (rows, nu), C (rows, nz). */
static void fold_dynamics(const Setup *p, int64_t k, double *a, double *b) {
    const int64_t nx = p->nx, nu = p->nu, nz = nx + nu;
    for (int64_t i = 0; i < nu; i++)
        if (p->held[k * nu + i])
            for (int64_t j = 0; j < nz; j++) {
                if (k) a[(nx + i) * nz + j] += b[i * nz + j];
                b[i * nz + j] = 0.0;
            }
}

static void fold_costs(const Setup *p, int64_t k, int64_t rows, double **r) {
    const int64_t nx = p->nx, nu = p->nu, nz = nx + nu;
    for (int64_t i = 0; i < nu; i++) {
        if (!p->held[k * nu + i]) continue;
        const int64_t v = nx + i;
        double *R_ = r[R], *S_ = r[S], *Q_ = r[Q];
        if (k) {
            for (int64_t j = 0; j < nz; j++) Q_[v * nz + j] += S_[j * nu + i];
            for (int64_t j = 0; j < nz; j++) Q_[j * nz + v] += S_[j * nu + i];
            Q_[v * nz + v] += R_[i * nu + i];
            for (int64_t j = 0; j < nu; j++)
                if (j != i) S_[v * nu + j] += R_[i * nu + j];
            for (int64_t j = 0; j < nz; j++) S_[j * nu + i] = 0.0;
            r[QX][v] += r[RU][i];
        }
        for (int64_t j = 0; j < nu; j++) R_[i * nu + j] = R_[j * nu + i] = 0.0;
        R_[i * nu + i] = 1.0;
        r[RU][i] = 0.0;
        for (int64_t j = 0; j < rows; j++) {
            if (k) r[C][v * rows + j] += r[D][i * rows + j];
            r[D][i * rows + j] = 0.0;
        }
    }
}

/* The quadratic program at the present plan, in deviations from it. */
static void linearise(Solver *s, const double *values) {
    const Setup *p = s->setup;
    const int64_t nx = p->nx, nu = p->nu, nz = nx + nu;
    struct QP() *qp = &s->qp;
    for (int k = 0; k < p->nodes; k++) {
        double *z = s->z + k * nz, *u = s->u + k * nu, *r[RESULTS];
        memcpy(r, s->results, sizeof r);
        const int64_t rows = rows_of(p, k);
        int64_t continued = -1; /* the child in the node's own scenario */
        for (int64_t kid = p->kids[k] ? next_kid(p, k, k) : -1, left = p->kids[k]; left--;) {
            if (p->scenario[kid] == p->scenario[k]) {
                continued = kid;
            } else {
                for (int i = 0; i < RESULTS; i++) s->result[i] = i <= B ? r[i] : s->unused;
                call(s, stage_functions[p->function[k]], k, z, z + nx, u, values_of(s, values, k, p->scenario[kid]));
                if (p->free[k]) fold_dynamics(p, k, r[A], r[B]);
                for (int64_t i = 0; i < nz; i++) r[NEXT][i] -= s->z[kid * nz + i];
                hp.set_b((int)kid - 1, r[NEXT], qp);
                if (k) hp.set_A((int)kid - 1, r[A], qp);
                if (p->free[k]) hp.set_B((int)kid - 1, r[B], qp);
            }
            if (left) kid = next_kid(p, k, kid);
        }
        memcpy(s->result, r, sizeof r);
        call(s, stage_functions[p->function[k]], k, z, z + nx, u, values_of(s, values, k, p->scenario[k]));
        if (continued >= 0) {
            if (p->free[k]) fold_dynamics(p, k, r[A], r[B]);
            for (int64_t i = 0; i < nz; i++) r[NEXT][i] -= s->z[continued * nz + i];
            hp.set_b((int)continued - 1, r[NEXT], qp);
            if (k) hp.set_A((int)continued - 1, r[A], qp);
            if (p->free[k]) hp.set_B((int)continued - 1, r[B], qp);
        }
        if (p->free[k]) {
            fold_costs(p, k, rows, r);
            hp.set_R(k, r[R], qp);
            hp.set_r(k, r[RU], qp);
            if (k) hp.set_S(k, r[S], qp);
            int64_t n = 0;
            double *low = s->bound, *high = s->mask;
            for (int64_t i = 0; i < nu; i++)
                if (isfinite(p->u_lower[i]) || isfinite(p->u_upper[i])) {
                    const int held = p->held[k * nu + i] != 0;
                    low[n] = held ? -1.0 : isfinite(p->u_lower[i]) ? p->u_lower[i] - u[i] : 0.0;
                    high[n++] = held ? 1.0 : isfinite(p->u_upper[i]) ? p->u_upper[i] - u[i] : 0.0;
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

/* what is applied at a node is its children's previous input; held inputs are the parent's */
static void connect(Solver *s) {
    const Setup *p = s->setup;
    const int64_t nu = p->nu, nz = p->nx + nu;
    for (int64_t k = 0; k < p->nodes; k++) {
        double *v = s->z + k * nz + p->nx, *u = s->u + k * nu;
        if (k) memcpy(v, s->u + p->parent[k] * nu, sizeof(double) * (size_t)nu);
        for (int64_t i = 0; i < nu; i++)
            if (!p->free[k] || p->held[k * nu + i]) u[i] = v[i];
    }
}

/* hold the previous input, or the one that was given, and roll the model forward */
static void cold_guess(Solver *s, const double *values) {
    const Setup *p = s->setup;
    const int64_t nx = p->nx, nu = p->nu, nz = nx + nu;
    const double *v = s->guess ? s->guess : s->z + nx;
    for (int64_t k = 0; k < p->nodes; k++)
        for (int64_t i = 0; i < nu; i++) s->u[k * nu + i] = fmin(fmax(v[i], p->u_lower[i]), p->u_upper[i]);
    connect(s);
    for (int64_t k = 1; k < p->nodes; k++) {
        const int64_t from = p->parent[k];
        const double *z = s->z + from * nz;
        roll(s, from, p->scenario[k], z, z + nx, s->u + from * nu, values, s->z + k * nz, s->results[ROWS], s->unused);
    }
    zero_solution(s);
    s->warm = 0;
}

static void copy(struct blasfeo_dvec *from, struct blasfeo_dvec *to, int n) {
    memcpy(to->pa, from->pa, sizeof(double) * (size_t)n);
}

/* The plan and its multipliers `elapsed` sampling periods later, on the present grid; each node looks along its branch. */
static void shift(Solver *s, double elapsed) {
    const Setup *p = s->setup;
    const int64_t K = p->stages, nu = p->nu, nz = p->nx + nu, n = p->nodes;
    const struct QP(_dim) *d = &s->dim;
    memcpy(s->next, s->z, sizeof(double) * (size_t)(nz * n));
    memcpy(s->next_u, s->u, sizeof(double) * (size_t)(nu * n));
    for (int64_t k = 0; k < n; k++) {
        double time = elapsed, start = 0.0;
        for (int64_t i = 0; i < p->depth[k]; i++) time += p->length[i];
        int64_t j = 0;
        while (j < K && start + s->length[j] <= time + 1e-9) start += s->length[j++];
        const double part = j < K ? (time - start) / s->length[j] : 0.0;
        const int64_t *path = p->path + p->branch[k] * (K + 1);
        const int64_t from = path[j], after = path[j < K ? j + 1 : K], stage = path[j < K ? j : K - 1];
        for (int64_t i = 0; i < nz; i++)
            s->z[k * nz + i] = (1.0 - part) * s->next[from * nz + i] + part * s->next[after * nz + i];
        if (stage > k || j < p->depth[k]) memcpy(s->u + k * nu, s->next_u + stage * nu, sizeof(double) * (size_t)nu);
        if (from <= k || d->nu[from] != d->nu[k] || d->nb[from] != d->nb[k] || d->ng[from] != d->ng[k] ||
            d->ns[from] != d->ns[k])
            continue;
        const int sides = 2 * (d->nb[k] + d->ng[k] + d->ns[k]);
        copy(s->sol.lam + from, s->sol.lam + k, sides);
        copy(s->sol.t + from, s->sol.t + k, sides);
        memcpy(s->sol.ux[k].pa + d->nu[k] + d->nx[k], s->sol.ux[from].pa + d->nu[from] + d->nx[from],
               sizeof(double) * (size_t)(2 * d->ns[k]));
        if (k) copy(s->sol.pi + from - 1, s->sol.pi + k - 1, (int)nz);
    }
}

static int finite_all(const double *v, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += v[i] * 0.0;
    return sum == 0.0;
}

/* what something takes, followed slowly: a pause of the machine is not its fault */
static void follow(double *estimate, double seconds) {
    *estimate = *estimate > 0.0 ? *estimate + 0.2 * (fmin(seconds, 2.0 * *estimate) - *estimate) : seconds;
}

/* at most `most` iterations of the interior-point method, and those alone that end before `deadline` */
static int solve_qp(Solver *s, int warm, int64_t most, double deadline, Told *told) {
    const struct QP(_dim) *d = &s->dim;
    /* deviations start at zero; slacks and multipliers stay */
    for (int64_t k = 0; k < s->setup->nodes; k++)
        memset(s->sol.ux[k].pa, 0, sizeof(double) * (size_t)(d->nu[k] + d->nx[k]));
    int status;
    for (int64_t left = most;;) {
        const double began = now();
        int64_t now_most = left;
        if (isfinite(deadline)) {
            /* not yet known what one takes: two tell */
            const double fit = s->qp_seconds > 0.0 ? floor((deadline - began) / s->qp_seconds) : 2.0;
            now_most = fit < 1.0 ? 1 : fit < (double)left ? (int64_t)fit : left;
        }
        const int unknown = s->qp_seconds <= 0.0;
        int iterations;
        s->arg.iter_max = (int)now_most;
        s->arg.warm_start = warm;
        hp.ipm_solve(&s->qp, &s->sol, &s->arg, &s->ws);
        hp.ipm_get_status(&s->ws, &status);
        hp.ipm_get_iter(&s->ws, &iterations);
        told->qp_iterations += iterations;
        left -= iterations;
        const double spent = now() - began;
        told->qp_seconds += spent;
        if (iterations) follow(&s->qp_seconds, spent / iterations);
        if (status != MAX_ITER || !unknown || left < 1 || !isfinite(deadline)) return status;
        warm = 3;
    }
}

/* add the deviations; the largest one, or NaN */
static double advance(Solver *s) {
    const Setup *p = s->setup;
    const int64_t nx = p->nx, nu = p->nu, nz = nx + nu;
    double largest = 0.0;
    for (int64_t k = 0; k < p->nodes; k++) {
        const double *du = s->sol.ux[k].pa, *dz = du + s->dim.nu[k];
        double *z = s->z + k * nz, *u = s->u + k * nu;
        if (k)
            for (int64_t i = 0; i < nz; i++) {
                if (!(fabs(dz[i]) <= largest)) largest = fabs(dz[i]);
                z[i] += dz[i];
            }
        for (int64_t i = 0; i < nu; i++) {
            if (!p->free[k] || p->held[k * nu + i]) {
                u[i] = z[nx + i];
                continue;
            }
            if (!(fabs(du[i]) <= largest)) largest = fabs(du[i]);
            u[i] += du[i];
        }
        if (isnan(largest)) return largest;
    }
    return largest;
}

/* What the inputs lead to by the model, its cost and violations; the largest excess of a move. */
static double roll_out(Solver *s, const double *values, Told *told) {
    const Setup *p = s->setup;
    const int64_t nx = p->nx, nu = p->nu;
    double soft = 0.0, hard = 0.0, total = 0.0, move = 0.0;
    memcpy(s->rolled, s->z, sizeof(double) * (size_t)nx);
    for (int64_t k = 0; k < p->nodes; k++) {
        const double *x = s->rolled + k * nx, *u = s->u + k * nu;
        const double *v = k ? s->u + p->parent[k] * nu : s->z + nx;
        double cost, *next = s->unused, *rows = s->results[ROWS];
        for (int64_t kid = p->kids[k] ? next_kid(p, k, k) : -1, left = p->kids[k]; left--;) {
            if (p->scenario[kid] == p->scenario[k])
                next = s->rolled + kid * nx;
            else
                roll(s, k, p->scenario[kid], x, v, u, values, s->rolled + kid * nx, rows, &cost);
            if (left) kid = next_kid(p, k, kid);
        }
        roll(s, k, p->scenario[k], x, v, u, values, next, rows, &cost);
        total += cost;
        for (int64_t i = 0; i < p->moves[k]; i++) {
            const int64_t at = k * p->max_rows + i;
            move = fmax(move, fmax(p->row_lower[at] - rows[i], rows[i] - p->row_upper[at]));
        }
        for (int64_t i = 0; i < p->soft[k]; i++) {
            const int64_t at = k * p->max_rows + p->moves[k] + i, price = k * p->max_rows + i;
            const double c = rows[p->moves[k] + i];
            const double over = fmax(fmax(p->row_lower[at] - c, c - p->row_upper[at]), 0.0);
            soft = fmax(soft, over);
            total += p->l1[price] * over + 0.5 * p->l2[price] * over * over;
        }
        for (int64_t i = 0; k && i < nx; i++) hard = fmax(hard, fmax(p->x_lower[i] - x[i], x[i] - p->x_upper[i]));
    }
    told->cost = total;
    told->soft_violation = soft;
    told->hard_violation = hard;
    return move;
}

/* An iterate of the interior-point method that has not converged: taken if it is better than the plan at hand. */
static double advance_if_better(Solver *s, const double *values, Told *told) {
    const Setup *p = s->setup;
    const size_t z_size = sizeof(double) * (size_t)((p->nx + p->nu) * p->nodes);
    const size_t u_size = sizeof(double) * (size_t)(p->nu * p->nodes);
    Told before = *told, after = *told;
    const double moved = roll_out(s, values, &before);
    memcpy(s->next, s->z, z_size);
    memcpy(s->next_u, s->u, u_size);
    const double step = advance(s);
    const double moves = isfinite(step) ? roll_out(s, values, &after) : NAN;
    const double old = fmax(moved, before.hard_violation), new = fmax(moves, after.hard_violation), slack = 1e-6;
    const int better = isfinite(step) && isfinite(after.cost) &&
                       (!isfinite(before.cost) || new < 0.9 * old - slack || (new <= old + slack && after.cost <= before.cost));
    if (!better) {
        memcpy(s->z, s->next, z_size);
        memcpy(s->u, s->next_u, u_size);
    }
    return step;
}

/* Multipliers and slacks as they were serve where little changes, and lead astray where much does. */
static int hot_start(const Solver *s) {
    return s->warm && s->setup->hot_iterations && s->last <= s->setup->calm && !s->moved;
}

/* Whether a reference at the end of the horizon, where a change known ahead comes into sight, is another one. */
static void watch_references(Solver *s, const double *values) {
    const Setup *p = s->setup;
    const double *wanted = values + p->stages * p->values + p->parameters;
    s->moved = 0;
    for (int64_t i = 0; i < p->values - p->parameters; i++) {
        if (fabs(wanted[i] - s->wanted[i]) > 0.01 * fmax(fabs(wanted[i]), fabs(s->wanted[i]))) s->moved = 1;
        s->wanted[i] = wanted[i];
    }
}

/* Solve from (x, v): iterate at most `most` times, until a step is below the tolerance or the budget [s] is spent. */
EXPORT int64_t galenic_rti_solve(Solver *s, const double *x, const double *v, const double *values, int64_t elapsed,
                                 int64_t most, double budget, int64_t verify, Told *told) {
    const Setup *p = s->setup;
    const int64_t nx = p->nx, nu = p->nu;
    const double began = now();
    *told = (Told){NAN, NAN, NAN, NAN, NAN, NAN, 0.0, 0.0, 0, 0};
    if (!finite_all(x, nx) || !finite_all(v, nu) || !finite_all(values, p->values * (p->stages + 1))) {
        galenic_rti_reset(s);
        told->seconds = now() - began;
        return NOT_FINITE;
    }
    double last = 0.0;
    for (int64_t i = 0; i < p->stages; i++) last += s->length[i];
    if ((double)elapsed > last) s->warm = 0;
    if (s->warm && (elapsed || memcmp(s->length, p->length, sizeof(double) * (size_t)p->stages))) shift(s, (double)elapsed);
    memcpy(s->length, p->length, sizeof(double) * (size_t)p->stages);
    memcpy(s->z, x, sizeof(double) * (size_t)nx);
    memcpy(s->z + nx, v, sizeof(double) * (size_t)nu);
    if (s->warm)
        connect(s);
    else
        cold_guess(s, values);
    watch_references(s, values);
    int64_t result = ITERATED;
    const double deadline = began + budget;
    while (told->iterations < most) {
        const double start = now();
        linearise(s, values);
        const double middle = now();
        told->linearise_seconds += middle - start;
        follow(&s->linearise_seconds, middle - start);
        const double until = deadline - s->roll_seconds;
        int status = MAX_ITER, cut = 0;
        for (int mode = hot_start(s) ? 3 : s->warm ? 2 : 0;; mode = mode == 3 ? 2 : 0) {
            const int64_t before = told->qp_iterations;
            const int64_t limit = mode == 3 ? p->hot_iterations : p->qp_iterations;
            status = solve_qp(s, mode, limit, until, told);
            s->last = told->qp_iterations - before;
            cut = status == MAX_ITER && (s->last < limit || now() + s->qp_seconds > until);
            if (status == SUCCESS || cut || mode == 0) break;
            if (mode == 2 || status != MAX_ITER) zero_solution(s);
        }
        told->iterations++;
        const double step = status == SUCCESS ? advance(s) : cut ? advance_if_better(s, values, told) : NAN;
        told->step = step;
        if (!isfinite(step)) {
            double outside;
            hp.ipm_get_max_res_ineq(&s->ws, &outside);
            galenic_rti_reset(s);
            told->seconds = now() - began;
            return status != NAN_SOL && status != SUCCESS && outside > 10 * p->qp_tolerance ? INFEASIBLE : FAILED;
        }
        s->warm = 1;
        if (cut && now() > until - s->qp_seconds) {
            result = OUT_OF_TIME;
            break;
        }
        if (!cut && step < p->tolerance) {
            result = SOLVED;
            break;
        }
        if (told->iterations < most && now() + s->linearise_seconds + s->qp_seconds > until) {
            result = OUT_OF_TIME;
            break;
        }
    }
    const double start = now();
    roll_out(s, values, told);
    follow(&s->roll_seconds, now() - start);
    if (!isfinite(told->cost)) {
        galenic_rti_reset(s);
        told->seconds = now() - began;
        return FAILED;
    }
    if (verify) {
        linearise(s, values);
        for (int64_t k = 0; k < p->nodes; k++)
            memset(s->sol.ux[k].pa, 0, sizeof(double) * (size_t)(s->dim.nu[k] + s->dim.nx[k]));
        hp.res_compute(&s->qp, &s->sol, &s->res, &s->res_ws);
        hp.res_compute_inf_norm(&s->res);
        told->residual = 0.0;
        for (int i = 0; i < 4; i++) told->residual = fmax(told->residual, s->res.res_max[i]);
    }
    told->seconds = now() - began;
    return result;
}

static void pass(double *at, double *values, int64_t n, int64_t restore) {
    memcpy(restore ? values : at, restore ? at : values, sizeof(double) * (size_t)n);
}

/* What the next solve starts from, into `memory` or back from there; how many numbers. With memory of null it counts. */
EXPORT int64_t galenic_rti_state(Solver *s, double *memory, int64_t restore) {
    const Setup *p = s->setup;
    const struct QP(_dim) *d = &s->dim;
    int64_t count = 0;
    double flags[] = {(double)s->warm, (double)s->last};
#define PASS(values, size)                                                  \
    do {                                                                    \
        if (memory) pass(memory + count, values, (size), restore);          \
        count += (size);                                                    \
    } while (0)
    PASS(flags, 2);
    PASS(s->length, p->stages);
    PASS(s->wanted, p->values - p->parameters);
    PASS(s->z, p->nodes * (p->nx + p->nu));
    PASS(s->u, p->nodes * p->nu);
    for (int64_t k = 0; k < p->nodes; k++) {
        const int64_t sides = 2 * (d->nb[k] + d->ng[k] + d->ns[k]);
        PASS(s->sol.ux[k].pa, d->nu[k] + d->nx[k] + 2 * d->ns[k]);
        PASS(s->sol.lam[k].pa, sides);
        PASS(s->sol.t[k].pa, sides);
        if (k) PASS(s->sol.pi[k - 1].pa, d->nx[k]);
    }
    s->warm = (int64_t)flags[0];
    s->last = (int64_t)flags[1];
    return count;
}

/* inputs (nodes, nu) and states (nodes, nx); a leaf has no inputs */
EXPORT void galenic_rti_plan(const Solver *s, double *inputs, double *states) {
    memcpy(inputs, s->u, sizeof(double) * (size_t)(s->setup->nodes * s->setup->nu));
    memcpy(states, s->rolled, sizeof(double) * (size_t)(s->setup->nodes * s->setup->nx));
}
