/*
 * journal.h: which units of a sieve are whole on the disk: a text file in the work folder, a line a
 * unit, appended only when the unit's bytes have been synced. A line that a crash cut is no line.
 *
 * The first line is a fingerprint of all that decides the artifact's bytes: a run with another
 * choice, or over a source that changed, doesn't continue it.
 */
#ifndef ORTHO_LIB_JOURNAL_H
#define ORTHO_LIB_JOURNAL_H

#include "lib/plan.h"

typedef struct ortho_record {
    bool there;
    char made[ORTHO_HASH_LENGTH + 1]; /* of the unit's bytes in the artifact */
    char source[ORTHO_HASH_LENGTH +
                1]; /* of a layer's weights as stored; ORTHO_NO_HASH for copies */
} ortho_record;

typedef struct ortho_journal {
    int fd;
    uint64_t length; /* of its whole lines: what a failed write left behind isn't one */
    char *path;
    const ortho_plan *plan;
    ortho_record *records; /* [unit_count] */
} ortho_journal;

/* Begins a journal, or (resume) reads the one that is there and goes on behind it. NOT_FOUND: there
 * is none to resume. ARGUMENT: it is another run's. */
ortho_status ortho_journal_open(const char *path, const ortho_plan *plan, bool resume,
                                ortho_journal *out);

/* The unit's bytes are on the disk. The line itself needs no sync: without it the unit is only done
 * again. */
ortho_status ortho_journal_add(ortho_journal *journal, int64_t unit, const ortho_record *record);

/* Makes the lines durable: before a shard takes its final name, which is refused to a resume that
 * has no lines of it. */
ortho_status ortho_journal_sync(const ortho_journal *journal);

void ortho_journal_close(ortho_journal *journal);

#endif
