/* remote.h: what a repository says of itself: its index, its shards' headers, its small files. */
#ifndef ORTHO_FETCH_REMOTE_H
#define ORTHO_FETCH_REMOTE_H

#include "datasets/fetch/client.h"
#include "datasets/fetch/store.h"

#define ORTHO_INDEX_NAME  "model.safetensors.index.json"
#define ORTHO_SINGLE_NAME "model.safetensors"

/* One repository at one revision, as a thread talks to it. */
typedef struct ortho_remote {
    const ortho_hub *hub;
    ortho_connection *connection;
    const char *revision;
    char commit[ORTHO_COMMIT_SIZE]; /* ""; after the first answer the commit, which every further
                                       request asks for and every answer must be of */
} ortho_remote;

/* Gets a file of at most `limit` bytes whole, NUL-terminated, for the caller to free. NOT_FOUND
 * with *missing. */
ortho_status ortho_remote_file(ortho_remote *, const char *file, uint64_t limit, char **out,
                               size_t *length, ortho_hub_missing *missing);

/* Gets the head of a shard, in one request where it is short. FORMAT when its length can't be. The
 * caller frees out->bytes. NOT_FOUND with *missing. */
ortho_status ortho_remote_header(ortho_remote *, const char *shard, ortho_shard_header *out,
                                 ortho_hub_missing *missing);

/* The names of all tensors and their shards, name -> shard, from an index. The caller owns *out. */
ortho_status ortho_index_parse(const char *text, size_t length, json_t **out);

#endif
