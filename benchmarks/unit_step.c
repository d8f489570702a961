/* What a step costs without Python: an FMU driven in a C loop, and one unit written by hand as its peer.
 *
 * In step k every input is its start value times 1 + swing ((k mod 7) - 3) / 3, for both.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

static double moved(double start, double swing, int k) { return start * (1 + swing * ((k % 7) - 3) / 3); }

typedef struct {
    int (*set_real)(void *, const unsigned *, size_t, const double *);
    int (*do_step)(void *, double, double, int);
    int (*get_real)(void *, const unsigned *, size_t, double *);
    void *component;
    size_t n_inputs, n_outputs;
    const unsigned *inputs, *outputs;
    const double *starts;
    double swing;
} Fmu;

enum { MOST = 64 };

EXPORT int drive_fmu(const Fmu *fmu, int first, int steps, double size, double *values) {
    double u[MOST];
    if (fmu->n_inputs > MOST) return 1;
    for (int k = first; k < first + steps; ++k) {
        for (size_t i = 0; i < fmu->n_inputs; ++i) u[i] = moved(fmu->starts[i], fmu->swing, k);
        if (fmu->set_real(fmu->component, fmu->inputs, fmu->n_inputs, u)) return 1;
        if (fmu->do_step(fmu->component, k * size, size, 1)) return 1;
        if (fmu->get_real(fmu->component, fmu->outputs, fmu->n_outputs, values)) return 1;
    }
    return 0;
}

/* The feed frame by hand: equations of fmus/units/feed_frame.py, and of the method what this unit needs. Quantities are
 * mass, API mass, bulk volume [litre, so that all are of one size] and what the powder's attributes mix by: water, dry powder
 * times lubrication, times ln(granule size/mm), times void ratio; the means of the flow out are integrated beside them. */
enum { QUANTITIES = 7, STATES = 2 * QUANTITIES, ALL = STATES + QUANTITIES, STAGES = 7 };

typedef struct {
    double capacity, initial_level, chamber_mass, chamber_fill_time, starving_mass, heel; /* as the model declares them */
    double y[STATES], mean[QUANTITIES];                                                     /* hopper, chamber by turns */
} FeedFrame;

typedef struct { double mass_flow, api_fraction, bulk_density, moisture, lubrication, size, porosity, draw; } Inputs;

/* what a kilogram carries */
static void specific(const Inputs *u, double carried[QUANTITIES]) {
    double dry = 1 / (1 + u->moisture);
    carried[0] = 1, carried[1] = u->api_fraction, carried[2] = 1e3 / u->bulk_density;
    carried[3] = dry * u->moisture, carried[4] = dry * u->lubrication;
    carried[5] = dry * log(1e-3 * u->size), carried[6] = dry * u->porosity / (1 - u->porosity);
}

EXPORT void start_by_hand(FeedFrame *m, const Inputs *start) {
    double carried[QUANTITIES];
    specific(start, carried);
    for (int j = 0; j < QUANTITIES; ++j) {
        m->y[2 * j] = m->capacity * m->initial_level / 100 * carried[j];
        m->y[2 * j + 1] = m->chamber_mass * carried[j];
    }
}

static double supply(const FeedFrame *m, double mass) {
    double above = mass - m->heel;
    return above > 0 ? 1 - exp(-above / m->starving_mass) : 0;
}

/* time runs from 0 to 1 over a communication step of h seconds */
static void right_hand_side(const FeedFrame *m, double draw, const double *arrives, double h, const double *y, double *f) {
    double taken = draw * supply(m, y[1]);
    double wanted = taken + (m->chamber_mass - y[1]) / m->chamber_fill_time;
    double fill = wanted > 0 ? wanted * supply(m, y[0]) : 0;
    double fall = fill / y[0], leave = taken / y[1];
    for (int j = 0; j < QUANTITIES; ++j) {
        double falls = fall * y[2 * j], leaves = leave * y[2 * j + 1];
        f[2 * j] = h * (arrives[j] - falls);
        f[2 * j + 1] = h * (falls - leaves);
        f[STATES + j] = leaves;
    }
}

/* the Runge-Kutta pair 5(4) of CasADi's erk; the last stage is the first of the next step */
static const double A[STAGES][STAGES - 1] = {
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
static const double E[STAGES] = {9.0337155371128346e-04, 0, -3.1482216823608199e-03, 2.3533727668404270e-02,
                                 -6.0004801270238307e-02, 5.0463353980116470e-02, -1.1747430249632892e-02};
static const double ABSOLUTE = 1e-10, RELATIVE = 1e-8, SHORTEST = 1e-14;

static double first_size(const double *y, const double *f) {
    double size = 0, speed = 0;
    for (int i = 0; i < STATES; ++i) {
        double weight = 1 / (ABSOLUTE + RELATIVE * fabs(y[i]));
        size += y[i] * weight * y[i] * weight;
        speed += f[i] * weight * f[i] * weight;
    }
    size = sqrt(size / STATES), speed = sqrt(speed / STATES);
    return size < 1e-5 || speed < 1e-5 ? 1e-6 : fmax(fmin(0.01 * size / speed, 1), SHORTEST);
}

#define STAGE(result, sum)                                                \
    for (int i = 0; i < ALL; ++i) result[i] = y[i] + h * (sum);

static int step_by_hand(FeedFrame *m, const Inputs *u, double size) {
    double y[ALL] = {0}, z[ALL], end[ALL], k[STAGES][ALL], arrives[QUANTITIES], t = 0, next, before = 1;
    int rejected = 0;
    memcpy(y, m->y, sizeof m->y);
    specific(u, arrives);
    for (int j = 0; j < QUANTITIES; ++j) arrives[j] *= u->mass_flow;
    right_hand_side(m, u->draw, arrives, size, y, k[0]);
    next = first_size(y, k[0]);
    for (int n = 0; n < 100000; ++n) {
        double h = next, sum = 0;
        int clipped = 0, last = 0;
        if (t + 1.05 * h >= 1) clipped = t + h > 1, h = 1 - t, last = 1;
        else if (t + 2 * h > 1) h = 0.5 * (1 - t);
        STAGE(z, A[1][0] * k[0][i])
        right_hand_side(m, u->draw, arrives, size, z, k[1]);
        STAGE(z, A[2][0] * k[0][i] + A[2][1] * k[1][i])
        right_hand_side(m, u->draw, arrives, size, z, k[2]);
        STAGE(z, A[3][0] * k[0][i] + A[3][1] * k[1][i] + A[3][2] * k[2][i])
        right_hand_side(m, u->draw, arrives, size, z, k[3]);
        STAGE(z, A[4][0] * k[0][i] + A[4][1] * k[1][i] + A[4][2] * k[2][i] + A[4][3] * k[3][i])
        right_hand_side(m, u->draw, arrives, size, z, k[4]);
        STAGE(z, A[5][0] * k[0][i] + A[5][1] * k[1][i] + A[5][2] * k[2][i] + A[5][3] * k[3][i] + A[5][4] * k[4][i])
        right_hand_side(m, u->draw, arrives, size, z, k[5]);
        STAGE(end, A[6][0] * k[0][i] + A[6][2] * k[2][i] + A[6][3] * k[3][i] + A[6][4] * k[4][i] + A[6][5] * k[5][i])
        right_hand_side(m, u->draw, arrives, size, end, k[6]);
        for (int i = 0; i < ALL; ++i) {
            double wrong = h * (E[0] * k[0][i] + E[2] * k[2][i] + E[3] * k[3][i] + E[4] * k[4][i] + E[5] * k[5][i] +
                                E[6] * k[6][i]);
            double part = wrong / (ABSOLUTE + RELATIVE * fmax(fabs(y[i]), fabs(end[i])));
            sum += part * part;
        }
        double error = sqrt(sum / ALL);
        if (!(error <= 1)) {
            next = h * (isfinite(error) ? fmax(0.2, 0.9 * pow(error, -0.2)) : 0.25);
            rejected = 1;
            if (next < SHORTEST) return 1;
            continue;
        }
        if (last) {
            memcpy(m->y, end, sizeof m->y);
            memcpy(m->mean, end + STATES, sizeof m->mean);
            return 0;
        }
        t += h;
        memcpy(y, end, sizeof y);
        memcpy(k[0], k[6], sizeof k[0]);
        error = fmax(error, 1e-10);
        double factor = fmin(6, fmax(0.2, 0.9 * pow(error, -0.7 / 5) * pow(before, 0.4 / 5)));
        if (rejected) factor = fmin(factor, 1);
        rejected = 0;
        before = fmax(error, 1e-4);
        next = clipped ? fmax(next, h * factor) : h * factor;
    }
    return 1;
}

EXPORT int drive_by_hand(FeedFrame *m, const Inputs *start, double swing, int first, int steps, double size, double values[11]) {
    for (int k = first; k < first + steps; ++k) {
        Inputs u;
        for (size_t i = 0; i < sizeof u / sizeof(double); ++i)
            ((double *)&u)[i] = moved(((const double *)start)[i], swing, k);
        if (step_by_hand(m, &u, size)) return 1;
        /* the outputs of a feed frame through which powder flows */
        values[0] = m->mean[0];
        values[1] = m->mean[1] / m->mean[0];
        values[2] = 1e3 * m->mean[0] / m->mean[2];
        double dry = m->mean[0] - m->mean[3], voids = m->mean[6] / dry;
        values[3] = m->mean[3] / dry;
        values[4] = m->mean[4] / dry;
        values[5] = 1e3 * exp(m->mean[5] / dry);
        values[6] = voids / (1 + voids);
        values[7] = 100 * m->y[0] / m->capacity;
        for (int j = 0; j < 2; ++j) values[8 + j] = m->y[2 * j] + m->y[2 * j + 1];
        values[10] = m->y[6] + m->y[7];
    }
    return 0;
}
