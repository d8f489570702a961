/* A primal-dual interior-point method for the quadratic program of a chain of stages, of sizes known to the compiler:
 *
 *     min sum 1/2 w_k' H_k w_k + g_k' w_k + prices of slacks,   w = (u, z), z = (x, v), z_0 = 0
 *     s.t. z_{k+1} = G_k w_k + b_k,   lower - s <= a'w <= upper + s   for boxes and rows
 *
 * Newton's direction comes from a Riccati recursion, which does not multiply what stands in G for "v of the next stage is
 * u". Slacks are eliminated. Predictor and corrector are Mehrotra's (1992, SIAM J. Optim. 2, 575). Primal and dual
 * variables make steps of one length, so linear residuals shrink by what is left of it.
 */
#include <math.h>
#include <string.h>

#define UP8(n) (((n) + 7) / 8 * 8)
enum {
    NX = GALENIC_NX,
    NU = GALENIC_NU,
    BOXES = GALENIC_BOXES, /* states with a bound */
    ROWS = GALENIC_ROWS,
    NZ = NX + NU,
    NM = NU + NX,
    NW = NU + NZ,
    WIDTH = UP8(NW), /* of rows in memory: whole vectors */
    NARROW = UP8(NM),
    LINES = (NU + BOXES + ROWS + 3) / 4 * 4, /* each has a lower and an upper side */
    SIDES = 2 * LINES,
};

typedef double Sides[SIDES];

typedef struct {
    _Alignas(64) double H[NW][WIDTH], G[NZ][WIDTH]; /* symmetric; by row */
    double P[NZ][WIDTH], K[NU][WIDTH], C[ROWS + 1][WIDTH];
    double g[WIDTH], w[WIDTH], wanted[WIDTH];
    /* of sides: what they are, where they are, steps, and parts of the equations; a side that is off has only zeros */
    Sides on, sign, bound, soft, l1, l2;
    Sides lam, t, nu, s;
    Sides dlam, dt, dnu, ds;
    Sides e, de, rd, rs, gamma, ih, curve, c, d, constant;
    double b[NZ], Pb[NZ], p[NZ], L[NU][NU], y[NU];
    int used[ROWS + 1], column[ROWS + 1][NW]; /* of C, what is not zero */
    int compact;                              /* the end of G is (1, 0, 0), and no column of v has anything */
} Stage;

typedef struct Chain {
    int K, pairs;
    int box[BOXES + 1]; /* which states have one */
    double tolerance, mu0;
    Stage *stages;
} Chain;

/* values of the lines at w, for both sides */
static void lines_of(const Chain *q, const Stage *n, const double *w, double *e) {
    for (int i = 0; i < NU; i++) e[i] = w[i];
    for (int i = 0; i < BOXES; i++) e[NU + i] = w[NU + q->box[i]];
    for (int i = 0; i < ROWS; i++) {
        double sum = 0.0;
        for (int j = 0; j < n->used[i]; j++) sum += n->C[i][n->column[i][j]] * w[n->column[i][j]];
        e[NU + BOXES + i] = sum;
    }
    memcpy(e + LINES, e, sizeof(double) * LINES);
}

/* Cholesky's factor of the inputs' block of M, with the inverse of its diagonal; 0 where there is none */
static int factor_inputs(double M[NW][WIDTH], double L[NU][NU]) {
    for (int j = 0; j < NU; j++) {
        double d = M[j][j];
        for (int i = 0; i < j; i++) d -= L[j][i] * L[j][i];
        if (!(d > 0.0)) return 0;
        L[j][j] = 1.0 / sqrt(d);
        for (int k = j + 1; k < NU; k++) {
            double c = M[k][j];
            for (int i = 0; i < j; i++) c -= L[k][i] * L[j][i];
            L[k][j] = c * L[j][j];
        }
    }
    return 1;
}

/* M += G'PG */
static void add_ahead(double M[NW][WIDTH], const Stage *restrict n, const Stage *restrict next) {
    _Alignas(64) double T[NZ][WIDTH];
    for (int i = 0; i < NZ; i++) {
        _Alignas(64) double row[WIDTH] = {0};
        if (n->compact) {
            for (int l = 0; l < NX; l++)
                for (int j = 0; j < NARROW; j++) row[j] += next->P[i][l] * n->G[l][j];
            for (int j = 0; j < NU; j++) row[j] += next->P[i][NX + j];
        } else {
            for (int l = 0; l < NZ; l++)
                for (int j = 0; j < WIDTH; j++) row[j] += next->P[i][l] * n->G[l][j];
        }
        memcpy(T[i], row, sizeof row);
    }
    if (n->compact) {
        for (int a = 0; a < NM; a++) {
            _Alignas(64) double row[WIDTH];
            memcpy(row, M[a], sizeof row);
            for (int i = 0; i < NX; i++)
                for (int j = 0; j < NARROW; j++) row[j] += n->G[i][a] * T[i][j];
            memcpy(M[a], row, sizeof row);
        }
        for (int a = 0; a < NU; a++)
            for (int j = 0; j < NM; j++) M[a][j] += T[NX + a][j];
    } else {
        for (int a = 0; a < NW; a++)
            for (int i = 0; i < NZ; i++)
                for (int j = 0; j < WIDTH; j++) M[a][j] += n->G[i][a] * T[i][j];
    }
}

/* the matrices of the recursion, from the end to the start */
static int factor(const Chain *q) {
    Stage *stages = q->stages;
    const int K = q->K;
    for (int k = K; k >= 0; k--) {
        Stage *n = stages + k;
        _Alignas(64) double M[NW][WIDTH];
        memcpy(M, n->H, sizeof M);
        for (int i = 0; i < NU; i++) M[i][i] += n->curve[i] + n->curve[LINES + i];
        for (int i = 0; i < BOXES; i++) M[NU + q->box[i]][NU + q->box[i]] += n->curve[NU + i] + n->curve[LINES + NU + i];
        for (int i = 0; i < ROWS; i++) {
            const int line = NU + BOXES + i;
            const double c = n->curve[line] + n->curve[LINES + line];
            for (int a = 0; a < n->used[i]; a++)
                for (int j = 0; j < n->used[i]; j++)
                    M[n->column[i][a]][n->column[i][j]] += c * n->C[i][n->column[i][a]] * n->C[i][n->column[i][j]];
        }
        if (k < K) {
            add_ahead(M, n, n + 1);
            if (!factor_inputs(M, n->L)) return 0;
            for (int i = 0; i < NU; i++) {
                _Alignas(64) double row[WIDTH] = {0};
                for (int j = 0; j < NZ; j++) row[j] = M[i][NU + j];
                for (int l = 0; l < i; l++)
                    for (int j = 0; j < WIDTH; j++) row[j] -= n->L[i][l] * n->K[l][j];
                for (int j = 0; j < WIDTH; j++) n->K[i][j] = row[j] * n->L[i][i];
            }
        }
        if (!k) break;
        for (int a = 0; a < NZ; a++) {
            _Alignas(64) double row[WIDTH] = {0};
            for (int j = 0; j < NZ; j++) row[j] = M[NU + a][NU + j];
            if (k < K)
                for (int i = 0; i < NU; i++)
                    for (int j = 0; j < WIDTH; j++) row[j] -= n->K[i][a] * n->K[i][j];
            memcpy(n->P[a], row, sizeof row);
        }
        Stage *before = n - 1;
        for (int a = 0; a < NZ; a++) {
            double sum = 0.0;
            for (int j = 0; j < NZ; j++) sum += n->P[a][j] * before->b[j];
            before->Pb[a] = sum;
        }
    }
    return 1;
}

/* `wanted`: where Newton's direction leads to, by the constants of the sides */
static void find_wanted(const Chain *q) {
    Stage *stages = q->stages;
    const int K = q->K;
    for (int k = K; k >= 0; k--) {
        Stage *n = stages + k;
        _Alignas(64) double m[WIDTH], line[LINES];
        memcpy(m, n->g, sizeof m);
        for (int i = 0; i < LINES; i++) {
            const int up = LINES + i;
            const double lower = n->lam[i] - n->constant[i] + n->curve[i] * n->e[i];
            line[i] = n->lam[up] - n->constant[up] - n->curve[up] * n->e[up] - lower;
        }
        for (int i = 0; i < NU; i++) m[i] += line[i];
        for (int i = 0; i < BOXES; i++) m[NU + q->box[i]] += line[NU + i];
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < n->used[i]; j++) m[n->column[i][j]] += line[NU + BOXES + i] * n->C[i][n->column[i][j]];
        if (k < K) {
            const double *p = n[1].p;
            for (int i = 0; i < NX; i++)
                for (int j = 0; j < WIDTH; j++) m[j] += n->G[i][j] * (n->Pb[i] + p[i]);
            for (int i = NX; i < NZ; i++) {
                if (n->compact)
                    m[i - NX] += n->Pb[i] + p[i];
                else
                    for (int j = 0; j < WIDTH; j++) m[j] += n->G[i][j] * (n->Pb[i] + p[i]);
            }
            for (int i = 0; i < NU; i++) {
                double y = m[i];
                for (int l = 0; l < i; l++) y -= n->L[i][l] * n->y[l];
                n->y[i] = y * n->L[i][i];
            }
        }
        if (!k) break;
        memcpy(n->p, m + NU, sizeof n->p);
        if (k < K)
            for (int i = 0; i < NU; i++)
                for (int j = 0; j < NZ; j++) n->p[j] -= n->K[i][j] * n->y[i];
    }
    memset(stages->wanted, 0, sizeof stages->wanted);
    for (int k = 0; k < K; k++) {
        Stage *n = stages + k;
        double *w = n->wanted, *after = n[1].wanted + NU;
        for (int i = NU - 1; i >= 0; i--) {
            double u = n->y[i];
            for (int j = 0; j < NZ; j++) u += n->K[i][j] * w[NU + j];
            for (int l = i + 1; l < NU; l++) u += n->L[l][i] * w[l];
            w[i] = -u * n->L[i][i];
        }
        for (int i = 0; i < NZ; i++) {
            double sum = n->b[i];
            if (i < NX || !n->compact)
                for (int j = 0; j < NW; j++) sum += n->G[i][j] * w[j];
            else
                sum += w[i - NX];
            after[i] = sum;
        }
    }
    memset(stages[K].wanted, 0, sizeof(double) * NU);
}

static double larger(double a, double b) { return b > a ? b : a; }

static double largest_of(const double lane[8]) {
    double found = lane[0];
    for (int j = 1; j < 8; j++) found = larger(found, lane[j]);
    return found;
}

/* Residuals of the sides, and what in their equations is of the iterate alone. The mean product; into `worst` the largest
 * product and the largest residual that is linear. */
static double measure(const Chain *q, double worst[2]) {
    double mean[8] = {0}, products[8] = {0}, linear[8] = {0};
    for (int k = 0; k <= q->K; k++) {
        Stage *n = q->stages + k;
        for (int i = 0; i < SIDES; i += 8)
            for (int j = 0; j < 8; j++) {
                const int m = i + j;
                const double gamma = n->lam[m] / n->t[m], price = n->nu[m] / n->s[m], soft = n->soft[m];
                const double rd = n->on[m] * (n->sign[m] * (n->e[m] - n->bound[m]) + soft * n->s[m] - n->t[m]);
                const double rs = soft * (n->l1[m] + n->l2[m] * n->s[m] - n->lam[m] - n->nu[m]);
                const double ih = soft / (n->l2[m] + price + gamma), one = n->lam[m] * n->t[m], two = n->nu[m] * n->s[m];
                n->gamma[m] = gamma;
                n->rd[m] = rd;
                n->rs[m] = rs;
                n->ih[m] = ih;
                n->curve[m] = gamma - gamma * gamma * ih;
                mean[j] += one + two;
                products[j] = larger(products[j], larger(one, two));
                linear[j] = larger(linear[j], larger(fabs(rd), fabs(rs)));
            }
    }
    worst[0] = largest_of(products);
    worst[1] = largest_of(linear);
    double sum = 0.0;
    for (int j = 0; j < 8; j++) sum += mean[j];
    return sum / q->pairs;
}

/* Constants of the sides for products of `target`: of the predictor, or (second 1) with the products of its steps. */
static void set_constants(const Chain *q, double target, double second) {
    for (int k = 0; k <= q->K; k++) {
        Stage *n = q->stages + k;
        for (int i = 0; i < SIDES; i++) {
            const double wish = n->on[i] * target;
            const double c = n->lam[i] + (second * n->dlam[i] * n->dt[i] - wish) / n->t[i] + n->gamma[i] * n->rd[i];
            const double d = n->nu[i] + n->soft[i] * (second * n->dnu[i] * n->ds[i] - wish) / n->s[i];
            n->c[i] = c;
            n->d[i] = d;
            n->constant[i] = c - n->gamma[i] * n->ih[i] * (n->rs[i] + c + d);
        }
    }
}

/* Steps of the sides towards `wanted`; how far to go until the first is at zero, at most 1. */
static double find_steps(const Chain *q) {
    double lane[8] = {0};
    for (int k = 0; k <= q->K; k++) {
        Stage *n = q->stages + k;
        lines_of(q, n, n->wanted, n->de);
        for (int i = 0; i < SIDES; i += 8)
            for (int j = 0; j < 8; j++) {
                const int m = i + j;
                const double de = n->de[m] - n->e[m], along = n->sign[m] * de;
                const double dlam = -n->constant[m] - n->curve[m] * along;
                const double ds = -n->ih[m] * (n->rs[m] + n->c[m] + n->d[m] + n->gamma[m] * along);
                const double dt = n->on[m] * along + ds + n->rd[m];
                const double dnu = -n->d[m] - n->nu[m] / n->s[m] * ds;
                n->de[m] = de;
                n->dlam[m] = dlam;
                n->ds[m] = ds;
                n->dt[m] = dt;
                n->dnu[m] = dnu;
                /* a side that is off: 0 / 0 is not larger */
                lane[j] = larger(lane[j], larger(-dt / n->t[m], -ds / n->s[m]));
                lane[j] = larger(lane[j], -dlam / n->lam[m]);
                lane[j] = larger(lane[j], -dnu / n->nu[m]);
            }
    }
    const double largest = largest_of(lane);
    return largest > 1.0 ? 1.0 / largest : 1.0;
}

/* the mean product and the largest after a step */
static double products_at(const Chain *q, double step, double *worst) {
    double mean[8] = {0}, most[8] = {0}, sum = 0.0;
    for (int k = 0; k <= q->K; k++) {
        const Stage *n = q->stages + k;
        for (int i = 0; i < SIDES; i += 8)
            for (int j = 0; j < 8; j++) {
                const int m = i + j;
                const double one = (n->lam[m] + step * n->dlam[m]) * (n->t[m] + step * n->dt[m]);
                const double two = (n->nu[m] + step * n->dnu[m]) * (n->s[m] + step * n->ds[m]);
                mean[j] += one + two;
                most[j] = larger(most[j], larger(one, two));
            }
    }
    for (int j = 0; j < 8; j++) sum += mean[j];
    *worst = largest_of(most);
    return sum / q->pairs;
}

static void move(const Chain *q, double step) {
    const double least = 1e-12;
    for (int k = 0; k <= q->K; k++) {
        Stage *n = q->stages + k;
        for (int i = 0; i < WIDTH; i++) n->w[i] += step * (n->wanted[i] - n->w[i]);
        for (int i = 0; i < SIDES; i++) {
            n->e[i] += step * n->de[i];
            n->lam[i] = larger(n->lam[i] + step * n->dlam[i], n->on[i] * least);
            n->t[i] = larger(n->t[i] + step * n->dt[i], least);
            n->nu[i] = larger(n->nu[i] + step * n->dnu[i], n->soft[i] * least);
            n->s[i] = larger(n->s[i] + step * n->ds[i], least);
        }
    }
}

/* the largest residual of what is linear in the variables of stages, at w = 0 and the multipliers wanted */
static double linear_at_start(const Chain *q) {
    double most = 0.0;
    for (int k = 0; k <= q->K; k++) {
        const Stage *n = q->stages + k;
        double r[WIDTH] = {0}, line[LINES];
        for (int i = 0; i < NW; i++)
            for (int j = 0; j < WIDTH; j++) r[j] += n->H[i][j] * n->wanted[i];
        for (int i = 0; i < LINES; i++) line[i] = n->dlam[LINES + i] - n->dlam[i];
        for (int i = 0; i < NU; i++) r[i] += line[i];
        for (int i = 0; i < BOXES; i++) r[NU + q->box[i]] += line[NU + i];
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < n->used[i]; j++) r[n->column[i][j]] += line[NU + BOXES + i] * n->C[i][n->column[i][j]];
        for (int i = k < q->K ? 0 : NU; i < (k ? NW : NU); i++) most = larger(most, fabs(r[i]));
        for (int i = 0; i < NZ && k < q->K; i++) most = larger(most, fabs(n->b[i]));
    }
    return most;
}

/* a pair with a product that is not smaller */
static void centre(double *a, double *b, double product) {
    const double least = sqrt(product);
    if (*a * *b >= product) return;
    if (*a < least && *b < least)
        *a = *b = least;
    else if (*a < *b)
        *a = product / *b;
    else
        *b = product / *a;
}

/* Begin at w = 0, with sides as they were and products of at least `product`; what never was begins in the middle. */
static void start(const Chain *q, double product) {
    const double middle = sqrt(q->mu0);
    for (int k = 0; k <= q->K; k++) {
        Stage *n = q->stages + k;
        memset(n->w, 0, sizeof n->w);
        memset(n->e, 0, sizeof n->e);
        for (int i = 0; i < SIDES; i++) {
            const double room = -n->sign[i] * n->bound[i];
            if (n->on[i] == 0.0) {
                n->lam[i] = 0.0;
                n->t[i] = 1.0;
            } else if (product > 0.0 && n->lam[i] > 0.0) {
                centre(n->lam + i, n->t + i, product);
            } else {
                n->t[i] = larger(room, middle);
                n->lam[i] = q->mu0 / n->t[i];
            }
            if (n->soft[i] == 0.0) {
                n->nu[i] = 0.0;
                n->s[i] = 1.0;
            } else if (product > 0.0 && n->nu[i] > 0.0) {
                centre(n->nu + i, n->s + i, product);
            } else {
                n->s[i] = larger(middle, -room);
                n->nu[i] = q->mu0 / n->s[i];
            }
        }
    }
}

/* At most `most` iterations, and those alone that end before `deadline`; HPIPM's statuses. A hot start (mode 3) is given
 * up where a side that was active bars the way; a warm one (2) stands farther from all of them; 0 is a cold one. */
static int interior_point(Chain *q, int mode, int64_t most, double deadline, double seconds, int64_t *iterations) {
    const double tolerance = q->tolerance, barred = 0.3, fraction = 0.995;
    double left = 1.0, first = 0.0, worst[2], ahead;
    start(q, mode == 3 ? 0.01 * tolerance : mode == 2 ? 1e-2 : 0.0);
    for (*iterations = 0;; ++*iterations) {
        const double mean = measure(q, worst);
        if (!isfinite(mean)) return NAN_SOL;
        if (*iterations && worst[0] < tolerance && worst[1] < tolerance && left * first < tolerance) return SUCCESS;
        if (*iterations >= most || (*iterations && now() + seconds > deadline)) return MAX_ITER;
        set_constants(q, 0.0, 0.0);
        if (!factor(q)) return MIN_STEP;
        find_wanted(q);
        double step = find_steps(q);
        const double mean_ahead = products_at(q, step, &ahead);
        if (step < 1.0 || ahead >= tolerance) {
            const double ratio = mean_ahead / mean;
            set_constants(q, larger(ratio * ratio * ratio * mean, 0.03 * tolerance), 1.0);
            find_wanted(q);
            step = find_steps(q);
        }
        if (step < 1.0) step *= fraction;
        if (!*iterations && step < 1.0) first = linear_at_start(q);
        left *= 1.0 - step;
        move(q, step);
        if (!(step > 1e-10) || (mode == 3 && step < barred)) {
            ++*iterations;
            return MIN_STEP;
        }
    }
}
