/*
 * plan.h: what a sieve of a checkpoint has to do, all of it known before the first weight is read.
 *
 * A unit is one piece of work that a slot of memory holds: a linear layer to sieve, or a piece of a
 * tensor to copy. The number of entries of a layer follows from its density, so that every unit's
 * place in the artifact is known, and units may be done in any order, and once more after a crash.
 */
#ifndef ORTHO_LIB_PLAN_H
#define ORTHO_LIB_PLAN_H

#include "datasets/dataset.h"
#include "lib/artifact.h"

#include <time.h>

#define ORTHO_COPY_BYTES                                                                           \
    (8u << 20) /* of a tensor that is copied, at a time; as the artifact has it */

/* Beside what is read, and beside what is written: in memory both lie in their page as they do in
 * their file's, so that they can go past the page cache. Reads may lie behind a W, padded. */
#define ORTHO_READ_ROOM  8192u
#define ORTHO_WRITE_ROOM 4096u

typedef struct ortho_unit {
    int64_t tensor;            /* in the dataset */
    int64_t layer;             /* in the plan's layers; -1: a copy */
    int32_t file;              /* in the plan's files; -1: generated, read by rows */
    int32_t shard;             /* in the plan's shards */
    uint64_t from, from_bytes; /* in the source's file, as stored */
    int64_t row, rows;         /* of generated tensors */
    uint64_t to, to_bytes;     /* in the shard, from its first byte of data */
    bool decode;               /* GGUF blocks become F32 */
} ortho_unit;

/* A layer to be sieved. */
typedef struct ortho_plan_layer {
    ortho_layer_facts facts;
    int64_t slice;     /* in the dataset */
    ortho_dtype dtype; /* of W in memory */
} ortho_plan_layer;

typedef struct ortho_plan_shard {
    char name[64]; /* "model-00001-of-00002.safetensors" */
    ortho_header header;
    size_t header_bytes; /* length and JSON: where the data begin */
    int64_t units;
} ortho_plan_shard;

/* What a caller chose. */
typedef struct ortho_plan_options {
    ortho_sieve_options sieve;
    const char *layers, *projections, *hessian; /* NULL: all, all, none */
} ortho_plan_options;

/* A file of the source, open for reading. */
typedef struct ortho_plan_file {
    const char *path; /* owned by the dataset */
    int fd;
    uint64_t bytes;
    struct timespec time; /* of its last change, when it was opened */
} ortho_plan_file;

typedef struct ortho_plan {
    ortho_dataset *dataset;
    ortho_plan_options options;
    ortho_plan_file *files; /* by path */
    int32_t file_count;
    ortho_plan_shard *shards;
    int32_t shard_count;
    ortho_plan_layer *layers;
    int64_t layer_count;
    ortho_unit *units; /* in the order in which they are to be done */
    int64_t unit_count;
    char hessian[64]; /* as facts name it */
    uint64_t from_bytes, to_bytes,
        sieved_bytes;                       /* of all units; of those that are sieved, source */
    uint64_t largest_in, largest_out;       /* of a layer, in memory */
    uint64_t largest_copy, largest_decoded; /* of a copy, as read and where it is decoded */
} ortho_plan;

/* Opens the model and plans. ARGUMENT when the choice of layers is none. */
ortho_status ortho_plan_make(const char *model, const ortho_plan_options *options,
                             ortho_plan **out);
void ortho_plan_free(ortho_plan *plan); /* NULL is allowed */

/* Bytes of a layer's W, as the sieve reads it. */
uint64_t ortho_plan_w_bytes(const ortho_plan_layer *layer);

/* Bytes that a layer takes in memory: its W, raw bytes to decode and ORTHO_READ_ROOM included, and
 * what it becomes, with ORTHO_WRITE_ROOM. */
uint64_t ortho_plan_layer_in(const ortho_plan *plan, const ortho_unit *unit);
uint64_t ortho_plan_layer_out(const ortho_unit *unit);

/* Where a unit's bytes begin in its shard's file. */
uint64_t ortho_plan_offset(const ortho_plan *plan, const ortho_unit *unit);

/* FORMAT when a file of the source has changed since it was opened: what was read of it may be of
 * two versions. */
ortho_status ortho_plan_check_source(const ortho_plan *plan);

/* The name of a unit's tensor, for words. */
const char *ortho_plan_unit_name(const ortho_plan *plan, const ortho_unit *unit);

/* H of a layer, [k]: from the file, the source itself, or *given = false: from the weights. Opens
 * what it reads; not to be called by two threads at once. */
ortho_status ortho_plan_hessian(const ortho_plan *plan, const ortho_plan_layer *layer, float *h,
                                bool *given);

#endif
