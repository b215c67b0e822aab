/*
 * observe_facts.h: what records and counts of one operation come to, as the results' JSON
 * (docs/RESULTS.md). Pure: tested with records made by hand.
 */
#ifndef ORTHO_HARNESS_OBSERVE_FACTS_H
#define ORTHO_HARNESS_OBSERVE_FACTS_H

#include "harness/activity.h"
#include "harness/instructions.h"

#include <ortho/variant.h>

struct json_t;

typedef struct ob_activity_view {
    int launches; /* of the operation, that the log holds and nothing else */
    bool flushed; /* a fill before each launch isn't the operation's */
} ob_activity_view;

/* row.activity. The caller owns the reference. */
struct json_t *ob_activity_facts(const ob_activity_log *log, const ob_activity_view *view);

/* row.divergence.measured: over the instructions of the loop, whose lines the variant told; NULL,
 * or a loop that has no instruction in the report: n/a with the reason. */
struct json_t *ob_loop_facts(const ob_instruction_report *report, const ortho_loop *loop);

/* Every instruction that was executed: [{function, pc, file, line, warps, threads, enabled,
 * divergent, stalls}], for annotate. */
struct json_t *ob_instruction_facts(const ob_instruction_report *report);

/* row.divergence.kernel: over all instructions of the operation, from its counters (row.counters);
 * n/a where those that it takes aren't there. */
struct json_t *ob_kernel_facts(const struct json_t *counters);

#endif
