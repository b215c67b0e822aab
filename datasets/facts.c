/* facts.c: what a report says of a dataset. Its hash identifies the data without reading them:
 * xxh3-128 of each file's length and of its bytes before the first tensor, which hold every name,
 * shape and range; of the source's own identity where it has one: a generator's, a hub commit. */
#include "common/error.h"
#include "datasets/dataset.h"
#include "datasets/file.h"
#include "datasets/registry.h"
#include "datasets/slice_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define PIECE 65536

/* Copies text that may be too long for its field. */
static void copy_text(char *dst, size_t size, const char *src)
{
    size_t length = strlen(src);
    length = length < size ? length : size - 1;
    memcpy(dst, src, length);
    dst[length] = '\0';
}

static ortho_status hash_header(XXH3_state_t *state, const char *path, uint64_t header)
{
    unsigned char *piece = malloc(PIECE);
    if (!piece)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory to hash its header", path);
    ortho_file file;
    ortho_status status = ortho_file_open(path, &file);
    if (status != ORTHO_OK)
        goto free_piece;
    XXH3_128bits_update(state, &file.size, sizeof file.size);
    for (uint64_t at = 0; at < header && status == ORTHO_OK;) {
        size_t bytes = header - at < PIECE ? (size_t)(header - at) : PIECE;
        status = ortho_file_read(&file, at, piece, bytes);
        if (status == ORTHO_OK)
            XXH3_128bits_update(state, piece, bytes);
        at += bytes;
    }
    ortho_file_close(&file);
free_piece:
    free(piece);
    return status;
}

/* Tensors of one file follow each other: `header` is the least begin of a run with the same file.
 */
static ortho_status hash_files(const ortho_dataset *dataset, XXH3_state_t *state)
{
    int64_t tensors = ortho_dataset_tensors(dataset);
    for (int64_t i = 0; i < tensors;) {
        const char *file = ortho_dataset_tensor(dataset, i)->file;
        uint64_t header = UINT64_MAX;
        for (; i < tensors && ortho_dataset_tensor(dataset, i)->file == file; i++)
            if (ortho_dataset_tensor(dataset, i)->begin < header)
                header = ortho_dataset_tensor(dataset, i)->begin;
        ortho_status status = file ? hash_header(state, file, header) : ORTHO_OK;
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

static ortho_status hash_dataset(const ortho_dataset *dataset, const char *identity, char out[65])
{
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to hash a header");
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, identity, strlen(identity));
    ortho_status status = identity[0] ? ORTHO_OK : hash_files(dataset, state);
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    if (status == ORTHO_OK)
        snprintf(out, 65, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
    return status;
}

/* The known model that a checkpoint is: by the hub name it was asked for, or by a file's name and
 * length. */
static const json_t *recognise(const ortho_dataset *dataset, const json_t *registry,
                               const char *spec)
{
    const ortho_tensor *t = ortho_dataset_tensor(dataset, 0);
    ortho_hub_spec hub;
    if (ortho_hub_spec_is(spec) && ortho_hub_spec_parse(spec, &hub) == ORTHO_OK)
        return ortho_registry_by_hub(registry, hub.name);
    const json_t *model = ortho_registry_by_hub(registry, spec);
    if (model || !t || !t->file)
        return model;
    ortho_file file;
    if (ortho_file_open(t->file, &file) != ORTHO_OK)
        return NULL;
    model = ortho_registry_by_file(registry, ortho_path_base(t->file), file.size);
    ortho_file_close(&file);
    return model;
}

/* The last part of a path, without a reader's suffix. */
static void name_by_path(const char *path, char *name, size_t size)
{
    char copy[ORTHO_PATH_SIZE];
    copy_text(copy, sizeof copy, path);
    for (size_t end = strlen(copy); end > 1 && copy[end - 1] == '/'; end--)
        copy[end - 1] = '\0';
    copy_text(name, size, ortho_path_base(copy));
    char *dot = strrchr(name, '.');
    if (dot && dot != name && (strcmp(dot, ".gguf") == 0 || strcmp(dot, ".safetensors") == 0))
        *dot = '\0';
}

static bool is_four_bit(const ortho_dataset *dataset)
{
    for (int64_t i = 0; i < dataset->slice_count; i++) {
        ortho_dtype dtype = dataset->slices[i].tensor->dtype;
        if (dtype == ORTHO_Q4_0 || dtype == ORTHO_Q4_1)
            return true;
    }
    return false;
}

ortho_status ortho_dataset_describe(ortho_dataset *dataset, const json_t *registry,
                                    const json_t *model, const char *spec)
{
    const ortho_source_facts *source = dataset->reader->facts(dataset->source);
    ortho_model_facts *facts = &dataset->facts;
    copy_text(facts->format, sizeof facts->format, dataset->reader->name);
    copy_text(facts->path, sizeof facts->path, source->path);
    facts->synthetic = dataset->reader->synthetic || source->synthetic;
    facts->seed = source->seed;
    facts->four_bit = is_four_bit(dataset);
    if (!model)
        model = recognise(dataset, registry, spec);
    if (model)
        copy_text(facts->name, sizeof facts->name, ortho_registry_text(model, "name"));
    else if (source->name[0])
        copy_text(facts->name, sizeof facts->name, source->name);
    else
        name_by_path(source->path, facts->name, sizeof facts->name);
    if (facts->synthetic && !dataset->reader->synthetic) { /* a stand-in must not look real */
        size_t length = strlen(facts->name);
        copy_text(facts->name + length, sizeof facts->name - length, " (made, not trained)");
    } else if (model) {
        copy_text(facts->licence, sizeof facts->licence, ortho_registry_text(model, "licence"));
        copy_text(facts->attribution, sizeof facts->attribution,
                  ortho_registry_text(model, "attribution"));
    }
    return hash_dataset(dataset, source->identity, facts->hash);
}
