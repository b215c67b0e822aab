#include "datasets/safetensors_header.h"

#include "common/dtype.h"
#include "common/error.h"
#include "datasets/json.h"
#include "datasets/reject.h"

#include <stdlib.h>
#include <string.h>

#define METADATA_KEY "__metadata__"
/* In the metadata: says that the weights were made, not trained (scripts/make-llama-dir). */
#define SYNTHETIC_KEY "made"

typedef struct header {
    const ortho_file *file;
    char *text;
    ortho_json_text json;
    json_t *root;
    ortho_tensor *tensors; /* ranges absolute */
    size_t count;
    uint64_t data; /* where the data begins */
    bool synthetic;
} header;

static void header_free(header *h)
{
    free(h->tensors);
    json_decref(h->root);
    free(h->text);
}

static ortho_place entry_place(const header *h, const char *name)
{
    return (ortho_place){h->file->path, name, ortho_json_offset(&h->json, name)};
}

static ortho_status read_text(header *h)
{
    unsigned char prefix[8];
    ortho_place start = {h->file->path, NULL, 0};
    if (h->file->size < sizeof prefix)
        return ortho_reject(ORTHO_E_FORMAT, start, "%llu bytes are too few for a header",
                            (unsigned long long)h->file->size);
    ortho_status status = ortho_file_read(h->file, 0, prefix, sizeof prefix);
    if (status != ORTHO_OK)
        return status;
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | prefix[i];
    if (length > ORTHO_HEADER_LIMIT)
        return ortho_reject(ORTHO_E_FORMAT, start, "header of %llu bytes: at most %u are legal",
                            (unsigned long long)length, ORTHO_HEADER_LIMIT);
    if (length > h->file->size - sizeof prefix)
        return ortho_reject(ORTHO_E_FORMAT, start, "header of %llu bytes: the file ends at %llu",
                            (unsigned long long)length, (unsigned long long)h->file->size);
    h->text = malloc((size_t)length + 1);
    if (!h->text)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its header", h->file->path);
    h->data = sizeof prefix + length;
    h->json = (ortho_json_text){.file = h->file->path,
                                .base = sizeof prefix,
                                .text = h->text,
                                .length = (size_t)length,
                                .name_depth = 1};
    return ortho_file_read(h->file, sizeof prefix, h->text, (size_t)length);
}

static ortho_status parse_metadata(header *h, json_t *metadata)
{
    ortho_place place = entry_place(h, METADATA_KEY);
    if (!json_is_object(metadata))
        return ortho_reject(ORTHO_E_FORMAT, place, "must map strings to strings");
    for (void *i = json_object_iter(metadata); i; i = json_object_iter_next(metadata, i))
        if (!json_is_string(json_object_iter_value(i)))
            return ortho_reject(ORTHO_E_FORMAT, place, "\"%s\" must be a string",
                                json_object_iter_key(i));
    h->synthetic = json_object_get(metadata, SYNTHETIC_KEY) != NULL;
    return ORTHO_OK;
}

static ortho_status parse_shape(const header *h, const json_t *shape, ortho_tensor *t)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape))
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, t->name), "\"shape\" must be an array");
    if (rank > ORTHO_MAX_RANK)
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, t->name), "rank %zu: at most %d", rank,
                            ORTHO_MAX_RANK);
    t->rank = (int)rank;
    for (size_t i = 0; i < rank; i++)
        if (!ortho_json_whole(json_array_get(shape, i), &t->shape[i]))
            return ortho_reject(ORTHO_E_FORMAT, entry_place(h, t->name),
                                "dimension %zu must be a whole number, not negative", i);
    return ORTHO_OK;
}

static ortho_status parse_range(const header *h, const json_t *range, ortho_tensor *t)
{
    int64_t begin, end, elements;
    uint64_t bytes;
    if (json_array_size(range) != 2 || !ortho_json_whole(json_array_get(range, 0), &begin) ||
        !ortho_json_whole(json_array_get(range, 1), &end))
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, t->name),
                            "\"data_offsets\" must be two whole numbers, not negative");
    if (end < begin)
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, t->name),
                            "data ends at %lld before it begins at %lld", (long long)end,
                            (long long)begin);
    if (!ortho_tensor_size(t, &elements, &bytes))
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, t->name),
                            "its shape overflows, or doesn't fill whole bytes of %s",
                            ortho_dtype_name(t->dtype));
    if ((uint64_t)(end - begin) != bytes)
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, t->name),
                            "%lld bytes of data, but %lld elements of %s take %llu",
                            (long long)(end - begin), (long long)elements,
                            ortho_dtype_name(t->dtype), (unsigned long long)bytes);
    t->begin = h->data + (uint64_t)begin; /* below 2^63 + 10^8: no overflow */
    t->end = h->data + (uint64_t)end;
    return ORTHO_OK;
}

static ortho_status parse_entry(const header *h, const char *name, const json_t *entry,
                                ortho_tensor *t)
{
    size_t length = strlen(name);
    if (length >= ORTHO_NAME_LENGTH)
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, name), "name of %zu bytes: at most %d",
                            length, ORTHO_NAME_LENGTH - 1);
    if (!ortho_text_is_clean(name, length))
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, name), "control character in the name");
    *t = (ortho_tensor){0};
    memcpy(t->name, name, length);
    if (!json_is_object(entry))
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, name), "its entry must be an object");
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype || !ortho_dtype_from_name(dtype, &t->dtype) || t->dtype >= ORTHO_Q4_0)
        return ortho_reject(ORTHO_E_FORMAT, entry_place(h, name), "unknown dtype %s",
                            dtype ? dtype : "(none)");
    ortho_status status = parse_shape(h, json_object_get(entry, "shape"), t);
    return status == ORTHO_OK ? parse_range(h, json_object_get(entry, "data_offsets"), t) : status;
}

static int by_range(const void *a, const void *b)
{
    const ortho_tensor *x = *(const ortho_tensor *const *)a, *y = *(const ortho_tensor *const *)b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* In the order of their offsets, the tensors must follow each other without hole or overlap. */
static ortho_status check_tiling(const header *h)
{
    const ortho_tensor **order = malloc((h->count + 1) * sizeof(*order));
    if (!order)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory to check its layout", h->file->path);
    for (size_t i = 0; i < h->count; i++)
        order[i] = &h->tensors[i];
    qsort(order, h->count, sizeof(*order), by_range);
    ortho_status status = ORTHO_OK;
    uint64_t end = h->data;
    const char *last = NULL;
    for (size_t i = 0; i < h->count && status == ORTHO_OK; i++) {
        ortho_place place = {h->file->path, order[i]->name, order[i]->begin};
        if (order[i]->begin != end)
            status = ortho_reject(ORTHO_E_FORMAT, place,
                                  "begins there, but what precedes ends at "
                                  "%llu: a%s",
                                  (unsigned long long)end,
                                  order[i]->begin > end ? " hole" : "n overlap");
        end = order[i]->end;
        last = order[i]->name;
    }
    if (status == ORTHO_OK && end != h->file->size)
        status = ortho_reject(ORTHO_E_FORMAT, (ortho_place){h->file->path, last, end},
                              "the data ends there, but the file ends at %llu",
                              (unsigned long long)h->file->size);
    free(order);
    return status;
}

static ortho_status parse_entries(header *h)
{
    h->tensors = calloc(json_object_size(h->root) + 1, sizeof *h->tensors);
    if (!h->tensors)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its tensors", h->file->path);
    for (void *i = json_object_iter(h->root); i; i = json_object_iter_next(h->root, i)) {
        const char *name = json_object_iter_key(i);
        json_t *entry = json_object_iter_value(i);
        ortho_status status;
        if (strcmp(name, METADATA_KEY) == 0)
            status = parse_metadata(h, entry);
        else
            status = parse_entry(h, name, entry, &h->tensors[h->count++]);
        if (status != ORTHO_OK)
            return status;
    }
    return check_tiling(h);
}

/* Is this tensor one that the claim gives to this shard? Crosses it off. */
static bool claimed(const ortho_shard_claim *claim, const char *name)
{
    if (!claim)
        return true;
    const char *shard = json_string_value(json_object_get(claim->weight_map, name));
    if (!shard || strcmp(shard, claim->shard) != 0)
        return false;
    json_object_del(claim->weight_map, name);
    return true;
}

ortho_status ortho_safetensors_parse(ortho_source *source, size_t file,
                                     const ortho_shard_claim *claim)
{
    header h = {.file = &source->files[file]};
    ortho_status status = read_text(&h);
    if (status != ORTHO_OK)
        goto done;
    status = ortho_json_parse(&h.json, &h.root);
    if (status != ORTHO_OK)
        goto done;
    status = parse_entries(&h);
    for (size_t i = 0; i < h.count && status == ORTHO_OK; i++)
        if (claimed(claim, h.tensors[i].name))
            status = ortho_checkpoint_add_tensor(source, &h.tensors[i], file);
    if (status == ORTHO_OK)
        source->metadata[file] = json_incref(json_object_get(h.root, METADATA_KEY));
    if (status == ORTHO_OK && h.synthetic)
        source->facts.synthetic = true;
done:
    header_free(&h);
    return status;
}
