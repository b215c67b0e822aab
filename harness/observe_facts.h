/*
 * observe_facts.h: what records and counts of one operation come to, in its row (docs/RESULTS.md).
 * Pure: tested with records made by hand.
 */
#ifndef ORTHO_HARNESS_OBSERVE_FACTS_H
#define ORTHO_HARNESS_OBSERVE_FACTS_H

#include "harness/activity.h"
#include "harness/instructions.h"

#include <ortho/variant.h>

struct json_t;

typedef struct ob_activity_view {
    int launches;    /* of the operation, that the log holds and nothing else */
    bool flushed;    /* a fill before each launch isn't the operation's */
    double timer_ns; /* of the operation by the timer, beside the records; 0: not taken */
    /* Both peaks of device memory, in bytes: CUPTI's, and the harness' own account. */
    size_t device, booked;
} ob_activity_view;

/* row.activity */
void ob_row_activity_from(struct json_t *row, const ob_activity_log *log,
                          const ob_activity_view *view);

/* row.divergence.measured: over the instructions of the loop, whose lines the variant told. n/a
 * with the reason where none of them was executed. */
void ob_row_loop_from(struct json_t *row, const ob_instruction_report *report,
                      const ortho_loop *loop);

/* row.divergence.kernel: over all instructions of the operation, from its row.counters; n/a where
 * those that it takes aren't there. */
void ob_row_kernel_from(struct json_t *row);

/* Every instruction that was executed: [{function, pc, file, line, warps, threads, enabled,
 * divergent, stalls}], for annotate. The caller owns the reference. */
struct json_t *ob_instruction_list(const ob_instruction_report *report);

#endif
