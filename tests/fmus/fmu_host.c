/* Runs an FMU's library without any importer and prints what it computes.
 *
 *     fmu_host WHAT LIBRARY TOKEN STEPS STEP_SIZE STATES INDICATORS INPUTS {REFERENCE START}... {OUTPUT}...
 *
 * WHAT is 2cs, 2me, 3cs or 3me: version and kind. In step k every input is START (1 + 0.05 ((k mod 7) - 3) / 3). A line is the
 * outputs after the step; in Model Exchange, which is stepped by Euler's explicit method, then the derivatives before it.
 * Half way, the state is saved, serialised, spoiled and restored; at the end derivatives are asked for, then the
 * instance is reset and begins again. None of that may be seen in the lines.
 */
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#define LOAD(file) (void *)LoadLibraryA(file)
#define FIND(library, name) (void *)GetProcAddress(library, name)
#define UNLOAD(library) FreeLibrary(library)
#else
#include <dlfcn.h>
#define LOAD(file) dlopen(file, RTLD_NOW)
#define FIND(library, name) dlsym(library, name)
#define UNLOAD(library) dlclose(library)
#endif

typedef struct {
    void (*logger)(void *, const char *, int, const char *, const char *, ...);
    void *(*allocate)(size_t, size_t);
    void (*release)(void *);
    void (*finished)(void *, int);
    void *environment;
} Callbacks;

typedef struct { int again, terminate, nominals, states, next_defined; double next; } EventInfo;

static void log_2(void *e, const char *name, int status, const char *category, const char *text, ...) {
    va_list list;
    va_start(list, text);
    fprintf(stderr, "%s %s %d: ", name, category, status);
    vfprintf(stderr, text, list);
    fprintf(stderr, "\n");
    va_end(list);
    (void)e;
}

static void log_3(void *e, int status, const char *category, const char *text) {
    fprintf(stderr, "%s %d: %s\n", category, status, text);
    (void)e;
}

#define OK(call)                                                                 \
    do {                                                                         \
        if (call) fprintf(stderr, "failed: %s\n", #call), exit(1);               \
    } while (0)
#define CALL(result, name, types, ...) ((result (*) types)find(name)) (__VA_ARGS__)
#define BOTH(name, types, ...) OK(CALL(int, version == 2 ? "fmi2" name : "fmi3" name, types, __VA_ARGS__))

enum { MOST = 1024 };
typedef const unsigned *Refs;

static void *library, *unit;
static int version, exchange, n_states, n_indicators, n_inputs, n_outputs;
static unsigned inputs[MOST], outputs[MOST];
static double starts[MOST];

static void *find(const char *name) {
    void *function = FIND(library, name);
    if (!function) fprintf(stderr, "there is no %s\n", name), exit(1);
    return function;
}

static void set_inputs(int k) {
    double u[MOST];
    for (int i = 0; i < n_inputs; ++i) u[i] = starts[i] * (1 + 0.05 * ((k % 7) - 3) / 3);
    if (version == 2) OK(CALL(int, "fmi2SetReal", (void *, Refs, size_t, const double *), unit, inputs, n_inputs, u));
    else OK(CALL(int, "fmi3SetFloat64", (void *, Refs, size_t, const double *, size_t), unit, inputs, n_inputs, u, n_inputs));
}

static void get_outputs(double *y) {
    if (version == 2) OK(CALL(int, "fmi2GetReal", (void *, Refs, size_t, double *), unit, outputs, n_outputs, y));
    else OK(CALL(int, "fmi3GetFloat64", (void *, Refs, size_t, double *, size_t), unit, outputs, n_outputs, y, n_outputs));
}

/* until no discrete state is left to update, then on in continuous time */
static void settle_events(void) {
    bool again = true, other[4];
    double next;
    EventInfo info = {.again = 1};
    while (version == 2 ? info.again : again) {
        if (version == 2) OK(CALL(int, "fmi2NewDiscreteStates", (void *, EventInfo *), unit, &info));
        else OK(CALL(int, "fmi3UpdateDiscreteStates", (void *, bool *, bool *, bool *, bool *, bool *, double *), unit, &again,
                     other, other + 1, other + 2, other + 3, &next));
    }
    BOTH("EnterContinuousTimeMode", (void *), unit);
}

static void start(void) {
    if (version == 2) {
        OK(CALL(int, "fmi2SetupExperiment", (void *, int, double, double, int, double), unit, 0, 0, 0, 0, 0));
        OK(CALL(int, "fmi2EnterInitializationMode", (void *), unit));
    } else {
        OK(CALL(int, "fmi3EnterInitializationMode", (void *, bool, double, double, bool, double), unit, false, 0, 0, false, 0));
    }
    BOTH("ExitInitializationMode", (void *), unit);
    if (exchange) settle_events();
}

static void co_step(int k, double h) {
    bool event, terminate, early;
    double last;
    set_inputs(k);
    if (version == 2) OK(CALL(int, "fmi2DoStep", (void *, double, double, int), unit, k * h, h, 1));
    else OK(CALL(int, "fmi3DoStep", (void *, double, double, bool, bool *, bool *, bool *, double *), unit, k * h, h, true, &event,
                 &terminate, &early, &last));
}

static void get_rates(double *rates, double *indicators) {
    if (version == 2) OK(CALL(int, "fmi2GetDerivatives", (void *, double *, size_t), unit, rates, n_states));
    else OK(CALL(int, "fmi3GetContinuousStateDerivatives", (void *, double *, size_t), unit, rates, n_states));
    BOTH("GetEventIndicators", (void *, double *, size_t), unit, indicators, n_indicators);
}

static void exchange_step(int k, double h, double *rates) {
    double x[MOST], before[MOST], after[MOST], at[MOST];
    set_inputs(k);
    BOTH("GetContinuousStates", (void *, double *, size_t), unit, x, n_states);
    get_rates(rates, before);
    for (int i = 0; i < n_states; ++i) x[i] += h * rates[i];
    BOTH("SetTime", (void *, double), unit, (k + 1) * h);
    BOTH("SetContinuousStates", (void *, const double *, size_t), unit, x, n_states);
    get_rates(at, after);
    int event = 0;
    if (version == 2) {
        int enter = 0, terminate = 0;
        OK(CALL(int, "fmi2CompletedIntegratorStep", (void *, int, int *, int *), unit, 1, &enter, &terminate));
        event = enter;
    } else {
        bool enter = false, terminate = false;
        OK(CALL(int, "fmi3CompletedIntegratorStep", (void *, bool, bool *, bool *), unit, true, &enter, &terminate));
        event = enter;
    }
    for (int i = 0; i < n_indicators; ++i) event |= (before[i] > 0) != (after[i] > 0);
    if (event) {
        BOTH("EnterEventMode", (void *), unit);
        settle_events();
    }
}

static void step(int k, double h, double *rates) {
    if (exchange) exchange_step(k, h, rates);
    else co_step(k, h);
}

#define STATE(name_2, name_3, types, ...) OK(CALL(int, version == 2 ? name_2 : name_3, types, __VA_ARGS__))

static void save_spoil_restore(int k, double h) {
    void *state = NULL, *copy = NULL;
    size_t size = 0;
    double rates[MOST];
    STATE("fmi2GetFMUstate", "fmi3GetFMUState", (void *, void **), unit, &state);
    STATE("fmi2SerializedFMUstateSize", "fmi3SerializedFMUStateSize", (void *, void *, size_t *), unit, state, &size);
    unsigned char *bytes = malloc(size);
    STATE("fmi2SerializeFMUstate", "fmi3SerializeFMUState", (void *, void *, unsigned char *, size_t), unit, state, bytes, size);
    STATE("fmi2FreeFMUstate", "fmi3FreeFMUState", (void *, void **), unit, &state);
    step(k, h, rates);
    STATE("fmi2DeSerializeFMUstate", "fmi3DeserializeFMUState", (void *, const unsigned char *, size_t, void **), unit, bytes, size, &copy);
    STATE("fmi2SetFMUstate", "fmi3SetFMUState", (void *, void *), unit, copy);
    STATE("fmi2FreeFMUstate", "fmi3FreeFMUState", (void *, void **), unit, &copy);
    free(bytes);
}

static void derive(void) {
    double seed = 1, moved = 0;
    if (version == 2)
        OK(CALL(int, "fmi2GetDirectionalDerivative", (void *, Refs, size_t, Refs, size_t, const double *, double *), unit,
                outputs + n_outputs - 1, 1, inputs, 1, &seed, &moved));
    else
        OK(CALL(int, "fmi3GetDirectionalDerivative", (void *, Refs, size_t, Refs, size_t, const double *, size_t, double *, size_t),
                unit, outputs + n_outputs - 1, 1, inputs, 1, &seed, 1, &moved, 1));
    if (!isfinite(moved)) fprintf(stderr, "the derivative is not finite\n"), exit(1);
}

static void *instantiate(const char *token) {
    static Callbacks callbacks = {log_2, calloc, free, NULL, NULL};
    if (version == 2)
        return CALL(void *, "fmi2Instantiate", (const char *, int, const char *, const char *, const Callbacks *, int, int), "unit",
                    exchange ? 0 : 1, token, "", &callbacks, 0, 0);
    if (exchange)
        return CALL(void *, "fmi3InstantiateModelExchange",
                    (const char *, const char *, const char *, bool, bool, void *, void (*)(void *, int, const char *, const char *)),
                    "unit", token, "", false, false, NULL, log_3);
    return CALL(void *, "fmi3InstantiateCoSimulation",
                (const char *, const char *, const char *, bool, bool, bool, bool, Refs, size_t, void *,
                 void (*)(void *, int, const char *, const char *), void *),
                "unit", token, "", false, false, false, false, NULL, 0, NULL, log_3, NULL);
}

int main(int n, char **text) {
    version = text[1][0] - '0', exchange = text[1][1] == 'm';
    library = LOAD(text[2]);
    OK(!library);
    int steps = atoi(text[4]);
    double h = atof(text[5]), y[MOST], rates[MOST];
    n_states = atoi(text[6]), n_indicators = atoi(text[7]), n_inputs = atoi(text[8]);
    n_outputs = n - 9 - 2 * n_inputs;
    OK(n_states > MOST || n_indicators > MOST || n_inputs > MOST || n_outputs > MOST);
    for (int i = 0; i < n_inputs; ++i) inputs[i] = (unsigned)atoi(text[9 + 2 * i]), starts[i] = atof(text[10 + 2 * i]);
    for (int i = 0; i < n_outputs; ++i) outputs[i] = (unsigned)atoi(text[9 + 2 * n_inputs + i]);
    unit = instantiate(text[3]);
    OK(!unit);
    start();
    for (int k = 0; k < steps; ++k) {
        if (k == steps / 2) save_spoil_restore(k, h);
        step(k, h, rates);
        get_outputs(y);
        for (int i = 0; i < n_outputs; ++i) printf("%.17g ", y[i]);
        for (int i = 0; exchange && i < n_states; ++i) printf("%.17g ", rates[i]);
        printf("\n");
    }
    derive();
    BOTH("Terminate", (void *), unit);
    BOTH("Reset", (void *), unit);
    start();
    step(0, h, rates);
    if (version == 2) CALL(void, "fmi2FreeInstance", (void *), unit);
    else CALL(void, "fmi3FreeInstance", (void *), unit);
    UNLOAD(library);
    return 0;
}
