/* ranks.h: tests by rank, and what many tests at once cost. Pure. */
#ifndef ORTHO_COMMON_RANKS_H
#define ORTHO_COMMON_RANKS_H

#include <stddef.h>

/* The two-sided p of Mann and Whitney's test that a and b come from one distribution: exact up to
 * 20 values a side without ties, else by the normal approximation with corrections for ties and
 * continuity (scipy.stats.mannwhitneyu, alternative="two-sided"). 1 when every value is the same;
 * NaN when a side is empty, or without memory. */
double ortho_mann_whitney(const double *a, size_t na, const double *b, size_t nb);

/* Benjamini and Hochberg's correction in place: p[i] becomes the smallest false discovery rate at
 * which test i would be called. Where no test has anything to find it bounds the chance of any call
 * at all. NaN stays NaN and counts as no test. Returns 0 without memory, and p is left alone. */
int ortho_false_discovery(double *p, size_t n);

#endif
