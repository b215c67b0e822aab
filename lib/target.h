/*
 * target.h: the folder that an artifact is written into. All work is done in its folder
 * .ortho-sieve; a shard moves to its final name when it is whole and synced, the index comes last,
 * and then the work folder goes. One run at a time holds the folder's lock.
 */
#ifndef ORTHO_LIB_TARGET_H
#define ORTHO_LIB_TARGET_H

#include "lib/journal.h"

#define ORTHO_WORK_FOLDER  ".ortho-sieve"
#define ORTHO_SCRATCH_FILE "scratch" /* in it: what ceilings are measured with */

typedef struct ortho_target {
    const ortho_plan *plan;
    char *folder, *work;
    int lock;       /* the folder itself, locked */
    int *fd;        /* [shard_count] */
    int *direct;    /* [shard_count] the same past the page cache; -1: not to be had, or finished */
    bool *finished; /* [shard_count] under its final name */
    int64_t *left;  /* [shard_count] units that aren't in the journal */
    bool complete;  /* everything was there already */
    ortho_journal journal;
} ortho_target;

/* Makes the folder, locks it, carries small files along, and opens shards and journal. ARGUMENT:
 * what is there is in the way (says what to do); IO: not writable, no room, in use. */
ortho_status ortho_target_open(const ortho_plan *plan, const char *folder, bool resume,
                               ortho_target *out);

/* A unit is synced. When it was its shard's last, the shard gets its header and its name. */
ortho_status ortho_target_add(ortho_target *target, int64_t unit, const ortho_record *record);

/* A unit of the journal whose bytes aren't what the journal says: it is to be done again. */
void ortho_target_forget(ortho_target *target, int64_t unit);

/* Writes shards that have no work left, the index, and removes the work folder. */
ortho_status ortho_target_finish(ortho_target *target);

/* Closes everything; what isn't finished stays for a resume. Safe on a zeroed target. */
void ortho_target_close(ortho_target *target);

/* A small file that belongs into the artifact's folder. */
typedef struct ortho_small {
    const char *folder, *work; /* it is made in `work`, so that a killed run leaves no scrap */
    const char *name, *text;
    size_t length;
    bool check_only; /* whether it may be put there, and no more */
} ortho_small;

/* Puts it there whole and synced. ARGUMENT when something else has that name; the very same is
 * fine. */
ortho_status ortho_put_small(const ortho_small *file);

/* Copies config, tokenizer and licence files that lie beside the source, a file or a folder (""
 * when it is generated), into `folder`, as ortho_put_small does; config.json gets a
 * quantization_config (lib/model_config.h). */
ortho_status ortho_carry(const char *source, const ortho_sieve_options *sieve, const char *folder,
                         const char *work);

#endif
