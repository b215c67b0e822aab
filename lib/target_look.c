#define _GNU_SOURCE
#include "lib/target_look.h"

#include "common/error.h"
#include "datasets/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

uint64_t ortho_target_shard_bytes(const ortho_plan_shard *s)
{
    return s->header_bytes + s->header.data_bytes;
}

/* Blanks the hashes, the one thing of a header that isn't known before the work is done. */
static void blank_hashes(char *text, size_t length)
{
    static const char key[] = "\\\"source_xxh3\\\":\\\"";
    for (char *at = text; (at = memmem(at, length - (size_t)(at - text), key, sizeof key - 1));) {
        at += sizeof key - 1;
        for (int i = 0; i < ORTHO_HASH_LENGTH && at < text + length; i++)
            *at++ = '-';
    }
}

/* A file under a shard's final name: is it what this run would make, as far as its header tells? */
static ortho_status check_finished(const ortho_plan_shard *shard, const char *path)
{
    ortho_file file;
    char *wanted = NULL, *found = NULL;
    size_t length;
    ortho_status status = ortho_file_open(path, &file);
    if (status != ORTHO_OK)
        return status;
    status = ortho_header_render(&shard->header, &wanted, &length);
    if (status == ORTHO_OK && (found = malloc(length)) == NULL)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a header");
    bool same = status == ORTHO_OK && file.size == ortho_target_shard_bytes(shard);
    if (same)
        status = ortho_file_read(&file, 0, found, length);
    if (same && status == ORTHO_OK) {
        blank_hashes(found, length);
        blank_hashes(wanted, length);
        same = memcmp(found, wanted, length) == 0;
    }
    if (status == ORTHO_OK && !same)
        status =
            ortho_fail(ORTHO_E_ARGUMENT,
                       "%s is there already and was made otherwise: choose another folder", path);
    free(wanted);
    free(found);
    ortho_file_close(&file);
    return status;
}

bool ortho_target_all_finished(const ortho_target *t)
{
    for (int32_t i = 0; i < t->plan->shard_count; i++)
        if (!t->finished[i])
            return false;
    return true;
}

static ortho_status no_memory(void)
{
    return ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
}

/* The index comes last: before the shards it is another artifact's. */
static ortho_status check_index(const ortho_target *t)
{
    char *path = ortho_path_join(t->folder, ORTHO_INDEX_NAME);
    struct stat st;
    if (path == NULL)
        return no_memory();
    ortho_status status = ORTHO_OK;
    if (!ortho_target_all_finished(t) && lstat(path, &st) == 0)
        status = ortho_fail(ORTHO_E_ARGUMENT,
                            "%s is there already, but not the shards: choose another folder", path);
    free(path);
    return status;
}

static ortho_status look_at(ortho_target *t, int32_t shard, const char *path, bool resume)
{
    struct stat st;
    t->finished[shard] = lstat(path, &st) == 0;
    if (!t->finished[shard])
        return ORTHO_OK;
    if (resume)
        return check_finished(&t->plan->shards[shard], path);
    return ortho_fail(ORTHO_E_ARGUMENT,
                      "%s is there already: choose another folder, or --resume an interrupted run",
                      path);
}

ortho_status ortho_target_look(ortho_target *t, bool resume)
{
    ortho_status status = ORTHO_OK;
    for (int32_t i = 0; i < t->plan->shard_count && status == ORTHO_OK; i++) {
        char *path = ortho_path_join(t->folder, t->plan->shards[i].name);
        status = path != NULL ? look_at(t, i, path, resume) : no_memory();
        free(path);
    }
    return status == ORTHO_OK ? check_index(t) : status;
}
