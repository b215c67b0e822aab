/* keep.h: what a run leaves in the state folder: a baseline, where one is asked for, and its line
 * in the history. */
#ifndef ORTHO_HARNESS_KEEP_H
#define ORTHO_HARNESS_KEEP_H

#include "harness/log.h"

struct json_t;

/* Whether the baseline that is asked for can be kept, found out before minutes of measuring. */
ortho_status ob_keep_check(const ob_options *options);

/* Saves the baseline and records the run, each whatever became of the other. `file`: where the
 * results were saved; NULL: nowhere. What keeps a baseline from being saved is told and returned;
 * an interruption is told and is no failure here. The history is a convenience: its failure is a
 * note. */
ortho_status ob_keep(const struct json_t *results, const ob_options *options, const char *file,
                     const ob_log *log);

#endif
