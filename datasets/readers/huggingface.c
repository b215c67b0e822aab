/*
 * huggingface: a folder as the hub lays it out: model.safetensors, or shards that
 * model.safetensors.index.json lists; by path, or by org/name in the local hub cache.
 *
 * The index maps each tensor's name to the shard that holds it. Shard names are hostile too: only
 * plain names of files beside the index are followed.
 */
#include "common/error.h"
#include "datasets/datasets.h"
#include "datasets/hub.h"
#include "datasets/json.h"
#include "datasets/reject.h"
#include "datasets/safetensors_header.h"
#include "datasets/slice_cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_NAME  "model.safetensors.index.json"
#define SINGLE_NAME "model.safetensors"
#define MAX_SHARDS  1000 /* each is an open file */

static bool folder_has(const char *folder, const char *name)
{
    char path[PATH_MAX]; /* no memory to ask for: "there is none" must not mean "no memory" */
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && ortho_path_is_file(path);
}

static bool is_index(const char *spec)
{
    size_t length = strlen(spec), suffix = strlen(".safetensors.index.json");
    return length > suffix && strcmp(spec + length - suffix, ".safetensors.index.json") == 0 &&
           ortho_path_is_file(spec);
}

static bool claims(const char *spec)
{
    if (ortho_path_is_folder(spec))
        return folder_has(spec, INDEX_NAME) || folder_has(spec, SINGLE_NAME);
    return is_index(spec) || (!ortho_path_is_file(spec) && ortho_hub_name_valid(spec));
}

/* Checks the map and collects each shard's name once: a set, as keys of *shards. */
static ortho_status list_shards(const ortho_json_text *json, json_t *map, json_t *shards)
{
    if (!json_is_object(map))
        return ortho_reject(ORTHO_E_FORMAT, (ortho_place){json->file, NULL, json->base},
                            "no \"weight_map\" object");
    for (void *i = json_object_iter(map); i; i = json_object_iter_next(map, i)) {
        const char *tensor = json_object_iter_key(i);
        const char *shard = json_string_value(json_object_iter_value(i));
        if (!shard || !ortho_shard_name_valid(shard))
            return ortho_reject(
                ORTHO_E_FORMAT, (ortho_place){json->file, tensor, ortho_json_offset(json, tensor)},
                "its shard must be the plain name of a file beside the index, not %s",
                shard ? shard : "this");
        if (json_object_get(shards, shard))
            continue;
        if (json_object_size(shards) == MAX_SHARDS)
            return ortho_reject(ORTHO_E_FORMAT, (ortho_place){json->file, NULL, json->base},
                                "more than %d shards", MAX_SHARDS);
        if (json_object_set_new(shards, shard, json_true()) != 0)
            return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its shards", json->file);
    }
    return ORTHO_OK;
}

static ortho_status open_shard(ortho_source *source, const char *folder, const char *name,
                               const ortho_shard_claim *claim)
{
    size_t file;
    char *path = ortho_path_join(folder, name);
    if (!path)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for a path", name);
    ortho_status status = ortho_checkpoint_add_file(source, path, &file);
    if (status == ORTHO_OK)
        status = ortho_safetensors_parse(source, file, claim);
    free(path);
    return status;
}

static ortho_status open_shards(ortho_source *source, const char *folder,
                                const ortho_json_text *json, json_t *map)
{
    json_t *shards = json_object();
    ortho_status status = shards ? list_shards(json, map, shards)
                                 : ortho_fail(ORTHO_E_MEMORY, "%s: no memory", json->file);
    void *i = status == ORTHO_OK ? json_object_iter(shards) : NULL;
    for (; i && status == ORTHO_OK; i = json_object_iter_next(shards, i)) {
        ortho_shard_claim claim = {.weight_map = map, .shard = json_object_iter_key(i)};
        status = open_shard(source, folder, claim.shard, &claim);
    }
    json_decref(shards);
    if (status != ORTHO_OK)
        return status;
    void *left = json_object_iter(map); /* every tensor found was crossed off */
    if (!left)
        return ORTHO_OK;
    const char *tensor = json_object_iter_key(left);
    return ortho_reject(ORTHO_E_FORMAT,
                        (ortho_place){json->file, tensor, ortho_json_offset(json, tensor)},
                        "the shard that claims it, %s, has no such tensor",
                        json_string_value(json_object_iter_value(left)));
}

static ortho_status open_index(ortho_source *source, const char *path, const char *folder)
{
    char *text;
    size_t length;
    ortho_status status = ortho_file_slurp(path, ORTHO_HEADER_LIMIT, &text, &length);
    if (status != ORTHO_OK)
        return status;
    ortho_json_text json = {.file = path, .text = text, .length = length, .name_depth = 2};
    json_t *root = NULL;
    status = ortho_json_parse(&json, &root);
    if (status == ORTHO_OK)
        status = open_shards(source, folder, &json, json_object_get(root, "weight_map"));
    json_decref(root);
    free(text);
    return status;
}

static ortho_status open_folder(ortho_source *source, const char *folder)
{
    if (!folder_has(folder, INDEX_NAME))
        return open_shard(source, folder, SINGLE_NAME, NULL);
    char *path = ortho_path_join(folder, INDEX_NAME);
    if (!path)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for a path", folder);
    ortho_status status = open_index(source, path, folder);
    free(path);
    return status;
}

/* The index's own folder, "." for a bare name. */
static ortho_status open_index_path(ortho_source *source, const char *path)
{
    const char *base = ortho_path_base(path);
    char folder[ORTHO_PATH_SIZE];
    int length = base == path ? 1 : (int)(base - path);
    if (length >= ORTHO_PATH_SIZE)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: too long a path", path);
    snprintf(folder, sizeof folder, "%.*s", length, base == path ? "." : path);
    return open_index(source, path, folder);
}

static ortho_status open_model(const char *spec, ortho_source **out)
{
    ortho_source *source;
    ortho_status status = ortho_checkpoint_new(&source);
    if (status != ORTHO_OK)
        return status;
    ortho_source_facts *facts = &source->facts;
    snprintf(facts->path, sizeof facts->path, "%s", spec);
    if (is_index(spec)) {
        status = open_index_path(source, spec);
    } else if (ortho_path_is_folder(spec)) {
        status = open_folder(source, spec);
    } else {
        snprintf(facts->name, sizeof facts->name, "%s", spec);
        status = ortho_hub_resolve(spec, facts->path);
        if (status == ORTHO_OK)
            status = open_folder(source, facts->path);
    }
    if (status != ORTHO_OK) {
        ortho_checkpoint_free(source);
        return status;
    }
    *out = source;
    return ORTHO_OK;
}

extern const ortho_reader ortho_reader_huggingface;
const ortho_reader ortho_reader_huggingface = {
    .abi = ORTHO_READER_ABI,
    .name = "huggingface",
    .summary = "FOLDER of safetensors shards with their index, or ORG/NAME in the local hub cache",
    .claims = claims,
    .open = open_model,
    .close = ortho_checkpoint_free,
    .count = ortho_checkpoint_count,
    .tensor = ortho_checkpoint_tensor,
    .read_f32 = ortho_checkpoint_read_f32,
    .read_raw = ortho_checkpoint_read_raw,
    .facts = ortho_checkpoint_facts,
};
