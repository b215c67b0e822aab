/* measures.h: what beside time can have become better or worse between two rows of one case. */
#ifndef ORTHO_REPORTS_COMPARE_MEASURES_H
#define ORTHO_REPORTS_COMPARE_MEASURES_H

#include "reports/compare/effect.h"

#include <jansson.h>

/* Of the rows of each side the worst stands for it. Sets case.measures: [{"name", "unit", "a", "b",
 * "ratio", "verdict": same | better | worse | changed}]; what one side lacks is left out. */
void ortho_compare_measures(const json_t *a_rows, const json_t *b_rows, double threshold,
                            json_t *one);

/* Sets case.flags from case.verdict, case.measures and the rows: what a reader must not overlook,
 * such as a faster kernel that is less exact. Absent when there is nothing. */
void ortho_compare_flags(const json_t *a_rows, const json_t *b_rows, json_t *one);

/* Whether a measure that gates has become worse: the bytes that the case books or keeps. */
bool ortho_compare_worse(const json_t *one);

#endif
