/*
 * y = x * (Base + alpha * Ortho)^T.
 *
 * Weights are packed once and take activations of any dtype; sums are fp32 and rounded once. Long
 * batches are cut into pieces, so that a workspace stays small; a GPU's are longer, since it
 * unpacks the weights once a piece. They follow each other on the caller's stream and share one
 * workspace: nothing here waits.
 */
#include "lib/forward.h"

#include "common/dtype.h"
#include "common/error.h"

#include <stdio.h>

bool ortho_forward_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

/* ---- what the caller gave -------------------------------------------------------------------- */

ortho_status ortho_forward_check_dtype(ortho_dtype dtype)
{
    if (dtype != ORTHO_F32 && dtype != ORTHO_F16 && dtype != ORTHO_BF16)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "activations of dtype %s: only F32, F16 and BF16 can be",
                          ortho_dtype_name(dtype));
    return ORTHO_OK;
}

ortho_status ortho_forward_check_stream(const ortho_layer *layer, const void *stream)
{
    if (stream != NULL && layer->gpu == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "this layer is the CPU's: stream must be NULL");
    return ORTHO_OK;
}

ortho_status ortho_forward_check_memory(const ortho_layer *layer, const void *x, int64_t m,
                                        ortho_dtype dtype, const void *y)
{
    int64_t n = layer->facts.n, k = layer->facts.k, widest = n > k ? n : k;
    if (m > INT64_MAX / (int64_t)sizeof(float) / widest)
        return ortho_fail(ORTHO_E_ARGUMENT, "m is %lld: more than memory can hold", (long long)m);
    size_t tokens = (size_t)m * ortho_dtype_bytes(dtype);
    if (ortho_forward_overlap(x, tokens * (size_t)k, y, tokens * (size_t)n))
        return ortho_fail(ORTHO_E_ARGUMENT, "x and y overlap");
    return ORTHO_OK;
}

ortho_status ortho_forward_check_sides(const ortho_layer *layer, const void *x, const void *y)
{
    const ortho_gpu *gpu = layer->gpu;
    const bool x_good =
        gpu == NULL ? ortho_gpu_memory(x, NULL) != ORTHO_MEMORY_DEVICE : ortho_gpu_reaches(gpu, x);
    if (x_good && (gpu == NULL ? ortho_gpu_memory(y, NULL) != ORTHO_MEMORY_DEVICE
                               : ortho_gpu_reaches(gpu, y)))
        return ORTHO_OK;
    const char *wrong = x_good ? "y" : "x";
    return gpu == NULL
               ? ortho_fail(ORTHO_E_ARGUMENT, "%s is a GPU's memory, but the layer is the CPU's",
                            wrong)
               : ortho_fail(ORTHO_E_ARGUMENT, "%s isn't memory of GPU %d, where the layer is",
                            wrong, ortho_gpu_ordinal(gpu));
}

/* Where a layer computes, for messages: "the CPU", "GPU 1". */
static void name_place(const ortho_layer *layer, char place[32])
{
    if (layer->gpu == NULL)
        snprintf(place, 32, "the CPU");
    else
        snprintf(place, 32, "GPU %d", ortho_gpu_ordinal(layer->gpu));
}

static bool are_together(const ortho_layer *a, const ortho_layer *b)
{
    if (a->gpu == NULL || b->gpu == NULL)
        return a->gpu == b->gpu;
    return ortho_gpu_ordinal(a->gpu) == ortho_gpu_ordinal(b->gpu);
}

ortho_status ortho_forward_check_together(const ortho_layer *first, const ortho_layer *layer,
                                          const char *part, int i)
{
    char here[32], there[32];
    if (layer == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s %d: the layer is NULL", part, i);
    if (are_together(first, layer))
        return ORTHO_OK;
    name_place(layer, here);
    name_place(first, there);
    return ortho_fail(ORTHO_E_ARGUMENT,
                      "%s %d is on %s and %s 0 on %s: the layers of a call share a device", part, i,
                      here, part, there);
}

/* ---- a layer's part in a call ---------------------------------------------------------------- */

const ortho_server *ortho_forward_server(const ortho_layer *layer, int64_t m)
{
    const ortho_server *server = layer->server;
    while (m > server->max_m)
        server++;
    return server;
}

/* A GPU keeps workspaces while it has layers, so a piece is made shorter for one that would be
 * larger. */
#define WORKSPACE_MOST ((size_t)256 << 20)

static size_t workspace_bytes(const ortho_server *server, int64_t tokens, ortho_dtype dtype)
{
    const ortho_gemm_hooks *gemm = server->variant->gemm;
    return gemm->workspace == NULL ? 0 : gemm->workspace(server->state, tokens, dtype);
}

int64_t ortho_forward_piece_tokens(const ortho_forward *f)
{
    if (f->m <= ORTHO_LAYER_TOKENS) /* one piece, whatever the answer */
        return ORTHO_LAYER_TOKENS;
    int64_t tokens = ortho_layer_tokens(f->layer->gpu);
    while (tokens > ORTHO_LAYER_TOKENS &&
           workspace_bytes(f->server, tokens, f->dtype) > WORKSPACE_MOST)
        tokens /= 2;
    return tokens;
}

/* Of the piece that begins with token t. */
static int64_t piece_m(const ortho_forward *f, int64_t t)
{
    return f->m - t < f->piece ? f->m - t : f->piece;
}

ortho_status ortho_forward_take(ortho_forward *f)
{
    const size_t bytes = workspace_bytes(f->server, piece_m(f, 0), f->dtype);
    if (f->layer->gpu == NULL) {
        f->workspace = ortho_pool_take(f->layer->pool, bytes);
        return f->workspace != NULL ? ORTHO_OK : ORTHO_E_MEMORY;
    }
    ortho_status status = ortho_gpu_take(f->layer->gpu, bytes, f->stream, &f->lease);
    if (status == ORTHO_OK)
        f->workspace = f->lease.memory;
    return status;
}

ortho_status ortho_forward_give(ortho_forward *f)
{
    if (f->layer->gpu != NULL)
        return ortho_gpu_give(f->layer->gpu, &f->lease);
    ortho_pool_give(f->layer->pool, f->workspace);
    return ORTHO_OK;
}

ortho_gemm_call ortho_forward_piece(const ortho_forward *f, int64_t t)
{
    const size_t bytes = ortho_dtype_bytes(f->dtype);
    return (ortho_gemm_call){
        .x = f->x + (size_t)(t * f->layer->facts.k) * bytes,
        .y = f->y + (size_t)(t * f->layer->facts.n) * bytes,
        .dtype = f->dtype,
        .m = piece_m(f, t),
        .alpha = f->layer->alpha,
        .workspace = f->workspace,
        .threads = f->layer->threads,
        .stream = f->stream,
    };
}

ortho_status ortho_forward_run(const ortho_forward *f)
{
    ortho_status status = ORTHO_OK;
    for (int64_t t = 0; t < f->m && status == ORTHO_OK; t += f->piece) {
        const ortho_gemm_call call = ortho_forward_piece(f, t);
        status = f->server->variant->gemm->run(f->server->state, &call);
    }
    return status;
}

ortho_status ortho_forward_whole(ortho_forward *f)
{
    f->piece = ortho_forward_piece_tokens(f);
    ortho_status status = ortho_forward_take(f);
    if (status != ORTHO_OK)
        return status;
    status = ortho_forward_run(f);
    ortho_status given = ortho_forward_give(f);
    return status != ORTHO_OK ? status : given;
}

/* ---- one layer ------------------------------------------------------------------------------- */

static ortho_status check_call(const ortho_layer *layer, int64_t m, ortho_dtype dtype,
                               const void *stream)
{
    if (layer == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_forward: layer is NULL");
    if (m < 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "m is %lld; it must be >= 0", (long long)m);
    ortho_status status = ortho_forward_check_dtype(dtype);
    return status == ORTHO_OK ? ortho_forward_check_stream(layer, stream) : status;
}

ORTHO_API ortho_status ortho_layer_forward(const ortho_layer *layer, const void *x, int64_t m,
                                           ortho_dtype dtype, void *y, void *stream)
{
    ortho_gpu_scope scope;
    ortho_status status = check_call(layer, m, dtype, stream);
    if (status != ORTHO_OK || m == 0)
        return status;
    if (x == NULL || y == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_forward: %s is NULL",
                          x == NULL ? "x" : "y");
    status = ortho_forward_check_memory(layer, x, m, dtype, y);
    if (status == ORTHO_OK)
        status = ortho_layer_enter(layer, &scope);
    if (status != ORTHO_OK)
        return status;
    ortho_forward f = {.layer = layer,
                       .server = ortho_forward_server(layer, m),
                       .x = x,
                       .y = y,
                       .m = m,
                       .dtype = dtype,
                       .stream = stream};
    status = ortho_forward_check_sides(layer, x, y);
    if (status == ORTHO_OK)
        status = ortho_forward_whole(&f);
    ortho_layer_leave(layer, &scope);
    return status;
}
