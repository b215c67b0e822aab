/*
 * observe.h: what is found out about a run's cases beside their times, each in a child process of
 * its own (this very binary, "__observe ..."), since what counts or traces a GPU slows it down:
 *
 *   activity       durations of kernels, exact peak of device memory, the timeline (activity.h)
 *   counters       hardware counters (counters.h)
 *   instructions   lanes of every SASS instruction of the Ortho loop's kernel (instructions.h)
 *   stalls         where warps stand still, by instruction: for `annotate` alone
 *
 * A child runs the same plan, verifies as the parent did, observes instead of timing, verifies
 * again, and writes a line of JSON for each finished case; the parent merges them into its rows by
 * key. A child that dies costs its cases only what they lack, said in words.
 */
#ifndef ORTHO_HARNESS_OBSERVE_H
#define ORTHO_HARNESS_OBSERVE_H

#include "harness/session.h"

struct json_t;

/* "activity", "counters", "instructions", "stalls" */
const char *ob_observe_word(ob_observe what);

/* Whether the options ask for anything of this. */
bool ob_observe_wanted(const ob_options *options);

/* Runs the children that the options ask for and merges what they found into the document's rows.
 * Nothing here fails a run: what can't be found out is marked so. Returns false when a counter that
 * was asked for has no value anywhere (--require-counters). */
bool ob_observe_run(const ob_options *options, const ob_progress *progress,
                    struct json_t *document);

/* Observes one case in a child of its own and gives its row as the child wrote it: for the kinds
 * `instructions` and `stalls` with row.instructions, a list of every instruction that was executed
 * or sampled (observe_facts.h). The caller owns the reference. UNSUPPORTED with the reason where
 * nothing was found out. */
ortho_status ob_observe_case(const ob_options *options, const char *key, ob_observe what,
                             struct json_t **row);

/* Merges what a child says of a case into the parent's row of the same key. */
void ob_observe_merge(struct json_t *row, const struct json_t *found, ob_observe what);
/* Marks what a child should have said of a row and didn't. */
void ob_observe_absent(struct json_t *row, const char *reason, ob_observe what);

/* main() of a child: argv[1] is "__observe", argv[2] what, then a run's flags. */
int ob_observe_child(int argc, char **argv);

#endif
