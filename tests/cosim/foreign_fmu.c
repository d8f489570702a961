/* An FMI 3.0 FMU that has a little of everything: arrays whose size a structural parameter gives, every numeric type,
   texts, a bouncing ball with state, time and step events, Event Mode with early return, states that can be kept.

   Value references: 1 n; 2 u[n], 3 y[n] = gain * u + h, 4 gain; 10 to 21 and 30 to 41 inputs and outputs of each type;
   50 text, 51 blob, 52 length; 60 h, 61 v, 62 bounces, 63 ticks (every 0.3 s), 64 step_events, 65 kick, 66 calls,
   67 der(h), 68 der(v), 69 z; 70 forgetful, 71 stop_at. */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif
#define MOST 4
#define G 9.81
#define RESTITUTION 0.7
#define PERIOD 0.3
typedef void *comp;
typedef void (*logger_t)(void *, int, const char *, const char *);
typedef struct {
  double time, u[MOST], gain, h, v, next_tick, stop_at;
  float f32;
  int8_t i8; uint8_t u8; int16_t i16; uint16_t u16; int32_t i32; uint32_t u32; int64_t i64; uint64_t u64;
  int64_t enumeration;
  double f64;
  bool boolean, kick, kicked, forgetful, stepped, falling, at_event;
  uint64_t n;
  int32_t bounces, ticks, step_events, calls;
  char text[64];
  unsigned char blob[64];
  size_t blob_size;
} model;
typedef struct { model m; bool event_mode, exchange; int mode; logger_t logger; void *env; } odd;
enum { INSTANTIATED, CONFIGURATION, INITIALIZATION, EVENT, STEP, CONTINUOUS };

static int refuse(odd *c, const char *why) {
  if (c->logger) c->logger(c->env, 3, "logStatusError", why);
  return 3;
}
API const char *fmi3GetVersion(void) { return "3.0"; }
static odd *make(const char *token, bool exchange, bool event_mode, void *env, logger_t logger) {
  if (strcmp(token, "{odd}") != 0) return NULL;
  odd *c = calloc(1, sizeof(odd));
  model *m = &c->m;
  m->gain = 2.0; m->h = 1.0; m->n = 2; m->stop_at = 1e300; m->next_tick = PERIOD;
  c->exchange = exchange; c->event_mode = event_mode; c->logger = logger; c->env = env;
  return c;
}
API comp fmi3InstantiateCoSimulation(const char *name, const char *token, const char *resources, bool visible, bool log,
                                     bool event_mode, bool early, const uint32_t *wanted, size_t n, void *env,
                                     logger_t logger, void *update) {
  return make(token, false, event_mode, env, logger);
}
API comp fmi3InstantiateModelExchange(const char *name, const char *token, const char *resources, bool visible, bool log,
                                      void *env, logger_t logger) {
  return make(token, true, false, env, logger);
}
API void fmi3FreeInstance(comp c) { free(c); }
API int fmi3EnterConfigurationMode(odd *c) { c->mode = CONFIGURATION; return 0; }
API int fmi3ExitConfigurationMode(odd *c) { c->mode = INSTANTIATED; return 0; }
API int fmi3EnterInitializationMode(odd *c, bool td, double tol, double t0, bool sd, double t1) {
  c->m.time = t0; c->m.next_tick = t0 + PERIOD; c->mode = INITIALIZATION; return 0;
}
API int fmi3ExitInitializationMode(odd *c) {
  c->mode = c->exchange || c->event_mode ? EVENT : STEP;
  c->m.falling = c->m.h > 0.0;
  return 0;
}
API int fmi3EnterEventMode(odd *c) { c->mode = EVENT; return 0; }
API int fmi3EnterStepMode(odd *c) { c->mode = STEP; return 0; }
API int fmi3EnterContinuousTimeMode(odd *c) { c->mode = CONTINUOUS; return 0; }
API int fmi3Terminate(odd *c) { return 0; }

/* ---- access ---- */
#define ONE(place) do { if (k >= size) return refuse(c, "too few values"); v[k++] = place; } while (0)
#define PUT(place) do { if (k >= size) return refuse(c, "too few values"); place = v[k++]; } while (0)
#define GETTER(Name, type, cases)                                                                             \
  API int fmi3Get##Name(odd *c, const uint32_t *vr, size_t count, type *v, size_t size) {                    \
    model *m = &c->m; size_t k = 0;                                                                           \
    for (size_t i = 0; i < count; i++) switch (vr[i]) { cases default: return refuse(c, "unknown reference"); } \
    return k == size ? 0 : refuse(c, "too many values");                                                      \
  }
#define SETTER(Name, type, cases)                                                                             \
  API int fmi3Set##Name(odd *c, const uint32_t *vr, size_t count, const type *v, size_t size) {              \
    model *m = &c->m; size_t k = 0;                                                                           \
    for (size_t i = 0; i < count; i++) switch (vr[i]) { cases default: return refuse(c, "unknown reference"); } \
    return k == size ? 0 : refuse(c, "too many values");                                                      \
  }
#define ECHO(Name, type, number, field)                                                                       \
  GETTER(Name, type, case 10 + number: case 30 + number: ONE(m->field); break;)                               \
  SETTER(Name, type, case 10 + number: PUT(m->field); break;)
GETTER(Float64, double,
  case 0: ONE(m->time); break;
  case 2: for (size_t j = 0; j < m->n; j++) ONE(m->u[j]); break;
  case 3: for (size_t j = 0; j < m->n; j++) ONE(m->gain * m->u[j] + m->h); break;
  case 4: ONE(m->gain); break;
  case 10: case 30: ONE(m->f64); break;
  case 60: ONE(m->h); break;
  case 61: case 67: ONE(m->v); break;
  case 68: ONE(-G); break;
  case 69: ONE(m->h); break;
  case 71: ONE(m->stop_at); break;)
SETTER(Float64, double,
  case 2: for (size_t j = 0; j < m->n; j++) PUT(m->u[j]); break;
  case 4: PUT(m->gain); break;
  case 10: PUT(m->f64); break;
  case 60: PUT(m->h); break;
  case 71: PUT(m->stop_at); break;)
ECHO(Float32, float, 1, f32)
ECHO(Int8, int8_t, 2, i8)
ECHO(UInt8, uint8_t, 3, u8)
ECHO(Int16, int16_t, 4, i16)
ECHO(UInt16, uint16_t, 5, u16)
GETTER(Int32, int32_t,
  case 16: case 36: ONE(m->i32); break;
  case 52: ONE((int32_t)(strlen(m->text) + m->blob_size)); break;
  case 62: ONE(m->bounces); break;
  case 63: ONE(m->ticks); break;
  case 64: ONE(m->step_events); break;
  case 66: ONE(m->calls); break;)
SETTER(Int32, int32_t, case 16:
  /* discrete: not between events */
  if (c->mode == CONTINUOUS || (c->event_mode && c->mode == STEP)) return refuse(c, "a discrete input outside Event Mode");
  PUT(m->i32); break;)
ECHO(UInt32, uint32_t, 7, u32)
GETTER(Int64, int64_t, case 18: case 38: ONE(m->i64); break; case 21: case 41: ONE(m->enumeration); break;)
SETTER(Int64, int64_t, case 18: PUT(m->i64); break; case 21: PUT(m->enumeration); break;)
GETTER(UInt64, uint64_t, case 1: ONE(m->n); break; case 19: case 39: ONE(m->u64); break;)
SETTER(UInt64, uint64_t,
  case 1: if (c->mode != CONFIGURATION) return refuse(c, "n outside Configuration Mode"); PUT(m->n); break;
  case 19: PUT(m->u64); break;)
GETTER(Boolean, bool, case 20: case 40: ONE(m->boolean); break; case 65: ONE(m->kick); break; case 70: ONE(m->forgetful); break;)
SETTER(Boolean, bool, case 20: PUT(m->boolean); break; case 65: PUT(m->kick); break; case 70: PUT(m->forgetful); break;)
API int fmi3SetString(odd *c, const uint32_t *vr, size_t count, const char *const *v, size_t size) {
  strncpy(c->m.text, v[0], sizeof c->m.text - 1); return 0;
}
API int fmi3SetBinary(odd *c, const uint32_t *vr, size_t count, const size_t *sizes, const unsigned char *const *v, size_t size) {
  c->m.blob_size = sizes[0] < 64 ? sizes[0] : 64; memcpy(c->m.blob, v[0], c->m.blob_size); return 0;
}

/* ---- events ---- */
static void events(model *m) {
  if (m->h <= 0.0 && m->v < 0.0) { m->h = 0.0; m->v = -RESTITUTION * m->v; m->bounces++; }
  if (m->time >= m->next_tick - 1e-9) { m->ticks++; m->next_tick += PERIOD; }
  if (m->stepped) { m->step_events++; m->stepped = false; }
  if (m->kick && !m->kicked) m->v += 1.0;
  m->kicked = m->kick;
}
API int fmi3UpdateDiscreteStates(odd *c, bool *again, bool *terminate, bool *nominals, bool *states, bool *defined, double *next) {
  if (c->mode != EVENT) return refuse(c, "no Event Mode");
  events(&c->m);
  *again = *nominals = false; *states = true;
  *terminate = c->m.time >= c->m.stop_at;
  *defined = true; *next = c->m.next_tick;
  return 0;
}

/* ---- Model Exchange ---- */
API int fmi3SetTime(odd *c, double t) { c->m.time = t; return 0; }
API int fmi3GetNumberOfContinuousStates(odd *c, size_t *n) { *n = 2; return 0; }
API int fmi3GetNumberOfEventIndicators(odd *c, size_t *n) { *n = 1; return 0; }
API int fmi3GetContinuousStates(odd *c, double *x, size_t n) { x[0] = c->m.h; x[1] = c->m.v; return 0; }
API int fmi3SetContinuousStates(odd *c, const double *x, size_t n) { c->m.h = x[0]; c->m.v = x[1]; return 0; }
API int fmi3GetNominalsOfContinuousStates(odd *c, double *x, size_t n) { x[0] = x[1] = 1.0; return 0; }
API int fmi3GetContinuousStateDerivatives(odd *c, double *x, size_t n) { x[0] = c->m.v; x[1] = -G; return 0; }
API int fmi3GetEventIndicators(odd *c, double *z, size_t n) { z[0] = c->m.h; return 0; }
API int fmi3CompletedIntegratorStep(odd *c, bool no_prior, bool *event, bool *terminate) {
  *terminate = false;
  *event = c->m.stepped = c->m.time >= 0.5 && c->m.step_events == 0;
  return 0;
}

/* ---- Co-Simulation: the ball in closed form ---- */
static double until_ground(const model *m) { return (m->v + sqrt(m->v * m->v + 2.0 * G * fmax(m->h, 0.0))) / G; }
static void fly(model *m, double d, bool lands) {
  m->h = lands ? 0.0 : m->h + m->v * d - 0.5 * G * d * d;
  m->v -= G * d; m->time += d;
}
API int fmi3DoStep(odd *c, double t, double size, bool no_prior, bool *event, bool *terminate, bool *early, double *last) {
  model *m = &c->m;
  double end = t + size;
  if (c->mode != STEP) return refuse(c, "no Step Mode");
  if (fabs(t - m->time) > 1e-9) return refuse(c, "a step from another time");
  m->time = t; m->calls++;
  *event = *early = *terminate = false;
  for (;;) {
    double left = end - m->time, ground = until_ground(m), tick = m->next_tick - m->time;
    double d = fmin(ground, tick);
    if (d > left) { fly(m, left, false); m->time = end; break; }
    fly(m, d, ground <= tick);
    if (ground > tick) m->time = m->next_tick;
    if (c->event_mode) { *event = true; *early = m->time < end; *last = m->time; return 0; }
    events(m);
  }
  events(m);
  *terminate = m->time >= m->stop_at;
  *last = end;
  return 0;
}

/* ---- states ---- */
API int fmi3GetFMUState(odd *c, void **s) {
  if (!*s) *s = malloc(sizeof(odd));
  memcpy(*s, c, sizeof(odd)); return 0;
}
API int fmi3SetFMUState(odd *c, void *s) {
  int32_t calls = c->m.calls;
  double h = c->m.h;
  c->m = ((odd *)s)->m; c->mode = ((odd *)s)->mode;
  if (c->m.forgetful) { c->m.calls = calls; c->m.h = h; } /* what other tools' FMUs do */
  return 0;
}
API int fmi3FreeFMUState(odd *c, void **s) { free(*s); *s = NULL; return 0; }
API int fmi3SerializedFMUStateSize(odd *c, void *s, size_t *n) { *n = sizeof(odd); return 0; }
API int fmi3SerializeFMUState(odd *c, void *s, unsigned char *b, size_t n) { memcpy(b, s, n); return 0; }
API int fmi3DeserializeFMUState(odd *c, const unsigned char *b, size_t n, void **s) {
  if (n != sizeof(odd)) return refuse(c, "a state of another size");
  *s = malloc(n); memcpy(*s, b, n); return 0;
}
API int fmi3GetDirectionalDerivative(odd *c, const uint32_t *unknown, size_t nu, const uint32_t *known, size_t nk,
                                     const double *seed, size_t ns, double *out, size_t no) {
  size_t k = 0;
  for (size_t i = 0; i < nu; i++) {
    size_t from = 0;
    const double *of = NULL;
    for (size_t j = 0; j < nk; j++) { if (known[j] == 2) of = seed + from; from += known[j] == 2 ? c->m.n : 1; }
    if (unknown[i] == 3) for (size_t j = 0; j < c->m.n; j++) out[k++] = of ? c->m.gain * of[j] : 0.0;
    else out[k++] = 0.0;
  }
  return k == no ? 0 : 3;
}
