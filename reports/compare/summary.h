/* summary.h: what a comparison comes to. */
#ifndef ORTHO_REPORTS_COMPARE_SUMMARY_H
#define ORTHO_REPORTS_COMPARE_SUMMARY_H

#include "reports/compare/compare.h"

/* References tell of the machine; what competes is judged. */
bool ortho_comparison_competes(const json_t *one);

/* Sets document.summary from its cases and lists. */
void ortho_comparison_summarise(json_t *document);

#endif
