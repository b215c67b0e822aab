/*
 * measured.h: reading what CUPTI told of a row: lanes, activity, counters (docs/RESULTS.md). As in
 * model.h no getter fails, and what is absent is NAN or NULL. None gives a number whose status
 * isn't "ok", nor one of a row without a verified time: there is no measurement of a wrong result.
 */
#ifndef ORTHO_REPORTS_MEASURED_H
#define ORTHO_REPORTS_MEASURED_H

#include "reports/model.h"

/* Beyond this share of the prediction a measurement refutes it; a table says so in red. */
#define ORTHO_LANES_TOLERANCE 0.10

/* The number `key` of the object at `part`, where the object's status is ok. */
double ortho_measured_number(const json_t *row, const char *part, const char *key);

/* Measured active lanes of the Ortho loop, 0 to 1. */
double ortho_measured_lanes(const json_t *row);
/* The same as an instrumented build counted them (-DORTHO_COUNT_LANES=ON):
 * trips are weighed there, not instructions. */
double ortho_exact_lanes(const json_t *row);
/* Measured / predicted - 1. */
double ortho_measured_difference(const json_t *row);
/* Why there are no measured lanes; NULL where there are, or where nobody looked. Valid as long as
 * the row. */
const char *ortho_measured_reason(const json_t *row);

/* Histograms of active lanes are lists of 33 numbers, none negative, with a finite sum above 0. */
#define ORTHO_LANES 33
bool ortho_lanes_histogram(const json_t *row, const char *path, double out[ORTHO_LANES]);
bool ortho_measured_histogram(const json_t *row, double out[ORTHO_LANES]);
bool ortho_exact_histogram(const json_t *row, double out[ORTHO_LANES]);

typedef struct ortho_activity {
    double ns, time, difference; /* difference: ns / time - 1 */
} ortho_activity;
/* True when the row's activity was judged and disagrees with its time. */
bool ortho_activity_disagrees(const json_t *row, ortho_activity *out);

typedef struct ortho_counter {
    double value;       /* NAN: n/a */
    const char *unit;   /* "" where there is none */
    const char *reason; /* why it is n/a; NULL where the value stands */
    int code;           /* CUPTI's, of n/a; 0: not told */
} ortho_counter;
/* False when the row hasn't got the counter, or no verified time. Strings are valid as long as the
 * row. */
bool ortho_counter_read(const json_t *row, const char *name, ortho_counter *out);

/* The counters of a row in their order; NULL when it has none or no verified time. */
const json_t *ortho_counters_of(const json_t *row);

/* A counter that its group worked out of metrics: "memory.dram_read" of the group "memory". */
bool ortho_counter_derived(const char *name, const json_t *counter);

#endif
