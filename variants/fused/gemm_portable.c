/* gemm_portable.c: the level that every machine has: plain C over the packed words, fp32
 * throughout. No segment has digits. */
#include "variants/fused/levels.h"

#include "common/half.h"

#include <string.h>

static void digits(const ortho_fused_packed *packed, const ortho_fused_x *x)
{
    for (int64_t s = 0; s < packed->segments; s++)
        x->range[s] = (ortho_fused_range){.planes = ORTHO_FUSED_PLAIN};
}

static void segment_sums(const uint8_t *q, int chunks, const float *x, float *sum)
{
    for (int c = 0; c < chunks; c++, q += ORTHO_FUSED_CHUNK, x += ORTHO_FUSED_COLUMNS)
        for (int b = 0; b < 4; b++)
            for (int r = 0; r < ORTHO_FUSED_ROWS; r++) {
                int pair = q[4 * r + b];
                sum[r] += (float)((pair & 15) - 8) * x[b] + (float)((pair >> 4) - 8) * x[b + 4];
            }
}

static void block(const ortho_fused_job *job)
{
    for (int i = 0; i < job->tokens; i++) {
        float *total = job->sum + i * job->stride;
        memset(total, 0, ORTHO_FUSED_ROWS * sizeof *total);
        for (int64_t s = 0; s < job->packed->segments; s++) {
            const ortho_fused_segment *segment = job->packed->segment + s;
            const uint16_t *scale = ortho_fused_scales(job->packed, job->block, segment);
            float sum[ORTHO_FUSED_ROWS] = {0};
            segment_sums(ortho_fused_chunks(job->packed, job->block, segment), segment->chunks,
                         job->x[i].padded + segment->at, sum);
            for (int r = 0; r < ORTHO_FUSED_ROWS; r++)
                total[r] += sum[r] * ortho_fp16_to_float(scale[r]);
        }
    }
}

const ortho_fused_level ortho_fused_level_portable = {.digits = digits, .block = block};
