/*
 * y = x * (Base + alpha * Ortho)^T.
 *
 * Weights are packed once and take activations of any dtype; sums are fp32 and rounded once. Long
 * batches are cut into pieces, so that a workspace stays small. On a GPU the pieces follow each
 * other on the caller's stream and share one workspace: nothing here waits.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "lib/layer.h"

/* One forward: what all its pieces share. */
typedef struct forward {
    const ortho_layer *layer;
    const ortho_server *server;
    ortho_dtype dtype;
    void *workspace, *stream;
} forward;

static bool overlap(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

static size_t element_bytes(ortho_dtype dtype)
{
    return dtype == ORTHO_F32 ? sizeof(float) : sizeof(uint16_t);
}

static ortho_status check_call(const ortho_layer *layer, int64_t m, ortho_dtype dtype,
                               const void *stream)
{
    if (layer == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_forward: layer is NULL");
    if (m < 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "m is %lld; it must be >= 0", (long long)m);
    if (dtype != ORTHO_F32 && dtype != ORTHO_F16 && dtype != ORTHO_BF16)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "activations of dtype %s: only F32, F16 and BF16 can be",
                          ortho_dtype_name(dtype));
    if (stream != NULL && layer->gpu == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "this layer is the CPU's: stream must be NULL");
    return ORTHO_OK;
}

static ortho_status check_memory(const ortho_layer *layer, const void *x, int64_t m,
                                 ortho_dtype dtype, const void *y)
{
    if (x == NULL || y == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_forward: %s is NULL",
                          x == NULL ? "x" : "y");
    int64_t n = layer->facts.n, k = layer->facts.k, widest = n > k ? n : k;
    if (m > INT64_MAX / (int64_t)sizeof(float) / widest)
        return ortho_fail(ORTHO_E_ARGUMENT, "m is %lld: more than memory can hold", (long long)m);
    size_t tokens = (size_t)m * element_bytes(dtype);
    if (overlap(x, tokens * (size_t)k, y, tokens * (size_t)n))
        return ortho_fail(ORTHO_E_ARGUMENT, "x and y overlap");
    return ORTHO_OK;
}

static ortho_status run_pieces(const forward *f, const char *x, int64_t m, char *y)
{
    const ortho_layer *layer = f->layer;
    size_t bytes = element_bytes(f->dtype);
    ortho_status status = ORTHO_OK;
    for (int64_t t = 0; t < m && status == ORTHO_OK; t += ORTHO_LAYER_TOKENS) {
        const ortho_gemm_call call = {
            .x = x + (size_t)(t * layer->facts.k) * bytes,
            .y = y + (size_t)(t * layer->facts.n) * bytes,
            .dtype = f->dtype,
            .m = m - t < ORTHO_LAYER_TOKENS ? m - t : ORTHO_LAYER_TOKENS,
            .alpha = layer->alpha,
            .workspace = f->workspace,
            .threads = layer->threads,
            .stream = f->stream,
        };
        status = f->server->variant->gemm->run(f->server->state, &call);
    }
    return status;
}

static size_t workspace_bytes(const ortho_server *server, int64_t m)
{
    int64_t piece = m < ORTHO_LAYER_TOKENS ? m : ORTHO_LAYER_TOKENS;
    const ortho_gemm_hooks *gemm = server->variant->gemm;
    return gemm->workspace == NULL ? 0 : gemm->workspace(server->state, piece);
}

/* ---- the CPU --------------------------------------------------------------------------------- */

static ortho_status forward_cpu(forward *f, const void *x, int64_t m, void *y)
{
    const bool x_here = ortho_gpu_memory(x, NULL) != ORTHO_MEMORY_DEVICE;
    if (!x_here || ortho_gpu_memory(y, NULL) == ORTHO_MEMORY_DEVICE)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s is a GPU's memory, but the layer is the CPU's",
                          x_here ? "y" : "x");
    f->workspace = ortho_pool_take(f->layer->pool, workspace_bytes(f->server, m));
    if (f->workspace == NULL)
        return ORTHO_E_MEMORY;
    ortho_status status = run_pieces(f, x, m, y);
    ortho_pool_give(f->layer->pool, f->workspace);
    return status;
}

/* ---- a GPU ----------------------------------------------------------------------------------- */

static ortho_status enqueue(forward *f, const void *x, int64_t m, void *y)
{
    ortho_gpu *gpu = f->layer->gpu;
    ortho_gpu_lease lease;
    const bool x_there = ortho_gpu_reaches(gpu, x);
    if (!x_there || !ortho_gpu_reaches(gpu, y))
        return ortho_fail(ORTHO_E_ARGUMENT, "%s isn't memory of GPU %d, where the layer is",
                          x_there ? "y" : "x", ortho_gpu_ordinal(gpu));
    ortho_status status = ortho_gpu_take(gpu, workspace_bytes(f->server, m), f->stream, &lease);
    if (status != ORTHO_OK)
        return status;
    f->workspace = lease.memory;
    status = run_pieces(f, x, m, y);
    ortho_status given = ortho_gpu_give(gpu, &lease);
    return status != ORTHO_OK ? status : given;
}

static ortho_status forward_gpu(forward *f, const void *x, int64_t m, void *y)
{
    ortho_gpu_scope scope;
    ortho_status status = ortho_layer_enter(f->layer, &scope);
    if (status != ORTHO_OK)
        return status;
    status = enqueue(f, x, m, y);
    ortho_layer_leave(f->layer, &scope);
    return status;
}

ORTHO_API ortho_status ortho_layer_forward(const ortho_layer *layer, const void *x, int64_t m,
                                           ortho_dtype dtype, void *y, void *stream)
{
    ortho_status status = check_call(layer, m, dtype, stream);
    if (status != ORTHO_OK || m == 0)
        return status;
    status = check_memory(layer, x, m, dtype, y);
    if (status != ORTHO_OK)
        return status;
    const ortho_server *server = layer->server;
    while (m > server->max_m)
        server++;
    forward f = {.layer = layer, .server = server, .dtype = dtype, .stream = stream};
    return layer->gpu == NULL ? forward_cpu(&f, x, m, y) : forward_gpu(&f, x, m, y);
}
