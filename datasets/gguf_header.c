#include "datasets/gguf_header.h"

#include "common/dtype.h"
#include "common/error.h"
#include "datasets/gguf_cursor.h"
#include "datasets/reject.h"

#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define MAGIC             0x46554747u /* "GGUF" */
#define NAME_SIZE         64          /* a tensor's name with its NUL */
#define KEY_SIZE          1024        /* a key's; the format allows more, nobody uses it */
#define MAX_DIMS          4
#define MIN_KEY_BYTES     13 /* length, type, the smallest value */
#define MIN_TENSOR_BYTES  24 /* length, dimensions, type, offset of a nameless scalar */
#define DEFAULT_ALIGNMENT 32

enum { TYPE_U32 = 4, TYPE_STRING = 8, TYPE_ARRAY = 9, TYPE_COUNT = 13 };

/* Bytes of a value by its type; 0: of variable length. */
static const uint64_t type_bytes[TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

typedef struct ggml_type {
    uint32_t id;
    ortho_dtype dtype;
} ggml_type;

static const ggml_type ggml_types[] = {
    {0, ORTHO_F32},  {1, ORTHO_F16},  {2, ORTHO_Q4_0},  {3, ORTHO_Q4_1},
    {8, ORTHO_Q8_0}, {24, ORTHO_I8},  {25, ORTHO_I16},  {26, ORTHO_I32},
    {27, ORTHO_I64}, {28, ORTHO_F64}, {30, ORTHO_BF16},
};

/* A name met before, to find duplicates without keeping names. */
typedef struct seen {
    XXH128_hash_t hash;
    uint64_t at;
} seen;

typedef struct parser {
    ortho_gguf_cursor cursor;
    ortho_source *source;
    size_t file;
    uint64_t tensors, keys, alignment;
    seen *names;
    size_t name_count, name_room;
} parser;

static ortho_status reject_at(const parser *p, uint64_t at, const char *what, uint64_t value)
{
    ortho_place place = {p->cursor.file->path, p->cursor.tensor, at};
    return ortho_reject(ORTHO_E_FORMAT, place, "%s (%llu)", what, (unsigned long long)value);
}

static ortho_status remember(parser *p, const char *name, uint64_t at)
{
    if (p->name_count == p->name_room) {
        size_t room = p->name_room ? p->name_room * 2 : 64;
        seen *names = realloc(p->names, room * sizeof *names);
        if (!names)
            return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its names", p->cursor.file->path);
        p->names = names;
        p->name_room = room;
    }
    p->names[p->name_count++] = (seen){XXH3_128bits(name, strlen(name)), at};
    return ORTHO_OK;
}

static int by_hash(const void *a, const void *b)
{
    const seen *x = a, *y = b;
    int order = XXH128_cmp(&x->hash, &y->hash);
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

/* Refuses a name met twice since the last call, and forgets them all. */
static ortho_status check_duplicates(parser *p, const char *what, size_t size)
{
    char name[KEY_SIZE];
    if (p->name_count > 1)
        qsort(p->names, p->name_count, sizeof *p->names, by_hash);
    for (size_t i = 1; i < p->name_count; i++) {
        if (!XXH128_isEqual(p->names[i - 1].hash, p->names[i].hash))
            continue;
        uint64_t at = p->names[i].at;
        p->cursor.at = at;
        ortho_status status = ortho_gguf_name(&p->cursor, what, name, size);
        if (status != ORTHO_OK)
            return status;
        return ortho_reject(ORTHO_E_FORMAT, (ortho_place){p->cursor.file->path, name, at},
                            "a second %s of this name", what);
    }
    p->name_count = 0;
    return ORTHO_OK;
}

static ortho_status skip_array(parser *p)
{
    uint64_t at = p->cursor.at, count;
    uint32_t type;
    ortho_status status = ortho_gguf_u32(&p->cursor, &type);
    if (status == ORTHO_OK)
        status = ortho_gguf_u64(&p->cursor, &count);
    if (status != ORTHO_OK)
        return status;
    if (type == TYPE_ARRAY)
        return reject_at(p, at, "an array within an array", type);
    if (type >= TYPE_COUNT)
        return reject_at(p, at, "unknown type of array elements", type);
    if (type != TYPE_STRING)
        return ortho_gguf_skip(&p->cursor, count, type_bytes[type], "array");
    if (count > ortho_gguf_remaining(&p->cursor) / 8)
        return reject_at(p, at, "array of more strings than the remaining bytes can hold", count);
    for (uint64_t i = 0; i < count && status == ORTHO_OK; i++)
        status = ortho_gguf_skip_string(&p->cursor);
    return status;
}

static ortho_status parse_alignment(parser *p, uint32_t type)
{
    uint64_t at = p->cursor.at;
    uint32_t value;
    if (type != TYPE_U32)
        return reject_at(p, at, "general.alignment is not a u32, but of type", type);
    ortho_status status = ortho_gguf_u32(&p->cursor, &value);
    if (status != ORTHO_OK)
        return status;
    if (value == 0 || (value & (value - 1)) != 0)
        return reject_at(p, at, "general.alignment is not a power of two", value);
    p->alignment = value;
    return ORTHO_OK;
}

static ortho_status parse_key(parser *p)
{
    char key[KEY_SIZE];
    uint64_t at = p->cursor.at, type_at;
    uint32_t type;
    ortho_status status = ortho_gguf_name(&p->cursor, "key", key, sizeof key);
    if (status != ORTHO_OK)
        return status;
    status = remember(p, key, at);
    type_at = p->cursor.at;
    if (status == ORTHO_OK)
        status = ortho_gguf_u32(&p->cursor, &type);
    if (status != ORTHO_OK)
        return status;
    if (type >= TYPE_COUNT)
        return reject_at(p, type_at, "unknown type of a value", type);
    if (strcmp(key, "general.alignment") == 0)
        return parse_alignment(p, type);
    if (type == TYPE_STRING)
        return ortho_gguf_skip_string(&p->cursor);
    if (type == TYPE_ARRAY)
        return skip_array(p);
    return ortho_gguf_skip(&p->cursor, 1, type_bytes[type], "value");
}

static ortho_status parse_shape(parser *p, ortho_tensor *t)
{
    uint64_t at = p->cursor.at, value;
    uint32_t dims;
    ortho_status status = ortho_gguf_u32(&p->cursor, &dims);
    if (status != ORTHO_OK)
        return status;
    if (dims > MAX_DIMS)
        return reject_at(p, at, "more than 4 dimensions", dims);
    t->rank = (int)dims;
    for (uint32_t i = 0; i < dims; i++) {
        at = p->cursor.at;
        status = ortho_gguf_u64(&p->cursor, &value);
        if (status != ORTHO_OK)
            return status;
        if (value > INT64_MAX)
            return reject_at(p, at, "negative dimension", value);
        t->shape[dims - 1 - i] = (int64_t)value;
    }
    return ORTHO_OK;
}

static ortho_status parse_type(parser *p, ortho_tensor *t, uint64_t *bytes)
{
    uint64_t at = p->cursor.at;
    uint32_t id;
    ortho_status status = ortho_gguf_u32(&p->cursor, &id);
    if (status != ORTHO_OK)
        return status;
    size_t known = sizeof ggml_types / sizeof *ggml_types, i = 0;
    while (i < known && ggml_types[i].id != id)
        i++;
    if (i == known)
        return ortho_reject(ORTHO_E_UNSUPPORTED, (ortho_place){p->cursor.file->path, t->name, at},
                            "GGUF type %u: F32, F16, BF16, F64, I8 to I64, Q4_0, Q4_1, Q8_0 are "
                            "known here",
                            id);
    t->dtype = ggml_types[i].dtype;
    int64_t elements, inner = t->rank > 0 ? t->shape[t->rank - 1] : 1;
    if (inner % ortho_dtype_block(t->dtype) != 0)
        return reject_at(p, at, "the innermost dimension is not a whole number of blocks",
                         (uint64_t)inner);
    if (!ortho_tensor_size(t, &elements, bytes))
        return reject_at(p, at, "its shape's product overflows; innermost", (uint64_t)inner);
    return ORTHO_OK;
}

/* Leaves begin relative to the data, which begins where the last info ends. */
static ortho_status parse_tensor(parser *p)
{
    ortho_tensor t = {0};
    uint64_t at = p->cursor.at, bytes;
    ortho_status status = ortho_gguf_name(&p->cursor, "tensor's name", t.name, NAME_SIZE);
    if (status != ORTHO_OK)
        return status;
    p->cursor.tensor = t.name;
    status = remember(p, t.name, at);
    if (status == ORTHO_OK)
        status = parse_shape(p, &t);
    if (status == ORTHO_OK)
        status = parse_type(p, &t, &bytes);
    at = p->cursor.at;
    if (status == ORTHO_OK)
        status = ortho_gguf_u64(&p->cursor, &t.begin);
    if (status == ORTHO_OK && (t.begin & (p->alignment - 1)) != 0)
        status = reject_at(p, at, "offset is not a multiple of the alignment", t.begin);
    if (status == ORTHO_OK && t.begin > UINT64_MAX - bytes)
        status = reject_at(p, at, "offset plus size overflows", t.begin);
    if (status == ORTHO_OK) {
        t.end = t.begin + bytes;
        status = ortho_checkpoint_add_tensor(p->source, &t, p->file);
    }
    p->cursor.tensor = NULL;
    return status;
}

/* Makes ranges absolute and holds them against the file. */
static ortho_status place_tensors(parser *p)
{
    const ortho_file *file = p->cursor.file;
    uint64_t header = p->cursor.at;
    if (header > UINT64_MAX - (p->alignment - 1))
        return reject_at(p, header, "the header's length plus the alignment overflows", header);
    uint64_t data = (header + p->alignment - 1) & ~(p->alignment - 1);
    for (size_t i = 0; i < p->source->tensor_count; i++) {
        ortho_tensor *t = &p->source->tensors[i];
        uint64_t bytes = t->end - t->begin;
        ortho_place place = {file->path, t->name, data + t->begin};
        if (data > file->size || t->begin > file->size - data ||
            bytes > file->size - data - t->begin)
            return ortho_reject(ORTHO_E_FORMAT, place,
                                "its %llu bytes there end past the file, which has %llu",
                                (unsigned long long)bytes, (unsigned long long)file->size);
        t->begin += data;
        t->end = t->begin + bytes;
    }
    return ORTHO_OK;
}

static ortho_status parse_prologue(parser *p)
{
    uint32_t magic, version;
    ortho_status status = ortho_gguf_u32(&p->cursor, &magic);
    if (status == ORTHO_OK && magic != MAGIC)
        return reject_at(p, 0, "not a GGUF file: its first four bytes are not \"GGUF\"", magic);
    if (status == ORTHO_OK)
        status = ortho_gguf_u32(&p->cursor, &version);
    if (status == ORTHO_OK && version != 2 && version != 3)
        return reject_at(p, 4, "GGUF version is neither 2 nor 3 in little-endian", version);
    if (status == ORTHO_OK)
        status = ortho_gguf_u64(&p->cursor, &p->tensors);
    if (status == ORTHO_OK)
        status = ortho_gguf_u64(&p->cursor, &p->keys);
    if (status != ORTHO_OK)
        return status;
    uint64_t left = ortho_gguf_remaining(&p->cursor);
    if (p->tensors > left / MIN_TENSOR_BYTES)
        return reject_at(p, 8, "more tensors than the remaining bytes can hold", p->tensors);
    if (p->keys > left / MIN_KEY_BYTES)
        return reject_at(p, 16, "more keys than the remaining bytes can hold", p->keys);
    return ORTHO_OK;
}

ortho_status ortho_gguf_parse(ortho_source *source, size_t file)
{
    parser *p = calloc(1, sizeof *p);
    if (!p)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its header", source->files[file].path);
    p->cursor.file = &source->files[file];
    p->source = source;
    p->file = file;
    p->alignment = DEFAULT_ALIGNMENT;
    ortho_status status = parse_prologue(p);
    for (uint64_t i = 0; i < p->keys && status == ORTHO_OK; i++)
        status = parse_key(p);
    if (status == ORTHO_OK)
        status = check_duplicates(p, "key", KEY_SIZE);
    for (uint64_t i = 0; i < p->tensors && status == ORTHO_OK; i++)
        status = parse_tensor(p);
    uint64_t end = p->cursor.at;
    if (status == ORTHO_OK)
        status = check_duplicates(p, "tensor", NAME_SIZE);
    p->cursor.at = end;
    if (status == ORTHO_OK)
        status = place_tensors(p);
    free(p->names);
    free(p);
    return status;
}
