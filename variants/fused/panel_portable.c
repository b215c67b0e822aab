/* panel_portable.c: panels in plain C. Two tokens are what 16 registers of 4 floats have room for.
 */
#include "common/half.h"

static inline float decode(uint16_t half)
{
    return ortho_fp16_to_float(half);
}

#include "variants/fused/panel_body.h"

#define TOKENS 2

static void unpack_segment(const ortho_fused_packed *packed, int64_t block,
                           const ortho_fused_segment *segment, float *to)
{
    const uint16_t *scale = ortho_fused_scales(packed, block, segment);
    const uint8_t *q = ortho_fused_chunks(packed, block, segment);
    for (int r = 0; r < ORTHO_FUSED_ROWS; r++) {
        float s = ortho_fp16_to_float(scale[r]);
        for (int c = 0; c < segment->chunks * ORTHO_FUSED_COLUMNS; c++) {
            int pair = q[c / ORTHO_FUSED_COLUMNS * ORTHO_FUSED_CHUNK + 4 * r + c % 4];
            int u = c % ORTHO_FUSED_COLUMNS < 4 ? pair & 15 : pair >> 4;
            to[c * ORTHO_FUSED_ROWS + r] = s * (float)(u - 8);
        }
    }
}

static void unpack(const ortho_fused_packed *packed, const ortho_fused_slab *slab)
{
    for (int64_t s = slab->from; s < slab->to; s++) {
        const ortho_fused_segment *segment = packed->segment + s;
        unpack_segment(packed, slab->block, segment,
                       slab->panel + (segment->column - slab->column) * ORTHO_FUSED_ROWS);
    }
}

/* `tokens` is a constant, so that the sums are registers. */
static inline __attribute__((always_inline)) void multiply_of(const ortho_fused_tile *tile,
                                                              int tokens)
{
    float sum[TOKENS][ORTHO_FUSED_ROWS] = {{0}};
    const float *w = tile->panels, *x = tile->x;
    for (int64_t c = 0; c < tile->columns; c++, w += ORTHO_FUSED_ROWS, x += tokens)
        for (int i = 0; i < tokens; i++)
            for (int r = 0; r < ORTHO_FUSED_ROWS; r++)
                sum[i][r] += w[r] * x[i];
    for (int i = 0; i < tokens; i++)
        for (int r = 0; r < ORTHO_FUSED_ROWS; r++)
            tile->sum[i * tile->stride + r] += sum[i][r];
}

static void multiply(const ortho_fused_tile *tile)
{
    if (tile->tokens == 2)
        multiply_of(tile, 2);
    else
        multiply_of(tile, 1);
}

const ortho_fused_panels ortho_fused_panels_portable = {
    .from = 5,
    .blocks = 1,
    .tokens = TOKENS,
    .unpack = unpack,
    .patch = patch,
    .multiply = multiply,
};
