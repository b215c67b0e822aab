/* options_value.h: a value's text into its field and back. */
#ifndef ORTHO_HARNESS_OPTIONS_VALUE_H
#define ORTHO_HARNESS_OPTIONS_VALUE_H

#include "harness/options_table.h"

/* Parses `text` into the option's field, replacing what is there (PATHS: adding to it when `add`).
 * ARGUMENT with a message that doesn't name the source: the caller puts that before it. On failure
 * the field is as it was. */
ortho_status ob_value_set(const ob_option *option, const char *text, bool add, ob_options *out);

/* The field as it would be typed, malloc'd; NULL when it is not set (or memory is short). */
char *ob_value_text(const ob_option *option, const ob_options *options);

/* Keeps a copy of text[0..length) for as long as the options live; NULL when memory is short. */
const char *ob_options_keep(ob_options *options, const char *text, size_t length);

/* One number as typed: decimal, finite, in [min, max], nothing after it. */
ortho_status ob_parse_number(const char *text, double min, double max, double *out);
ortho_status ob_parse_whole(const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
