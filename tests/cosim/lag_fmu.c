/* A first-order lag as a minimal FMI 2.0 Co-Simulation FMU: explicit Euler, one step per communication step.
   x' = (gain * u - x) / tau;  y = x.  Value references: 0 u, 1 y, 2 tau, 3 fail_at, 4 nan_at, 5 gain, 6 discard_at,
   where a step is broken off, 7 stuck_at, where it comes nowhere, 8 harm_at, where
   it does 9 harm: 1 crashes, 2 exits, 3 hangs, 4 aborts (real); 0 steps, 1 level (integer); 0 high, 1 invert
   (boolean). */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#if defined _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif
typedef void *comp;
typedef void (*logger_t)(void *, const char *, int, const char *, const char *, ...);
typedef struct { logger_t logger; void *(*alloc)(size_t, size_t); void (*release)(void *); void *finished; void *env; } callbacks_t;
typedef struct { double last, r[10]; int i[2]; int b[2]; const callbacks_t *cb; } lag;

API const char *fmi2GetTypesPlatform(void) { return "default"; }
API const char *fmi2GetVersion(void) { return "2.0"; }
API int fmi2SetDebugLogging(comp c, int on, size_t n, const char *const s[]) { return 0; }
API comp fmi2Instantiate(const char *name, int type, const char *guid, const char *resources, const callbacks_t *cb,
                         int visible, int log) {
  lag *m = calloc(1, sizeof(lag));
  m->r[2] = 1.0; m->r[3] = m->r[4] = m->r[6] = m->r[7] = m->r[8] = 1e300; m->r[5] = 1.0; m->cb = cb;
  return m;
}
API void fmi2FreeInstance(comp c) { free(c); }
API int fmi2SetupExperiment(comp c, int td, double tol, double t0, int sd, double t1) { return 0; }
API int fmi2EnterInitializationMode(comp c) {
  lag *m = c;
  if (m->r[2] > 0.0) return 0;
  m->cb->logger(m->cb->env, "lag", 3, "logStatusError", "tau must be positive, it is %g", m->r[2]);
  return 3;
}
API int fmi2ExitInitializationMode(comp c) { return 0; }
API int fmi2Terminate(comp c) { return 0; }
API int fmi2Reset(comp c) { return 0; }
#define ACCESS(Name, type, field, limit)                                                                     \
  API int fmi2Get##Name(comp c, const unsigned vr[], size_t n, type v[]) {                                   \
    for (size_t k = 0; k < n; k++) { if (vr[k] >= limit) return 3; v[k] = ((lag *)c)->field[vr[k]]; }        \
    return 0;                                                                                                \
  }                                                                                                          \
  API int fmi2Set##Name(comp c, const unsigned vr[], size_t n, const type v[]) {                             \
    for (size_t k = 0; k < n; k++) { if (vr[k] >= limit) return 3; ((lag *)c)->field[vr[k]] = v[k]; }        \
    return 0;                                                                                                \
  }
ACCESS(Real, double, r, 10)
ACCESS(Integer, int, i, 2)
ACCESS(Boolean, int, b, 2)
API int fmi2DoStep(comp c, double t, double h, int no_set) {
  lag *m = c;
  if (t + 0.5 * h >= m->r[3]) {
    m->cb->logger(m->cb->env, "lag", 3, "logStatusError", "the lag broke at %g, x = %g", t, m->r[1]);
    return 3;
  }
  m->last = t;
  if (t + 0.5 * h >= m->r[7]) return 2;
  if (t + 0.5 * h >= m->r[8]) {
    printf("about to do harm\n");
    fflush(stdout);
    if (m->r[9] == 1.0) *(volatile int *)8 = 1;
    if (m->r[9] == 2.0) exit(3);
    if (m->r[9] == 3.0) for (volatile int forever = 1; forever;) {}
    if (m->r[9] == 4.0) abort();
  }
  int broken_off = t < m->r[6] && m->r[6] < t + h;
  if (broken_off) h = m->r[6] - t;
  m->last = t + h;
  double u = (m->b[1] ? -1.0 : 1.0) * m->r[0] + m->i[1];
  m->r[1] += h * (m->r[5] * u - m->r[1]) / m->r[2];
  if (t + 0.5 * h >= m->r[4]) m->r[1] = NAN;
  m->i[0]++;
  m->b[0] = m->r[1] > 0.5;
  return broken_off ? 2 : 0;
}
API int fmi2GetRealStatus(comp c, int kind, double *v) { *v = ((lag *)c)->last; return 0; }
API int fmi2GetBooleanStatus(comp c, int kind, int *v) { *v = 0; return 0; }
#define UNSUPPORTED(name, ...) API int name(__VA_ARGS__) { return 3; }
UNSUPPORTED(fmi2GetString, comp c, const unsigned *v, size_t n, const char **s)
UNSUPPORTED(fmi2SetString, comp c, const unsigned *v, size_t n, const char *const *s)
UNSUPPORTED(fmi2GetFMUstate, comp c, void **s)
UNSUPPORTED(fmi2SetFMUstate, comp c, void *s)
UNSUPPORTED(fmi2FreeFMUstate, comp c, void **s)
UNSUPPORTED(fmi2SerializedFMUstateSize, comp c, void *s, size_t *n)
UNSUPPORTED(fmi2SerializeFMUstate, comp c, void *s, char *b, size_t n)
UNSUPPORTED(fmi2DeSerializeFMUstate, comp c, const char *b, size_t n, void **s)
UNSUPPORTED(fmi2GetDirectionalDerivative, comp c, const unsigned *u, size_t nu, const unsigned *k, size_t nk,
            const double *dk, double *du)
UNSUPPORTED(fmi2SetRealInputDerivatives, comp c, const unsigned *v, size_t n, const int *o, const double *x)
UNSUPPORTED(fmi2GetRealOutputDerivatives, comp c, const unsigned *v, size_t n, const int *o, double *x)
UNSUPPORTED(fmi2CancelStep, comp c)
UNSUPPORTED(fmi2GetStatus, comp c, int k, int *v)
UNSUPPORTED(fmi2GetIntegerStatus, comp c, int k, int *v)
UNSUPPORTED(fmi2GetStringStatus, comp c, int k, const char **v)
