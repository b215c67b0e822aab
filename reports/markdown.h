/* markdown.h: words of a document in GitHub flavoured Markdown. */
#ifndef ORTHO_REPORTS_MARKDOWN_H
#define ORTHO_REPORTS_MARKDOWN_H

#include <ortho/ortho.h>
#include <stdio.h>

/* Cleaned and escaped: no word can close a table, start markup or call a person. */
ortho_status ortho_markdown_text(const char *text, FILE *out);

#endif
