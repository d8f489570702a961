/* The functions of FMI 2.0, Co-Simulation and Model Exchange, for one unit model; the work is done in unit.c.
 * Compile this file alone. For static linking define FMI2_FUNCTION_PREFIX, as in the standard's own header. */
#ifdef GALENIC_UNIT_APART
#include "unit.h"
#else
#include "unit.c"
#endif

#ifdef FMI2_FUNCTION_PREFIX
#define API(name) PREFIXED(FMI2_FUNCTION_PREFIX, name)
#else
#define API(name) name
#endif

/* types of the FMI 2.0 standard, section 2.1 */
typedef void *fmi2Component;
typedef void *fmi2ComponentEnvironment;
typedef void *fmi2FMUstate;
typedef unsigned int fmi2ValueReference;
typedef double fmi2Real;
typedef int fmi2Integer;
typedef int fmi2Boolean;
typedef char fmi2Byte;
typedef const char *fmi2String;
typedef Status fmi2Status;
typedef enum { fmi2ModelExchange, fmi2CoSimulation } fmi2Type;
typedef enum { fmi2DoStepStatus, fmi2PendingStatus, fmi2LastSuccessfulTime, fmi2Terminated } fmi2StatusKind;
typedef void (*fmi2CallbackLogger)(fmi2ComponentEnvironment, fmi2String, fmi2Status, fmi2String, fmi2String, ...);
typedef struct {
    fmi2CallbackLogger logger;
    void *(*allocateMemory)(size_t, size_t);
    void (*freeMemory)(void *);
    void (*stepFinished)(fmi2ComponentEnvironment, fmi2Status);
    fmi2ComponentEnvironment componentEnvironment;
} fmi2CallbackFunctions;
typedef struct {
    fmi2Boolean newDiscreteStatesNeeded, terminateSimulation, nominalsOfContinuousStatesChanged;
    fmi2Boolean valuesOfContinuousStatesChanged, nextEventTimeDefined;
    fmi2Real nextEventTime;
} fmi2EventInfo;

static void log_message(Instance *m, Status status, const char *category, const char *text) {
    if (m->logger) ((fmi2CallbackLogger)m->logger)(m->environment, m->name, status, category, "%s", text);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

FMI_EXPORT const char *API(fmi2GetTypesPlatform)(void) { return "default"; }
FMI_EXPORT const char *API(fmi2GetVersion)(void) { return "2.0"; }

FMI_EXPORT fmi2Component API(fmi2Instantiate)(fmi2String name, fmi2Type type, fmi2String guid, fmi2String resources,
                                              const fmi2CallbackFunctions *functions, fmi2Boolean visible,
                                              fmi2Boolean logging) {
    (void)resources, (void)visible;
    const char *why = wrong_token(guid, MODEL_GUID);
    if (why) {
        if (functions && functions->logger)
            functions->logger(functions->componentEnvironment, name && *name ? name : MODEL_NAME, ERROR, CATEGORIES[0], "%s", why);
        return NULL;
    }
    int own = functions && functions->allocateMemory && functions->freeMemory;
    void *memory = own ? functions->allocateMemory(1, sizeof(Instance)) : calloc(1, sizeof(Instance));
    Instance *m = create(memory, own ? functions->freeMemory : free,
                         type == fmi2CoSimulation ? CO_SIMULATION : MODEL_EXCHANGE, name, logging, MODEL_KEY);
    if (!m) return NULL;
    if (functions) {
        m->logger = (void (*)(void))functions->logger;
        m->environment = functions->componentEnvironment;
    }
    m->log = log_message;
    return m;
}

FMI_EXPORT void API(fmi2FreeInstance)(fmi2Component c) {
    Instance *m = (Instance *)c;
    if (m) m->release(m);
}

FMI_EXPORT fmi2Status API(fmi2SetDebugLogging)(fmi2Component c, fmi2Boolean on, size_t n, const fmi2String categories[]) {
    Instance *m = (Instance *)c;
    return m ? set_logging(m, on, n, categories) : ERROR;
}

FMI_EXPORT fmi2Status API(fmi2SetupExperiment)(fmi2Component c, fmi2Boolean tolerance_defined, fmi2Real tolerance,
                                               fmi2Real start, fmi2Boolean stop_defined, fmi2Real stop) {
    REQUIRE(INSTANTIATED, "fmi2SetupExperiment")
    (void)tolerance_defined, (void)tolerance; /* the integrator keeps its own, tighter tolerance */
    return set_start_time(m, start, stop_defined, stop);
}

FMI_EXPORT fmi2Status API(fmi2EnterInitializationMode)(fmi2Component c) {
    REQUIRE(INSTANTIATED, "fmi2EnterInitializationMode")
    m->now.mode = INITIALIZATION;
    m->now.dirty = ALL;
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2ExitInitializationMode)(fmi2Component c) {
    REQUIRE(INITIALIZATION, "fmi2ExitInitializationMode")
    return finish_initialization(m, m->kind == CO_SIMULATION ? STEPPING : EVENT);
}

FMI_EXPORT fmi2Status API(fmi2Terminate)(fmi2Component c) {
    REQUIRE(RUNNING, "fmi2Terminate")
    m->now.mode = TERMINATED;
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2Reset)(fmi2Component c) {
    Instance *m = (Instance *)c;
    if (!m) return ERROR;
    reset(m);
    return OK;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

#define GET(call, type, kind, or_kind, expression)                                                          \
    FMI_EXPORT fmi2Status API(call)(fmi2Component c, const fmi2ValueReference vr[], size_t n, type value[]) { \
        REQUIRE(READABLE, #call)                                                                            \
        size_t values;                                                                                      \
        fmi2Status status = readable(m, vr, n, kind, or_kind, &values);                                     \
        for (size_t i = 0; status == OK && i < n; ++i) {                                                    \
            double v = m->now.v[vr[i]];                                                                     \
            value[i] = expression;                                                                          \
        }                                                                                                   \
        return status;                                                                                      \
    }
GET(fmi2GetReal, fmi2Real, 'R', 'R', v)
GET(fmi2GetInteger, fmi2Integer, 'I', 'E', (fmi2Integer)lround(v))
GET(fmi2GetBoolean, fmi2Boolean, 'B', 'B', v > 0.5)

FMI_EXPORT fmi2Status API(fmi2GetString)(fmi2Component c, const fmi2ValueReference vr[], size_t n, fmi2String value[]) {
    REQUIRE(READABLE, "fmi2GetString")
    (void)value;
    return n ? FAIL("%s: value reference %u is no String variable", m->name, vr[0]) : OK;
}

#define SET(call, type, kind, or_kind, expression)                                                                \
    FMI_EXPORT fmi2Status API(call)(fmi2Component c, const fmi2ValueReference vr[], size_t n, const type value[]) { \
        REQUIRE(WRITABLE, #call)                                                                                  \
        fmi2Status worst = OK;                                                                                    \
        for (size_t i = 0; i < n; ++i) {                                                                          \
            if (vr[i] >= N_V || (model_kind[vr[i]] != kind && model_kind[vr[i]] != or_kind))                      \
                return FAIL("%s: value reference %u is no %s variable", m->name, vr[i], kind_name(kind));         \
            fmi2Status status = settable(m, vr[i], expression);                                                   \
            if (status > WARNING) return status;                                                                  \
            if (status > worst) worst = status;                                                                   \
        }                                                                                                         \
        for (size_t i = 0; i < n; ++i) put(m, vr[i], expression);                                                 \
        return worst;                                                                                             \
    }
SET(fmi2SetReal, fmi2Real, 'R', 'R', value[i])
SET(fmi2SetInteger, fmi2Integer, 'I', 'E', (double)value[i])
SET(fmi2SetBoolean, fmi2Boolean, 'B', 'B', value[i] ? 1.0 : 0.0)

FMI_EXPORT fmi2Status API(fmi2SetString)(fmi2Component c, const fmi2ValueReference vr[], size_t n, const fmi2String value[]) {
    REQUIRE(WRITABLE, "fmi2SetString")
    (void)value;
    return n ? FAIL("%s: value reference %u is no String variable", m->name, vr[0]) : OK;
}

/* ---- state and derivatives ------------------------------------------------------------------------------------- */

FMI_EXPORT fmi2Status API(fmi2GetFMUstate)(fmi2Component c, fmi2FMUstate *state) {
    REQUIRE(READABLE, "fmi2GetFMUstate")
    return take_state(m, state);
}

FMI_EXPORT fmi2Status API(fmi2SetFMUstate)(fmi2Component c, fmi2FMUstate state) {
    Instance *m = (Instance *)c;
    return m && state ? put_state(m, state) : ERROR;
}

FMI_EXPORT fmi2Status API(fmi2FreeFMUstate)(fmi2Component c, fmi2FMUstate *state) {
    (void)c;
    if (!state) return OK;
    free(*state);
    *state = NULL;
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2SerializedFMUstateSize)(fmi2Component c, fmi2FMUstate state, size_t *size) {
    (void)c, (void)state;
    *size = sizeof(Snapshot);
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2SerializeFMUstate)(fmi2Component c, fmi2FMUstate state, fmi2Byte bytes[], size_t size) {
    Instance *m = (Instance *)c;
    return m && state ? serialize(m, state, bytes, size) : ERROR;
}

FMI_EXPORT fmi2Status API(fmi2DeSerializeFMUstate)(fmi2Component c, const fmi2Byte bytes[], size_t size, fmi2FMUstate *state) {
    Instance *m = (Instance *)c;
    return m ? deserialize(m, bytes, size, state) : ERROR;
}

FMI_EXPORT fmi2Status API(fmi2GetDirectionalDerivative)(fmi2Component c, const fmi2ValueReference unknown[], size_t n_unknown,
                                                        const fmi2ValueReference known[], size_t n_known,
                                                        const fmi2Real seed[], fmi2Real sensitivity[]) {
    REQUIRE(INITIALIZATION | RUNNING | TERMINATED, "fmi2GetDirectionalDerivative")
    size_t values_unknown, values_known;
    fmi2Status status = derivable(m, unknown, n_unknown, known, n_known, &values_unknown, &values_known);
    return status == OK ? directional_derivative(m, unknown, n_unknown, known, n_known, seed, sensitivity) : status;
}

/* ---- Co-Simulation --------------------------------------------------------------------------------------------- */

FMI_EXPORT fmi2Status API(fmi2DoStep)(fmi2Component c, fmi2Real time, fmi2Real h, fmi2Boolean no_rollback) {
    REQUIRE_KIND(CO_SIMULATION, STEPPING, "fmi2DoStep")
    (void)no_rollback;
    return whole_step(m, time, h);
}

FMI_EXPORT fmi2Status API(fmi2CancelStep)(fmi2Component c) {
    Instance *m = (Instance *)c;
    return m ? FAIL("%s: steps are synchronous, there is none to cancel", m->name) : ERROR;
}

FMI_EXPORT fmi2Status API(fmi2SetRealInputDerivatives)(fmi2Component c, const fmi2ValueReference vr[], size_t n,
                                                       const fmi2Integer order[], const fmi2Real value[]) {
    Instance *m = (Instance *)c;
    (void)vr, (void)n, (void)order, (void)value;
    return m ? FAIL("%s: inputs are held over a step, not interpolated", m->name) : ERROR;
}

FMI_EXPORT fmi2Status API(fmi2GetRealOutputDerivatives)(fmi2Component c, const fmi2ValueReference vr[], size_t n,
                                                        const fmi2Integer order[], fmi2Real value[]) {
    Instance *m = (Instance *)c;
    (void)vr, (void)n, (void)order, (void)value;
    return m ? FAIL("%s: derivatives of outputs are not provided", m->name) : ERROR;
}

#define STATUS_NONE(call, type)                                                                          \
    FMI_EXPORT fmi2Status API(call)(fmi2Component c, const fmi2StatusKind kind, type *value) {           \
        Instance *m = (Instance *)c;                                                                     \
        (void)kind, (void)value;                                                                         \
        return m ? FAIL("%s: steps are synchronous, %s has nothing to tell", m->name, #call) : ERROR;    \
    }
STATUS_NONE(fmi2GetStatus, fmi2Status)
STATUS_NONE(fmi2GetIntegerStatus, fmi2Integer)
STATUS_NONE(fmi2GetStringStatus, fmi2String)

FMI_EXPORT fmi2Status API(fmi2GetRealStatus)(fmi2Component c, const fmi2StatusKind kind, fmi2Real *value) {
    Instance *m = (Instance *)c;
    if (!m) return ERROR;
    if (kind != fmi2LastSuccessfulTime) return FAIL("%s: only the last successful time can be asked for", m->name);
    *value = TIME(m);
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2GetBooleanStatus)(fmi2Component c, const fmi2StatusKind kind, fmi2Boolean *value) {
    Instance *m = (Instance *)c;
    if (!m) return ERROR;
    if (kind != fmi2Terminated) return FAIL("%s: only whether it terminated can be asked for", m->name);
    *value = 0;
    return OK;
}

/* ---- Model Exchange -------------------------------------------------------------------------------------------- */

FMI_EXPORT fmi2Status API(fmi2EnterEventMode)(fmi2Component c) {
    REQUIRE_KIND(MODEL_EXCHANGE, CONTINUOUS | EVENT, "fmi2EnterEventMode")
    m->now.mode = EVENT;
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2NewDiscreteStates)(fmi2Component c, fmi2EventInfo *info) {
    REQUIRE_KIND(MODEL_EXCHANGE, EVENT, "fmi2NewDiscreteStates")
    memset(info, 0, sizeof *info);
    return handle_events(m, &info->valuesOfContinuousStatesChanged);
}

FMI_EXPORT fmi2Status API(fmi2EnterContinuousTimeMode)(fmi2Component c) {
    REQUIRE_KIND(MODEL_EXCHANGE, EVENT, "fmi2EnterContinuousTimeMode")
    return enter_continuous_time(m);
}

FMI_EXPORT fmi2Status API(fmi2CompletedIntegratorStep)(fmi2Component c, fmi2Boolean no_rollback, fmi2Boolean *event_mode,
                                                       fmi2Boolean *terminate) {
    REQUIRE_KIND(MODEL_EXCHANGE, CONTINUOUS, "fmi2CompletedIntegratorStep")
    (void)no_rollback;
    *event_mode = *terminate = 0;
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2SetTime)(fmi2Component c, fmi2Real time) {
    REQUIRE_KIND(MODEL_EXCHANGE, CONTINUOUS | EVENT, "fmi2SetTime")
    if (!isfinite(time)) return FAIL("%s: the time was set to %g after t = %g s", m->name, time, TIME(m));
    TIME(m) = time;
    m->now.dirty = ALL;
    return OK;
}

FMI_EXPORT fmi2Status API(fmi2SetContinuousStates)(fmi2Component c, const fmi2Real x[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, CONTINUOUS, "fmi2SetContinuousStates")
    return exchange_states(m, NULL, n, x);
}

FMI_EXPORT fmi2Status API(fmi2GetContinuousStates)(fmi2Component c, fmi2Real x[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE & ~INSTANTIATED, "fmi2GetContinuousStates")
    if (refresh(m)) return FAIL("%s: no consistent state at t = %g s", m->name, TIME(m));
    return exchange_states(m, x, n, NULL);
}

FMI_EXPORT fmi2Status API(fmi2GetNominalsOfContinuousStates)(fmi2Component c, fmi2Real x[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE, "fmi2GetNominalsOfContinuousStates")
    return get_nominals(m, x, n);
}

FMI_EXPORT fmi2Status API(fmi2GetDerivatives)(fmi2Component c, fmi2Real rates[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE & ~INSTANTIATED, "fmi2GetDerivatives")
    return get_rates(m, rates, n, FIRST_D, N_D, "derivatives");
}

FMI_EXPORT fmi2Status API(fmi2GetEventIndicators)(fmi2Component c, fmi2Real indicators[], size_t n) {
    REQUIRE_KIND(MODEL_EXCHANGE, READABLE & ~INSTANTIATED, "fmi2GetEventIndicators")
    return get_rates(m, indicators, n, FIRST_E, N_E, "event indicators");
}
