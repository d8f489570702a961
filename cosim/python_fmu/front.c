/* What stands between an importer and PythonFMU's library.
 *
 * It loads that library, and Python where the process has none, when an instance is made: a failure is a message and
 * no instance, where the library alone would not load at all. It holds what PythonFMU leaves out: the GUID, the states
 * of an instance, the status of an error, messages without format and with a category.
 *
 * slave.py never lets an exception out, because PythonFMU frees its objects twice after one. It logs instead, and the
 * status of a call is the worst status that was logged in it.
 *
 * RESOURCES/front.txt holds the GUID in its first line, then names of libraries to try where the process has no Python.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#define NOGDI
#include <windows.h>
#define EXPORT __declspec(dllexport)
#define PYTHONFMU "/pythonfmu/resources/binaries/win64/pythonfmu-export.dll"
#define SUFFIX ".dll"
#else
#include <dlfcn.h>
#define EXPORT __attribute__((visibility("default")))
#define PYTHONFMU "/pythonfmu/resources/binaries/linux64/libpythonfmu-export.so"
#define SUFFIX ".so"
#endif

enum { OK, WARNING, DISCARD, ERROR, FATAL };
enum { INSTANTIATED = 1, INITIALIZING = 2, STEPPING = 4, TERMINATED = 8, FAILED = 16, ANY = 31 };
enum { PATH_SIZE = 4096, TEXT_SIZE = 4096 };
#define ERRORS "logStatusError"

typedef void Logger(void *, const char *, int, const char *, const char *, ...);

typedef struct {
    Logger *logger;
    void *(*allocate)(size_t, size_t);
    void (*release)(void *);
    void (*finished)(void *, int);
    void *environment;
} Callbacks;

typedef struct {
    char *name, *guid, resources[PATH_SIZE];
    Callbacks host, relay;
    void *slave;
    int state, logging, visible, worst;
} Instance;

/* ---- libraries ------------------------------------------------------------------------------------------------- */

static void *pythonfmu;
static int (*is_initialized)(void);

#ifdef _WIN32
static void *load(const char *path, int global) {
    wchar_t wide[PATH_SIZE];
    (void)global;
    if (!MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, PATH_SIZE)) return NULL;
    for (wchar_t *c = wide; *c; ++c)
        if (*c == L'/') *c = L'\\';
    /* with a path: its neighbours are found too; without one: the system's search */
    return (void *)LoadLibraryExW(wide, NULL, wcspbrk(wide, L"\\") ? LOAD_WITH_ALTERED_SEARCH_PATH : 0);
}
static void *find(void *library, const char *name) { return (void *)GetProcAddress((HMODULE)library, name); }
static void *in_process(const char *name) {
    HMODULE python = GetModuleHandleA("python3.dll");
    return python ? find(python, name) : NULL;
}
static void why(char *text, size_t size) { snprintf(text, size, "error %lu", GetLastError()); }
#else
static void *load(const char *path, int global) { return dlopen(path, RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL)); }
static void *find(void *library, const char *name) { return dlsym(library, name); }
static void *in_process(const char *name) { return dlsym(RTLD_DEFAULT, name); }
static void why(char *text, size_t size) {
    const char *reason = dlerror();
    snprintf(text, size, "%s", reason ? reason : "unknown reason");
}
#endif

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void tell(Instance *instance, int status, const char *category, const char *text) {
    if (status > instance->worst) instance->worst = status;
    if (status < ERROR && !instance->logging) return;
    instance->host.logger(
        instance->host.environment, instance->name, status, category && *category ? category : ERRORS, "%s", text);
}

static void say(Instance *instance, const char *format, ...) {
    char text[TEXT_SIZE];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    tell(instance, ERROR, ERRORS, text);
}

/* PythonFMU hands its messages over as the format */
static void relay(void *instance, const char *name, int status, const char *category, const char *text, ...) {
    (void)name;
    tell(instance, status == FATAL ? ERROR : status, category, text ? text : "");
}

/* ---- calls into PythonFMU -------------------------------------------------------------------------------------- */

/* After fmi2Fatal its objects are gone: the slave is given up, and never touched again. */
static int settle(Instance *instance, int status) {
    if (status >= ERROR) {
        instance->slave = NULL;
        instance->state = FAILED;
        return ERROR;
    }
    return instance->worst > status ? instance->worst : status;
}

#define CALL(instance, function, types, ...) \
    ((instance)->worst = OK, settle(instance, ((int(*) types)find(pythonfmu, #function))(__VA_ARGS__)))

static int permitted(Instance *instance, int states, const char *function) {
    static const char *const names[] = {"instantiated", "in initialization", "stepping", "terminated", "failed"};
    int place = 0;
    if (!instance) return 0;
    while (instance->state >> (place + 1)) ++place;
    if (!(instance->state & states)) {
        say(instance, "%s is not allowed while the instance is %s", function, names[place]);
        return 0;
    }
    if (!is_initialized()) {
        say(instance, "%s: Python has ended in this process", function);
        return 0;
    }
    if (!instance->slave) {
        say(instance, "%s: the instance is lost after an error; reset it", function);
        return 0;
    }
    return 1;
}

static int is_path_start(const char *text) { return text[0] == '/' || text[0] == '\\'; }

/* The folder behind a URI such as file:///C:/my%20folder/resources, or a plain path. */
static int folder_of(const char *uri, char *path) {
    size_t length = 0;
    const int is_uri = strncmp(uri, "file:", 5) == 0;
    if (is_uri) {
        uri += 5;
        if (strncmp(uri, "//localhost/", 12) == 0) uri += 11;
        else if (strncmp(uri, "///", 3) == 0) uri += 2;
#ifdef _WIN32
        if (is_path_start(uri) && uri[1] && uri[2] == ':') ++uri;
#endif
    }
    for (; *uri && length + 1 < PATH_SIZE; ++uri) {
        unsigned byte;
        if (is_uri && *uri == '%' && sscanf(uri + 1, "%2x", &byte) == 1) {
            path[length++] = (char)byte;
            uri += 2;
        } else {
            path[length++] = *uri;
        }
    }
    while (length > 1 && is_path_start(path + length - 1)) --length;
    path[length] = 0;
#ifdef _WIN32
    /* PythonFMU opens files in the system's code page: a short name has ASCII only */
    for (char *c = path; *c; ++c) {
        wchar_t wide[PATH_SIZE], brief[PATH_SIZE];
        if (!((unsigned char)*c & 128)) continue;
        if (!MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, PATH_SIZE)) return 0;
        DWORD size = GetShortPathNameW(wide, brief, PATH_SIZE);
        if (!size || size >= PATH_SIZE) return 0;
        BOOL lost = FALSE;
        return WideCharToMultiByte(20127, WC_NO_BEST_FIT_CHARS, brief, -1, path, PATH_SIZE, NULL, &lost) && !lost;
    }
#endif
    return *uri == 0;
}

static FILE *open_file(const char *path) {
#ifdef _WIN32
    wchar_t wide[PATH_SIZE];
    return MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, PATH_SIZE) ? _wfopen(wide, L"rb") : NULL;
#else
    return fopen(path, "rb");
#endif
}

static int next_line(FILE *file, char *line, int size) {
    if (!fgets(line, size, file)) return 0;
    line[strcspn(line, "\r\n")] = 0;
    return 1;
}

/* Begin Python where it is loaded and has not begun. It is never ended: packages such as NumPy do not survive that. */
static int begin_python(void) {
    void (*initialize)(int) = (void (*)(int))in_process("Py_InitializeEx");
    void *(*release)(void) = (void *(*)(void))in_process("PyEval_SaveThread");
    is_initialized = (int (*)(void))in_process("Py_IsInitialized");
    if (!initialize || !release || !is_initialized) return 0;
    if (!is_initialized()) {
        initialize(0);
        release();
    }
    return 1;
}

/* A process without Python gets the first library of the list that is found. */
static int have_python(Instance *instance, FILE *names) {
    char name[256], tried[TEXT_SIZE / 2] = "";
    if (begin_python()) return 1;
    while (next_line(names, name, sizeof name)) {
        if (!strstr(name, SUFFIX)) continue;
        if (strlen(tried) + strlen(name) + 3 > sizeof tried) break;
        strcat(strcat(tried, *tried ? ", " : ""), name);
        if (load(name, 1) && begin_python()) return 1;
    }
    say(instance,
        "this FMU runs in Python, and this process has none; libraries tried: %s. Run it in a Python process, or let "
        "the loader find one of these libraries ("
#ifdef _WIN32
        "add the folder of python3.dll to PATH"
#else
        "add its folder to LD_LIBRARY_PATH before the tool starts"
#endif
        ")", tried);
    return 0;
}

/* On Linux PythonFMU's library frees an object twice when the process ends; not if it is asked before. */
static void end_before_exit(void) {
#ifndef _WIN32
    void (*end)(void) = (void (*)(void))find(pythonfmu, "finalizePythonInterpreter");
    if (end) atexit(end);
#endif
}

static int prepare(Instance *instance, const char *guid) {
    char path[PATH_SIZE + 128], line[256], reason[TEXT_SIZE / 2];
    snprintf(path, sizeof path, "%s/front.txt", instance->resources);
    FILE *file = open_file(path);
    if (!file || !next_line(file, line, sizeof line)) {
        if (file) fclose(file);
        say(instance, "there are no resources of this FMU in '%s'", instance->resources);
        return 0;
    }
    if (strcmp(line, guid) != 0) {
        say(instance, "the GUID is '%s', not that of this FMU, '%s'", guid, line);
        fclose(file);
        return 0;
    }
    /* the first instances may be made by several threads */
    static char busy;
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) continue;
    const int python = have_python(instance, file);
    fclose(file);
    if (python && !pythonfmu) {
        snprintf(path, sizeof path, "%s" PYTHONFMU, instance->resources);
        pythonfmu = load(path, 0);
        if (pythonfmu) end_before_exit();
        else why(reason, sizeof reason);
    }
    __atomic_clear(&busy, __ATOMIC_RELEASE);
    if (python && !pythonfmu) say(instance, "PythonFMU's library cannot be loaded: %s", reason);
    return pythonfmu != NULL;
}

/* A new slave; its class has logged what is wrong with it, which the empty read hands over. */
static int create(Instance *instance) {
    instance->worst = OK;
    instance->slave = ((void *(*)(const char *, int, const char *, const char *, const Callbacks *, int, int))find(
        pythonfmu, "fmi2Instantiate"))(
        instance->name, 1, instance->guid, instance->resources, &instance->relay, instance->visible, 1);
    if (!instance->slave) {
        if (instance->worst < ERROR) say(instance, "PythonFMU gives no instance");
        return 0;
    }
    if (CALL(instance, fmi2GetReal, (void *, const unsigned *, size_t, double *), instance->slave, NULL, 0, NULL) < ERROR)
        return 1;
    return 0;
}

/* An importer may free its instances when the process ends, after Python did: nothing is left to free then. */
static void destroy(Instance *instance) {
    if (instance->slave && is_initialized()) ((void (*)(void *))find(pythonfmu, "fmi2FreeInstance"))(instance->slave);
    instance->slave = NULL;
}

/* ---- FMI 2.0 --------------------------------------------------------------------------------------------------- */

EXPORT const char *fmi2GetTypesPlatform(void) { return "default"; }
EXPORT const char *fmi2GetVersion(void) { return "2.0"; }

EXPORT void fmi2FreeInstance(void *c) {
    Instance *instance = c;
    if (!instance) return;
    destroy(instance);
    free(instance->name);
    free(instance->guid);
    free(instance);
}

static char *copy(const char *text) {
    char *made = calloc(strlen(text) + 1, 1);
    return made ? strcpy(made, text) : NULL;
}

EXPORT void *fmi2Instantiate(
    const char *name, int type, const char *guid, const char *resources, const Callbacks *host, int visible, int logging) {
    if (!host || !host->logger) return NULL;
    Instance *instance = calloc(1, sizeof *instance);
    if (!instance) return NULL;
    instance->host = *host;
    instance->relay = (Callbacks){relay, calloc, free, NULL, instance};
    instance->state = INSTANTIATED;
    instance->logging = logging;
    instance->visible = visible;
    instance->name = copy(name ? name : "");
    instance->guid = copy(guid ? guid : "");
    int fine = instance->name && instance->guid;
    if (fine && type != 1) {
        say(instance, "this FMU is for Co-Simulation only");
        fine = 0;
    }
    if (fine && !(resources && folder_of(resources, instance->resources))) {
        say(instance, "the resource location '%s' cannot be used", resources ? resources : "");
        fine = 0;
    }
    if (fine && prepare(instance, instance->guid) && create(instance)) return instance;
    fmi2FreeInstance(instance);
    return NULL;
}

EXPORT int fmi2SetDebugLogging(void *c, int on, size_t n, const char *const categories[]) {
    (void)n, (void)categories;
    if (!c) return ERROR;
    ((Instance *)c)->logging = on;
    return OK;
}

EXPORT int fmi2SetupExperiment(void *c, int has_tolerance, double tolerance, double start, int has_stop, double stop) {
    Instance *instance = c;
    if (!permitted(instance, INSTANTIATED, "fmi2SetupExperiment")) return ERROR;
    if (!isfinite(start)) {
        say(instance, "the start time is not finite");
        return ERROR;
    }
    return CALL(instance, fmi2SetupExperiment, (void *, int, double, double, int, double), instance->slave,
        has_tolerance, tolerance, start, has_stop, stop);
}

static int move(Instance *instance, int status, int next) {
    instance->state = status < ERROR ? next : FAILED;
    return status;
}

EXPORT int fmi2EnterInitializationMode(void *c) {
    Instance *instance = c;
    if (!permitted(instance, INSTANTIATED, "fmi2EnterInitializationMode")) return ERROR;
    return move(instance, CALL(instance, fmi2EnterInitializationMode, (void *), instance->slave), INITIALIZING);
}

EXPORT int fmi2ExitInitializationMode(void *c) {
    Instance *instance = c;
    if (!permitted(instance, INITIALIZING, "fmi2ExitInitializationMode")) return ERROR;
    return move(instance, CALL(instance, fmi2ExitInitializationMode, (void *), instance->slave), STEPPING);
}

EXPORT int fmi2DoStep(void *c, double time, double step, int no_set_state) {
    Instance *instance = c;
    if (!permitted(instance, STEPPING, "fmi2DoStep")) return ERROR;
    if (!isfinite(time) || !isfinite(step) || step <= 0.0) {
        say(instance, "fmi2DoStep: a step of %g s from %g s is not possible", step, time);
        return ERROR;
    }
    return move(instance,
        CALL(instance, fmi2DoStep, (void *, double, double, int), instance->slave, time, step, no_set_state), STEPPING);
}

EXPORT int fmi2Terminate(void *c) {
    Instance *instance = c;
    if (!permitted(instance, STEPPING | FAILED, "fmi2Terminate")) return ERROR;
    return move(instance, CALL(instance, fmi2Terminate, (void *), instance->slave), TERMINATED);
}

EXPORT int fmi2Reset(void *c) {
    Instance *instance = c;
    if (!instance || !is_initialized()) return ERROR;
    destroy(instance);
    instance->state = INSTANTIATED;
    if (create(instance)) return instance->worst;
    instance->state = FAILED;
    return ERROR;
}

#define ACCESS(verb, kind, qualifier, type)                                                                  \
    EXPORT int fmi2##verb##kind(void *c, const unsigned references[], size_t n, qualifier type values[]) {   \
        Instance *instance = c;                                                                              \
        if (!permitted(instance, ANY & ~(*#verb == 'S' ? TERMINATED | FAILED : 0), "fmi2" #verb #kind))      \
            return ERROR;                                                                                    \
        return CALL(instance, fmi2##verb##kind, (void *, const unsigned *, size_t, qualifier type *),        \
            instance->slave, references, n, values);                                                         \
    }
ACCESS(Get, Real, , double)
ACCESS(Get, Integer, , int)
ACCESS(Get, Boolean, , int)
ACCESS(Get, String, , const char *)
ACCESS(Set, Real, const, double)
ACCESS(Set, Integer, const, int)
ACCESS(Set, Boolean, const, int)
ACCESS(Set, String, , const char *const)

static int unsupported(void *c, const char *function) {
    if (c) say(c, "%s is not supported: a Python component keeps its state to itself", function);
    return ERROR;
}
#define UNSUPPORTED(name, ...) \
    EXPORT int name(void *c, __VA_ARGS__) { return unsupported(c, #name); }
UNSUPPORTED(fmi2GetFMUstate, void **s)
UNSUPPORTED(fmi2SetFMUstate, void *s)
UNSUPPORTED(fmi2FreeFMUstate, void **s)
UNSUPPORTED(fmi2SerializedFMUstateSize, void *s, size_t *n)
UNSUPPORTED(fmi2SerializeFMUstate, void *s, char b[], size_t n)
UNSUPPORTED(fmi2DeSerializeFMUstate, const char b[], size_t n, void **s)
UNSUPPORTED(fmi2GetDirectionalDerivative, const unsigned u[], size_t n, const unsigned k[], size_t m, const double d[], double r[])
UNSUPPORTED(fmi2SetRealInputDerivatives, const unsigned v[], size_t n, const int o[], const double d[])
UNSUPPORTED(fmi2GetRealOutputDerivatives, const unsigned v[], size_t n, const int o[], double d[])

EXPORT int fmi2CancelStep(void *c) { return unsupported(c, "fmi2CancelStep"); }

/* no step is ever pending, and a step that failed has an error, not a last time */
static int no_status(void *c, const char *function) {
    if (c) tell(c, DISCARD, "logStatusDiscard", function);
    return DISCARD;
}
EXPORT int fmi2GetStatus(void *c, int kind, int *value) { return no_status(c, "fmi2GetStatus: no step is pending"); }
EXPORT int fmi2GetRealStatus(void *c, int kind, double *value) { return no_status(c, "fmi2GetRealStatus: no step is pending"); }
EXPORT int fmi2GetIntegerStatus(void *c, int kind, int *value) { return no_status(c, "fmi2GetIntegerStatus: no step is pending"); }
EXPORT int fmi2GetBooleanStatus(void *c, int kind, int *value) { return no_status(c, "fmi2GetBooleanStatus: no step is pending"); }
EXPORT int fmi2GetStringStatus(void *c, int kind, const char **value) { return no_status(c, "fmi2GetStringStatus: no step is pending"); }
