/*
 * layer.h: what an ortho_layer is, inside the library.
 *
 * A layer owns its weights once, in the packed layout of the variant that serves it; the canonical
 * split lives only from the sieve (or a file) to the end of prepare, and is unpacked again when it
 * is asked for. Nothing of a layer changes in a forward but its pool of workspaces, or what it
 * notes of its GPU's, both of which lock.
 */
#ifndef ORTHO_LIB_LAYER_H
#define ORTHO_LIB_LAYER_H

#include "common/account.h"
#include "lib/artifact.h"
#include "lib/choice.h"
#include "lib/device.h"
#include "lib/pool.h"

/* Tokens that one call of a variant takes at most. A longer forward is cut into pieces, so that
 * workspaces stay small whatever the caller's m. A GPU has more of them in one: its kernels read
 * and unpack all weights once a piece. There a large workspace makes pieces smaller
 * (ortho_forward_piece_tokens), down to the CPU's. */
#define ORTHO_LAYER_TOKENS     512
#define ORTHO_LAYER_TOKENS_GPU 8192

/* A variant with the weights as it packed them; it serves forwards of up to max_m tokens. */
typedef struct ortho_server {
    const ortho_variant *variant;
    void *state;
    int64_t max_m;
} ortho_server;

struct ortho_layer {
    ortho_layer_facts facts; /* what an artifact would say of it; `name` isn't used */
    float alpha;
    int threads;                /* of a forward, >= 1: the variant's workspace is sized for them */
    const ortho_variant *asked; /* to serve every m; NULL: the table's choice */
    ortho_activation_mode activations;
    int server_count;
    ortho_server server[ORTHO_BATCH_CLASSES]; /* by ascending max_m; the last is unbounded */
    ortho_account account;
    ortho_pool *pool; /* the CPU's workspaces */
    ortho_gpu *gpu;   /* NULL: the layer is the CPU's */
};

/* Which device is meant by an ortho_device: never AUTO; for that, `automatic`. ARGUMENT when it is
 * none. CUDA on a machine without: UNSUPPORTED, with the reason. */
ortho_status ortho_device_settle(int32_t asked, int32_t automatic, int32_t *out);

/* What AUTO means where weights come from a file: the GPU when there is one. */
int32_t ortho_device_at_hand(void);

/* A layer without weights; threads 0: all. The caller frees it with ortho_layer_free. */
ortho_status ortho_layer_new(const ortho_layer_facts *facts, int32_t device, int32_t threads,
                             ortho_layer **out);

/* What a layer's memory is allocated with; on a GPU to be used between enter and leave. */
ortho_services ortho_layer_services(ortho_layer *layer);

/* The layer's GPU, for as long as the scope; nothing for the CPU's layers. */
ortho_status ortho_layer_enter(const ortho_layer *layer, ortho_gpu_scope *scope);
void ortho_layer_leave(const ortho_layer *layer, const ortho_gpu_scope *scope);

/* Asks for one variant to serve the layer (NULL: the table's choice) and for activations, before it
 * has a split. As ortho_choose_named, or ortho_choose. */
ortho_status ortho_layer_ask(ortho_layer *layer, const char *variant,
                             ortho_activation_mode activations);

ortho_backend ortho_layer_backend(const ortho_layer *layer);

/* Tokens of a piece at most, on a GPU or (NULL) the CPU. */
int64_t ortho_layer_tokens(const ortho_gpu *gpu);

/* The problem of a layer's forwards, without its split; m is what a piece has at most. */
ortho_gemm_problem ortho_layer_problem(const ortho_layer *layer);

/* Prepares the servers of a layer from its split, which was checked. Where nobody was asked for,
 * and the table's first would hold more than 1.05 times an artifact's bytes of at least 1 MiB, it
 * is passed over for one that doesn't. On failure none is left. */
ortho_status ortho_layer_serve(ortho_layer *layer, const ortho_split *split);

/* Zeroed state of a hook, aligned as variant.h promises, to be freed by free(). */
ortho_status ortho_state_new(const ortho_variant *variant, size_t bytes, void **out);

/* The facts of a split that nobody told more about. */
ortho_layer_facts ortho_facts_of_split(const ortho_split *split);

/* A new layer of these facts that serves `split`, on the device of the options (NULL: AUTO). */
ortho_status ortho_layer_of(const ortho_layer_facts *facts, const ortho_split *split,
                            const ortho_layer_options *options, ortho_layer **out);

#endif
