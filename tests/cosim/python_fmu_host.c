/* A process without Python that makes an instance of an FMU, steps it, and prints one output after each step.
 *
 *     python_fmu_host LIBRARY GUID RESOURCES STEPS STEP_SIZE OUTPUT
 *
 * Messages go to stderr. Exit status 3: no instance.
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
    fprintf(stderr, "\n");
    va_end(list);
    (void)e;
}

#define LOOK_UP(result, name, ...) result (*name)(__VA_ARGS__) = FIND(library, #name)
#define OK(call) if (call) { fprintf(stderr, "failed: %s\n", #call); return 1; }

int main(int n, char **text) {
    OK(n != 7)
    void *library = LOAD(text[1]);
    OK(!library)
    LOOK_UP(void *, fmi2Instantiate, const char *, int, const char *, const char *, const Callbacks *, int, int);
    LOOK_UP(int, fmi2SetupExperiment, void *, int, double, double, int, double);
    LOOK_UP(int, fmi2EnterInitializationMode, void *);
    LOOK_UP(int, fmi2ExitInitializationMode, void *);
    LOOK_UP(int, fmi2GetReal, void *, const unsigned *, size_t, double *);
    LOOK_UP(int, fmi2DoStep, void *, double, double, int);
    LOOK_UP(int, fmi2Terminate, void *);
    LOOK_UP(void, fmi2FreeInstance, void *);
    double h = atof(text[5]);
    unsigned output = (unsigned)atoi(text[6]);
    Callbacks callbacks = {log_message, calloc, free, NULL, NULL};
    void *instance = fmi2Instantiate("hosted", 1, text[2], text[3], &callbacks, 0, 0);
    if (!instance) return 3;
    OK(fmi2SetupExperiment(instance, 0, 0, 0, 0, 0))
    OK(fmi2EnterInitializationMode(instance))
    OK(fmi2ExitInitializationMode(instance))
    for (int k = 0; k < atoi(text[4]); ++k) {
        double value;
        OK(fmi2DoStep(instance, k * h, h, 1))
        OK(fmi2GetReal(instance, &output, 1, &value))
        printf("%.17g\n", value);
    }
    OK(fmi2Terminate(instance))
    fmi2FreeInstance(instance);
    return 0;
}
