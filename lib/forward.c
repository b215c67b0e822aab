/*
 * y = x * (Base + alpha * Ortho)^T.
 *
 * Weights are packed once, for fp32 activations. fp16 and bf16 ones are widened, which is exact,
 * and results rounded once, so that every dtype has the accuracy of the fp32 sums; activations are
 * small beside weights, and the conversion with them. Long batches are cut into pieces.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/base_gemm.h"
#include "lib/layer.h"

/* One forward: everything but the position. */
typedef struct forward {
    const ortho_layer *layer;
    const ortho_server *server;
    ortho_dtype dtype;
    float *x, *y;    /* widened piece; NULL when the caller's are fp32 */
    void *workspace; /* the variant's */
} forward;

static bool overlap(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

static size_t element_bytes(ortho_dtype dtype)
{
    return dtype == ORTHO_F32 ? sizeof(float) : sizeof(uint16_t);
}

static ortho_status check(const ortho_layer *layer, const void *x, int64_t m, ortho_dtype dtype,
                          const void *y, const void *stream)
{
    if (layer == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_forward: layer is NULL");
    if (m < 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "m is %lld; it must be >= 0", (long long)m);
    if (dtype != ORTHO_F32 && dtype != ORTHO_F16 && dtype != ORTHO_BF16)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "activations of dtype %s: only F32, F16 and BF16 can be",
                          ortho_dtype_name(dtype));
    if (stream != NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "this layer is the CPU's: stream must be NULL");
    if (m == 0)
        return ORTHO_OK;
    if (x == NULL || y == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_forward: %s is NULL",
                          x == NULL ? "x" : "y");
    int64_t widest = layer->n > layer->k ? layer->n : layer->k;
    if (m > INT64_MAX / (int64_t)sizeof(float) / widest)
        return ortho_fail(ORTHO_E_ARGUMENT, "m is %lld: more than memory can hold", (long long)m);
    size_t tokens = (size_t)m * element_bytes(dtype);
    if (overlap(x, tokens * (size_t)layer->k, y, tokens * (size_t)layer->n))
        return ortho_fail(ORTHO_E_ARGUMENT, "x and y overlap");
    return ORTHO_OK;
}

/* One piece of m tokens. */
static ortho_status run_piece(const forward *f, const void *x, int64_t m, void *y)
{
    ortho_gemm_call call = {.x = x,
                            .y = y,
                            .m = m,
                            .alpha = f->layer->alpha,
                            .workspace = f->workspace,
                            .threads = f->layer->threads};
    if (f->dtype == ORTHO_F32)
        return f->server->variant->gemm->run(f->server->state, &call);
    ortho_base_load(f->dtype, x, m * f->layer->k, f->x);
    call.x = f->x;
    call.y = f->y;
    ortho_status status = f->server->variant->gemm->run(f->server->state, &call);
    if (status == ORTHO_OK)
        ortho_base_store(f->dtype, f->y, m * f->layer->n, y);
    return status;
}

static ortho_status run_pieces(const forward *f, const char *x, int64_t m, char *y)
{
    size_t bytes = element_bytes(f->dtype);
    ortho_status status = ORTHO_OK;
    for (int64_t t = 0; t < m && status == ORTHO_OK; t += ORTHO_LAYER_TOKENS) {
        int64_t piece = m - t < ORTHO_LAYER_TOKENS ? m - t : ORTHO_LAYER_TOKENS;
        status = run_piece(f, x + (size_t)(t * f->layer->k) * bytes, piece,
                           y + (size_t)(t * f->layer->n) * bytes);
    }
    return status;
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

ORTHO_API ortho_status ortho_layer_forward(const ortho_layer *layer, const void *x, int64_t m,
                                           ortho_dtype dtype, void *y, void *stream)
{
    ortho_status status = check(layer, x, m, dtype, y, stream);
    if (status != ORTHO_OK || m == 0)
        return status;
    const ortho_server *server = layer->server;
    while (m > server->max_m)
        server++;
    int64_t piece = m < ORTHO_LAYER_TOKENS ? m : ORTHO_LAYER_TOKENS;
    const ortho_gemm_hooks *gemm = server->variant->gemm;
    size_t own = gemm->workspace == NULL ? 0 : padded(gemm->workspace(server->state, piece));
    size_t floats_x = dtype == ORTHO_F32 ? 0 : padded((size_t)(piece * layer->k) * sizeof(float));
    size_t floats_y = dtype == ORTHO_F32 ? 0 : (size_t)(piece * layer->n) * sizeof(float);
    char *memory = ortho_pool_take(layer->pool, own + floats_x + floats_y);
    if (memory == NULL)
        return ORTHO_E_MEMORY;
    const forward f = {.layer = layer,
                       .server = server,
                       .dtype = dtype,
                       .x = (float *)(memory + own),
                       .y = (float *)(memory + own + floats_x),
                       .workspace = memory};
    status = run_pieces(&f, x, m, y);
    ortho_pool_give(layer->pool, memory);
    return status;
}
