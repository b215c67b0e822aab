/*
 * processes_merge.h: the documents of several processes that ran one plan, as one document
 * (docs/RESULTS.md). Pure: no process is started here.
 *
 * A row is what every process says of its key, in the order of the first process:
 *   - failed in one is failed, skipped in one is skipped, and the reason names the process;
 *   - bytes, flops, nnz or quality that differ between processes are a failure of their own: what a
 *     variant computes must not depend on where its pages lie;
 *   - samples are joined, and what is derived from them is worked out again over processes
 *     (processes_time.c); peaks and errors are the largest; clocks the widest;
 *   - the rest (kernels, divergence, the readings of clocks) is the first process's.
 */
#ifndef ORTHO_HARNESS_PROCESSES_MERGE_H
#define ORTHO_HARNESS_PROCESSES_MERGE_H

#include "harness/options.h"

struct json_t;

/* A process that finished: its number, from 1 on, and its document. */
typedef struct ob_process {
    int number;
    const struct json_t *document;
} ob_process;

/* `count` is 1..OB_PROCESSES_MAX; one process is taken as it is. context.interrupted and .processes
 * are left to the caller. The caller owns the result; NULL without memory. */
struct json_t *ob_processes_merge(const ob_process *processes, size_t count,
                                  const ob_options *options);

/* One row of each process, in their order; all stand. */
typedef struct ob_process_rows {
    const struct json_t *row[OB_PROCESSES_MAX];
    size_t count;
} ob_process_rows;

/* The row with this key; `hint` is the index where it should be. NULL: none. */
const struct json_t *ob_processes_find(const struct json_t *document, const char *key, size_t hint);

/* Takes off a row that doesn't stand what such a row must not have. */
void ob_processes_fail(struct json_t *row, const char *status, const char *reason);

/* ---- processes_time.c */

/* time_ns, tokens_per_s, floor_ns and, by them, status of the merged row. */
void ob_processes_time(struct json_t *row, const ob_process_rows *rows, const ob_options *options);
/* The ratio `name` (speedup, speedup_grouped) of the merged row over the base's rows in the same
 * processes. */
void ob_processes_speedup(struct json_t *row, const char *name, const ob_process_rows *base,
                          const ob_process_rows *rows, const ob_options *options);

#endif
