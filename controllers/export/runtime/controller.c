/* A sampled controller in the place of a unit model's equations: what unit.c calls.
 *
 * It is executed at t_0 + k PERIOD, t_0 where the first step begins, with the inputs that are set when the step begins that
 * contains this instant; its outputs hold until the next execution. The checks and the way out where there is no answer are
 * `controllers.operation`'s as far as the page of the FMU says; the mathematics is the law's, which the including file has included before. Everything it remembers is
 * in the states of the instance, so that a state of the FMU is all of it.
 */

enum {
    STARTED = 0, /* the estimator has begun, at SINCE */
    SINCE,
    RUNNING_SINCE, /* the first execution; EXECUTIONS so far */
    EXECUTIONS,
    FAILURES,
    APPLIED,
    SEEN = APPLIED + N_IN, /* of each measurement: its counter, values missed, */
    MISSED = SEEN + N_MEASURED,
    GOOD = MISSED + N_MEASURED, /* the last good value and when it came, if one has, */
    GOOD_AT = GOOD + N_MEASURED,
    HAS_GOOD = GOOD_AT + N_MEASURED,
    LAST = HAS_GOOD + N_MEASURED, /* the last value and how often it came */
    EQUAL = LAST + N_MEASURED,
    REFERENCE = EQUAL + N_MEASURED, /* the last reference that made sense, if there was one */
    HAS_REFERENCE = REFERENCE + N_TRACKED,
    ERRORS = HAS_REFERENCE + N_TRACKED, /* of prediction: squares and number, fading */
    ERROR_COUNT,
    SHOWN,
    LAW = SHOWN + N_SHOWN,
    N_STATES = LAW + N_LAW
};

/* rungs of the ladder as `controllers.operation` counts them */
enum { RUNG_SOLVED = 0, RUNG_FALLBACK = 4, RUNG_HOLD = 5 };


static double clipped(double value, double low, double high) { return fmin(fmax(value, low), high); }

static void read_limits(const double *p, Limits *to) {
    for (int i = 0; i < N_IN; ++i) {
        to->low[i] = TARGET_FACTOR[i] * p[LIMIT_PARAMETER + 3 * i] + TARGET_OFFSET[i];
        to->high[i] = TARGET_FACTOR[i] * p[LIMIT_PARAMETER + 3 * i + 1] + TARGET_OFFSET[i];
        to->move[i] = TARGET_FACTOR[i] * p[LIMIT_PARAMETER + 3 * i + 2];
    }
    for (int i = 0; i < 2 * N_LIMITED; ++i) to->soft[i] = SOFT_PARAMETER[i] < 0 ? (i % 2 ? INFINITY : -INFINITY) : p[SOFT_PARAMETER[i]];
}

/* whether a new value is one, by the checks of `controllers.operation.checks` */
static int credible(double t, double *x, const double *u, int i, double value) {
    if (!isfinite(value)) return 0;
    if (QUALITY_INPUT[i] >= 0 && !(u[QUALITY_INPUT[i]] >= GOOD_FROM[i])) return 0;
    if (!(value >= PLAUSIBLE_LOW[i] && value <= PLAUSIBLE_HIGH[i])) return 0;
    if (FROZEN_AFTER[i]) {
        x[EQUAL + i] = x[EQUAL + i] > 0 && value == x[LAST + i] ? x[EQUAL + i] + 1 : 1;
        x[LAST + i] = value;
        if (x[EQUAL + i] >= FROZEN_AFTER[i]) return 0;
    }
    double allowed = MAX_RATE[i] * (t - x[GOOD_AT + i]) + NOISE_SIGMAS * NOISE[i];
    return !(isfinite(MAX_RATE[i]) && x[HAS_GOOD + i] > 0.5 && fabs(value - x[GOOD + i]) > allowed);
}

/* what arrived into the estimate; whether nothing that is needed has been missing for too long */
static int measure(double t, double *x, const double *u, double *w) {
    double values[N_MEASURED], innovations[N_MEASURED];
    char fresh[N_MEASURED];
    int complete = 1;
    for (int i = 0; i < N_MEASURED; ++i) {
        double value = MEASURED_FACTOR[i] * u[MEASURED_INPUT[i]] + MEASURED_OFFSET[i];
        fresh[i] = 1;
        if (SAMPLE_INPUT[i] >= 0) {
            fresh[i] = u[SAMPLE_INPUT[i]] != x[SEEN + i];
            if (isfinite(u[SAMPLE_INPUT[i]])) x[SEEN + i] = u[SAMPLE_INPUT[i]];
        }
        int good = fresh[i] && credible(t, x, u, i, value);
        values[i] = good ? value : NAN;
        if (good) x[GOOD + i] = value, x[GOOD_AT + i] = t, x[HAS_GOOD + i] = 1, x[MISSED + i] = 0;
        else if (fresh[i]) ++x[MISSED + i];
        double age = t - (x[HAS_GOOD + i] > 0.5 ? x[GOOD_AT + i] : x[SINCE]);
        if (NEEDED[i] && (x[MISSED + i] > MAX_MISSED[i] || age > MAX_AGE[i])) complete = 0;
    }
    law_correct(x + LAW, values, fresh, innovations, w);
    x[ERRORS] *= MISMATCH_FADES, x[ERROR_COUNT] *= MISMATCH_FADES;
    for (int i = 0; i < N_MEASURED; ++i)
        if (isfinite(innovations[i])) x[ERRORS] += pow(fmin(fabs(innovations[i]), MISMATCH_CAP), 2), ++x[ERROR_COUNT];
    return complete;
}

static double mismatch(const double *x) { return x[ERROR_COUNT] > 0 ? sqrt(x[ERRORS] / x[ERROR_COUNT]) : 0; }

/* plant and model differ, once the memory is half full */
static int differs(const double *x) { return x[ERROR_COUNT] > 0.5 / (1 - MISMATCH_FADES) && mismatch(x) > MISMATCH_SIGMAS; }

static int finite_all(int n, const double *v) {
    for (int i = 0; i < n; ++i)
        if (!isfinite(v[i])) return 0;
    return 1;
}

/* the references, or in their place the last that made sense; 0 all, 1 some held, 2 some never known */
static int refer(double *x, const double *u, double *references) {
    int held = 0;
    for (int i = 0; i < N_TRACKED; ++i) {
        double value = REFERENCE_FACTOR[i] * u[REFERENCE_INPUT[i]] + REFERENCE_OFFSET[i];
        int usable = value >= REFERENCE_LOW[i] && value <= REFERENCE_HIGH[i];
        if (usable) x[REFERENCE + i] = value, x[HAS_REFERENCE + i] = 1;
        if (!usable && held < 2) held = x[HAS_REFERENCE + i] > 0.5 ? 1 : 2;
        references[i] = x[REFERENCE + i];
    }
    return held;
}

/* one execution; the inputs in force and what is shown go to x */
static void execute(double t, double *x, const double *u, const double *p, double *w, int *iw) {
    double previous[N_IN], answer[N_IN], fallback[N_IN], references[N_TRACKED + 1], target[N_OUT], estimate[N_OUT];
    Limits limits;
    read_limits(p, &limits);
    int mode = (int)lround(u[MODE_INPUT]), follows = p[FALLBACK_PARAMETER] > 0.5, known = 0;
    for (int i = 0; i < N_IN; ++i) {
        double value = TARGET_FACTOR[i] * u[FALLBACK_INPUT[i]] + TARGET_OFFSET[i];
        int given = follows && isfinite(value);
        known |= given;
        fallback[i] = given ? value : NAN;
        previous[i] = x[EXECUTIONS] > 0.5 ? x[APPLIED + i] : clipped(given ? value : START_INPUTS[i], limits.low[i], limits.high[i]);
    }
    int reason = SOLVED, estimates = mode != OFF && t >= ESTIMATE_AFTER - 1e-9, solved = 0, has_target = 0;
    if (!estimates) {
        reason = mode == OFF ? SWITCHED_OFF : WAITING;
        if (mode == OFF) x[STARTED] = 0;
    } else {
        if (x[STARTED] > 0.5) {
            law_predict(x + LAW, previous, w);
        } else {
            law_initialize(x + LAW, previous, t);
            memset(x + MISSED, 0, (REFERENCE - MISSED) * sizeof(double));
            x[ERRORS] = x[ERROR_COUNT] = 0;
            x[STARTED] = 1;
            x[SINCE] = t;
        }
        int complete = measure(t, x, u, w), held = refer(x, u, references), lost = !finite_all(N_LAW, x + LAW);
        if (lost) law_initialize(x + LAW, previous, t);
        if (t < x[SINCE] + p[START_PARAMETER] - ESTIMATE_AFTER - 1e-9) {
            reason = WAITING;
        } else if (lost || held == 2) {
            reason = lost ? ESTIMATE_LOST : NOT_FINITE;
        } else if (MISMATCH_STEPS_DOWN && differs(x)) {
            reason = MISMATCH;
        } else {
            reason = law_solve(x + LAW, previous, references, &limits, answer, target, w, iw);
            has_target = reason != TARGET_FAILED;
            solved = reason == SOLVED;
            if (solved && held) reason = REFERENCE_HELD;
            if (solved && differs(x)) reason = MISMATCH;
        }
        if (reason != WAITING && !complete) reason = MEASUREMENT_MISSING, solved = 0; /* what was solved is shown, not applied */
    }
    int active = solved && mode == CLOSED, rung = solved ? RUNG_SOLVED : known ? RUNG_FALLBACK : RUNG_HOLD;
    double *shown = x + SHOWN;
    for (int i = 0; i < N_IN; ++i) {
        double value = active ? answer[i] : isfinite(fallback[i]) ? fallback[i] : previous[i];
        x[APPLIED + i] = clipped(value, limits.low[i], limits.high[i]);
        value = (x[APPLIED + i] - TARGET_OFFSET[i]) / TARGET_FACTOR[i];
        *shown++ = clipped(value, p[LIMIT_PARAMETER + 3 * i], p[LIMIT_PARAMETER + 3 * i + 1]);
    }
    x[FAILURES] += !solved && reason != WAITING && reason != SWITCHED_OFF;
    *shown++ = active;
    *shown++ = reason <= NOT_FINITE ? reason : SOLVED;
    *shown++ = reason;
    *shown++ = rung;
    *shown++ = x[FAILURES];
    *shown++ = mismatch(x);
    law_outputs(x + LAW, estimate);
    for (int i = 0; i < N_CONTROLLED; ++i, ++shown) *shown = estimates ? estimate[CONTROLLED_OUTPUT[i]] : *shown;
    for (int i = 0; i < N_CONTROLLED; ++i, ++shown) *shown = has_target ? target[CONTROLLED_OUTPUT[i]] : *shown;
    memcpy(shown, law_disturbances(x + LAW), N_DISTURBANCES * sizeof(double));
}

/* ---- what unit.c calls: arg, res, iw, w, memory as CasADi's functions have them -------------------------------- */

#define UNIT_FUNCTION(name) static int name(const double **arg, double **res, casadi_int *iw, double *w, int memory)
#define UNUSED (void)arg, (void)res, (void)iw, (void)w, (void)memory

/* (t, h, x, z, u, p) -> (x, z, q) */
UNIT_FUNCTION(galenic_step) {
    (void)memory;
    double t = *arg[0], h = *arg[1], *x = res[0];
    memcpy(x, arg[2], N_STATES * sizeof(double));
    if (x[EXECUTIONS] < 0.5) x[RUNNING_SINCE] = t;
    for (;;) {
        double next = x[RUNNING_SINCE] + x[EXECUTIONS] * PERIOD, close = 1e-9 * fmax(PERIOD, fabs(t));
        if (next >= t + h - close) return 0;
        execute(next, x, arg[4], arg[5], w, (int *)iw);
        ++x[EXECUTIONS];
    }
}

/* (inputs, parameters, starts) -> x */
UNIT_FUNCTION(galenic_initial) {
    (void)iw, (void)w, (void)memory;
    memcpy(res[0], arg[2], N_STATES * sizeof(double));
    return 0;
}

/* (t, x, z, u, p, q) -> y */
UNIT_FUNCTION(galenic_outputs) {
    (void)iw, (void)w, (void)memory;
    memcpy(res[0], arg[1] + SHOWN, N_SHOWN * sizeof(double));
    return 0;
}

/* what a controller does not have */
UNIT_FUNCTION(galenic_algebraic) { UNUSED; return 0; }
UNIT_FUNCTION(galenic_indicators) { UNUSED; return 0; }
UNIT_FUNCTION(galenic_slopes) { UNUSED; return 0; }
UNIT_FUNCTION(galenic_integrand) { UNUSED; return 0; }
UNIT_FUNCTION(galenic_derivative) { UNUSED; return 0; }
UNIT_FUNCTION(galenic_transition) { UNUSED; return 1; }
UNIT_FUNCTION(galenic_tangent) { UNUSED; return 1; }
UNIT_FUNCTION(galenic_cotangent) { UNUSED; return 1; }
UNIT_FUNCTION(galenic_initial_tangent) { UNUSED; return 1; }
UNIT_FUNCTION(galenic_sensitivity) { UNUSED; return 1; }
