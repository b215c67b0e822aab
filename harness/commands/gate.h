/* gate.h: two sides of results, a verdict, an exit code: what `compare` and `run --baseline` do. */
#ifndef ORTHO_HARNESS_GATE_H
#define ORTHO_HARNESS_GATE_H

#include "harness/log.h"
#include "harness/options.h"
#include "reports/compare/compare.h"

/* Compares by the options' threshold and spread. The caller owns the reference. */
ortho_status ob_gate_compare(const ob_options *options, const ortho_compare_side *a,
                             const ortho_compare_side *b, json_t **out);

/* Writes the comparison as --format says: with a path to it, else to stdout. */
ortho_status ob_gate_print(const ob_options *options, const json_t *comparison, const char *path);

/* The ob_exit that a comparison ends with; says on stderr why nothing was compared. */
int ob_gate_exit(const ob_options *options, const json_t *comparison, const ob_log *log);

#endif
