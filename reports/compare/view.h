/* view.h: a comparison in words, shared by its writers. */
#ifndef ORTHO_REPORTS_COMPARE_VIEW_H
#define ORTHO_REPORTS_COMPARE_VIEW_H

#include "reports/columns.h"
#include "reports/compare/summary.h"

/* "SLOWER: 2 of 30 cases are slower by more than 2 %, 1 faster, 26 the same, 1 ambiguous" */
void ortho_comparison_headline(const json_t *document, char *out, size_t size);

/* What stood against what, where, how it was judged, and what is to be known besides: a line each;
 * warnings in a tone of doubt. */
ortho_status ortho_comparison_lines(const json_t *document, const ortho_line_sink *sink);

/* The headline, in the verdict's tone, and these lines. */
ortho_status ortho_comparison_told(const json_t *document, const ortho_line_sink *sink);

/* What was refused, and what one side alone has, a line each. */
ortho_status ortho_comparison_rest(const json_t *document, const ortho_line_sink *sink);

/* The cases, what matters most first: wrong, slower, larger, ambiguous, faster, the same, untimed;
 * references behind the competitors. The caller frees the list, not what it points to. */
ortho_status ortho_comparison_cases(const json_t *document, const json_t ***out, size_t *count);

/* The tone of a case's or a whole comparison's verdict, in small or capital letters. */
ortho_tone ortho_comparison_tone(const char *verdict);

/* Whether a case has times to show: one that is wrong has none, whatever the document holds. */
bool ortho_comparison_timed(const json_t *one);

/* Cases of one verdict ("slower"), the largest change first; NULL verdict: all, in their order. An
 * array of borrowed objects that the caller frees; NULL without memory. */
const json_t **ortho_comparison_pick(const json_t *document, const char *verdict, size_t *count);

/* Columns of a case; an empty text where it has none. */
typedef struct ortho_comparison_column {
    const char *title, *meaning;
    void (*cell)(const json_t *one, ortho_cell *out);
} ortho_comparison_column;
extern const ortho_comparison_column ortho_comparison_columns[];
extern const size_t ortho_comparison_column_count;

/* What beside time changed, and the flags and the reason of a case, a line each. */
ortho_status ortho_comparison_details(const json_t *one, const ortho_line_sink *sink);

/* "csr gemm: 7 cases, 1.012 [0.998, 1.026]" of each variant and operation. */
ortho_status ortho_comparison_means(const json_t *document, const ortho_line_sink *sink);

#endif
