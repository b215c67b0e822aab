/* sweep_line.h: which rows of a document stand in one line of a sweep (sweep.h): those that differ
 * in nothing but the number `key` and their variant. */
#ifndef ORTHO_REPORTS_SWEEP_LINE_H
#define ORTHO_REPORTS_SWEEP_LINE_H

#include "reports/model.h"

/* A compared variant's row with a number that an axis can show; false for NULL. */
bool ortho_line_takes(const json_t *row, const char *key);

/* A row of the line with the most values, then the most weights, then the first; GEMMs before
 * sieves. NULL in `out` when none has two verified ones. Fails only without memory. */
ortho_status ortho_line_best(const json_t *results, const char *key, const json_t **out);

#endif
