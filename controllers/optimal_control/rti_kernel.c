/* Solving: the plan and its multipliers shifted by time, iterations within a budget, the answer rolled out. */

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
        roll(s, from, p->scenario[k], z, z + nx, s->u + from * nu, values, s->z + k * nz, s->results[VALUES], s->unused);
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
        chain_shift(s, from, k);
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
        double cost, *next = s->unused, *rows = s->results[VALUES];
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
    int own = 0;
    const double deadline = began + budget;
    while (told->iterations < most) {
        const double start = now();
        own = s->chain != 0; /* until it gives up, from a cold start too */
        linearise(s, values, own);
        const double middle = now();
        told->linearise_seconds += middle - start;
        follow(&s->linearise_seconds, middle - start);
        const double until = deadline - s->roll_seconds;
        int status = MAX_ITER, cut = 0;
        for (int mode = hot_start(s) ? 3 : s->warm ? 2 : 0;; mode = mode == 3 ? 2 : 0) {
            const int64_t before = told->qp_iterations;
            const int64_t limit = mode == 3 ? p->hot_iterations : p->qp_iterations;
            status = own ? chain_solve(s, mode, limit, until, told) : solve_qp(s, mode, limit, until, told);
            s->last = told->qp_iterations - before;
            cut = status == MAX_ITER && (s->last < limit || now() + s->qp_seconds > until);
            if (status == SUCCESS || cut || (mode == 0 && !own)) break;
            if (mode != 3 || status != MAX_ITER) zero_solution(s);
            if (mode == 0) {
                own = 0;
                chain_forget(s);
                linearise(s, values, own);
            }
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
        if (own) chain_tell(s);
        linearise(s, values, 0);
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
        for (int i = 0; i < PARTS; i++) PASS(chain_part(s, k, i), LENGTH);
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
