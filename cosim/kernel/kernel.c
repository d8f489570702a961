/* The inner loop of the master: for each communication step, what a program of stages says: scheduled values, gather,
   do_step, get, record. Knows FMI 2.0 and 3.0 Co-Simulation; what needs Python is a stage of kind CALL.
   The same in Python, to the last bit: python_kernel.py. */
#define _POSIX_C_SOURCE 200112L /* clock_gettime */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined _WIN32
#include <windows.h>
#define API __declspec(dllexport)
#define give_way() SwitchToThread()
#else
#include <sched.h>
#include <time.h>
#define give_way() sched_yield()
#define API __attribute__((visibility("default")))
#endif

enum kind { OF_FLOAT64, OF_FLOAT32, OF_INT8, OF_UINT8, OF_INT16, OF_UINT16, OF_INT32, OF_UINT32, OF_INT64, OF_UINT64, OF_BOOLEAN2, OF_BOOLEAN3 };
enum stage_kind { GATHER, STEP, CALL };
enum result { DONE, FAILED_SET, FAILED_STEP, FAILED_GET, EARLY, TERMINATED, NOT_FINITE, CALLED };

/* One call of a getter or setter. The scalars of all its variables are contiguous in the signals, from `first`. */
typedef struct {
  void *function;
  const uint32_t *references;
  void *buffer; /* typed; unused for OF_FLOAT64, which works on the signals themselves */
  int64_t reference_count, value_count, first;
  int64_t kind;
} access;

typedef struct {
  void *instance, *do_step;
  access *set, *get;
  int64_t set_count, get_count;
  int64_t first_row, end_row; /* of the connections */
  int64_t first_output, output_count;
  int64_t version; /* of FMI: 2 or 3 */
  int64_t every;   /* communication steps in one of its own */
  int64_t steps;   /* how often it stepped */
  int64_t status; /* of the FMU's last call that said more than a warning */
  int64_t result; /* of its last step */
  double seconds, last_seconds, reached;
} component;

/* Steps that stand together do not see one another; the first of them says how many there are. */
typedef struct { int64_t kind, component, together; int (*call)(int64_t step); } stage;

typedef struct { const int64_t *columns; double *block; int64_t column_count, every, row; } recording;

typedef struct {
  double *signals;
  /* connections: signals[target] = factor * value + offset, the value being the source's, carried on by `ahead` of what
     it grew since it was last read */
  const int64_t *source, *target;
  const double *factor, *offset, *ahead;
  double *previous;
  component *components;
  stage *stages;
  recording *recordings;
  const int64_t *scheduled_slots; /* where the scheduled values go */
  const double *scheduled;        /* steps x slots */
  int64_t stage_count, recording_count, scheduled_count;
  double step_size;
  int64_t physical; /* signals before this one are the components' */
  int64_t threads;
  /* where it stopped */
  int64_t at_step, at_stage, at_component;
  /* what the threads share */
  _Atomic int64_t active, generation, next, left;
  int64_t group;
} kernel;

static double now(void) {
#if defined _WIN32
  LARGE_INTEGER count, frequency;
  QueryPerformanceCounter(&count);
  QueryPerformanceFrequency(&frequency);
  return (double)count.QuadPart / (double)frequency.QuadPart;
#else
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

static double clamped(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

#define PUT(type, low, high) \
  for (int64_t i = 0; i < n; i++) ((type *)a->buffer)[i] = (type)clamped(rint(v[i]), low, high); break
#define TAKE(type) \
  for (int64_t i = 0; i < n; i++) v[i] = (double)((type *)a->buffer)[i]; break

static void to_buffer(const access *a, const double *v) {
  int64_t n = a->value_count;
  switch (a->kind) {
    case OF_FLOAT32: for (int64_t i = 0; i < n; i++) ((float *)a->buffer)[i] = (float)v[i]; break;
    case OF_INT8: PUT(int8_t, INT8_MIN, INT8_MAX);
    case OF_UINT8: PUT(uint8_t, 0, UINT8_MAX);
    case OF_INT16: PUT(int16_t, INT16_MIN, INT16_MAX);
    case OF_UINT16: PUT(uint16_t, 0, UINT16_MAX);
    case OF_INT32: PUT(int32_t, INT32_MIN, INT32_MAX);
    case OF_UINT32: PUT(uint32_t, 0, UINT32_MAX);
    case OF_INT64:
      for (int64_t i = 0; i < n; i++) {
        double x = rint(v[i]);
        ((int64_t *)a->buffer)[i] = x >= 0x1p63 ? INT64_MAX : x < -0x1p63 ? INT64_MIN : (int64_t)x;
      }
      break;
    case OF_UINT64:
      for (int64_t i = 0; i < n; i++) {
        double x = rint(v[i]);
        ((uint64_t *)a->buffer)[i] = x >= 0x1p64 ? UINT64_MAX : x < 0.0 ? 0 : (uint64_t)x;
      }
      break;
    case OF_BOOLEAN2: for (int64_t i = 0; i < n; i++) ((int32_t *)a->buffer)[i] = rint(v[i]) != 0.0; break;
    case OF_BOOLEAN3: for (int64_t i = 0; i < n; i++) ((uint8_t *)a->buffer)[i] = rint(v[i]) != 0.0; break;
  }
}

static void from_buffer(const access *a, double *v) {
  int64_t n = a->value_count;
  switch (a->kind) {
    case OF_FLOAT32: TAKE(float);
    case OF_INT8: TAKE(int8_t);
    case OF_UINT8: TAKE(uint8_t);
    case OF_INT16: TAKE(int16_t);
    case OF_UINT16: TAKE(uint16_t);
    case OF_INT32: TAKE(int32_t);
    case OF_UINT32: TAKE(uint32_t);
    case OF_INT64: TAKE(int64_t);
    case OF_UINT64: TAKE(uint64_t);
    case OF_BOOLEAN2: TAKE(int32_t);
    case OF_BOOLEAN3: TAKE(uint8_t);
  }
}

static int transfer(const component *c, const access *a, void *values) {
  typedef int (*of_2)(void *, const uint32_t *, size_t, void *);
  typedef int (*of_3)(void *, const uint32_t *, size_t, void *, size_t);
  if (c->version == 2) return ((of_2)a->function)(c->instance, a->references, (size_t)a->reference_count, values);
  return ((of_3)a->function)(c->instance, a->references, (size_t)a->reference_count, values, (size_t)a->value_count);
}

static int advance(component *c, double t, double h) {
  if (c->version == 2) {
    int status = ((int (*)(void *, double, double, int))c->do_step)(c->instance, t, h, 1);
    if (status == 2) return EARLY;
    c->status = status;
    return status > 1 ? FAILED_STEP : DONE;
  }
  bool event = false, terminate = false, early = false;
  double reached = t + h;
  c->status = ((int (*)(void *, double, double, bool, bool *, bool *, bool *, double *))c->do_step)(
      c->instance, t, h, true, &event, &terminate, &early, &reached);
  if (c->status > 1) return FAILED_STEP;
  c->reached = reached;
  if (terminate) return TERMINATED;
  return event || early ? EARLY : DONE;
}

static void gather(kernel *k, const component *c, int64_t step) {
  double *signals = k->signals;
  if (step % c->every != 0) return;
  for (int64_t i = c->first_row; i < c->end_row; i++) {
    double value = signals[k->source[i]];
    if (k->ahead[i] != 0.0) {
      /* what is no component's is held: it jumps */
      bool grows = k->source[i] < k->physical;
      double grown = grows && !isnan(k->previous[i]) ? value - k->previous[i] : 0.0;
      k->previous[i] = grows ? value : NAN;
      value += k->ahead[i] * grown;
    }
    signals[k->target[i]] = value * k->factor[i] + k->offset[i];
  }
}

static int read_outputs(kernel *k, component *c) {
  double *signals = k->signals;
  for (int64_t i = 0; i < c->get_count; i++) {
    const access *a = &c->get[i];
    double *values = signals + a->first;
    c->status = transfer(c, a, a->kind == OF_FLOAT64 ? (void *)values : a->buffer);
    if (c->status > 1) return FAILED_GET;
    if (a->kind != OF_FLOAT64) from_buffer(a, values);
  }
  double sum = 0.0;
  const double *out = signals + c->first_output;
  for (int64_t i = 0; i < c->output_count; i++) sum += 0.0 * out[i];
  return sum == 0.0 ? DONE : NOT_FINITE;
}

static int set_inputs(kernel *k, component *c) {
  for (int64_t i = 0; i < c->set_count; i++) {
    const access *a = &c->set[i];
    double *values = k->signals + a->first;
    if (a->kind != OF_FLOAT64) to_buffer(a, values);
    c->status = transfer(c, a, a->kind == OF_FLOAT64 ? (void *)values : a->buffer);
    if (c->status > 1) return FAILED_SET;
  }
  return DONE;
}

static int do_step(kernel *k, component *c, int64_t step) {
  if (c->every > 1 && (step + 1) % c->every != 0) return DONE;
  int64_t begin = step + 1 - c->every;
  double t = (double)begin * k->step_size, h = (double)c->every * k->step_size;
  /* the clock costs as much as a light FMU: after some steps those are timed once in 64 */
  bool each = c->last_seconds > 5e-6 || c->steps < 64, timed = each || (c->steps & 63) == 0;
  double before = timed ? now() : 0.0;
  int result = set_inputs(k, c);
  if (result == DONE) result = advance(c, t, h);
  if (result == DONE) result = read_outputs(k, c);
  if (timed) {
    double spent = now() - before;
    double mean = c->steps ? c->seconds / (double)c->steps : spent;
    /* a step in which the machine did something else must not stand for 64 */
    c->seconds += each ? spent : 64.0 * fmin(spent, 4.0 * mean);
    c->last_seconds = spent;
  }
  c->steps++;
  return result;
}

/* Steps of a group, until none is left to begin. */
static void work(kernel *k) {
  for (;;) {
    int64_t ticket = atomic_fetch_add(&k->next, 1), s = ticket & 0xffffffff;
    if (s >= ticket >> 32) return;
    component *c = &k->components[k->stages[s].component];
    c->result = do_step(k, c, k->at_step);
    atomic_fetch_sub(&k->left, 1);
  }
}

/* Whether handing steps to other threads costs less than it saves: what they take over has to be worth the wait. */
static bool pays(const kernel *k, int64_t first, int64_t count) {
  double sum = 0.0, longest = 0.0;
  for (int64_t s = first; s < first + count; s++) {
    double seconds = k->components[k->stages[s].component].last_seconds;
    sum += seconds;
    if (seconds > longest) longest = seconds;
  }
  return sum - longest > 20e-6;
}

static void step_together(kernel *k, int64_t first, int64_t count) {
  atomic_store(&k->left, count);
  /* the end and the next in one number: a thread that comes late never joins the one of this group to the other of that */
  atomic_store(&k->next, (first + count) << 32 | first);
  atomic_fetch_add(&k->generation, 1);
  work(k);
  while (atomic_load(&k->left) > 0) give_way();
}

/* A thread that helps: it stays until the block of steps is done. */
API void galenic_kernel_help(kernel *k) {
  int64_t seen = atomic_load(&k->generation);
  while (atomic_load(&k->active)) {
    int64_t generation = atomic_load(&k->generation);
    if (generation == seen) {
      give_way();
    } else {
      seen = generation;
      work(k);
    }
  }
}

static void record(kernel *k, double time) {
  for (int64_t i = 0; i < k->recording_count; i++) {
    recording *r = &k->recordings[i];
    if ((k->at_step + 1) % r->every != 0) continue;
    double *at = r->block + r->row++ * (r->column_count + 1);
    *at++ = time;
    for (int64_t j = 0; j < r->column_count; j++) at[j] = k->signals[r->columns[j]];
  }
}

/* Run `count` communication steps from step `first`, the first of them from its stage `from`.
   Returns DONE, or why it stopped: at_step, at_stage and at_component then say where. The caller leaves room in every
   recording. Resume after EARLY with from = at_stage + 1. */
API int galenic_kernel_run(kernel *k, int64_t first, int64_t count, int64_t from) {
  for (int64_t step = first; step < first + count; step++) {
    k->at_step = step;
    if (from == 0) {
      const double *values = k->scheduled + (step - first) * k->scheduled_count;
      for (int64_t i = 0; i < k->scheduled_count; i++) k->signals[k->scheduled_slots[i]] = values[i];
    }
    /* stages before this one have been executed with their group; after a stop within a group, too */
    int64_t grouped = from > 0 ? k->group : 0;
    for (int64_t s = from; s < k->stage_count; s++) {
      const stage *now_at = &k->stages[s];
      int result = DONE;
      if (now_at->kind == CALL) {
        result = now_at->call(step) ? CALLED : DONE;
      } else {
        component *c = &k->components[now_at->component];
        if (now_at->kind == GATHER) {
          gather(k, c, step);
        } else if (k->threads > 1 && s >= grouped && now_at->together > 1 && pays(k, s, now_at->together)) {
          step_together(k, s, now_at->together);
          grouped = s + now_at->together;
          result = (int)c->result;
        } else {
          result = s < grouped ? (int)c->result : do_step(k, c, step);
        }
      }
      if (result != DONE) {
        k->at_stage = s;
        k->group = grouped;
        k->at_component = now_at->component;
        return result;
      }
    }
    from = 0;
    record(k, (double)(step + 1) * k->step_size);
  }
  return DONE;
}
