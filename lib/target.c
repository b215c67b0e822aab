#define _GNU_SOURCE
#include "lib/target.h"

#include "common/error.h"
#include "common/output.h"
#include "datasets/file.h"
#include "datasets/json.h"
#include "lib/direct.h"
#include "lib/target_look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define JOURNAL_NAME "journal"

/* "folder/name", to be freed; on failure the message is left. */
static char *join(const char *folder, const char *name)
{
    char *path = ortho_path_join(folder, name);
    if (path == NULL)
        ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    return path;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static ortho_status lock_folder(ortho_target *t)
{
    t->lock = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->lock < 0)
        return ortho_fail(ORTHO_E_IO, "%s: %s", t->folder, strerror(errno));
    if (flock(t->lock, LOCK_EX | LOCK_NB) == 0)
        return ORTHO_OK;
    if (errno == EWOULDBLOCK)
        return ortho_fail(ORTHO_E_IO,
                          "%s: another run is writing there: wait for it, or choose another folder",
                          t->folder);
    return ortho_fail(ORTHO_E_IO, "%s: can't be locked: %s", t->folder, strerror(errno));
}

/* The journal is the last thing that a run removes. */
static bool has_journal(const ortho_target *t)
{
    char *path = ortho_path_join(t->work, JOURNAL_NAME);
    bool there = path == NULL || ortho_path_is_file(path);
    free(path);
    return there;
}

/* Whatever killed runs left in the work folder, but for the journal. */
static void remove_scraps(const ortho_target *t)
{
    DIR *dir = opendir(t->work);
    if (dir == NULL)
        return; /* rmdir will tell */
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, JOURNAL_NAME) != 0)
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
}

/* What is left of it is in nobody's way, but says that a run was interrupted. */
static ortho_status remove_work_folder(const ortho_target *t)
{
    ortho_status status = ORTHO_OK;
    char *journal = join(t->work, JOURNAL_NAME);
    if (journal == NULL)
        return ORTHO_E_MEMORY;
    remove_scraps(t);
    if (unlink(journal) != 0 && errno != ENOENT)
        status = ortho_fail(ORTHO_E_IO, "%s: %s", journal, strerror(errno));
    else if (rmdir(t->work) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: %s", t->work, strerror(errno));
    free(journal);
    return status;
}

/* ---- shards in the making -------------------------------------------------------------------- */

static char *partial_path(const ortho_target *t, int32_t shard)
{
    char name[96];
    snprintf(name, sizeof name, "%s.partial", t->plan->shards[shard].name);
    return join(t->work, name);
}

static ortho_status no_room(const ortho_target *t, uint64_t wanted)
{
    struct statvfs fs;
    unsigned long long there =
        fstatvfs(t->lock, &fs) == 0 ? (unsigned long long)fs.f_bavail * fs.f_frsize : 0;
    return ortho_fail(ORTHO_E_IO,
                      "%s: no room: %.2f GB more are wanted, %.2f GB are free: make room, then "
                      "--resume",
                      t->folder, (double)wanted * 1e-9, (double)there * 1e-9);
}

/* All of its room at once, so that a full disk is known now; a file system that can't say so tells
 * later. */
static ortho_status make_room(const ortho_target *t, int32_t shard, const char *path)
{
    uint64_t bytes = ortho_target_shard_bytes(&t->plan->shards[shard]);
    if (fallocate(t->fd[shard], 0, 0, (off_t)bytes) == 0)
        return ORTHO_OK;
    if (errno == ENOSPC || errno == EDQUOT)
        return no_room(t, bytes);
    if (ftruncate(t->fd[shard], (off_t)bytes) != 0)
        return ortho_fail(ORTHO_E_IO, "%s: %s", path, strerror(errno));
    return ORTHO_OK;
}

static ortho_status open_partial(ortho_target *t, int32_t shard)
{
    char *path =
        t->finished[shard] ? join(t->folder, t->plan->shards[shard].name) : partial_path(t, shard);
    if (path == NULL)
        return ORTHO_E_MEMORY;
    ortho_status status = ORTHO_OK;
    t->fd[shard] =
        open(path, t->finished[shard] ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->fd[shard] < 0)
        status = ortho_fail(ORTHO_E_IO, "%s: %s", path, strerror(errno));
    else if (!t->finished[shard])
        status = make_room(t, shard, path);
    if (status == ORTHO_OK && !t->finished[shard])
        t->direct[shard] = ortho_direct_open_output(t->fd[shard]);
    free(path);
    return status;
}

static ortho_status make_work_folder(const ortho_target *t, bool resume)
{
    if (mkdir(t->work, 0777) == 0)
        return ORTHO_OK;
    if (errno != EEXIST)
        return ortho_fail(ORTHO_E_IO, "%s: can't be made: %s", t->work, strerror(errno));
    if (!resume)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s holds an interrupted run: --resume continues it; remove %s to begin "
                          "anew",
                          t->folder, t->work);
    return ORTHO_OK;
}

/* A resume where no journal is: the run before ended too early to have written any. */
static ortho_status open_journal(ortho_target *t, bool resume)
{
    char *path = join(t->work, JOURNAL_NAME);
    if (path == NULL)
        return ORTHO_E_MEMORY;
    ortho_status status = ORTHO_E_NOT_FOUND;
    if (resume)
        status = ortho_journal_open(path, t->plan, true, &t->journal);
    if (status == ORTHO_E_NOT_FOUND)
        status = ortho_journal_open(path, t->plan, false, &t->journal);
    free(path);
    for (int64_t i = 0; i < t->plan->unit_count && status == ORTHO_OK; i++)
        t->left[t->plan->units[i].shard] += !t->journal.records[i].there;
    return status;
}

static ortho_status open_work(ortho_target *t, bool resume)
{
    ortho_status status = open_journal(t, resume);
    for (int32_t i = 0; i < t->plan->shard_count && status == ORTHO_OK; i++) {
        status = open_partial(t, i);
        if (status == ORTHO_OK && t->finished[i] && t->left[i] > 0)
            status = ortho_fail(ORTHO_E_ARGUMENT,
                                "%s/%s is there already, but not by the run that --resume is to "
                                "continue: choose another folder, or move it away to have it made "
                                "anew",
                                t->folder, t->plan->shards[i].name);
    }
    return status;
}

static int *no_files(size_t count)
{
    int *fds = malloc(count * sizeof *fds);
    for (size_t i = 0; fds != NULL && i < count; i++)
        fds[i] = -1;
    return fds;
}

static ortho_status allocate(ortho_target *t, const char *folder)
{
    size_t shards = (size_t)t->plan->shard_count;
    t->folder = strdup(folder);
    t->work = ortho_path_join(folder, ORTHO_WORK_FOLDER);
    t->fd = no_files(shards);
    t->direct = no_files(shards);
    t->finished = calloc(shards, sizeof *t->finished);
    t->left = calloc(shards, sizeof *t->left);
    if (t->folder == NULL || t->work == NULL || t->fd == NULL || t->direct == NULL ||
        t->finished == NULL || t->left == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the target");
    return ORTHO_OK;
}

static ortho_status open_target(ortho_target *t, const char *folder, bool resume)
{
    ortho_status status = allocate(t, folder);
    if (status == ORTHO_OK)
        status = ortho_make_folders(folder);
    if (status == ORTHO_OK)
        status = lock_folder(t);
    if (status == ORTHO_OK)
        status = ortho_target_look(t, resume);
    if (status != ORTHO_OK)
        return status;
    t->complete = ortho_target_all_finished(t) && !has_journal(t);
    if (t->complete) /* the journal goes last but for its folder */
        return ortho_path_is_folder(t->work) ? remove_work_folder(t) : ORTHO_OK;
    status = make_work_folder(t, resume);
    if (status != ORTHO_OK)
        return status;
    status = ortho_carry(ortho_dataset_facts(t->plan->dataset)->path, &t->plan->options.sieve,
                         t->folder, t->work);
    if (status == ORTHO_OK)
        status = open_work(t, resume);
    if (status != ORTHO_OK)
        (void)rmdir(t->work); /* where nothing is in it, there is nothing to resume */
    return status;
}

ortho_status ortho_target_open(const ortho_plan *plan, const char *folder, bool resume,
                               ortho_target *out)
{
    ortho_target t = {.plan = plan, .lock = -1, .journal = {.fd = -1}};
    ortho_status status = open_target(&t, folder, resume);
    if (status == ORTHO_OK)
        *out = t;
    else
        ortho_target_close(&t);
    return status;
}

static void close_all(const int *fds, int32_t count)
{
    for (int32_t i = 0; fds != NULL && i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

void ortho_target_close(ortho_target *t)
{
    if (t->plan == NULL)
        return;
    ortho_journal_close(&t->journal);
    close_all(t->fd, t->plan->shard_count);
    close_all(t->direct, t->plan->shard_count);
    if (t->lock >= 0)
        close(t->lock);
    free(t->fd);
    free(t->direct);
    free(t->finished);
    free(t->left);
    free(t->folder);
    free(t->work);
    *t = (ortho_target){.lock = -1, .journal = {.fd = -1}};
}

/* ---- finishing ------------------------------------------------------------------------------- */

/* The header with the hashes of all its layers; the caller frees *text in any case. */
static ortho_status render_final(ortho_target *t, int32_t shard, char **text, size_t *bytes)
{
    const ortho_plan *plan = t->plan;
    ortho_header *header = &plan->shards[shard].header;
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; i < plan->unit_count && status == ORTHO_OK; i++) {
        const ortho_unit *u = &plan->units[i];
        if (u->shard != shard || u->layer < 0)
            continue;
        ortho_layer_facts *facts = &plan->layers[u->layer].facts;
        memcpy(facts->source, t->journal.records[i].source, sizeof facts->source);
        status = ortho_header_set_facts(header, facts);
    }
    if (status == ORTHO_OK)
        status = ortho_header_render(header, text, bytes);
    if (status == ORTHO_OK && *bytes != plan->shards[shard].header_bytes) {
        status = ortho_fail(ORTHO_E_INTERNAL, "the header of %s has changed its length",
                            plan->shards[shard].name);
    }
    return status;
}

static ortho_status put_header(const ortho_target *t, int32_t shard, const char *text, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t put = pwrite(t->fd[shard], text + done, bytes - done, (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return ortho_fail(ORTHO_E_IO, "%s/%s: its header can't be written: %s", t->work,
                              t->plan->shards[shard].name, strerror(errno));
        done += (size_t)put;
    }
    if (fsync(t->fd[shard]) != 0)
        return ortho_fail(ORTHO_E_IO, "%s/%s: can't be synced: %s", t->work,
                          t->plan->shards[shard].name, strerror(errno));
    return ORTHO_OK;
}

/* Never over something that came there meanwhile, where the system can promise it. */
static ortho_status move_into_place(ortho_target *t, int32_t shard)
{
    char *from = partial_path(t, shard), *to = join(t->folder, t->plan->shards[shard].name);
    ortho_status status = from != NULL && to != NULL ? ORTHO_OK : ORTHO_E_MEMORY;
    if (status == ORTHO_OK) {
        int failed = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
        if (failed != 0 && (errno == EINVAL || errno == ENOSYS))
            failed = rename(from, to);
        if (failed != 0)
            status = ortho_fail(ORTHO_E_IO, "%s: can't get its name: %s", to, strerror(errno));
    }
    if (status == ORTHO_OK && fsync(t->lock) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: can't be synced: %s", t->folder, strerror(errno));
    free(from);
    free(to);
    return status;
}

static ortho_status finish_shard(ortho_target *t, int32_t shard)
{
    char *text = NULL;
    size_t bytes = 0;
    ortho_status status = ortho_plan_check_source(t->plan);
    if (status == ORTHO_OK)
        status = render_final(t, shard, &text, &bytes);
    if (status == ORTHO_OK)
        status = put_header(t, shard, text, bytes);
    free(text);
    if (status == ORTHO_OK)
        status = ortho_journal_sync(&t->journal);
    if (status == ORTHO_OK)
        status = move_into_place(t, shard);
    if (status == ORTHO_OK)
        t->finished[shard] = true;
    return status;
}

ortho_status ortho_target_add(ortho_target *t, int64_t unit, const ortho_record *record)
{
    int32_t shard = t->plan->units[unit].shard;
    ortho_status status = ortho_journal_add(&t->journal, unit, record);
    if (status != ORTHO_OK || --t->left[shard] > 0)
        return status;
    return finish_shard(t, shard);
}

void ortho_target_forget(ortho_target *t, int64_t unit)
{
    t->journal.records[unit].there = false;
    t->left[t->plan->units[unit].shard]++;
}

static json_t *weight_map(const ortho_plan *plan, uint64_t *total)
{
    json_t *map = json_object();
    for (int32_t i = 0; map != NULL && i < plan->shard_count; i++) {
        json_t *root = plan->shards[i].header.root;
        *total += plan->shards[i].header.data_bytes;
        for (void *at = json_object_iter(root); at; at = json_object_iter_next(root, at)) {
            const char *name = json_object_iter_key(at);
            if (strcmp(name, "__metadata__") != 0 &&
                json_object_set_new(map, name, json_string(plan->shards[i].name)) != 0) {
                json_decref(map);
                return NULL;
            }
        }
    }
    return map;
}

static ortho_status write_index(const ortho_target *t)
{
    uint64_t total = 0;
    json_t *map = weight_map(t->plan, &total);
    json_t *root = json_pack("{s:{s:I}, s:o?}", "metadata", "total_size", (json_int_t)total,
                             "weight_map", map);
    char *text = map != NULL && root != NULL ? ortho_json_dump(root, JSON_INDENT(2)) : NULL;
    ortho_status status = ORTHO_E_MEMORY;
    if (text == NULL) {
        ortho_fail(ORTHO_E_MEMORY, "no memory for the index");
    } else {
        status = ortho_put_small(&(ortho_small){.folder = t->folder,
                                                .work = t->work,
                                                .name = ORTHO_INDEX_NAME,
                                                .text = text,
                                                .length = strlen(text)});
        free(text);
    }
    json_decref(root);
    return status;
}

ortho_status ortho_target_finish(ortho_target *t)
{
    ortho_status status = ORTHO_OK;
    for (int32_t i = 0; i < t->plan->shard_count && status == ORTHO_OK; i++)
        if (!t->finished[i])
            status = finish_shard(t, i);
    if (status == ORTHO_OK && t->plan->shard_count > 1)
        status = write_index(t);
    return status == ORTHO_OK ? remove_work_folder(t) : status;
}
