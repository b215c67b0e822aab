/* log.h: words for a person, on stderr, in one form: "ortho-bench: ...". Results never pass here.
 */
#ifndef ORTHO_HARNESS_LOG_H
#define ORTHO_HARNESS_LOG_H

#include "harness/options.h"

#include <stdio.h>

typedef struct ob_log {
    FILE *stream;
    bool color, quiet, verbose;
} ob_log;

/* On stderr, as --quiet, --verbose and --color ask. */
ob_log ob_log_open(const ob_options *options);

/* Always printed. */
void ob_log_error(const ob_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Unless --quiet. */
void ob_log_note(const ob_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With --verbose only. */
void ob_log_detail(const ob_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether this descriptor gets ANSI colours: auto means a terminal that isn't dumb, unless
 * NO_COLOR is set. */
bool ob_color_wanted(ob_color choice, int descriptor);

/* Whether whoever read from this pipe has gone: `ortho-bench ... | head` is no error. */
bool ob_reader_left(int descriptor);

/* Columns of the terminal behind a descriptor; 0 when it is none. */
int ob_terminal_width(int descriptor);

/* Prints text from a file, whose control bytes would otherwise drive the terminal, as \xHH. */
void ob_print_safe(FILE *out, const char *text);

#endif
