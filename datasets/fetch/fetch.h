/*
 * fetch.h: slices of a model on the hub, into our own cache: the headers by range, then the wanted
 * tensors' bytes and nothing else. What is there already isn't fetched again; what was interrupted
 * goes on where it was. A checkpoint of 6 GB costs what is taken of it.
 */
#ifndef ORTHO_FETCH_H
#define ORTHO_FETCH_H

#include "datasets/fetch/client.h"

typedef struct ortho_fetch_request {
    const char *spec;         /* hf:org/name[@revision], org/name, or a known model's name */
    const int *layers;        /* layer_count of them; 0: layer 0 */
    const char *const *projs; /* proj_count of "q", "down", ...; 0: all */
    int layer_count, proj_count;
    bool everything; /* every tensor, whatever layers and projections say */
    int jobs;        /* requests at once, 1 or more */
    ortho_fetch_tuning tuning;
    /* Asked by any thread, all the time: true ends the fetch; what is complete is kept. */
    bool (*cancelled)(void *ctx);
    /* Bytes of this fetch that came and that there are, and the tensor at work; by the calling
     * thread only, some ten times a second. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total, const char *label);
    /* A sentence for the user: a retry, another process at work; by the calling thread only. */
    void (*note)(void *ctx, const char *text);
    void *ctx;
} ortho_fetch_request;

typedef struct ortho_fetch_summary {
    char repository[ORTHO_HUB_NAME_SIZE], revision[ORTHO_REVISION_SIZE];
    char commit[ORTHO_COMMIT_SIZE];
    char folder[ORTHO_PATH_SIZE];  /* of the cache, for this commit */
    char licence[128];             /* "" when unknown */
    int64_t wanted, fetched;       /* tensors; wanted - fetched were there */
    uint64_t bytes, fetched_bytes; /* of the wanted tensors; of those that came now */
    double seconds;
} ortho_fetch_summary;

/* The defaults of a tuning, changed by ORTHO_FETCH_PIECE (bytes), ORTHO_FETCH_ATTEMPTS,
 * ORTHO_FETCH_BACKOFF (seconds) and ORTHO_FETCH_TIMEOUT (seconds). ARGUMENT names a bad one. */
ortho_status ortho_fetch_tuning_find(ortho_fetch_tuning *out);

/* Fetches. On a failure, CANCELLED too, what was complete stays and counts. */
ortho_status ortho_fetch(const ortho_fetch_request *, ortho_fetch_summary *out);

typedef struct ortho_fetch_verdict {
    char repository[ORTHO_HUB_NAME_SIZE], commit[ORTHO_COMMIT_SIZE], folder[ORTHO_PATH_SIZE];
    int64_t checked, damaged; /* tensors */
    uint64_t bytes;           /* that were read */
} ortho_fetch_verdict;

/* Hashes all complete tensors of a model's cache again; needs no network. Each damaged one is told
 * by `note` and struck from the manifest, so that the next fetch gets it anew. */
ortho_status ortho_fetch_check(const ortho_fetch_request *, ortho_fetch_verdict *out);

#endif
