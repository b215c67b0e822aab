/*
 * A pass without a chain, on the CPU: its steps in turn. A step's sums and their product with scale
 * are fp32 and rounded once. Where rounding first comes to the same (no factor; F32; BF16 and a
 * power of two, whose exponent has the range of fp32's) the layer computes in the pass's dtype and
 * the factor is applied to its outputs; otherwise it computes in fp32, because fp16 may overflow
 * where the product wouldn't.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "lib/forward.h"
#include "lib/pass.h"

#include <math.h>

static bool is_power_of_two(float scale)
{
    int exponent;
    return fabsf(frexpf(scale, &exponent)) == 0.5f;
}

static bool is_wide(const ortho_pass *pass, const ortho_pass_link *link)
{
    return link->scale != 1.0f && pass->dtype != ORTHO_F32 &&
           !(pass->dtype == ORTHO_BF16 && is_power_of_two(link->scale));
}

static void scale_outputs(ortho_dtype dtype, void *y, int64_t n, float scale)
{
    float *wide = y;
    uint16_t *half = y;
    for (int64_t i = 0; i < n && scale != 1.0f; i++)
        if (dtype == ORTHO_F32)
            wide[i] *= scale;
        else
            half[i] = ortho_float_to_bf16(ortho_bf16_to_float(half[i]) * scale);
}

static ortho_status run_layer(const ortho_layer *layer, ortho_dtype dtype, const void *x, void *y)
{
    ortho_forward f = {.layer = layer,
                       .server = ortho_forward_server(layer, 1),
                       .x = x,
                       .y = y,
                       .m = 1,
                       .dtype = dtype};
    return ortho_forward_whole(&f);
}

/* x and y as floats, beside the pass's. */
static ortho_status run_wide(const ortho_pass *pass, const ortho_pass_link *link, const void *x,
                             void *y)
{
    const int64_t n = link->layer->facts.n, k = link->layer->facts.k;
    float *wide_x = ortho_pool_take(pass->pool, (size_t)(n + k) * sizeof *wide_x);
    if (wide_x == NULL)
        return ORTHO_E_MEMORY;
    float *wide_y = wide_x + k;
    for (int64_t i = 0; i < k; i++)
        wide_x[i] = ortho_dtype_load(pass->dtype, x, i);
    ortho_status status = run_layer(link->layer, ORTHO_F32, wide_x, wide_y);
    for (int64_t i = 0; i < n && status == ORTHO_OK; i++)
        ortho_dtype_store(pass->dtype, y, i, link->scale * wide_y[i]);
    ortho_pool_give(pass->pool, wide_x);
    return status;
}

static ortho_status run_step(const ortho_pass *pass, const ortho_pass_link *link, const char *x,
                             char *y)
{
    const size_t bytes = ortho_dtype_bytes(pass->dtype);
    const char *from = link->x_at < 0 ? x : y + (size_t)link->x_at * bytes;
    char *to = y + (size_t)link->y_at * bytes;
    if (is_wide(pass, link))
        return run_wide(pass, link, from, to);
    ortho_status status = run_layer(link->layer, pass->dtype, from, to);
    if (status == ORTHO_OK)
        scale_outputs(pass->dtype, to, link->layer->facts.n, link->scale);
    return status;
}

ortho_status ortho_pass_run_in_turn(const ortho_pass *pass, const void *x, void *y)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < pass->count && status == ORTHO_OK; i++) {
        status = run_step(pass, &pass->links[i], x, y);
        if (status != ORTHO_OK)
            status = ortho_fail_prefix(status, "step %d", i);
    }
    return status;
}
