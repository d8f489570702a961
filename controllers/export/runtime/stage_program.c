/* One iteration after another of sequential quadratic programming over the stages, as `controllers.optimal_control`'s engine for
 * operation makes them: each stage is linearised at the plan at hand by a generated function, the states are eliminated, and what is left,
 * a program in inputs and slacks, is solved to convergence. The plan stays in the law's memory and, shifted, starts the next solve. */

enum {
    N_PLANNED = N_STAGES * N_IN,                  /* inputs that are decided at most */
    N_COLUMNS = N_PLANNED + 1,                    /* of what is linear in them; the last one is constant */
    N_BOTH = N_AUGMENTED + N_IN,
    N_DECIDED = N_PLANNED + N_SLACKS,
    N_LINES = N_STAGES * N_MOVES + N_SLACKS,
    N_NODE_ROWS = N_MOVES + N_SOFT,
    /* results of a linearised stage; matrices lie by columns */
    AT_NEXT = 0,
    AT_A = AT_NEXT + N_AUGMENTED,
    AT_B = AT_A + N_AUGMENTED * N_AUGMENTED,
    AT_R = AT_B + N_AUGMENTED * N_IN,
    AT_S = AT_R + N_IN * N_IN,
    AT_Q = AT_S + N_IN * N_AUGMENTED,
    AT_RU = AT_Q + N_AUGMENTED * N_AUGMENTED,
    AT_QX = AT_RU + N_IN,
    AT_ROWS = AT_QX + N_AUGMENTED,
    AT_C = AT_ROWS + N_NODE_ROWS,
    AT_D = AT_C + N_NODE_ROWS * N_AUGMENTED,
    STAGE_RESULTS = AT_D + N_NODE_ROWS * N_IN,
    STAGE_KEPT = N_AUGMENTED + N_AUGMENTED * N_AUGMENTED + N_AUGMENTED * N_IN,    /* next, A, B of every stage, to find the states again */
    STAGE_WORK = STAGE_RESULTS + N_STAGES * STAGE_KEPT + 2 * N_AUGMENTED * N_COLUMNS + 2 * N_BOTH * N_COLUMNS + N_DECIDED * N_DECIDED + N_LINES * N_DECIDED + 2 * N_DECIDED
                 + 2 * (N_DECIDED + N_LINES) + QP_WORK(N_DECIDED, N_LINES) + FUNCTION_WORK + 8,
    STAGE_IWORK = QP_IWORK(N_DECIDED, N_LINES)
};

#define INSIDE 1e-10 /* share of the range: a model may bend where a flow is zero, and but for the start its slope is taken inside */

enum { STAGES_FAILED, STAGES_ITERATED, STAGES_SOLVED };

/* what a solve is about; inputs scaled, parameters and references of every node */
typedef struct {
    double *z, *u;                        /* the plan: (K + 1, N_AUGMENTED) and (K, N_IN) */
    const double *values;                 /* (K + 1, N_VALUES) */
    const char *held;                     /* (K, N_IN): as in the stage before */
    double low[N_IN], high[N_IN], move[N_IN];
    double *w;                            /* STAGE_WORK */
    int *iw;
} Stages;

static void stage_call(const Generated *functions, int k, const double *z, const double *v, const double *u, const double *values,
                       double **res, int n_res, double *w) {
    const double *arg[] = {z, v, u, values + k * N_VALUES, STAGE_DURATION + k, STAGE_WEIGHT + k, MOVE_SHARE + k};
    generated(functions[STAGE_FUNCTION[k]], arg, 7, res, n_res, w);
}

static int moves_at(int k) { return k < N_STAGES ? N_MOVES : 0; }

static double move_limit(const Stages *p, int k, int i) {
    int of = LIMITED_MOVE[i];
    return p->held[k * N_IN + of] ? INFINITY : p->move[of];
}

/* the cost of what inputs lead to from z_0, slacks included */
static double stages_cost(const double *z, const double *u, const double *values, double *w) {
    double x[2][N_STATES_PLANNED], rows[N_NODE_ROWS + 1], part, total = 0;
    memcpy(x[0], z, sizeof x[0]);
    for (int k = 0; k <= N_STAGES; ++k) {
        const double *v = k ? u + (k - 1) * N_IN : z + N_STATES_PLANNED;
        double *res[] = {x[(k + 1) % 2], rows, &part};
        stage_call(rolled_functions, k, x[k % 2], v, k < N_STAGES ? u + k * N_IN : v, values, res, 3, w);
        total += part;
        for (int i = 0; i < SOFT_COUNT[k]; ++i) {
            int at = k * N_SOFT_OR_1 + i;
            double c = rows[moves_at(k) + i], over = fmax(fmax(SOFT_LOW[at] - c, c - SOFT_HIGH[at]), 0);
            total += SOFT_L1[at] * over + SOFT_L2[at] / 2 * over * over;
        }
    }
    return total;
}

/* what is applied in a stage is the next one's previous input; held inputs are the stage before's */
static void stages_connect(Stages *p) {
    for (int k = 0; k <= N_STAGES; ++k) {
        double *v = p->z + k * N_AUGMENTED + N_STATES_PLANNED;
        if (k) memcpy(v, p->u + (k - 1) * N_IN, sizeof(double) * N_IN);
        for (int i = 0; k < N_STAGES && i < N_IN; ++i)
            if (p->held[k * N_IN + i]) p->u[k * N_IN + i] = v[i];
    }
}

/* hold the inputs that are in force, and roll the model forward */
static void stages_guess(Stages *p) {
    double rows[N_NODE_ROWS + 1], part;
    for (int k = 0; k < N_STAGES; ++k)
        for (int i = 0; i < N_IN; ++i) p->u[k * N_IN + i] = fmin(fmax(p->z[N_STATES_PLANNED + i], p->low[i]), p->high[i]);
    stages_connect(p);
    for (int k = 0; k < N_STAGES; ++k) {
        double *z = p->z + k * N_AUGMENTED, *res[] = {z + N_AUGMENTED, rows, &part};
        stage_call(rolled_functions, k, z, z + N_STATES_PLANNED, p->u + k * N_IN, p->values, res, 3, p->w);
    }
}

/* the plan `elapsed` steps of the grid later */
static void stages_shift(Stages *p, int elapsed) {
    double time = elapsed;
    double *z = p->w, *u = z + (N_STAGES + 1) * N_AUGMENTED;
    memcpy(z, p->z, sizeof(double) * (N_STAGES + 1) * N_AUGMENTED);
    memcpy(u, p->u, sizeof(double) * N_PLANNED);
    for (int k = 0; k <= N_STAGES; ++k) {
        double start = 0;
        int j = 0;
        while (j < N_STAGES && start + STAGE_WEIGHT[j] <= time + 1e-9) start += STAGE_WEIGHT[j++];
        double part = j < N_STAGES ? (time - start) / STAGE_WEIGHT[j] : 0;
        int after = j < N_STAGES ? j + 1 : j, stage = j < N_STAGES ? j : N_STAGES - 1;
        for (int i = 0; i < N_AUGMENTED; ++i) p->z[k * N_AUGMENTED + i] = (1 - part) * z[j * N_AUGMENTED + i] + part * z[after * N_AUGMENTED + i];
        if (k == N_STAGES) break;
        memcpy(p->u + k * N_IN, u + stage * N_IN, sizeof(double) * N_IN);
        time += STAGE_WEIGHT[k];
    }
}

/* One iteration; returns the largest scaled step, NaN where there is none. */
static double stages_iterate(Stages *p) {
    double *out = p->w, *kept = out + STAGE_RESULTS, *linear = kept + N_STAGES * STAGE_KEPT, *other = linear + N_AUGMENTED * N_COLUMNS;
    double *both = other + N_AUGMENTED * N_COLUMNS, *product = both + N_BOTH * N_COLUMNS, *h = product + N_BOTH * N_COLUMNS, *a = h + N_DECIDED * N_DECIDED;
    double *g = a + N_LINES * N_DECIDED, *answer = g + N_DECIDED, *low = answer + N_DECIDED, *high = low + N_DECIDED + N_LINES, *rest = high + N_DECIDED + N_LINES;
    int variable[N_PLANNED], n_u = 0, n_slacks = 0, n_rows = 0, last = N_COLUMNS - 1;
    for (int i = 0; i < N_PLANNED; ++i) variable[i] = p->held[i] ? -1 : n_u++;
    for (int k = 0; k <= N_STAGES; ++k)
        for (int i = 0; i < SOFT_COUNT[k]; ++i)
            n_slacks += isfinite(SOFT_LOW[k * N_SOFT_OR_1 + i]) + isfinite(SOFT_HIGH[k * N_SOFT_OR_1 + i]);
    int n = n_u + n_slacks, slack = n_u;
    for (int k = 0; k < N_STAGES; ++k)
        for (int i = 0; i < N_MOVES; ++i) n_rows += isfinite(move_limit(p, k, i));
    n_rows += n_slacks;
    double *row_low = low + n, *row_high = high + n, *row = a; /* of [variables; rows] */
    memset(h, 0, sizeof(double) * n * n);
    memset(a, 0, sizeof(double) * n_rows * n);
    memset(g, 0, sizeof(double) * n);
    memset(linear, 0, sizeof(double) * N_AUGMENTED * N_COLUMNS); /* of the deviation of z; z_0 has none */
    for (int k = 0; k <= N_STAGES; ++k) {
        double *z = p->z + k * N_AUGMENTED, *u = p->u + k * N_IN, *stage = kept + k * STAGE_KEPT;
        int free = k < N_STAGES, rows = moves_at(k) + SOFT_COUNT[k];
        double *next = free ? stage : out, *by_z = free ? stage + N_AUGMENTED : out, *by_u = free ? by_z + N_AUGMENTED * N_AUGMENTED : out;
        double *res[] = {next,        by_z,        by_u,          out + AT_R, out + AT_S, out + AT_Q,
                         out + AT_RU, out + AT_QX, out + AT_ROWS, out + AT_C, out + AT_D};
        if (!free) u = z + N_STATES_PLANNED;
        stage_call(linearised_functions, k, z, z + N_STATES_PLANNED, u, p->values, res, 11, rest);
        /* (z, u) as linear functions of what is decided */
        memcpy(both, linear, sizeof(double) * N_AUGMENTED * N_COLUMNS);
        memset(both + N_AUGMENTED * N_COLUMNS, 0, sizeof(double) * N_IN * N_COLUMNS);
        for (int i = 0; free && i < N_IN; ++i) {
            double *to = both + (N_AUGMENTED + i) * N_COLUMNS;
            int of = variable[k * N_IN + i];
            if (of >= 0) {
                to[of] = 1;
                double inside = INSIDE * (p->high[i] - p->low[i]);
                low[of] = p->low[i] + inside - u[i], high[of] = p->high[i] - inside - u[i];
            } else {
                memcpy(to, linear + (N_STATES_PLANNED + i) * N_COLUMNS, sizeof(double) * N_COLUMNS);
            }
        }
        int from = k ? 0 : N_AUGMENTED, to = free ? N_BOTH : N_AUGMENTED;
        for (int i = from; i < to; ++i) { /* product = Hessian of the stage times `both`, gradient in the last column */
            double *sum = product + i * N_COLUMNS;
            memset(sum, 0, sizeof(double) * N_COLUMNS);
            for (int j = from; j < to; ++j) {
                double value = i < N_AUGMENTED ? (j < N_AUGMENTED ? out[AT_Q + j * N_AUGMENTED + i] : out[AT_S + i * N_IN + j - N_AUGMENTED])
                                       : (j < N_AUGMENTED ? out[AT_S + j * N_IN + i - N_AUGMENTED] : out[AT_R + (j - N_AUGMENTED) * N_IN + i - N_AUGMENTED]);
                const double *of = both + j * N_COLUMNS;
                if (value == 0) continue;
                for (int c = 0; c < n_u; ++c) sum[c] += value * of[c];
                sum[last] += value * of[last];
            }
            sum[last] += i < N_AUGMENTED ? out[AT_QX + i] : out[AT_RU + i - N_AUGMENTED];
        }
        for (int i = from; i < to; ++i)
            for (int c = 0; c < n_u; ++c) {
                double value = both[i * N_COLUMNS + c];
                if (value == 0) continue;
                for (int d = 0; d < n_u; ++d) h[c * n + d] += value * product[i * N_COLUMNS + d];
                g[c] += value * product[i * N_COLUMNS + last];
            }
        for (int i = 0; i < rows; ++i) {
            int soft = i - moves_at(k), at = k * N_SOFT_OR_1 + soft;
            double bound = soft < 0 ? move_limit(p, k, i) : 0, constant = out[AT_ROWS + i];
            if (soft < 0 && !isfinite(bound)) continue;
            for (int side = 0; side < 2; ++side) { /* a move has both sides in one row */
                double limit = soft < 0 ? bound : side ? SOFT_HIGH[at] : SOFT_LOW[at];
                if (!isfinite(limit) || (soft < 0 && side)) continue;
                double shift = constant;
                for (int j = from; j < to; ++j) {
                    double value = j < N_AUGMENTED ? out[AT_C + j * rows + i] : out[AT_D + (j - N_AUGMENTED) * rows + i];
                    const double *of = both + j * N_COLUMNS;
                    if (value == 0) continue;
                    for (int c = 0; c < n_u; ++c) row[c] += value * of[c];
                    shift += value * of[last];
                }
                *row_low = soft < 0 ? -bound - shift : side ? -INFINITY : limit - shift;
                *row_high = soft < 0 ? bound - shift : side ? limit - shift : INFINITY;
                if (soft >= 0) {
                    row[slack] = side ? -1 : 1;
                    h[slack * n + slack] = SOFT_L2[at];
                    g[slack] = SOFT_L1[at];
                    low[slack] = 0, high[slack++] = INFINITY;
                }
                row += n, ++row_low, ++row_high;
            }
        }
        if (!free) break;
        for (int i = 0; i < N_AUGMENTED; ++i) {
            double *sum = other + i * N_COLUMNS;
            memset(sum, 0, sizeof(double) * N_COLUMNS);
            for (int j = from; j < N_BOTH; ++j) {
                double value = j < N_AUGMENTED ? by_z[j * N_AUGMENTED + i] : by_u[(j - N_AUGMENTED) * N_AUGMENTED + i];
                const double *of = both + j * N_COLUMNS;
                if (value == 0) continue;
                for (int c = 0; c < n_u; ++c) sum[c] += value * of[c];
                sum[last] += value * of[last];
            }
            next[i] -= z[N_AUGMENTED + i];
            sum[last] += next[i];
        }
        double *swap = linear;
        linear = other, other = swap;
    }
    if (qp_solve(n, n_rows, h, a, g, low, high, answer, rest, p->iw)) return NAN;
    double largest = 0, dz[2][N_AUGMENTED] = {{0}};
    for (int k = 0; k <= N_STAGES; ++k) {
        double *here = dz[k % 2], *there = dz[(k + 1) % 2], du[N_IN], *z = p->z + k * N_AUGMENTED, *u = p->u + k * N_IN;
        for (int i = 0; k && i < N_AUGMENTED; ++i) {
            largest = fmax(largest, fabs(here[i]));
            z[i] += here[i];
            if (!isfinite(here[i])) return NAN;
        }
        if (k == N_STAGES) break;
        const double *next = kept + k * STAGE_KEPT, *by_z = next + N_AUGMENTED, *by_u = by_z + N_AUGMENTED * N_AUGMENTED;
        for (int i = 0; i < N_IN; ++i) {
            int of = variable[k * N_IN + i];
            du[i] = of < 0 ? here[N_STATES_PLANNED + i] : answer[of];
            u[i] = of < 0 ? z[N_STATES_PLANNED + i] : u[i] + du[i];
            largest = fmax(largest, fabs(du[i]));
        }
        for (int i = 0; i < N_AUGMENTED; ++i) {
            there[i] = next[i];
            for (int j = 0; k && j < N_AUGMENTED; ++j) there[i] += by_z[j * N_AUGMENTED + i] * here[j];
            for (int j = 0; j < N_IN; ++j) there[i] += by_u[j * N_AUGMENTED + i] * du[j];
        }
    }
    return largest;
}

/* From the state and the inputs in force, scaled; `warm` says whether there is a plan, and whether there is one now. */
static int stages_solve(Stages *p, double *warm, const double *x, const double *v, int elapsed) {
    double whole = 0;
    int most = *warm > 0.5 ? ITERATIONS : FIRST_ITERATIONS, result = STAGES_ITERATED;
    for (int k = 0; k < N_STAGES; ++k) whole += STAGE_WEIGHT[k];
    int begin = !(*warm > 0.5) || elapsed > whole;
    if (!begin && elapsed) stages_shift(p, elapsed);
    memcpy(p->z, x, sizeof(double) * N_STATES_PLANNED);
    memcpy(p->z + N_STATES_PLANNED, v, sizeof(double) * N_IN);
    if (begin) stages_guess(p);
    else stages_connect(p);
    for (int k = 0; k < most && result != STAGES_SOLVED; ++k) {
        double step = stages_iterate(p);
        if (!isfinite(step)) result = STAGES_FAILED;
        if (result == STAGES_FAILED) break;
        if (step < STEP_TOLERANCE) result = STAGES_SOLVED;
    }
    if (result != STAGES_FAILED && !isfinite(stages_cost(p->z, p->u, p->values, p->w))) result = STAGES_FAILED;
    *warm = result != STAGES_FAILED;
    if (result != STAGES_FAILED) return result;
    memset(p->z, 0, sizeof(double) * (N_STAGES + 1) * N_AUGMENTED); /* what is remembered is finite */
    memset(p->u, 0, sizeof(double) * N_PLANNED);
    return result;
}
