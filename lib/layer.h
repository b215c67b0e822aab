/*
 * layer.h: what an ortho_layer is, inside the library.
 *
 * A layer owns its weights once, in the packed layout of the variant that serves it; the canonical
 * split lives only from the sieve to the end of prepare. Nothing of a layer changes in a forward
 * but its pool of workspaces, which locks.
 */
#ifndef ORTHO_LIB_LAYER_H
#define ORTHO_LIB_LAYER_H

#include "common/account.h"
#include "lib/choice.h"
#include "lib/pool.h"

/* Tokens that one call of a variant takes; a longer forward is cut into such pieces, so that
 * workspaces stay small whatever the caller's m. */
#define ORTHO_LAYER_TOKENS 512

/* A variant with the weights as it packed them; it serves forwards of up to max_m tokens. */
typedef struct ortho_server {
    const ortho_variant *variant;
    void *state;
    int64_t max_m;
} ortho_server;

struct ortho_layer {
    int64_t n, k, nnz, group;
    ortho_rule rule;
    float alpha;
    int threads; /* of a forward, >= 1: the variant's workspace is sized for them */
    int server_count;
    ortho_server server[ORTHO_BATCH_CLASSES]; /* by ascending max_m; the last is unbounded */
    ortho_account account;
    ortho_pool *pool;
};

/* Prepares the servers of a layer whose sizes are set from its split. On failure none is left. */
ortho_status ortho_layer_serve(ortho_layer *layer, const ortho_split *split);

#endif
