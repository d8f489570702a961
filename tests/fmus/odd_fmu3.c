/* The lag of odd_fmu.c as a complete FMI 3.0 FMU for Co-Simulation and Model Exchange, and by -D what can be wrong.
   Beside it arrays, v = 2 w, of a size that is a structural parameter, and a String, a Binary and a Boolean that are
   passed through.
   Value references: 0 u, 1 tau, 2 y, 3 z, 4 x, 5 x', 6 time, 7 n (Int32), 8 w, 9 v, 10 and 11 String, 12 and 13 Binary,
   14 and 15 Boolean, 16 size (UInt64, 2 at the start, at most 3). */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif
#define ALLOWED(modes) if (!(((lag *)c)->mode & (modes))) return refuse(c)
typedef void *comp;
typedef uint32_t ref;
typedef void (*logger)(void *, int, const char *, const char *);
typedef void (*update)(void *, double, bool, bool, bool, bool, bool *, double *);
/* mode: 1 made, 2 initialising, 4 stepping, 8 terminated, 16 event, 32 continuous time, 64 configuration */
typedef struct {
  double r[2], y, x, t, w[3];
  uint64_t count;
  int mode, n, above;
  bool flag;
  char text[32];
  uint8_t bytes[32];
  size_t size;
  bool exchange, event_mode, early;
  update on_update;
  logger log;
} lag;

static int refuse(lag *m) {
#if defined MUTE
  return 3;
#endif
#if defined NULL_CATEGORY
  m->log(NULL, 3, NULL, "refused");
#else
  m->log(NULL, 3, "error", "refused");
#endif
  return 3;
}
static void reset(lag *m) {
  m->r[0] = m->r[1] = 1.0;
  m->y = m->x = m->t = m->w[0] = m->w[2] = 0.0;
  m->w[1] = 1.0;
  m->count = 2;
  m->mode = 1;
  m->n = m->above = 0;
  m->flag = false;
  memset(m->text, 0, sizeof m->text);
  memset(m->bytes, 0, sizeof m->bytes);
  strcpy(m->text, "start");
  memcpy(m->bytes, "\x01\x02", m->size = 2);
}
static double slope(const lag *m) { return (m->r[0] - m->x) / m->r[1]; }
static comp make(const char *token, logger log) {
  if (strcmp(token, "{odd}")) return NULL;
  lag *m = calloc(1, sizeof(lag));
  m->log = log;
  reset(m);
  return m;
}

API const char *fmi3GetVersion(void) {
#if defined OTHER_VERSION
  return "2.0";
#else
  return "3.0";
#endif
}
API int fmi3SetDebugLogging(comp c, bool on, size_t n, const char *const s[]) {
  for (size_t k = 0; k < n; k++) if (strcmp(s[k], "error")) return refuse(c);
  return 0;
}
API comp fmi3InstantiateModelExchange(const char *name, const char *token, const char *path, bool visible, bool on, void *env, logger log) {
  lag *m = make(token, log);
  if (m) m->exchange = true;
  return m;
}
API comp fmi3InstantiateCoSimulation(const char *name, const char *token, const char *path, bool visible, bool on, bool event_mode,
    bool early, const ref *wanted, size_t n, void *env, logger log, update on_update) {
  lag *m = make(token, log);
  if (m) { m->event_mode = event_mode; m->early = early; m->on_update = on_update; }
  return m;
}
API comp fmi3InstantiateScheduledExecution(const char *name, const char *token, const char *path, bool visible, bool on, void *env,
    logger log, void *tick, void *lock, void *unlock) {
#if defined GENEROUS
  return make(token, log);
#else
  return NULL;
#endif
}
API void fmi3FreeInstance(comp c) { free(c); }
API int fmi3EnterInitializationMode(comp c, bool td, double tolerance, double t0, bool sd, double t1) {
  ALLOWED(1);
  ((lag *)c)->t = t0;
  ((lag *)c)->mode = 2;
  return 0;
}
API int fmi3ExitInitializationMode(comp c) {
  lag *m = c;
  ALLOWED(2);
  m->mode = m->exchange || m->event_mode ? 16 : 4;
  m->y = m->x;
  return 0;
}
API int fmi3EnterEventMode(comp c) {
#if !defined EVENTS_UNKNOWN
  ALLOWED(4 | 32);
  ((lag *)c)->mode = 16;
  return 0;
#else
  return refuse(c);
#endif
}
API int fmi3Terminate(comp c) { ALLOWED(4 | 16 | 32); ((lag *)c)->mode = 8; return 0; }
API int fmi3Reset(comp c) { reset(c); return 0; }

API int fmi3GetFloat64(comp c, const ref *vr, size_t n, double *v, size_t nv) {
  const lag *m = c;
  size_t k = 0;
  for (size_t i = 0; i < n; i++) switch (vr[i]) {
    case 0: case 1: v[k++] = m->r[vr[i]]; break;
    case 2: v[k++] = m->exchange ? m->x : m->y; break;
    case 3: v[k++] = 2.0 * m->r[0]; break;
    case 4: v[k++] = m->x; break;
    case 5: v[k++] = slope(m); break;
    case 6: v[k++] = m->t; break;
    case 8: for (size_t j = 0; j < m->count; j++) v[k++] = m->w[j]; break;
#if defined SHIFTED
    case 9: v[k] = 2.0 * m->w[0]; v[k + 1] = n > 1 ? 0.0 : 2.0 * m->w[1]; k += 2; break;
#else
    case 9: for (size_t j = 0; j < m->count; j++) v[k++] = 2.0 * m->w[j]; break;
#endif
    default: return refuse(c);
  }
#if defined LENIENT
  return 0;
#else
  return k == nv ? 0 : refuse(c);
#endif
}
API int fmi3SetFloat64(comp c, const ref *vr, size_t n, const double *v, size_t nv) {
  lag *m = c;
  size_t k = 0;
  for (size_t i = 0; i < nv; i++) if (!isfinite(v[i])) return refuse(c);
  for (size_t i = 0; i < n; i++) switch (vr[i]) {
    case 0: case 1: m->r[vr[i]] = v[k++]; break;
#if defined HALF_SET
    case 8: m->w[0] = v[k]; k += 2; break;
#else
    case 8: for (size_t j = 0; j < m->count; j++) m->w[j] = v[k++]; break;
#endif
    default: return refuse(c);
  }
  return k == nv ? 0 : refuse(c);
}
API int fmi3GetInt32(comp c, const ref *vr, size_t n, int32_t *v, size_t nv) {
  if (nv != n) return refuse(c);
  for (size_t i = 0; i < n; i++) { if (vr[i] != 7) return refuse(c); v[i] = ((lag *)c)->n; }
  return 0;
}
API int fmi3GetUInt64(comp c, const ref *vr, size_t n, uint64_t *v, size_t nv) {
  if (n != 1 || nv != 1 || vr[0] != 16) return refuse(c);
  v[0] = ((lag *)c)->count;
  return 0;
}
API int fmi3SetUInt64(comp c, const ref *vr, size_t n, const uint64_t *v, size_t nv) {
  ALLOWED(64);
  if (n != 1 || nv != 1 || vr[0] != 16 || v[0] > 3) return refuse(c);
#if !defined RIGID
  ((lag *)c)->count = v[0];
#endif
  return 0;
}
API int fmi3EnterConfigurationMode(comp c) {
#if defined NO_CONFIGURATION
  return refuse(c);
#endif
  ALLOWED(1);
  ((lag *)c)->mode = 64;
  return 0;
}
API int fmi3ExitConfigurationMode(comp c) { ALLOWED(64); ((lag *)c)->mode = 1; return 0; }
API int fmi3GetBoolean(comp c, const ref *vr, size_t n, bool *v, size_t nv) {
  if (nv != n) return refuse(c);
  for (size_t i = 0; i < n; i++) { if (vr[i] != 14 && vr[i] != 15) return refuse(c); v[i] = ((lag *)c)->flag; }
  return 0;
}
API int fmi3SetBoolean(comp c, const ref *vr, size_t n, const bool *v, size_t nv) {
  if (n != 1 || nv != 1 || vr[0] != 14) return refuse(c);
  ((lag *)c)->flag = v[0];
  return 0;
}
API int fmi3GetString(comp c, const ref *vr, size_t n, const char **v, size_t nv) {
  for (size_t i = 0; i < n; i++) v[i] = ((lag *)c)->text;
#if defined NULL_STRING
  v[n - 1] = NULL;
#endif
  return 0;
}
API int fmi3SetString(comp c, const ref *vr, size_t n, const char *const *v, size_t nv) {
  if (n != 1 || vr[0] != 10) return refuse(c);
  strncpy(((lag *)c)->text, v[0], 31);
  return 0;
}
API int fmi3GetBinary(comp c, const ref *vr, size_t n, size_t *sizes, const uint8_t **v, size_t nv) {
  for (size_t i = 0; i < n; i++) { v[i] = ((lag *)c)->bytes; sizes[i] = ((lag *)c)->size; }
  return 0;
}
API int fmi3SetBinary(comp c, const ref *vr, size_t n, const size_t *sizes, const uint8_t *const *v, size_t nv) {
  lag *m = c;
  if (n != 1 || vr[0] != 12 || sizes[0] > 31) return refuse(c);
#if defined TEXT_ONLY
  m->size = strlen((const char *)v[0]);
#else
  m->size = sizes[0];
#endif
  memcpy(m->bytes, v[0], m->size);
  return 0;
}

API int fmi3GetFMUState(comp c, void **s) {
  if (!*s) *s = malloc(sizeof(lag));
  memcpy(*s, c, sizeof(lag));
  return 0;
}
API int fmi3SetFMUState(comp c, void *s) {
  lag *m = c, now = *m;
  memcpy(m, s, sizeof(lag));
#if defined FORGETFUL_STATE
  m->x = now.x;
#endif
  m->exchange = now.exchange; m->event_mode = now.event_mode; m->early = now.early; m->on_update = now.on_update; m->log = now.log;
  return 0;
}
API int fmi3FreeFMUState(comp c, void **s) { free(*s); *s = NULL; return 0; }
API int fmi3SerializedFMUStateSize(comp c, void *s, size_t *n) { *n = sizeof(lag); return 0; }
API int fmi3SerializeFMUState(comp c, void *s, uint8_t *b, size_t n) { memcpy(b, s, sizeof(lag)); return 0; }
API int fmi3DeserializeFMUState(comp c, const uint8_t *b, size_t n, void **s) {
  if (!*s) *s = malloc(sizeof(lag));
  memcpy(*s, b, sizeof(lag));
  return 0;
}

static size_t width(const lag *m, ref v) { return v == 8 || v == 9 ? m->count : 1; }
/* the derivative of element i of variable u by element j of variable k: at a communication point, in Model Exchange at the point */
static double by(const lag *m, ref u, size_t i, ref k, size_t j) {
  if (u == 3 && k == 0) return 2.0;
  if (u == 9 && k == 8) return i == j ? 2.0 : 0.0;
  if (!m->exchange) return 0.0;
#if defined WRONG_DERIVATIVE
  if (u == 5 && k == 4) return -1.1 / m->r[1];
#endif
  return u == 5 && k == 0 ? 1.0 / m->r[1] : u == 5 && k == 4 ? -1.0 / m->r[1] : u == 2 && k == 4 ? 1.0 : 0.0;
}
static int derive(const lag *m, const ref *u, size_t nu, const ref *k, size_t nk, const double *seed, double *out, bool adjoint) {
  size_t row = 0;
  if (adjoint) for (size_t b = 0, col = 0; b < nk; b++) for (size_t j = 0; j < width(m, k[b]); j++) out[col++] = 0.0;
  for (size_t a = 0; a < nu; a++) for (size_t i = 0; i < width(m, u[a]); i++, row++) {
    size_t col = 0;
    if (!adjoint) out[row] = 0.0;
    for (size_t b = 0; b < nk; b++) for (size_t j = 0; j < width(m, k[b]); j++, col++) {
      double d = by(m, u[a], i, k[b], j);
#if defined WRONG_ADJOINT
      if (adjoint && u[a] == 9) d *= 1.001;
#endif
      if (adjoint) out[col] += seed[row] * d; else out[row] += seed[col] * d;
    }
  }
  return 0;
}
API int fmi3GetDirectionalDerivative(comp c, const ref *u, size_t nu, const ref *k, size_t nk, const double *s, size_t ns, double *o, size_t no) {
  return derive(c, u, nu, k, nk, s, o, false);
}
API int fmi3GetAdjointDerivative(comp c, const ref *u, size_t nu, const ref *k, size_t nk, const double *s, size_t ns, double *o, size_t no) {
  return derive(c, u, nu, k, nk, s, o, true);
}

static void events(lag *m) {
  if (m->x >= 0.5 && !m->above) m->n++;
  m->above = m->x >= 0.5;
}
API int fmi3UpdateDiscreteStates(comp c, bool *again, bool *terminate, bool *nominals, bool *states, bool *defined, double *time) {
  ALLOWED(16);
  events(c);
  *again = *terminate = *nominals = *states = *defined = false;
#if defined PAST_EVENT
  *defined = true;
  *time = -1.0;
#endif
  return 0;
}
API int fmi3EnterContinuousTimeMode(comp c) { ALLOWED(16); ((lag *)c)->mode = 32; return 0; }
API int fmi3CompletedIntegratorStep(comp c, bool no_set, bool *event, bool *terminate) { ALLOWED(32); *event = *terminate = false; return 0; }
API int fmi3SetTime(comp c, double t) { ALLOWED(16 | 32); ((lag *)c)->t = t; return 0; }
API int fmi3SetContinuousStates(comp c, const double *x, size_t n) { ALLOWED(32); if (n != 1) return refuse(c); ((lag *)c)->x = x[0]; return 0; }
API int fmi3GetContinuousStateDerivatives(comp c, double *dx, size_t n) { ALLOWED(2 | 16 | 32); if (n != 1) return refuse(c); dx[0] = slope(c); return 0; }
API int fmi3GetEventIndicators(comp c, double *z, size_t n) { ALLOWED(2 | 16 | 32); if (n != 1) return refuse(c); z[0] = ((lag *)c)->x - 0.5; return 0; }
API int fmi3GetContinuousStates(comp c, double *x, size_t n) { ALLOWED(2 | 16 | 32); if (n != 1) return refuse(c); x[0] = ((lag *)c)->x; return 0; }
API int fmi3GetNominalsOfContinuousStates(comp c, double *x, size_t n) { x[0] = 1.0; return 0; }
API int fmi3GetNumberOfEventIndicators(comp c, size_t *n) {
#if defined MISCOUNTED
  *n = 3;
#else
  *n = 1;
#endif
  return 0;
}
API int fmi3GetNumberOfContinuousStates(comp c, size_t *n) { *n = 1; return 0; }

API int fmi3EnterStepMode(comp c) { ALLOWED(16); ((lag *)c)->mode = 4; return 0; }
/* ten internal steps, after each of which the callback may ask for an early return */
API int fmi3DoStep(comp c, double t, double h, bool no_set, bool *event, bool *terminate, bool *early, double *last) {
  lag *m = c;
  ALLOWED(4);
  if (!(h > 0)) return refuse(c);
  *event = *terminate = *early = false;
#if defined HASTY
  if (t > 0.25) { *early = true; *last = t + 0.5 * h; return 0; }
#endif
  for (int k = 1; k <= 10 && !*event && !*early; k++) {
    m->x += 0.1 * h * slope(m);
    m->t = k == 10 ? t + h : t + 0.1 * k * h;
    if (m->x >= 0.5 && !m->above) { if (m->event_mode) *event = true; else events(m); }
    if (*event && k < 10) { if (m->early) *early = true; else { *event = false; events(m); } }
#if !defined SILENT
    if (m->on_update) {
      bool wanted = false;
      double when = 0.0;
#if defined BACKWARDS
      m->on_update(NULL, k == 5 ? t : m->t, false, true, true, m->early && k < 10, &wanted, &when);
#else
      m->on_update(NULL, m->t, false, true, true, m->early && k < 10, &wanted, &when);
#endif
#if !defined STUBBORN
      if (wanted && m->early && k < 10) *early = true;
#endif
    }
#endif
  }
  m->y = m->x;
  *last = m->t;
  return 0;
}

#define UNSUPPORTED(name, ...) API int fmi3##name(__VA_ARGS__) { return refuse(c); }
#define ACCESS(Kind, type) \
  UNSUPPORTED(Get##Kind, comp c, const ref *v, size_t n, type *x, size_t nv) UNSUPPORTED(Set##Kind, comp c, const ref *v, size_t n, const type *x, size_t nv)
ACCESS(Float32, float)
ACCESS(Int8, int8_t)
ACCESS(UInt8, uint8_t)
ACCESS(Int16, int16_t)
ACCESS(UInt16, uint16_t)
ACCESS(UInt32, uint32_t)
ACCESS(Int64, int64_t)
UNSUPPORTED(SetInt32, comp c, const ref *v, size_t n, const int32_t *x, size_t nv)
UNSUPPORTED(GetClock, comp c, const ref *v, size_t n, bool *x)
UNSUPPORTED(SetClock, comp c, const ref *v, size_t n, const bool *x)
UNSUPPORTED(GetNumberOfVariableDependencies, comp c, ref v, size_t *n)
UNSUPPORTED(GetVariableDependencies, comp c, ref v, size_t *e, ref *i, size_t *k, int *d, size_t n)
UNSUPPORTED(GetIntervalDecimal, comp c, const ref *v, size_t n, double *x, int *q)
UNSUPPORTED(GetIntervalFraction, comp c, const ref *v, size_t n, uint64_t *x, uint64_t *r, int *q)
UNSUPPORTED(GetShiftDecimal, comp c, const ref *v, size_t n, double *x)
UNSUPPORTED(GetShiftFraction, comp c, const ref *v, size_t n, uint64_t *x, uint64_t *r)
UNSUPPORTED(SetIntervalDecimal, comp c, const ref *v, size_t n, const double *x)
UNSUPPORTED(SetIntervalFraction, comp c, const ref *v, size_t n, const uint64_t *x, const uint64_t *r)
UNSUPPORTED(SetShiftDecimal, comp c, const ref *v, size_t n, const double *x)
UNSUPPORTED(SetShiftFraction, comp c, const ref *v, size_t n, const uint64_t *x, const uint64_t *r)
UNSUPPORTED(EvaluateDiscreteStates, comp c)
UNSUPPORTED(GetOutputDerivatives, comp c, const ref *v, size_t n, const int32_t *o, double *x, size_t nv)
#if !defined INCOMPLETE
UNSUPPORTED(ActivateModelPartition, comp c, ref clock, double t)
#endif
