/*
 * transfer.h: the wanted tensors' bytes, piece by piece, by several threads at once.
 *
 * A thread takes the next piece, writes it into its shard at its own offset as it comes, and hashes
 * the tensor when its last piece is in. The calling thread meanwhile shows progress and saves the
 * manifest every few seconds: what it lists then was synced before. A piece that came in part
 * counts for nothing.
 */
#ifndef ORTHO_FETCH_TRANSFER_H
#define ORTHO_FETCH_TRANSFER_H

#include "datasets/checkpoint.h"
#include "datasets/fetch/fetch.h"
#include "datasets/fetch/store.h"

#include <stdatomic.h>

/* A shard that takes part. */
typedef struct ortho_fetch_shard {
    char name[256];
    uint64_t bytes;             /* the shard's length */
    char etag[ORTHO_ETAG_SIZE]; /* the hub's, when its header was read; "" when it gave none */
    ortho_source *source;       /* its file and header */
    int fd;                     /* the same file, for writing */
} ortho_fetch_shard;

typedef enum ortho_piece { ORTHO_PIECE_TODO = 0, ORTHO_PIECE_TAKEN, ORTHO_PIECE_DONE } ortho_piece;

/* A tensor that is wanted. */
typedef struct ortho_fetch_tensor {
    const ortho_tensor *tensor;
    ortho_fetch_shard *shard;
    uint8_t *pieces;                  /* an ortho_piece each */
    size_t count, next, left;         /* pieces in all, not taken before this one, not done */
    char xxh3[ORTHO_SLICE_HASH_SIZE]; /* once complete */
    bool complete, saved;             /* all of it is there; the manifest in memory says so */
} ortho_fetch_tensor;

typedef struct ortho_transfer {
    const ortho_fetch_request *request;
    const ortho_hub *hub;
    const char *commit;
    ortho_slice_store *store;
    ortho_fetch_shard *shards;
    ortho_fetch_tensor *tensors;
    size_t shard_count, tensor_count, piece_count;
    atomic_bool *halt; /* becomes true when a thread has failed: `hub->limits.stopped` heeds it */
    /* Tells the user what hub->trouble had to say; by the calling thread. */
    void (*tell)(void *ctx);
    void *ctx;
    uint64_t total;         /* bytes to come */
    int64_t fetched;        /* out: tensors completed here */
    uint64_t fetched_bytes; /* out: of pieces that count */
} ortho_transfer;

/* Gets whatever is not complete. On a failure what is complete was saved all the same. */
ortho_status ortho_transfer_run(ortho_transfer *);

#endif
