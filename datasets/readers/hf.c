/*
 * hf: the slices of a hub model that `ortho-bench fetch` has brought into our own cache. Nothing is
 * fetched here.
 *
 * A shard's file has the shard's own length and header, so that the ordinary parser checks it as it
 * would the whole shard; but only what the manifest calls complete becomes a tensor: the rest of
 * the file is holes, which would read as zeros.
 */
#include "common/error.h"
#include "datasets/datasets.h"
#include "datasets/reject.h"
#include "datasets/safetensors_header.h"
#include "datasets/slice_cache.h"
#include "datasets/slice_manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ortho_status add_shard(ortho_source *source, const char *folder, const char *name,
                              const ortho_manifest_shard *shard, size_t *index)
{
    char path[ORTHO_PATH_SIZE + 256];
    snprintf(path, sizeof path, "%s/%s" ORTHO_SHARD_SUFFIX, folder, name);
    ortho_status status = ortho_checkpoint_add_file(source, path, index);
    return status == ORTHO_OK ? ortho_shard_check(&source->files[*index], shard) : status;
}

/* The header gives each tensor its range; the manifest must mean the same one. */
static ortho_status check_ranges(const ortho_source *source, size_t first, const json_t *manifest)
{
    for (size_t i = first; i < source->tensor_count; i++) {
        ortho_manifest_tensor known = {0};
        const ortho_tensor *t = &source->tensors[i];
        if (!ortho_manifest_tensor_get(manifest, t->name, &known) || known.begin != t->begin ||
            known.end != t->end)
            return ortho_reject(ORTHO_E_FORMAT, (ortho_place){t->file, t->name, t->begin},
                                "the manifest has another range, %llu to %llu",
                                (unsigned long long)known.begin, (unsigned long long)known.end);
    }
    return ORTHO_OK;
}

/* The complete tensors of one shard: name -> shard, as an index would claim them. */
static ortho_status claim_complete(const json_t *manifest, const char *shard, json_t *claimed)
{
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(manifest, "tensors"), name, entry)
    {
        json_t *where = json_object_get(entry, "shard");
        if (strcmp(json_string_value(where), shard) == 0 &&
            json_object_set(claimed, name, where) != 0)
            return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its tensors", shard);
    }
    return ORTHO_OK;
}

static ortho_status open_shard(ortho_source *source, const char *folder, const json_t *manifest,
                               const char *name)
{
    size_t index = 0, first = source->tensor_count;
    ortho_manifest_shard shard;
    json_t *claimed = json_object();
    ortho_status status = claimed ? claim_complete(manifest, name, claimed)
                                  : ortho_fail(ORTHO_E_MEMORY, "%s: no memory", name);
    if (status != ORTHO_OK || json_object_size(claimed) == 0)
        goto done; /* only its header is there */
    ortho_manifest_shard_get(manifest, name, &shard);
    status = add_shard(source, folder, name, &shard, &index);
    ortho_shard_claim claim = {.weight_map = claimed, .shard = name};
    if (status == ORTHO_OK)
        status = ortho_safetensors_parse(source, index, &claim);
    if (status == ORTHO_OK)
        status = check_ranges(source, first, manifest);
    void *left = status == ORTHO_OK ? json_object_iter(claimed) : NULL;
    if (left)
        status = ortho_reject(
            ORTHO_E_FORMAT, (ortho_place){source->files[index].path, json_object_iter_key(left), 0},
            "the manifest has it, the shard's header has not");
done:
    json_decref(claimed);
    return status;
}

static ortho_status open_shards(ortho_source *source, const char *folder, const json_t *manifest)
{
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(manifest, "shards"), name, entry)
    {
        ortho_status status = open_shard(source, folder, manifest, name);
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

/* A damaged cache is told with the command that finds and mends what is damaged. */
static ortho_status open_cache(ortho_source *source, const ortho_hub_spec *spec, const char *commit)
{
    ortho_source_facts *facts = &source->facts;
    json_t *manifest = NULL;
    char folder[ORTHO_PATH_SIZE];
    ortho_status status = ortho_slices_folder(spec, folder);
    if (status != ORTHO_OK)
        return status;
    snprintf(facts->path, sizeof facts->path, "%.900s/%s", folder, commit);
    snprintf(facts->name, sizeof facts->name, "hf:%.120s", spec->name);
    snprintf(facts->identity, sizeof facts->identity, "hf:%s@%s", spec->name, commit);
    status = ortho_manifest_load(facts->path, &manifest);
    if (status == ORTHO_OK && json_object_size(json_object_get(manifest, "tensors")) > 0) {
        status = open_shards(source, facts->path, manifest);
        if (status == ORTHO_E_FORMAT || status == ORTHO_E_NOT_FOUND) {
            char why[700];
            snprintf(why, sizeof why, "%.699s", ortho_last_message());
            ortho_fail(status, "%s: `ortho-bench fetch --check hf:%s@%s` tells what is damaged",
                       why, spec->name, commit);
        }
    } else if (status == ORTHO_OK || status == ORTHO_E_NOT_FOUND) {
        status = ortho_fail(ORTHO_E_NOT_FOUND,
                            "hf:%s@%s: no complete tensor of it is at hand: `ortho-bench fetch "
                            "hf:%s@%s --layers 0` fetches those of a layer",
                            spec->name, spec->revision, spec->name, spec->revision);
    }
    json_decref(manifest);
    return status;
}

static ortho_status open_slices(const char *text, ortho_source **out)
{
    ortho_hub_spec spec;
    char commit[ORTHO_COMMIT_SIZE];
    ortho_source *source = NULL;
    ortho_status status = ortho_hub_spec_parse(text, &spec);
    if (status == ORTHO_OK)
        status = ortho_slices_commit(&spec, commit);
    if (status == ORTHO_OK)
        status = ortho_checkpoint_new(&source);
    if (status == ORTHO_OK)
        status = open_cache(source, &spec, commit);
    if (status == ORTHO_OK)
        *out = source;
    else
        ortho_checkpoint_free(source);
    return status;
}

extern const ortho_reader ortho_reader_hf;
const ortho_reader ortho_reader_hf = {
    .abi = ORTHO_READER_ABI,
    .name = "hf",
    .summary = "hf:ORG/NAME[@REVISION]: the slices that `ortho-bench fetch` brought",
    .claims = ortho_hub_spec_is,
    .open = open_slices,
    .close = ortho_checkpoint_free,
    .count = ortho_checkpoint_count,
    .tensor = ortho_checkpoint_tensor,
    .read_f32 = ortho_checkpoint_read_f32,
    .read_raw = ortho_checkpoint_read_raw,
    .facts = ortho_checkpoint_facts,
};
