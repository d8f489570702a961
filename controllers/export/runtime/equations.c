/* What unit.c includes: the tables of this controller, its law and the controller around it. */
#include <math.h>
#include <stdlib.h>
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
    SOLVER_FAILED,
    NOT_FINITE,
    RELAXED_ECONOMICS = 8,
    RELAXED_QUALITY,
    MISMATCH,
    CORRECTED,
    REFERENCE_HELD,
    SWITCHED_OFF,
    ESTIMATE_LOST = 15,
    SAFE_STATE
};
enum { OFF, SHADOW, ADVISORY, CLOSED };

#include "tables.h"

/* in the units of the law's model; soft limits low, high, low, high .. */
typedef struct {
    double low[N_IN], high[N_IN], move[N_IN], soft[2 * N_LIMITED_OR_1];
} Limits;

static double clipped(double value, double low, double high) { return fmin(fmax(value, low), high); }

static int finite_all(int n, const double *v) {
    for (int i = 0; i < n; ++i)
        if (!isfinite(v[i])) return 0;
    return 1;
}

#include "quadratic_program.c"
#ifdef NONLINEAR
#ifdef __clang__ /* which takes long over functions of ten thousand lines, and gains little */
#pragma clang optimize off
#endif
#include "functions.c"
#ifdef __clang__
#pragma clang optimize on
#endif
#include "extended_kalman_filter.c"
#include "stage_program.c"
#include "steady_target.c"
#include "harvest.c"
#include "nonlinear_law.c"
#else
#include "linear_law.c"
#endif
#include "ladder.c"
#include "controller.c"
