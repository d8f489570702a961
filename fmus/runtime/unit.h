/* What the functions of a standard (fmi2.c, fmi3.c) know of an instance of a unit model; the work is done in unit.c.
 *
 * Either those files include unit.c and are compiled alone, or both are compiled with GALENIC_UNIT_APART and linked: so that
 * one object of unit.c, which holds the equations, serves both standards. All variables lie in one array,
 *     v = [inputs | parameters | states | unknowns | outputs | derivatives | event indicators | time | means]
 * and a value reference is an index into it. An instance owns one block of memory and there are no globals, so that
 * many live side by side, in threads too.
 */
#ifndef GALENIC_UNIT_H
#define GALENIC_UNIT_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef casadi_int
#define casadi_int long long int
#endif
#include "model.h"

#ifdef GALENIC_UNIT_APART
#define UNIT /* visible to the linker, hidden in the library by the compiler's option */
#else
#define UNIT static
#endif
#if defined(_WIN32)
#define FMI_EXPORT __declspec(dllexport)
#else
#define FMI_EXPORT __attribute__((visibility("default")))
#endif
#define JOINED(a, b) a##b
#define PREFIXED(prefix, name) JOINED(prefix, name)

/* the statuses have the same numbers in FMI 2.0 and 3.0 */
typedef enum { OK, WARNING, DISCARD, ERROR, FATAL } Status;

enum {
    FIRST_P = N_U,
    FIRST_X = FIRST_P + N_P,
    FIRST_Z = FIRST_X + N_X,
    FIRST_Y = FIRST_Z + N_Z,
    FIRST_D = FIRST_Y + N_Y,
    FIRST_E = FIRST_D + N_D,
    INDEX_T = FIRST_E + N_E,
    N_V = INDEX_T + 1,
    FIRST_Q = N_V,
    N_ALL = FIRST_Q + N_Q
};

typedef enum { CO_SIMULATION = 1, MODEL_EXCHANGE = 2 } Interface;

typedef enum {
    INSTANTIATED = 1,
    INITIALIZATION = 2,
    STEPPING = 4,
    EVENT = 8,
    CONTINUOUS = 16,
    INTERMEDIATE = 32,
    TERMINATED = 64,
    FAILED = 128
} Mode;
enum {
    RUNNING = STEPPING | EVENT | CONTINUOUS | INTERMEDIATE,
    WRITABLE = INSTANTIATED | INITIALIZATION | RUNNING,
    READABLE = WRITABLE | TERMINATED
};

enum { VALUES = 1, RATES = 2, ALL = VALUES | RATES }; /* what is out of date */

/* what a state snapshot copies; everything that the future depends on */
typedef struct {
    unsigned long long model; /* which model and interface this is a state of */
    int mode, dirty, pending; /* an event that was reached and has not happened yet, or -1 */
    char armed[N_E + 1];      /* indicators that were positive when continuous time began */
    double v[N_ALL + 1], x_start[N_X + 1];
    double last_time, last_step, last_x[N_X + 1], last_u[N_U + 1]; /* the last step, for its derivatives */
} Snapshot;

typedef struct Instance Instance;
struct Instance {
    Snapshot now;
    double scratch_x[N_X + 1], scratch_z[N_Z + 1], scratch_q[N_Q + 1], mean[N_Q + 1], reached[2];
    double seed_x[N_X + 1], seed_u[N_U + 1], seed_p[N_P + 1], moved_x[N_X + 1], moved_d[N_X + 1], moved_y[N_Y + 1];
    const double *arg[SZ_ARG + 1];
    double *res[SZ_RES + 1];
    casadi_int iw[SZ_IW + 1];
    double w[SZ_W + 1];
    Interface kind;
    unsigned long long key; /* of the model */
    void (*log)(Instance *m, Status status, const char *category, const char *text);
    void (*release)(void *);
    void (*logger)(void);
    void *environment;
    int logging; /* of CATEGORIES, a bit each */
    int arrays;  /* a reference may stand for several values, as in FMI 3.0 */
    int event_mode, early_return, inputs_moved, pieces;
    void (*intermediate)(void);
    char name[256];
};

static const char *const CATEGORIES[] = {"logStatusError", "logStatusDiscard", "logEvents"};
enum { N_CATEGORIES = 3, LOG_EVENTS = 4 };

#define FAIL(...) report(m, ERROR, CATEGORIES[0], __VA_ARGS__)
#define REFUSE(...) report(m, DISCARD, CATEGORIES[1], __VA_ARGS__)
#define TIME(m) ((m)->now.v[INDEX_T])

/* how many values a reference has; 0 inside an array */
#define WIDTH(m, r) ((m)->arrays ? model_width[r] : 1u)

#define REQUIRE(modes, call)          \
    Instance *m = (Instance *)c;      \
    if (!m) return ERROR;             \
    if (!(m->now.mode & (modes))) return wrong_state(m, call);
#define REQUIRE_KIND(which, modes, call) \
    REQUIRE(modes, call)                 \
    if (m->kind != (which))              \
        return FAIL("%s: %s belongs to %s", m->name, call, (which) == CO_SIMULATION ? "Co-Simulation" : "Model Exchange");

static double *inputs(Instance *m) { return m->now.v; }
static double *parameters(Instance *m) { return m->now.v + FIRST_P; }
static double *states(Instance *m) { return m->now.v + FIRST_X; }
static double *unknowns(Instance *m) { return m->now.v + FIRST_Z; }

/* Derivatives of what: in initialization mode of the initialisation by inputs, parameters and start values; after a
 * step in Co-Simulation of that step by its inputs and the states at its start; else at this instant. */
typedef enum { OF_START, OF_STEP, OF_INSTANT } Subject;

static Subject subject(const Instance *m) {
    if (m->now.mode == INITIALIZATION) return OF_START;
    return m->now.mode & (STEPPING | TERMINATED) && m->now.last_step > 0 ? OF_STEP : OF_INSTANT;
}

/* messages */
UNIT Status report(Instance *m, Status status, const char *category, const char *format, ...);
UNIT Status wrong_state(Instance *m, const char *call);
/* evaluation: not 0 if it fails */
UNIT int solve_algebraic(Instance *m);
UNIT int due_event(Instance *m);
UNIT int settle_events(Instance *m);
UNIT int refresh(Instance *m);
/* life */
UNIT void reset(Instance *m);
UNIT Instance *create(void *memory, void (*release)(void *), Interface kind, const char *name, int logging,
                      unsigned long long key);
UNIT const char *wrong_token(const char *token, const char *own);
UNIT Status set_logging(Instance *m, int on, size_t n, const char *const categories[]);
UNIT Status set_start_time(Instance *m, double start, int stop_defined, double stop);
UNIT Status finish_initialization(Instance *m, Mode next);
/* values */
UNIT const char *kind_name(char kind);
UNIT Status readable(Instance *m, const unsigned *vr, size_t n, char kind, char or_kind, size_t *values);
UNIT Status settable(Instance *m, unsigned r, double value);
UNIT void put(Instance *m, unsigned r, double value);
/* Co-Simulation */
UNIT int integrate(Instance *m, double h, int to_event);
UNIT Status begin_step(Instance *m, double time, double h);
UNIT void remember_step(Instance *m);
UNIT Status end_step(Instance *m, int settle);
UNIT Status whole_step(Instance *m, double time, double h);
/* Model Exchange */
UNIT Status exchange_states(Instance *m, double *x, size_t n, const double *from);
UNIT Status get_rates(Instance *m, double *to, size_t n, unsigned first, size_t count, const char *what);
UNIT Status get_nominals(Instance *m, double *x, size_t n);
UNIT Status handle_events(Instance *m, int *states_changed);
UNIT Status enter_continuous_time(Instance *m);
/* state */
UNIT Status take_state(Instance *m, void **state);
UNIT Status put_state(Instance *m, const void *state);
UNIT Status serialize(Instance *m, const void *state, char *bytes, size_t size);
UNIT Status deserialize(Instance *m, const char *bytes, size_t size, void **state);
/* derivatives: seeds to what moves, and at an instant back */
UNIT Status derivable(Instance *m, const unsigned *unknown, size_t n_unknown, const unsigned *known, size_t n_known,
                      size_t *values_unknown, size_t *values_known);
UNIT Status directional_derivative(Instance *m, const unsigned *unknown, size_t n_unknown, const unsigned *known, size_t n_known,
                                 const double *seed, double *sensitivity);
UNIT double *seed_slot(Instance *m, unsigned r);
UNIT double *moved_slot(Instance *m, unsigned r);
UNIT void clear_seeds(Instance *m);
UNIT Status sweep(Instance *m);
UNIT Status sweep_back(Instance *m);

#endif
