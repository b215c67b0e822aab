/*
 * checkpoint.h: the source behind every reader of files: open files, and tensors that are byte
 * ranges in them. A format's part is to parse a header into tensors whose ranges it has checked;
 * reading and decoding rows is the same for all and lies here.
 */
#ifndef ORTHO_DATASETS_CHECKPOINT_H
#define ORTHO_DATASETS_CHECKPOINT_H

#include "datasets/file.h"
#include "datasets/tensor.h"

#include <jansson.h>
#include <ortho/reader.h>

struct ortho_source {
    ortho_file *files;
    json_t **metadata; /* [file_count] the file's strings by key; NULL: it has none */
    size_t file_count;
    ortho_tensor *tensors;
    uint32_t *file_of; /* [tensor_count] index into files */
    size_t tensor_count, tensor_room;
    ortho_source_facts facts;
};

ortho_status ortho_checkpoint_new(ortho_source **out);

/* Closes its files and frees it. NULL is allowed. The readers' `close`. */
void ortho_checkpoint_free(ortho_source *);

/* Opens a file; *index is its number in files. */
ortho_status ortho_checkpoint_add_file(ortho_source *, const char *path, size_t *index);

/* A checkpoint of one file: adds it and lets `parse` read its header. */
ortho_status ortho_checkpoint_open(const char *path,
                                   ortho_status (*parse)(ortho_source *, size_t file),
                                   ortho_source **out);

/* Copies a tensor whose name, shape and range were checked; sets its `file`. */
ortho_status ortho_checkpoint_add_tensor(ortho_source *, const ortho_tensor *, size_t file);

/* The hooks of reader.h that are the same for every format. */
int64_t ortho_checkpoint_count(const ortho_source *);
const ortho_tensor *ortho_checkpoint_tensor(const ortho_source *, int64_t index);
ortho_status ortho_checkpoint_read_f32(ortho_source *, int64_t index, int64_t row, int64_t rows,
                                       float *dst);
ortho_status ortho_checkpoint_read_raw(ortho_source *, int64_t index, int64_t row, int64_t rows,
                                       void *dst);
const ortho_source_facts *ortho_checkpoint_facts(const ortho_source *);

#endif
