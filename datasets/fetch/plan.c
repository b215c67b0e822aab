#define _GNU_SOURCE
#include "datasets/fetch/plan.h"

#include "common/error.h"
#include "datasets/fetch/transfer_save.h"
#include "datasets/reject.h"
#include "datasets/safetensors_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SHARDS 1000       /* each is an open file */
#define MAX_PIECES (1u << 24) /* a byte of memory each; 128 TB of 8 MiB */

void ortho_transfer_close(ortho_transfer *x)
{
    for (size_t i = 0; i < x->tensor_count; i++)
        free(x->tensors[i].pieces);
    for (size_t i = 0; i < x->shard_count; i++) {
        ortho_checkpoint_free(x->shards[i].source);
        if (x->shards[i].fd >= 0)
            close(x->shards[i].fd);
    }
    free(x->tensors);
    free(x->shards);
    x->tensors = NULL;
    x->shards = NULL;
    x->tensor_count = x->shard_count = 0;
}

/* ---- shards ---------------------------------------------------------------------------------- */

static ortho_status get_header(ortho_remote *remote, ortho_slice_store *store, const char *name)
{
    ortho_manifest_shard known;
    ortho_shard_header header;
    ortho_hub_missing missing;
    if (ortho_manifest_shard_get(store->manifest, name, &known))
        return ORTHO_OK;
    ortho_status status = ortho_remote_header(remote, name, &header, &missing);
    if (status != ORTHO_OK)
        return status;
    status = ortho_store_add_shard(store, name, &header);
    free(header.bytes);
    return status;
}

static ortho_status open_shard(ortho_slice_store *store, const char *name, ortho_fetch_shard *shard)
{
    size_t file;
    ortho_manifest_shard known = {0};
    char path[ORTHO_PATH_SIZE + 256];
    snprintf(path, sizeof path, "%s/%s" ORTHO_SHARD_SUFFIX, store->folder, name);
    snprintf(shard->name, sizeof shard->name, "%s", name);
    ortho_manifest_shard_get(store->manifest, name, &known);
    shard->bytes = known.bytes;
    snprintf(shard->etag, sizeof shard->etag, "%s", known.etag);
    ortho_status status = ortho_store_open_shard(store, name, &shard->fd);
    if (status == ORTHO_OK)
        status = ortho_checkpoint_new(&shard->source);
    if (status == ORTHO_OK)
        status = ortho_checkpoint_add_file(shard->source, path, &file);
    if (status == ORTHO_OK)
        status = ortho_safetensors_parse(shard->source, file, NULL);
    return status;
}

static ortho_fetch_shard *find_shard(const ortho_transfer *x, const char *name)
{
    for (size_t i = 0; i < x->shard_count; i++)
        if (strcmp(x->shards[i].name, name) == 0)
            return &x->shards[i];
    return NULL;
}

static ortho_status open_shards(ortho_remote *remote, json_t *wanted, ortho_transfer *x)
{
    const char *tensor;
    json_t *value;
    x->shards = calloc(MAX_SHARDS, sizeof *x->shards);
    if (!x->shards)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the shards");
    json_object_foreach(wanted, tensor, value)
    {
        const char *name = json_string_value(value);
        if (find_shard(x, name))
            continue;
        if (x->shard_count == MAX_SHARDS)
            return ortho_fail(ORTHO_E_UNSUPPORTED, "more than %d shards", MAX_SHARDS);
        ortho_status status = get_header(remote, x->store, name);
        ortho_fetch_shard *shard = &x->shards[x->shard_count];
        *shard = (ortho_fetch_shard){.fd = -1};
        if (status == ORTHO_OK) {
            x->shard_count++;
            status = open_shard(x->store, name, shard);
        }
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static ortho_status cut(ortho_transfer *x, const ortho_tensor *tensor, ortho_fetch_shard *shard)
{
    ortho_fetch_tensor *t = &x->tensors[x->tensor_count];
    ortho_manifest_tensor known;
    uint64_t bytes = tensor->end - tensor->begin, piece = x->request->tuning.piece;
    *t = (ortho_fetch_tensor){.tensor = tensor, .shard = shard};
    if (ortho_manifest_tensor_get(x->store->manifest, tensor->name, &known) &&
        strcmp(known.shard, shard->name) == 0 && known.begin == tensor->begin &&
        known.end == tensor->end) {
        t->complete = t->saved = true;
        x->tensor_count++;
        return ORTHO_OK;
    }
    if (bytes / piece >= MAX_PIECES - x->piece_count)
        return ortho_reject(ORTHO_E_UNSUPPORTED, (ortho_place){tensor->file, tensor->name, 0},
                            "%llu bytes, in pieces of %llu, are more than one fetch takes",
                            (unsigned long long)bytes, (unsigned long long)piece);
    t->count = t->left = (size_t)(bytes / piece + (bytes % piece > 0));
    x->piece_count += t->count;
    t->pieces = calloc(t->count + 1, sizeof *t->pieces);
    if (!t->pieces)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu pieces", t->count);
    x->tensor_count++;
    ortho_transfer_recall(x->store, piece, t);
    for (size_t i = 0; i < t->count; i++)
        if (t->pieces[i] != ORTHO_PIECE_DONE)
            x->total += i + 1 < t->count ? piece : bytes - i * piece;
    if (t->left > 0)
        return ORTHO_OK;
    t->complete = true; /* without bytes, or killed between its last piece and its hash */
    return ortho_slice_hash(&shard->source->files[0], tensor->begin, tensor->end, t->xxh3);
}

/* Takes the wanted tensors of one shard, and crosses them off. */
static ortho_status take_tensors(ortho_transfer *x, ortho_fetch_shard *shard, json_t *left)
{
    for (size_t i = 0; i < shard->source->tensor_count; i++) {
        const ortho_tensor *t = &shard->source->tensors[i];
        const char *claimed = json_string_value(json_object_get(left, t->name));
        if (!claimed || strcmp(claimed, shard->name) != 0)
            continue;
        json_object_del(left, t->name);
        ortho_status status = cut(x, t, shard);
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

static int by_place(const void *a, const void *b)
{
    const ortho_fetch_tensor *x = a, *y = b;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    return (x->tensor->begin > y->tensor->begin) - (x->tensor->begin < y->tensor->begin);
}

ortho_status ortho_transfer_plan(ortho_remote *remote, json_t *wanted, ortho_transfer *x)
{
    json_t *left = NULL;
    ortho_status status = open_shards(remote, wanted, x);
    if (status != ORTHO_OK)
        return status;
    left = json_copy(wanted);
    x->tensors = calloc(json_object_size(wanted) + 1, sizeof *x->tensors);
    if (!left || !x->tensors)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for %zu tensors", json_object_size(wanted));
    for (size_t i = 0; i < x->shard_count && status == ORTHO_OK; i++)
        status = take_tensors(x, &x->shards[i], left);
    void *lost = status == ORTHO_OK ? json_object_iter(left) : NULL;
    if (lost)
        status = ortho_reject(
            ORTHO_E_FORMAT,
            (ortho_place){.file = ORTHO_INDEX_NAME, .tensor = json_object_iter_key(lost)},
            "the shard that claims it, %s, has no such tensor",
            json_string_value(json_object_iter_value(lost)));
    if (status == ORTHO_OK)
        qsort(x->tensors, x->tensor_count, sizeof *x->tensors, by_place);
    json_decref(left);
    return status;
}
