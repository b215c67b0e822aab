/*
 * emit.h: JSON in one canonical form: keys in the order in which they were set, two spaces a level,
 * arrays of scalars on one line, every number in the fewest digits that read back as the same
 * value.
 */
#ifndef ORTHO_REPORTS_EMIT_H
#define ORTHO_REPORTS_EMIT_H

#include <jansson.h>
#include <ortho/ortho.h>
#include <stdio.h>

/* Writes a value whose lines after the first start at `depth` levels; no newline at the end. */
ortho_status ortho_json_emit(const json_t *value, int depth, FILE *out);

#endif
