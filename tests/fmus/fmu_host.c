/* Steps an FMU's library without any importer and prints its outputs.
 *
 *     fmu_host LIBRARY GUID STEPS STEP_SIZE INPUTS {REFERENCE START}... {OUTPUT}...
 *
 * In step k every input is START (1 + 0.05 ((k mod 7) - 3) / 3).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef _WIN32
#include <windows.h>
#define LOAD(file) (void *)LoadLibraryA(file)
#define FIND(library, name) (void *)GetProcAddress(library, name)
#else
#include <dlfcn.h>
#define LOAD(file) dlopen(file, RTLD_NOW)
#define FIND(library, name) dlsym(library, name)
#endif

typedef struct {
    void (*logger)(void *, const char *, int, const char *, const char *, ...);
    void *(*allocate)(size_t, size_t);
    void (*release)(void *);
    void (*finished)(void *, int);
    void *environment;
} Callbacks;

static void log_message(void *e, const char *name, int status, const char *category, const char *text, ...) {
    va_list list;
    va_start(list, text);
    fprintf(stderr, "%s %s %d: ", name, category, status);
    vfprintf(stderr, text, list);
    va_end(list);
    (void)e;
}

#define LOOK_UP(result, name, ...) result (*name)(__VA_ARGS__) = FIND(library, #name)
#define OK(call) if (call) { fprintf(stderr, "failed: %s\n", #call); return 1; }

int main(int n, char **text) {
    void *library = LOAD(text[1]);
    OK(!library)
    LOOK_UP(void *, fmi2Instantiate, const char *, int, const char *, const char *, const Callbacks *, int, int);
    LOOK_UP(int, fmi2SetupExperiment, void *, int, double, double, int, double);
    LOOK_UP(int, fmi2EnterInitializationMode, void *);
    LOOK_UP(int, fmi2ExitInitializationMode, void *);
    LOOK_UP(int, fmi2SetReal, void *, const unsigned *, size_t, const double *);
    LOOK_UP(int, fmi2GetReal, void *, const unsigned *, size_t, double *);
    LOOK_UP(int, fmi2DoStep, void *, double, double, int);
    LOOK_UP(int, fmi2Terminate, void *);
    LOOK_UP(void, fmi2FreeInstance, void *);
    int steps = atoi(text[3]), inputs = atoi(text[5]);
    double h = atof(text[4]);
    Callbacks callbacks = {log_message, calloc, free, NULL, NULL};
    void *unit = fmi2Instantiate("unit", 1, text[2], "", &callbacks, 0, 0);
    OK(!unit)
    OK(fmi2SetupExperiment(unit, 0, 0, 0, 0, 0))
    OK(fmi2EnterInitializationMode(unit))
    OK(fmi2ExitInitializationMode(unit))
    for (int k = 0; k < steps; ++k) {
        for (int i = 0; i < inputs; ++i) {
            unsigned reference = (unsigned)atoi(text[6 + 2 * i]);
            double value = atof(text[7 + 2 * i]) * (1 + 0.05 * ((k % 7) - 3) / 3);
            OK(fmi2SetReal(unit, &reference, 1, &value))
        }
        OK(fmi2DoStep(unit, k * h, h, 1))
        for (int i = 6 + 2 * inputs; i < n; ++i) {
            unsigned reference = (unsigned)atoi(text[i]);
            double value;
            OK(fmi2GetReal(unit, &reference, 1, &value))
            printf("%.17g ", value);
        }
        printf("\n");
    }
    OK(fmi2Terminate(unit))
    fmi2FreeInstance(unit);
    return 0;
}
