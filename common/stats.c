/*
 * Statistics of samples: medians and intervals of them, because run times are skewed and have
 * tails, so that means and standard deviations describe no sample that was seen.
 *
 * A resample of the bootstrap needs no sort: samples are sorted once, a resample is a histogram of
 * ranks, and walking it to the middle gives its median: O(n) a resample. The interval of
 * the stop rule, which is asked for after each sample, is two order statistics, selected in O(n).
 */
#include "common/stats.h"

#include "common/random.h"
#include "common/student.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double mad_to_sigma = 1.4826; /* sigma of a normal distribution over its MAD */
static const double outlier_mads = 3.5;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A copy that the caller frees; NULL when there is no memory. */
static double *copied(const double *samples, size_t n)
{
    double *copy = malloc(n * sizeof *copy);
    if (copy != NULL)
        memcpy(copy, samples, n * sizeof *copy);
    return copy;
}

static double *sorted(const double *samples, size_t n)
{
    double *copy = copied(samples, n);
    if (copy != NULL)
        qsort(copy, n, sizeof *copy, compare_doubles);
    return copy;
}

/* Moves the element of this rank to its sorted place, smaller ones before it (Hoare's select). */
static double select_rank(double *a, size_t n, size_t rank)
{
    size_t lo = 0, hi = n - 1;
    while (lo < hi) {
        double pivot = a[lo + (hi - lo) / 2];
        size_t i = lo, j = hi;
        for (;;) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i >= j)
                break;
            double t = a[i];
            a[i++] = a[j];
            a[j--] = t;
        }
        if (rank <= j)
            hi = j;
        else
            lo = j + 1;
    }
    return a[rank];
}

/* Position of the quantile p among n sorted values: rank and the fraction of the way to the next.
 */
static size_t quantile_rank(size_t n, double p, double *fraction)
{
    double at = (double)(n - 1) * fmin(fmax(p, 0.0), 1.0);
    size_t rank = (size_t)at;
    *fraction = at - (double)rank;
    return rank;
}

static double sorted_quantile(const double *values, size_t n, double p)
{
    double fraction;
    size_t rank = quantile_rank(n, p, &fraction);
    if (fraction == 0.0)
        return values[rank];
    return values[rank] + fraction * (values[rank + 1] - values[rank]);
}

/* The median of values that it may reorder. */
static double median_in_place(double *values, size_t n)
{
    double upper = select_rank(values, n, n / 2);
    if (n % 2 == 1)
        return upper;
    double lower = values[0]; /* the largest of those before it */
    for (size_t i = 1; i < n / 2; i++)
        lower = fmax(lower, values[i]);
    return lower + 0.5 * (upper - lower);
}

double ortho_quantile(const double *samples, size_t n, double p)
{
    if (n == 0)
        return NAN;
    double *values = sorted(samples, n);
    if (values == NULL)
        return NAN;
    double result = sorted_quantile(values, n, p);
    free(values);
    return result;
}

double ortho_median(const double *samples, size_t n)
{
    if (n == 0)
        return NAN;
    double *values = copied(samples, n);
    if (values == NULL)
        return NAN;
    double result = median_in_place(values, n);
    free(values);
    return result;
}

/* Replaces values by their distances from `center`, and returns the median of those. */
static double median_distance(double *values, size_t n, double center)
{
    for (size_t i = 0; i < n; i++)
        values[i] = fabs(values[i] - center);
    return median_in_place(values, n);
}

double ortho_mad(const double *samples, size_t n)
{
    if (n == 0)
        return NAN;
    double *values = copied(samples, n);
    if (values == NULL)
        return NAN;
    double result = median_distance(values, n, median_in_place(values, n));
    free(values);
    return result;
}

size_t ortho_outliers(const double *samples, size_t n)
{
    double median = ortho_median(samples, n),
           limit = outlier_mads * mad_to_sigma * ortho_mad(samples, n);
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += fabs(samples[i] - median) > limit;
    return count;
}

/* ---- bootstrap ------------------------------------------------------------------------------ */

/* One side of a bootstrap: its samples in order, and room for the histogram of a resample. */
typedef struct side {
    size_t n;
    double *values;
    uint32_t *drawn; /* [n]: how often each rank was drawn */
} side;

static void side_free(side *s)
{
    free(s->values);
    free(s->drawn);
}

static int side_init(side *s, const double *samples, size_t n)
{
    *s = (side){.n = n, .values = sorted(samples, n), .drawn = malloc(n * sizeof *s->drawn)};
    if (s->values != NULL && s->drawn != NULL)
        return 1;
    side_free(s);
    return 0;
}

/* The median of one resample. */
static double side_resample(side *s, ortho_random *g)
{
    memset(s->drawn, 0, s->n * sizeof *s->drawn);
    for (size_t i = 0; i < s->n; i++)
        s->drawn[ortho_random_below(g, s->n)]++;
    size_t seen = 0, rank = 0;
    size_t lower = (s->n - 1) / 2, upper = s->n / 2; /* the same when n is odd */
    while ((seen += s->drawn[rank]) <= lower)
        rank++;
    double low = s->values[rank];
    while (seen <= upper)
        seen += s->drawn[++rank];
    return low + 0.5 * (s->values[rank] - low);
}

static ortho_interval percentile_interval(double *values, size_t n, double confidence)
{
    double tail = 0.5 * (1.0 - confidence);
    qsort(values, n, sizeof *values, compare_doubles);
    return (ortho_interval){sorted_quantile(values, n, tail),
                            sorted_quantile(values, n, 1.0 - tail)};
}

ortho_interval ortho_bootstrap_median(const double *samples, size_t n, double confidence,
                                      int resamples, uint64_t seed)
{
    ortho_interval result = {ortho_median(samples, n), ortho_median(samples, n)};
    if (n < 2 || resamples < 1)
        return result;
    double *medians = malloc((size_t)resamples * sizeof *medians);
    side s = {0};
    if (medians == NULL || !side_init(&s, samples, n)) {
        free(medians);
        return (ortho_interval){NAN, NAN};
    }
    ortho_random g = ortho_random_seeded(seed);
    for (int i = 0; i < resamples; i++)
        medians[i] = side_resample(&s, &g);
    result = percentile_interval(medians, (size_t)resamples, confidence);
    side_free(&s);
    free(medians);
    return result;
}

ortho_interval ortho_bootstrap_ratio(const double *a, size_t na, const double *b, size_t nb,
                                     double confidence, int resamples, uint64_t seed)
{
    ortho_interval result = {NAN, NAN};
    side top = {0}, bottom = {0};
    double *ratios = NULL;
    if (na < 1 || nb < 1 || resamples < 1)
        return result;
    if (!side_init(&top, a, na))
        return result;
    if (!side_init(&bottom, b, nb))
        goto free_top;
    ratios = malloc((size_t)resamples * sizeof *ratios);
    if (ratios == NULL)
        goto free_bottom;
    ortho_random g = ortho_random_seeded(seed);
    for (int i = 0; i < resamples; i++) {
        double numerator = side_resample(&top, &g); /* before the other: the order is the seed's */
        ratios[i] = numerator / side_resample(&bottom, &g);
    }
    result = percentile_interval(ratios, (size_t)resamples, confidence);
    free(ratios);
free_bottom:
    side_free(&bottom);
free_top:
    side_free(&top);
    return result;
}

/* ---- processes ------------------------------------------------------------------------------ */

/* Of what is drawn: the processes of one thing, or of two that share them. */
typedef struct crew {
    size_t count;
    side *top, *bottom; /* [count]; bottom is NULL where there is one thing */
    double *values;     /* [count]: a resample's */
} crew;

static void sides_free(side *sides, size_t count)
{
    for (size_t i = 0; sides != NULL && i < count; i++)
        side_free(&sides[i]);
    free(sides);
}

static side *sides_new(const ortho_processes *p)
{
    const double *samples = p->samples;
    side *sides = calloc(p->count, sizeof *sides);
    for (size_t i = 0; sides != NULL && i < p->count; samples += p->counts[i++])
        if (!side_init(&sides[i], samples, p->counts[i])) {
            sides_free(sides, i);
            return NULL;
        }
    return sides;
}

static void crew_free(crew *c)
{
    sides_free(c->top, c->count);
    sides_free(c->bottom, c->count);
    free(c->values);
}

static int crew_init(crew *c, const ortho_processes *a, const ortho_processes *b)
{
    *c = (crew){.count = a->count,
                .top = sides_new(a),
                .bottom = b != NULL ? sides_new(b) : NULL,
                .values = malloc(a->count * sizeof *c->values)};
    if (c->top != NULL && c->values != NULL && (b == NULL) == (c->bottom == NULL))
        return 1;
    crew_free(c);
    return 0;
}

static double crew_resample(crew *c, ortho_random *g)
{
    for (size_t i = 0; i < c->count; i++) {
        size_t drawn = ortho_random_below(g, c->count);
        c->values[i] = side_resample(&c->top[drawn], g);
        if (c->bottom != NULL)
            c->values[i] /= side_resample(&c->bottom[drawn], g);
    }
    return median_in_place(c->values, c->count);
}

/* Whether each process gave something. */
static int all_gave(const ortho_processes *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->counts[i] == 0)
            return 0;
    return p->count > 0;
}

/* Of each process the median of a, over that of b where there is one. False without memory. */
static bool find_medians(const ortho_processes *a, const ortho_processes *b, double *values)
{
    bool ok = true;
    size_t at = 0, bt = 0;
    for (size_t i = 0; i < a->count; at += a->counts[i], bt += b != NULL ? b->counts[i] : 0, i++) {
        values[i] = ortho_median(a->samples + at, a->counts[i]);
        if (b != NULL)
            values[i] /= ortho_median(b->samples + bt, b->counts[i]);
        ok = ok && !isnan(values[i]);
    }
    return ok;
}

/* Student's interval of the processes' center, which reaches beyond the processes seen; NaN where
 * one isn't above 0. Takes the logarithms of the values. */
static ortho_interval student_interval(double *values, size_t n, double confidence)
{
    double count = (double)n, mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        mean += (values[i] = log(values[i])) / count;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    double error = sqrt(squares / (count - 1) / count);
    double half = error * ortho_student_quantile(1 - confidence, count - 1);
    return (ortho_interval){exp(mean - half), exp(mean + half)};
}

/* Fewer processes than this and drawing them falls short of the confidence by more than 1 %. */
enum { FEW = 10 };

/* Widens the interval of few processes to Student's. */
static void widen(ortho_interval *interval, const ortho_processes *a, const ortho_processes *b,
                  double *room, double confidence)
{
    if (a->count < 2 || a->count >= FEW || !find_medians(a, b, room))
        return;
    ortho_interval wide = student_interval(room, a->count, confidence);
    interval->lo = fmin(interval->lo, wide.lo);
    interval->hi = fmax(interval->hi, wide.hi);
}

static ortho_interval bootstrap_crew(const ortho_processes *a, const ortho_processes *b,
                                     double confidence, int resamples, uint64_t seed)
{
    crew c;
    ortho_interval result = {NAN, NAN};
    if (resamples < 1 || !crew_init(&c, a, b))
        return result;
    double *values = malloc((size_t)resamples * sizeof *values);
    ortho_random g = ortho_random_seeded(seed);
    for (int i = 0; values != NULL && i < resamples; i++)
        values[i] = crew_resample(&c, &g);
    if (values != NULL) {
        result = percentile_interval(values, (size_t)resamples, confidence);
        widen(&result, a, b, c.values, confidence);
    }
    free(values);
    crew_free(&c);
    return result;
}

static double median_of_medians(const ortho_processes *a, const ortho_processes *b)
{
    double *values = malloc(a->count * sizeof *values);
    if (values == NULL)
        return NAN;
    double result = find_medians(a, b, values) ? median_in_place(values, a->count) : NAN;
    free(values);
    return result;
}

double ortho_processes_median(const ortho_processes *p)
{
    return all_gave(p) ? median_of_medians(p, NULL) : NAN;
}

double ortho_processes_ratio(const ortho_processes *a, const ortho_processes *b)
{
    bool fit = all_gave(a) && all_gave(b) && a->count == b->count;
    return fit ? median_of_medians(a, b) : NAN;
}

ortho_interval ortho_bootstrap_processes(const ortho_processes *p, double confidence, int resamples,
                                         uint64_t seed)
{
    return all_gave(p) ? bootstrap_crew(p, NULL, confidence, resamples, seed)
                       : (ortho_interval){NAN, NAN};
}

ortho_interval ortho_bootstrap_processes_ratio(const ortho_processes *a, const ortho_processes *b,
                                               double confidence, int resamples, uint64_t seed)
{
    bool fit = all_gave(a) && all_gave(b) && a->count == b->count;
    return fit ? bootstrap_crew(a, b, confidence, resamples, seed) : (ortho_interval){NAN, NAN};
}

/* ---- order statistics ----------------------------------------------------------------------- */

/* How many of n fair coins may fall short and still be in the lower tail: the largest j with
 * P(Bin(n, 1/2) <= j) <= tail, or -1 when even j = 0 is too likely. Walks down from the middle, so
 * it takes O(sqrt n) steps. */
static double tail_rank(size_t n, double tail)
{
    double count = (double)n, j = floor((count - 1.0) / 2.0);
    double mass = exp(lgamma(count + 1.0) - lgamma(j + 1.0) - lgamma(count - j + 1.0) -
                      count * log(2.0)); /* P(= j) */
    double below = 0.5;                  /* P(<= j), exact by symmetry when n is odd */
    if (n % 2 == 0)                      /* the middle, j + 1, belongs to neither side */
        below -= 0.5 * mass * (count - j) / (j + 1.0);
    while (j >= 0.0 && below > tail) {
        below -= mass;
        mass *= j / (count - j + 1.0);
        j -= 1.0;
    }
    return j;
}

ortho_interval ortho_order_median(const double *samples, size_t n, double confidence)
{
    ortho_interval result = {NAN, NAN};
    double *values = n > 0 ? copied(samples, n) : NULL;
    if (values == NULL)
        return result;
    double j = tail_rank(n, 0.5 * (1.0 - confidence));
    size_t rank = j > 0.0 ? (size_t)j : 0;
    result.lo = select_rank(values, n, rank);
    result.hi = select_rank(values, n, n - 1 - rank);
    free(values);
    return result;
}
