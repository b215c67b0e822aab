/*
 * artifact.h: the artifact's format, as the library writes and reads it. docs/ARTIFACT.md tells it
 * to users.
 *
 * A safetensors file. A layer is one run of bytes, its five arrays in the order of ortho_part:
 * those of wide elements first, so that they are aligned where the run is. Everything that the
 * header says is known before the sieve has begun, but the hashes of the source's bytes: those have
 * a fixed width, so that a header can be written again in its place.
 */
#ifndef ORTHO_LIB_ARTIFACT_H
#define ORTHO_LIB_ARTIFACT_H

#include <ortho/reader.h>

#include <jansson.h>

/* Raised when a reader of the version before would misread it. */
#define ORTHO_ARTIFACT_VERSION 1

#define ORTHO_HASH_LENGTH 32                                 /* hex digits of an xxh3-128 */
#define ORTHO_NO_HASH     "--------------------------------" /* the hash isn't known */

typedef enum ortho_part {
    ORTHO_PART_ROW_PTR = 0, /* I32 [n+1] */
    ORTHO_PART_SCALE,       /* F16 [n, ceil(k/group)] */
    ORTHO_PART_VAL,         /* F16 [nnz] */
    ORTHO_PART_COL,         /* U16 or U32 [nnz] */
    ORTHO_PART_Q,           /* U8 [n, ceil(k/2)] */
    ORTHO_PARTS
} ortho_part;

/* What the metadata say of a layer, under "ortho.layer:NAME", as JSON. */
typedef struct ortho_layer_facts {
    char name[ORTHO_NAME_LENGTH];
    char tensor[ORTHO_NAME_LENGTH]; /* the weight it was made from; "" unknown */
    int64_t n, k, nnz, group;
    ortho_rule rule;
    double density;
    char hessian[64];                   /* "weights", "source", or "file:" and the file's hash */
    char source[ORTHO_HASH_LENGTH + 1]; /* xxh3-128 of the weight's bytes as stored */
} ortho_layer_facts;

/* A layer's name from its weight's: without ".weight". "" when that leaves nothing. */
void ortho_artifact_layer_name(const char *tensor, char name[ORTHO_NAME_LENGTH]);

/* "outlier" */
const char *ortho_rule_word(ortho_rule rule);

/* ".base.q" */
const char *ortho_part_suffix(ortho_part part);

/* The tensor of a part: name, dtype, shape, and `bytes` as end - begin, from begin 0. */
void ortho_part_tensor(const ortho_layer_facts *facts, ortho_part part, ortho_tensor *out);

/* Bytes of a part; of all five. */
uint64_t ortho_part_bytes(const ortho_layer_facts *facts, ortho_part part);
uint64_t ortho_layer_bytes(const ortho_layer_facts *facts);

/* The parts [ORTHO_PARTS] as they follow each other. */
const ortho_part *ortho_part_order(const ortho_layer_facts *facts);

/* Where a part lies in its layer's run of bytes. */
uint64_t ortho_part_offset(const ortho_layer_facts *facts, ortho_part part);

/* Points a split's arrays into a layer's run of bytes, whose row_ptr must be aligned. */
void ortho_layer_view(const ortho_layer_facts *facts, void *run, ortho_split *out);

/* ---- headers --------------------------------------------------------------------------------- */

/* A safetensors header in the making. Zeroed before ortho_header_begin. */
typedef struct ortho_header {
    json_t *root, *metadata;
    uint64_t data_bytes; /* of the tensors so far */
} ortho_header;

/* Begins one with the metadata that every artifact has. */
ortho_status ortho_header_begin(ortho_header *header);
void ortho_header_clear(ortho_header *header);

ortho_status ortho_header_say(ortho_header *header, const char *key, const char *value);

/* The next tensor of the file, its bytes behind those before. ARGUMENT when the name is taken. */
ortho_status ortho_header_add(ortho_header *header, const ortho_tensor *tensor);

/* A layer: five tensors and its facts. */
ortho_status ortho_header_add_layer(ortho_header *header, const ortho_layer_facts *facts);

/* Writes the facts again, with a hash of the same length: the header keeps its size. */
ortho_status ortho_header_set_facts(ortho_header *header, const ortho_layer_facts *facts);

/* The bytes before the data: length and JSON, padded with spaces to a multiple of 64. The caller
 * frees *out. */
ortho_status ortho_header_render(const ortho_header *header, char **out, size_t *bytes);

/* Reads the facts of layer `name` from their JSON. FORMAT says what is wrong; `file` for words. */
ortho_status ortho_layer_facts_parse(const char *file, const char *name, const char *json,
                                     ortho_layer_facts *out);

#define ORTHO_LAYER_KEY "ortho.layer:" /* the metadata key of a layer, before its name */

#endif
