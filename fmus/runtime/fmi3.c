/* The functions of FMI 3.0, Co-Simulation and Model Exchange, for one unit model; the work is done in unit.c.
 * Compile this file alone. For static linking define FMI3_FUNCTION_PREFIX, as in the standard's own header. */
#ifdef GALENIC_UNIT_APART
#include "unit.h"
#else
#include "unit.c"
#endif

#include <stdbool.h>
#include <stdint.h>

#ifdef FMI3_FUNCTION_PREFIX
#define API(name) PREFIXED(FMI3_FUNCTION_PREFIX, name)
#else
#define API(name) name
#endif

/* types of the FMI 3.0 standard, section 2.2 */
typedef void *fmi3Instance;
typedef void *fmi3InstanceEnvironment;
typedef void *fmi3FMUState;
typedef uint32_t fmi3ValueReference;
typedef double fmi3Float64;
typedef bool fmi3Boolean;
typedef const char *fmi3String;
typedef uint8_t fmi3Byte;
typedef const fmi3Byte *fmi3Binary;
typedef bool fmi3Clock;
typedef Status fmi3Status;
typedef int fmi3IntervalQualifier;
typedef int fmi3DependencyKind;
typedef void (*fmi3LogMessageCallback)(fmi3InstanceEnvironment, fmi3Status, fmi3String, fmi3String);
typedef void (*fmi3IntermediateUpdateCallback)(fmi3InstanceEnvironment, fmi3Float64, fmi3Boolean, fmi3Boolean, fmi3Boolean,
                                               fmi3Boolean, fmi3Boolean *, fmi3Float64 *);
typedef void (*fmi3Callback)(void);

/* in how many parts a step is taken where the importer wants to look at it in between */
enum { INTERMEDIATE_PARTS = 10 };

static void log_message(Instance *m, Status status, const char *category, const char *text) {
    if (m->logger) ((fmi3LogMessageCallback)m->logger)(m->environment, status, category, text);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

FMI_EXPORT const char *API(fmi3GetVersion)(void) { return "3.0"; }

static Instance *instantiate(Interface kind, fmi3String name, fmi3String token, fmi3Boolean logging,
                             fmi3InstanceEnvironment environment, fmi3LogMessageCallback logger) {
    const char *why = wrong_token(token, MODEL_GUID);
    if (why) {
        if (logger) logger(environment, ERROR, CATEGORIES[0], why);
        return NULL;
    }
    Instance *m = create(calloc(1, sizeof(Instance)), free, kind, name, logging, MODEL_KEY);
    if (!m) return NULL;
    m->arrays = 1;
    m->logger = (void (*)(void))logger;
    m->environment = environment;
    m->log = log_message;
    return m;
}

FMI_EXPORT fmi3Instance API(fmi3InstantiateModelExchange)(fmi3String name, fmi3String token, fmi3String resources,
                                                          fmi3Boolean visible, fmi3Boolean logging,
                                                          fmi3InstanceEnvironment environment,
                                                          fmi3LogMessageCallback logger) {
    (void)resources, (void)visible;
    return instantiate(MODEL_EXCHANGE, name, token, logging, environment, logger);
}

FMI_EXPORT fmi3Instance API(fmi3InstantiateCoSimulation)(
    fmi3String name, fmi3String token, fmi3String resources, fmi3Boolean visible, fmi3Boolean logging,
    fmi3Boolean event_mode, fmi3Boolean early_return, const fmi3ValueReference intermediate[], size_t n_intermediate,
    fmi3InstanceEnvironment environment, fmi3LogMessageCallback logger, fmi3IntermediateUpdateCallback update) {
    (void)resources, (void)visible, (void)intermediate;
    Instance *m = instantiate(CO_SIMULATION, name, token, logging, environment, logger);
    if (!m) return NULL;
    m->event_mode = event_mode;
    m->early_return = early_return;
    m->intermediate = (void (*)(void))update;
    m->pieces = update && n_intermediate ? INTERMEDIATE_PARTS : 1;
    return m;
}

FMI_EXPORT fmi3Instance API(fmi3InstantiateScheduledExecution)(fmi3String name, fmi3String token, fmi3String resources,
                                                               fmi3Boolean visible, fmi3Boolean logging,
                                                               fmi3InstanceEnvironment environment,
                                                               fmi3LogMessageCallback logger, fmi3Callback clock_update,
                                                               fmi3Callback lock, fmi3Callback unlock) {
    (void)name, (void)token, (void)resources, (void)visible, (void)logging, (void)clock_update, (void)lock, (void)unlock;
    if (logger) logger(environment, ERROR, CATEGORIES[0], "this FMU has Co-Simulation and Model Exchange, no Scheduled Execution");
    return NULL;
}

FMI_EXPORT void API(fmi3FreeInstance)(fmi3Instance c) {
    Instance *m = (Instance *)c;
    if (m) m->release(m);
}

FMI_EXPORT fmi3Status API(fmi3SetDebugLogging)(fmi3Instance c, fmi3Boolean on, size_t n, const fmi3String categories[]) {
    Instance *m = (Instance *)c;
    return m ? set_logging(m, on, n, categories) : ERROR;
}

FMI_EXPORT fmi3Status API(fmi3EnterInitializationMode)(fmi3Instance c, fmi3Boolean tolerance_defined, fmi3Float64 tolerance,
                                                       fmi3Float64 start, fmi3Boolean stop_defined, fmi3Float64 stop) {
    REQUIRE(INSTANTIATED, "fmi3EnterInitializationMode")
    (void)tolerance_defined, (void)tolerance; /* the integrator keeps its own, tighter tolerance */
    Status status = set_start_time(m, start, stop_defined, stop);
    if (status == OK) m->now.mode = INITIALIZATION;
    return status;
}

FMI_EXPORT fmi3Status API(fmi3ExitInitializationMode)(fmi3Instance c) {
    REQUIRE(INITIALIZATION, "fmi3ExitInitializationMode")
    return finish_initialization(m, m->kind == CO_SIMULATION && !m->event_mode ? STEPPING : EVENT);
}

FMI_EXPORT fmi3Status API(fmi3Terminate)(fmi3Instance c) {
    REQUIRE(RUNNING & ~INTERMEDIATE, "fmi3Terminate")
    m->now.mode = TERMINATED;
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3Reset)(fmi3Instance c) {
    Instance *m = (Instance *)c;
    if (!m) return ERROR;
    reset(m);
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3EnterConfigurationMode)(fmi3Instance c) {
    Instance *m = (Instance *)c;
    return m ? FAIL("%s: there are no structural parameters to configure", m->name) : ERROR;
}

FMI_EXPORT fmi3Status API(fmi3ExitConfigurationMode)(fmi3Instance c) {
    Instance *m = (Instance *)c;
    return m ? FAIL("%s: there are no structural parameters to configure", m->name) : ERROR;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static Status count_fits(Instance *m, size_t expected, size_t given, const char *call) {
    return expected == given ? OK : FAIL("%s: %s: the references have %zu values, the array %zu", m->name, call, expected, given);
}

#define GET(call, type, kind, expression)                                                                        \
    FMI_EXPORT fmi3Status API(call)(fmi3Instance c, const fmi3ValueReference vr[], size_t n, type value[], size_t size) { \
        REQUIRE(READABLE, #call)                                                                                 \
        size_t values;                                                                                           \
        Status status = readable(m, vr, n, kind, kind, &values);                                                 \
        if (status == OK) status = count_fits(m, values, size, #call);                                           \
        for (size_t i = 0; status == OK && i < n; ++i)                                                           \
            for (unsigned k = 0; k < WIDTH(m, vr[i]); ++k) {                                                     \
                double v = m->now.v[vr[i] + k];                                                                  \
                *value++ = expression;                                                                           \
            }                                                                                                    \
        return status;                                                                                           \
    }
GET(fmi3GetFloat64, fmi3Float64, 'R', v)
GET(fmi3GetInt32, int32_t, 'I', (int32_t)lround(v))
GET(fmi3GetInt64, int64_t, 'E', (int64_t)llround(v))
GET(fmi3GetBoolean, fmi3Boolean, 'B', v > 0.5)

#define SET(call, type, kind, expression)                                                                              \
    FMI_EXPORT fmi3Status API(call)(fmi3Instance c, const fmi3ValueReference vr[], size_t n, const type value[], size_t size) { \
        REQUIRE(WRITABLE, #call)                                                                                       \
        size_t i = 0;                                                                                                  \
        Status worst = OK;                                                                                             \
        for (size_t j = 0; j < n; ++j) {                                                                               \
            if (vr[j] >= N_V || model_kind[vr[j]] != kind || WIDTH(m, vr[j]) == 0)                                     \
                return FAIL("%s: value reference %u is no %s variable", m->name, vr[j], kind_name(kind));              \
            for (unsigned k = 0; k < WIDTH(m, vr[j]); ++k, ++i) {                                                      \
                if (i >= size) return count_fits(m, i + 1, size, #call);                                               \
                Status status = settable(m, vr[j] + k, expression);                                                    \
                if (status > WARNING) return status;                                                                   \
                if (status > worst) worst = status;                                                                    \
            }                                                                                                          \
        }                                                                                                              \
        if (i != size) return count_fits(m, i, size, #call);                                                           \
        i = 0;                                                                                                         \
        for (size_t j = 0; j < n; ++j)                                                                                 \
            for (unsigned k = 0; k < WIDTH(m, vr[j]); ++k, ++i) put(m, vr[j] + k, expression);                         \
        return worst;                                                                                                  \
    }
SET(fmi3SetFloat64, fmi3Float64, 'R', value[i])
SET(fmi3SetInt32, int32_t, 'I', (double)value[i])
SET(fmi3SetInt64, int64_t, 'E', (double)value[i])
SET(fmi3SetBoolean, fmi3Boolean, 'B', value[i] ? 1.0 : 0.0)

/* types of which no unit has variables */
#define NONE(call, modes, ...)                                                                          \
    FMI_EXPORT fmi3Status API(call)(fmi3Instance c, const fmi3ValueReference vr[], size_t n, __VA_ARGS__) { \
        REQUIRE(modes, #call)                                                                           \
        return n ? FAIL("%s: %s: value reference %u has another type", m->name, #call, vr[0]) : OK;     \
    }
NONE(fmi3GetFloat32, READABLE, float value[], size_t size)
NONE(fmi3GetInt8, READABLE, int8_t value[], size_t size)
NONE(fmi3GetUInt8, READABLE, uint8_t value[], size_t size)
NONE(fmi3GetInt16, READABLE, int16_t value[], size_t size)
NONE(fmi3GetUInt16, READABLE, uint16_t value[], size_t size)
NONE(fmi3GetUInt32, READABLE, uint32_t value[], size_t size)
NONE(fmi3GetUInt64, READABLE, uint64_t value[], size_t size)
NONE(fmi3GetString, READABLE, fmi3String value[], size_t size)
NONE(fmi3GetBinary, READABLE, size_t sizes[], fmi3Binary value[], size_t size)
NONE(fmi3GetClock, READABLE, fmi3Clock value[])
NONE(fmi3SetFloat32, WRITABLE, const float value[], size_t size)
NONE(fmi3SetInt8, WRITABLE, const int8_t value[], size_t size)
NONE(fmi3SetUInt8, WRITABLE, const uint8_t value[], size_t size)
NONE(fmi3SetInt16, WRITABLE, const int16_t value[], size_t size)
NONE(fmi3SetUInt16, WRITABLE, const uint16_t value[], size_t size)
NONE(fmi3SetUInt32, WRITABLE, const uint32_t value[], size_t size)
NONE(fmi3SetUInt64, WRITABLE, const uint64_t value[], size_t size)
NONE(fmi3SetString, WRITABLE, const fmi3String value[], size_t size)
NONE(fmi3SetBinary, WRITABLE, const size_t sizes[], const fmi3Binary value[], size_t size)
NONE(fmi3SetClock, WRITABLE, const fmi3Clock value[])
NONE(fmi3GetIntervalDecimal, READABLE, fmi3Float64 intervals[], fmi3IntervalQualifier qualifiers[])
NONE(fmi3GetIntervalFraction, READABLE, uint64_t counters[], uint64_t resolutions[], fmi3IntervalQualifier qualifiers[])
NONE(fmi3GetShiftDecimal, READABLE, fmi3Float64 shifts[])
NONE(fmi3GetShiftFraction, READABLE, uint64_t counters[], uint64_t resolutions[])
NONE(fmi3SetIntervalDecimal, WRITABLE, const fmi3Float64 intervals[])
NONE(fmi3SetIntervalFraction, WRITABLE, const uint64_t counters[], const uint64_t resolutions[])
NONE(fmi3SetShiftDecimal, WRITABLE, const fmi3Float64 shifts[])
NONE(fmi3SetShiftFraction, WRITABLE, const uint64_t counters[], const uint64_t resolutions[])

FMI_EXPORT fmi3Status API(fmi3GetNumberOfVariableDependencies)(fmi3Instance c, fmi3ValueReference vr, size_t *n) {
    Instance *m = (Instance *)c;
    (void)vr, (void)n;
    return m ? FAIL("%s: dependencies are those of modelDescription.xml, not by element", m->name) : ERROR;
}

FMI_EXPORT fmi3Status API(fmi3GetVariableDependencies)(fmi3Instance c, fmi3ValueReference dependent, size_t elements[],
                                                       fmi3ValueReference independents[], size_t of[],
                                                       fmi3DependencyKind kinds[], size_t n) {
    Instance *m = (Instance *)c;
    (void)dependent, (void)elements, (void)independents, (void)of, (void)kinds, (void)n;
    return m ? FAIL("%s: dependencies are those of modelDescription.xml, not by element", m->name) : ERROR;
}

/* ---- state and derivatives ------------------------------------------------------------------------------------- */

FMI_EXPORT fmi3Status API(fmi3GetFMUState)(fmi3Instance c, fmi3FMUState *state) {
    REQUIRE(READABLE & ~INTERMEDIATE, "fmi3GetFMUState")
    return take_state(m, state);
}

FMI_EXPORT fmi3Status API(fmi3SetFMUState)(fmi3Instance c, fmi3FMUState state) {
    Instance *m = (Instance *)c;
    return m && state ? put_state(m, state) : ERROR;
}

FMI_EXPORT fmi3Status API(fmi3FreeFMUState)(fmi3Instance c, fmi3FMUState *state) {
    (void)c;
    if (!state) return OK;
    free(*state);
    *state = NULL;
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3SerializedFMUStateSize)(fmi3Instance c, fmi3FMUState state, size_t *size) {
    (void)c, (void)state;
    *size = sizeof(Snapshot);
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3SerializeFMUState)(fmi3Instance c, fmi3FMUState state, fmi3Byte bytes[], size_t size) {
    Instance *m = (Instance *)c;
    return m && state ? serialize(m, state, (char *)bytes, size) : ERROR;
}

FMI_EXPORT fmi3Status API(fmi3DeserializeFMUState)(fmi3Instance c, const fmi3Byte bytes[], size_t size, fmi3FMUState *state) {
    Instance *m = (Instance *)c;
    return m ? deserialize(m, (const char *)bytes, size, state) : ERROR;
}

enum { DERIVABLE = INITIALIZATION | STEPPING | EVENT | CONTINUOUS | TERMINATED };

FMI_EXPORT fmi3Status API(fmi3GetDirectionalDerivative)(fmi3Instance c, const fmi3ValueReference unknown[], size_t n_unknown,
                                                        const fmi3ValueReference known[], size_t n_known,
                                                        const fmi3Float64 seed[], size_t n_seed, fmi3Float64 sensitivity[],
                                                        size_t n_sensitivity) {
    REQUIRE(DERIVABLE, "fmi3GetDirectionalDerivative")
    size_t unknowns, knowns;
    Status status = derivable(m, unknown, n_unknown, known, n_known, &unknowns, &knowns);
    if (status == OK) status = count_fits(m, knowns, n_seed, "fmi3GetDirectionalDerivative");
    if (status == OK) status = count_fits(m, unknowns, n_sensitivity, "fmi3GetDirectionalDerivative");
    return status == OK ? directional_derivative(m, unknown, n_unknown, known, n_known, seed, sensitivity) : status;
}

/* at an instant one reverse sweep; of a step or the start one forward sweep for each known */
static Status adjoint_derivative(Instance *m, const unsigned *unknown, size_t n_unknown, const unsigned *known,
                                 size_t n_known, const double *seed, double *sensitivity) {
    if (subject(m) == OF_INSTANT) {
        memset(m->moved_d, 0, sizeof m->moved_d);
        memset(m->moved_y, 0, sizeof m->moved_y);
        for (size_t i = 0; i < n_unknown; ++i)
            for (unsigned k = 0; k < WIDTH(m, unknown[i]); ++k) *moved_slot(m, unknown[i] + k) += *seed++;
        if (sweep_back(m) != OK) return ERROR;
        for (size_t i = 0; i < n_known; ++i)
            for (unsigned k = 0; k < WIDTH(m, known[i]); ++k) *sensitivity++ = *seed_slot(m, known[i] + k);
        return OK;
    }
    for (size_t i = 0; i < n_known; ++i)
        for (unsigned k = 0; k < WIDTH(m, known[i]); ++k) {
            clear_seeds(m);
            *seed_slot(m, known[i] + k) = 1.0;
            Status status = sweep(m);
            if (status != OK) return status;
            const double *weight = seed;
            double sum = 0.0;
            for (size_t j = 0; j < n_unknown; ++j)
                for (unsigned l = 0; l < WIDTH(m, unknown[j]); ++l) sum += *weight++ * *moved_slot(m, unknown[j] + l);
            *sensitivity++ = sum;
        }
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3GetAdjointDerivative)(fmi3Instance c, const fmi3ValueReference unknown[], size_t n_unknown,
                                                    const fmi3ValueReference known[], size_t n_known,
                                                    const fmi3Float64 seed[], size_t n_seed, fmi3Float64 sensitivity[],
                                                    size_t n_sensitivity) {
    REQUIRE(DERIVABLE, "fmi3GetAdjointDerivative")
    size_t unknowns, knowns;
    Status status = derivable(m, unknown, n_unknown, known, n_known, &unknowns, &knowns);
    if (status == OK) status = count_fits(m, unknowns, n_seed, "fmi3GetAdjointDerivative");
    if (status == OK) status = count_fits(m, knowns, n_sensitivity, "fmi3GetAdjointDerivative");
    return status == OK ? adjoint_derivative(m, unknown, n_unknown, known, n_known, seed, sensitivity) : status;
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

FMI_EXPORT fmi3Status API(fmi3EnterEventMode)(fmi3Instance c) {
    REQUIRE(STEPPING | CONTINUOUS, "fmi3EnterEventMode")
    if (m->kind == CO_SIMULATION && !m->event_mode)
        return FAIL("%s: fmi3EnterEventMode: it was instantiated without event mode", m->name);
    m->now.mode = EVENT;
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3EvaluateDiscreteStates)(fmi3Instance c) {
    REQUIRE(INITIALIZATION | EVENT, "fmi3EvaluateDiscreteStates")
    return FAIL("%s: fmi3EvaluateDiscreteStates is not provided", m->name);
}

FMI_EXPORT fmi3Status API(fmi3UpdateDiscreteStates)(fmi3Instance c, fmi3Boolean *again, fmi3Boolean *terminate,
                                                    fmi3Boolean *nominals_changed, fmi3Boolean *states_changed,
                                                    fmi3Boolean *next_defined, fmi3Float64 *next) {
    REQUIRE(EVENT, "fmi3UpdateDiscreteStates")
    int changed = 0;
    Status status = handle_events(m, &changed);
    *again = *terminate = *nominals_changed = *next_defined = false;
    *next = 0.0;
    *states_changed = changed;
    return status;
}

/* ---- Co-Simulation --------------------------------------------------------------------------------------------- */

FMI_EXPORT fmi3Status API(fmi3EnterStepMode)(fmi3Instance c) {
    REQUIRE_KIND(CO_SIMULATION, EVENT, "fmi3EnterStepMode")
    m->now.mode = STEPPING;
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3GetOutputDerivatives)(fmi3Instance c, const fmi3ValueReference vr[], size_t n,
                                                    const int32_t orders[], fmi3Float64 values[], size_t size) {
    Instance *m = (Instance *)c;
    (void)vr, (void)n, (void)orders, (void)values, (void)size;
    return m ? FAIL("%s: derivatives of outputs are not provided", m->name) : ERROR;
}

/* shows the importer this point of the step; true if it wants doStep to end, at or after `until` */
static int show(Instance *m, int finished, double *until) {
    fmi3Boolean wanted = false;
    double at = TIME(m);
    m->now.mode = INTERMEDIATE;
    m->now.dirty = ALL;
    ((fmi3IntermediateUpdateCallback)m->intermediate)(m->environment, TIME(m), !finished, true, true, m->early_return && !finished,
                                                      &wanted, &at);
    if (m->now.mode == INTERMEDIATE) m->now.mode = STEPPING;
    if (wanted && m->early_return && !finished) *until = fmin(*until, fmax(at, TIME(m)));
    return wanted;
}

/* a communication step in parts: it may end early at an event or because the importer wishes so */
static Status step_in_parts(Instance *m, double time, double h, bool *event, bool *early) {
    int to_event = m->event_mode && m->early_return;
    double until = time + h, part = h / m->pieces;
    memset(m->mean, 0, sizeof m->mean);
    remember_step(m);
    int inputs_moved = 0;
    for (int k = 1; TIME(m) < until && m->now.pending < 0; ++k) {
        double begin = TIME(m), end = k < m->pieces ? fmin(time + k * part, until) : until;
        if (!(end > begin)) continue;
        if (solve_algebraic(m) || (!to_event && settle_events(m)))
            return FAIL("%s: no consistent state at t = %g s for the present inputs", m->name, begin);
        if (integrate(m, end - begin, to_event)) return ERROR;
        TIME(m) = m->now.pending < 0 ? end : begin + m->reached[1] * (end - begin);
        for (int i = 0; i < N_Q; ++i) {
            m->mean[i] += m->scratch_q[i] * (TIME(m) - begin);
            m->now.v[FIRST_Q + i] = TIME(m) > time ? m->mean[i] / (TIME(m) - time) : m->scratch_q[i];
        }
        if (m->intermediate && m->pieces > 1 && m->now.pending < 0) {
            show(m, TIME(m) >= time + h, &until);
            if (m->now.mode == FAILED) return ERROR;
            inputs_moved |= m->inputs_moved;
        }
    }
    if (to_event && m->now.pending < 0 && N_E > 0) {
        if (solve_algebraic(m)) return FAIL("%s: no consistent state at t = %g s", m->name, TIME(m));
        int due = due_event(m);
        if (due < 0) return FAIL("%s: no consistent state at t = %g s", m->name, TIME(m));
        if (due < N_E) m->now.pending = due;
    }
    *event = m->now.pending >= 0;
    *early = TIME(m) < time + h;
    /* the derivative of a step is that of a whole one with constant inputs */
    m->now.last_step = *early || *event || inputs_moved ? 0 : h;
    return end_step(m, !to_event);
}

FMI_EXPORT fmi3Status API(fmi3DoStep)(fmi3Instance c, fmi3Float64 time, fmi3Float64 h, fmi3Boolean no_rollback,
                                      fmi3Boolean *event, fmi3Boolean *terminate, fmi3Boolean *early, fmi3Float64 *reached) {
    REQUIRE_KIND(CO_SIMULATION, STEPPING, "fmi3DoStep")
    (void)no_rollback;
    *event = *terminate = *early = false;
    *reached = TIME(m);
    Status status;
    int in_parts = m->pieces > 1 || (N_E > 0 && m->event_mode && m->early_return);
    if (!in_parts) {
        status = whole_step(m, time, h);
    } else {
        status = begin_step(m, time, h);
        if (status != OK) return status;
        if (N_E > 0 && m->event_mode && m->early_return) { /* an input may have caused an event: event mode first */
            int due = m->now.pending < 0 ? due_event(m) : m->now.pending;
            if (due < 0) return FAIL("%s: no consistent state at t = %g s", m->name, time);
            m->now.pending = due < N_E ? due : -1;
        }
        status = step_in_parts(m, time, h, event, early);
    }
    *reached = TIME(m);
    return status;
}

/* ---- Model Exchange -------------------------------------------------------------------------------------------- */

FMI_EXPORT fmi3Status API(fmi3EnterContinuousTimeMode)(fmi3Instance c) {
    REQUIRE_KIND(MODEL_EXCHANGE, EVENT, "fmi3EnterContinuousTimeMode")
    return enter_continuous_time(m);
}

FMI_EXPORT fmi3Status API(fmi3CompletedIntegratorStep)(fmi3Instance c, fmi3Boolean no_rollback, fmi3Boolean *event_mode,
                                                       fmi3Boolean *terminate) {
    REQUIRE_KIND(MODEL_EXCHANGE, CONTINUOUS, "fmi3CompletedIntegratorStep")
    (void)no_rollback;
    *event_mode = *terminate = false;
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3SetTime)(fmi3Instance c, fmi3Float64 time) {
    REQUIRE_KIND(MODEL_EXCHANGE, CONTINUOUS | EVENT, "fmi3SetTime")
    if (!isfinite(time)) return FAIL("%s: the time was set to %g after t = %g s", m->name, time, TIME(m));
    TIME(m) = time;
    m->now.dirty = ALL;
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3SetContinuousStates)(fmi3Instance c, const fmi3Float64 x[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, CONTINUOUS, "fmi3SetContinuousStates")
    return exchange_states(m, NULL, n, x);
}

FMI_EXPORT fmi3Status API(fmi3GetContinuousStates)(fmi3Instance c, fmi3Float64 x[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE & ~INSTANTIATED, "fmi3GetContinuousStates")
    if (refresh(m)) return FAIL("%s: no consistent state at t = %g s", m->name, TIME(m));
    return exchange_states(m, x, n, NULL);
}

FMI_EXPORT fmi3Status API(fmi3GetNominalsOfContinuousStates)(fmi3Instance c, fmi3Float64 x[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE, "fmi3GetNominalsOfContinuousStates")
    return get_nominals(m, x, n);
}

FMI_EXPORT fmi3Status API(fmi3GetContinuousStateDerivatives)(fmi3Instance c, fmi3Float64 rates[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE & ~INSTANTIATED, "fmi3GetContinuousStateDerivatives")
    return get_rates(m, rates, n, FIRST_D, N_D, "derivatives");
}

FMI_EXPORT fmi3Status API(fmi3GetEventIndicators)(fmi3Instance c, fmi3Float64 indicators[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE & ~INSTANTIATED, "fmi3GetEventIndicators")
    return get_rates(m, indicators, n, FIRST_E, N_E, "event indicators");
}

FMI_EXPORT fmi3Status API(fmi3GetNumberOfEventIndicators)(fmi3Instance c, size_t *n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE, "fmi3GetNumberOfEventIndicators")
    *n = N_E;
    return OK;
}

FMI_EXPORT fmi3Status API(fmi3GetNumberOfContinuousStates)(fmi3Instance c, size_t *n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE, "fmi3GetNumberOfContinuousStates")
    *n = N_D;
    return OK;
}

/* ---- Scheduled Execution --------------------------------------------------------------------------------------- */

FMI_EXPORT fmi3Status API(fmi3ActivateModelPartition)(fmi3Instance c, fmi3ValueReference clock, fmi3Float64 time) {
    Instance *m = (Instance *)c;
    (void)clock, (void)time;
    return m ? FAIL("%s: there is no Scheduled Execution and no clock", m->name) : ERROR;
}
