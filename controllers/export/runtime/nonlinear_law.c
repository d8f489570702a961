/* The nonlinear law: extended Kalman filter as `controllers.estimation.ekf`, and the optimal control problem by sequential
 * quadratic programming to convergence, on generated functions (functions.c):
 *
 *     model_step (s, u) -> s after one period, its Jacobian        model_measure (s, u) -> y, its Jacobian
 *     program (v, q) -> gradient, g, Jacobian of g (by rows), Hessian of Gauss and Newton
 *
 * s = states and disturbances. What is late corrects the estimate of its time, and the filter runs again from there; so the law
 * keeps a ring of priors. Its memory: [state | covariance | now | plan (N_W), whether there is one | ring]. */

enum {
    LAW_STATE = 0,
    LAW_COVARIANCE = N_S,
    LAW_NOW = N_S + N_S * N_S,
    LAW_HAS_PLAN,
    LAW_PLAN,
    LAW_RING = LAW_PLAN + N_W,
    /* of a slot of the ring */
    SLOT_PRIOR = 0,
    SLOT_COVARIANCE = N_S,
    SLOT_INPUTS = SLOT_COVARIANCE + N_S * N_S,
    SLOT_VALUE = SLOT_INPUTS + N_MODEL_INPUTS,
    SLOT_PRESENT = SLOT_VALUE + N_MEASURED,
    SLOT_MISSES_BEFORE = SLOT_PRESENT + N_MEASURED,
    SLOT_MISSES = SLOT_MISSES_BEFORE + N_MEASURED,
    SLOT_SIZE = SLOT_MISSES + N_MEASURED,
    N_LAW = LAW_RING + SLOTS * SLOT_SIZE
};

#define MOST_ITERATIONS 40
#define INSIDE 1e-10 /* share of the range by which inputs stay inside their bounds */
#define LONGEST 3000 /* periods over which the model is run to where it starts */
#define LARGEST(a, b) ((a) > (b) ? (a) : (b))
enum {
    LAW_IWORK = QP_IWORK(N_W, N_G),
    LAW_WORK = LARGEST(2 * N_S * N_S + N_S + N_OUT * (N_S + 1), 5 * N_W + 3 * N_G + N_Q + N_G * N_W + N_W * N_W + QP_WORK(N_W, N_G))
               + FUNCTION_WORK
};

static double *slot_of(double *s, double time) { return s + LAW_RING + (size_t)fmod(time, SLOTS) * SLOT_SIZE; }

static void full_inputs(const double *u, double *all) {
    memcpy(all, OTHER_INPUTS, sizeof(double) * N_MODEL_INPUTS);
    for (int i = 0; i < N_IN; ++i) all[MANIPULATED_INDEX[i]] = u[i];
}

static void call_2(int (*function)(const double **, double **, casadi_int *, double *, int), const double *a, const double *b,
                   double *first, double *second, double *w) {
    const double *arg[FUNCTION_ARGUMENTS] = {a, b};
    double *res[FUNCTION_RESULTS] = {first, second};
    function(arg, res, NULL, w, 0);
}

static void inside(double *state) {
    for (int i = 0; i < N_S; ++i) state[i] = fmin(fmax(state[i], STATE_LOW[i]), STATE_HIGH[i]);
}

static void law_outputs(const double *s, double *y) {
    double jacobian[N_OUT * N_S], w[FUNCTION_WORK + 1];
    const double *slot = slot_of((double *)s, s[LAW_NOW]);
    call_2(model_measure, s, slot + SLOT_INPUTS, y, jacobian, w);
}

static const double *law_disturbances(const double *s) { return s + N_S - N_DISTURBANCES; }

static void empty(double *slot) { memset(slot + SLOT_VALUE, 0, (SLOT_SIZE - SLOT_VALUE) * sizeof(double)); }

static void keep(double *s, double *slot) {
    memcpy(slot + SLOT_PRIOR, s, sizeof(double) * N_S);
    memcpy(slot + SLOT_COVARIANCE, s + LAW_COVARIANCE, sizeof(double) * N_S * N_S);
}

/* at the start state, or where the model comes to from there under the inputs, until now or to rest */
static void law_initialize(double *s, const double *u, double t) {
    double jacobian[N_S * N_S], next[N_S], w[FUNCTION_WORK + 1];
    memset(s, 0, N_LAW * sizeof(double));
    double *slot = slot_of(s, 0);
    full_inputs(u, slot + SLOT_INPUTS);
    memcpy(s, START_STATE, sizeof(double) * N_S);
    int settling = SETTLING < 0 ? (int)fmin(lround(t / PERIOD), LONGEST) : SETTLING;
    for (int k = 0; k < settling; ++k) {
        double moved = 0;
        call_2(model_step, s, slot + SLOT_INPUTS, next, jacobian, w);
        for (int i = 0; i < N_S; ++i) {
            if (!(fabs(next[i]) <= 1e3 * STATE_NOMINAL[i])) k = settling;
            moved = fmax(moved, fabs(next[i] - s[i]) / STATE_NOMINAL[i]);
        }
        if (k >= settling) break;
        memcpy(s, next, sizeof next);
        inside(s);
        if (moved < 1e-9) break;
    }
    inside(s);
    for (int i = 0; i < N_S; ++i) s[LAW_COVARIANCE + i * N_S + i] = START_STD[i] * START_STD[i];
    keep(s, slot);
}

/* from the estimate in s to the prior of the next slot */
static void propagate(double *s, const double *before, double *slot, double *w) {
    double *a = w, *ap = a + N_S * N_S, *next = ap + N_S * N_S, *p = s + LAW_COVARIANCE, noise[N_S];
    for (int i = 0; i < N_S; ++i) noise[i] = NOISE_STD[i] + RELATIVE_NOISE[i] * fabs(s[i]);
    call_2(model_step, s, slot + SLOT_INPUTS, next, a, next + N_S); /* the Jacobian lies by columns */
    int fine = 1;
    for (int i = 0; i < N_S; ++i) fine &= fabs(next[i]) <= FAR * STATE_NOMINAL[i];
    for (int i = 0; fine && i < N_S; ++i)
        for (int j = 0; j < N_S; ++j) {
            ap[i * N_S + j] = 0;
            for (int k = 0; k < N_S; ++k) ap[i * N_S + j] += a[k * N_S + i] * p[k * N_S + j];
        }
    for (int i = 0; fine && i < N_S; ++i)
        for (int j = 0; j <= i; ++j) {
            double sum = 0;
            for (int k = 0; k < N_S; ++k) sum += ap[i * N_S + k] * a[k * N_S + j];
            p[i * N_S + j] = p[j * N_S + i] = sum;
        }
    for (int i = 0; i < N_S; ++i) p[i * N_S + i] += noise[i] * noise[i] + (fine ? 0 : 1e-4 * STATE_NOMINAL[i] * STATE_NOMINAL[i]);
    if (fine) memcpy(s, next, sizeof(double) * N_S);
    inside(s);
    memcpy(slot + SLOT_MISSES_BEFORE, before + SLOT_MISSES, sizeof(double) * N_MEASURED);
    memcpy(slot + SLOT_MISSES, before + SLOT_MISSES, sizeof(double) * N_MEASURED);
    keep(s, slot);
}

static void law_predict(double *s, const double *u, double *w) {
    double *before = slot_of(s, s[LAW_NOW]);
    s[LAW_NOW] += 1;
    double *slot = slot_of(s, s[LAW_NOW]);
    empty(slot);
    full_inputs(u, slot + SLOT_INPUTS);
    propagate(s, before, slot, w);
}

/* one value into the estimate; the output's prediction and its row at the prior */
static void use(double *s, double *slot, int i, const double *prior, double predicted, const double *row, double *innovations) {
    double *p = s + LAW_COVARIANCE, ph[N_S], gain[N_S], rest[N_S * N_S], product[N_S * N_S], off = 0, spread = 0;
    double std = MEASURED_STD[i] + MEASURED_RELATIVE_STD[i] * fabs(predicted);
    for (int j = 0; j < N_S; ++j) off += row[j] * (s[j] - prior[j]);
    for (int j = 0; j < N_S; ++j) ph[j] = qp_dot(N_S, p + j * N_S, row);
    spread = qp_dot(N_S, row, ph);
    double innovation = slot[SLOT_VALUE + i] - predicted - off, variance = spread + std * std;
    if (!(variance > 0 && isfinite(variance) && isfinite(innovation))) return;
    innovations[i] = innovation / sqrt(variance);
    if (innovation * innovation > MEASURED_GATE[i] * variance) {
        slot[SLOT_MISSES + i] = slot[SLOT_MISSES_BEFORE + i] + 1;
        if (slot[SLOT_MISSES_BEFORE + i] < MAX_REJECTIONS[i]) return;
        if (spread > 0) { /* the plant has moved: the gate opens */
            double wider = fmin(fmax((innovation * innovation / MEASURED_GATE[i] - std * std) / spread, 1), 1e4);
            for (int j = 0; j < N_S * N_S; ++j) p[j] *= wider;
            for (int j = 0; j < N_S; ++j) ph[j] *= wider;
            variance = qp_dot(N_S, row, ph) + std * std;
        }
    }
    slot[SLOT_MISSES + i] = 0;
    for (int j = 0; j < N_S; ++j) gain[j] = ph[j] / variance;
    for (int j = 0; j < N_S; ++j) s[j] += gain[j] * innovation;
    for (int j = 0; j < N_S; ++j)
        for (int k = 0; k < N_S; ++k) rest[j * N_S + k] = (j == k) - gain[j] * row[k];
    for (int j = 0; j < N_S; ++j) /* product = rest P, P symmetric */
        for (int k = 0; k < N_S; ++k) product[j * N_S + k] = qp_dot(N_S, rest + j * N_S, p + k * N_S);
    for (int j = 0; j < N_S; ++j)
        for (int k = 0; k <= j; ++k)
            p[j * N_S + k] = p[k * N_S + j] = qp_dot(N_S, product + j * N_S, rest + k * N_S) + gain[j] * gain[k] * std * std;
}

/* the values of one time into the estimate */
static void update(double *s, double *slot, double *innovations, double *w) {
    double prior[N_S], *y = w, *jacobian = y + N_OUT, row[N_S];
    int any = 0;
    memcpy(slot + SLOT_MISSES, slot + SLOT_MISSES_BEFORE, sizeof(double) * N_MEASURED);
    for (int i = 0; i < N_MEASURED; ++i) innovations[i] = NAN, any |= slot[SLOT_PRESENT + i] > 0.5;
    if (!any) return;
    memcpy(prior, s, sizeof prior);
    call_2(model_measure, prior, slot + SLOT_INPUTS, y, jacobian, jacobian + N_OUT * N_S);
    for (int i = 0; i < N_MEASURED; ++i) {
        if (slot[SLOT_PRESENT + i] < 0.5) continue;
        for (int j = 0; j < N_S; ++j) row[j] = jacobian[j * N_OUT + MEASURED_OUTPUT[i]];
        use(s, slot, i, prior, y[MEASURED_OUTPUT[i]], row, innovations);
    }
    inside(s);
}

static void law_correct(double *s, const double *values, const char *fresh, double *innovations, double *w) {
    double now = s[LAW_NOW], since = now + 1, oldest = fmax(0, now - (SLOTS - 1));
    for (int i = 0; i < N_MEASURED; ++i) {
        innovations[i] = NAN;
        double time = now - MEASURED_DELAY[i];
        if (!fresh[i] || !isfinite(values[i]) || time < oldest) continue;
        double *slot = slot_of(s, time);
        slot[SLOT_VALUE + i] = values[i];
        slot[SLOT_PRESENT + i] = 1;
        since = fmin(since, time);
    }
    for (double time = since; time <= now; ++time) {
        double *slot = slot_of(s, time);
        memcpy(s, slot + SLOT_PRIOR, sizeof(double) * N_S);
        memcpy(s + LAW_COVARIANCE, slot + SLOT_COVARIANCE, sizeof(double) * N_S * N_S);
        update(s, slot, innovations, w);
        if (time < now) propagate(s, slot, slot_of(s, time + 1), w);
    }
}

static int law_solve(double *s, const double *previous, const double *references, const Limits *limits, double *inputs,
                     double *target_outputs, double *w, int *iw) {
    double *v = s + LAW_PLAN, *q = w, *low = q + N_Q, *high = low + N_W + N_G, *gradient = high + N_W + N_G;
    double *g = gradient + N_W, *jacobian = g + N_G, *hessian = jacobian + N_G * N_W, *step = hessian + N_W * N_W, *rest = step + N_W;
    for (int i = 0; i < N_OUT; ++i) target_outputs[i] = 0;
    for (int i = 0; i < N_TRACKED; ++i) target_outputs[TRACKED_OUTPUT[i]] = references[i];
    memcpy(q, PARAMETERS, sizeof(double) * N_Q);
    for (int i = 0; i < N_Q; ++i) {
        int of = PARAMETER_SOURCE[i];
        if (of >= 0) q[i] = of < N_DISTURBANCES ? law_disturbances(s)[of] : references[of - N_DISTURBANCES];
    }
    for (int attempt = s[LAW_HAS_PLAN] > 0.5 ? 0 : 1; attempt < 2; ++attempt) {
        if (attempt) { /* begin at rest: each node where the plant is now, under the inputs in force */
            memset(v, 0, sizeof(double) * N_W);
            for (int i = 0; i < N_W; ++i) {
                int of = GUESS_SOURCE[i];
                if (of < 0) continue;
                v[i] = of < N_STATES_PLANNED ? s[of] / STATE_SCALE[of]
                                             : previous[of - N_STATES_PLANNED] / INPUT_SCALE[of - N_STATES_PLANNED];
            }
        }
        for (int i = 0; i < N_FIRST; ++i)
            v[i] = i < N_STATES_PLANNED ? s[i] / STATE_SCALE[i] : previous[i - N_STATES_PLANNED] / INPUT_SCALE[i - N_STATES_PLANNED];
        for (int round = 0; round < MOST_ITERATIONS; ++round) {
            const double *arg[FUNCTION_ARGUMENTS] = {v, q};
            double *res[FUNCTION_RESULTS] = {gradient, g, jacobian, hessian};
            program(arg, res, NULL, rest, 0);
            for (int i = 0; i < N_W; ++i) {
                int of = INPUT_PLACE[i];
                double least = of < 0 ? PLAN_LOW[i] : limits->low[of] / INPUT_SCALE[of];
                double most = of < 0 ? PLAN_HIGH[i] : limits->high[of] / INPUT_SCALE[of];
                if (of >= 0) { /* a model may bend where a flow is zero: its slope is taken inside */
                    double width = most - least;
                    least += INSIDE * width;
                    most -= INSIDE * width;
                }
                low[i] = i < N_FIRST ? 0 : least - v[i];
                high[i] = i < N_FIRST ? 0 : most - v[i];
                if (i < N_FIRST) hessian[i * N_W + i] = 1;
            }
            for (int i = 0; i < N_G; ++i) {
                int of = MOVE_PLACE[i];
                double most = of < 0 ? G_HIGH[i] : limits->move[of] / INPUT_SCALE[of];
                low[N_W + i] = (of < 0 ? G_LOW[i] : -most) - g[i];
                high[N_W + i] = most - g[i];
            }
            if (qp_solve(N_W, N_G, hessian, jacobian, gradient, low, high, step, rest, iw)) break;
            double largest = 0;
            for (int i = 0; i < N_W; ++i) {
                v[i] += (round < MOST_ITERATIONS / 2 ? 1 : 0.5) * step[i];
                largest = fmax(largest, fabs(step[i]));
            }
            if (!(largest < 1e6)) break;
            if (largest < 1e-9) {
                s[LAW_HAS_PLAN] = 1;
                for (int i = 0; i < N_IN; ++i) inputs[i] = INPUT_SCALE[i] * v[FIRST_INPUT + i];
                return SOLVED;
            }
        }
    }
    s[LAW_HAS_PLAN] = 0;
    memset(v, 0, sizeof(double) * N_W);
    return PATH_FAILED;
}
