/*
 * verdict.h: what a document says in a few lines, worst first: for reports that begin with it (the
 * page, Markdown). The first line given to a sink is the verdict itself.
 */
#ifndef ORTHO_REPORTS_VERDICT_H
#define ORTHO_REPORTS_VERDICT_H

#include "reports/columns.h"

/* Whether everything that ran is right, and which variant is the fastest of each operation. */
ortho_status ortho_verdict_lines(const json_t *results, const ortho_line_sink *sink);

/* The fastest competitor of a group that is ok and faster or slower than its baseline by a known
 * ratio; NULL when there is none. Ambiguous rows prove nothing and don't compete. */
const json_t *ortho_group_fastest(const ortho_group *group);

/* "2.90× [2.80, 3.00]" of a row's speed-up; "" without one. */
void ortho_speedup_words(const json_t *row, char *out, size_t size);

#endif
