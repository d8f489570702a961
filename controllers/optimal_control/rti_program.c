/* The quadratic program of a plan: from the generated functions into HPIPM's structures. */

static void set_masked(Solver *s, int64_t n, const double *bound, void (*mask)(int, double *, struct QP() *),
                       int k) {
    for (int64_t i = 0; i < n; i++) s->mask[i] = isfinite(bound[i]) ? 1.0 : 0.0;
    mask(k, s->mask, &s->qp);
}

/* one side of the box whose variables are in s->index */
static void set_side(Solver *s, int64_t n, const double *bounds, void (*mask)(int, double *, struct QP() *), int k) {
    for (int64_t i = 0; i < n; i++) s->bound[i] = bounds[s->index[i]];
    set_masked(s, n, s->bound, mask, k);
}

/* what a solve may change: which rows have limits, and prices */
static void set_terms(Solver *s) {
    const Setup *p = s->setup;
    chain_terms(s);
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
            set_side(s, n, p->u_lower, hp.set_lbu_mask, k);
            set_side(s, n, p->u_upper, hp.set_ubu_mask, k);
        }
        if (k > 0) {
            int64_t n = bounded(p->x_lower, p->x_upper, p->nx, s->index);
            hp.set_idxbx(k, s->index, &s->qp);
            set_side(s, n, p->x_lower, hp.set_lbx_mask, k);
            set_side(s, n, p->x_upper, hp.set_ubx_mask, k);
        }
        if (p->soft[k]) {
            const int boxes = s->dim.nb[k];
            for (int i = 0; i < p->soft[k]; i++) s->index[i] = boxes + (int)p->moves[k] + i;
            hp.set_idxs(k, s->index, &s->qp);
        }
    }
    set_terms(s);
}

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

/* The quadratic program at the present plan, in deviations from it: HPIPM's, or (own) that of riccati_ipm.c. */
static void linearise(Solver *s, const double *values, int own) {
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
            if (!own) hp.set_b((int)continued - 1, r[NEXT], qp);
            if (k && !own) hp.set_A((int)continued - 1, r[A], qp);
            if (p->free[k] && !own) hp.set_B((int)continued - 1, r[B], qp);
        }
        if (p->free[k]) {
            fold_costs(p, k, rows, r);
        }
        if (own) {
            chain_store(s, k, r);
            continue;
        }
        if (p->free[k]) {
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
                s->bound[i] = isfinite(lower[i]) ? lower[i] - r[VALUES][i] : 0.0;
                s->mask[i] = isfinite(upper[i]) ? upper[i] - r[VALUES][i] : 0.0;
            }
            hp.set_lg(k, s->bound, qp);
            hp.set_ug(k, s->mask, qp);
            if (k) hp.set_C(k, r[C], qp);
            if (p->free[k]) hp.set_D(k, r[D], qp);
        }
    }
}

/* what is applied at a node is its children's previous input; held inputs are the parent's */
