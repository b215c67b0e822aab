/*
 * forward.h: what a forward of one layer, of layers that share x, and of a pass have in common:
 * the rules for a caller's memory, and one layer's part in a call, from take to give.
 */
#ifndef ORTHO_LIB_FORWARD_H
#define ORTHO_LIB_FORWARD_H

#include "lib/layer.h"

/* One layer's part in a call. The caller fills in the first block. */
typedef struct ortho_forward {
    const ortho_layer *layer;
    const ortho_server *server; /* ortho_forward_server's */
    const char *x;              /* [m, k] */
    char *y;                    /* [m, n] */
    int64_t m;                  /* >= 1 */
    ortho_dtype dtype;
    void *stream;

    int64_t piece;   /* ortho_forward_piece_tokens', or the group's; before take */
    void *workspace; /* from take to give */
    ortho_gpu_lease lease;
} ortho_forward;

bool ortho_forward_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* UNSUPPORTED: no dtype of activations. */
ortho_status ortho_forward_check_dtype(ortho_dtype dtype);

/* UNSUPPORTED: a stream for the CPU. */
ortho_status ortho_forward_check_stream(const ortho_layer *layer, const void *stream);

/* x [m, k] and y [m, n], neither NULL: ARGUMENT when they overlap or are more than memory holds. */
ortho_status ortho_forward_check_memory(const ortho_layer *layer, const void *x, int64_t m,
                                        ortho_dtype dtype, const void *y);

/* ARGUMENT when x or y isn't memory that the layer's device computes on. In the layer's scope. */
ortho_status ortho_forward_check_sides(const ortho_layer *layer, const void *x, const void *y);

/* What serves a forward of m tokens. */
const ortho_server *ortho_forward_server(const ortho_layer *layer, int64_t m);

/* The layer of `part` i ("layer", "step") of a call whose first is `first`: ARGUMENT, naming the
 * part, when it is NULL or they compute in two places. */
ortho_status ortho_forward_check_together(const ortho_layer *first, const ortho_layer *layer,
                                          const char *part, int i);

/* Tokens of the pieces that a forward is cut into. Fewer than a GPU's (ortho_layer_tokens) where
 * the workspace of such a piece would be large. */
int64_t ortho_forward_piece_tokens(const ortho_forward *f);

/* A workspace from the pool of the layer, or of its GPU, and back; both in the layer's scope. */
ortho_status ortho_forward_take(ortho_forward *f);
ortho_status ortho_forward_give(ortho_forward *f);

/* The call of the piece that begins with token t. */
ortho_gemm_call ortho_forward_piece(const ortho_forward *f, int64_t t);

/* All pieces, one after the other. */
ortho_status ortho_forward_run(const ortho_forward *f);

/* All of it, in pieces as its server would have them: take, run and give. */
ortho_status ortho_forward_whole(ortho_forward *f);

#endif
