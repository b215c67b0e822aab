/* annotate_cases.h: which of a plan's cases `annotate` takes. */
#ifndef ORTHO_HARNESS_ANNOTATE_CASES_H
#define ORTHO_HARNESS_ANNOTATE_CASES_H

#include "harness/plan.h"

/* Whether case number `at` is taken: the first of its variant and operation, of the variants that
 * --variant names, or of the plug-ins where it names none. *more: how many cases it stands for
 * beside itself. */
bool ob_annotate_takes(const ob_options *options, const ob_plan *plan, int at, int *more);

#endif
