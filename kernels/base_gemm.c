/*
 * base_gemm.c: packing, partition and the two ways through a block of rows.
 *
 *   one token    q streams from memory once and is multiplied as it is decoded (row_sums). Bound by
 *                memory: k/2 bytes a row. Each thread keeps its own permuted x, so nothing waits.
 *   more tokens  4 rows of a panel are dequantised to fp32 in the L1 cache and multiplied with up
 *                to 64 tokens before they are forgotten. Bound by FMAs.
 *
 * Workspace of one token:  a slot per thread: { x in the order [padded k], natural x [padded k],
 *                          panel, sums }.
 * Workspace of more:       x in the order [64][padded k], x transposed [k][stride], then the slots.
 */
#include "kernels/base_gemm.h"

#include "common/half.h"
#include "kernels/base_gemm_kernels.h"
#include "kernels/cpu.h"

#include <omp.h>
#include <string.h>

/* ---- the object ----------------------------------------------------------------------------- */

static const ortho_base_kernels *pick_kernels(void)
{
#if defined(__x86_64__)
    switch (ortho_cpu_detect()) {
    case ORTHO_CPU_AVX512:
        return &ortho_base_kernels_avx512;
    case ORTHO_CPU_AVX2:
        return &ortho_base_kernels_avx2;
    case ORTHO_CPU_PORTABLE:
        break;
    }
#endif
    return &ortho_base_kernels_portable;
}

ortho_status ortho_base_prepare(ortho_base *base, const ortho_gemm_problem *problem,
                                const ortho_services *services)
{
    const ortho_split *s = problem->split;
    int64_t groups = (s->k + s->group - 1) / s->group;
    size_t q_bytes = (size_t)s->n * (size_t)((s->k + 1) / 2);
    size_t scale_bytes = (size_t)(s->n * groups) * sizeof(uint16_t);
    uint8_t *q = services->alloc(services->ctx, q_bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    if (q == NULL)
        return ORTHO_E_MEMORY;
    uint16_t *scale = services->alloc(services->ctx, scale_bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    if (scale == NULL) {
        services->free(services->ctx, q);
        return ORTHO_E_MEMORY;
    }
    memcpy(q, s->q, q_bytes);
    memcpy(scale, s->scale, scale_bytes);
    *base = (ortho_base){
        .n = s->n,
        .k = s->k,
        .group = s->group,
        .groups = groups,
        .q = q,
        .scale = scale,
        .dtype = problem->dtype,
        .threads = services->threads,
        .kernels = pick_kernels(),
    };
    return ORTHO_OK;
}

void ortho_base_release(ortho_base *base, const ortho_services *services)
{
    services->free(services->ctx, base->scale);
    services->free(services->ctx, base->q);
    *base = (ortho_base){0};
}

void ortho_base_export(const ortho_base *base, ortho_split *out)
{
    memcpy(out->q, base->q, (size_t)base->n * (size_t)((base->k + 1) / 2));
    memcpy(out->scale, base->scale, (size_t)(base->n * base->groups) * sizeof(uint16_t));
}

void ortho_base_load(ortho_dtype dtype, const void *from, int64_t n, float *to)
{
    pick_kernels()->load(dtype, from, n, to);
}

void ortho_base_store(ortho_dtype dtype, const float *from, int64_t n, void *to)
{
    pick_kernels()->store(dtype, from, n, to);
}

int64_t ortho_base_blocks(int64_t n)
{
    return (n + ORTHO_BASE_ROWS - 1) / ORTHO_BASE_ROWS;
}

int ortho_base_stride(int64_t m)
{
    if (m <= 1)
        return 1;
    return m >= ORTHO_BASE_TOKENS ? ORTHO_BASE_TOKENS : (int)((m + 15) / 16 * 16);
}

void ortho_base_cost(const ortho_base *base, int64_t m, int64_t nnz, size_t ortho_bytes,
                     ortho_cost *cost)
{
    double element = base->dtype == ORTHO_F32 ? 4 : 2, n = (double)base->n, k = (double)base->k;
    cost->bytes = n * (double)((base->k + 1) / 2) + 2 * n * (double)base->groups +
                  (double)ortho_bytes + (double)m * (n + k) * element;
    cost->flops = 2 * (double)m * (n * k + (double)nnz);
}

/* ---- workspace ------------------------------------------------------------------------------ */

static int64_t padded_k(const ortho_base *base)
{
    return (base->k + ORTHO_BASE_PAD - 1) / ORTHO_BASE_PAD * ORTHO_BASE_PAD;
}

/* Floats of what one thread needs for itself: x in the order, natural x, panel, sums. */
static int64_t slot_floats(const ortho_base *base, int stride)
{
    return 2 * padded_k(base) + ORTHO_BASE_QUAD * ORTHO_BASE_PANEL + ORTHO_BASE_ROWS * stride;
}

/* Floats of what the threads share: nothing for one token. */
static int64_t shared_floats(const ortho_base *base, int stride)
{
    int64_t padded = padded_k(base);
    return stride == 1 ? 0 : (ORTHO_BASE_TOKENS + (int64_t)stride) * padded;
}

size_t ortho_base_workspace(const ortho_base *base, int64_t m)
{
    int stride = ortho_base_stride(m);
    return (size_t)(shared_floats(base, stride) + base->threads * slot_floats(base, stride)) *
           sizeof(float);
}

/* One thread's view of a run. */
typedef struct worker {
    const ortho_base *base;
    const ortho_patcher *patcher; /* NULL: Base alone */
    const ortho_gemm_call *call;
    int thread, threads, stride;
    float *ordered;    /* [tokens][padded k] */
    float *transposed; /* [k][stride]; unused without a patcher */
    float *natural;    /* [padded k], one token at a time */
    float *panel, *sum;
} worker;

static worker worker_begin(const ortho_base *base, const ortho_patcher *patcher,
                           const ortho_gemm_call *call, int threads)
{
    int stride = ortho_base_stride(call->m), thread = omp_get_thread_num();
    int64_t padded = padded_k(base);
    float *slot =
        (float *)call->workspace + shared_floats(base, stride) + thread * slot_floats(base, stride);
    worker w = {
        .base = base,
        .patcher = call->alpha != 0 ? patcher : NULL,
        .call = call,
        .thread = thread,
        .threads = threads,
        .stride = stride,
        .ordered = stride == 1 ? slot : call->workspace,
        .natural = slot + padded,
        .panel = slot + 2 * padded,
    };
    w.transposed = stride == 1 ? w.natural : w.ordered + ORTHO_BASE_TOKENS * padded;
    w.sum = w.panel + ORTHO_BASE_QUAD * ORTHO_BASE_PANEL;
    return w;
}

/* ---- activations ---------------------------------------------------------------------------- */

/* natural [padded k] to the order, block by block. */
static void reorder(const float *natural, int64_t padded, int lanes, float *ordered)
{
    int block = 8 * lanes;
    if (lanes == 1) {
        memcpy(ordered, natural, (size_t)padded * sizeof(float));
        return;
    }
    for (int64_t b = 0; b < padded; b += block)
        for (int s = 0; s < 8; s++)
            for (int lane = 0; lane < lanes; lane++)
                ordered[b + s * lanes + lane] = natural[b + 8 * lane + s];
}

/* Token `token` of the call to natural floats, padded with 0. */
static void load_token(const worker *w, int64_t token)
{
    const ortho_base *base = w->base;
    ortho_dtype dtype = w->call->dtype;
    size_t element = dtype == ORTHO_F32 ? 4 : 2;
    const char *x = (const char *)w->call->x + (size_t)(token * base->k) * element;
    base->kernels->load(dtype, x, base->k, w->natural);
    for (int64_t c = base->k; c < padded_k(base); c++)
        w->natural[c] = 0;
}

/* Shares tokens [first, first + tokens) among the threads. */
static void load_chunk(const worker *w, int64_t first, int tokens)
{
    int64_t padded = padded_k(w->base);
    int limit = w->patcher != NULL ? w->stride : tokens;
    for (int t = w->thread; t < limit; t += w->threads) {
        if (t < tokens) {
            load_token(w, first + t);
            reorder(w->natural, padded, w->base->kernels->lanes, w->ordered + t * padded);
        } else {
            memset(w->natural, 0, (size_t)padded * sizeof(float));
        }
        for (int64_t c = 0; w->patcher != NULL && c < w->base->k; c++)
            w->transposed[c * w->stride + t] = w->natural[c];
    }
}

/* ---- a block of rows ------------------------------------------------------------------------ */

void ortho_base_dequantise_any(const ortho_base *base, int64_t row, int64_t first, int64_t columns,
                               float *to)
{
    const uint8_t *q = base->q + row * ((base->k + 1) / 2);
    const uint16_t *scale = base->scale + row * base->groups;
    int lanes = base->kernels->lanes, block = 8 * lanes;
    int64_t group = first < base->k ? first / base->group : 0, next = (group + 1) * base->group;
    float s = ortho_fp16_to_float(scale[group]);
    for (int64_t i = 0; i < columns; i++) {
        int64_t c = first + i, at = i % block;
        if (c == next && c < base->k) {
            s = ortho_fp16_to_float(scale[++group]);
            next += base->group;
        }
        int nibble = c < base->k ? q[c / 2] >> (4 * (c % 2)) & 15 : 0;
        to[i - at + at % 8 * lanes + at / 8] = (float)((nibble ^ 8) - 8) * s;
    }
}

/* Dequantises 4 rows panel by panel and multiplies each with all tokens. */
static void quad_sums(const worker *w, int64_t row, int rows, int tokens, float *sum)
{
    const ortho_base *base = w->base;
    const ortho_base_kernels *kernels = base->kernels;
    int64_t padded = padded_k(base);
    bool fits = kernels->fits(base);
    for (int64_t first = 0; first < padded; first += ORTHO_BASE_PANEL) {
        int64_t columns = padded - first < ORTHO_BASE_PANEL ? padded - first : ORTHO_BASE_PANEL;
        for (int r = 0; r < ORTHO_BASE_QUAD; r++) {
            float *to = w->panel + r * ORTHO_BASE_PANEL;
            if (r >= rows)
                memset(to, 0, (size_t)columns * sizeof(float));
            else if (fits)
                kernels->dequantise(base, row + r, first, columns, to);
            else
                ortho_base_dequantise_any(base, row + r, first, columns, to);
        }
        int passes = (tokens + kernels->max_tokens - 1) / kernels->max_tokens;
        for (int pass = 0, t = 0; pass < passes; pass++) { /* even shares: 16 is 6 + 5 + 5 */
            int share = (tokens - t + passes - pass - 1) / (passes - pass);
            kernels->tile(&(ortho_base_tile){
                .panel = w->panel,
                .x = w->ordered + t * padded + first,
                .x_stride = padded,
                .columns = columns,
                .sum = sum + t,
                .stride = w->stride,
                .tokens = share,
            });
            t += share;
        }
    }
}

/* Rounds the block's sums into y: once, here. */
static void store_block(const worker *w, const ortho_patch *block, int64_t first)
{
    const ortho_base *base = w->base;
    ortho_dtype dtype = w->call->dtype;
    size_t element = dtype == ORTHO_F32 ? 4 : 2;
    float column[ORTHO_BASE_ROWS];
    for (int t = 0; t < block->tokens; t++) {
        const float *from = block->sum;
        if (block->stride > 1) {
            for (int r = 0; r < block->rows; r++)
                column[r] = block->sum[r * block->stride + t];
            from = column;
        }
        char *y = (char *)w->call->y + (size_t)((first + t) * base->n + block->row) * element;
        base->kernels->store(dtype, from, block->rows, y);
    }
}

/* A line of x comes round every so many blocks. */
#define WARM_TURN 16

/* Base reads x reordered; x as it is, that of the entries, is read wherever a column happens to
 * have one. Where entries are rare the stream of Base drives it out of the caches, and each of them
 * would wait some 200 ns for its x: so a share of x is touched with every block. */
static void keep_warm(const worker *w, int64_t index)
{
    const char *x = (const char *)w->transposed;
    int64_t bytes = w->base->k * (int64_t)sizeof(float);
    for (int64_t at = index % WARM_TURN * 64; at < bytes; at += WARM_TURN * 64)
        __builtin_prefetch(x + at, 0, 3);
}

static void run_block(const worker *w, int64_t index, int64_t first, int tokens)
{
    const ortho_base *base = w->base;
    int64_t row = index * ORTHO_BASE_ROWS, left = base->n - row;
    ortho_patch block = {
        .block = index,
        .row = row,
        .rows = left < ORTHO_BASE_ROWS ? (int)left : ORTHO_BASE_ROWS,
        .tokens = tokens,
        .stride = w->stride,
        .x = w->transposed,
        .sum = w->sum,
        .alpha = w->call->alpha,
    };
    if (w->patcher != NULL && w->patcher->prefetch != NULL && row + ORTHO_BASE_ROWS < base->n)
        w->patcher->prefetch(w->patcher->ctx, index + 1);
    if (w->patcher != NULL && tokens == 1)
        keep_warm(w, index);
    if (tokens == 1 && base->kernels->row_sums != NULL && base->kernels->fits(base) &&
        w->stride == 1) {
        base->kernels->row_sums(base, w->ordered, row, block.rows, w->sum);
    } else {
        memset(w->sum, 0, sizeof(float) * ORTHO_BASE_ROWS * (size_t)w->stride);
        for (int r = 0; r < block.rows; r += ORTHO_BASE_QUAD)
            quad_sums(w, row + r, block.rows - r, tokens, w->sum + r * w->stride);
    }
    if (w->patcher != NULL)
        w->patcher->patch(w->patcher->ctx, &block);
    store_block(w, &block, first);
}

/* ---- the run -------------------------------------------------------------------------------- */

static int64_t first_block(const worker *w, int thread)
{
    if (w->patcher != NULL && w->patcher->cut != NULL)
        return w->patcher->cut(w->patcher->ctx, thread, w->threads);
    return ortho_base_blocks(w->base->n) * thread / w->threads;
}

static void run_blocks(const worker *w, int64_t first, int tokens)
{
    int64_t end = first_block(w, w->thread + 1);
    for (int64_t block = first_block(w, w->thread); block < end; block++)
        run_block(w, block, first, tokens);
}

ortho_status ortho_base_run(const ortho_base *base, const ortho_patcher *patcher,
                            const ortho_gemm_call *call)
{
    int asked = call->threads < base->threads ? call->threads : base->threads;
#pragma omp parallel num_threads(asked)
    {
        worker w = worker_begin(base, patcher, call, omp_get_num_threads());
        if (call->m == 1) {
            load_token(&w, 0);
            reorder(w.natural, padded_k(base), base->kernels->lanes, w.ordered);
            run_blocks(&w, 0, 1);
        } else {
            for (int64_t first = 0; first < call->m; first += ORTHO_BASE_TOKENS) {
                int64_t left = call->m - first;
                int tokens = left < ORTHO_BASE_TOKENS ? (int)left : ORTHO_BASE_TOKENS;
                load_chunk(&w, first, tokens);
#pragma omp barrier
                run_blocks(&w, first, tokens);
#pragma omp barrier
            }
        }
    }
    return ORTHO_OK;
}
