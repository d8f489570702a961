/* The Runge-Kutta pair 5(4) of CasADi's `erk` with its error control, for models without events: same coefficients, same step
 * sizes, half the time, because the compiler knows the sizes. Included by unit.c. Derivatives of a step stay with CasADi.
 *
 * Scaled time runs from 0 to 1 over the communication step; y = [states in multiples of their nominals | means]. */
enum { N_RK = N_X + N_Q, RK_STAGES = 7 };

static const double RK_AT[RK_STAGES] = {0, 2.0 / 9, 5.0 / 16, 0.825, 20.0 / 21, 1, 1};
static const double RK_A[RK_STAGES][RK_STAGES - 1] = {
    {0},
    {2.2222222222222221e-01},
    {9.2773437500000000e-02, 2.1972656250000000e-01},
    {7.4468624999999999e-01, -3.4916062499999998e+00, 3.5719200000000000e+00},
    {2.6613681355177952e+00, -1.3023809523809524e+01, 1.1682017166138619e+01, -3.6719482546593879e-01},
    {2.8667876712328768e+00, -1.3844280821917808e+01, 1.2283823308650417e+01, -2.3202113342347097e-01,
     -7.4309024542014393e-02},
    {9.5303030303030306e-02, 0, 4.6607057529349077e-01, 6.1575078671044026e-01, -4.9314170832427734e-01,
     3.1601731601731603e-01},
};
static const double RK_ERROR[RK_STAGES] = {9.0337155371128346e-04, 0, -3.1482216823608199e-03, 2.3533727668404270e-02,
                                           -6.0004801270238307e-02, 5.0463353980116470e-02, -1.1747430249632892e-02};

static int scaled_rates(Instance *m, double tau, const double *y, const double *known, double *rates) {
    const double *arg[SZ_ARG + 1] = {&tau, y, NULL, known};
    double *res[SZ_RES + 1] = {rates, NULL, rates + N_X};
    return galenic_scaled(arg, res, m->iw, m->w, 0);
}

static double rk_error(const double *y, const double *end, const double *wrong) {
    double sum = 0;
    for (int i = 0; i < N_RK; ++i) {
        double a = fabs(y[i]), b = fabs(end[i]);
        double part = wrong[i] / (ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * (a > b ? a : b));
        sum += part * part;
    }
    return sqrt(sum / N_RK);
}

static double rk_first_size(const double *y, const double *rates) {
    double size = 0, speed = 0;
    for (int i = 0; i < N_X; ++i) {
        double tolerance = ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * fabs(y[i]);
        size += (y[i] / tolerance) * (y[i] / tolerance);
        speed += (rates[i] / tolerance) * (rates[i] / tolerance);
    }
    size = sqrt(size / N_X), speed = sqrt(speed / N_X);
    return size < 1e-5 || speed < 1e-5 ? 1e-6 : fmax(fmin(0.01 * size / speed, 1), 1e-14);
}

#define RK_SUM(to, sum) \
    for (int i = 0; i < N_RK; ++i) to[i] = y[i] + h * (sum);
#define RK_STAGE(s, sum) \
    RK_SUM(z, sum)       \
    failed |= scaled_rates(m, tau + RK_AT[s] * h, z, known, k[s]);

/* a step of `size` seconds into scratch_x and scratch_q */
static int erk_step(Instance *m, double size) {
    double y[N_RK], end[N_RK], z[N_RK], k[RK_STAGES][N_RK], known[2 + N_U + N_P];
    double tau = 0, next, before = 1;
    int rejected = 0;
    known[0] = TIME(m), known[1] = size;
    memcpy(known + 2, m->now.v, (N_U + N_P) * sizeof(double));
    for (int i = 0; i < N_X; ++i) y[i] = states(m)[i] / model_nominal[i];
    for (int i = N_X; i < N_RK; ++i) y[i] = 0;
    if (scaled_rates(m, 0, y, known, k[0])) return 1;
    next = rk_first_size(y, k[0]);
    for (int n = 0; n < 100000; ++n) {
        double h = next;
        int clipped = 0, last = 0, failed = 0;
        if (tau + 1.05 * h >= 1) clipped = tau + h > 1, h = 1 - tau, last = 1;
        else if (tau + 2 * h > 1) h = 0.5 * (1 - tau);
        RK_STAGE(1, RK_A[1][0] * k[0][i])
        RK_STAGE(2, RK_A[2][0] * k[0][i] + RK_A[2][1] * k[1][i])
        RK_STAGE(3, RK_A[3][0] * k[0][i] + RK_A[3][1] * k[1][i] + RK_A[3][2] * k[2][i])
        RK_STAGE(4, RK_A[4][0] * k[0][i] + RK_A[4][1] * k[1][i] + RK_A[4][2] * k[2][i] + RK_A[4][3] * k[3][i])
        RK_STAGE(5, RK_A[5][0] * k[0][i] + RK_A[5][1] * k[1][i] + RK_A[5][2] * k[2][i] + RK_A[5][3] * k[3][i] +
                        RK_A[5][4] * k[4][i])
        RK_SUM(end, RK_A[6][0] * k[0][i] + RK_A[6][2] * k[2][i] + RK_A[6][3] * k[3][i] + RK_A[6][4] * k[4][i] +
                        RK_A[6][5] * k[5][i])
        failed |= scaled_rates(m, tau + h, end, known, k[6]);
        for (int i = 0; i < N_RK; ++i)
            z[i] = h * (RK_ERROR[0] * k[0][i] + RK_ERROR[2] * k[2][i] + RK_ERROR[3] * k[3][i] + RK_ERROR[4] * k[4][i] +
                        RK_ERROR[5] * k[5][i] + RK_ERROR[6] * k[6][i]);
        double error = failed ? NAN : rk_error(y, end, z);
        if (!(error <= 1)) {
            next = h * (isfinite(error) ? fmax(0.2, 0.9 * pow(error, -0.2)) : 0.25);
            rejected = 1;
            if (next < 1e-14) return 1;
            continue;
        }
        if (last) {
            for (int i = 0; i < N_X; ++i) m->scratch_x[i] = end[i] * model_nominal[i];
            memcpy(m->scratch_q, end + N_X, N_Q * sizeof(double));
            return 0;
        }
        tau += h;
        memcpy(y, end, sizeof y);
        memcpy(k[0], k[6], sizeof k[0]); /* the last stage is the first of the next step */
        error = fmax(error, 1e-10);
        double factor = fmin(6, fmax(0.2, 0.9 * pow(error, -0.7 / 5) * pow(before, 0.4 / 5)));
        if (rejected) factor = fmin(factor, 1);
        rejected = 0;
        before = fmax(error, 1e-4);
        next = clipped ? fmax(next, h * factor) : h * factor;
    }
    return 1;
}
