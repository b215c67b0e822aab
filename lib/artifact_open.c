/*
 * ortho_artifact_open: headers alone. A layer is what a file's metadata call one; each of its five
 * tensors must be there, of the dtype and shape that follow from those facts. That the tensors lie
 * within their files was checked by the reader of headers.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "datasets/datasets.h"
#include "datasets/reject.h"
#include "datasets/safetensors_header.h"
#include "lib/artifact_file.h"
#include "lib/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_KEY  "ortho.artifact"
#define INDEX_SUFFIX ".safetensors.index.json"

static const ortho_form info_form = {
    .name = "ortho_artifact_info",
    .least = sizeof(ortho_artifact_info),
    .bytes = sizeof(ortho_artifact_info),
};

/* ---- files ----------------------------------------------------------------------------------- */

static ortho_status parse(ortho_source *source, size_t file)
{
    return ortho_safetensors_parse(source, file, NULL);
}

static bool is_index(const char *path)
{
    size_t length = strlen(path), tail = strlen(INDEX_SUFFIX);
    return length > tail && strcmp(path + length - tail, INDEX_SUFFIX) == 0;
}

/* A folder and an index are what the reader of hub folders reads, whose source is a checkpoint. */
static ortho_status open_source(const char *path, ortho_source **out)
{
    if (!ortho_path_is_folder(path) && !(is_index(path) && ortho_path_is_file(path)))
        return ortho_checkpoint_open(path, parse, out);
    for (const ortho_reader *const *r = ortho_reader_table; *r != NULL; r++)
        if ((*r)->close == ortho_checkpoint_free && (*r)->claims(path))
            return (*r)->open(path, out);
    return ortho_fail(ORTHO_E_NOT_FOUND,
                      "%s: there is no model.safetensors or model.safetensors.index.json in it",
                      path);
}

/* ---- metadata -------------------------------------------------------------------------------- */

static ortho_place place_of(const ortho_source *source, size_t file)
{
    return (ortho_place){.file = source->files[file].path};
}

/* *is_artifact: the file says that it is one, of a version that this library reads. */
static ortho_status check_version(const ortho_source *source, size_t file, bool *is_artifact)
{
    const char *text = json_string_value(json_object_get(source->metadata[file], VERSION_KEY));
    *is_artifact = false;
    if (text == NULL)
        return ORTHO_OK;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0' || atoi(text) < 1)
        return ortho_reject(ORTHO_E_FORMAT, place_of(source, file),
                            "\"" VERSION_KEY "\" is \"%s\", which is no version", text);
    if (atoi(text) > ORTHO_ARTIFACT_VERSION)
        return ortho_reject(ORTHO_E_UNSUPPORTED, place_of(source, file),
                            "an artifact of version %s, and libortho %d.%d.%d reads up to %d: "
                            "update libortho",
                            text, ORTHO_VERSION_MAJOR, ORTHO_VERSION_MINOR, ORTHO_VERSION_PATCH,
                            ORTHO_ARTIFACT_VERSION);
    *is_artifact = true;
    return ORTHO_OK;
}

/* The name in a metadata key "ortho.layer:NAME"; NULL: another key. */
static const char *layer_name(const char *key)
{
    size_t length = sizeof ORTHO_LAYER_KEY - 1;
    return strncmp(key, ORTHO_LAYER_KEY, length) == 0 ? key + length : NULL;
}

/* A name must leave room for the longest suffix. */
static ortho_status check_name(const ortho_source *source, size_t file, const char *name)
{
    size_t length = strlen(name), room = ORTHO_NAME_LENGTH - 1;
    for (int p = 0; p < ORTHO_PARTS; p++) {
        size_t suffix = strlen(ortho_part_suffix((ortho_part)p));
        if (length == 0 || length + suffix > room || !ortho_text_is_clean(name, length))
            return ortho_reject(ORTHO_E_FORMAT, place_of(source, file),
                                "a layer's name of %zu bytes: want 1 to %zu, without control "
                                "characters",
                                length, room - suffix);
    }
    return ORTHO_OK;
}

static ortho_status add_layer(ortho_artifact *a, size_t file, const char *name, const char *json)
{
    const ortho_place place = place_of(a->source, file);
    ortho_status status = check_name(a->source, file, name);
    if (status != ORTHO_OK)
        return status;
    if (a->count == a->room) {
        size_t room = a->room > 0 ? 2 * a->room : 64;
        ortho_artifact_layer *layers = realloc(a->layers, room * sizeof *layers);
        if (layers == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for %zu layers", place.file, room);
        a->layers = layers;
        a->room = room;
    }
    status = ortho_layer_facts_parse(place.file, name, json, &a->layers[a->count].facts);
    if (status == ORTHO_OK)
        a->count++;
    return status;
}

static ortho_status read_metadata(ortho_artifact *a, size_t file, bool *is_artifact)
{
    json_t *metadata = a->source->metadata[file];
    ortho_status status = check_version(a->source, file, is_artifact);
    for (void *i = json_object_iter(metadata); i != NULL && status == ORTHO_OK;
         i = json_object_iter_next(metadata, i)) {
        const char *name = layer_name(json_object_iter_key(i));
        if (name == NULL)
            continue;
        status = *is_artifact
                     ? add_layer(a, file, name, json_string_value(json_object_iter_value(i)))
                     : ortho_reject(ORTHO_E_FORMAT, place_of(a->source, file),
                                    "it describes layers, but doesn't say \"" VERSION_KEY "\"");
    }
    return status;
}

static ortho_status read_layers(ortho_artifact *a)
{
    bool any = false;
    ortho_status status = ORTHO_OK;
    for (size_t file = 0; file < a->source->file_count && status == ORTHO_OK; file++) {
        bool is_artifact = false;
        status = read_metadata(a, file, &is_artifact);
        any |= is_artifact;
    }
    if (status == ORTHO_OK && !any)
        status = ortho_fail(ORTHO_E_UNSUPPORTED,
                            "%s: a checkpoint without a sieved layer: sieve it first",
                            a->source->facts.path);
    return status;
}

/* ---- names ----------------------------------------------------------------------------------- */

typedef struct named {
    const char *name;
    size_t index;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static ortho_status sort_layers(ortho_artifact *a)
{
    ortho_status status = ORTHO_OK;
    named *order = malloc((a->count + 1) * sizeof *order);
    a->by_name = malloc((a->count + 1) * sizeof *a->by_name);
    if (order == NULL || a->by_name == NULL) {
        free(order);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu layers", a->count);
    }
    for (size_t i = 0; i < a->count; i++)
        order[i] = (named){a->layers[i].facts.name, i};
    qsort(order, a->count, sizeof *order, by_name);
    for (size_t i = 0; i < a->count && status == ORTHO_OK; i++) {
        a->by_name[i] = order[i].index;
        if (i > 0 && strcmp(order[i].name, order[i - 1].name) == 0)
            status = ortho_fail(ORTHO_E_FORMAT, "%s: two files describe layer \"%s\"",
                                a->source->facts.path, order[i].name);
    }
    free(order);
    return status;
}

const ortho_artifact_layer *ortho_artifact_find(const ortho_artifact *a, const char *name)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const ortho_artifact_layer *layer = &a->layers[a->by_name[middle]];
        int order = strcmp(layer->facts.name, name);
        if (order == 0)
            return layer;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static ortho_status check_tensor(const ortho_layer_facts *facts, const ortho_tensor *wanted,
                                 const ortho_tensor *found)
{
    ortho_place place = {found->file, found->name, found->begin};
    if (found->dtype != wanted->dtype)
        return ortho_reject(ORTHO_E_FORMAT, place, "it is %s, but such an array is %s",
                            ortho_dtype_name(found->dtype), ortho_dtype_name(wanted->dtype));
    if (found->rank != wanted->rank)
        return ortho_reject(ORTHO_E_FORMAT, place, "it has rank %d, not %d", found->rank,
                            wanted->rank);
    for (int i = 0; i < wanted->rank; i++)
        if (found->shape[i] != wanted->shape[i])
            return ortho_reject(ORTHO_E_FORMAT, place,
                                "dimension %d is %lld; for n %lld, k %lld, nnz %lld, group %lld, "
                                "as the metadata say, it is %lld",
                                i, (long long)found->shape[i], (long long)facts->n,
                                (long long)facts->k, (long long)facts->nnz, (long long)facts->group,
                                (long long)wanted->shape[i]);
    return ORTHO_OK;
}

static ortho_status find_parts(const ortho_artifact *a, const named *tensors, size_t count,
                               ortho_artifact_layer *layer)
{
    ortho_status status = ORTHO_OK;
    for (int p = 0; p < ORTHO_PARTS && status == ORTHO_OK; p++) {
        ortho_tensor wanted;
        ortho_part_tensor(&layer->facts, (ortho_part)p, &wanted);
        const named key = {.name = wanted.name};
        const named *found = bsearch(&key, tensors, count, sizeof *tensors, by_name);
        if (found == NULL)
            return ortho_reject(ORTHO_E_FORMAT,
                                (ortho_place){a->source->facts.path, wanted.name, 0},
                                "the metadata describe its layer, but it isn't there");
        layer->part[p] = (int64_t)found->index;
        status = check_tensor(&layer->facts, &wanted, &a->source->tensors[found->index]);
    }
    return status;
}

static ortho_status find_tensors(ortho_artifact *a)
{
    size_t count = a->source->tensor_count;
    named *order = malloc((count + 1) * sizeof *order);
    if (order == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu tensors", count);
    for (size_t i = 0; i < count; i++)
        order[i] = (named){a->source->tensors[i].name, i};
    qsort(order, count, sizeof *order, by_name);
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < a->count && status == ORTHO_OK; i++)
        status = find_parts(a, order, count, &a->layers[i]);
    free(order);
    return status;
}

/* ---- the handle ------------------------------------------------------------------------------ */

ORTHO_API ortho_status ortho_artifact_open(const char *path, ortho_artifact **out)
{
    if (path == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_artifact_open: %s is NULL",
                          path == NULL ? "path" : "out");
    ortho_artifact *artifact = calloc(1, sizeof *artifact);
    if (artifact == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an artifact");
    ortho_status status = open_source(path, &artifact->source);
    if (status == ORTHO_OK)
        status = read_layers(artifact);
    if (status == ORTHO_OK)
        status = sort_layers(artifact);
    if (status == ORTHO_OK)
        status = find_tensors(artifact);
    if (status != ORTHO_OK)
        ortho_artifact_close(artifact);
    else
        *out = artifact;
    return status;
}

ORTHO_API void ortho_artifact_close(ortho_artifact *artifact)
{
    if (artifact == NULL)
        return;
    ortho_checkpoint_free(artifact->source);
    free(artifact->layers);
    free(artifact->by_name);
    free(artifact);
}

ORTHO_API int64_t ortho_artifact_count(const ortho_artifact *artifact)
{
    return artifact != NULL ? (int64_t)artifact->count : 0;
}

ORTHO_API ortho_status ortho_artifact_inspect(const ortho_artifact *artifact, int64_t index,
                                              ortho_artifact_info *info)
{
    if (artifact == NULL || info == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_artifact_inspect: %s is NULL",
                          artifact == NULL ? "artifact" : "info");
    if (index < 0 || index >= ortho_artifact_count(artifact))
        return ortho_fail(ORTHO_E_ARGUMENT, "layer %lld of %lld", (long long)index,
                          (long long)ortho_artifact_count(artifact));
    const ortho_layer_facts *f = &artifact->layers[index].facts;
    const ortho_artifact_info all = {
        .name = f->name,
        .tensor = f->tensor,
        .n = f->n,
        .k = f->k,
        .nnz = f->nnz,
        .group = (int32_t)f->group,
        .rule = f->rule,
        .density = f->density,
        .bytes = (size_t)ortho_layer_bytes(f),
    };
    return ortho_info_write(&info_form, &all, info);
}
