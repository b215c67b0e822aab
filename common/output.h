/* output.h: files that are never half-written: a temporary name beside the target, fsync, rename.
 */
#ifndef ORTHO_COMMON_OUTPUT_H
#define ORTHO_COMMON_OUTPUT_H

#include <ortho/ortho.h>
#include <stdio.h>

typedef struct ortho_output {
    FILE *stream;
    char *temporary, *target;
} ortho_output;

/* Opens `target`.XXXXXX for writing. Makes missing folders. */
ortho_status ortho_output_begin(const char *target, ortho_output *out);

/* Flushes, syncs, renames over the target, syncs the folder. On failure the target is untouched and
 * the temporary file gone. */
ortho_status ortho_output_commit(ortho_output *out);

/* Forgets it: the temporary file is removed. Safe on an output that was never begun (zeroed). */
void ortho_output_abort(ortho_output *out);

/* mkdir -p. */
ortho_status ortho_make_folders(const char *path);

#endif
