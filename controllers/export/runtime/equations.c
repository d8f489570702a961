/* What unit.c includes: the tables of this controller, its law and the controller around it. */
#include <math.h>
#include <string.h>

#ifndef casadi_int
#define casadi_int long long int
#endif

/* why a step is as it is, and who decides: numbers of `controllers.operation.reasons` */
enum {
    SOLVED,
    WAITING,
    MEASUREMENT_MISSING,
    TARGET_FAILED,
    PATH_FAILED,
    NOT_FINITE,
    MISMATCH = 10,
    REFERENCE_HELD = 12,
    SWITCHED_OFF = 13,
    ESTIMATE_LOST = 15
};
enum { OFF, SHADOW, ADVISORY, CLOSED };

#include "tables.h"

/* in the units of the law's model; soft limits low, high, low, high .. */
typedef struct {
    double low[N_IN], high[N_IN], move[N_IN], soft[2 * N_LIMITED_OR_1];
} Limits;

#include "quadratic_program.c"
#ifdef NONLINEAR
#include "functions.c"
#include "nonlinear_law.c"
#else
#include "linear_law.c"
#endif
#include "controller.c"
