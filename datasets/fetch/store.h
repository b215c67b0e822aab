/*
 * store.h: the cache's folder of one commit, for writing. The order is always: data, fdatasync,
 * manifest (whole, by rename); so that a kill at any moment leaves a cache that only lacks
 * something.
 */
#ifndef ORTHO_FETCH_STORE_H
#define ORTHO_FETCH_STORE_H

#include "datasets/slice_cache.h"
#include "datasets/slice_manifest.h"

typedef struct ortho_slice_store {
    char folder[ORTHO_PATH_SIZE]; /* of the commit */
    json_t *manifest;
} ortho_slice_store;

/* What a header says of its shard. */
typedef struct ortho_shard_header {
    void *bytes; /* 8 bytes and the JSON; owned by whoever got it */
    size_t length;
    uint64_t total; /* the shard's */
    char etag[129];
} ortho_shard_header;

/* Waits until no other process writes below `folder` (made where it is missing). While one does,
 * `stopped` is asked again and again; true ends the wait. *out is a descriptor to be closed. */
ortho_status ortho_store_lock(const char *folder, bool (*stopped)(void *ctx), void *ctx, int *out);

/* Opens the folder of a commit, made where it is missing; an absent manifest is an empty one. The
 * lock must be held until ortho_store_close. */
ortho_status ortho_store_open(const char *folder, const char *repository, const char *commit,
                              const char *endpoint, ortho_slice_store *out);
void ortho_store_close(ortho_slice_store *);

/* Takes from the manifest each shard whose file is missing, has another length or another header,
 * with its tensors; returns how many shards. */
int ortho_store_strike(ortho_slice_store *);

/* Takes one tensor from it. */
void ortho_store_strike_tensor(ortho_slice_store *, const char *tensor);

/* Makes the shard's file: its header, and a hole up to its length. Synced; the manifest is not yet
 * saved. */
ortho_status ortho_store_add_shard(ortho_slice_store *, const char *shard,
                                   const ortho_shard_header *);

/* Opens a shard's file for writing tensors into it. *out is a descriptor to be closed. */
ortho_status ortho_store_open_shard(const ortho_slice_store *, const char *shard, int *out);

/* Writes a small file of the folder (or of `folder`/refs) whole. */
ortho_status ortho_store_put(const char *path, const void *bytes, size_t length);

#endif
