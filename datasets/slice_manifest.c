#include "datasets/slice_manifest.h"

#include "common/error.h"
#include "common/output.h"
#include "datasets/json.h"
#include "datasets/reject.h"
#include "datasets/slice_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define SCHEMA         "ortho-slices/1"
#define MANIFEST_LIMIT 100000000u /* bytes; a large model's takes a hundredth of it */
#define HASH_PIECE     (1u << 20)
#define CURE           "remove it, and `ortho-bench fetch` makes it anew"

/* ---- checks: a manifest may have been edited --------------------------------------------------
 */

static bool is_hash(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == ORTHO_SLICE_HASH_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == ORTHO_SLICE_HASH_SIZE - 1;
}

static ortho_status wrong(const ortho_json_text *json, const char *name, const char *what)
{
    return ortho_reject(ORTHO_E_FORMAT,
                        (ortho_place){json->file, name, name ? ortho_json_offset(json, name) : 0},
                        "%s; " CURE, what);
}

static ortho_status check_top(const ortho_json_text *json, const json_t *root)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    const char *commit = json_string_value(json_object_get(root, "commit"));
    const char *name = json_string_value(json_object_get(root, "repository"));
    if (!schema || strcmp(schema, SCHEMA) != 0)
        return wrong(json, NULL, "its \"schema\" is not " SCHEMA);
    if (!commit || !ortho_commit_valid(commit) || !name || !ortho_hub_name_valid(name))
        return wrong(json, NULL, "it names no repository and commit");
    if (!json_is_object(json_object_get(root, "shards")) ||
        !json_is_object(json_object_get(root, "tensors")) ||
        !json_is_object(json_object_get(root, "partial")))
        return wrong(json, NULL, "\"shards\", \"tensors\" and \"partial\" must be objects");
    return ORTHO_OK;
}

static bool shard_is_good(const char *name, const json_t *entry)
{
    int64_t bytes, header;
    const json_t *etag = json_object_get(entry, "etag");
    return ortho_shard_name_valid(name) &&
           ortho_json_whole(json_object_get(entry, "bytes"), &bytes) &&
           ortho_json_whole(json_object_get(entry, "header"), &header) && header >= 8 &&
           header <= bytes && is_hash(json_object_get(entry, "header_xxh3")) &&
           (!etag || json_is_string(etag));
}

static bool range_is_good(const json_t *root, const json_t *entry)
{
    ortho_manifest_shard shard;
    int64_t begin, end;
    const json_t *range = json_object_get(entry, "range");
    const char *name = json_string_value(json_object_get(entry, "shard"));
    return name && ortho_manifest_shard_get(root, name, &shard) && json_array_size(range) == 2 &&
           ortho_json_whole(json_array_get(range, 0), &begin) &&
           ortho_json_whole(json_array_get(range, 1), &end) && (uint64_t)begin >= shard.header &&
           begin <= end && (uint64_t)end <= shard.bytes;
}

static bool pieces_are_good(const json_t *entry)
{
    int64_t piece, number;
    size_t i;
    const json_t *value, *done = json_object_get(entry, "done");
    if (!ortho_json_whole(json_object_get(entry, "piece"), &piece) || piece < 1 ||
        !json_is_array(done))
        return false;
    json_array_foreach(done, i, value)
    {
        if (!ortho_json_whole(value, &number))
            return false;
    }
    return true;
}

static ortho_status check_entries(const ortho_json_text *json, json_t *root)
{
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(root, "shards"), name, entry)
    {
        if (!shard_is_good(name, entry))
            return wrong(json, name, "no sound entry of a shard");
    }
    json_object_foreach(json_object_get(root, "tensors"), name, entry)
    {
        if (!range_is_good(root, entry) || !is_hash(json_object_get(entry, "xxh3")))
            return wrong(json, name, "no sound entry of a tensor");
    }
    json_object_foreach(json_object_get(root, "partial"), name, entry)
    {
        if (!range_is_good(root, entry) || !pieces_are_good(entry))
            return wrong(json, name, "no sound entry of a tensor in parts");
    }
    return ORTHO_OK;
}

/* ---- file ------------------------------------------------------------------------------------ */

ortho_status ortho_manifest_new(const char *repository, const char *commit, const char *endpoint,
                                json_t **out)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:{}, s:{}, s:{}}", "schema", SCHEMA,
                             "repository", repository, "commit", commit, "endpoint", endpoint,
                             "shards", "tensors", "partial");
    if (!root)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a manifest");
    *out = root;
    return ORTHO_OK;
}

ortho_status ortho_manifest_load(const char *folder, json_t **out)
{
    char *text = NULL, *path = ortho_path_join(folder, ORTHO_MANIFEST_NAME);
    size_t length;
    json_t *root = NULL;
    if (!path)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for a path", folder);
    ortho_status status = ortho_file_slurp(path, MANIFEST_LIMIT, &text, &length);
    if (status != ORTHO_OK)
        goto done;
    ortho_json_text json = {.file = path, .text = text, .length = length, .name_depth = 2};
    status = ortho_json_parse(&json, &root);
    if (status == ORTHO_E_FORMAT) {
        char why[900];
        snprintf(why, sizeof why, "%.899s", ortho_last_message());
        ortho_fail(status, "%s; " CURE, why);
    }
    if (status == ORTHO_OK)
        status = check_top(&json, root);
    if (status == ORTHO_OK)
        status = check_entries(&json, root);
    if (status == ORTHO_OK) {
        *out = root;
        root = NULL;
    }
done:
    json_decref(root);
    free(text);
    free(path);
    return status;
}

ortho_status ortho_manifest_save(const json_t *manifest, const char *folder)
{
    ortho_output out;
    char *path = ortho_path_join(folder, ORTHO_MANIFEST_NAME);
    if (!path)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for a path", folder);
    ortho_status status = ortho_output_begin(path, &out);
    free(path);
    if (status != ORTHO_OK)
        return status;
    if (json_dumpf(manifest, out.stream, JSON_INDENT(1)) != 0 && !ferror(out.stream)) {
        ortho_output_abort(&out);
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory to write its manifest", folder);
    }
    fputc('\n', out.stream);
    return ortho_output_commit(&out); /* tells of a stream that failed */
}

/* ---- entries --------------------------------------------------------------------------------- */

static uint64_t whole(const json_t *entry, const char *field)
{
    return (uint64_t)json_integer_value(json_object_get(entry, field));
}

bool ortho_manifest_shard_get(const json_t *manifest, const char *name, ortho_manifest_shard *out)
{
    const json_t *entry = json_object_get(json_object_get(manifest, "shards"), name);
    if (!entry)
        return false;
    const char *etag = json_string_value(json_object_get(entry, "etag"));
    *out = (ortho_manifest_shard){.bytes = whole(entry, "bytes"),
                                  .header = whole(entry, "header"),
                                  .etag = etag ? etag : "",
                                  .header_xxh3 =
                                      json_string_value(json_object_get(entry, "header_xxh3"))};
    return true;
}

static bool get(const json_t *manifest, const char *list, const char *name,
                ortho_manifest_tensor *out)
{
    const json_t *entry = json_object_get(json_object_get(manifest, list), name);
    if (!entry)
        return false;
    const json_t *range = json_object_get(entry, "range");
    *out = (ortho_manifest_tensor){
        .shard = json_string_value(json_object_get(entry, "shard")),
        .begin = (uint64_t)json_integer_value(json_array_get(range, 0)),
        .end = (uint64_t)json_integer_value(json_array_get(range, 1)),
        .xxh3 = json_string_value(json_object_get(entry, "xxh3")),
        .piece = json_integer_value(json_object_get(entry, "piece")),
        .done = json_object_get(entry, "done"),
    };
    return true;
}

bool ortho_manifest_tensor_get(const json_t *manifest, const char *name, ortho_manifest_tensor *out)
{
    return get(manifest, "tensors", name, out);
}

bool ortho_manifest_partial_get(const json_t *manifest, const char *name,
                                ortho_manifest_tensor *out)
{
    return get(manifest, "partial", name, out);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

ortho_status ortho_slice_hash(const ortho_file *file, uint64_t begin, uint64_t end,
                              char hex[ORTHO_SLICE_HASH_SIZE])
{
    ortho_status status = ORTHO_OK;
    XXH3_state_t *state = XXH3_createState();
    unsigned char *piece = malloc(HASH_PIECE);
    if (!state || !piece) {
        status = ortho_fail(ORTHO_E_MEMORY, "%s: no memory to hash it", file->path);
        goto done;
    }
    XXH3_128bits_reset(state);
    for (uint64_t at = begin; at < end && status == ORTHO_OK;) {
        size_t bytes = end - at < HASH_PIECE ? (size_t)(end - at) : HASH_PIECE;
        status = ortho_file_read(file, at, piece, bytes);
        if (status == ORTHO_OK)
            XXH3_128bits_update(state, piece, bytes);
        at += bytes;
    }
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    if (status == ORTHO_OK)
        snprintf(hex, ORTHO_SLICE_HASH_SIZE, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
done:
    free(piece);
    XXH3_freeState(state);
    return status;
}

ortho_status ortho_shard_check(const ortho_file *file, const ortho_manifest_shard *shard)
{
    char hex[ORTHO_SLICE_HASH_SIZE];
    if (file->size != shard->bytes)
        return ortho_reject(ORTHO_E_FORMAT, (ortho_place){.file = file->path, .offset = file->size},
                            "the file ends there, but the shard has %llu bytes",
                            (unsigned long long)shard->bytes);
    ortho_status status = ortho_slice_hash(file, 0, shard->header, hex);
    if (status == ORTHO_OK && strcmp(hex, shard->header_xxh3) != 0)
        status = ortho_reject(ORTHO_E_FORMAT, (ortho_place){.file = file->path},
                              "its header was changed since it was fetched");
    return status;
}
