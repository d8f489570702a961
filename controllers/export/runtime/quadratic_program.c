/* A strictly convex quadratic program by the dual active-set method of Goldfarb and Idnani (1983):
 *
 *     min 1/2 x'Hx + g'x   subject to   low <= [x; Ax] <= high
 *
 * H (n, n) and A (k, n) by rows; infinite bounds are none, equal ones make an equality. From the unconstrained minimum it takes
 * in the most violated constraint, gives up those whose multiplier reaches zero, and so on; with J'HJ = I and J'N = [R; 0] for
 * the normals N of the active set. The answer is refined with the same factors and checked. No memory between calls, so the
 * answer depends on nothing but the arguments.
 */

enum { QP_SOLVED, QP_NOT_FINITE, QP_NOT_CONVEX, QP_INFEASIBLE, QP_ITERATIONS, QP_INACCURATE };

#define QP_TOLERANCE 1e-10 /* of a bound, relative to 1 + |bound| */
#define QP_WORK(n, k) ((size_t)(2 * (n) * (n) + 9 * (n) + (k)))
#define QP_IWORK(n, k) ((size_t)(3 * (n) + (k)))

typedef struct {
    int n, k, q;               /* q active constraints */
    const double *h, *a, *g, *low, *high;
    double *j, *r;             /* (n, n) each, by rows */
    double *x, *u, *normal, *d, *z, *step, *rest, *y, *shift;
    double *value;             /* (n + k) of [x; Ax] */
    int *row, *side, *active;  /* of an active constraint its row and side (1 low, -1 high, 0 equality); of a row whether it is */
} Program;

static double qp_dot(int n, const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

static void qp_normal(const Program *m, int row, int side, double *to) {
    double sign = side < 0 ? -1 : 1;
    for (int i = 0; i < m->n; ++i) to[i] = row < m->n ? (i == row) * sign : sign * m->a[(size_t)(row - m->n) * m->n + i];
}

static double qp_bound(const Program *m, int row, int side) { return side < 0 ? -m->high[row] : m->low[row]; }

static void qp_values(Program *m) {
    memcpy(m->value, m->x, m->n * sizeof(double));
    for (int i = 0; i < m->k; ++i) m->value[m->n + i] = qp_dot(m->n, m->a + (size_t)i * m->n, m->x);
}

/* J = L^-T with H = LL' */
static int qp_factor(Program *m) {
    int n = m->n;
    double *l = m->r; /* not needed yet */
    for (int i = 0; i < n; ++i)
        for (int j = 0; j <= i; ++j) {
            double sum = m->h[i * n + j] - qp_dot(j, l + i * n, l + j * n);
            if (i != j) l[i * n + j] = sum / l[j * n + j];
            else if (!(sum > 0)) return QP_NOT_CONVEX;
            else l[i * n + i] = sqrt(sum);
        }
    memset(m->j, 0, (size_t)n * n * sizeof(double));
    for (int c = 0; c < n; ++c) /* column c of L^-1 is row c of J */
        for (int i = c; i < n; ++i) {
            double sum = i == c;
            for (int j = c; j < i; ++j) sum -= l[i * n + j] * m->j[c * n + j];
            m->j[c * n + i] = sum / l[i * n + i];
        }
    memset(m->r, 0, (size_t)n * n * sizeof(double));
    return QP_SOLVED;
}

static void qp_transposed(const Program *m, const double *v, double *to) { /* J'v */
    memset(to, 0, m->n * sizeof(double));
    for (int i = 0; i < m->n; ++i)
        for (int j = 0; j < m->n; ++j) to[j] += m->j[i * m->n + j] * v[i];
}

static void qp_back(const Program *m, const double *v, double *to) { /* R^-1 v */
    for (int i = m->q - 1; i >= 0; --i) {
        double sum = v[i];
        for (int j = i + 1; j < m->q; ++j) sum -= m->r[i * m->n + j] * to[j];
        to[i] = sum / m->r[i * m->n + i];
    }
}

/* rotates (a, b) to (length, 0) */
static void qp_rotation(double a, double b, double *c, double *s) {
    double length = hypot(a, b);
    *c = length > 0 ? a / length : 1;
    *s = length > 0 ? b / length : 0;
}

static void qp_rotate_columns(Program *m, int first, double c, double s) {
    for (int i = 0; i < m->n; ++i) {
        double *at = m->j + i * m->n + first, a = at[0], b = at[1];
        at[0] = c * a + s * b;
        at[1] = c * b - s * a;
    }
}

static void qp_add(Program *m, int row, int side, double multiplier) { /* d = J'n of its normal */
    for (int j = m->n - 1; j > m->q; --j) {
        double c, s;
        qp_rotation(m->d[j - 1], m->d[j], &c, &s);
        m->d[j - 1] = c * m->d[j - 1] + s * m->d[j];
        qp_rotate_columns(m, j - 1, c, s);
    }
    for (int i = 0; i <= m->q; ++i) m->r[i * m->n + m->q] = m->d[i];
    m->row[m->q] = row;
    m->side[m->q] = side;
    m->u[m->q++] = multiplier;
    m->active[row] = 1;
}

static void qp_drop(Program *m, int l) {
    int n = m->n;
    m->active[m->row[l]] = 0;
    for (int j = l + 1; j < m->q; ++j) {
        for (int i = 0; i <= j; ++i) m->r[i * n + j - 1] = m->r[i * n + j];
        m->row[j - 1] = m->row[j];
        m->side[j - 1] = m->side[j];
        m->u[j - 1] = m->u[j];
    }
    --m->q;
    for (int j = l; j < m->q; ++j) {
        double c, s;
        qp_rotation(m->r[j * n + j], m->r[(j + 1) * n + j], &c, &s);
        for (int k = j; k < m->q; ++k) {
            double a = m->r[j * n + k], b = m->r[(j + 1) * n + k];
            m->r[j * n + k] = c * a + s * b;
            m->r[(j + 1) * n + k] = c * b - s * a;
        }
        qp_rotate_columns(m, j, c, s);
    }
}

/* takes a violated constraint in; its multiplier and x move along until it is kept */
static int qp_take(Program *m, int row, int side) {
    int n = m->n;
    double multiplier = 0;
    for (int round = 0; round <= n; ++round) {
        qp_normal(m, row, side, m->normal);
        qp_transposed(m, m->normal, m->d);
        for (int i = 0; i < n; ++i) m->z[i] = qp_dot(n - m->q, m->j + i * n + m->q, m->d + m->q);
        qp_back(m, m->d, m->step);
        double free = qp_dot(n - m->q, m->d + m->q, m->d + m->q);
        double missing = qp_bound(m, row, side) - qp_dot(n, m->normal, m->x);
        int dependent = free <= 1e-24 * qp_dot(n, m->d, m->d);
        if (side == 0) { /* an equality: before all others, so that nothing has to make room */
            if (dependent) return fabs(missing) > 1e-7 * (1 + fabs(qp_bound(m, row, side))) ? QP_INFEASIBLE : QP_SOLVED;
        }
        double full = dependent ? INFINITY : missing / free, partial = INFINITY;
        int leaving = -1;
        for (int i = 0; side != 0 && i < m->q; ++i)
            if (m->side[i] != 0 && m->step[i] > 0 && fmax(m->u[i], 0) / m->step[i] < partial) {
                partial = fmax(m->u[i], 0) / m->step[i];
                leaving = i;
            }
        double t = fmin(full, partial);
        if (!isfinite(t)) return QP_INFEASIBLE;
        for (int i = 0; !dependent && i < n; ++i) m->x[i] += t * m->z[i];
        for (int i = 0; i < m->q; ++i) m->u[i] -= t * m->step[i];
        multiplier += t;
        if (full <= partial) {
            qp_add(m, row, side, multiplier);
            return QP_SOLVED;
        }
        qp_drop(m, leaving);
    }
    return QP_ITERATIONS;
}

/* one step of refinement with the active set as it is; returns the largest residual of stationarity, relative */
static double qp_refine(Program *m) {
    int n = m->n;
    double worst = 0, size = 1;
    for (int i = 0; i < n; ++i) { /* rest = -(Hx + g - Nu) */
        double hx = qp_dot(n, m->h + i * n, m->x);
        m->rest[i] = -(hx + m->g[i]);
        size = fmax(size, fmax(fabs(hx), fabs(m->g[i])));
    }
    for (int l = 0; l < m->q; ++l) {
        qp_normal(m, m->row[l], m->side[l], m->normal);
        for (int i = 0; i < n; ++i) m->rest[i] += m->u[l] * m->normal[i];
        m->shift[l] = qp_bound(m, m->row[l], m->side[l]) - qp_dot(n, m->normal, m->x);
    }
    for (int i = 0; i < n; ++i) worst = fmax(worst, fabs(m->rest[i]));
    qp_transposed(m, m->rest, m->d);
    for (int i = 0; i < m->q; ++i) { /* y = [R^-T shift; J2'rest] */
        double sum = m->shift[i];
        for (int j = 0; j < i; ++j) sum -= m->r[j * n + i] * m->y[j];
        m->y[i] = sum / m->r[i * n + i];
    }
    for (int i = m->q; i < n; ++i) m->y[i] = m->d[i];
    for (int i = 0; i < n; ++i) m->x[i] += qp_dot(n, m->j + i * n, m->y);
    for (int i = 0; i < m->q; ++i) m->y[i] -= m->d[i];
    qp_back(m, m->y, m->step);
    for (int i = 0; i < m->q; ++i) m->u[i] += m->step[i];
    return worst / size;
}

/* the most violated row and its side; row -1 where all bounds are kept */
static int qp_violated(Program *m, int *side) {
    int found = -1;
    double worst = QP_TOLERANCE;
    qp_values(m);
    for (int i = 0; i < m->n + m->k; ++i) {
        if (m->active[i]) continue;
        double below = (m->low[i] - m->value[i]) / (1 + fabs(m->low[i])), above = (m->value[i] - m->high[i]) / (1 + fabs(m->high[i]));
        if (isfinite(m->low[i]) && below > worst) worst = below, found = i, *side = 1;
        if (isfinite(m->high[i]) && above > worst) worst = above, found = i, *side = -1;
    }
    return found;
}

static void qp_layout(Program *m, double *x, double *work, int *iwork) {
    int n = m->n;
    m->x = x;
    m->j = work, work += (size_t)n * n;
    m->r = work, work += (size_t)n * n;
    double **vectors[] = {&m->u, &m->normal, &m->d, &m->z, &m->step, &m->rest, &m->y, &m->shift};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; ++i, work += n) *vectors[i] = work;
    m->value = work;
    m->row = iwork, m->side = iwork + n, m->active = iwork + 2 * n;
    memset(m->active, 0, (n + m->k) * sizeof(int));
}

/* Solves; x (n) is to be used only where QP_SOLVED is returned. work: QP_WORK doubles, iwork: QP_IWORK ints. */
static int qp_solve(int n, int k, const double *h, const double *a, const double *g, const double *low, const double *high,
                    double *x, double *work, int *iwork) {
    Program program = {n, k, 0, h, a, g, low, high}, *m = &program;
    qp_layout(m, x, work, iwork);
    for (int i = 0; i < n; ++i)
        if (!isfinite(g[i])) return QP_NOT_FINITE;
    for (int i = 0; i < n + k; ++i)
        if (!(low[i] <= high[i])) return QP_NOT_FINITE;
    int failed = qp_factor(m);
    if (failed) return failed;
    qp_transposed(m, g, m->d);
    for (int i = 0; i < n; ++i) x[i] = -qp_dot(n, m->j + i * n, m->d);
    for (int i = 0; i < n + k; ++i)
        if (low[i] == high[i] && (failed = qp_take(m, i, 0))) return failed;
    for (int round = 0, refined = 0; round < 20 * (n + k); ++round) {
        int side = 0, row = qp_violated(m, &side);
        if (row >= 0) {
            refined = 0;
            if ((failed = qp_take(m, row, side))) return failed;
        } else if (refined++ < 3) {
            qp_refine(m);
        } else {
            double off = qp_refine(m);
            for (int l = 0; l < m->q; ++l)
                if (m->side[l] != 0 && m->u[l] < -1e-7 * (1 + fabs(m->u[l]))) return QP_INACCURATE;
            for (int i = 0; i < n; ++i)
                if (!isfinite(x[i])) return QP_NOT_FINITE;
            return off <= 1e-9 ? QP_SOLVED : QP_INACCURATE;
        }
    }
    return QP_ITERATIONS;
}

/* The x between bounds that is nearest to the given one by the metric C^-1, of a correlation matrix C (n, n); 0 where there is none. */
static int qp_nearest(int n, const double *c, double *x, const double *low, const double *high, double *work, int *iwork) {
    Program program = {n, 0, 0, NULL, NULL, NULL, low, high}, *m = &program;
    int side = 0, row;
    qp_layout(m, x, work, iwork);
    memset(m->j, 0, (size_t)2 * n * n * sizeof(double));
    for (int i = 0; i < n; ++i) /* JJ' = C, for J'C^-1 J = I */
        for (int j = 0; j <= i; ++j) {
            double sum = c[i * n + j] + (i == j) * 1e-12 - qp_dot(j, m->j + i * n, m->j + j * n);
            if (i == j && !(sum > 0)) return 0;
            m->j[i * n + j] = i == j ? sqrt(sum) : sum / m->j[j * n + j];
        }
    for (int round = 0; (row = qp_violated(m, &side)) >= 0; ++round)
        if (round > 20 * n || qp_take(m, row, side)) return 0;
    for (int l = 0; l < m->q; ++l) x[m->row[l]] = m->side[l] > 0 ? low[m->row[l]] : high[m->row[l]];
    return 1;
}
