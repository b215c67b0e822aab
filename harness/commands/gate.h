/* gate.h: two sides of results, a verdict, an exit code: what `compare` and `run --baseline` do. */
#ifndef ORTHO_HARNESS_GATE_H
#define ORTHO_HARNESS_GATE_H

#include "harness/log.h"
#include "harness/options.h"
#include "reports/compare/compare.h"

/* Compares by the options' threshold and spread. The caller owns the reference. */
ortho_status ob_gate_compare(const ob_options *options, const ortho_compare_side *a,
                             const ortho_compare_side *b, json_t **out);

/* Compares a run's results with the document of the baseline that --baseline names, tells, and
 * gives the exit code. Where stdout holds the results, only the verdict is told. */
int ob_gate_baseline(const ob_options *options, json_t *baseline, json_t *results,
                     const ob_log *log);

/* Writes the comparison as --format says: with a path to it, else to stdout. */
ortho_status ob_gate_print(const ob_options *options, const json_t *comparison, const char *path);

/* The ob_exit that a comparison ends with; says on stderr why nothing was compared. */
int ob_gate_exit(const ob_options *options, const json_t *comparison, const ob_log *log);

#endif
