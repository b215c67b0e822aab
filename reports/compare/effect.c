#include "reports/compare/effect.h"

#include "common/error.h"
#include "common/random.h"
#include "common/ranks.h"
#include "common/student.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Processes a side from which Mann and Whitney's p can fall below RANKS_ALLOW. */
enum { RANKED = 4 };
#define RANKS_ALLOW 0.05

/* A side's center, as a logarithm, and its variance. */
typedef struct center {
    double log, variance, freedom;
    double between; /* variance between processes; NAN where too few tell it */
    double within;  /* variance of a process's own, from its samples, on average */
    bool given;     /* the variance between processes was given */
} center;

/* The correlation of neighbours in time, 0 to 0.95: what is negative helps nobody. */
static double neighbours(const double *x, size_t n)
{
    double mean = 0, square = 0, product = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        square += (x[i] - mean) * (x[i] - mean);
        product += i > 0 ? (x[i] - mean) * (x[i - 1] - mean) : 0;
    }
    return square > 0 ? fmin(fmax(product / square, 0), 0.95) : 0;
}

/* A few times as long as neighbours remember one another: (1 + r) / (1 - r) samples tell as much as
 * one would that stood alone. At least three blocks fit. */
static size_t block_length(const double *x, size_t n)
{
    double r = neighbours(x, n);
    size_t wanted = (size_t)ceil(2 * (1 + r) / (1 - r)) - 1, most = n / 3;
    return wanted < most ? wanted : most > 0 ? most : 1;
}

/* A process's samples, ready to be drawn from: a resample is a histogram of ranks, and a short walk
 * from the samples' median is its own, so that none is copied or sorted. */
typedef struct urn {
    size_t n, length; /* samples; of a block */
    double *sorted;   /* [n] */
    uint32_t *rank;   /* [2 n]: of each sample in the order of time, twice, so that blocks wrap */
    uint32_t *drawn;  /* [n]: how often each rank was drawn */
} urn;

typedef struct placed {
    double value;
    size_t from; /* where it stood */
} placed;

static int by_value(const void *pa, const void *pb)
{
    const placed *a = pa, *b = pb;
    return (a->value > b->value) - (a->value < b->value);
}

static void urn_free(urn *u)
{
    free(u->sorted);
    free(u->rank);
    free(u->drawn);
}

static bool urn_fill(urn *u, const double *x, size_t n)
{
    placed *all = malloc(n * sizeof *all);
    *u = (urn){.n = n,
               .length = block_length(x, n),
               .sorted = malloc(n * sizeof *u->sorted),
               .rank = malloc(2 * n * sizeof *u->rank),
               .drawn = malloc(n * sizeof *u->drawn)};
    bool ok = all != NULL && u->sorted != NULL && u->rank != NULL && u->drawn != NULL;
    for (size_t i = 0; ok && i < n; i++)
        all[i] = (placed){x[i], i};
    if (ok)
        qsort(all, n, sizeof *all, by_value);
    for (size_t i = 0; ok && i < n; i++) {
        u->sorted[i] = all[i].value;
        u->rank[all[i].from] = u->rank[all[i].from + n] = (uint32_t)i;
    }
    free(all);
    return ok;
}

/* The median of one resample, by blocks that may wrap around. */
static double urn_median(urn *u, ortho_random *g)
{
    size_t lower = (u->n - 1) / 2, upper = u->n / 2;
    size_t rank = upper, seen = 0; /* how many drawn ones lie below the rank */
    memset(u->drawn, 0, u->n * sizeof *u->drawn);
    for (size_t at = 0; at < u->n; at += u->length) {
        const uint32_t *block = u->rank + ortho_random_below(g, u->n);
        size_t rest = u->n - at, length = u->length < rest ? u->length : rest;
        for (size_t i = 0; i < length; i++) {
            u->drawn[block[i]]++;
            seen += block[i] < rank;
        }
    }
    while (seen > lower)
        seen -= u->drawn[--rank];
    while (seen + u->drawn[rank] <= lower)
        seen += u->drawn[rank++];
    seen += u->drawn[rank];
    double low = u->sorted[rank];
    while (seen <= upper)
        seen += u->drawn[++rank];
    return low + 0.5 * (u->sorted[rank] - low);
}

/* `count` logarithms of medians of resamples of one process. */
static bool resample(const double *x, size_t n, ortho_random *g, double *out, int count)
{
    urn u;
    bool ok = urn_fill(&u, x, n);
    for (int i = 0; ok && i < count; i++)
        out[i] = log(urn_median(&u, g));
    urn_free(&u);
    return ok;
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* Without bias: over n - 1; 0 of one value. */
static double variance_of(const double *x, size_t n)
{
    double mean = mean_of(x, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sum / ((double)n - 1) : 0;
}

bool ortho_effect_logs(const ortho_effect_side *side, double *logs)
{
    size_t at = 0;
    for (size_t i = 0; i < side->processes; i++) {
        double median = ortho_median(side->samples + at, side->counts[i]);
        if (isnan(median))
            return false;
        logs[i] = log(median);
        at += side->counts[i];
    }
    return true;
}

/* The variance of the mean of as many processes, drawn with replacement, each represented by one of
 * its resamples. A bootstrap's spread is too small by (p - 1) / p. */
static double two_levels(const double *medians, size_t processes, int resamples, ortho_random *g)
{
    double *centers = malloc((size_t)resamples * sizeof *centers);
    if (centers == NULL)
        return NAN;
    for (int i = 0; i < resamples; i++) {
        centers[i] = 0;
        for (size_t j = 0; j < processes; j++) {
            size_t process = ortho_random_below(g, processes);
            size_t which = ortho_random_below(g, (size_t)resamples);
            centers[i] += medians[process * (size_t)resamples + which] / (double)processes;
        }
    }
    double variance = variance_of(centers, (size_t)resamples);
    free(centers);
    return variance * (double)processes / ((double)processes - 1);
}

static double mean_within(const double *medians, size_t processes, int resamples)
{
    double sum = 0;
    for (size_t i = 0; i < processes; i++)
        sum += variance_of(medians + i * (size_t)resamples, (size_t)resamples);
    return sum / (double)processes;
}

/* Everything but what a side of too few processes is given. `logs` is room for the processes. */
static ortho_status find_center(const ortho_effect_side *side, const ortho_effect_options *options,
                                double *logs, center *out)
{
    size_t processes = side->processes, at = 0;
    int resamples = options->resamples;
    ortho_random g = ortho_random_seeded(options->seed);
    double *medians = malloc(processes * (size_t)resamples * sizeof *medians);
    bool ok = medians != NULL && ortho_effect_logs(side, logs);
    for (size_t i = 0; ok && i < processes; i++) {
        ok = resample(side->samples + at, side->counts[i], &g, medians + i * (size_t)resamples,
                      resamples);
        at += side->counts[i];
    }
    *out =
        (center){.log = ok ? mean_of(logs, processes) : NAN,
                 .between = processes > 1 && ok ? variance_of(logs, processes) : NAN,
                 .given = processes < ORTHO_EFFECT_PROCESSES,
                 .freedom = processes < ORTHO_EFFECT_PROCESSES ? INFINITY : (double)processes - 1};
    if (ok)
        out->variance = out->within = mean_within(medians, processes, resamples);
    if (ok && !out->given)
        out->variance = two_levels(medians, processes, resamples, &g);
    free(medians);
    return ok && !isnan(out->variance) ? ORTHO_OK
                                       : ortho_fail(ORTHO_E_MEMORY, "no memory to compare samples");
}

/* Adds to a side of too few processes the spread that is given, or a larger one that shows. */
static void give_spread(center *c, double processes, double spread, const center *other)
{
    double between = spread * spread;
    if (!c->given)
        return;
    if (c->between > between)
        between = c->between;
    if (!other->given && other->between > between)
        between = other->between;
    c->variance = (c->variance + between) / processes;
}

static void conclude(const center *a, const center *b, double confidence, ortho_effect *out)
{
    double change = b->log - a->log, variance = a->variance + b->variance;
    double weight = a->variance * a->variance / a->freedom + b->variance * b->variance / b->freedom;
    out->error = sqrt(variance);
    out->freedom = weight > 0 ? variance * variance / weight : INFINITY;
    out->p = out->error > 0 ? ortho_student_two_sided(change / out->error, out->freedom)
                            : (double)(change == 0); /* a clock of large ticks */
    double half = ortho_student_quantile(1 - confidence, out->freedom) * out->error;
    out->a = exp(a->log);
    out->b = exp(b->log);
    out->ratio = exp(change);
    out->interval = (ortho_interval){exp(change - half), exp(change + half)};
    out->widened = a->given || b->given;
}

static size_t total(const ortho_effect_side *side)
{
    size_t sum = 0;
    for (size_t i = 0; i < side->processes; i++)
        sum += side->counts[i];
    return sum;
}

static bool usable(const ortho_effect_side *side)
{
    for (size_t i = 0; i < side->processes; i++)
        if (side->counts[i] == 0)
            return false;
    for (size_t i = 0; i < total(side); i++)
        if (!(side->samples[i] > 0) || !isfinite(side->samples[i]))
            return false;
    return side->processes > 0;
}

static double rank_test(const ortho_effect_side *a, const double *a_logs,
                        const ortho_effect_side *b, const double *b_logs, bool over_processes)
{
    return over_processes ? ortho_mann_whitney(a_logs, a->processes, b_logs, b->processes)
                          : ortho_mann_whitney(a->samples, total(a), b->samples, total(b));
}

ortho_status ortho_effect_measure(const ortho_effect_side *a, const ortho_effect_side *b,
                                  const ortho_effect_options *options, ortho_effect *out)
{
    center ca, cb;
    ortho_effect made = {0};
    ortho_effect_options other = *options;
    if (!usable(a) || !usable(b) || options->resamples < 2)
        return ortho_fail(ORTHO_E_ARGUMENT, "times to compare must be there, and above 0");
    double *logs = malloc((a->processes + b->processes) * sizeof *logs);
    if (logs == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to compare samples");
    other.seed ^= 0x5bd1e9955bd1e995u; /* the sides don't draw alike */
    ortho_status status = find_center(a, options, logs, &ca);
    if (status == ORTHO_OK)
        status = find_center(b, &other, logs + a->processes, &cb);
    if (status == ORTHO_OK) {
        give_spread(&ca, (double)a->processes, options->spread, &cb);
        give_spread(&cb, (double)b->processes, options->spread, &ca);
        conclude(&ca, &cb, options->confidence, &made);
        made.within_a = ca.within;
        made.within_b = cb.within;
        made.over_processes = !ca.given && !cb.given;
        made.ranks_decide = a->processes >= RANKED && b->processes >= RANKED;
        made.rank_p = rank_test(a, logs, b, logs + a->processes, made.over_processes);
        *out = made;
    }
    free(logs);
    return status;
}

static center center_of(const ortho_effect_centers *side)
{
    double processes = (double)side->processes;
    bool given = side->processes < ORTHO_EFFECT_PROCESSES;
    double between = variance_of(side->logs, side->processes);
    return (center){.log = mean_of(side->logs, side->processes),
                    .between = side->processes > 1 ? between : NAN,
                    .given = given,
                    .freedom = given ? INFINITY : processes - 1,
                    .variance = given ? side->within : (between + side->within) / processes};
}

void ortho_effect_of_centers(const ortho_effect_centers *a, const ortho_effect_centers *b,
                             const ortho_effect_options *options, ortho_effect *out)
{
    center ca = center_of(a), cb = center_of(b);
    *out = (ortho_effect){.rank_p = NAN};
    give_spread(&ca, (double)a->processes, options->spread, &cb);
    give_spread(&cb, (double)b->processes, options->spread, &ca);
    conclude(&ca, &cb, options->confidence, out);
}

const char *ortho_verdict_name(ortho_verdict verdict)
{
    static const char *const names[] = {[ORTHO_SAME] = "SAME",
                                        [ORTHO_FASTER] = "FASTER",
                                        [ORTHO_SLOWER] = "SLOWER",
                                        [ORTHO_AMBIGUOUS] = "AMBIGUOUS"};
    return (unsigned)verdict < sizeof names / sizeof *names ? names[verdict] : "AMBIGUOUS";
}

ortho_verdict ortho_effect_verdict(const ortho_effect *e, double corrected,
                                   const ortho_verdict_rule *rule)
{
    double most = 1 + rule->threshold;
    bool passes = e->ratio > most || e->ratio < 1 / most;
    bool contradicted = e->ranks_decide && !(e->rank_p <= RANKS_ALLOW);
    if (passes && corrected <= rule->alpha && !contradicted)
        return e->ratio > 1 ? ORTHO_SLOWER : ORTHO_FASTER;
    return e->interval.lo >= 1 / most && e->interval.hi <= most ? ORTHO_SAME : ORTHO_AMBIGUOUS;
}
