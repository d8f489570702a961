/* The fallback ladder of `controllers.operation.ladder`, around any law; nothing is ever out of time here.
 *
 * 0 the plan of this step; 2 a plan without economic, then without quality limits; 3 what the last plan had for now; 4 the fallback
 * inputs, or the law's linear backup; 5 as it is; 6 the safe state, which only another mode leaves. */

enum { RUNG_SOLVED = 0, RUNG_RELAXED = 2, RUNG_SHIFTED = 3, RUNG_BACKUP = 4, RUNG_HOLD = 5, RUNG_SAFE = 6, N_RUNGS = 7 };

enum {
    IN_SAFE_STATE = 0,
    USES,
    HAS_KEPT = USES + N_RUNGS, /* the last plan that was good, its age in s */
    KEPT_AGE,
    KEPT_INPUTS,
    KEPT_ENDS = KEPT_INPUTS + N_STAGES * N_IN,
    N_LADDER = KEPT_ENDS + N_STAGES
};

/* what a step decides with: inputs in force, fallback inputs (NaN: none), references */
typedef struct {
    double *ladder, *law; /* memories */
    double time;
    const double *previous, *fallback, *references;
    const Limits *limits;
    double *w;
    int *iw;
} Asked;

typedef struct {
    double inputs[N_IN], target[N_OUT];
    int rung, reason;
} Answered;

static int is_free(const Asked *a, int rung) { return a->ladder[USES + rung] < RUNG_USES[rung] - 0.5; }

static void ladder_begin_again(double *ladder) { memset(ladder + USES, 0, N_RUNGS * sizeof(double)); }

static void ladder_begin(double *ladder) {
    ladder_begin_again(ladder);
    ladder[IN_SAFE_STATE] = ladder[HAS_KEPT] = 0;
}

static int any_known(const double *fallback) {
    for (int i = 0; i < N_IN; ++i)
        if (isfinite(fallback[i])) return 1;
    return 0;
}

/* inside bounds and moves whatever the law says */
static void guarded_admissible(const Asked *a, const double *inputs, double *to) {
    law_admissible(inputs, a->previous, a->limits, to);
    for (int i = 0; i < N_IN; ++i) {
        const double before = a->previous[i], move = a->limits->move[i];
        to[i] = clipped(isfinite(to[i]) ? to[i] : before, before - move, before + move);
        to[i] = clipped(to[i], a->limits->low[i], a->limits->high[i]);
    }
}

/* the fallback inputs where there are any, else as it is */
static void fallback_only(const Asked *a, double *to) {
    for (int i = 0; i < N_IN; ++i) to[i] = isfinite(a->fallback[i]) ? a->fallback[i] : a->previous[i];
    law_inside(a->limits, to);
}

/* by how much limits of quality are left in the worst stage, in shares of their scale */
static double leaves(const Asked *a, const double *inputs) {
    double low[N_OUT], high[N_OUT], worst = 0, *outputs = a->w;
    if (!law_roll_out(a->law, inputs, outputs, a->w + N_STAGES * N_OUT)) return INFINITY;
    memcpy(low, QUALITY_LOW, sizeof low);
    memcpy(high, QUALITY_HIGH, sizeof high);
    for (int i = 0; i < N_LIMITED; ++i)
        if (SOFT_RANK[i] <= 2) low[LIMITED_OUTPUT[i]] = a->limits->soft[2 * i], high[LIMITED_OUTPUT[i]] = a->limits->soft[2 * i + 1];
    for (int i = 0; i < N_STAGES * N_OUT; ++i) {
        if (!isfinite(outputs[i])) return INFINITY;
        worst = fmax(worst, fmax(low[i % N_OUT] - outputs[i], outputs[i] - high[i % N_OUT]) / QUALITY_SCALE[i % N_OUT]);
    }
    return worst;
}

/* what the last plan had for now, if it leaves the limits no further than nothing moved would */
static int shifted_plan(const Asked *a, double *to) {
    const double *ends = a->ladder + KEPT_ENDS;
    double inputs[N_STAGES * N_IN], still[N_STAGES * N_IN];
    if (a->ladder[HAS_KEPT] < 0.5) return 0;
    for (int k = 0; k < N_STAGES; ++k) {
        double time = (k ? ends[k - 1] : 0) + a->ladder[KEPT_AGE] + 1e-9 * PERIOD;
        int stage = 0;
        while (stage < N_STAGES - 1 && ends[stage] <= time) ++stage;
        memcpy(inputs + k * N_IN, a->ladder + KEPT_INPUTS + stage * N_IN, N_IN * sizeof(double));
        memcpy(still + k * N_IN, a->previous, N_IN * sizeof(double));
    }
    double moving = leaves(a, inputs), resting = isfinite(moving) ? leaves(a, still) : 0;
    if (!isfinite(moving) || moving > (isfinite(resting) ? resting : 0) + NO_WORSE) return 0;
    guarded_admissible(a, inputs, to);
    return 1;
}

static int from_below(const Asked *a, double *to) {
    double inputs[N_IN];
    if (any_known(a->fallback)) {
        fallback_only(a, to);
        return 1;
    }
    if (!law_backup(a->law, a->previous, a->references, a->limits, inputs, a->w, a->iw) || !finite_all(N_IN, inputs)) return 0;
    guarded_admissible(a, inputs, to);
    return 1;
}

/* one move towards the safe setpoints; inputs without one stay */
static void towards_safe(const Asked *a, Answered *to) {
    double wanted[N_IN];
    for (int i = 0; i < N_IN; ++i) wanted[i] = isfinite(SAFE_INPUTS[i]) ? SAFE_INPUTS[i] : a->previous[i];
    ++a->ladder[USES + RUNG_SAFE];
    guarded_admissible(a, wanted, to->inputs);
    to->rung = RUNG_SAFE, to->reason = SAFE_STATE;
}

static void ladder_below(const Asked *a, int reason, Answered *to) {
    to->reason = reason;
    to->rung = is_free(a, RUNG_SHIFTED) && shifted_plan(a, to->inputs) ? RUNG_SHIFTED
               : is_free(a, RUNG_BACKUP) && from_below(a, to->inputs)  ? RUNG_BACKUP
               : is_free(a, RUNG_HOLD)                                 ? RUNG_HOLD
                                                                       : RUNG_SAFE;
    if (to->rung == RUNG_HOLD) memcpy(to->inputs, a->previous, sizeof to->inputs);
    if (to->rung != RUNG_SAFE) {
        ++a->ladder[USES + to->rung];
        return;
    }
    a->ladder[IN_SAFE_STATE] = 1;
    towards_safe(a, to);
}

/* without asking for a plan */
static void ladder_backup(const Asked *a, int reason, Answered *to) {
    a->ladder[HAS_KEPT] = 0;
    law_reset(a->law);
    ladder_below(a, reason, to);
}

static void ladder_answer(const Asked *a, Answered *to) {
    double plan[N_STAGES * N_IN], ends[N_STAGES];
    int rung = RUNG_SOLVED, reason, solved;
    a->ladder[KEPT_AGE] += PERIOD;
    reason = law_solve(a->law, a->time, a->previous, a->references, 4, a->limits, plan, ends, to->target, a->w, a->iw);
    if (reason == SOLVED && !finite_all(N_STAGES * N_IN, plan)) reason = NOT_FINITE;
    solved = reason == SOLVED;
    if (!solved) {
        rung = RUNG_RELAXED;
        for (int relax = 3; relax > 1 && !solved && is_free(a, rung); --relax) {
            if (!RELAXABLE[relax]) continue;
            solved = law_solve(a->law, a->time, a->previous, a->references, relax, a->limits, plan, ends, to->target, a->w, a->iw) == SOLVED
                     && finite_all(N_STAGES * N_IN, plan);
            if (solved) reason = relax == 3 ? RELAXED_ECONOMICS : RELAXED_QUALITY;
        }
    }
    if (!solved || !is_free(a, rung)) {
        law_reset(a->law);
        ladder_below(a, reason, to);
        return;
    }
    guarded_admissible(a, plan, to->inputs);
    if (rung == RUNG_SOLVED) {
        ladder_begin_again(a->ladder);
        for (int i = 0; i < N_IN; ++i)
            if (fabs(to->inputs[i] - plan[i]) > 1e-6 * (a->limits->high[i] - a->limits->low[i])) reason = CORRECTED;
    } else {
        ++a->ladder[USES + rung];
    }
    to->rung = rung, to->reason = reason;
    a->ladder[HAS_KEPT] = 1, a->ladder[KEPT_AGE] = 0;
    memcpy(a->ladder + KEPT_INPUTS, plan, sizeof plan);
    memcpy(a->ladder + KEPT_ENDS, ends, sizeof ends);
}
