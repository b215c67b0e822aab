#define _GNU_SOURCE
#include "datasets/fetch/store.h"

#include "common/error.h"
#include "common/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define PATH_ROOM  (ORTHO_PATH_SIZE + 256)
#define UNFINISHED ORTHO_SHARD_SUFFIX ".new"
#define LOCK_NAP   50000000L /* ns between two looks at a lock that another holds */

ortho_status ortho_store_lock(const char *folder, bool (*stopped)(void *ctx), void *ctx, int *out)
{
    char path[PATH_ROOM];
    ortho_status status = ortho_make_folders(folder);
    if (status != ORTHO_OK)
        return status;
    snprintf(path, sizeof path, "%s/.lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return ortho_fail(ORTHO_E_IO, "%s: can't write here: %s", path, strerror(errno));
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            status = ortho_fail(ORTHO_E_IO, "%s: can't lock it: %s", path, strerror(errno));
            goto fail;
        }
        if (stopped(ctx)) {
            status = ortho_fail(ORTHO_E_CANCELLED, "interrupted");
            goto fail;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOCK_NAP}, NULL);
    }
    *out = fd;
    return ORTHO_OK;
fail:
    close(fd);
    return status;
}

/* What a kill left of a file that was being written: NAME.XXXXXX, or a shard's NAME.slices.new. The
 * lock is ours, so that nobody is at it. */
static void remove_leftovers(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        static const char *const names[] = {ORTHO_MANIFEST_NAME ".", "config.json.", "NOTICE.",
                                            "model.safetensors.index.json."};
        size_t length = strlen(e->d_name), suffix = strlen(UNFINISHED);
        bool left = length > suffix && strcmp(e->d_name + length - suffix, UNFINISHED) == 0;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            left = left || (strncmp(e->d_name, names[i], strlen(names[i])) == 0 &&
                            length == strlen(names[i]) + 6);
        if (left)
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    closedir(dir);
}

ortho_status ortho_store_open(const char *folder, const char *repository, const char *commit,
                              const char *endpoint, ortho_slice_store *out)
{
    ortho_slice_store store = {0};
    int length = snprintf(store.folder, sizeof store.folder, "%s/%s", folder, commit);
    if (length < 0 || length >= (int)sizeof store.folder)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: too long a path", folder);
    ortho_status status = ortho_make_folders(store.folder);
    if (status != ORTHO_OK)
        return status;
    remove_leftovers(store.folder);
    status = ortho_manifest_load(store.folder, &store.manifest);
    if (status == ORTHO_E_NOT_FOUND)
        status = ortho_manifest_new(repository, commit, endpoint, &store.manifest);
    if (status == ORTHO_OK)
        *out = store;
    return status;
}

void ortho_store_close(ortho_slice_store *store)
{
    json_decref(store->manifest);
    store->manifest = NULL;
}

/* ---- what is no longer there ------------------------------------------------------------------
 */

void ortho_store_strike_tensor(ortho_slice_store *store, const char *tensor)
{
    json_object_del(json_object_get(store->manifest, "tensors"), tensor);
    json_object_del(json_object_get(store->manifest, "partial"), tensor);
}

static void strike_shard(json_t *tensors, const char *shard)
{
    const char *name;
    json_t *entry;
    void *next;
    json_object_foreach_safe(tensors, next, name, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "shard")), shard) == 0)
            json_object_del(tensors, name);
    }
}

static bool shard_is_sound(const ortho_slice_store *store, const char *name)
{
    ortho_manifest_shard shard;
    ortho_file file;
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s" ORTHO_SHARD_SUFFIX, store->folder, name);
    if (!ortho_manifest_shard_get(store->manifest, name, &shard) ||
        ortho_file_open(path, &file) != ORTHO_OK)
        return false;
    bool sound = ortho_shard_check(&file, &shard) == ORTHO_OK;
    ortho_file_close(&file);
    return sound;
}

int ortho_store_strike(ortho_slice_store *store)
{
    const char *name;
    json_t *entry, *shards = json_object_get(store->manifest, "shards");
    void *next;
    int struck = 0;
    json_object_foreach_safe(shards, next, name, entry)
    {
        if (shard_is_sound(store, name))
            continue;
        strike_shard(json_object_get(store->manifest, "tensors"), name);
        strike_shard(json_object_get(store->manifest, "partial"), name);
        json_object_del(shards, name);
        struck++;
    }
    return struck;
}

/* ---- what is put there ----------------------------------------------------------------------- */

static ortho_status write_header(int fd, const char *path, const ortho_shard_header *header)
{
    if (ftruncate(fd, (off_t)header->total) != 0)
        return ortho_fail(ORTHO_E_IO,
                          "%s: can't make a file of %llu bytes (most of them a hole): %s", path,
                          (unsigned long long)header->total, strerror(errno));
    for (size_t done = 0; done < header->length;) {
        ssize_t n =
            pwrite(fd, (const char *)header->bytes + done, header->length - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ortho_fail(ORTHO_E_IO, "%s: writing failed: %s", path, strerror(errno));
        done += (size_t)n;
    }
    if (fdatasync(fd) != 0)
        return ortho_fail(ORTHO_E_IO, "%s: writing failed: %s", path, strerror(errno));
    return ORTHO_OK;
}

static ortho_status enter_shard(ortho_slice_store *store, const char *name, const char *path,
                                const ortho_shard_header *header)
{
    ortho_file file;
    char hex[ORTHO_SLICE_HASH_SIZE];
    ortho_status status = ortho_file_open(path, &file);
    if (status != ORTHO_OK)
        return status;
    status = ortho_slice_hash(&file, 0, header->length, hex);
    ortho_file_close(&file);
    if (status != ORTHO_OK)
        return status;
    json_t *entry = json_pack("{s:I, s:I, s:s}", "bytes", (json_int_t)header->total, "header",
                              (json_int_t)header->length, "header_xxh3", hex);
    if (entry && header->etag[0])
        json_object_set_new(entry, "etag", json_string(header->etag));
    if (json_object_set_new(json_object_get(store->manifest, "shards"), name, entry) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its manifest", name);
    return ORTHO_OK;
}

ortho_status ortho_store_add_shard(ortho_slice_store *store, const char *shard,
                                   const ortho_shard_header *header)
{
    char path[PATH_ROOM], temporary[PATH_ROOM + 8];
    snprintf(path, sizeof path, "%s/%s" ORTHO_SHARD_SUFFIX, store->folder, shard);
    snprintf(temporary, sizeof temporary, "%s/%s" UNFINISHED, store->folder, shard);
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return ortho_fail(ORTHO_E_IO, "%s: can't write here: %s", temporary, strerror(errno));
    ortho_status status = write_header(fd, path, header);
    close(fd);
    /* By rename: who has a former file open keeps it. */
    if (status == ORTHO_OK && rename(temporary, path) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: can't rename: %s", path, strerror(errno));
    if (status != ORTHO_OK) {
        unlink(temporary);
        return status;
    }
    return enter_shard(store, shard, path, header);
}

ortho_status ortho_store_open_shard(const ortho_slice_store *store, const char *shard, int *out)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s" ORTHO_SHARD_SUFFIX, store->folder, shard);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ortho_fail(ORTHO_E_IO, "%s: can't write here: %s", path, strerror(errno));
    *out = fd;
    return ORTHO_OK;
}

ortho_status ortho_store_put(const char *path, const void *bytes, size_t length)
{
    ortho_output out;
    ortho_status status = ortho_output_begin(path, &out);
    if (status != ORTHO_OK)
        return status;
    fwrite(bytes, 1, length, out.stream);
    return ortho_output_commit(&out); /* tells of a stream that failed */
}
