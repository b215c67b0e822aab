#define _GNU_SOURCE
#include "datasets/fetch/transfer_save.h"

#include "common/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static json_t *range_of(const ortho_fetch_tensor *t)
{
    return json_pack("{s:s, s:[I, I]}", "shard", t->shard->name, "range",
                     (json_int_t)t->tensor->begin, (json_int_t)t->tensor->end);
}

static int note_complete(json_t *manifest, ortho_fetch_tensor *t)
{
    char stamp[32] = "";
    time_t seconds = time(NULL);
    struct tm tm;
    if (gmtime_r(&seconds, &tm))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_t *entry = range_of(t);
    int failed = json_object_set_new(entry, "xxh3", json_string(t->xxh3));
    failed = json_object_set_new(entry, "fetched", json_string(stamp)) || failed;
    failed =
        json_object_set_new(json_object_get(manifest, "tensors"), t->tensor->name, entry) || failed;
    json_object_del(json_object_get(manifest, "partial"), t->tensor->name);
    t->saved = !failed;
    return failed;
}

static int note_partial(json_t *manifest, const ortho_fetch_tensor *t, uint64_t piece)
{
    json_t *entry = range_of(t), *done = json_array();
    int failed = json_object_set_new(entry, "piece", json_integer((json_int_t)piece));
    for (size_t i = 0; i < t->count; i++)
        if (t->pieces[i] == ORTHO_PIECE_DONE)
            failed = json_array_append_new(done, json_integer((json_int_t)i)) || failed;
    failed = json_object_set_new(entry, "done", done) || failed;
    return json_object_set_new(json_object_get(manifest, "partial"), t->tensor->name, entry) ||
           failed;
}

ortho_status ortho_transfer_note(ortho_transfer *x)
{
    int failed = 0;
    for (size_t i = 0; i < x->tensor_count; i++) {
        ortho_fetch_tensor *t = &x->tensors[i];
        if (t->complete && !t->saved)
            failed = note_complete(x->store->manifest, t) || failed;
        else if (!t->complete && t->left < t->count)
            failed = note_partial(x->store->manifest, t, x->request->tuning.piece) || failed;
    }
    return failed ? ortho_fail(ORTHO_E_MEMORY, "no memory for the manifest") : ORTHO_OK;
}

ortho_status ortho_transfer_save(const ortho_transfer *x)
{
    for (size_t i = 0; i < x->shard_count; i++)
        if (fdatasync(x->shards[i].fd) != 0)
            return ortho_fail(ORTHO_E_IO, "%s: writing failed: %s", x->shards[i].name,
                              strerror(errno));
    return ortho_manifest_save(x->store->manifest, x->store->folder);
}

void ortho_transfer_recall(const ortho_slice_store *store, uint64_t piece_bytes,
                           ortho_fetch_tensor *t)
{
    ortho_manifest_tensor known;
    size_t i;
    const json_t *number;
    if (!ortho_manifest_partial_get(store->manifest, t->tensor->name, &known) ||
        strcmp(known.shard, t->shard->name) != 0 || known.begin != t->tensor->begin ||
        known.end != t->tensor->end || (uint64_t)known.piece != piece_bytes)
        return;
    json_array_foreach(known.done, i, number)
    {
        json_int_t n = json_integer_value(number);
        if (n < (json_int_t)t->count && t->pieces[n] != ORTHO_PIECE_DONE) {
            t->pieces[n] = ORTHO_PIECE_DONE;
            t->left--;
        }
    }
}
