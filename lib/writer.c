/*
 * An artifact of one file in the making. How long the header will be is known when the last layer
 * has come, so layers go to a temporary file beside the target first; commit writes header and data
 * to another one, syncs it and gives it its name. Both are gone after commit or abort.
 */
#define _GNU_SOURCE /* copy_file_range */
#include "common/error.h"
#include "common/output.h"
#include "datasets/file.h"
#include "datasets/reject.h"
#include "lib/arrays.h"
#include "lib/layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_LIMIT 200
#define PIECE      ((size_t)1 << 20)

struct ortho_writer {
    ortho_output data; /* the layers' bytes, one behind the other */
    ortho_header header;
    bool broken; /* a write failed: what is in `data` isn't what the header says */
};

ORTHO_API ortho_status ortho_writer_open(const char *path, ortho_writer **out)
{
    if (path == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_writer_open: %s is NULL",
                          path == NULL ? "path" : "out");
    if (path[0] == '\0' || ortho_path_is_folder(path))
        return ortho_fail(ORTHO_E_ARGUMENT, "\"%s\": want the name of a file, not of a folder",
                          path);
    ortho_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a writer");
    ortho_status status = ortho_header_begin(&writer->header);
    if (status == ORTHO_OK)
        status = ortho_output_begin(path, &writer->data);
    if (status != ORTHO_OK)
        ortho_writer_abort(writer);
    else
        *out = writer;
    return status;
}

ORTHO_API void ortho_writer_abort(ortho_writer *writer)
{
    if (writer == NULL)
        return;
    ortho_output_abort(&writer->data);
    ortho_header_clear(&writer->header);
    free(writer);
}

/* ---- a layer --------------------------------------------------------------------------------- */

static ortho_status check_name(const ortho_writer *writer, const char *name)
{
    char key[NAME_LIMIT + sizeof ORTHO_LAYER_KEY] = ORTHO_LAYER_KEY;
    size_t length = strnlen(name, NAME_LIMIT + 1);
    if (length == 0 || length > NAME_LIMIT)
        return ortho_fail(ORTHO_E_ARGUMENT, "a layer's name has 1 to %d bytes", NAME_LIMIT);
    if (!ortho_text_is_clean(name, length))
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "a layer's name must be UTF-8 without control characters");
    memcpy(key + strlen(key), name, length + 1);
    if (json_object_get(writer->header.metadata, key) != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s has a layer \"%s\" already", writer->data.target,
                          name);
    return ORTHO_OK;
}

/* Takes a layer out of the header again. */
static void forget(ortho_header *header, const ortho_layer_facts *facts, uint64_t data_bytes)
{
    char key[ORTHO_NAME_LENGTH + sizeof ORTHO_LAYER_KEY] = ORTHO_LAYER_KEY;
    for (int p = 0; p < ORTHO_PARTS; p++) {
        ortho_tensor t;
        ortho_part_tensor(facts, (ortho_part)p, &t);
        json_object_del(header->root, t.name);
    }
    strcat(key, facts->name);
    json_object_del(header->metadata, key);
    header->data_bytes = data_bytes;
}

static ortho_status write_arrays(ortho_writer *writer, const ortho_layer_facts *facts,
                                 const ortho_split *split)
{
    const ortho_part *order = ortho_part_order(facts);
    for (int i = 0; i < ORTHO_PARTS; i++) {
        size_t bytes = (size_t)ortho_part_bytes(facts, order[i]);
        const void *part = ortho_arrays_part(split, order[i]);
        if (fwrite(part, 1, bytes, writer->data.stream) != bytes) {
            int why = errno;
            writer->broken = true;
            return ortho_fail(ORTHO_E_IO, "%s: layer \"%s\" can't be written: %s",
                              writer->data.target, facts->name, strerror(why));
        }
    }
    return ORTHO_OK;
}

ORTHO_API ortho_status ortho_layer_save(const ortho_layer *layer, ortho_writer *writer,
                                        const char *name)
{
    if (layer == NULL || writer == NULL || name == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_save: %s is NULL",
                          layer == NULL    ? "layer"
                          : writer == NULL ? "writer"
                                           : "name");
    if (writer->broken)
        return ortho_fail(ORTHO_E_IO, "%s: an earlier write failed; abort this writer",
                          writer->data.target);
    ortho_layer_facts facts = layer->facts;
    ortho_split split = {0};
    uint64_t before = writer->header.data_bytes;
    ortho_status status = check_name(writer, name);
    if (status != ORTHO_OK)
        return status;
    strcpy(facts.name, name);
    status = ortho_arrays_new(&facts, &split);
    if (status == ORTHO_OK)
        status = ortho_layer_export(layer, &split);
    if (status == ORTHO_OK) {
        status = ortho_header_add_layer(&writer->header, &facts);
        if (status == ORTHO_OK)
            status = write_arrays(writer, &facts, &split);
        if (status != ORTHO_OK)
            forget(&writer->header, &facts, before);
    }
    ortho_arrays_free(&split);
    return status;
}

/* ---- the file -------------------------------------------------------------------------------- */

static ortho_status copy_failed(const ortho_output *to)
{
    return ortho_fail(ORTHO_E_IO, "%s: writing failed: %s", to->target, strerror(errno));
}

/* Where the kernel can't copy between these files itself. */
static ortho_status copy_by_hand(int from, off_t at, uint64_t bytes, const ortho_output *to)
{
    ortho_status status = ORTHO_OK;
    char *piece = malloc(PIECE);
    if (piece == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to copy with");
    while (bytes > 0 && status == ORTHO_OK) {
        ssize_t got = pread(from, piece, bytes < PIECE ? (size_t)bytes : PIECE, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || fwrite(piece, 1, (size_t)got, to->stream) != (size_t)got) {
            status = copy_failed(to);
            break;
        }
        at += got;
        bytes -= (uint64_t)got;
    }
    free(piece);
    return status;
}

/* The data behind what was written to `to`, which is flushed. */
static ortho_status copy_data(int from, uint64_t bytes, const ortho_output *to)
{
    off_t at = 0;
    while (bytes > 0) {
        ssize_t moved = copy_file_range(from, &at, fileno(to->stream), NULL, (size_t)bytes, 0);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
            return copy_failed(to);
        if (moved <= 0)
            return copy_by_hand(from, at, bytes, to);
        bytes -= (uint64_t)moved;
    }
    return ORTHO_OK;
}

static ortho_status write_file(const ortho_writer *writer, const ortho_output *to)
{
    char *header = NULL;
    size_t bytes = 0;
    ortho_status status = ortho_header_render(&writer->header, &header, &bytes);
    if (status != ORTHO_OK)
        return status;
    if (fwrite(header, 1, bytes, to->stream) != bytes || fflush(to->stream) != 0 ||
        fflush(writer->data.stream) != 0)
        status = copy_failed(to);
    free(header);
    if (status == ORTHO_OK)
        status = copy_data(fileno(writer->data.stream), writer->header.data_bytes, to);
    return status;
}

ORTHO_API ortho_status ortho_writer_commit(ortho_writer *writer)
{
    ortho_output to = {0};
    if (writer == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_writer_commit: writer is NULL");
    ortho_status status = ORTHO_OK;
    if (writer->broken)
        status = ortho_fail(ORTHO_E_IO, "%s: an earlier write failed: nothing is kept",
                            writer->data.target);
    if (status == ORTHO_OK)
        status = ortho_output_begin(writer->data.target, &to);
    if (status == ORTHO_OK) {
        status = write_file(writer, &to);
        if (status == ORTHO_OK)
            status = ortho_output_commit(&to);
        else
            ortho_output_abort(&to);
    }
    ortho_writer_abort(writer);
    return status;
}
