/*
 * processes.h: `run --processes N`. A process has its own pages, and thereby its own speed (a GEMM
 * was seen to move by 6 % between processes, a sieve by 9 %), so what one process shows tells
 * little of the next. Here N children of this very binary ("__process" and the run's flags), one
 * after the other, each run the whole plan (verify, time, verify) and say what they do in lines of
 * JSON; their documents are merged into one (processes_merge.h). Counters and timelines are taken
 * once, of children of the parent's, as in any run.
 *
 * All children get the same --seed: weights, activations and imposed rows are the same in each.
 * Nothing that a child draws at random reaches the times: only its intervals, which are worked out
 * again over all processes.
 *
 * A process that crashes, is interrupted or leaves cases out costs its own times, and the document
 * says so (context.processes). Only where none finishes does the run fail.
 */
#ifndef ORTHO_HARNESS_PROCESSES_H
#define ORTHO_HARNESS_PROCESSES_H

#include "harness/session.h"

struct json_t;

/* As ob_session_run, for options->processes of 2 and more. Ctrl-C (ob_session_interrupt) ends the
 * child at work; the document then holds the processes that had finished, or what the first one had
 * finished of its cases. RUNTIME when no process finished. */
int ob_processes_run(const ob_options *options, const ob_progress *progress,
                     struct json_t **results);

/* main() of a child: argv[1] is "__process", then a run's flags. */
int ob_process_child(int argc, char **argv);

#endif
