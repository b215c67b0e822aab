/*
 * spmm_body.h: the loops over rows, runs and buckets that all SIMD levels share, compiled once for
 * each. The including file defines before it:
 *   static inline float decode(uint16_t)                                    one fp16
 *   static inline float run_dot(const ortho_run *, const float *x)          one token
 *   static inline void run_tokens(const ortho_run *, const float *x,
 *                                 int stride, float alpha, float *sum)      more tokens
 *   static inline int64_t same_row(const uint16_t *row, int64_t left)       length of a run
 *   ORTHO_SPMM_KERNELS                                                      the table's name
 */
#include "kernels/spmm.h"

static inline int64_t run_col(const ortho_run *run, int64_t i)
{
    return run->wide ? (int64_t)run->col32[i] : (int64_t)run->col16[i];
}

static inline ortho_run csr_run(const ortho_csr *csr, bool wide, int64_t row)
{
    int64_t begin = csr->row_ptr[row];
    return (ortho_run){
        .col16 = wide ? NULL : (const uint16_t *)csr->col + begin,
        .col32 = wide ? (const uint32_t *)csr->col + begin : NULL,
        .val = csr->val + begin,
        .count = csr->row_ptr[row + 1] - begin,
        .wide = wide,
    };
}

/* One row, one token, the way a lone GPU thread goes about it, but for four chains instead of one:
 * an FMA's latency would be measured otherwise, not the loop. */
static inline float scalar_dot(const ortho_run *run, const float *x, int stride)
{
    float a = 0, b = 0, c = 0, d = 0;
    int64_t i = 0;
    for (; i + 4 <= run->count; i += 4) {
        a += decode(run->val[i]) * x[run_col(run, i) * stride];
        b += decode(run->val[i + 1]) * x[run_col(run, i + 1) * stride];
        c += decode(run->val[i + 2]) * x[run_col(run, i + 2) * stride];
        d += decode(run->val[i + 3]) * x[run_col(run, i + 3) * stride];
    }
    for (; i < run->count; i++)
        a += decode(run->val[i]) * x[run_col(run, i) * stride];
    return (a + b) + (c + d);
}

static inline void csr_scalar_of(const ortho_csr *csr, const ortho_patch *patch, bool wide)
{
    for (int r = 0; r < patch->rows; r++) {
        ortho_run run = csr_run(csr, wide, patch->row + r);
        for (int t = 0; run.count > 0 && t < patch->tokens; t++)
            patch->sum[r * patch->stride + t] +=
                patch->alpha * scalar_dot(&run, patch->x + t, patch->stride);
    }
}

static void csr_scalar(const ortho_csr *csr, const ortho_patch *patch)
{
    if (csr->k > 65536)
        csr_scalar_of(csr, patch, true);
    else
        csr_scalar_of(csr, patch, false);
}

/* sum += alpha * run . x for all tokens of the patch. */
static inline void add_run(const ortho_run *run, const ortho_patch *patch, const float *x,
                           float *sum)
{
    if (run->count == 0)
        return;
    if (patch->stride == 1)
        *sum += patch->alpha * run_dot(run, x);
    else
        run_tokens(run, x, patch->stride, patch->alpha, sum);
}

static inline void csr_vector_of(const ortho_csr *csr, const ortho_patch *patch, bool wide)
{
    for (int r = 0; r < patch->rows; r++) {
        ortho_run run = csr_run(csr, wide, patch->row + r);
        add_run(&run, patch, patch->x, patch->sum + r * patch->stride);
    }
}

static void csr_vector(const ortho_csr *csr, const ortho_patch *patch)
{
    if (csr->k > 65536)
        csr_vector_of(csr, patch, true);
    else
        csr_vector_of(csr, patch, false);
}

static void bcsr(const ortho_bcsr *m, const ortho_patch *patch)
{
    int64_t tiles = (m->k + m->tile_cols - 1) / m->tile_cols;
    for (int64_t tile = 0; tile < tiles; tile++) {
        const float *x = patch->x + tile * m->tile_cols * patch->stride;
        int64_t i = m->bucket_ptr[patch->block * tiles + tile];
        int64_t end = m->bucket_ptr[patch->block * tiles + tile + 1];
        while (i < end) {
            ortho_run run = {.col16 = m->col + i,
                             .val = m->val + i,
                             .count = same_row(m->row + i, end - i),
                             .wide = false};
            add_run(&run, patch, x, patch->sum + m->row[i] * patch->stride);
            i += run.count;
        }
    }
}

const ortho_spmm_kernels ORTHO_SPMM_KERNELS = {
    .csr_scalar = csr_scalar,
    .csr_vector = csr_vector,
    .bcsr = bcsr,
};
