/* pair.h: which row of one side stands against which of the other. */
#ifndef ORTHO_REPORTS_COMPARE_PAIR_H
#define ORTHO_REPORTS_COMPARE_PAIR_H

#include "reports/compare/compare.h"

/* {"key": [row, ...]} of a side, in the order of the first document that has the case: a row for
 * each document that has it. */
ortho_status ortho_side_cases(const ortho_compare_side *side, json_t **out);

/* ARGUMENT where the documents of a side aren't of one device and one model, or one is there twice.
 */
ortho_status ortho_side_check(const ortho_compare_side *side);

/* Appends to `refused` {"key", "what", "a", "b"} for what the documents as wholes differ in, device
 * or model; returns how many. */
size_t ortho_refuse_documents(const json_t *a, const json_t *b, json_t *refused);

/* Whether rows of one key aren't all of one thing: n, k, entries, and what a key doesn't hold or a
 * run may have had to give up (alpha, rows, a cold cache). Appends the first difference to
 * `refused`. */
bool ortho_refuse_rows(const char *key, const json_t *a_rows, const json_t *b_rows,
                       json_t *refused);

/* Splits the cases that one side alone has: those that differ from one of the other side's only in
 * density, l2 or the like are refused, with both values; the keys of the others go to the lists. */
ortho_status ortho_refuse_alone(const json_t *a, const json_t *b, json_t *out);

/* Words on what differs in the documents' contexts and doesn't forbid a comparison: driver, flags,
 * seed. A list of strings. */
json_t *ortho_compare_notes(const json_t *a, const json_t *b);

#endif
