/*
 * export.h: what the exports for other people's tools share: names that such a tool can hold a
 * history under, and the words that belong to every number.
 */
#ifndef ORTHO_REPORTS_EXPORT_H
#define ORTHO_REPORTS_EXPORT_H

#include "reports/model.h"

/* Names of the cases of one file: their keys, unique in it and the same in every run. Zeroed is
 * empty; free with ortho_names_free. */
typedef struct ortho_names {
    json_t *taken; /* name to the next number that makes it unique */
} ortho_names;

/* The row's key, cleaned of control characters and of what would end a cell of code in a Markdown
 * table (backtick, bar), cut to what every consumer takes (1000 bytes), then `suffix`; a key that
 * the file repeats is numbered from its second on ("KEY #2"). The caller frees it; NULL without
 * memory. */
char *ortho_names_take(ortho_names *names, const json_t *row, const char *suffix);
void ortho_names_free(ortho_names *names);

/* The weights that this row ran on were made, not trained. */
bool ortho_export_synthetic(const json_t *results, const json_t *row);

/* Lines that tell where a number comes from: warnings first (SYNTHETIC, ambiguous, throttled,
 * interrupted), then verdict, machine, commit, model, samples, and the run's `tally` (ortho_tally,
 * which walks all rows: once a file, not once a row). Each is cleaned; what the document doesn't
 * tell has no line. The caller frees it; NULL without memory. */
char *ortho_export_words(const json_t *results, const json_t *row, const char *tally);

#endif
