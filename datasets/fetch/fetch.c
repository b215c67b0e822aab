#define _GNU_SOURCE
#include "datasets/fetch/fetch.h"

#include "common/clock.h"
#include "common/error.h"
#include "datasets/fetch/choose.h"
#include "datasets/fetch/plan.h"
#include "datasets/fetch/whole.h"
#include "datasets/json.h"
#include "datasets/safetensors_header.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CONFIG_LIMIT 1000000u /* bytes of config.json */

/* A fetch at work. */
typedef struct fetch {
    const ortho_fetch_request *request;
    ortho_hub_spec spec;
    ortho_hub hub;
    ortho_connection *connection;
    ortho_remote remote;
    char folder[ORTHO_PATH_SIZE]; /* of the model, above its commits */
    int lock;
    bool waited; /* for it, and said so */
    ortho_slice_store store;
    json_t *names; /* tensor -> shard, all of them */
    ortho_transfer transfer;
    atomic_bool halt;
    pthread_mutex_t words; /* guards `trouble` */
    char trouble[512];     /* what the last retry was about; "" once it was told */
    ortho_fetch_summary summary;
} fetch;

/* ---- callbacks ------------------------------------------------------------------------------- */

static bool is_stopped(void *ctx)
{
    fetch *f = ctx;
    return atomic_load(&f->halt) || f->request->cancelled(f->request->ctx);
}

/* Asked only while another process holds the lock. */
static bool is_wait_stopped(void *ctx)
{
    fetch *f = ctx;
    if (!f->waited)
        f->request->note(f->request->ctx, "another process is fetching this model: waiting for it");
    f->waited = true;
    return is_stopped(f);
}

static void keep_trouble(void *ctx, const char *why)
{
    fetch *f = ctx;
    pthread_mutex_lock(&f->words);
    snprintf(f->trouble, sizeof f->trouble, "%s", why);
    pthread_mutex_unlock(&f->words);
}

static void tell_trouble(void *ctx)
{
    fetch *f = ctx;
    char text[sizeof f->trouble];
    pthread_mutex_lock(&f->words);
    memcpy(text, f->trouble, sizeof text);
    f->trouble[0] = '\0';
    pthread_mutex_unlock(&f->words);
    if (text[0])
        f->request->note(f->request->ctx, text);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* A checkpoint of one file has no index: its header names the tensors. */
static ortho_status names_of_single(fetch *f)
{
    ortho_shard_header header;
    ortho_hub_missing missing;
    json_t *root = NULL, *value;
    const char *name;
    ortho_status status = ortho_remote_header(&f->remote, ORTHO_SINGLE_NAME, &header, &missing);
    if (status != ORTHO_OK && missing == ORTHO_MISSING_FILE)
        return ortho_fail(status,
                          "%s@%s: neither " ORTHO_INDEX_NAME " nor " ORTHO_SINGLE_NAME
                          ": the model isn't stored as safetensors",
                          f->spec.name, f->spec.revision);
    if (status != ORTHO_OK)
        return status;
    ortho_json_text json = {.file = ORTHO_SINGLE_NAME,
                            .base = 8,
                            .text = (const char *)header.bytes + 8,
                            .length = header.length - 8,
                            .name_depth = 1};
    status = ortho_json_parse(&json, &root);
    f->names = json_object();
    json_object_foreach(root, name, value)
    {
        if (status == ORTHO_OK && strcmp(name, "__metadata__") != 0 &&
            json_object_set_new(f->names, name, json_string(ORTHO_SINGLE_NAME)) != 0)
            status = ortho_fail(ORTHO_E_MEMORY, "no memory for the tensors' names");
    }
    json_decref(root);
    free(header.bytes);
    return status;
}

/* A commit that is asked for by its name has its index in the cache: it needs no network when all
 * else is there, too. */
static bool names_at_hand(fetch *f)
{
    char path[ORTHO_PATH_SIZE + 256], *text;
    size_t length;
    if (!ortho_commit_valid(f->spec.revision))
        return false;
    snprintf(path, sizeof path, "%s/%s/" ORTHO_INDEX_NAME, f->folder, f->spec.revision);
    if (ortho_file_slurp(path, ORTHO_HEADER_LIMIT, &text, &length) != ORTHO_OK)
        return false;
    bool good = ortho_index_parse(text, length, &f->names) == ORTHO_OK;
    free(text);
    if (good)
        memcpy(f->remote.commit, f->spec.revision, sizeof f->remote.commit);
    return good;
}

static ortho_status get_names(fetch *f, char **index, size_t *length)
{
    if (names_at_hand(f))
        return ORTHO_OK;
    ortho_hub_missing missing = ORTHO_MISSING_NOTHING;
    ortho_status status = ortho_remote_file(&f->remote, ORTHO_INDEX_NAME, ORTHO_HEADER_LIMIT, index,
                                            length, &missing);
    tell_trouble(f);
    if (status == ORTHO_E_NOT_FOUND && missing != ORTHO_MISSING_OTHER)
        return names_of_single(f);
    return status == ORTHO_OK ? ortho_index_parse(*index, *length, &f->names) : status;
}

/* ---- the cache ------------------------------------------------------------------------------- */

static void path_in(const fetch *f, const char *name, char path[ORTHO_PATH_SIZE + 64])
{
    snprintf(path, ORTHO_PATH_SIZE + 64, "%s/%s", f->store.folder, name);
}

static ortho_status open_store(fetch *f, const char *index, size_t length)
{
    char path[ORTHO_PATH_SIZE + 64];
    ortho_status status =
        ortho_store_open(f->folder, f->spec.name, f->remote.commit, f->hub.endpoint, &f->store);
    if (status != ORTHO_OK)
        return status;
    if (ortho_store_strike(&f->store) > 0)
        f->request->note(f->request->ctx,
                         "a shard in the cache is missing or damaged: it is fetched anew");
    path_in(f, ORTHO_INDEX_NAME, path);
    return index ? ortho_store_put(path, index, length) : ORTHO_OK;
}

static ortho_status put_text(const char *path, const char *text)
{
    return ortho_store_put(path, text, strlen(text));
}

/* The licence's notice lies beside what it is about before any of that is there. */
static ortho_status put_notice(fetch *f)
{
    char path[ORTHO_PATH_SIZE + 64], *notice = NULL, text[1024];
    ortho_status status = ortho_fetch_notice(f->spec.name, f->summary.licence, &notice);
    if (status != ORTHO_OK)
        return status;
    path_in(f, "NOTICE", path);
    if (notice[0] && !ortho_path_is_file(path)) {
        snprintf(text, sizeof text, "%.900s\n", notice);
        status = put_text(path, text);
    }
    free(notice);
    return status;
}

/* Not every repository has one, and no slice needs it. */
static ortho_status put_config(fetch *f)
{
    char path[ORTHO_PATH_SIZE + 64], *text = NULL;
    size_t length;
    ortho_hub_missing missing;
    path_in(f, "config.json", path);
    if (ortho_path_is_file(path))
        return ORTHO_OK;
    ortho_status status =
        ortho_remote_file(&f->remote, "config.json", CONFIG_LIMIT, &text, &length, &missing);
    tell_trouble(f);
    if (status == ORTHO_E_NOT_FOUND)
        return ORTHO_OK;
    if (status == ORTHO_OK)
        status = ortho_store_put(path, text, length);
    free(text);
    return status;
}

/* The revision points to the commit once its slices are there; an older one stays usable until
 * then.
 */
static ortho_status put_ref(const fetch *f)
{
    char path[ORTHO_PATH_SIZE], text[ORTHO_COMMIT_SIZE + 1];
    if (ortho_commit_valid(f->spec.revision))
        return ORTHO_OK;
    ortho_status status = ortho_slices_ref(f->folder, &f->spec, path);
    if (status != ORTHO_OK)
        return status;
    snprintf(text, sizeof text, "%s\n", f->remote.commit);
    return put_text(path, text);
}

static ortho_status check_room(const fetch *f)
{
    struct statvfs fs;
    if (statvfs(f->store.folder, &fs) != 0)
        return ORTHO_OK; /* the writing will tell */
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (f->transfer.total <= room)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_IO,
                      "%s: %.1f MB are to be fetched, and there is room for %.1f MB: ORTHO_CACHE "
                      "names another place",
                      f->store.folder, 1e-6 * (double)f->transfer.total, 1e-6 * (double)room);
}

/* ---- the fetch ------------------------------------------------------------------------------- */

static ortho_status begin(fetch *f)
{
    const ortho_fetch_request *r = f->request;
    ortho_status status = ortho_fetch_spec(r->spec, &f->spec);
    if (status == ORTHO_OK)
        status = ortho_hub_open(&f->spec, &r->tuning, &f->hub);
    if (status != ORTHO_OK)
        return status;
    f->hub.limits.stopped = is_stopped;
    f->hub.trouble = keep_trouble;
    f->hub.limits.ctx = f->hub.ctx = f;
    if (f->hub.token[0] && !ortho_hub_sends_token(&f->hub))
        r->note(r->ctx, "the token is not sent: HF_ENDPOINT is plain http");
    status = ortho_slices_folder(&f->spec, f->folder);
    if (status == ORTHO_OK)
        status = ortho_store_lock(f->folder, is_wait_stopped, f, &f->lock);
    if (status == ORTHO_OK)
        status = ortho_connection_open(&f->hub.limits, &f->connection);
    f->remote =
        (ortho_remote){.hub = &f->hub, .connection = f->connection, .revision = f->spec.revision};
    return status;
}

static void sum_up(fetch *f)
{
    ortho_fetch_summary *s = &f->summary;
    snprintf(s->repository, sizeof s->repository, "%s", f->spec.name);
    snprintf(s->revision, sizeof s->revision, "%s", f->spec.revision);
    snprintf(s->commit, sizeof s->commit, "%s", f->remote.commit);
    snprintf(s->folder, sizeof s->folder, "%s", f->store.folder);
    s->wanted = (int64_t)f->transfer.tensor_count;
    s->fetched = f->transfer.fetched;
    s->fetched_bytes = f->transfer.fetched_bytes;
    for (size_t i = 0; i < f->transfer.tensor_count; i++) {
        const ortho_tensor *t = f->transfer.tensors[i].tensor;
        s->bytes += t->end - t->begin;
    }
}

static ortho_status transfer(fetch *f, json_t *wanted)
{
    ortho_transfer *x = &f->transfer;
    *x = (ortho_transfer){.request = f->request,
                          .hub = &f->hub,
                          .commit = f->remote.commit,
                          .store = &f->store,
                          .halt = &f->halt,
                          .tell = tell_trouble,
                          .ctx = f};
    ortho_status status = ortho_transfer_plan(&f->remote, wanted, x);
    tell_trouble(f);
    if (status == ORTHO_OK)
        status = check_room(f);
    if (status == ORTHO_OK)
        status = put_notice(f);
    if (status == ORTHO_OK)
        status = put_config(f);
    if (status == ORTHO_OK)
        status = ortho_transfer_run(x);
    return status == ORTHO_OK ? ortho_shards_verify(x) : status;
}

static ortho_status fetch_all(fetch *f)
{
    char *index = NULL;
    size_t length = 0;
    json_t *wanted = NULL;
    ortho_status status = begin(f);
    if (status == ORTHO_OK)
        status = get_names(f, &index, &length);
    if (status == ORTHO_OK)
        status = ortho_fetch_choose(f->request, f->names, &wanted);
    if (status == ORTHO_OK)
        status = open_store(f, index, length);
    if (status == ORTHO_OK)
        status = transfer(f, wanted);
    if (status == ORTHO_OK)
        status = put_ref(f);
    if (status == ORTHO_OK)
        sum_up(f);
    json_decref(wanted);
    free(index);
    return status;
}

/* What stays behind of a fetch that failed: said, and reachable where nothing was before. */
static ortho_status say_kept(const fetch *f, ortho_status status)
{
    size_t complete = 0;
    ortho_manifest_tensor known;
    char why[900], ref[ORTHO_PATH_SIZE];
    for (size_t i = 0; i < f->transfer.tensor_count; i++)
        complete += ortho_manifest_tensor_get(f->store.manifest,
                                              f->transfer.tensors[i].tensor->name, &known);
    if (f->transfer.tensor_count == 0)
        return status;
    snprintf(why, sizeof why, "%.899s", ortho_last_message());
    if (complete > 0 && ortho_slices_ref(f->folder, &f->spec, ref) == ORTHO_OK &&
        !ortho_path_is_file(ref))
        put_ref(f);
    return ortho_fail(
        status, "%s; %zu of %zu tensors are complete, and the same command goes on from there", why,
        complete, f->transfer.tensor_count);
}

ortho_status ortho_fetch(const ortho_fetch_request *request, ortho_fetch_summary *out)
{
    fetch f = {.request = request, .lock = -1};
    double began = ortho_seconds();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return ortho_fail(ORTHO_E_INTERNAL, "libcurl doesn't start");
    pthread_mutex_init(&f.words, NULL);
    ortho_status status = fetch_all(&f);
    if (status == ORTHO_OK) {
        f.summary.seconds = ortho_seconds() - began;
        *out = f.summary;
    } else {
        tell_trouble(&f);
        status = say_kept(&f, status);
    }
    ortho_transfer_close(&f.transfer);
    ortho_store_close(&f.store);
    json_decref(f.names);
    ortho_connection_close(f.connection);
    if (f.lock >= 0)
        close(f.lock);
    pthread_mutex_destroy(&f.words);
    curl_global_cleanup();
    return status;
}
