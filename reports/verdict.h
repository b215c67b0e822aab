/*
 * verdict.h: what a document says in a few lines, worst first: for reports that begin with it (the
 * page, Markdown). The first line given to a sink is the verdict itself.
 */
#ifndef ORTHO_REPORTS_VERDICT_H
#define ORTHO_REPORTS_VERDICT_H

#include "reports/columns.h"

#define ORTHO_COMPARE_SCHEMA "ortho-bench-compare/1"

/* Whether everything that ran is right, and which variant is the fastest of each operation. */
ortho_status ortho_verdict_lines(const json_t *results, const ortho_line_sink *sink);

/* The fastest competitor of a group that is ok and faster or slower than its baseline by a known
 * ratio; NULL when there is none. Ambiguous rows prove nothing and don't compete. */
const json_t *ortho_group_fastest(const ortho_group *group);

/* "2.90× [2.80, 3.00]" of a row's speed-up; "" without one. */
void ortho_speedup_words(const json_t *row, char *out, size_t size);

/* The same for a comparison of two sets of results: its verdict, what each word counts, who stands
 * on either side. */
ortho_status ortho_compare_lines(const json_t *comparison, const ortho_line_sink *sink);

/* Whether a document says that it is a comparison. */
bool ortho_is_comparison(const json_t *document);

/* The tone of a compared case's or a whole comparison's verdict, in small or capital letters. */
ortho_tone ortho_compare_tone(const char *verdict);

/* Whether a compared case has times to show: one that is wrong has none. */
bool ortho_compare_timed(const json_t *compared);

/* Compared cases of one verdict ("slower"), the largest change first; NULL verdict: all, in their
 * order. An array of borrowed objects that the caller frees, *count long; NULL without memory. */
const json_t **ortho_compare_cases(const json_t *comparison, const char *verdict, size_t *count);

#endif
