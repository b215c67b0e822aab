/*
 * html.h: writing HTML. Every word of a document goes through ortho_html_text or
 * ortho_html_script_json; what ortho_html_raw and ortho_html_put write is ours.
 */
#ifndef ORTHO_REPORTS_PAGE_HTML_H
#define ORTHO_REPORTS_PAGE_HTML_H

#include "reports/columns.h"

#include <jansson.h>

/* A page being written: the first failure is kept and ends it. */
typedef struct ortho_html {
    FILE *out;
    ortho_status status;
} ortho_html;

void ortho_html_raw(ortho_html *h, const char *markup);
void ortho_html_put(ortho_html *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As text or as the value of an attribute in quotes: control characters and bidirectional overrides
 * became U+FFFD, and markup is escaped. NULL writes nothing. */
void ortho_html_text(ortho_html *h, const char *utf8);

/* Keeps the failure. */
void ortho_html_check(ortho_html *h, ortho_status status);

/* A document in its canonical form, in a script element of data: what could end the element is a
 * JSON escape (page.js undoes it for the download). */
void ortho_html_script_json(ortho_html *h, const json_t *document);

/* A file in base 64; false, and nothing written, when it can't be read or doesn't look like SVG. */
bool ortho_html_svg_base64(ortho_html *h, const char *path, const char *before);

/* 'sha256-...' of a text, for a Content-Security-Policy. */
#define ORTHO_HTML_HASH 64
void ortho_html_hash(const char *text, char out[ORTHO_HTML_HASH]);

/* ---- tables --------------------------------------------------------------------------------- */

typedef struct ortho_html_column {
    const char *title, *unit, *hint; /* unit, hint: NULL where there is none */
    bool number;                     /* stands right, sorts by value */
} ortho_html_column;

typedef struct ortho_html_table {
    const char *id; /* of its caption; the scroll box is named by it */
    const char *caption;
    const char *classes; /* "sort" lets page.js sort it */
    const ortho_html_column *columns;
    size_t count;
} ortho_html_table;

/* From the scroll box to <tbody>. The first column is the rows' header. */
void ortho_html_table_begin(ortho_html *h, const ortho_html_table *table);
void ortho_html_table_end(ortho_html *h);

/* One cell. NAN is an en dash, and sorts last. */
void ortho_html_number(ortho_html *h, double value, const char *shown);
void ortho_html_cell(ortho_html *h, const char *text);
void ortho_html_row_header(ortho_html *h, const char *text);

/* A table of two columns, name and value, without sorting. */
void ortho_html_pairs_begin(ortho_html *h, const char *id, const char *caption);
void ortho_html_pair(ortho_html *h, const char *name, const char *value);

/* "[2.80, 3.00]"; "" where a part is absent. */
void ortho_html_interval(double lo, double hi, char *out, size_t size);

/* <p>: a warning in a box of its own for ORTHO_TONE_DOUBT and _BAD. A sink's line, ctx the html. */
void ortho_html_line(void *ctx, const char *text, ortho_tone tone);

#endif
