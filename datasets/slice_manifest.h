/*
 * slice_manifest.h: manifest.json, the only authority on which tensors of a commit are complete.
 *
 *     {"schema": "ortho-slices/1", "repository": "org/name", "commit": "...", "endpoint":
 * "https://...", "shards":  {"model-00001-of-00002.safetensors":
 *                    {"bytes": 4965799096, "etag": "...", "header": 24000, "header_xxh3": "..."}},
 *      "tensors": {"model.layers.0.mlp.up_proj.weight":
 *                    {"shard": "...", "range": [begin, end], "xxh3": "...", "fetched":
 * "2026-..."}}, "partial": {"...": {"shard": "...", "range": [begin, end], "piece": 8388608,
 * "done": [0, 2]}}}
 *
 * Ranges are absolute in the shard; xxh3 is the 128-bit hash of the tensor's bytes, 32 hex digits.
 * A shard of which all is there was held against the hub's SHA-256, where that is its ETag:
 * "sha256". It is written whole, after the data that it tells of were synced. A tensor under
 * "partial" is not complete: its entry only spares a later fetch the pieces that are there.
 */
#ifndef ORTHO_DATASETS_SLICE_MANIFEST_H
#define ORTHO_DATASETS_SLICE_MANIFEST_H

#include "datasets/file.h"

#include <jansson.h>

#define ORTHO_MANIFEST_NAME   "manifest.json"
#define ORTHO_SLICE_HASH_SIZE 33 /* 32 hex digits and a NUL */

typedef struct ortho_manifest_shard {
    uint64_t bytes, header; /* of the whole shard; of its first 8 bytes and JSON */
    const char *etag;       /* the hub's, borrowed; "" where it gave none */
    const char *header_xxh3;
} ortho_manifest_shard;

typedef struct ortho_manifest_tensor {
    const char *shard; /* borrowed */
    uint64_t begin, end;
    const char *xxh3;   /* NULL for a partial one */
    int64_t piece;      /* of a partial one, bytes */
    const json_t *done; /* of a partial one: the numbers of its pieces */
} ortho_manifest_tensor;

/* An empty one. The caller owns *out (json_decref). */
ortho_status ortho_manifest_new(const char *repository, const char *commit, const char *endpoint,
                                json_t **out);

/* Reads and checks `folder`/manifest.json. NOT_FOUND when there is none; FORMAT says what is wrong
 * and what to do. The caller owns *out (json_decref). */
ortho_status ortho_manifest_load(const char *folder, json_t **out);

/* Writes it whole. Call it only after the data that it names were synced. */
ortho_status ortho_manifest_save(const json_t *manifest, const char *folder);

/* Entries of a manifest that was loaded or made here. False: it has none of that name. */
bool ortho_manifest_shard_get(const json_t *manifest, const char *name, ortho_manifest_shard *out);
bool ortho_manifest_tensor_get(const json_t *manifest, const char *name,
                               ortho_manifest_tensor *out);
bool ortho_manifest_partial_get(const json_t *manifest, const char *name,
                                ortho_manifest_tensor *out);

/* xxh3-128 of bytes [begin, end) of a file, as hex. */
ortho_status ortho_slice_hash(const ortho_file *, uint64_t begin, uint64_t end,
                              char hex[ORTHO_SLICE_HASH_SIZE]);

/* Is this the shard that the manifest tells of: its length, and its header by hash? FORMAT or
 * NOT_FOUND when not. */
ortho_status ortho_shard_check(const ortho_file *, const ortho_manifest_shard *);

#endif
