/* A first-order lag with two outputs as a complete FMI 2.0 FMU, and by -D what can be wrong with one.
   x' = (u - x) / tau, y = x, z = 2 u; Co-Simulation with explicit Euler. n counts how often x went up through 0.5 in
   Model Exchange. Value references: 0 u, 1 tau, 2 y, 3 z, 4 x, 5 x', 6 time, and the Integer 7 n. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif
typedef void (*logger)(void *, const char *, int, const char *, const char *, ...);
#define ALLOWED(modes) if (!(((lag *)c)->mode & (modes))) return 3
typedef void *comp;
/* mode: 1 made, 2 initialising, 4 stepping, 8 terminated, 16 event, 32 continuous time */
typedef struct { double r[4], x, t; int mode, exchange, n, above; logger log; } lag;
#if defined SHARED
static double shared;
#endif

static void reset(lag *m) {
  const int exchange = m->exchange;
  const logger log = m->log;
  memset(m, 0, sizeof *m);
  m->r[0] = m->r[1] = 1.0;
  m->mode = 1;
  m->exchange = exchange;
  m->log = log;
}
static int refuse(lag *m) { m->log(NULL, "odd", 3, "error", "refused"); return 3; }
static double slope(const lag *m) { return (m->r[0] - m->x) / m->r[1]; }
static void outputs(lag *m) { m->r[2] = m->x; m->r[3] = 2.0 * m->r[0]; }

API const char *fmi2GetTypesPlatform(void) { return "default"; }
API const char *fmi2GetVersion(void) { return "2.0"; }
API int fmi2SetDebugLogging(comp c, int on, size_t n, const char *const s[]) { return 0; }
API comp fmi2Instantiate(const char *name, int type, const char *guid, const char *resources, const void *cb, int v, int log) {
  if (strcmp(guid, "{odd}")) return NULL;
  lag *m = malloc(sizeof(lag));
  m->exchange = type == 0;
  m->log = *(logger *)cb;
  reset(m);
  return m;
}
API void fmi2FreeInstance(comp c) { free(c); }
API int fmi2SetupExperiment(comp c, int td, double tol, double t0, int sd, double t1) { ALLOWED(1); ((lag *)c)->t = t0; return 0; }
API int fmi2EnterInitializationMode(comp c) { ALLOWED(1); ((lag *)c)->mode = 2; return 0; }
API int fmi2ExitInitializationMode(comp c) { ALLOWED(2); ((lag *)c)->mode = ((lag *)c)->exchange ? 16 : 4; outputs(c); return 0; }
API int fmi2Terminate(comp c) { ALLOWED(4 | 16 | 32); ((lag *)c)->mode = 8; return 0; }
API int fmi2Reset(comp c) {
#if defined NO_RESET
  ((lag *)c)->mode = 1;
#else
  reset(c);
#endif
  return 0;
}
API int fmi2GetReal(comp c, const unsigned vr[], size_t n, double v[]) {
  lag *m = c;
  m->r[3] = 2.0 * m->r[0];
  if (m->exchange) m->r[2] = m->x; /* in Co-Simulation y changes in a step only */
  for (size_t k = 0; k < n; k++) {
    if (vr[k] > 6) return refuse(m);
    v[k] = vr[k] < 4 ? m->r[vr[k]] : vr[k] == 4 ? m->x : vr[k] == 5 ? slope(m) : m->t;
#if defined OTHER_VARIABLE
    if (vr[k] == 5) v[k] += 1.0;
#endif
#if defined NO_CLOCK
    if (vr[k] == 6) v[k] = 0.0;
#endif
  }
  return 0;
}
API int fmi2GetInteger(comp c, const unsigned vr[], size_t n, int v[]) {
  for (size_t k = 0; k < n; k++) { if (vr[k] != 7) return 3; v[k] = ((lag *)c)->n; }
  return 0;
}
API int fmi2SetReal(comp c, const unsigned vr[], size_t n, const double v[]) {
  for (size_t k = 0; k < n; k++) {
    if (vr[k] >= 2) return refuse(c);
#if !defined TAKES_NAN
    if (!isfinite(v[k])) return 3;
#endif
#if !defined DEAF
    ((lag *)c)->r[vr[k]] = v[k];
#endif
  }
  return 0;
}
API int fmi2DoStep(comp c, double t, double h, int no_set) {
  lag *m = c;
#if !defined LENIENT
  ALLOWED(4);
  if (!(h > 0)) return 3;
#endif
#if defined CRASH
  if (t > 0.25) *(volatile int *)0 = 1;
#endif
#if defined HANG
  for (volatile int k = 1; t > 0.25 && k;) ;
#endif
#if defined SHARED
  m->x = shared;
#endif
  m->x += h * (m->r[0] - m->x) / m->r[1];
#if defined SHARED
  shared = m->x;
#endif
#if defined DIVERGE
  if (t > 0.25) m->x = INFINITY;
#endif
  m->t = t + h;
  outputs(m);
  return 0;
}
API int fmi2GetFMUstate(comp c, void **s) {
  if (!*s) *s = malloc(sizeof(lag));
  memcpy(*s, c, sizeof(lag));
  return 0;
}
API int fmi2SetFMUstate(comp c, void *s) {
#if !defined LYING_STATE
  lag *m = c;
  double x = m->x;
  const logger log = m->log;
  memcpy(m, s, sizeof(lag));
  m->log = log;
#if defined FORGETFUL_STATE
  m->x = x;
#endif
#endif
  return 0;
}
API int fmi2FreeFMUstate(comp c, void **s) { free(*s); *s = NULL; return 0; }
API int fmi2SerializedFMUstateSize(comp c, void *s, size_t *n) { *n = sizeof(lag); return 0; }
API int fmi2SerializeFMUstate(comp c, void *s, char *b, size_t n) { memcpy(b, s, sizeof(lag)); return 0; }
API int fmi2DeSerializeFMUstate(comp c, const char *b, size_t n, void **s) {
  if (!*s) *s = malloc(sizeof(lag));
  memcpy(*s, b, sizeof(lag));
  return 0;
}
/* at a communication point; in Model Exchange at the point that is set */
API int fmi2GetDirectionalDerivative(comp c, const unsigned *u, size_t nu, const unsigned *k, size_t nk, const double *dk, double *du) {
  const lag *m = c;
#if defined WRONG_DERIVATIVE
  const double by_u = 2.2, by_x = -1.1 / m->r[1];
#else
  const double by_u = 2.0, by_x = -1.0 / m->r[1];
#endif
  for (size_t i = 0; i < nu; i++) {
    du[i] = 0.0;
    for (size_t j = 0; j < nk; j++)
      du[i] += dk[j] * (u[i] == 3 && k[j] == 0 ? by_u : !m->exchange ? 0.0 : u[i] == 5 && k[j] == 0 ? 1.0 / m->r[1]
        : u[i] == 5 && k[j] == 4 ? by_x : u[i] == 2 && k[j] == 4 ? 1.0 : 0.0);
  }
  return 0;
}

/* Model Exchange */
typedef struct { int again, terminate, nominals, states, defined; double time; } info;
API int fmi2EnterEventMode(comp c) { ALLOWED(32); ((lag *)c)->mode = 16; return 0; }
API int fmi2NewDiscreteStates(comp c, info *i) {
  lag *m = c;
  ALLOWED(16);
  memset(i, 0, sizeof *i);
  if (m->x >= 0.5 && !m->above) m->n++;
  m->above = m->x >= 0.5;
#if defined RESTLESS
  i->again = 1;
#endif
  return 0;
}
API int fmi2EnterContinuousTimeMode(comp c) {
#if !defined LENIENT
  ALLOWED(16);
#endif
  ((lag *)c)->mode = 32;
  return 0;
}
API int fmi2CompletedIntegratorStep(comp c, int no_set, int *event, int *terminate) { ALLOWED(32); *event = *terminate = 0; return 0; }
API int fmi2SetTime(comp c, double t) { ALLOWED(16 | 32); ((lag *)c)->t = t; return 0; }
API int fmi2SetContinuousStates(comp c, const double *x, size_t n) {
  ALLOWED(32);
  if (n != 1) return 3;
#if defined STUCK
  if (((lag *)c)->t > 0.25) return 0;
#endif
  ((lag *)c)->x = x[0];
  return 0;
}
API int fmi2GetDerivatives(comp c, double *dx, size_t n) {
  const lag *m = c;
  ALLOWED(16 | 32);
  if (n != 1) return 3;
#if defined SLOW
  struct timespec begin, now; /* a tenth of a second on the wall, however busy the machine is */
  timespec_get(&begin, TIME_UTC);
  do timespec_get(&now, TIME_UTC);
  while ((now.tv_sec - begin.tv_sec) + 1e-9 * (now.tv_nsec - begin.tv_nsec) < 0.1);
#endif
#if defined CRASH
  if (m->t > 0.25) *(volatile int *)0 = 1;
#endif
#if defined HANG
  for (volatile int k = 1; m->t > 0.25 && k;) ;
#endif
  dx[0] = slope(m);
#if defined OVERFLOW
  dx[1] = 0.0;
#endif
#if defined DIVERGE
  if (m->t > 0.25) dx[0] = NAN;
#endif
  return 0;
}
API int fmi2GetEventIndicators(comp c, double *z, size_t n) {
  ALLOWED(2 | 16 | 32);
  if (n != 1) return 3;
#if !defined UNFILLED
  z[0] = ((lag *)c)->x - 0.5;
#endif
  return 0;
}
API int fmi2GetContinuousStates(comp c, double *x, size_t n) { ALLOWED(2 | 16 | 32); if (n != 1) return 3; x[0] = ((lag *)c)->x; return 0; }
API int fmi2GetNominalsOfContinuousStates(comp c, double *x, size_t n) {
  if (n != 1) return 3;
#if defined NO_NOMINAL
  x[0] = 0.0;
#else
  x[0] = 1.0;
#endif
  return 0;
}
#define UNSUPPORTED(name, ...) API int name(__VA_ARGS__) { return 3; }
#define ACCESS(Kind) UNSUPPORTED(fmi2Get##Kind, comp c, const unsigned *v, size_t n, void *x) UNSUPPORTED(fmi2Set##Kind, comp c, const unsigned *v, size_t n, const void *x)
UNSUPPORTED(fmi2SetInteger, comp c, const unsigned *v, size_t n, const void *x)
ACCESS(Boolean)
ACCESS(String)
UNSUPPORTED(fmi2SetRealInputDerivatives, comp c, const unsigned *v, size_t n, const int *o, const double *x)
UNSUPPORTED(fmi2GetRealOutputDerivatives, comp c, const unsigned *v, size_t n, const int *o, double *x)
#if !defined INCOMPLETE
UNSUPPORTED(fmi2CancelStep, comp c)
#endif
UNSUPPORTED(fmi2GetStatus, comp c, int k, int *v)
UNSUPPORTED(fmi2GetRealStatus, comp c, int k, double *v)
UNSUPPORTED(fmi2GetIntegerStatus, comp c, int k, int *v)
UNSUPPORTED(fmi2GetBooleanStatus, comp c, int k, int *v)
UNSUPPORTED(fmi2GetStringStatus, comp c, int k, const char **v)
