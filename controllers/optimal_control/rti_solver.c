/* Sequential quadratic programming with real-time iterations on HPIPM, in scaled variables: what a solver is.
 *
 * The generated functions of the stages and their tables stand above this text, with GALENIC_TREE defined where the
 * nodes are a tree of scenarios and not a chain. Below it stand, as one source: riccati_ipm.c and riccati_program.c, or
 * riccati_none.c; rti_program.c, rti_memory.c, rti_kernel.c. Memory comes from the caller; nothing is allocated here,
 * and nothing is shared between solvers but the pointers to HPIPM's functions.
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
#define WIN32_LEAN_AND_MEAN /* no sockets, which have functions of our names */
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
enum { NEXT, A, B, R, S, Q, RU, QX, VALUES, C, D, RESULTS };

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
    struct Chain *chain; /* for the interior-point method of riccati_ipm.c; null: HPIPM's is used */
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

/* what something takes, followed slowly: a pause of the machine is not its fault */
static void follow(double *estimate, double seconds) {
    *estimate = *estimate > 0.0 ? *estimate + 0.2 * (fmin(seconds, 2.0 * *estimate) - *estimate) : seconds;
}
