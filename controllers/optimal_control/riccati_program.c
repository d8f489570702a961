/* The quadratic program of a plan for riccati_ipm.c, and its solution as a step of the plan. */

static Chain *chain_take(char **at, int64_t nodes) {
    Chain *q = take(at, sizeof *q);
    take(at, sizeof(Stage) * (size_t)nodes);
    return q;
}

/* which sides have limits, and prices */
static void chain_terms(Solver *s) {
    const Setup *p = s->setup;
    Chain *q = s->chain;
    q->pairs = 0;
    for (int k = 0; k <= q->K; k++) {
        Stage *n = q->stages + k;
        for (int i = 0; i < SIDES; i++) {
            const int upper = i >= LINES, line = upper ? i - LINES : i, row = line - NU - BOXES;
            const int soft = row - (int)p->moves[k], in = row >= 0 && row < rows_of(p, k);
            double limit = INFINITY;
            if (line < NU && p->free[k] && !p->held[k * NU + line])
                limit = (upper ? p->u_upper : p->u_lower)[line];
            else if (line >= NU && row < 0 && k)
                limit = (upper ? p->x_upper : p->x_lower)[q->box[line - NU]];
            else if (in)
                limit = (upper ? p->row_upper : p->row_lower)[k * p->max_rows + row];
            n->on[i] = isfinite(limit) ? 1.0 : 0.0;
            n->sign[i] = upper ? -1.0 : 1.0;
            n->soft[i] = in && soft >= 0 ? n->on[i] : 0.0;
            n->l1[i] = n->soft[i] > 0.0 ? p->l1[k * p->max_rows + soft] : 0.0;
            n->l2[i] = n->soft[i] > 0.0 ? p->l2[k * p->max_rows + soft] : 1.0;
            q->pairs += (n->on[i] > 0.0) + (n->soft[i] > 0.0);
        }
    }
}

static void chain_forget(Solver *s) {
    memset(s->chain->stages, 0, sizeof(Stage) * (size_t)s->setup->nodes);
    chain_terms(s);
}

static void chain_create(Solver *s, Chain *q) {
    const Setup *p = s->setup;
    char *after = (char *)(q + 1);
    *q = (Chain){.K = (int)p->stages, .tolerance = p->qp_tolerance, .mu0 = p->mu0};
    q->stages = take(&after, 0);
    bounded(p->x_lower, p->x_upper, NX, q->box);
    s->chain = q;
}

/* lower and upper bound of a line, less its value at the plan */
static void bound_line(Stage *n, int line, double lower, double upper, double value) {
    n->bound[line] = n->on[line] > 0.0 ? lower - value : 0.0;
    n->bound[LINES + line] = n->on[LINES + line] > 0.0 ? upper - value : 0.0;
}

/* Node k's part, from the results of its function; what none of its kind gives is zero from the start. */
static void chain_store(Solver *s, int k, double *const *r) {
    const Setup *p = s->setup;
    Stage *n = s->chain->stages + k;
    const int free = p->free[k] != 0, last = k == s->chain->K, rows = (int)rows_of(p, k);
    const double *z = s->z + k * NZ, *u = s->u + k * NU;
    n->compact = free;
    for (int i = 0; i < NU; i++) n->compact &= !p->held[k * NU + i];
    for (int i = 0; i < NZ && !last; i++) {
        for (int j = 0; j < NU && free; j++) n->G[i][j] = r[B][j * NZ + i];
        for (int j = 0; j < NZ && k; j++) n->G[i][NU + j] = r[A][j * NZ + i];
        n->b[i] = r[NEXT][i];
    }
    for (int i = 0; i < NU; i++) {
        for (int j = 0; j < NU; j++) n->H[i][j] = free ? r[R][j * NU + i] : (double)(i == j);
        for (int j = 0; j < NZ && free && k; j++) n->H[i][NU + j] = n->H[NU + j][i] = r[S][j * NU + i];
        n->g[i] = free ? r[RU][i] : 0.0;
        bound_line(n, i, p->u_lower[i], p->u_upper[i], u[i]);
    }
    for (int i = 0; i < NZ && k; i++) {
        for (int j = 0; j < NZ; j++) n->H[NU + i][NU + j] = r[Q][j * NZ + i];
        n->g[NU + i] = r[QX][i];
    }
    for (int i = 0; i < BOXES && k; i++) {
        const int x = s->chain->box[i];
        bound_line(n, NU + i, p->x_lower[x], p->x_upper[x], z[x]);
    }
    for (int i = 0; i < rows; i++) {
        const int64_t at = k * p->max_rows + i;
        bound_line(n, NU + BOXES + i, p->row_lower[at], p->row_upper[at], r[VALUES][i]);
        int used = 0;
        for (int j = 0; j < NW; j++) {
            const double c = j < NU ? (free ? r[D][j * rows + i] : 0.0) : k ? r[C][(j - NU) * rows + i] : 0.0;
            n->C[i][j] = c;
            if (c != 0.0) n->column[i][used++] = j;
        }
        n->used[i] = used;
    }
}

/* multipliers and slacks of node k are those of a later one; multipliers go with the length of a stage */
static void chain_shift(Solver *s, int64_t from, int64_t k) {
    const Stage *old = s->chain->stages + from;
    Stage *new = s->chain->stages + k;
    const double ratio = s->setup->weight[k] / s->setup->weight[from];
    for (int i = 0; i < SIDES; i++) {
        new->lam[i] = ratio * old->lam[i];
        new->nu[i] = ratio * old->nu[i];
        new->t[i] = old->t[i];
        new->s[i] = old->s[i];
    }
}

/* Solve, and leave the step where HPIPM would; of a mode 3 the start is hot, of 2 warm, of 0 cold. */
static int chain_solve(Solver *s, int mode, int64_t most, double deadline, Told *told) {
    Chain *q = s->chain;
    const double began = now();
    int64_t iterations;
    const int status = interior_point(q, mode, most, deadline, s->qp_seconds, &iterations);
    for (int k = 0; k <= q->K; k++) {
        const double *w = q->stages[k].w;
        double *to = s->sol.ux[k].pa;
        if (s->dim.nu[k]) memcpy(to, w, sizeof(double) * NU);
        if (k) memcpy(to + s->dim.nu[k], w + NU, sizeof(double) * NZ);
    }
    const double spent = now() - began;
    told->qp_iterations += iterations;
    told->qp_seconds += spent;
    if (iterations) follow(&s->qp_seconds, spent / (double)iterations);
    return status;
}

/* the multipliers and slacks of the last solution, as HPIPM keeps them */
static void chain_tell(Solver *s) {
    const Setup *p = s->setup;
    for (int k = 0; k <= s->chain->K; k++) {
        const Stage *n = s->chain->stages + k;
        const int ns = s->dim.ns[k];
        double *lam = s->sol.lam[k].pa, *t = s->sol.t[k].pa, *slack = s->sol.ux[k].pa + s->dim.nu[k] + s->dim.nx[k];
        int line[LINES], count = 0;
        for (int i = 0; i < NU && p->free[k]; i++)
            if (isfinite(p->u_lower[i]) || isfinite(p->u_upper[i])) line[count++] = i;
        for (int i = k ? NU : NU + BOXES; i < NU + BOXES + rows_of(p, k); i++) line[count++] = i;
        for (int upper = 0; upper < 2; upper++) {
            for (int i = 0; i < count; i++) {
                *lam++ = n->lam[upper * LINES + line[i]];
                *t++ = n->t[upper * LINES + line[i]];
            }
        }
        for (int i = 0; i < 2 * ns; i++) {
            const int soft = i % ns, side = i / ns * LINES + NU + BOXES + (int)p->moves[k] + soft;
            const int on = n->soft[side] > 0.0;
            *lam++ = on ? n->nu[side] : p->l1[k * p->max_rows + soft];
            *t++ = slack[i] = on ? n->s[side] : 0.0;
        }
        for (int i = 0; i < NZ && k; i++) {
            double sum = n->p[i];
            for (int j = 0; j < NZ; j++) sum += n->P[i][j] * n->wanted[NU + j];
            s->sol.pi[k - 1].pa[i] = sum;
        }
    }
}

enum { PARTS = 4, LENGTH = SIDES };

/* what the next solve starts from, in parts */
static double *chain_part(Solver *s, int64_t k, int part) {
    Stage *n = s->chain->stages + k;
    double *parts[PARTS] = {n->lam, n->t, n->nu, n->s};
    return parts[part];
}
