/* verdicts.h: what a run without times prints: a line a case. */
#ifndef ORTHO_HARNESS_VERDICTS_H
#define ORTHO_HARNESS_VERDICTS_H

#include <stdbool.h>

struct json_t;

/* Status, verdict, relative error, tolerance, key, reason to stdout; `verbose`: what was checked.
 */
void ob_verdicts_print(const struct json_t *results, bool verbose);

#endif
