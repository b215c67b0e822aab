/* pass.h: what an ortho_pass is, inside the library. Nothing of it changes in a forward but its
 * pool of workspaces, or what it notes of its GPU's, both of which lock. */
#ifndef ORTHO_LIB_PASS_H
#define ORTHO_LIB_PASS_H

#include "lib/layer.h"

typedef struct ortho_pass_link {
    const ortho_layer *layer;
    int64_t x_at; /* -1: the pass's x */
    int64_t y_at;
    float scale;
} ortho_pass_link;

struct ortho_pass {
    int count;
    ortho_dtype dtype;
    int threads;  /* of a chain on the CPU: the first layer's */
    int64_t k, n; /* elements of x and of y */
    ortho_pass_link *links;
    const ortho_variant *variant; /* whose chain it runs; NULL: the steps in turn */
    void *chain;                  /* that chain's state */
    ortho_account account;
    ortho_pool *pool; /* the CPU's workspaces */
    ortho_gpu *gpu;   /* NULL: the pass is the CPU's */
};

/* The steps one after the other, each a forward of its layer, on the CPU. */
ortho_status ortho_pass_run_in_turn(const ortho_pass *pass, const void *x, void *y);

#endif
