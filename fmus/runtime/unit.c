/* One instance of a unit model: what FMI 2.0 and 3.0, Co-Simulation and Model Exchange have in common. model.h (sizes and
 * tables) and equations.c (CasADi) are generated, the rest is fixed. */
#include <stdarg.h>
#include <stdio.h>

#define CASADI_SYMBOL_EXPORT static
#include "equations.c"
#include "unit.h"

/* messages are formatted here, so that a '%' in a name is harmless */
UNIT Status report(Instance *m, Status status, const char *category, const char *format, ...) {
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (m->log) m->log(m, status, category, text);
    if (status >= ERROR) m->now.mode = FAILED;
    return status;
}

UNIT Status wrong_state(Instance *m, const char *call) {
    static const struct {
        Mode mode;
        const char *text;
    } names[] = {{INSTANTIATED, "instantiated"}, {INITIALIZATION, "initialization mode"}, {STEPPING, "step mode"},
                 {EVENT, "event mode"},          {CONTINUOUS, "continuous-time mode"},    {INTERMEDIATE, "intermediate update"},
                 {TERMINATED, "terminated"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (names[i].mode == (Mode)m->now.mode)
            return FAIL("%s: %s is not allowed in this state (%s, t = %g s)", m->name, call, names[i].text, TIME(m));
    return FAIL("%s: %s is not allowed in this state (an earlier call failed; reset the instance)", m->name, call);
}

/* the integrator's estimate of the first step squares its arguments: where the square is denormal it divides 0 by 0 */
static double without_denormals(double value) { return fabs(value) < 1e-100 ? 0.0 : value; }

/* ---- evaluation ------------------------------------------------------------------------------------------------ */

/* arguments of what is evaluated without the unknowns, and of what is evaluated with them */
static void unsolved(Instance *m, double *result) {
    m->arg[0] = &TIME(m);
    m->arg[1] = states(m);
    m->arg[2] = inputs(m);
    m->arg[3] = parameters(m);
    m->res[0] = result;
}

static void present(Instance *m, double *result) {
    m->arg[0] = &TIME(m);
    m->arg[1] = states(m);
    m->arg[2] = unknowns(m);
    m->arg[3] = inputs(m);
    m->arg[4] = parameters(m);
    m->res[0] = result;
}

UNIT int solve_algebraic(Instance *m) {
    if (N_Z == 0) return 0;
    unsolved(m, unknowns(m));
    return galenic_algebraic(m->arg, m->res, m->iw, m->w, 0);
}

static int evaluate_indicators(Instance *m) {
    if (N_E == 0) return 0;
    present(m, m->now.v + FIRST_E);
    return galenic_indicators(m->arg, m->res, m->iw, m->w, 0);
}

static int evaluate_means(Instance *m) {
    if (N_Q == 0) return 0;
    present(m, m->now.v + FIRST_Q);
    return galenic_integrand(m->arg, m->res, m->iw, m->w, 0);
}

static int evaluate_outputs(Instance *m) {
    present(m, m->now.v + FIRST_Y);
    m->arg[5] = m->now.v + FIRST_Q;
    return galenic_outputs(m->arg, m->res, m->iw, m->w, 0);
}

static int happen(Instance *m, int event) {
    double index = event;
    m->arg[0] = &index;
    m->arg[1] = &TIME(m);
    m->arg[2] = states(m);
    m->arg[3] = inputs(m);
    m->arg[4] = parameters(m);
    m->res[0] = m->scratch_x;
    if (galenic_transition(m->arg, m->res, m->iw, m->w, 0)) return 1;
    memcpy(states(m), m->scratch_x, N_X * sizeof(double));
    if (m->logging & LOG_EVENTS) report(m, OK, CATEGORIES[2], "%s: %s at t = %.9g s", m->name, model_events[event], TIME(m));
    return 0;
}

/* Which event is due: an indicator below zero because an input moved, or at zero and falling, or at zero where continuous time
 * ended and above before. N_E if none is, -1 if they cannot be evaluated. */
UNIT int due_event(Instance *m) {
    int at_zero = 0;
    if (evaluate_indicators(m)) return -1;
    for (int e = 0; e < N_E; ++e) {
        double indicator = m->now.v[FIRST_E + e];
        if (indicator < 0 || (indicator == 0 && m->now.armed[e])) return e;
        at_zero |= indicator == 0;
    }
    if (!at_zero) return N_E;
    double slope[N_E + 1];
    unsolved(m, slope);
    if (galenic_slopes(m->arg, m->res, m->iw, m->w, 0)) return -1;
    for (int e = 0; e < N_E; ++e)
        if (m->now.v[FIRST_E + e] == 0 && slope[e] < 0) return e;
    return N_E;
}

/* the events that are due, one that was reached first, and what follows from them */
UNIT int settle_events(Instance *m) {
    if (N_E == 0) return 0;
    for (int round = 0; round < 10 + N_E; ++round) {
        int due = m->now.pending;
        m->now.pending = -1;
        if (due < 0) due = due_event(m);
        if (due < 0) return 1;
        if (due == N_E) return 0;
        m->now.armed[due] = 0;
        if (happen(m, due) || solve_algebraic(m)) return 1;
    }
    return 1;
}

/* states as far as they are calculated, events at the start, and means at their instantaneous value */
static int initialize(Instance *m) {
    m->arg[0] = inputs(m);
    m->arg[1] = parameters(m);
    m->arg[2] = m->now.x_start;
    m->res[0] = states(m);
    if (galenic_initial(m->arg, m->res, m->iw, m->w, 0)) return 1;
    return solve_algebraic(m) || settle_events(m) || evaluate_means(m);
}

/* unknowns and outputs */
UNIT int refresh(Instance *m) {
    if (!(m->now.dirty & VALUES)) return 0;
    if (m->now.mode & (INSTANTIATED | INITIALIZATION)) {
        if (initialize(m)) return 1;
    } else if (solve_algebraic(m) || (m->kind == MODEL_EXCHANGE && evaluate_means(m))) {
        return 1;
    }
    if (evaluate_outputs(m)) return 1;
    m->now.dirty &= ~VALUES;
    return 0;
}

/* derivatives and event indicators */
static int refresh_rates(Instance *m) {
    if (refresh(m)) return 1;
    if (!(m->now.dirty & RATES)) return 0;
    present(m, m->scratch_x);
    if (galenic_derivative(m->arg, m->res, m->iw, m->w, 0) || evaluate_indicators(m)) return 1;
    for (int i = 0; i < N_D; ++i) m->now.v[FIRST_D + i] = m->scratch_x[model_derived[i]];
    m->now.dirty = 0;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

/* a state belongs to one model and one interface of it */
static unsigned long long own_key(const Instance *m) { return m->key + m->kind; }

UNIT void reset(Instance *m) {
    memset(&m->now, 0, sizeof m->now);
    memcpy(m->now.v, model_start, N_V * sizeof(double));
    memcpy(m->now.x_start, model_start + FIRST_X, N_X * sizeof(double));
    m->now.model = own_key(m);
    m->now.mode = INSTANTIATED;
    m->now.dirty = ALL;
    m->now.pending = -1;
    m->inputs_moved = 0;
}

UNIT Instance *create(void *memory, void (*release)(void *), Interface kind, const char *name, int logging,
                      unsigned long long key) {
    Instance *m = (Instance *)memory;
    if (!m) return NULL;
    memset(m, 0, sizeof *m);
    m->release = release;
    m->kind = kind;
    m->key = key;
    m->logging = logging ? (1 << N_CATEGORIES) - 1 : 0;
    m->pieces = 1;
    snprintf(m->name, sizeof m->name, "%s", name && *name ? name : MODEL_NAME);
    reset(m);
    return m;
}

UNIT const char *wrong_token(const char *token, const char *own) {
    if (token && !strcmp(token, own)) return NULL;
    return "the guid is not that of this binary: modelDescription.xml and binary do not belong together";
}

UNIT Status set_logging(Instance *m, int on, size_t n, const char *const categories[]) {
    int chosen = n ? 0 : (1 << N_CATEGORIES) - 1;
    for (size_t i = 0; i < n; ++i) {
        int k = 0;
        while (k < N_CATEGORIES && (!categories[i] || strcmp(categories[i], CATEGORIES[k]))) ++k;
        if (k == N_CATEGORIES) return FAIL("%s: unknown log category '%s'", m->name, categories[i] ? categories[i] : "");
        chosen |= 1 << k;
    }
    m->logging = on ? m->logging | chosen : m->logging & ~chosen;
    return OK;
}

UNIT Status set_start_time(Instance *m, double start, int stop_defined, double stop) {
    if (!isfinite(start) || (stop_defined && !(stop >= start)))
        return FAIL("%s: start time %g and stop time %g make no experiment", m->name, start, stop);
    TIME(m) = start;
    m->now.dirty = ALL;
    return OK;
}

UNIT Status finish_initialization(Instance *m, Mode next) {
    m->now.dirty = ALL;
    if (refresh(m)) return FAIL("%s: no consistent initial state at t = %g s", m->name, TIME(m));
    m->now.mode = next;
    return OK;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

UNIT const char *kind_name(char kind) {
    return kind == 'R' ? "Real" : kind == 'I' ? "Integer" : kind == 'E' ? "Enumeration" : "Boolean";
}

/* checks the references, brings their values up to date, and says how many values they have */
UNIT Status readable(Instance *m, const unsigned *vr, size_t n, char kind, char or_kind, size_t *values) {
    int rates = 0;
    *values = 0;
    for (size_t i = 0; i < n; ++i) {
        if (vr[i] >= N_V || (model_kind[vr[i]] != kind && model_kind[vr[i]] != or_kind) || WIDTH(m, vr[i]) == 0)
            return FAIL("%s: value reference %u is no %s variable", m->name, vr[i], kind_name(kind));
        rates |= vr[i] >= FIRST_D && vr[i] < INDEX_T;
        *values += WIDTH(m, vr[i]);
    }
    if (rates ? refresh_rates(m) : refresh(m)) {
        const char *text = "%s: the outputs cannot be evaluated at t = %g s";
        return m->now.mode & CONTINUOUS ? REFUSE(text, m->name, TIME(m)) : FAIL(text, m->name, TIME(m));
    }
    return OK;
}

static int changes_now(const Instance *m, unsigned r) {
    int when = m->now.mode & (INSTANTIATED | INITIALIZATION) ? 1 : m->now.mode & (EVENT | STEPPING) ? 2 : 4;
    return model_settable[r] & when;
}

/* May this element be set to this value now? Importers give discrete inputs in continuous time too, even those of a time that
 * their solver only tries: such a value has no effect, the one given in event mode has. */
UNIT Status settable(Instance *m, unsigned r, double value) {
    const char *variable = model_names[r];
    if (!model_settable[r]) return FAIL("%s: '%s' is calculated and cannot be set", m->name, variable);
    if (!changes_now(m, r) && !(model_settable[r] & 2))
        return FAIL("%s: '%s' can only be set before the run; the time is t = %g s", m->name, variable, TIME(m));
    if (isnan(value) && model_settable[r] & 8) return OK; /* a measurement that is missing */
    if (!isfinite(value)) return FAIL("%s: '%s' was set to %g at t = %g s", m->name, variable, value, TIME(m));
    if (value < model_min[r] || value > model_max[r])
        return FAIL("%s: '%s' was set to %g at t = %g s, outside its range %g to %g %s", m->name, variable, value,
                    TIME(m), model_min[r], model_max[r], model_units[r]);
    if (changes_now(m, r) || value == m->now.v[r]) return OK;
    if (m->logging) report(m, WARNING, CATEGORIES[1], "%s: '%s' changes at events only; ignored at t = %g s", m->name, variable, TIME(m));
    return WARNING;
}

UNIT void put(Instance *m, unsigned r, double value) {
    if (!changes_now(m, r)) return;
    m->now.v[r] = without_denormals(value);
    if (r >= FIRST_X) m->now.x_start[r - FIRST_X] = value;
    m->inputs_moved |= r < FIRST_P;
    m->now.dirty = ALL;
}

/* ---- Co-Simulation --------------------------------------------------------------------------------------------- */

#if OWN_ERK
#include "erk.c"
#endif

/* a step of h seconds into scratch_x and scratch_q; to the first event, whose index and place come into `reached` */
UNIT int integrate(Instance *m, double h, int to_event) {
    m->arg[0] = &TIME(m);
    m->arg[1] = &h;
    m->arg[2] = states(m);
    m->arg[3] = unknowns(m);
    m->arg[4] = inputs(m);
    m->arg[5] = parameters(m);
    m->res[0] = m->scratch_x;
    m->res[1] = m->scratch_z;
    m->res[2] = m->scratch_q;
    m->reached[0] = -1;
    m->reached[1] = 1;
    int failed;
#if N_E > 0
    m->res[3] = m->reached;
    failed = to_event ? galenic_step_to_event(m->arg, m->res, m->iw, m->w, 0) : galenic_step(m->arg, m->res, m->iw, m->w, 0);
#elif OWN_ERK
    (void)to_event;
    failed = erk_step(m, h);
#else
    (void)to_event;
    failed = galenic_step(m->arg, m->res, m->iw, m->w, 0);
#endif
    for (int i = 0; !failed && i < N_X; ++i)
        if (!isfinite(m->scratch_x[i])) {
            failed = 1;
            FAIL("%s: '%s' is not finite", m->name, model_names[FIRST_X + i]);
        }
    if (failed) {
        FAIL("%s: the integrator failed between t = %g s and t = %g s", m->name, TIME(m), TIME(m) + h);
        return 1;
    }
    for (int i = 0; i < N_X; ++i) {
        double old = states(m)[i], new = without_denormals(m->scratch_x[i]);
        /* a discrete state that no event changed: the integrator's linear algebra leaves rounding noise in it */
        int noise = model_discrete[i] && fabs(new - old) <= 1e-12 * fmax(fabs(old), model_nominal[i]);
        states(m)[i] = noise ? old : model_discrete[i] && model_kind[FIRST_X + i] != 'R' ? round(new) : new;
    }
    m->now.pending = (int)m->reached[0];
    return 0;
}

UNIT Status begin_step(Instance *m, double time, double h) {
    if (!(h > 0) || !isfinite(h)) return FAIL("%s: step size %g s at t = %g s", m->name, h, TIME(m));
    if (fabs(time - TIME(m)) > 1e-9 * fmax(1.0, fabs(time)))
        return FAIL("%s: step asked for at t = %.17g s, but the FMU is at t = %.17g s", m->name, time, TIME(m));
    TIME(m) = time;
    if (solve_algebraic(m)) return FAIL("%s: no consistent state at t = %g s for the present inputs", m->name, time);
    return OK;
}

static Status settle_before_step(Instance *m) {
    return settle_events(m) ? FAIL("%s: no consistent state at t = %g s for the present inputs", m->name, TIME(m)) : OK;
}

UNIT void remember_step(Instance *m) {
    m->now.last_time = TIME(m);
    m->now.last_step = 0; /* until the step has succeeded */
    memcpy(m->now.last_x, states(m), N_X * sizeof(double));
    memcpy(m->now.last_u, inputs(m), N_U * sizeof(double));
    m->inputs_moved = 0;
}

/* an event that is due just where the step ends belongs to it, so that what is read there is what follows from it */
UNIT Status end_step(Instance *m, int settle) {
    if (solve_algebraic(m) || (settle && settle_events(m)) || evaluate_outputs(m))
        return FAIL("%s: the outputs cannot be evaluated at t = %g s", m->name, TIME(m));
    m->now.dirty = RATES;
    return OK;
}

/* a whole communication step, events included */
UNIT Status whole_step(Instance *m, double time, double h) {
    Status status = begin_step(m, time, h);
    if (status == OK) status = settle_before_step(m);
    if (status != OK) return status;
    remember_step(m);
    if (integrate(m, h, 0)) return ERROR;
    memcpy(m->now.v + FIRST_Q, m->scratch_q, N_Q * sizeof(double));
    TIME(m) = time + h;
    m->now.last_step = h;
    return end_step(m, 1);
}

/* ---- Model Exchange -------------------------------------------------------------------------------------------- */

UNIT Status exchange_states(Instance *m, double *x, size_t n, const double *from) {
    if (n != N_D) return FAIL("%s: there are %d continuous states, not %zu", m->name, N_D, n);
    for (int i = 0; from && i < N_D; ++i)
        if (!isfinite(from[i]))
            return REFUSE("%s: '%s' was set to %g at t = %g s", m->name, model_names[FIRST_X + model_derived[i]], from[i], TIME(m));
    for (int i = 0; i < N_D; ++i) {
        double *state = states(m) + model_derived[i];
        if (from) *state = from[i];
        else x[i] = *state;
    }
    if (from) m->now.dirty = ALL;
    return OK;
}

UNIT Status get_rates(Instance *m, double *to, size_t n, unsigned first, size_t count, const char *what) {
    if (n != count) return FAIL("%s: there are %zu %s, not %zu", m->name, count, what, n);
    int failed = refresh_rates(m);
    for (size_t i = 0; !failed && i < n; ++i) {
        to[i] = m->now.v[first + i];
        if (!isfinite(to[i])) return REFUSE("%s: '%s' is %g at t = %g s", m->name, model_names[first + i], to[i], TIME(m));
    }
    return failed ? REFUSE("%s: the %s cannot be evaluated at t = %g s", m->name, what, TIME(m)) : OK;
}

UNIT Status get_nominals(Instance *m, double *x, size_t n) {
    if (n != N_D) return FAIL("%s: there are %d continuous states, not %zu", m->name, N_D, n);
    for (int i = 0; i < N_D; ++i) x[i] = model_nominal[model_derived[i]];
    return OK;
}

UNIT Status handle_events(Instance *m, int *states_changed) {
    memcpy(m->moved_x, states(m), N_X * sizeof(double));
    if (solve_algebraic(m) || settle_events(m)) return FAIL("%s: no consistent state at t = %g s", m->name, TIME(m));
    *states_changed = 0;
    for (int i = 0; i < N_D; ++i) *states_changed |= m->moved_x[model_derived[i]] != states(m)[model_derived[i]];
    m->now.dirty = ALL;
    return OK;
}

UNIT Status enter_continuous_time(Instance *m) {
    if (refresh_rates(m)) return FAIL("%s: no consistent state at t = %g s", m->name, TIME(m));
    for (int e = 0; e < N_E; ++e) m->now.armed[e] = m->now.v[FIRST_E + e] > 0;
    m->now.mode = CONTINUOUS;
    return OK;
}

/* ---- state ----------------------------------------------------------------------------------------------------- */

UNIT Status take_state(Instance *m, void **state) {
    if (!*state) *state = malloc(sizeof(Snapshot));
    if (!*state) return FAIL("%s: no memory for an FMU state", m->name);
    memcpy(*state, &m->now, sizeof(Snapshot));
    return OK;
}

UNIT Status put_state(Instance *m, const void *state) {
    if (((const Snapshot *)state)->model != own_key(m)) return FAIL("%s: that is no state of this FMU", m->name);
    memcpy(&m->now, state, sizeof(Snapshot));
    return OK;
}

UNIT Status serialize(Instance *m, const void *state, char *bytes, size_t size) {
    if (size < sizeof(Snapshot)) return FAIL("%s: %zu bytes do not hold the state, %zu do", m->name, size, sizeof(Snapshot));
    memcpy(bytes, state, sizeof(Snapshot));
    return OK;
}

UNIT Status deserialize(Instance *m, const char *bytes, size_t size, void **state) {
    unsigned long long model = 0;
    if (size >= sizeof model) memcpy(&model, bytes, sizeof model);
    if (size != sizeof(Snapshot) || model != own_key(m)) return FAIL("%s: %zu bytes are no state of this FMU", m->name, size);
    if (!*state) *state = malloc(sizeof(Snapshot));
    if (!*state) return FAIL("%s: no memory for an FMU state", m->name);
    memcpy(*state, bytes, sizeof(Snapshot));
    return OK;
}

/* ---- derivatives ----------------------------------------------------------------------------------------------- */

static const char *const TAKEN_BY[] = {"inputs, parameters and start values", "inputs and the states at the step's start",
                                       "inputs and states"};
static const char *const TAKEN_OF[] = {"states, derivatives and outputs", "outputs and the states at the step's end",
                                       "derivatives and outputs"};

static Status not_derivable(Instance *m, unsigned r, const char *word, const char *which) {
    return FAIL("%s: no derivative %s '%s' (value reference %u): at this point derivatives are taken %s %s", m->name, word,
                r < N_V ? model_names[r] : "", r, word, which);
}

UNIT double *seed_slot(Instance *m, unsigned r) {
    if (r < FIRST_P) return m->seed_u + r;
    if (r < FIRST_X) return subject(m) == OF_START ? m->seed_p + (r - FIRST_P) : NULL;
    if (r < FIRST_Z) return subject(m) == OF_START && !model_settable[r] ? NULL : m->seed_x + (r - FIRST_X);
    return NULL;
}

UNIT double *moved_slot(Instance *m, unsigned r) {
    if (r >= FIRST_Y && r < FIRST_D) return m->moved_y + (r - FIRST_Y);
    if (r >= FIRST_X && r < FIRST_Z) return subject(m) == OF_INSTANT ? NULL : m->moved_x + (r - FIRST_X);
    if (r >= FIRST_D && r < FIRST_E) return subject(m) == OF_STEP ? NULL : m->moved_d + model_derived[r - FIRST_D];
    return NULL;
}

UNIT void clear_seeds(Instance *m) {
    memset(m->seed_x, 0, sizeof m->seed_x);
    memset(m->seed_u, 0, sizeof m->seed_u);
    memset(m->seed_p, 0, sizeof m->seed_p);
}

/* checks the references and says how many values they have */
UNIT Status derivable(Instance *m, const unsigned *unknown, size_t n_unknown, const unsigned *known, size_t n_known,
                        size_t *values_unknown, size_t *values_known) {
    *values_unknown = *values_known = 0;
    for (size_t i = 0; i < n_known; *values_known += WIDTH(m, known[i]), ++i)
        if (known[i] >= N_V || !seed_slot(m, known[i]))
            return not_derivable(m, known[i], "by", TAKEN_BY[subject(m)]);
    for (size_t i = 0; i < n_unknown; *values_unknown += WIDTH(m, unknown[i]), ++i)
        if (unknown[i] >= N_V || !moved_slot(m, unknown[i]))
            return not_derivable(m, unknown[i], "of", TAKEN_OF[subject(m)]);
    if (refresh(m)) return FAIL("%s: no consistent state at t = %g s", m->name, TIME(m));
    return OK;
}

/* seeds -> moved */
UNIT Status sweep(Instance *m) {
    int failed;
    if (subject(m) == OF_START) {
        const double *args[] = {&TIME(m), m->now.x_start, inputs(m), parameters(m), m->seed_x, m->seed_u, m->seed_p};
        double *results[] = {m->moved_x, m->moved_d, m->moved_y};
        memcpy(m->arg, args, sizeof args);
        memcpy(m->res, results, sizeof results);
        failed = galenic_initial_tangent(m->arg, m->res, m->iw, m->w, 0);
    } else if (subject(m) == OF_STEP) {
        const double *args[] = {&m->now.last_time, &m->now.last_step, m->now.last_x, m->now.last_u, parameters(m), m->seed_x, m->seed_u};
        double *results[] = {m->moved_x, m->moved_y};
        memcpy(m->arg, args, sizeof args);
        memcpy(m->res, results, sizeof results);
        failed = galenic_sensitivity(m->arg, m->res, m->iw, m->w, 0);
    } else {
        const double *args[] = {&TIME(m), states(m), inputs(m), parameters(m), m->seed_x, m->seed_u};
        double *results[] = {m->moved_d, m->moved_y};
        memcpy(m->arg, args, sizeof args);
        memcpy(m->res, results, sizeof results);
        failed = galenic_tangent(m->arg, m->res, m->iw, m->w, 0);
    }
    return failed ? FAIL("%s: the derivative at t = %g s failed", m->name, TIME(m)) : OK;
}

/* what is seeded in moved_d and moved_y, at this instant, back to seed_x and seed_u */
UNIT Status sweep_back(Instance *m) {
    const double *args[] = {&TIME(m), states(m), inputs(m), parameters(m), m->moved_d, m->moved_y};
    double *results[] = {m->seed_x, m->seed_u};
    memcpy(m->arg, args, sizeof args);
    memcpy(m->res, results, sizeof results);
    int failed = galenic_cotangent(m->arg, m->res, m->iw, m->w, 0);
    return failed ? FAIL("%s: the derivative at t = %g s failed", m->name, TIME(m)) : OK;
}

UNIT Status directional_derivative(Instance *m, const unsigned *unknown, size_t n_unknown, const unsigned *known,
                                     size_t n_known, const double *seed, double *sensitivity) {
    clear_seeds(m);
    for (size_t i = 0; i < n_known; ++i)
        for (unsigned k = 0; k < WIDTH(m, known[i]); ++k) *seed_slot(m, known[i] + k) += *seed++;
    Status status = sweep(m);
    for (size_t i = 0; status == OK && i < n_unknown; ++i)
        for (unsigned k = 0; k < WIDTH(m, unknown[i]); ++k) *sensitivity++ = *moved_slot(m, unknown[i] + k);
    return status;
}
