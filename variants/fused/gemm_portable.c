/* gemm_portable.c: the level that every machine has: plain C over the packed words, in fp32: no
 * segment has digits unless x is rounded to int8. */
#include "variants/fused/digits_body.h"
#include "variants/fused/levels.h"

#include "common/half.h"

static void digits(const ortho_fused_packed *packed, const ortho_fused_x *x)
{
    for (int64_t s = 0; s < packed->segments; s++)
        x->range[s] = (ortho_fused_range){.planes = ORTHO_FUSED_PLAIN};
}

/* One token, one block. */
static void chunk_sums(const uint8_t *q, int chunks, const float *x, float *sum)
{
    for (int c = 0; c < chunks; c++, q += ORTHO_FUSED_CHUNK, x += ORTHO_FUSED_COLUMNS)
        for (int b = 0; b < 4; b++)
            for (int r = 0; r < ORTHO_FUSED_ROWS; r++) {
                int pair = q[4 * r + b];
                sum[r] += (float)((pair & 15) - 8) * x[b] + (float)((pair >> 4) - 8) * x[b + 4];
            }
}

/* The same in integers. */
static void digit_sums(const uint8_t *q, int chunks, const int8_t *d, int32_t *sum)
{
    for (int c = 0; c < chunks; c++, q += ORTHO_FUSED_CHUNK, d += ORTHO_FUSED_COLUMNS)
        for (int b = 0; b < 4; b++)
            for (int r = 0; r < ORTHO_FUSED_ROWS; r++) {
                int pair = q[4 * r + b];
                sum[r] += ((pair & 15) - 8) * d[b] + ((pair >> 4) - 8) * d[b + 4];
            }
}

/* One token, one block, times its unit: at most 256 * 8 * 127, which fp32 holds. */
static void block_sums(const uint8_t *q, const ortho_fused_segment *segment, const ortho_fused_x *x,
                       const ortho_fused_range *range, float *sum)
{
    int32_t whole[ORTHO_FUSED_ROWS] = {0};
    if (range->planes == ORTHO_FUSED_PLAIN) {
        chunk_sums(q, segment->chunks, x->padded + segment->at, sum);
        return;
    }
    if (range->planes > 0)
        digit_sums(q, segment->chunks, ortho_fused_digits(x, segment), whole);
    for (int r = 0; r < ORTHO_FUSED_ROWS; r++)
        sum[r] = (float)whole[r] * range->unit;
}

static void segment_sums(const ortho_fused_job *job, int64_t s)
{
    const ortho_fused_segment *segment = job->packed->segment + s;
    for (int b = 0; b < job->blocks; b++) {
        int64_t block = job->block + b * job->step;
        const uint16_t *scale = ortho_fused_scales(job->packed, block, segment);
        const uint8_t *q = ortho_fused_chunks(job->packed, block, segment);
        for (int i = 0; i < job->tokens; i++) {
            float *total = ortho_fused_sums(job, i, b), sum[ORTHO_FUSED_ROWS] = {0};
            block_sums(q, segment, job->x + i, job->x[i].range + s, sum);
            for (int r = 0; r < ORTHO_FUSED_ROWS; r++)
                total[r] += sum[r] * ortho_fp16_to_float(scale[r]);
        }
    }
}

static void segments_sums(const ortho_fused_job *job, int64_t from, int64_t to)
{
    for (int64_t s = from; s < to; s++)
        segment_sums(job, s);
}

const ortho_fused_level ortho_fused_level_portable = {
    .digits = digits,
    .int8 = make_all_int8,
    .segments = segments_sums,
    .panels = &ortho_fused_panels_portable,
};
