/* markdown.h: what the comments of a review share: escaping and lines. */
#ifndef ORTHO_REPORTS_MARKDOWN_H
#define ORTHO_REPORTS_MARKDOWN_H

#include "reports/columns.h"

#include <ortho/report.h>

#define ORTHO_COMMENT_MAX 65000 /* bytes of 65,536 characters: every character is one at least */

/* No word of a file can close a table, start markup or call a person. */
ortho_status ortho_markdown_text(const char *text, FILE *out);

/* The same in at most so many columns, and four times as many bytes, whatever its characters take.
 */
ortho_status ortho_markdown_cut(const char *text, int columns, FILE *out);

/* A sink's line, as an item of a list; ctx: the FILE. */
void ortho_markdown_line(void *ctx, const char *text, ortho_tone tone);

/* A sink's line: the first is the heading, what follows it a list. ctx: an ortho_markdown_sink. */
typedef struct ortho_markdown_sink {
    FILE *out;
    bool told;
} ortho_markdown_sink;
void ortho_markdown_verdict(void *ctx, const char *text, ortho_tone tone);

#endif
