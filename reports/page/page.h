/*
 * page.h: one HTML page of results, for a reader who has a browser and nothing else: verdict first,
 * then tables, plots, environment, method, and the documents themselves. It loads nothing from
 * anywhere, and no word of a document can become markup or run.
 */
#ifndef ORTHO_REPORTS_PAGE_H
#define ORTHO_REPORTS_PAGE_H

#include <ortho/ortho.h>
#include <stdio.h>

struct json_t;

typedef struct ortho_page {
    const struct json_t *const *results; /* documents of schema ortho-bench/1, borrowed */
    const char *const *names;            /* [count]: what each is called, "run.json" */
    const char *const *plots; /* [count]: a folder with NAME.svg made before, NULL: none; or NULL */
    size_t count;
    const struct json_t *comparison; /* of schema ortho-bench-compare/1; NULL: none */
} ortho_page;

/* Writes the whole page. A picture that isn't there, or is no SVG, is left out. IO when `out`
 * fails, MEMORY; INTERNAL for a document that can't be written as JSON. */
ortho_status ortho_page_write(const ortho_page *page, FILE *out);

#endif
