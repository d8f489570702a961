/* The steady state that meets the references best, as `controllers.nonlinear.steady_target`: sequential quadratic programming on an exact
 * penalty function, on the generated function
 *
 *     steady (x, d, u, known) -> drift, its Jacobian by (x, u), y, its Jacobian, value, its gradient (matrices by columns)
 */

enum {
    T_W = N_STATES_PLANNED + N_IN,
    T_ERRORS = T_W,
    T_SLACKS = T_ERRORS + 2 * N_TRACKED,
    T_DRIFTS = T_SLACKS + N_TARGET_LIMITED,
    T_N = T_DRIFTS + 2 * N_STATES_PLANNED,
    T_REFERENCES = N_STATES_PLANNED, /* rows: rest, references, upper limits, lower limits */
    T_ABOVE = T_REFERENCES + N_TRACKED,
    T_BELOW = T_ABOVE + N_TARGET_LIMITED,
    T_ROWS = T_BELOW + N_TARGET_LIMITED,
    T_RESULTS = N_STATES_PLANNED * (T_W + 1) + N_OUT * (T_W + 1) + T_W + 1,
    T_PROGRAM = T_N * T_N + T_ROWS * T_N + 2 * T_N + 2 * (T_N + T_ROWS) + QP_WORK(T_N, T_ROWS),
    TARGET_WORK = HAS_TARGET ? T_RESULTS + LARGEST(LARGEST(T_PROGRAM, 2 * N_STATES_PLANNED * N_STATES_PLANNED), FUNCTION_WORK) : 0,
    TARGET_IWORK = HAS_TARGET ? QP_IWORK(T_N, T_ROWS) : 0
};

#if HAS_TARGET
typedef struct {
    const double *d, *known, *references;
    double ideal[N_IN], on[N_TARGET_LIMITED + 1];
    const Limits *limits;
    double *drift, *slope, *y, *gain, *value, *worth; /* of the last evaluation */
    double *w;
    int *iw;
} Steady;

/* evaluate there; the penalty function */
static double steady_at(Steady *p, const double *x, const double *u) {
    const double *arg[] = {x, p->d, u, p->known};
    double *res[] = {p->drift, p->slope, p->y, p->gain, p->value, p->worth}, cost = 0, off = 0;
    generated(steady, arg, 4, res, 6, p->w);
    if (!finite_all(T_RESULTS, p->drift)) return INFINITY;
    for (int i = 0; i < N_TRACKED; ++i) {
        double e = fabs(p->y[TRACKED_OUTPUT[i]] - p->references[i]) / TRACKED_SCALE[i];
        cost += TRACKED_WEIGHT[i] * (e + e * e / 2);
    }
    for (int i = 0; i < N_IN; ++i) cost += WEIGHT_IDEAL[i] * pow((u[i] - p->ideal[i]) / INPUT_SCALE[i], 2);
    for (int i = 0; i < N_TARGET_LIMITED; ++i) {
        double y = p->y[TARGET_LIMITED[i]], over = fmax(y - TARGET_HIGH[i], TARGET_LOW[i] - y);
        over = fmax(over / TARGET_SCALE[i], 0) * p->on[i];
        cost += TARGET_PRICE[i] * (over + 0.005 * over * over);
    }
    for (int i = 0; i < N_STATES_PLANNED; ++i) off += fabs(p->drift[i] / STATE_SCALE[i]);
    return cost + TARGET_DRIFT * off + *p->value;
}

static double steady_size(int k) { return k < N_STATES_PLANNED ? STATE_SCALE[k] : INPUT_SCALE[k - N_STATES_PLANNED]; }

/* the quadratic program where it was evaluated last; changes of states and inputs, or 0 where there is none */
static int steady_step(Steady *p, const double *u, double *change) {
    double *h = p->w, *a = h + T_N * T_N, *g = a + T_ROWS * T_N, *answer = g + T_N, *low = answer + T_N, *high = low + T_N + T_ROWS;
    double *row_low = low + T_N, *row_high = high + T_N, *rest = high + T_N + T_ROWS;
    memset(p->w, 0, sizeof(double) * (rest - p->w));
#define DIAGONAL(i) h[(i) * T_N + (i)]
    for (int i = 0; i < N_STATES_PLANNED; ++i) DIAGONAL(i) = TARGET_SMALL, low[i] = -1e3, high[i] = 1e3;
    for (int i = 0; i < N_IN; ++i) {
        int at = N_STATES_PLANNED + i;
        DIAGONAL(at) = 2 * WEIGHT_IDEAL[i] + TARGET_SMALL;
        g[at] = 2 * WEIGHT_IDEAL[i] * (u[i] - p->ideal[i]) / INPUT_SCALE[i];
        low[at] = (p->limits->low[i] - u[i]) / INPUT_SCALE[i];
        high[at] = (p->limits->high[i] - u[i]) / INPUT_SCALE[i];
    }
    for (int i = 0; i < T_W; ++i) g[i] += p->worth[i] * steady_size(i);
    for (int i = T_ERRORS; i < T_N; ++i) low[i] = 0, high[i] = INFINITY;
    for (int i = 0; i < 2 * N_TRACKED; ++i) {
        g[T_ERRORS + i] = TRACKED_WEIGHT[i / 2];
        DIAGONAL(T_ERRORS + i) = fmax(TRACKED_WEIGHT[i / 2], 1e-3);
    }
    for (int i = 0; i < N_TARGET_LIMITED; ++i) {
        g[T_SLACKS + i] = TARGET_PRICE[i] * p->on[i];
        DIAGONAL(T_SLACKS + i) = 0.01 * fmax(TARGET_PRICE[i] * p->on[i], 1);
    }
    for (int i = T_DRIFTS; i < T_N; ++i) g[i] = TARGET_DRIFT, DIAGONAL(i) = 1;
    for (int i = 0; i < N_STATES_PLANNED; ++i) {
        double *row = a + i * T_N;
        for (int j = 0; j < T_W; ++j) row[j] = p->slope[j * N_STATES_PLANNED + i] * (steady_size(j) / STATE_SCALE[i]);
        row[T_DRIFTS + i] = -1, row[T_DRIFTS + N_STATES_PLANNED + i] = 1;
        row_low[i] = row_high[i] = -p->drift[i] / STATE_SCALE[i];
    }
    for (int i = 0; i < N_TRACKED; ++i) {
        int of = TRACKED_OUTPUT[i], at = T_REFERENCES + i;
        double *row = a + at * T_N;
        for (int j = 0; j < T_W; ++j) row[j] = p->gain[j * N_OUT + of] * (steady_size(j) / TRACKED_SCALE[i]);
        row[T_ERRORS + 2 * i] = -1, row[T_ERRORS + 2 * i + 1] = 1;
        row_low[at] = row_high[at] = (p->references[i] - p->y[of]) / TRACKED_SCALE[i];
    }
    for (int i = 0; i < 2 * N_TARGET_LIMITED; ++i) {
        int below = i >= N_TARGET_LIMITED, limited = i % LARGEST(N_TARGET_LIMITED, 1), of = TARGET_LIMITED[limited], at = T_ABOVE + i;
        double *row = a + at * T_N, here = p->y[of];
        for (int j = 0; j < T_W; ++j) row[j] = p->gain[j * N_OUT + of] * (steady_size(j) / TARGET_SCALE[limited]);
        row[T_SLACKS + limited] = below ? 1 : -1;
        row_low[at] = below ? (TARGET_LOW[limited] - here) / TARGET_SCALE[limited] : -INFINITY;
        row_high[at] = below ? INFINITY : (TARGET_HIGH[limited] - here) / TARGET_SCALE[limited];
    }
#undef DIAGONAL
    if (!finite_all(T_ROWS * T_N, a) || qp_solve(T_N, T_ROWS, h, a, g, low, high, answer, rest, p->iw)) return 0;
    for (int i = 0; i < T_W; ++i) change[i] = answer[i] * steady_size(i);
    return 1;
}

/* One step of Newton's method towards rest at the inputs evaluated last, the smallest one by the singular values: the columns are
 * rotated until they are orthogonal (one-sided Jacobi). */
static void steady_settle(Steady *p, double *x) {
    enum { N = N_STATES_PLANNED };
    double *c = p->w, *v = c + N * N, most = 0, size[N], along[N]; /* by columns */
    if (!finite_all(N * N, p->slope)) return;
    for (int j = 0; j < N; ++j)
        for (int i = 0; i < N; ++i) c[j * N + i] = p->slope[j * N + i] * STATE_SCALE[j] / STATE_SCALE[i], v[j * N + i] = i == j;
    for (int sweep = 0, turned = 1; sweep < 60 && turned; ++sweep) {
        turned = 0;
        for (int i = 0; i < N - 1; ++i)
            for (int j = i + 1; j < N; ++j) {
                double aa = qp_dot(N, c + i * N, c + i * N), bb = qp_dot(N, c + j * N, c + j * N), ab = qp_dot(N, c + i * N, c + j * N);
                if (!(fabs(ab) > 1e-15 * sqrt(aa * bb))) continue;
                double zeta = (bb - aa) / (2 * ab), t = (zeta < 0 ? -1 : 1) / (fabs(zeta) + hypot(1, zeta));
                double cosine = 1 / hypot(1, t), sine = cosine * t;
                turned = 1;
                for (int k = 0; k < N; ++k) {
                    double a = c[i * N + k], b = c[j * N + k], d = v[i * N + k], e = v[j * N + k];
                    c[i * N + k] = cosine * a - sine * b, c[j * N + k] = sine * a + cosine * b;
                    v[i * N + k] = cosine * d - sine * e, v[j * N + k] = sine * d + cosine * e;
                }
            }
    }
    for (int j = 0; j < N; ++j) {
        size[j] = sqrt(qp_dot(N, c + j * N, c + j * N)), along[j] = 0;
        most = fmax(most, size[j]);
        for (int i = 0; i < N; ++i) along[j] -= c[j * N + i] * p->drift[i] / STATE_SCALE[i];
    }
    for (int j = 0; j < N; ++j) {
        if (!(size[j] > 1e-9 * most)) continue;
        for (int i = 0; i < N; ++i) x[i] += v[j * N + i] * along[j] / size[j] / size[j] * STATE_SCALE[i];
    }
}

static int steady_better(double cost, double old) { return isfinite(cost) && cost <= old + 1e-9 * fmax(1, fabs(old)); }

static void steady_inside(const Limits *limits, double *u) {
    for (int i = 0; i < N_IN; ++i) u[i] = clipped(u[i], limits->low[i], limits->high[i]);
}

/* the target into the law's memory and its outputs; whether it was found */
static int steady_solve(double *s, Steady *p, const double *inputs, double *outputs) {
    enum { N = N_STATES_PLANNED };
    double *kept = s + LAW_TARGET, here[T_W], there[T_W], change[T_W], merit, off = 0;
    int most = s[LAW_HAS_TARGET] > 0.5 ? TARGET_FEW : TARGET_ITERATIONS;
    memcpy(here, s, sizeof(double) * N);
    memcpy(here + N, inputs, sizeof(double) * N_IN);
    if (s[LAW_HAS_TARGET] > 0.5) memcpy(here, kept, sizeof here);
    steady_inside(p->limits, here + N);
    merit = steady_at(p, here, here + N);
    if (!isfinite(merit)) {
        memcpy(here, s, sizeof(double) * N);
        memcpy(here + N, inputs, sizeof(double) * N_IN);
        steady_inside(p->limits, here + N);
        merit = steady_at(p, here, here + N);
    }
    for (int k = 0; k < most; ++k) {
        double length = 1, cost = INFINITY, moved = 0;
        int better = 0;
        if (!isfinite(merit)) return 0;
        if (!steady_step(p, here + N, change)) {
            s[LAW_HAS_TARGET] = 0;
            return 0;
        }
        for (int half = 0; half < TARGET_HALVINGS && !better; ++half, length /= 2) {
            for (int i = 0; i < T_W; ++i) there[i] = here[i] + length * change[i];
            steady_inside(p->limits, there + N);
            cost = steady_at(p, there, there + N);
            if (isfinite(cost) && !steady_better(cost, merit)) {
                steady_settle(p, there);
                cost = steady_at(p, there, there + N);
            }
            better = steady_better(cost, merit);
        }
        if (!better) break;
        for (int i = 0; i < T_W; ++i) moved = fmax(moved, fabs(there[i] - here[i]) / steady_size(i));
        memcpy(here, there, sizeof here);
        merit = cost;
        if (moved < TARGET_TOLERANCE) break;
    }
    steady_at(p, here, here + N);
    s[LAW_HAS_TARGET] = isfinite(merit);
    if (isfinite(merit)) memcpy(kept, here, sizeof here);
    for (int i = 0; i < N; ++i) off = fmax(off, fabs(p->drift[i] / STATE_SCALE[i]));
    if (!finite_all(N_OUT, p->y) || !(off < 1e-4)) return 0;
    memcpy(outputs, p->y, sizeof(double) * N_OUT);
    return 1;
}

/* now and then where there was none for long */
static int law_target(double *s, const double *inputs, const double *known, const double *references, int relax, const Limits *limits,
                      double *outputs, double *w, int *iw) {
    enum { N = N_STATES_PLANNED };
    int misses = (int)s[LAW_MISSES], found = 0;
    if (misses < TARGET_MISSES || (misses & (misses - 1)) == 0) {
        Steady steady = {law_disturbances(s), known, references};
        steady.limits = limits;
        steady.drift = w, steady.slope = steady.drift + N, steady.y = steady.slope + N * T_W, steady.gain = steady.y + N_OUT;
        steady.value = steady.gain + N_OUT * T_W, steady.worth = steady.value + 1, steady.w = steady.worth + T_W, steady.iw = iw;
        for (int i = 0; i < N_IN; ++i) steady.ideal[i] = isfinite(IDEAL[i]) ? IDEAL[i] : inputs[i];
        for (int i = 0; i < N_TARGET_LIMITED; ++i) steady.on[i] = TARGET_RANK[i] < relax;
        if (misses >= TARGET_MISSES) s[LAW_HAS_TARGET] = 0;
        found = steady_solve(s, &steady, inputs, outputs);
    }
    s[LAW_MISSES] = found ? 0 : misses + 1;
    return found;
}
#else
#define law_target(...) 0
#endif
