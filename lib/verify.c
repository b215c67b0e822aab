#define _GNU_SOURCE
#include "lib/verify.h"

#include "common/error.h"
#include "lib/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Does the unit's place hold the bytes that were written there? */
static ortho_status is_whole(const ortho_target *t, int64_t unit, char *buffer, bool *whole)
{
    const ortho_unit *u = &t->plan->units[unit];
    char made[ORTHO_HASH_LENGTH + 1];
    for (uint64_t done = 0; done < u->to_bytes;) {
        ssize_t got = pread(t->fd[u->shard], buffer + done, u->to_bytes - done,
                            (off_t)(ortho_plan_offset(t->plan, u) + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ortho_fail(ORTHO_E_IO, "%s: what is there can't be read back: %s", t->folder,
                              strerror(errno));
        if (got == 0)
            break;
        done += (uint64_t)got;
        *whole = done == u->to_bytes;
    }
    if (*whole) {
        ortho_hash(buffer, u->to_bytes, made);
        *whole = strcmp(made, t->journal.records[unit].made) == 0;
    }
    return ORTHO_OK;
}

static ortho_status verify_unit(ortho_target *t, int64_t unit, char *buffer)
{
    const ortho_unit *u = &t->plan->units[unit];
    bool whole = false;
    ortho_status status = is_whole(t, unit, buffer, &whole);
    if (status != ORTHO_OK || whole)
        return status;
    if (t->finished[u->shard])
        return ortho_fail(ORTHO_E_IO,
                          "%s/%s was changed after it was written: remove it and %s to begin anew",
                          t->folder, t->plan->shards[u->shard].name, t->work);
    ortho_target_forget(t, unit);
    return ORTHO_OK;
}

ortho_status ortho_target_verify(ortho_target *t, int (*tick)(void *ctx, uint64_t bytes), void *ctx)
{
    uint64_t largest = 1, bytes = 0;
    for (int64_t i = 0; i < t->plan->unit_count; i++)
        if (t->plan->units[i].to_bytes > largest)
            largest = t->plan->units[i].to_bytes;
    char *buffer = malloc(largest);
    if (buffer == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to check what is there");
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; i < t->plan->unit_count && status == ORTHO_OK; i++) {
        if (!t->journal.records[i].there)
            continue;
        status = verify_unit(t, i, buffer);
        bytes += t->plan->units[i].to_bytes;
        if (status == ORTHO_OK && tick(ctx, bytes) != 0)
            status = ortho_fail(ORTHO_E_CANCELLED, "stopped: --resume goes on");
    }
    free(buffer);
    return status;
}
