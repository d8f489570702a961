/* The nonlinear law's memory and its estimator: the extended Kalman filter of `controllers.estimation.ekf` on generated functions
 * (functions.c):
 *
 *     model_step (s, u) -> s after one period, its Jacobians       model_measure (s, u) -> y, its Jacobians
 *     model_advance (s, u, h) -> s after one integration step of h s
 *
 * s = states and disturbances. What is late corrects the estimate of its time, and the filter runs again from there; so the law
 * keeps a ring of priors. Inputs that nobody manipulates are constant, follow a profile, or are told. */

enum {
    N_AUGMENTED = N_STATES_PLANNED + N_IN, /* of a stage: its states, and the inputs before it */
    LAW_STATE = 0,
    LAW_COVARIANCE = N_S,
    LAW_NOW = N_S + N_S * N_S, /* in periods since it began, and in s */
    LAW_TIME,
    LAW_TOLD,                             /* inputs that are told: their last values */
    LAW_DECISIONS = LAW_TOLD + N_OTHERS,
    LAW_WARM = LAW_DECISIONS + N_DECISIONS, /* whether the stages hold a plan, */
    LAW_STAGES,                           /* states (K + 1, N_AUGMENTED) and inputs (K, N_IN) of it, scaled */
    LAW_INPUTS = LAW_STAGES + (N_STAGES + 1) * N_AUGMENTED,
    LAW_HAS_LAST = LAW_INPUTS + N_STAGES * N_IN, /* whether there is an answer that the next one has to beat, */
    LAW_LAST,                                    /* its inputs (K, N_IN), and the ends of its stages in s */
    LAW_ENDS = LAW_LAST + N_STAGES * N_IN,
    LAW_RHO = LAW_ENDS + N_STAGES,
    LAW_HAS_SOLVED, /* whether the last solve had an answer, and when it was */
    LAW_SOLVED_AT,
    LAW_HARVEST,
    LAW_MISSES, /* solves in a row without a steady target */
    LAW_HAS_TARGET,
    LAW_TARGET, /* states and inputs of the last one */
    LAW_RING = LAW_TARGET + N_STATES_PLANNED + N_IN,
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

#define LONGEST 3000 /* periods over which the model is run to where it starts */
#define LARGEST(a, b) ((a) > (b) ? (a) : (b))
enum { FILTER_WORK = 2 * N_S * N_S + N_S + N_OUT * (N_S + 1) + FUNCTION_WORK };

static double *slot_of(double *s, double time) { return s + LAW_RING + (size_t)fmod(time, SLOTS) * SLOT_SIZE; }

static int generated(Generated function, const double **arg, int n_arg, double **res, int n_res, double *w) {
    const double *arguments[FUNCTION_ARGUMENTS] = {NULL};
    double *results[FUNCTION_RESULTS] = {NULL}; /* what is not asked for is not written */
    casadi_int integers[FUNCTION_INTEGERS + 1];
    memcpy(arguments, arg, n_arg * sizeof *arg);
    memcpy(results, res, n_res * sizeof *res);
    return function(arguments, results, integers, w, 0);
}

static void call_2(Generated function, const double *a, const double *b, double *first, double *second, double *w) {
    const double *arg[] = {a, b};
    double *res[] = {first, second};
    generated(function, arg, 2, res, 2, w);
}

/* Profiles: of the inputs that nobody manipulates, of the references; one NaN where there is none.
 * Where in one a time stands, and the area until then: */
static int profile_place(int i, double time) {
    int first = PROFILE_AT[i], last = PROFILE_AT[i + 1] - 1;
    while (last > first && PROFILE_TIME[last] > time) --last;
    return last;
}

static double profile_area(int place, double time) { return PROFILE_AREA[place] + PROFILE_VALUE[place] * (time - PROFILE_TIME[place]); }

static double profile_mean(int i, double begin, double end) {
    int here = profile_place(i, begin);
    if (PROFILE_AT[i + 1] - PROFILE_AT[i] == 1 || !(end - begin > 1e-9)) return PROFILE_VALUE[here];
    return (profile_area(profile_place(i, end), end) - profile_area(here, begin)) / (end - begin);
}

/* inputs that nobody manipulates, means over an interval */
static void others_mean(const double *s, double begin, double end, double *to) {
    for (int i = 0; i < N_OTHERS; ++i) to[i] = OTHER_INPUT[i] >= 0 ? s[LAW_TOLD + i] : profile_mean(i, begin, end);
}

static void full_inputs(const double *u, const double *others, double *all) {
    for (int i = 0; i < N_OTHERS; ++i) all[OTHER_PLACE[i]] = others[i];
    for (int i = 0; i < N_IN; ++i) all[MANIPULATED_INDEX[i]] = u[i];
}

/* values of inputs that are told; one that is no number changes nothing */
static void law_observe(double *s, const double *ports) {
    for (int i = 0; i < N_OTHERS; ++i) {
        if (OTHER_INPUT[i] < 0) continue;
        double value = OTHER_FACTOR[i] * ports[OTHER_INPUT[i]] + OTHER_OFFSET[i];
        if (isfinite(value)) s[LAW_TOLD + i] = value;
    }
}

static void clip_state(double *state) {
    for (int i = 0; i < N_S; ++i) state[i] = clipped(state[i], STATE_LOW[i], STATE_HIGH[i]);
}

/* the most likely state inside the bounds: what is correlated with a bound one moves with it */
static void inside(double *s) {
    double c[N_S * N_S], x[N_S], low[N_S], high[N_S], size[N_S], work[QP_WORK(N_S, 0)];
    const double *p = s + LAW_COVARIANCE;
    int iwork[QP_IWORK(N_S, 0)], of[N_S], n = 0, out = 0;
    for (int i = 0; i < N_S; ++i) out |= !(s[i] >= STATE_LOW[i] && s[i] <= STATE_HIGH[i]);
    if (!out) return;
    for (int i = 0; i < N_S; ++i) {
        double std = sqrt(fmax(p[i * N_S + i], 0)), at = clipped(s[i], STATE_LOW[i], STATE_HIGH[i]);
        if (!(std > 0 && STATE_LOW[i] < STATE_HIGH[i])) continue;
        low[n] = (STATE_LOW[i] - at) / std, high[n] = (STATE_HIGH[i] - at) / std;
        x[n] = (s[i] - at) / std;
        size[n] = std, of[n++] = i;
    }
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) c[i * n + j] = p[of[i] * N_S + of[j]] / (size[i] * size[j]);
    clip_state(s);
    if (!n || !qp_nearest(n, c, x, low, high, work, iwork) || !finite_all(n, x)) return;
    for (int i = 0; i < n; ++i) s[of[i]] += x[i] * size[i];
    clip_state(s);
}

static void law_outputs(const double *s, double *y) {
    double jacobian[N_OUT * N_S], w[FUNCTION_WORK + 1];
    const double *slot = slot_of((double *)s, s[LAW_NOW]);
    call_2(model_measure, s, slot + SLOT_INPUTS, y, jacobian, w);
}

static const double *law_disturbances(const double *s) { return s + N_S - N_DISTURBANCES; }

static const double *law_decisions(const double *s) { return s + LAW_DECISIONS; }

static void empty(double *slot) { memset(slot + SLOT_VALUE, 0, (SLOT_SIZE - SLOT_VALUE) * sizeof(double)); }

static void keep(double *s, double *slot) {
    memcpy(slot + SLOT_PRIOR, s, sizeof(double) * N_S);
    memcpy(slot + SLOT_COVARIANCE, s + LAW_COVARIANCE, sizeof(double) * N_S * N_S);
}

/* forget the last plan, not the estimate */
static void law_reset(double *s) {
    s[LAW_WARM] = s[LAW_HAS_LAST] = s[LAW_HAS_SOLVED] = s[LAW_MISSES] = s[LAW_HAS_TARGET] = 0;
    s[LAW_RHO] = PROXIMAL;
}

/* at the start state, or where the model comes to from there under the inputs, until now or to rest */
static void law_initialize(double *s, const double *u, double t) {
    double jacobian[N_S * N_S], next[N_S], w[FUNCTION_WORK + 1], others[N_OTHERS + 1];
    memset(s, 0, LAW_TOLD * sizeof(double)); /* what was told and decided stays */
    memset(s + LAW_WARM, 0, (N_LAW - LAW_WARM) * sizeof(double));
    double *slot = slot_of(s, 0);
    s[LAW_TIME] = t;
    s[LAW_HARVEST] = DURATION;
    law_reset(s);
    others_mean(s, t, t, others);
    full_inputs(u, others, slot + SLOT_INPUTS);
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
        clip_state(s);
        if (moved < 1e-9) break;
    }
    clip_state(s);
    if (TIME_STATE >= 0) s[TIME_STATE] = t;
    for (int i = 0; i < N_S; ++i) s[LAW_COVARIANCE + i * N_S + i] = START_STD[i] * START_STD[i];
    keep(s, slot);
}

/* from the estimate in s to the prior of the next slot; whether the model had an answer */
static int propagate(double *s, const double *before, double *slot, double *w) {
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
    return fine;
}

static int law_predict(double *s, const double *u, double *w) {
    double *before = slot_of(s, s[LAW_NOW]);
    s[LAW_NOW] += 1;
    double *slot = slot_of(s, s[LAW_NOW]);
    empty(slot);
    double others[N_OTHERS + 1], begin = s[LAW_TIME];
    s[LAW_TIME] += PERIOD;
    others_mean(s, begin, s[LAW_TIME], others);
    full_inputs(u, others, slot + SLOT_INPUTS);
    return propagate(s, before, slot, w);
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
