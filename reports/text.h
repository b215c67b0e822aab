/* text.h: words and numbers for people: UTF-8 that aligns and can't drive a terminal, sizes, times.
 */
#ifndef ORTHO_REPORTS_TEXT_H
#define ORTHO_REPORTS_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* A copy in which control characters (ANSI escapes, newlines, bidirectional overrides) became
 * U+FFFD, that the caller frees; NULL without memory. */
char *ortho_text_clean(const char *utf8);

/* The same in at most `columns`: what was cut ends in "…". The caller frees it; NULL without
 * memory.
 */
char *ortho_text_cut(const char *utf8, int columns);

/* Cuts a sequence that a fixed buffer broke off at its end. */
void ortho_text_trim(char *utf8);

/* Columns that it takes on a terminal. */
int ortho_text_width(const char *utf8);

/* Bytes of the longest start that takes at most `columns`. */
size_t ortho_text_fit(const char *utf8, int columns);

/* Writes words over lines of at most `width` columns (0: one line), the first at column `column`,
 * the others after `indent` spaces. No newline at the end. */
typedef struct ortho_wrap {
    int column, indent, width;
} ortho_wrap;
void ortho_text_wrap(const char *utf8, ortho_wrap wrap, FILE *out);

/* The shortest decimal that reads back as the same double, with a point in every locale. Returns
 * `out`. */
const char *ortho_text_number(double value, char out[32]);

/* Three significant digits and a unit: "61.0 µs" of nanoseconds, "4.50 KiB" of bytes. NAN gives "".
 */
void ortho_text_time(double ns, char *out, size_t size);
void ortho_text_bytes(double bytes, char *out, size_t size);
void ortho_text_three(double value, char *out, size_t size);

#endif
