/* parts.h: the sections of a page, in the order in which they stand. `file` numbers the document,
 * from 0; every id of its section begins with "fN-". */
#ifndef ORTHO_REPORTS_PAGE_PARTS_H
#define ORTHO_REPORTS_PAGE_PARTS_H

#include "reports/page/html.h"
#include "reports/page/page.h"

/* A file of this folder that is embedded. */
typedef struct ortho_page_text {
    const char *name; /* "page.css" */
    const char *text;
} ortho_page_text;
extern const ortho_page_text ortho_page_texts[]; /* generated; a NULL name ends it */

/* compare.c: verdict, regressions, groups, all cases, what was refused. */
void ortho_page_compare(ortho_html *h, const json_t *comparison);

/* cases.c: the table, with its filter. */
void ortho_page_cases(ortho_html *h, const json_t *results, size_t file);

/* details.c: a <details> for each case, "fN-case-I". */
void ortho_page_details(ortho_html *h, const json_t *results, size_t file);

/* winners.c: the fastest of each setting. */
void ortho_page_winners(ortho_html *h, const json_t *results, size_t file);

/* about.c: plots (of a folder, NULL: none), environment, method, and the documents themselves. */
void ortho_page_plots(ortho_html *h, const char *folder, size_t file);
void ortho_page_environment(ortho_html *h, const json_t *results, size_t file);
void ortho_page_method(ortho_html *h, const ortho_page *page);
void ortho_page_raw(ortho_html *h, const ortho_page *page);

/* The filter of a table by the id of its caption; its rows have data-op, -variant and -status. */
void ortho_page_filter(ortho_html *h, const char *table);
void ortho_page_data(ortho_html *h, const char *name, const char *value); /* NULL: "?" */

/* "failed" with its tone, "SYNTHETIC" where the row is, and the reason. */
void ortho_page_status(ortho_html *h, const json_t *row, bool synthetic);

#endif
