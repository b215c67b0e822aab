/*
 * state.h: the folder of what outlives a run: baselines and the history. $ORTHO_BENCH_STATE, else
 * $XDG_STATE_HOME/ortho-bench, else ~/.local/state/ortho-bench.
 */
#ifndef ORTHO_HARNESS_STATE_H
#define ORTHO_HARNESS_STATE_H

#include <limits.h>
#include <ortho/ortho.h>

/* Names a folder, not an option: the environment's reader lets it pass. */
#define OB_STATE_VARIABLE "ORTHO_BENCH_STATE"

/* Writes the path of `name` ("history.db", "baselines/main.json"; "": the folder itself) below the
 * state folder; makes nothing. ARGUMENT when the environment names no folder, with what to set. */
ortho_status ob_state_path(const char *name, char path[PATH_MAX]);

/* Makes the folders above `path`, for their owner alone (0700), where they are missing. IO with the
 * folder that can't be made and what to set. */
ortho_status ob_state_make(const char *path);

#endif
