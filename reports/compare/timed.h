/* timed.h: the times of a case on both sides, out of its rows. */
#ifndef ORTHO_REPORTS_COMPARE_TIMED_H
#define ORTHO_REPORTS_COMPARE_TIMED_H

#include "reports/compare/effect.h"

#include <jansson.h>

/* Zeroed is empty. `one`, `options` and `effect` belong to the case. */
typedef struct ortho_timed {
    json_t *one; /* borrowed: the case in the comparison's document */
    double *samples[2];
    size_t *counts[2];
    ortho_effect_side side[2];    /* over the arrays above */
    ortho_effect_options options; /* by which the effect was measured */
    ortho_effect effect;
} ortho_timed;

/* Takes the samples of rows that all show a time; processes are told apart by time_ns.processes.
 * FORMAT when a row's samples are no times, or don't add up. */
ortho_status ortho_timed_take(const json_t *a_rows, const json_t *b_rows, ortho_timed *out);
void ortho_timed_free(ortho_timed *timed);

/* [{"op", "variant", "backend", "cases", "ratio", "lo", "hi"}]: the geometric mean of the ratios of
 * each variant and operation, over the cases that share its number of processes. */
ortho_status ortho_timed_groups(const ortho_timed *all, size_t count, json_t **out);

#endif
