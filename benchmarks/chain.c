/* The lightest FMU that does something: y = 0.5 u + 1, FMI 2.0 Co-Simulation. What a master costs beside it is overhead.
   Value references: 0 u, 1 y. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#if defined _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif
typedef void *fmi2;
typedef struct { double r[2]; } link;

API const char *fmi2GetTypesPlatform(void) { return "default"; }
API const char *fmi2GetVersion(void) { return "2.0"; }
API int fmi2SetDebugLogging(fmi2 c, int on, size_t n, const char *const s[]) { return 0; }
API fmi2 fmi2Instantiate(const char *name, int type, const char *guid, const char *resources, const void *callbacks,
                         int visible, int log) {
  link *m = calloc(1, sizeof(link));
  m->r[1] = 1.0;
  return m;
}
API void fmi2FreeInstance(fmi2 c) { free(c); }
API int fmi2SetupExperiment(fmi2 c, int td, double tol, double t0, int sd, double t1) { return 0; }
API int fmi2EnterInitializationMode(fmi2 c) { return 0; }
API int fmi2ExitInitializationMode(fmi2 c) { return 0; }
API int fmi2Terminate(fmi2 c) { return 0; }
API int fmi2Reset(fmi2 c) { return 0; }
API int fmi2GetReal(fmi2 c, const unsigned vr[], size_t n, double v[]) {
  for (size_t k = 0; k < n; k++) v[k] = ((link *)c)->r[vr[k]];
  return 0;
}
API int fmi2SetReal(fmi2 c, const unsigned vr[], size_t n, const double v[]) {
  for (size_t k = 0; k < n; k++) ((link *)c)->r[vr[k]] = v[k];
  return 0;
}
API int fmi2DoStep(fmi2 c, double t, double h, int no_set) {
  link *m = c;
  m->r[1] = 0.5 * m->r[0] + 1.0;
  return 0;
}
API int fmi2GetFMUstate(fmi2 c, void **s) {
  if (!*s) *s = malloc(sizeof(link));
  memcpy(*s, c, sizeof(link));
  return 0;
}
API int fmi2SetFMUstate(fmi2 c, void *s) { memcpy(c, s, sizeof(link)); return 0; }
API int fmi2FreeFMUstate(fmi2 c, void **s) { free(*s); *s = NULL; return 0; }
#define REFUSED(name, ...) API int name(__VA_ARGS__) { return 3; }
REFUSED(fmi2GetInteger, fmi2 c, const unsigned *v, size_t n, int *x)
REFUSED(fmi2SetInteger, fmi2 c, const unsigned *v, size_t n, const int *x)
REFUSED(fmi2GetBoolean, fmi2 c, const unsigned *v, size_t n, int *x)
REFUSED(fmi2SetBoolean, fmi2 c, const unsigned *v, size_t n, const int *x)
REFUSED(fmi2GetString, fmi2 c, const unsigned *v, size_t n, const char **x)
REFUSED(fmi2SetString, fmi2 c, const unsigned *v, size_t n, const char *const *x)
REFUSED(fmi2SerializedFMUstateSize, fmi2 c, void *s, size_t *n)
REFUSED(fmi2SerializeFMUstate, fmi2 c, void *s, char *b, size_t n)
REFUSED(fmi2DeSerializeFMUstate, fmi2 c, const char *b, size_t n, void **s)
REFUSED(fmi2GetDirectionalDerivative, fmi2 c, const unsigned *u, size_t nu, const unsigned *k, size_t nk,
        const double *dk, double *du)
REFUSED(fmi2SetRealInputDerivatives, fmi2 c, const unsigned *v, size_t n, const int *o, const double *x)
REFUSED(fmi2GetRealOutputDerivatives, fmi2 c, const unsigned *v, size_t n, const int *o, double *x)
REFUSED(fmi2CancelStep, fmi2 c)
REFUSED(fmi2GetStatus, fmi2 c, int k, int *v)
REFUSED(fmi2GetRealStatus, fmi2 c, int k, double *v)
REFUSED(fmi2GetIntegerStatus, fmi2 c, int k, int *v)
REFUSED(fmi2GetBooleanStatus, fmi2 c, int k, int *v)
REFUSED(fmi2GetStringStatus, fmi2 c, int k, const char **v)
