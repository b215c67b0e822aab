#include "common/ranks.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define EXACT_SIDE 20 /* values a side up to which the exact distribution is counted */

typedef struct ranked {
    double value, rank;
    size_t from; /* where it stood */
} ranked;

static int by_value(const void *pa, const void *pb)
{
    const ranked *a = pa, *b = pb;
    return (a->value > b->value) - (a->value < b->value);
}

/* Sorts, and gives each value its rank, equal ones their mean. Returns the sum of t^3 - t over runs
 * of t equal ones. */
static double rank(ranked *all, size_t n)
{
    double ties = 0;
    qsort(all, n, sizeof *all, by_value);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && all[next].value == all[i].value; next++)
            continue;
        double run = (double)(next - i);
        ties += run * run * run - run;
        for (size_t j = i; j < next; j++)
            all[j].rank = 0.5 * ((double)i + 1 + (double)next);
    }
    return ties;
}

/* Of all ways to choose which ranks are a's, the share whose U is at most u. The number of ways to
 * have U = u with (i, j) values is that with (i - 1, j) at u - j and that with (i, j - 1) at u. */
static double exact_tail(size_t na, size_t nb, size_t u)
{
    size_t most = na * nb;
    double *ways = calloc((na + 1) * (most + 1), sizeof *ways), below = 0, all = 0;
    if (ways == NULL)
        return NAN;
    for (size_t i = 0; i <= na; i++)
        ways[i * (most + 1)] = 1;
    for (size_t j = 1; j <= nb; j++)
        for (size_t i = 1; i <= na; i++)
            for (size_t at = j; at <= i * j; at++)
                ways[i * (most + 1) + at] += ways[(i - 1) * (most + 1) + at - j];
    for (size_t at = 0; at <= most; at++) {
        all += ways[na * (most + 1) + at];
        below += at <= u ? ways[na * (most + 1) + at] : 0;
    }
    free(ways);
    return below / all;
}

static double normal_p(double u, double na, double nb, double ties)
{
    double n = na + nb;
    double variance = na * nb / 12 * (n + 1 - ties / (n * (n - 1)));
    if (!(variance > 0))
        return 1;
    double z = (fabs(u - 0.5 * na * nb) - 0.5) / sqrt(variance);
    return z > 0 ? erfc(z / sqrt(2)) : 1;
}

double ortho_mann_whitney(const double *a, size_t na, const double *b, size_t nb)
{
    if (na == 0 || nb == 0)
        return NAN;
    ranked *all = malloc((na + nb) * sizeof *all);
    if (all == NULL)
        return NAN;
    for (size_t i = 0; i < na + nb; i++)
        all[i] = (ranked){.value = i < na ? a[i] : b[i - na], .from = i};
    double ties = rank(all, na + nb), sum = 0;
    for (size_t i = 0; i < na + nb; i++)
        sum += all[i].from < na ? all[i].rank : 0;
    free(all);
    double u = sum - 0.5 * (double)na * ((double)na + 1);
    double less = fmin(u, (double)na * (double)nb - u);
    if (ties > 0 || na > EXACT_SIDE || nb > EXACT_SIDE)
        return normal_p(u, (double)na, (double)nb, ties);
    return fmin(1, 2 * exact_tail(na, nb, (size_t)less));
}

int ortho_false_discovery(double *p, size_t n)
{
    ranked *all = malloc((n + 1) * sizeof *all);
    size_t tests = 0;
    if (all == NULL)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i]))
            all[tests++] = (ranked){.value = p[i], .from = i};
    qsort(all, tests, sizeof *all, by_value);
    double least = 1;
    for (size_t i = tests; i-- > 0;) {
        least = fmin(least, all[i].value * (double)tests / ((double)i + 1));
        p[all[i].from] = least;
    }
    free(all);
    return 1;
}
