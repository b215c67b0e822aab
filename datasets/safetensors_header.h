/*
 * safetensors_header.h: the header of a safetensors file, checked to the last byte.
 *
 * Layout: u64 little-endian N, N bytes of JSON, data. Each entry is {"dtype", "shape",
 * "data_offsets": [begin, end)} relative to the data; the ranges must tile the data exactly.
 */
#ifndef ORTHO_DATASETS_SAFETENSORS_HEADER_H
#define ORTHO_DATASETS_SAFETENSORS_HEADER_H

#include "datasets/checkpoint.h"

#include <jansson.h>

#define ORTHO_HEADER_LIMIT 100000000u /* bytes of JSON, the format's own cap */

/* The share of one shard in a checkpoint: of its tensors, those that `weight_map` gives to `shard`.
 */
typedef struct ortho_shard_claim {
    json_t *weight_map; /* name -> shard; a tensor that was found is deleted from it */
    const char *shard;
} ortho_shard_claim;

/* Parses files[file] of the source and appends its tensors: all, or those of the claim. */
ortho_status ortho_safetensors_parse(ortho_source *, size_t file, const ortho_shard_claim *claim);

#endif
