/*
 * effect.h: how much slower b is than a, when each side was timed in one or several processes.
 *
 * Times within a process resemble each other more than times of two processes do: a process has its
 * own pages, and thereby its own speed. So the process is the unit: a side's center is the mean of
 * the logarithms of its processes' medians. Its error is bootstrapped: processes are drawn first,
 * blocks of samples within each drawn process second (neighbours in time are alike), so that it
 * holds both spreads. Few processes tell their spread badly, which Student's t pays for, with Welch
 * and Satterthwaite's degrees of freedom. A side of fewer than ORTHO_EFFECT_PROCESSES processes
 * can't tell its spread at all: it is taken to be the one given.
 *
 * Pure: no documents here, no globals, no clocks.
 */
#ifndef ORTHO_REPORTS_COMPARE_EFFECT_H
#define ORTHO_REPORTS_COMPARE_EFFECT_H

#include "common/stats.h"

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORTHO_EFFECT_PROCESSES 3 /* from so many on a side tells its own spread */

/* Samples, finite and above 0, one process after the other, each in the order of time. */
typedef struct ortho_effect_side {
    const double *samples;
    const size_t *counts; /* [processes] samples of each, 1 at least */
    size_t processes;     /* 1 at least */
} ortho_effect_side;

typedef struct ortho_effect_options {
    double spread; /* between processes where it isn't measured: a standard deviation, a share */
    double confidence; /* of the interval */
    int resamples;
    uint64_t seed;
} ortho_effect_options;

typedef struct ortho_effect {
    double a, b;               /* geometric means of the processes' medians */
    double ratio;              /* b / a: above 1 is slower */
    ortho_interval interval;   /* of the ratio */
    double error, freedom;     /* of log(ratio): its standard error, and the degrees of freedom */
    double within_a, within_b; /* variance that samples leave in a process's log(median) */
    double p;                  /* that so large a ratio, or 1 over it, shows where there is none */
    double rank_p;             /* Mann and Whitney's */
    bool over_processes;       /* rank_p is over the processes' medians, not over all samples */
    bool ranks_decide;         /* there are processes enough for rank_p to refuse a verdict */
    bool widened;              /* a side's spread was given, not measured */
} ortho_effect;

/* MEMORY, or ARGUMENT where a side has no sample or one that isn't above 0. */
ortho_status ortho_effect_measure(const ortho_effect_side *a, const ortho_effect_side *b,
                                  const ortho_effect_options *options, ortho_effect *out);

typedef enum ortho_verdict {
    ORTHO_SAME = 0,
    ORTHO_FASTER,
    ORTHO_SLOWER,
    ORTHO_AMBIGUOUS
} ortho_verdict;

typedef struct ortho_verdict_rule {
    double threshold; /* of the ratio: 0.02 lets 1 / 1.02 to 1.02 pass */
    double alpha;     /* of the corrected p */
} ortho_verdict_rule;

const char *ortho_verdict_name(ortho_verdict verdict);

/* FASTER or SLOWER: the ratio passes the threshold, the corrected p is at most alpha, and ranks
 * don't contradict at 5 % where they could. SAME: the whole interval lies within the threshold. */
ortho_verdict ortho_effect_verdict(const ortho_effect *effect, double corrected,
                                   const ortho_verdict_rule *rule);

/* A center that several cases share: the mean over cases of the logarithms of a process's medians,
 * for each process. `within` is the variance that the samples leave in it, on average over the
 * processes. */
typedef struct ortho_effect_centers {
    const double *logs; /* [processes] */
    size_t processes;
    double within;
} ortho_effect_centers;

/* The same over such centers, by the formula that the bootstrap estimates: ratio, interval, error,
 * freedom, p, widened. */
void ortho_effect_of_centers(const ortho_effect_centers *a, const ortho_effect_centers *b,
                             const ortho_effect_options *options, ortho_effect *out);

/* log(median) of each process, into logs[side->processes]; false without memory. */
bool ortho_effect_logs(const ortho_effect_side *side, double *logs);

#endif
