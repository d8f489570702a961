/* When a batch is harvested: where, along the predicted path, the objective is best; as `controllers.nonlinear.harvest`. */

enum { HARVEST_WORK = 3 * (HARVEST_MOST + 1) + 3 * N_S + 2 * (N_STAGES + HARVEST_MOST + 8) + FUNCTION_WORK + 8 };

#if DECIDES_HARVEST
/* straight between points */
static double interpolated(double at, int n, const double *x, const double *y) {
    if (at <= x[0]) return y[0];
    for (int i = 1; i < n; ++i)
        if (at <= x[i]) return at == x[i] ? y[i] : y[i - 1] + (y[i] - y[i - 1]) / (x[i] - x[i - 1]) * (at - x[i - 1]);
    return y[n - 1];
}

/* the sum of a rate over steps until each candidate; the rate as a plan sees it, straight between its nodes */
static void add_seen_at_nodes(int count, const double *rate, double step, const double *ends, double *costs, double *w) {
    double *times = w, *nodes = times + count + 1, *seen = nodes + N_STAGES + count + 3, sum = 0;
    double last = ends[N_STAGES - 1] - (N_STAGES > 1 ? ends[N_STAGES - 2] : 0), each = fmax(last, step), before = 0;
    int n = 0;
    for (int i = 0; i <= count; ++i) times[i] = step * i;
    nodes[n++] = 0;
    for (int k = 0; k < N_STAGES; ++k) nodes[n++] = ends[k];
    double first = ends[N_STAGES - 1] + last, most = times[count] + last;
    for (int i = 0, more = (int)ceil((most - first) / each); i < more; ++i) nodes[n++] = first + i * each;
    for (int i = 0; i < n; ++i) seen[i] = interpolated(nodes[i], count + 1, times, rate);
    for (int i = 0; i <= count; ++i) {
        double here = interpolated(times[i], n, nodes, seen);
        if (i) sum += (here + before) / 2;
        costs[i] += sum;
        before = here;
    }
}

static double harvest_time(const double *s, double now, const double *plan, const double *others, const double *ends,
                           const double *references, double *w) {
    double harvest = s[LAW_HARVEST], low = fmax(EARLIEST, now), high = LATEST, total = 0, full[N_MODEL_INPUTS];
    if (harvest <= now || high <= low) return fmin(fmax(harvest, EARLIEST), LATEST);
    int count = (int)fmax(HARVEST_CANDIDATES, ceil((high - now) / RESOLUTION)), finite = 0;
    double step = (high - now) / count, *costs = w, *left = costs + count + 1, *state = left + count + 1, *next = state + N_S;
    double *rest = next + N_S;
    for (int i = 0; i <= count; ++i) costs[i] = INFINITY, left[i] = 0;
    memcpy(state, s, sizeof(double) * N_S);
    for (int i = 0; i <= count; ++i) {
        double running, end, time = now + i * step;
        const double *arg[] = {state, full, references, &step};
        double *res[] = {next, &running, &end, left + i};
        int k = 0;
        while (k < N_STAGES - 1 && ends[k] <= i * step) ++k;
        full_inputs(plan + k * N_IN, others + k * N_OTHERS, full);
        generated(harvest_step, arg, 4, res, 4, rest);
        if (!finite_all(N_S, next) || !isfinite(running) || !isfinite(end) || !isfinite(left[i])) {
            left[i] = 0;
            break;
        }
        if (low - 1e-9 <= time) costs[i] = total + end - VALUE_PER_HOUR * time / 3600;
        total += running;
        memcpy(state, next, sizeof(double) * N_S);
    }
    for (int i = 0; i <= count; ++i) finite |= isfinite(costs[i]);
    if (!finite) return harvest;
    add_seen_at_nodes(count, left, step, ends, costs, rest);
    int at = 0;
    for (int i = 1; i <= count; ++i)
        if (costs[i] < costs[at]) at = i;
    double best = at;
    if (at > 0 && at < count && isfinite(costs[at - 1]) && isfinite(costs[at + 1])) {
        double curvature = costs[at - 1] - 2 * costs[at] + costs[at + 1];
        if (curvature > 0) best = at + 0.5 * (costs[at - 1] - costs[at + 1]) / curvature;
    }
    best = now + step * best;
    double most = HARVEST_MOST_SHARE * (high - now);
    return clipped(harvest + clipped(HARVEST_SHARE * (best - harvest), -most, most), low, high);
}
#else
#define harvest_time(...) 0
#endif
