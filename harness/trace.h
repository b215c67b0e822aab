/*
 * trace.h: a timeline of the host's phases and the GPU's work, in the Trace Event Format that
 * https://ui.perfetto.dev and chrome://tracing load: a JSON object with traceEvents, times in
 * microseconds to the nanosecond, counted from the first event. reports/schema/trace.schema.json
 * says what stands in it, tests/schema/check_trace.py checks a file.
 */
#ifndef ORTHO_HARNESS_TRACE_H
#define ORTHO_HARNESS_TRACE_H

#include "harness/activity.h"

struct json_t;

/* What the host did: "sieve" of category "case". Times are nanoseconds of the list's clock. */
typedef struct ob_phase {
    char *name, *category;
    uint64_t start, end; /* end 0: not over */
} ob_phase;

/* A growing list, in the order in which they began. Zeroed is empty and ready. Phases of one list
 * nest: what begins inside another ends inside it. Its clock is the activity records' where there
 * is one, else CLOCK_MONOTONIC; times taken before the former was there are converted once it is.
 */
typedef struct ob_phases {
    ob_phase *items;
    size_t count, capacity;
    uint64_t (*clock)(void); /* NULL: ob_activity_clock */
    bool has_clock;          /* it has told a time: every time here is its */
    uint64_t shift;          /* CLOCK_MONOTONIC plus this is its time */
} ob_phases;

#define OB_PHASE_LOST SIZE_MAX

/* Begins a phase now; its number is for `end`. Without memory the phase is lost, and no more than
 * that: OB_PHASE_LOST, which `end` takes. The strings are copied. */
size_t ob_phases_begin(ob_phases *phases, const char *name, const char *category);
void ob_phases_end(ob_phases *phases, size_t number);
void ob_phases_clear(ob_phases *phases);

/* Writes the timeline to `path`, whole or not at all (common/output.h). `phases` may be NULL; of
 * `context`, a results document's (docs/RESULTS.md), binary, commit and the GPU's name are told,
 * and it may be NULL. Records without times (CUPTI's 0, or an end before its start) are left out
 * and counted. MEMORY or IO with words. */
ortho_status ob_trace_write(const ob_activity_log *log, ob_phases *phases,
                            const struct json_t *context, const char *path);

#endif
