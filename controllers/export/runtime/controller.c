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
    ASKED_MODE, /* and 1; 0 before the first */
    ENABLED,    /* whether what it waits for has held once */
    LADDER,
    SHOWN = LADDER + N_LADDER,
    LAW = SHOWN + N_SHOWN,
    N_STATES = LAW + N_LAW
};

enum { CONTROLLER_WORK = LAW_WORK + N_STAGES * N_OUT };
#define WORK_SIZE ((CONTROLLER_WORK + 1) * sizeof(double) + (LAW_IWORK + 1) * sizeof(int))

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

/* the mode that is asked for; what is no mode changes nothing */
static int switch_mode(double *x, double given) {
    int before = x[ASKED_MODE] > 0.5 ? (int)x[ASKED_MODE] - 1 : MODE_START, mode = (int)lround(given);
    if (!isfinite(given) || mode < OFF || mode > CLOSED) mode = before;
    x[ASKED_MODE] = mode + 1;
    if (mode != before) {
        x[LADDER + IN_SAFE_STATE] = 0;
        ladder_begin_again(x + LADDER);
    }
    if (mode == OFF) x[STARTED] = x[ENABLED] = 0;
    return mode;
}

/* follow what was applied and what arrived; whether the estimate was lost */
static int estimate(double t, double *x, const double *u, const double *previous, double *w, int *complete) {
    double outputs[N_OUT];
    int lost = 0;
    law_observe(x + LAW, u);
    if (!(x[STARTED] > 0.5)) {
        law_initialize(x + LAW, previous, t);
        memset(x + MISSED, 0, (REFERENCE - MISSED) * sizeof(double));
        x[ERRORS] = x[ERROR_COUNT] = 0;
        x[STARTED] = 1;
        x[SINCE] = t;
        ladder_begin(x + LADDER);
    } else if (!law_predict(x + LAW, previous, w)) {
        law_initialize(x + LAW, previous, t);
        lost = 1;
    }
    *complete = measure(t, x, u, w);
    law_outputs(x + LAW, outputs);
    if (!finite_all(N_OUT, outputs)) {
        law_initialize(x + LAW, previous, t);
        lost = 1;
    }
    return lost;
}

/* one execution; the inputs in force and what is shown go to x */
static void execute(double t, double *x, const double *u, const double *p, double *w, int *iw) {
    double previous[N_IN], fallback[N_IN], references[N_TRACKED + 1], outputs[N_OUT];
    Limits limits;
    Answered answer;
    read_limits(p, &limits);
    Asked asked = {x + LADDER, x + LAW, t, previous, fallback, references, &limits, w, iw};
    int mode = switch_mode(x, u[MODE_INPUT]), follows = p[FALLBACK_PARAMETER] > 0.5, complete = 1, computed = 0, active = 0;
    for (int i = 0; i < N_IN; ++i) {
        double value = TARGET_FACTOR[i] * u[FALLBACK_INPUT[i]] + TARGET_OFFSET[i];
        fallback[i] = follows && isfinite(value) ? value : NAN;
        previous[i] = x[EXECUTIONS] > 0.5 ? x[APPLIED + i] : isfinite(fallback[i]) ? fallback[i] : START_INPUTS[i];
    }
    if (x[EXECUTIONS] < 0.5) law_inside(&limits, previous);
    int estimates = mode != OFF && t >= ESTIMATE_AFTER - 1e-9, known = any_known(fallback);
    memset(&answer, 0, sizeof answer);
    for (int i = 0; i < N_OUT; ++i) answer.target[i] = NAN;
    answer.reason = mode == OFF ? SWITCHED_OFF : WAITING;
    if (estimates) {
        int lost = estimate(t, x, u, previous, w, &complete), held = refer(x, u, references);
        if (!(t < x[SINCE] + p[START_PARAMETER] - ESTIMATE_AFTER - 1e-9)) {
            if (ENABLE_INPUT < 0 || u[LARGEST(ENABLE_INPUT, 0)] > 0.5) x[ENABLED] = 1;
            computed = x[ENABLED] > 0.5;
        }
        if (!computed) complete = 1;
        else if (lost || held == 2) ladder_backup(&asked, lost ? ESTIMATE_LOST : NOT_FINITE, &answer);
        else if (MISMATCH_STEPS_DOWN && differs(x)) ladder_backup(&asked, MISMATCH, &answer);
        else ladder_answer(&asked, &answer);
        if (computed && answer.rung == RUNG_SOLVED && answer.reason == SOLVED)
            answer.reason = differs(x) ? MISMATCH : held ? REFERENCE_HELD : SOLVED;
    }
    if (!computed) {
        answer.rung = known ? RUNG_BACKUP : RUNG_HOLD;
        fallback_only(&asked, answer.inputs);
    } else {
        int rung = answer.rung;
        if (!complete) answer.rung = known ? RUNG_BACKUP : RUNG_HOLD, answer.reason = MEASUREMENT_MISSING;
        if (mode != CLOSED) x[LADDER + IN_SAFE_STATE] = 0; /* who is not in force takes nothing to a safe state */
        if (x[LADDER + IN_SAFE_STATE] > 0.5) {
            active = 1;
            if (rung != RUNG_SAFE) towards_safe(&asked, &answer);
            else answer.rung = RUNG_SAFE, answer.reason = SAFE_STATE;
        } else if (mode != CLOSED || !complete) {
            fallback_only(&asked, answer.inputs); /* what was solved is shown, not applied */
        } else {
            active = answer.rung <= RUNG_SHIFTED || (answer.rung == RUNG_HOLD && known);
        }
    }
    double *shown = x + SHOWN;
    for (int i = 0; i < N_IN; ++i) {
        x[APPLIED + i] = clipped(answer.inputs[i], limits.low[i], limits.high[i]);
        double value = (x[APPLIED + i] - TARGET_OFFSET[i]) / TARGET_FACTOR[i];
        *shown++ = clipped(value, p[LIMIT_PARAMETER + 3 * i], p[LIMIT_PARAMETER + 3 * i + 1]);
    }
    x[FAILURES] += computed && answer.rung >= RUNG_SHIFTED;
    *shown++ = active;
    *shown++ = answer.reason <= NOT_FINITE ? answer.reason : SOLVED;
    *shown++ = answer.reason;
    *shown++ = answer.rung;
    *shown++ = x[FAILURES];
    *shown++ = mismatch(x);
    if (estimates) law_outputs(x + LAW, outputs);
    for (int i = 0; i < N_CONTROLLED; ++i, ++shown) *shown = estimates ? outputs[CONTROLLED_OUTPUT[i]] : *shown;
    for (int i = 0; i < N_CONTROLLED; ++i, ++shown) {
        double target = answer.target[CONTROLLED_OUTPUT[i]];
        if (isfinite(target)) *shown = target;
    }
    memcpy(shown, law_disturbances(x + LAW), N_DISTURBANCES * sizeof(double));
    memcpy(shown + N_DISTURBANCES, law_decisions(x + LAW), N_DECISIONS * sizeof(double));
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
    double *work = NULL;
    (void)iw, (void)w;
    for (;;) {
        double next = x[RUNNING_SINCE] + x[EXECUTIONS] * PERIOD, close = 1e-9 * fmax(PERIOD, fabs(t));
        if (next >= t + h - close) break;
        if (!work && !(work = malloc(WORK_SIZE))) return 1; /* too much for the stacks of some threads */
        execute(next, x, arg[4], arg[5], work, (int *)(work + CONTROLLER_WORK));
        ++x[EXECUTIONS];
    }
    free(work);
    return 0;
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
