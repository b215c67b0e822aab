#include "datasets/checkpoint.h"

#include "common/dtype.h"
#include "common/error.h"
#include "datasets/decode.h"
#include "datasets/reject.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_BLOCKS 8192 /* storage units decoded at a time: at most 272 KiB of buffer */

ortho_status ortho_checkpoint_new(ortho_source **out)
{
    ortho_source *source = calloc(1, sizeof *source);
    if (!source)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a checkpoint");
    *out = source;
    return ORTHO_OK;
}

void ortho_checkpoint_free(ortho_source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < source->file_count; i++) {
        ortho_file_close(&source->files[i]);
        json_decref(source->metadata[i]);
    }
    free(source->files);
    free(source->metadata);
    free(source->tensors);
    free(source->file_of);
    free(source);
}

ortho_status ortho_checkpoint_add_file(ortho_source *source, const char *path, size_t *index)
{
    size_t room = source->file_count + 1;
    ortho_file *files = realloc(source->files, room * sizeof *files);
    if (files)
        source->files = files;
    json_t **metadata = realloc(source->metadata, room * sizeof(*metadata));
    if (metadata)
        source->metadata = metadata;
    if (!files || !metadata)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for one more file", path);
    metadata[source->file_count] = NULL;
    ortho_status status = ortho_file_open(path, &files[source->file_count]);
    if (status != ORTHO_OK)
        return status;
    *index = source->file_count++;
    return ORTHO_OK;
}

ortho_status ortho_checkpoint_open(const char *path,
                                   ortho_status (*parse)(ortho_source *, size_t file),
                                   ortho_source **out)
{
    ortho_source *source = NULL;
    size_t file = 0;
    ortho_status status = ortho_checkpoint_new(&source);
    if (status != ORTHO_OK)
        return status;
    snprintf(source->facts.path, sizeof source->facts.path, "%s", path);
    status = ortho_checkpoint_add_file(source, path, &file);
    if (status == ORTHO_OK)
        status = parse(source, file);
    if (status == ORTHO_OK)
        *out = source;
    else
        ortho_checkpoint_free(source);
    return status;
}

static ortho_status grow_tensors(ortho_source *source)
{
    size_t room = source->tensor_room ? source->tensor_room * 2 : 64;
    ortho_tensor *tensors = realloc(source->tensors, room * sizeof *tensors);
    if (tensors)
        source->tensors = tensors;
    uint32_t *file_of = realloc(source->file_of, room * sizeof *file_of);
    if (file_of)
        source->file_of = file_of;
    if (!tensors || !file_of)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu tensors", room);
    source->tensor_room = room;
    return ORTHO_OK;
}

ortho_status ortho_checkpoint_add_tensor(ortho_source *source, const ortho_tensor *tensor,
                                         size_t file)
{
    if (source->tensor_count == source->tensor_room) {
        ortho_status status = grow_tensors(source);
        if (status != ORTHO_OK)
            return status;
    }
    source->tensors[source->tensor_count] = *tensor;
    source->tensors[source->tensor_count].file = source->files[file].path;
    source->file_of[source->tensor_count] = (uint32_t)file;
    source->tensor_count++;
    return ORTHO_OK;
}

int64_t ortho_checkpoint_count(const ortho_source *source)
{
    return (int64_t)source->tensor_count;
}

const ortho_tensor *ortho_checkpoint_tensor(const ortho_source *source, int64_t index)
{
    return index >= 0 && index < ortho_checkpoint_count(source) ? &source->tensors[index] : NULL;
}

const ortho_source_facts *ortho_checkpoint_facts(const ortho_source *source)
{
    return &source->facts;
}

/* Byte range of rows. The header's check has shown that the products fit. */
static ortho_status locate_rows(const ortho_tensor *t, int64_t row, int64_t rows, uint64_t *offset,
                                uint64_t *bytes)
{
    ortho_status status = ortho_tensor_check_rows(t, row, rows);
    if (status != ORTHO_OK)
        return status;
    int64_t k = t->shape[1], block = ortho_dtype_block(t->dtype);
    ortho_place place = {t->file, t->name, t->begin};
    if (k % block != 0)
        return ortho_reject(ORTHO_E_UNSUPPORTED, place,
                            "rows of %lld don't fill whole blocks of %s", (long long)k,
                            ortho_dtype_name(t->dtype));
    if (!ortho_dtype_decodable(t->dtype))
        return ortho_reject(ORTHO_E_UNSUPPORTED, place, "dtype %s is named, not decoded",
                            ortho_dtype_name(t->dtype));
    uint64_t row_bytes = (uint64_t)(k / block * ortho_dtype_block_bytes(t->dtype));
    *offset = t->begin + (uint64_t)row * row_bytes;
    *bytes = (uint64_t)rows * row_bytes;
    return ORTHO_OK;
}

ortho_status ortho_checkpoint_read_raw(ortho_source *source, int64_t index, int64_t row,
                                       int64_t rows, void *dst)
{
    uint64_t offset, bytes;
    const ortho_tensor *t = ortho_checkpoint_tensor(source, index);
    ortho_status status = locate_rows(t, row, rows, &offset, &bytes);
    if (status != ORTHO_OK)
        return status;
    if (!ortho_dtype_plain(t->dtype))
        return ortho_fail(ORTHO_E_UNSUPPORTED, "tensor \"%s\" is stored in blocks of %s", t->name,
                          ortho_dtype_name(t->dtype));
    status = ortho_file_read(&source->files[source->file_of[index]], offset, dst, (size_t)bytes);
    return status == ORTHO_OK ? status : ortho_fail_prefix(status, "tensor \"%s\"", t->name);
}

ortho_status ortho_checkpoint_read_f32(ortho_source *source, int64_t index, int64_t row,
                                       int64_t rows, float *dst)
{
    uint64_t offset, bytes;
    const ortho_tensor *t = ortho_checkpoint_tensor(source, index);
    ortho_status status = locate_rows(t, row, rows, &offset, &bytes);
    if (status != ORTHO_OK)
        return status;
    uint64_t unit = (uint64_t)ortho_dtype_block_bytes(t->dtype);
    void *piece = malloc(PIECE_BLOCKS * unit);
    if (!piece)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to decode tensor \"%s\"", t->name);
    while (bytes > 0 && status == ORTHO_OK) {
        uint64_t blocks = bytes / unit < PIECE_BLOCKS ? bytes / unit : PIECE_BLOCKS;
        status = ortho_file_read(&source->files[source->file_of[index]], offset, piece,
                                 (size_t)(blocks * unit));
        if (status != ORTHO_OK)
            break;
        ortho_decode(t->dtype, piece, (int64_t)blocks, dst);
        dst += blocks * (uint64_t)ortho_dtype_block(t->dtype);
        offset += blocks * unit;
        bytes -= blocks * unit;
    }
    free(piece);
    return status == ORTHO_OK ? status : ortho_fail_prefix(status, "tensor \"%s\"", t->name);
}
