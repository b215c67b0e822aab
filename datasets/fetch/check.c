/* check.c: is what the cache calls complete still what was fetched? */
#define _GNU_SOURCE
#include "common/error.h"
#include "datasets/fetch/choose.h"
#include "datasets/fetch/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct check {
    const ortho_fetch_request *request;
    ortho_slice_store store;
    ortho_fetch_verdict verdict;
} check;

static bool is_stopped(void *ctx)
{
    const check *c = ctx;
    return c->request->cancelled(c->request->ctx);
}

static void tell_damage(check *c, const char *tensor, const char *why)
{
    char text[900];
    snprintf(text, sizeof text, "damaged: tensor \"%.250s\": %.600s", tensor, why);
    c->request->note(c->request->ctx, text);
    c->verdict.damaged++;
    ortho_store_strike_tensor(&c->store, tensor);
}

/* Why this tensor isn't what the manifest says; NULL: it is. */
static const char *find_damage(check *c, const ortho_manifest_tensor *t)
{
    ortho_file file;
    ortho_manifest_shard shard;
    char path[ORTHO_PATH_SIZE + 256], hex[ORTHO_SLICE_HASH_SIZE];
    snprintf(path, sizeof path, "%s/%s" ORTHO_SHARD_SUFFIX, c->store.folder, t->shard);
    ortho_manifest_shard_get(c->store.manifest, t->shard, &shard);
    if (ortho_file_open(path, &file) != ORTHO_OK)
        return ortho_last_message();
    ortho_status status = ortho_shard_check(&file, &shard);
    if (status == ORTHO_OK)
        status = ortho_slice_hash(&file, t->begin, t->end, hex);
    ortho_file_close(&file);
    if (status != ORTHO_OK)
        return ortho_last_message();
    c->verdict.bytes += t->end - t->begin;
    return strcmp(hex, t->xxh3) == 0 ? NULL : "its bytes are not those that were fetched";
}

static ortho_status check_tensors(check *c)
{
    json_t *entry, *tensors = json_object_get(c->store.manifest, "tensors");
    const char *name;
    void *next;
    size_t done = 0, total = json_object_size(tensors);
    json_object_foreach_safe(tensors, next, name, entry)
    {
        ortho_manifest_tensor t;
        char copy[512];
        if (is_stopped(c))
            return ortho_fail(ORTHO_E_CANCELLED, "interrupted");
        c->request->progress(c->request->ctx, done++, total, name);
        ortho_manifest_tensor_get(c->store.manifest, name, &t);
        const char *why = find_damage(c, &t);
        c->verdict.checked++;
        snprintf(copy, sizeof copy, "%s", name); /* the name goes with its entry */
        if (why)
            tell_damage(c, copy, why);
    }
    return ORTHO_OK;
}

static ortho_status check_locked(check *c, const ortho_hub_spec *spec, const char *folder)
{
    ortho_fetch_verdict *v = &c->verdict;
    ortho_status status = ortho_slices_commit(spec, v->commit);
    if (status != ORTHO_OK)
        return status;
    snprintf(c->store.folder, sizeof c->store.folder, "%.900s/%s", folder, v->commit);
    snprintf(v->folder, sizeof v->folder, "%s", c->store.folder);
    snprintf(v->repository, sizeof v->repository, "%s", spec->name);
    status = ortho_manifest_load(c->store.folder, &c->store.manifest);
    if (status == ORTHO_OK)
        status = check_tensors(c);
    if (c->verdict.damaged > 0) {
        ortho_store_strike(&c->store);
        ortho_status saved = ortho_manifest_save(c->store.manifest, c->store.folder);
        status = status == ORTHO_OK ? saved : status;
    }
    return status;
}

ortho_status ortho_fetch_check(const ortho_fetch_request *request, ortho_fetch_verdict *out)
{
    check c = {.request = request};
    ortho_hub_spec spec;
    char folder[ORTHO_PATH_SIZE];
    int lock = -1;
    ortho_status status = ortho_fetch_spec(request->spec, &spec);
    if (status == ORTHO_OK)
        status = ortho_slices_folder(&spec, folder);
    if (status == ORTHO_OK)
        status = ortho_store_lock(folder, is_stopped, &c, &lock);
    if (status == ORTHO_OK)
        status = check_locked(&c, &spec, folder);
    if (status == ORTHO_OK)
        *out = c.verdict;
    ortho_store_close(&c.store);
    if (lock >= 0)
        close(lock);
    return status;
}
