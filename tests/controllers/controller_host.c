/* Steps two instances of a controller's FMU (FMI 2.0) in turn, one with its state taken out and put back half-way, and prints
 * the outputs of the first; fails where the second has others.
 *
 * arguments: library, guid, steps, step size, number of inputs, (reference, start) of each, references of the outputs */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef _WIN32
#include <windows.h>
#define LOAD(file) (void *)LoadLibraryA(file)
#define FIND(name) (void *)GetProcAddress((HMODULE)library, name)
#else
#include <dlfcn.h>
#define LOAD(file) dlopen(file, RTLD_NOW)
#define FIND(name) dlsym(library, name)
#endif

enum { MOST = 256 };
typedef struct {
    void (*log)(void *, const char *, int, const char *, const char *, ...);
    void *(*allocate)(size_t, size_t);
    void (*release)(void *);
    void *finished, *environment;
} Callbacks;

static void *library;
static void log_message(void *environment, const char *name, int status, const char *category, const char *text, ...) {
    (void)environment, (void)category;
    va_list list;
    va_start(list, text);
    fprintf(stderr, "%s %d: ", name, status);
    vfprintf(stderr, text, list);
    fprintf(stderr, "\n");
    va_end(list);
}

#define CALL(result, name, types, ...) ((result(*) types)FIND(name))(__VA_ARGS__)
#define OK(call)                                           \
    do {                                                   \
        if (call) fprintf(stderr, "%s\n", #call), exit(1); \
    } while (0)

int main(int n, char **text) {
    static Callbacks callbacks = {log_message, calloc, free, NULL, NULL};
    unsigned inputs[MOST], outputs[MOST];
    double starts[MOST], values[MOST], y[2][MOST];
    library = LOAD(text[1]);
    OK(!library);
    int steps = atoi(text[3]), n_inputs = atoi(text[5]), n_outputs = n - 6 - 2 * n_inputs;
    double h = atof(text[4]);
    for (int i = 0; i < n_inputs; ++i) inputs[i] = (unsigned)atoi(text[6 + 2 * i]), starts[i] = atof(text[7 + 2 * i]);
    for (int i = 0; i < n_outputs; ++i) outputs[i] = (unsigned)atoi(text[6 + 2 * n_inputs + i]);
    void *unit[2];
    for (int i = 0; i < 2; ++i) {
        unit[i] = CALL(void *, "fmi2Instantiate", (const char *, int, const char *, const char *, const Callbacks *, int, int),
                       "controller", 1, text[2], "", &callbacks, 0, 0);
        OK(!unit[i]);
        OK(CALL(int, "fmi2SetupExperiment", (void *, int, double, double, int, double), unit[i], 0, 0.0, 0.0, 0, 0.0));
        OK(CALL(int, "fmi2EnterInitializationMode", (void *), unit[i]));
        OK(CALL(int, "fmi2ExitInitializationMode", (void *), unit[i]));
    }
    for (int k = 0; k < steps; ++k) {
        /* 5 % around the start; what starts at zero counts */
        for (int i = 0; i < n_inputs; ++i) values[i] = starts[i] ? starts[i] * (1 + 0.05 * ((k + i) % 7 - 3) / 3) : k + 1;
        for (int i = 0; i < 2; ++i) {
            OK(CALL(int, "fmi2SetReal", (void *, const unsigned *, size_t, const double *), unit[i], inputs, n_inputs, values));
            if (i == 1 && k == steps / 2) {
                void *state = NULL;
                OK(CALL(int, "fmi2GetFMUstate", (void *, void **), unit[i], &state));
                OK(CALL(int, "fmi2DoStep", (void *, double, double, int), unit[i], k * h, h, 0));
                OK(CALL(int, "fmi2SetFMUstate", (void *, void *), unit[i], state));
                OK(CALL(int, "fmi2FreeFMUstate", (void *, void **), unit[i], &state));
            }
            OK(CALL(int, "fmi2DoStep", (void *, double, double, int), unit[i], k * h, h, 1));
            OK(CALL(int, "fmi2GetReal", (void *, const unsigned *, size_t, double *), unit[i], outputs, n_outputs, y[i]));
        }
        for (int i = 0; i < n_outputs; ++i) {
            OK(y[0][i] != y[1][i]);
            printf("%.17g ", y[0][i]);
        }
        printf("\n");
    }
    for (int i = 0; i < 2; ++i) {
        OK(CALL(int, "fmi2Terminate", (void *), unit[i]));
        CALL(void, "fmi2FreeInstance", (void *), unit[i]);
    }
    return 0;
}
