/* FMI 2.0 Co-Simulation around the generated equations of one unit model.
 *
 * Compiled as one translation unit: model.h (sizes and tables) and equations.c (CasADi) are generated, this file is fixed.
 * All variables lie in one array, v = [inputs | parameters | states | unknowns | outputs | means]; a value reference is
 * its index. An instance owns one block of memory and there are no globals, so that many live side by side.
 */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASADI_SYMBOL_EXPORT static
#include "equations.c"
#include "model.h"

#if defined(_WIN32)
#define FMI_EXPORT __declspec(dllexport)
#else
#define FMI_EXPORT __attribute__((visibility("default")))
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
typedef enum { fmi2OK, fmi2Warning, fmi2Discard, fmi2Error, fmi2Fatal, fmi2Pending } fmi2Status;
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

enum {
    FIRST_P = N_U,
    FIRST_X = FIRST_P + N_P,
    FIRST_Z = FIRST_X + N_X,
    FIRST_Y = FIRST_Z + N_Z,
    FIRST_Q = FIRST_Y + N_Y,
    N_V = FIRST_Q,
    N_ALL = FIRST_Q + N_Q
};

typedef enum { INSTANTIATED = 1, INITIALIZATION = 2, STEPPING = 4, TERMINATED = 8, FAILED = 16 } Mode;

/* what a state snapshot copies; everything that the future depends on */
typedef struct {
    double time;
    int mode, dirty;
    double v[N_ALL + 1], x_start[N_X + 1];
    double last_time, last_step, last_x[N_X + 1], last_u[N_U + 1]; /* the last step, for its derivatives */
} Snapshot;

typedef struct {
    Snapshot now;
    double scratch_x[N_X + 1], scratch_z[N_Z + 1], scratch_q[N_Q + 1], indicator[N_E + 1];
    double seed_x[N_X + 1], seed_u[N_U + 1], moved_x[N_X + 1], moved_y[N_Y + 1];
    const double *arg[SZ_ARG + 1];
    double *res[SZ_RES + 1];
    casadi_int iw[SZ_IW + 1];
    double w[SZ_W + 1];
    fmi2CallbackLogger logger;
    void (*release)(void *);
    fmi2ComponentEnvironment environment;
    int logging;
    char name[256];
} Instance;

/* the message is formatted here and handed over as an argument, so that a '%' in a name is harmless */
static fmi2Status report(Instance *m, fmi2Status status, const char *category, const char *format, ...) {
    char text[1024];
    va_list list;
    if (m->logger && (status >= fmi2Discard || m->logging)) {
        va_start(list, format);
        vsnprintf(text, sizeof text, format, list);
        va_end(list);
        m->logger(m->environment, m->name, status, category, "%s", text);
    }
    if (status >= fmi2Error) m->now.mode = FAILED;
    return status;
}

#define ERROR(...) report(m, fmi2Error, "logStatusError", __VA_ARGS__)
#define REQUIRE(modes, call)                                                                             \
    Instance *m = (Instance *)c;                                                                         \
    if (!m) return fmi2Error;                                                                            \
    if (!(m->now.mode & (modes)))                                                                        \
        return ERROR("%s: %s is not allowed in this state%s", m->name, call,                             \
                     m->now.mode == FAILED ? " (an earlier call failed; call fmi2Reset)" : "");

static double *inputs(Instance *m) { return m->now.v; }
static double *parameters(Instance *m) { return m->now.v + FIRST_P; }
static double *states(Instance *m) { return m->now.v + FIRST_X; }

/* the integrator's estimate of the first step squares its arguments: where the square is denormal it divides 0 by 0 */
static double without_denormals(double value) { return fabs(value) < 1e-100 ? 0.0 : value; }

static int solve_algebraic(Instance *m) {
    if (N_Z == 0) return 0;
    m->arg[0] = &m->now.time;
    m->arg[1] = states(m);
    m->arg[2] = inputs(m);
    m->arg[3] = parameters(m);
    m->res[0] = m->now.v + FIRST_Z;
    return galenic_algebraic(m->arg, m->res, m->iw, m->w, 0);
}

static void state_arguments(Instance *m) {
    m->arg[0] = &m->now.time;
    m->arg[1] = states(m);
    m->arg[2] = m->now.v + FIRST_Z;
    m->arg[3] = inputs(m);
    m->arg[4] = parameters(m);
}

/* an input or parameter may have moved an indicator below zero between steps: let those events happen first */
static int settle_events(Instance *m) {
    if (N_E == 0) return 0;
    for (int round = 0; round < 10; ++round) {
        int happened = -1;
        state_arguments(m);
        m->res[0] = m->indicator;
        if (galenic_indicators(m->arg, m->res, m->iw, m->w, 0)) return 1;
        for (int e = 0; e < N_E && happened < 0; ++e)
            if (m->indicator[e] < 0) happened = e;
        if (happened < 0) return 0;
        double index = happened;
        m->arg[0] = &index;
        m->arg[1] = &m->now.time;
        m->arg[2] = states(m);
        m->arg[3] = inputs(m);
        m->arg[4] = parameters(m);
        m->res[0] = m->scratch_x;
        if (galenic_transition(m->arg, m->res, m->iw, m->w, 0)) return 1;
        memcpy(states(m), m->scratch_x, N_X * sizeof(double));
    }
    return 1;
}

static int evaluate_outputs(Instance *m) {
    state_arguments(m);
    m->arg[5] = m->now.v + FIRST_Q;
    m->res[0] = m->now.v + FIRST_Y;
    return galenic_outputs(m->arg, m->res, m->iw, m->w, 0);
}

/* states as far as they are calculated, events at the start, and means at their instantaneous value */
static int initialize(Instance *m) {
    m->arg[0] = inputs(m);
    m->arg[1] = parameters(m);
    m->arg[2] = m->now.x_start;
    m->res[0] = states(m);
    if (galenic_initial(m->arg, m->res, m->iw, m->w, 0)) return 1;
    if (solve_algebraic(m) || settle_events(m) || solve_algebraic(m)) return 1;
    state_arguments(m);
    m->res[0] = m->now.v + FIRST_Q;
    return galenic_integrand(m->arg, m->res, m->iw, m->w, 0);
}

static int refresh(Instance *m) {
    if (!m->now.dirty) return 0;
    if (m->now.mode & (INSTANTIATED | INITIALIZATION) ? initialize(m) : solve_algebraic(m)) return 1;
    if (evaluate_outputs(m)) return 1;
    m->now.dirty = 0;
    return 0;
}

static void reset(Instance *m) {
    memset(&m->now, 0, sizeof m->now);
    memcpy(m->now.v, model_start, N_V * sizeof(double));
    memcpy(m->now.x_start, model_start + FIRST_X, N_X * sizeof(double));
    m->now.mode = INSTANTIATED;
    m->now.dirty = 1;
}

FMI_EXPORT const char *fmi2GetTypesPlatform(void) { return "default"; }
FMI_EXPORT const char *fmi2GetVersion(void) { return "2.0"; }

FMI_EXPORT fmi2Component fmi2Instantiate(fmi2String name, fmi2Type type, fmi2String guid, fmi2String resources,
                                         const fmi2CallbackFunctions *functions, fmi2Boolean visible,
                                         fmi2Boolean logging) {
    (void)resources;
    (void)visible;
    fmi2CallbackLogger log = functions ? functions->logger : NULL;
    fmi2ComponentEnvironment environment = functions ? functions->componentEnvironment : NULL;
    const char *who = name && *name ? name : MODEL_NAME;
    const char *why = NULL;
    if (type != fmi2CoSimulation) why = "this FMU is Co-Simulation only";
    if (!guid || strcmp(guid, MODEL_GUID)) why = "the guid is not that of this binary: modelDescription.xml and binary do not belong together";
    if (why) {
        if (log) log(environment, who, fmi2Error, "logStatusError", "%s", why);
        return NULL;
    }
    int own = functions && functions->allocateMemory && functions->freeMemory;
    Instance *m = (Instance *)(own ? functions->allocateMemory(1, sizeof(Instance)) : calloc(1, sizeof(Instance)));
    if (!m) return NULL;
    memset(m, 0, sizeof *m);
    m->release = own ? functions->freeMemory : free;
    m->logger = log;
    m->environment = environment;
    m->logging = logging;
    snprintf(m->name, sizeof m->name, "%s", who);
    reset(m);
    return m;
}

FMI_EXPORT void fmi2FreeInstance(fmi2Component c) {
    Instance *m = (Instance *)c;
    if (m) m->release(m);
}

FMI_EXPORT fmi2Status fmi2SetDebugLogging(fmi2Component c, fmi2Boolean on, size_t n, const fmi2String categories[]) {
    Instance *m = (Instance *)c;
    if (!m) return fmi2Error;
    for (size_t i = 0; i < n; ++i)
        if (!categories[i] || strcmp(categories[i], "logStatusError"))
            return ERROR("%s: unknown log category '%s'", m->name, categories[i] ? categories[i] : "");
    m->logging = on;
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2SetupExperiment(fmi2Component c, fmi2Boolean tolerance_defined, fmi2Real tolerance,
                                          fmi2Real start, fmi2Boolean stop_defined, fmi2Real stop) {
    REQUIRE(INSTANTIATED, "fmi2SetupExperiment")
    (void)tolerance_defined; /* the integrator keeps its own, tighter tolerance */
    (void)tolerance;
    if (!isfinite(start) || (stop_defined && !(stop >= start)))
        return ERROR("%s: start time %g and stop time %g make no experiment", m->name, start, stop);
    m->now.time = start;
    m->now.dirty = 1;
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2EnterInitializationMode(fmi2Component c) {
    REQUIRE(INSTANTIATED, "fmi2EnterInitializationMode")
    m->now.mode = INITIALIZATION;
    m->now.dirty = 1;
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2ExitInitializationMode(fmi2Component c) {
    REQUIRE(INITIALIZATION, "fmi2ExitInitializationMode")
    m->now.dirty = 1;
    if (refresh(m)) return ERROR("%s: no consistent initial state at t = %g s", m->name, m->now.time);
    m->now.mode = STEPPING;
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2Terminate(fmi2Component c) {
    REQUIRE(STEPPING, "fmi2Terminate")
    m->now.mode = TERMINATED;
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2Reset(fmi2Component c) {
    Instance *m = (Instance *)c;
    if (!m) return fmi2Error;
    reset(m);
    return fmi2OK;
}

enum { READABLE = INSTANTIATED | INITIALIZATION | STEPPING | TERMINATED, WRITABLE = INSTANTIATED | INITIALIZATION | STEPPING };

static fmi2Status readable(Instance *m, const fmi2ValueReference *vr, size_t n, char kind) {
    for (size_t i = 0; i < n; ++i)
        if (vr[i] >= N_V || model_kind[vr[i]] != kind)
            return ERROR("%s: value reference %u is no %s variable", m->name, vr[i],
                         kind == 'R' ? "Real" : kind == 'I' ? "Integer" : "Boolean");
    if (refresh(m)) return ERROR("%s: the outputs cannot be evaluated at t = %g s", m->name, m->now.time);
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, fmi2Real value[]) {
    REQUIRE(READABLE, "fmi2GetReal")
    fmi2Status status = readable(m, vr, n, 'R');
    for (size_t i = 0; status == fmi2OK && i < n; ++i) value[i] = m->now.v[vr[i]];
    return status;
}

FMI_EXPORT fmi2Status fmi2GetInteger(fmi2Component c, const fmi2ValueReference vr[], size_t n, fmi2Integer value[]) {
    REQUIRE(READABLE, "fmi2GetInteger")
    fmi2Status status = readable(m, vr, n, 'I');
    for (size_t i = 0; status == fmi2OK && i < n; ++i) value[i] = (fmi2Integer)lround(m->now.v[vr[i]]);
    return status;
}

FMI_EXPORT fmi2Status fmi2GetBoolean(fmi2Component c, const fmi2ValueReference vr[], size_t n, fmi2Boolean value[]) {
    REQUIRE(READABLE, "fmi2GetBoolean")
    fmi2Status status = readable(m, vr, n, 'B');
    for (size_t i = 0; status == fmi2OK && i < n; ++i) value[i] = m->now.v[vr[i]] > 0.5;
    return status;
}

FMI_EXPORT fmi2Status fmi2GetString(fmi2Component c, const fmi2ValueReference vr[], size_t n, fmi2String value[]) {
    REQUIRE(READABLE, "fmi2GetString")
    (void)value;
    return n ? ERROR("%s: value reference %u is no String variable", m->name, vr[0]) : fmi2OK;
}

FMI_EXPORT fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference vr[], size_t n, const fmi2Real value[]) {
    REQUIRE(WRITABLE, "fmi2SetReal")
    for (size_t i = 0; i < n; ++i) {
        fmi2ValueReference r = vr[i];
        if (r >= N_V || model_kind[r] != 'R') return ERROR("%s: value reference %u is no Real variable", m->name, r);
        const char *variable = model_names[r];
        int exact_state = r >= FIRST_X && r < FIRST_Z && model_settable[r];
        if (r >= FIRST_X && !exact_state) return ERROR("%s: '%s' is calculated and cannot be set", m->name, variable);
        if (r >= FIRST_P && m->now.mode == STEPPING)
            return ERROR("%s: '%s' can only be set before the run", m->name, variable);
        if (!isfinite(value[i]))
            return ERROR("%s: '%s' was set to %g at t = %g s", m->name, variable, value[i], m->now.time);
        if (value[i] < model_min[r] || value[i] > model_max[r])
            return ERROR("%s: '%s' was set to %g at t = %g s, outside its range %g to %g %s", m->name, variable, value[i],
                         m->now.time, model_min[r], model_max[r], model_units[r]);
    }
    for (size_t i = 0; i < n; ++i) {
        m->now.v[vr[i]] = without_denormals(value[i]);
        if (vr[i] >= FIRST_X) m->now.x_start[vr[i] - FIRST_X] = value[i];
    }
    m->now.dirty |= n > 0;
    return fmi2OK;
}

#define SET_NONE(call, type)                                                                                        \
    FMI_EXPORT fmi2Status call(fmi2Component c, const fmi2ValueReference vr[], size_t n, const type value[]) {       \
        REQUIRE(WRITABLE, #call)                                                                                    \
        (void)value;                                                                                                \
        return n ? ERROR("%s: %s: value reference %u cannot be set", m->name, #call, vr[0]) : fmi2OK;                \
    }
SET_NONE(fmi2SetInteger, fmi2Integer)
SET_NONE(fmi2SetBoolean, fmi2Boolean)
SET_NONE(fmi2SetString, fmi2String)

FMI_EXPORT fmi2Status fmi2DoStep(fmi2Component c, fmi2Real time, fmi2Real h, fmi2Boolean no_rollback) {
    REQUIRE(STEPPING, "fmi2DoStep")
    (void)no_rollback;
    if (!(h > 0) || !isfinite(h)) return ERROR("%s: step size %g s at t = %g s", m->name, h, m->now.time);
    if (fabs(time - m->now.time) > 1e-9 * fmax(1.0, fabs(time)))
        return ERROR("%s: step asked for at t = %.17g s, but the FMU is at t = %.17g s", m->name, time, m->now.time);
    m->now.time = time;
    if (solve_algebraic(m) || settle_events(m))
        return ERROR("%s: no consistent state at t = %g s for the present inputs", m->name, time);
    m->now.last_time = time;
    m->now.last_step = 0; /* until the step has succeeded */
    memcpy(m->now.last_x, states(m), N_X * sizeof(double));
    memcpy(m->now.last_u, inputs(m), N_U * sizeof(double));
    m->arg[0] = &m->now.time;
    m->arg[1] = &h;
    m->arg[2] = states(m);
    m->arg[3] = m->now.v + FIRST_Z;
    m->arg[4] = inputs(m);
    m->arg[5] = parameters(m);
    m->res[0] = m->scratch_x;
    m->res[1] = m->scratch_z;
    m->res[2] = m->scratch_q;
    int failed = galenic_step(m->arg, m->res, m->iw, m->w, 0);
    for (int i = 0; !failed && i < N_X; ++i)
        if (!isfinite(m->scratch_x[i])) {
            failed = 1;
            report(m, fmi2Error, "logStatusError", "%s: '%s' is not finite", m->name, model_names[FIRST_X + i]);
        }
    if (failed) return ERROR("%s: the integrator failed between t = %g s and t = %g s", m->name, time, time + h);
    for (int i = 0; i < N_X; ++i) states(m)[i] = without_denormals(m->scratch_x[i]);
    memcpy(m->now.v + FIRST_Q, m->scratch_q, N_Q * sizeof(double));
    m->now.time = time + h;
    m->now.last_step = h;
    if (solve_algebraic(m) || evaluate_outputs(m))
        return ERROR("%s: the outputs cannot be evaluated at t = %g s", m->name, m->now.time);
    m->now.dirty = 0;
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2CancelStep(fmi2Component c) {
    Instance *m = (Instance *)c;
    return m ? ERROR("%s: steps are synchronous, there is none to cancel", m->name) : fmi2Error;
}

FMI_EXPORT fmi2Status fmi2GetFMUstate(fmi2Component c, fmi2FMUstate *state) {
    REQUIRE(READABLE, "fmi2GetFMUstate")
    if (!*state) *state = malloc(sizeof(Snapshot));
    if (!*state) return ERROR("%s: no memory for an FMU state", m->name);
    memcpy(*state, &m->now, sizeof(Snapshot));
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2SetFMUstate(fmi2Component c, fmi2FMUstate state) {
    Instance *m = (Instance *)c;
    if (!m || !state) return fmi2Error;
    memcpy(&m->now, state, sizeof(Snapshot));
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2FreeFMUstate(fmi2Component c, fmi2FMUstate *state) {
    (void)c;
    if (state) {
        free(*state);
        *state = NULL;
    }
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2SerializedFMUstateSize(fmi2Component c, fmi2FMUstate state, size_t *size) {
    (void)c;
    (void)state;
    *size = sizeof(Snapshot);
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2SerializeFMUstate(fmi2Component c, fmi2FMUstate state, fmi2Byte bytes[], size_t size) {
    Instance *m = (Instance *)c;
    if (!m || !state) return fmi2Error;
    if (size < sizeof(Snapshot)) return ERROR("%s: %zu bytes do not hold the state, %zu do", m->name, size, sizeof(Snapshot));
    memcpy(bytes, state, sizeof(Snapshot));
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2DeSerializeFMUstate(fmi2Component c, const fmi2Byte bytes[], size_t size, fmi2FMUstate *state) {
    Instance *m = (Instance *)c;
    if (!m) return fmi2Error;
    if (size != sizeof(Snapshot)) return ERROR("%s: %zu bytes are no state of this FMU", m->name, size);
    if (!*state) *state = malloc(sizeof(Snapshot));
    if (!*state) return ERROR("%s: no memory for an FMU state", m->name);
    memcpy(*state, bytes, sizeof(Snapshot));
    return fmi2OK;
}

/* of the last step: how outputs and states at its end move with the inputs held in it and the states at its start */
FMI_EXPORT fmi2Status fmi2GetDirectionalDerivative(fmi2Component c, const fmi2ValueReference unknown[], size_t n_unknown,
                                                   const fmi2ValueReference known[], size_t n_known,
                                                   const fmi2Real seed[], fmi2Real sensitivity[]) {
    REQUIRE(STEPPING | TERMINATED, "fmi2GetDirectionalDerivative")
    if (!(m->now.last_step > 0)) return ERROR("%s: there is no step yet whose derivative could be asked for", m->name);
    memset(m->seed_x, 0, sizeof m->seed_x);
    memset(m->seed_u, 0, sizeof m->seed_u);
    for (size_t i = 0; i < n_known; ++i) {
        if (known[i] < N_U) m->seed_u[known[i]] += seed[i];
        else if (known[i] >= FIRST_X && known[i] < FIRST_Z) m->seed_x[known[i] - FIRST_X] += seed[i];
        else return ERROR("%s: value reference %u is no input and no state to derive by", m->name, known[i]);
    }
    for (size_t i = 0; i < n_unknown; ++i)
        if (!(unknown[i] >= FIRST_X && unknown[i] < FIRST_Z) && !(unknown[i] >= FIRST_Y && unknown[i] < N_V))
            return ERROR("%s: value reference %u is no output and no state to derive", m->name, unknown[i]);
    m->arg[0] = &m->now.last_time;
    m->arg[1] = &m->now.last_step;
    m->arg[2] = m->now.last_x;
    m->arg[3] = m->now.last_u;
    m->arg[4] = parameters(m);
    m->arg[5] = m->seed_x;
    m->arg[6] = m->seed_u;
    m->res[0] = m->moved_x;
    m->res[1] = m->moved_y;
    if (galenic_sensitivity(m->arg, m->res, m->iw, m->w, 0))
        return ERROR("%s: the derivative of the step from t = %g s failed", m->name, m->now.last_time);
    for (size_t i = 0; i < n_unknown; ++i)
        sensitivity[i] = unknown[i] < FIRST_Z ? m->moved_x[unknown[i] - FIRST_X] : m->moved_y[unknown[i] - FIRST_Y];
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2SetRealInputDerivatives(fmi2Component c, const fmi2ValueReference vr[], size_t n,
                                                  const fmi2Integer order[], const fmi2Real value[]) {
    Instance *m = (Instance *)c;
    (void)vr, (void)n, (void)order, (void)value;
    return m ? ERROR("%s: inputs are held over a step, not interpolated", m->name) : fmi2Error;
}

FMI_EXPORT fmi2Status fmi2GetRealOutputDerivatives(fmi2Component c, const fmi2ValueReference vr[], size_t n,
                                                   const fmi2Integer order[], fmi2Real value[]) {
    Instance *m = (Instance *)c;
    (void)vr, (void)n, (void)order, (void)value;
    return m ? ERROR("%s: derivatives of outputs are not provided", m->name) : fmi2Error;
}

#define STATUS_NONE(call, type)                                                                     \
    FMI_EXPORT fmi2Status call(fmi2Component c, const fmi2StatusKind kind, type *value) {           \
        Instance *m = (Instance *)c;                                                                \
        (void)kind, (void)value;                                                                    \
        return m ? ERROR("%s: steps are synchronous, %s has nothing to tell", m->name, #call) : fmi2Error; \
    }
STATUS_NONE(fmi2GetStatus, fmi2Status)
STATUS_NONE(fmi2GetIntegerStatus, fmi2Integer)
STATUS_NONE(fmi2GetStringStatus, fmi2String)

FMI_EXPORT fmi2Status fmi2GetRealStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Real *value) {
    Instance *m = (Instance *)c;
    if (!m) return fmi2Error;
    if (kind != fmi2LastSuccessfulTime) return ERROR("%s: only the last successful time can be asked for", m->name);
    *value = m->now.time;
    return fmi2OK;
}

FMI_EXPORT fmi2Status fmi2GetBooleanStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Boolean *value) {
    Instance *m = (Instance *)c;
    if (!m) return fmi2Error;
    if (kind != fmi2Terminated) return ERROR("%s: only whether it terminated can be asked for", m->name);
    *value = 0;
    return fmi2OK;
}
