/* The linear law: Kalman filter, target and path as `controllers.linear.estimator`, `target` and `dynamic` have them, on the matrices of
 * law.h. Its memory is s = [state (N_S) | covariance (N_S, N_S) | rejections (N_MEASURED)]. Matrices lie by rows. */

enum { LAW_STATE = 0, LAW_COVARIANCE = N_S, LAW_REJECTIONS = N_S + N_S * N_S, N_LAW = LAW_REJECTIONS + N_MEASURED };
enum { MAX_REJECTIONS = 3 };

#define LARGEST(a, b) ((a) > (b) ? (a) : (b))
enum {
    QP_N = LARGEST(TARGET_N, PATH_N),
    QP_ROWS = LARGEST(TARGET_ROWS, PATH_ROWS),
    LAW_IWORK = QP_IWORK(QP_N, QP_ROWS),
    LAW_WORK = LARGEST(N_S * N_S + 2 * N_S, 4 * QP_N + 2 * QP_ROWS + N_IN + N_OUT + QP_WORK(QP_N, QP_ROWS))
};

/* y += factor * M v */
static void add_product(int rows, int columns, const double *matrix, const double *v, double factor, double *y) {
    for (int i = 0; i < rows; ++i) y[i] += factor * qp_dot(columns, matrix + (size_t)i * columns, v);
}

static void law_outputs(const double *s, double *y) {
    memcpy(y, OUTPUT_0, sizeof OUTPUT_0);
    add_product(N_OUT, N_X_MODEL, OUTPUT_X, s, 1, y);
    add_product(N_OUT, N_DISTURBANCES, OUTPUT_D, s + N_X_MODEL, 1, y);
}

static const double *law_disturbances(const double *s) { return s + N_X_MODEL; }

static const double *law_decisions(const double *s) { return s; } /* none */

static void law_observe(double *s, const double *ports) { (void)s, (void)ports; }

static void law_reset(double *s) { (void)s; } /* a program remembers nothing */

/* at rest under the inputs u */
static void law_initialize(double *s, const double *u, double t) {
    (void)t;
    double moved[N_IN];
    for (int i = 0; i < N_IN; ++i) moved[i] = u[i] - INPUT_0[i];
    memset(s, 0, N_LAW * sizeof(double));
    add_product(N_S, N_IN, AT_REST, moved, 1, s);
    memcpy(s + LAW_COVARIANCE, START_COVARIANCE, sizeof START_COVARIANCE);
}

static int law_predict(double *s, const double *u, double *w) {
    double moved[N_IN], *next = w + N_S * N_S, *p = s + LAW_COVARIANCE;
    for (int i = 0; i < N_IN; ++i) moved[i] = u[i] - INPUT_0[i];
    memset(next, 0, N_S * sizeof(double));
    add_product(N_S, N_S, TRANSITION, s, 1, next);
    add_product(N_S, N_IN, INPUT_MATRIX, moved, 1, next);
    memcpy(s, next, N_S * sizeof(double));
    for (int i = 0; i < N_S; ++i) /* w = F P, P = P' */
        for (int j = 0; j < N_S; ++j) w[i * N_S + j] = qp_dot(N_S, TRANSITION + i * N_S, p + j * N_S);
    for (int i = 0; i < N_S; ++i)
        for (int j = 0; j <= i; ++j)
            p[i * N_S + j] = p[j * N_S + i] = qp_dot(N_S, w + i * N_S, TRANSITION + j * N_S) + PROCESS_NOISE[i * N_S + j];
    return finite_all(N_S, s);
}

/* by what arrived; innovations, in standard deviations, NaN where nothing did */
static void law_correct(double *s, const double *values, const char *fresh, double *innovations, double *w) {
    double *p = s + LAW_COVARIANCE, *rejections = s + LAW_REJECTIONS;
    for (int i = 0; i < N_MEASURED; ++i) {
        innovations[i] = NAN;
        if (!fresh[i] || !isfinite(values[i])) continue;
        const double *h = MEASURED_MATRIX + i * N_S;
        memset(w, 0, N_S * sizeof(double));
        add_product(N_S, N_S, p, h, 1, w);
        double variance = qp_dot(N_S, h, w) + MEASURED_VARIANCE[i];
        double innovation = values[i] - MEASURED_0[i] - qp_dot(N_S, h, s);
        innovations[i] = innovation / sqrt(variance);
        if (innovation * innovation > MEASURED_GATE[i] * MEASURED_GATE[i] * variance && rejections[i] < MAX_REJECTIONS) {
            ++rejections[i];
            continue;
        }
        rejections[i] = 0;
        for (int j = 0; j < N_S; ++j) s[j] += w[j] * (innovation / variance);
        for (int j = 0; j < N_S; ++j)
            for (int k = 0; k < N_S; ++k) p[j * N_S + k] -= w[j] * w[k] / variance;
    }
}

/* limits of the rank `relax` and worse are left out */
static double soft_limit(const Limits *limits, int relax, int i, int side) {
    return SOFT_RANK[i] < relax ? limits->soft[2 * i + side] : side ? INFINITY : -INFINITY;
}

/* steady inputs (scaled, from the operating point) and outputs (absolute) */
static int law_target(const double *d, const double *references, int relax, const Limits *limits, double *inputs, double *outputs,
                      double *w, int *iw) {
    double *g = w, *x = g + TARGET_N, *low = x + TARGET_N, *high = low + TARGET_N + TARGET_ROWS;
    double *free_u = high + TARGET_N + TARGET_ROWS, *free_y = free_u + N_IN, *rest = free_y + N_OUT;
    memset(free_u, 0, N_IN * sizeof(double));
    add_product(N_IN, N_DISTURBANCES, TARGET_U_D, d, 1, free_u);
    memcpy(free_y, OUTPUT_0, sizeof OUTPUT_0);
    add_product(N_OUT, N_DISTURBANCES, TARGET_Y_D, d, 1, free_y);
    memcpy(g, TARGET_PRICE, sizeof TARGET_PRICE);
    add_product(TARGET_K, N_DISTURBANCES, TARGET_GRADIENT_D, d, 1, g);
    for (int i = 0; i < TARGET_N; ++i) {
        low[i] = i < TARGET_K ? -INFINITY : 0;
        high[i] = INFINITY;
    }
    double *row_low = low + TARGET_N, *row_high = high + TARGET_N;
    for (int i = 0; i < N_IN; ++i) {
        *row_low++ = (limits->low[i] - INPUT_0[i]) / INPUT_SCALE[i] - free_u[i];
        *row_high++ = (limits->high[i] - INPUT_0[i]) / INPUT_SCALE[i] - free_u[i];
    }
    for (int i = 0; i < N_TRACKED; ++i)
        *row_low++ = *row_high++ = (references[i] - free_y[TRACKED_OUTPUT[i]]) / TRACKED_SCALE[i];
    for (int side = 1; side >= 0; --side)
        for (int i = 0; i < N_LIMITED; ++i) {
            double bound = (soft_limit(limits, relax, i, side) - free_y[LIMITED_OUTPUT[i]]) / LIMITED_SCALE[i];
            *row_low++ = side ? -INFINITY : bound;
            *row_high++ = side ? bound : INFINITY;
        }
    int failed = qp_solve(TARGET_N, TARGET_ROWS, TARGET_H, TARGET_A, g, low, high, x, rest, iw);
    if (failed) return failed;
    memcpy(inputs, free_u, N_IN * sizeof(double));
    add_product(N_IN, TARGET_K, TARGET_U, x, 1, inputs);
    for (int i = 0; i < N_IN; ++i) {
        double range[] = {(limits->low[i] - INPUT_0[i]) / INPUT_SCALE[i], (limits->high[i] - INPUT_0[i]) / INPUT_SCALE[i]};
        inputs[i] = fmin(fmax(inputs[i], range[0]), range[1]);
    }
    memcpy(outputs, free_y, N_OUT * sizeof(double));
    add_product(N_OUT, TARGET_K, TARGET_Y, x, 1, outputs);
    return 0;
}

/* the inputs of each block */
static int law_path(const double *s, const double *previous, const double *goal_inputs, const double *goal_outputs, int relax,
                    const Limits *limits, double *inputs, double *w, int *iw) {
    double *g = w, *x = g + PATH_N, *low = x + PATH_N, *high = low + PATH_N + PATH_ROWS, *rest = high + PATH_N + PATH_ROWS;
    double goal[N_CONTROLLED + 1], range_low[N_IN], range_high[N_IN], last[N_IN], move[N_IN];
    for (int i = 0; i < N_CONTROLLED; ++i) goal[i] = goal_outputs[CONTROLLED_OUTPUT[i]] / CONTROLLED_SCALE[i];
    for (int i = 0; i < N_IN; ++i) {
        range_low[i] = (limits->low[i] - INPUT_0[i]) / INPUT_SCALE[i];
        range_high[i] = (limits->high[i] - INPUT_0[i]) / INPUT_SCALE[i];
        last[i] = fmin(fmax((previous[i] - INPUT_0[i]) / INPUT_SCALE[i], range_low[i]), range_high[i]);
        move[i] = limits->move[i] / INPUT_SCALE[i];
    }
    memcpy(g, PATH_PRICE, sizeof PATH_PRICE);
    add_product(N_PATH, N_X_MODEL, PATH_GRADIENT_X, s, 1, g);
    add_product(N_PATH, N_DISTURBANCES, PATH_GRADIENT_D, s + N_X_MODEL, 1, g);
    add_product(N_PATH, N_CONTROLLED, PATH_GRADIENT_GOAL, goal, -1, g);
    for (int i = 0; i < PATH_N; ++i) {
        int k = i % N_IN, first = i < N_IN;
        low[i] = 0, high[i] = INFINITY;
        if (i >= N_PATH) continue;
        g[i] -= PATH_REST[i] * goal_inputs[k] + (first ? PATH_MOVE[k] * last[k] : 0);
        low[i] = first ? fmax(range_low[k], last[k] - move[k]) : range_low[k];
        high[i] = first ? fmin(range_high[k], last[k] + move[k]) : range_high[k];
    }
    double *above_low = low + PATH_N, *above_high = high + PATH_N;
    double *below_low = above_low + N_CHECKED, *below_high = above_high + N_CHECKED;
    for (int i = 0; i < N_CHECKED; ++i) {
        int limited = i % N_LIMITED_OR_1;
        double free = PATH_CHECK_0[i] + qp_dot(N_X_MODEL, PATH_CHECK_X + i * N_X_MODEL, s)
                      + qp_dot(N_DISTURBANCES, PATH_CHECK_D + i * N_DISTURBANCES, s + N_X_MODEL);
        above_low[i] = -INFINITY;
        above_high[i] = soft_limit(limits, relax, limited, 1) / LIMITED_SCALE[limited] - free;
        below_low[i] = soft_limit(limits, relax, limited, 0) / LIMITED_SCALE[limited] - free;
        below_high[i] = INFINITY;
    }
    double *moves_low = below_low + N_CHECKED, *moves_high = below_high + N_CHECKED;
    for (int i = 0; i < PATH_ROWS - 2 * N_CHECKED; ++i) {
        moves_high[i] = move[MOVING_INPUT[i]];
        moves_low[i] = -moves_high[i];
    }
    int failed = qp_solve(PATH_N, PATH_ROWS, PATH_H, PATH_A, g, low, high, x, rest, iw);
    for (int i = 0; !failed && i < N_PATH; ++i)
        inputs[i] = clipped(INPUT_0[i % N_IN] + INPUT_SCALE[i % N_IN] * x[i], limits->low[i % N_IN], limits->high[i % N_IN]);
    return failed;
}

/* The plan: inputs of each stage and its end in s. */
static int law_solve(double *s, double t, const double *previous, const double *references, int relax, const Limits *limits, double *plan,
                     double *ends, double *target_outputs, double *w, int *iw) {
    double target_inputs[N_IN], blocks[N_PATH], target[N_OUT];
    (void)t;
    if (!finite_all(N_TRACKED, references) || !finite_all(N_S, s)) return NOT_FINITE;
    if (law_target(s + N_X_MODEL, references, relax, limits, target_inputs, target, w, iw)) return TARGET_FAILED;
    memcpy(target_outputs, target, sizeof target);
    if (law_path(s, previous, target_inputs, target, relax, limits, blocks, w, iw)) return SOLVER_FAILED;
    for (int k = 0; k < N_STAGES; ++k) memcpy(plan + k * N_IN, blocks + STAGE_BLOCK[k] * N_IN, N_IN * sizeof(double));
    memcpy(ends, STAGE_ENDS, sizeof STAGE_ENDS);
    return SOLVED;
}

/* outputs at the ends of the stages, (K, N_OUT), under inputs (K, N_IN) */
static int law_roll_out(const double *s, const double *inputs, double *outputs, double *w) {
    enum { N = N_X_MODEL + N_DISTURBANCES };
    double *state = w, *next = w + N, moved[N_IN];
    memcpy(state, s, N * sizeof(double));
    for (int k = 0, period = 0; k < N_STAGES; ++k) {
        for (int i = 0; i < N_IN; ++i) moved[i] = inputs[k * N_IN + i] - INPUT_0[i];
        for (; period < STAGE_PERIODS[k]; ++period) {
            for (int i = 0; i < N; ++i)
                next[i] = qp_dot(N, TRANSITION + i * N_S, state) + qp_dot(N_IN, INPUT_MATRIX + i * N_IN, moved);
            memcpy(state, next, N * sizeof(double));
        }
        law_outputs(state, outputs + k * N_OUT);
    }
    return 1;
}

static void law_inside(const Limits *limits, double *inputs) {
    for (int i = 0; i < N_IN; ++i) inputs[i] = clipped(inputs[i], limits->low[i], limits->high[i]);
}

/* the nearest inputs inside bounds and moves; moves from `previous` */
static void law_admissible(const double *inputs, const double *previous, const Limits *limits, double *to) {
    for (int i = 0; i < N_IN; ++i) {
        to[i] = clipped(inputs[i], limits->low[i], limits->high[i]);
        to[i] = clipped(to[i], previous[i] - limits->move[i], previous[i] + limits->move[i]);
    }
}

/* the first move where no constraint is heard, which is linear */
static int law_backup(double *s, const double *previous, const double *references, const Limits *limits, double *inputs, double *w, int *iw) {
    (void)limits, (void)w, (void)iw;
    memcpy(inputs, BACKUP_0, sizeof BACKUP_0);
    add_product(N_IN, N_X_MODEL, BACKUP_X, s, 1, inputs);
    add_product(N_IN, N_DISTURBANCES, BACKUP_D, s + N_X_MODEL, 1, inputs);
    add_product(N_IN, N_IN, BACKUP_PREVIOUS, previous, 1, inputs);
    add_product(N_IN, N_TRACKED, BACKUP_REFERENCES, references, 1, inputs);
    return 1;
}
