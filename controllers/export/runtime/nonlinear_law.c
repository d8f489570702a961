/* The nonlinear law's plans, as `controllers.nonlinear.law` and `planner` make them: known inputs and the length of each stage, the steady
 * target, passes that are judged by the objective, the harvest. */

enum {
    PLANNER_WORK = 3 * (N_STAGES + 1) * N_VALUES + 3 * N_PLANNED + N_STAGES * (N_OTHERS + 1),
    LAW_WORK = LARGEST(FILTER_WORK, PLANNER_WORK + LARGEST(STAGE_WORK, LARGEST(TARGET_WORK, HARVEST_WORK))),
    LAW_IWORK = LARGEST(STAGE_IWORK, TARGET_IWORK)
};

/* of the stages in s: fixed, or what is left until the harvest */
static void stage_durations(double remaining, double *to) {
    double left = fmax(fmin(remaining, SIGHT), 1e-3 * PERIOD), each = left / N_STAGES;
    for (int k = 0; k < N_STAGES; ++k) {
        to[k] = FIXED_DURATION[k];
        if (!BATCH) continue;
        to[k] = each <= PERIOD || isfinite((double)SIGHT) ? each : k < HEAD ? PERIOD : (left - HEAD * PERIOD) / (N_STAGES - HEAD);
    }
}

static void ends_of(const double *durations, double *ends) {
    double sum = 0;
    for (int k = 0; k < N_STAGES; ++k) ends[k] = sum += durations[k];
}

static void others_by_stage(const double *s, double t, const double *ends, double *to) {
    for (int k = 0; k < N_STAGES; ++k) others_mean(s, t + (k ? ends[k - 1] : 0), t + ends[k], to + k * N_OTHERS);
}

/* references (K, N_TRACKED): as they are, or as a recipe will have them when the stage begins */
static void references_by_stage(double t, const double *present, const double *ends, double *to) {
    for (int i = 0; i < N_TRACKED; ++i)
        for (int k = 0; k < N_STAGES; ++k) {
            double time = t + (k ? ends[k - 1] : 0);
            double ahead = PROFILE_VALUE[profile_place(N_OTHERS + i, time + 1e-9 * fmax(time, 1))];
            to[k * N_TRACKED + i] = ahead >= REFERENCE_LOW[i] && ahead <= REFERENCE_HIGH[i] ? ahead : present[i];
        }
}

/* inputs of their own period stay where they are not due */
static void hold_inputs(double t, const double *ends, char *held) {
    for (int k = 0; k < N_STAGES; ++k) {
        double start = t + (k ? ends[k - 1] : 0), before = k > 1 ? t + ends[k - 2] : k ? t : t - PERIOD;
        for (int i = 0; i < N_IN; ++i) {
            double eps = 1e-6 * OWN_PERIOD[i];
            held[k * N_IN + i] = OWN_PERIOD[i] > 0 && !(floor((start + eps) / OWN_PERIOD[i]) > floor((before + eps) / OWN_PERIOD[i]));
        }
    }
}

/* parameters of every node; references of the problem are zero, for they are parameters */
static void node_values(const double *s, const double *others, const double *references, const double *durations, int relax,
                        const double *rest, double *values) {
    memset(values, 0, sizeof(double) * (N_STAGES + 1) * N_VALUES);
    for (int k = 0; k <= N_STAGES; ++k) {
        double *to = values + k * N_VALUES;
        int stage = k < N_STAGES ? k : N_STAGES - 1;
        memcpy(to + AT_DISTURBANCES, law_disturbances(s), sizeof(double) * N_DISTURBANCES);
        memcpy(to + AT_KNOWN, others + stage * N_OTHERS, sizeof(double) * N_OTHERS);
        memcpy(to + AT_REFERENCE, references + stage * N_TRACKED, sizeof(double) * N_TRACKED);
        to[AT_STEP] = k < N_STAGES ? durations[k] / STAGE_COUNT[k] : durations[N_STAGES - 1];
        for (int rank = 1; rank <= 3; ++rank) to[AT_RANK + rank - 1] = rank < relax;
        for (int i = 0; i < N_IN; ++i) {
            double centre = rest ? rest[i] : IDEAL[i];
            if (isnan(centre)) continue;
            to[AT_CENTRE + i] = centre;
            to[AT_PULL + i] = sqrt(WEIGHT_TARGET[i]);
        }
    }
}

/* with a square about `best`, in one with that about the target */
static void add_proximal(double rho, const double *best, int each, double *values) {
    for (int k = 0; k < N_STAGES; ++k) {
        double *v = values + k * N_VALUES, length = v[AT_STEP] * STAGE_COUNT[k] / PERIOD, more = rho / fmax(length, 1e-9);
        for (int i = 0; i < N_IN; ++i) {
            double pull = v[AT_PULL + i] * v[AT_PULL + i];
            v[AT_CENTRE + i] = (pull * v[AT_CENTRE + i] + more * best[each ? k * N_IN + i : i]) / (pull + more);
            v[AT_PULL + i] = sqrt(pull + more);
        }
    }
}

/* the last answer at the stages of now */
static void shifted_answer(const double *s, const double *durations, int elapsed, double *to) {
    double end = 0;
    for (int k = 0; k < N_STAGES; ++k) {
        end += durations[k];
        double middle = end - durations[k] / 2 + elapsed * PERIOD;
        int from = 0;
        while (from < N_STAGES - 1 && s[LAW_ENDS + from] < middle) ++from;
        memcpy(to + k * N_IN, s + LAW_LAST + from * N_IN, sizeof(double) * N_IN);
    }
}

static void unscaled(const double *u, const Limits *limits, double *to) {
    for (int i = 0; i < N_PLANNED; ++i)
        to[i] = clipped(u[i] * INPUT_SCALE[i % N_IN], limits->low[i % N_IN], limits->high[i % N_IN]);
}

static double judged_cost(const double *z, const double *inputs, const double *values, double *w) {
    double u[N_PLANNED];
    for (int i = 0; i < N_PLANNED; ++i) u[i] = inputs[i] / INPUT_SCALE[i % N_IN];
    return stages_cost(z, u, values, w);
}

/* A plan (K, N_IN) in the inputs' units; whether there is one. */
static int planned(double *s, Stages *p, const double *values, const double *durations, const double *previous, const Limits *limits,
                   int elapsed, double *plan, double *w) {
    double *given = w, *best = given + (N_STAGES + 1) * N_VALUES, *found = best + N_PLANNED;
    double now[N_AUGMENTED], *x = now, *v = now + N_STATES_PLANNED, cost = INFINITY;
    int shift = BATCH ? 0 : elapsed * STAGE_COUNT[0] / FIRST_PERIODS, has_best = s[LAW_HAS_LAST] > 0.5, kept = 0, usable = 0;
    for (int i = 0; i < N_STATES_PLANNED; ++i) x[i] = s[i] / STATE_SCALE[i];
    for (int i = 0; i < N_IN; ++i) v[i] = previous[i] / INPUT_SCALE[i];
    if (has_best) shifted_answer(s, durations, elapsed, best);
    if (JUDGED && has_best) cost = judged_cost(now, best, values, p->w);
    for (int pass = 0; pass < PASSES; ++pass) {
        memcpy(given, values, sizeof(double) * (N_STAGES + 1) * N_VALUES);
        if (WITH_PROXIMAL) add_proximal(s[LAW_RHO], has_best ? best : previous, has_best, given);
        p->values = given;
        int status = stages_solve(p, s + LAW_WARM, x, v, pass ? 0 : shift);
        if (status == STAGES_FAILED && pass == 0) {
            s[LAW_WARM] = 0;
            status = stages_solve(p, s + LAW_WARM, x, v, 0);
        }
        usable = status != STAGES_FAILED;
        if (!usable) break;
        unscaled(p->u, limits, found);
        if (!JUDGED) {
            memcpy(best, found, sizeof(double) * N_PLANNED);
            kept = has_best = 1;
            if (status == STAGES_SOLVED) break;
            continue;
        }
        double rolled = judged_cost(now, found, values, p->w);
        if ((!kept && !has_best) || rolled < cost || !isfinite(cost)) {
            double gain = cost - rolled;
            memcpy(best, found, sizeof(double) * N_PLANNED);
            cost = rolled;
            kept = has_best = 1;
            s[LAW_RHO] = fmax(s[LAW_RHO] / 3, PROXIMAL_LEAST);
            if (gain < PROXIMAL_ENOUGH * fmax(1, fabs(cost))) break;
        } else {
            s[LAW_RHO] = fmin(s[LAW_RHO] * 4, PROXIMAL_MOST);
        }
    }
    if (!kept && !(usable && has_best)) return 0;
    const double *before = previous;
    for (int k = 0; k < N_STAGES; before = plan + k++ * N_IN)
        for (int i = 0; i < N_IN; ++i) {
            double value = best[k * N_IN + i], most = p->held[k * N_IN + i] ? 0 : limits->move[i];
            if (!kept) value = clipped(clipped(value, limits->low[i], limits->high[i]), before[i] - most, before[i] + most);
            plan[k * N_IN + i] = value; /* nothing beat the shifted plan: inside bounds and moves it is the answer */
        }
    return 1;
}

/* outputs at the ends of the stages, (K, N_OUT); whether the model had an answer all the way */
static int roll_out(const double *s, const double *inputs, const double *others, const double *durations, double *outputs, double *w) {
    double state[2][N_S], full[N_MODEL_INPUTS], jacobian[N_OUT * N_S];
    int here = 0;
    memcpy(state[0], s, sizeof state[0]);
    for (int k = 0; k < N_STAGES; ++k) {
        double h = durations[k] / STAGE_COUNT[k];
        full_inputs(inputs + k * N_IN, others + k * N_OTHERS, full);
        for (int i = 0; i < STAGE_COUNT[k]; ++i, here = !here) {
            const double *arg[] = {state[here], full, &h};
            double *res[] = {state[!here]};
            generated(model_advance, arg, 3, res, 1, w);
        }
        call_2(model_measure, state[here], full, outputs + k * N_OUT, jacobian, w);
        if (!finite_all(N_S, state[here]) || !finite_all(N_OUT, outputs + k * N_OUT)) return 0;
    }
    return 1;
}

/* outputs (K, N_OUT) under inputs (K, N_IN) */
static int law_roll_out(const double *s, const double *inputs, double *outputs, double *w) {
    double durations[N_STAGES], ends[N_STAGES], *others = w;
    stage_durations(s[LAW_HARVEST] - s[LAW_TIME], durations);
    ends_of(durations, ends);
    others_by_stage(s, s[LAW_TIME], ends, others);
    return roll_out(s, inputs, others, durations, outputs, w + N_STAGES * N_OTHERS);
}

static int law_solve(double *s, double t, const double *given, const double *present, int relax, const Limits *limits, double *plan,
                     double *ends, double *target_outputs, double *w, int *iw) {
    double durations[N_STAGES], previous[N_IN], outputs[N_STAGES * N_OUT], by_stage[N_STAGES * N_TRACKED + 1];
    const double *references = by_stage + (N_STAGES - 1) * N_TRACKED; /* where it is going */
    double *values = w, *others = values + (N_STAGES + 1) * N_VALUES, *pass = others + N_STAGES * (N_OTHERS + 1);
    double *work = w + PLANNER_WORK;
    char held[N_PLANNED];
    int found = 0;
    if (!finite_all(N_IN, given) || !finite_all(N_TRACKED, present) || !finite_all(N_S, s)) return NOT_FINITE;
    stage_durations(s[LAW_HARVEST] - t, durations);
    ends_of(durations, ends);
    others_by_stage(s, t, ends, others);
    hold_inputs(t, ends, held);
    references_by_stage(t, present, ends, by_stage);
    for (int i = 0; i < N_OUT; ++i) target_outputs[i] = NAN;
    for (int i = 0; i < N_TRACKED; ++i) target_outputs[TRACKED_OUTPUT[i]] = references[i];
    if (HAS_TARGET) found = law_target(s, given, others, references, relax, limits, target_outputs, work, iw);
    for (int i = 0; i < N_IN; ++i) {
        double room = isfinite(limits->move[i]) ? limits->move[i] : limits->high[i] - limits->low[i];
        previous[i] = clipped(given[i], limits->low[i] - 0.99 * room, limits->high[i] + 0.99 * room);
    }
    node_values(s, others, by_stage, durations, relax, found ? s + LAW_TARGET + N_STATES_PLANNED : NULL, values);
    Stages stages = {s + LAW_STAGES, s + LAW_INPUTS, values, held};
    stages.w = work, stages.iw = iw;
    for (int i = 0; i < N_IN; ++i) {
        stages.low[i] = limits->low[i] / INPUT_SCALE[i], stages.high[i] = limits->high[i] / INPUT_SCALE[i];
        stages.move[i] = limits->move[i] / INPUT_SCALE[i];
    }
    int elapsed = s[LAW_HAS_SOLVED] > 0.5 ? (int)lround((t - s[LAW_SOLVED_AT]) / PERIOD) : 0;
    s[LAW_HAS_SOLVED] = 0;
    if (!planned(s, &stages, values, durations, previous, limits, elapsed, plan, pass)) {
        s[LAW_WARM] = s[LAW_HAS_LAST] = 0;
        s[LAW_RHO] = PROXIMAL;
        return SOLVER_FAILED;
    }
    memcpy(s + LAW_LAST, plan, sizeof(double) * N_PLANNED);
    memcpy(s + LAW_ENDS, ends, sizeof(double) * N_STAGES);
    s[LAW_HAS_LAST] = s[LAW_HAS_SOLVED] = 1;
    s[LAW_SOLVED_AT] = t;
    if (!roll_out(s, plan, others, durations, outputs, work)) {
        law_reset(s);
        return SOLVER_FAILED;
    }
    if (DECIDES_HARVEST) s[LAW_HARVEST] = harvest_time(s, t, plan, others, ends, references, work);
    double decisions[3] = {s[LAW_HARVEST], fmax(0, s[LAW_HARVEST] - t), found};
    memcpy(s + LAW_DECISIONS, decisions + (BATCH ? 0 : 2), sizeof(double) * N_DECISIONS);
    return SOLVED;
}

/* the nearest inputs inside bounds and moves; moves from `previous` */
static void law_admissible(const double *inputs, const double *previous, const Limits *limits, double *to) {
    for (int i = 0; i < N_IN; ++i) {
        double wanted = clipped(isfinite(inputs[i]) ? inputs[i] : previous[i], limits->low[i], limits->high[i]);
        to[i] = clipped(wanted, previous[i] - limits->move[i], previous[i] + limits->move[i]);
    }
}

static void law_inside(const Limits *limits, double *inputs) {
    for (int i = 0; i < N_IN; ++i) inputs[i] = clipped(inputs[i], limits->low[i], limits->high[i]);
}

static int law_backup(double *s, const double *previous, const double *references, const Limits *limits, double *inputs, double *w,
                      int *iw) {
    (void)s, (void)previous, (void)references, (void)limits, (void)inputs, (void)w, (void)iw;
    return 0;
}
