/* A solver in the caller's memory: laid out, made anew, told of changes. */

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
    chain_forget(s);
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
    Chain *chain = chain_take(&at, n);
    if (!memory) return (int64_t)(at - (char *)memory) + 64;

    memset(s, 0, sizeof *s);
    *s = (Solver){.setup = p, .programs = qp_memory, .programs_size = (size_t)((char *)results[0] - (char *)qp_memory),
                  .qp_memory = qp_memory, .sol_memory = sol_memory, .ws_memory = ws_memory, .res_memory = res_memory,
                  .res_ws_memory = res_ws_memory, .z = z, .u = u, .rolled = rolled, .next = next, .next_u = next_u,
                  .unused = unused, .values = values, .length = length, .wanted = wanted, .bound = bound, .mask = mask,
                  .argument = argument, .result = result, .integers = integers, .doubles = doubles, .index = indices};
    memcpy(s->results, results, sizeof results);
    chain_create(s, chain);
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
