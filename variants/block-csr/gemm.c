/*
 * block-csr, dual GEMM: entries in buckets of a row block (the 16 rows that Base works on) and a
 * column tile, chosen so that the tile of x, all tokens of it, stays in the L1 cache. 6 bytes an
 * entry (row, column, value, 16 bits each). Threads get row blocks by Base's work plus the
 * non-zeros they hold, so that a skewed Ortho doesn't leave one of them waiting.
 */
#include "kernels/spmm.h"

extern const ortho_gemm_hooks ortho_block_csr_gemm_cpu;
void ortho_block_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

#define TILE_FLOATS 8192 /* 32 KiB of x */
#define TILE_LEAST  128
#define ENTRY_WORK  16 /* one entry takes about as long as this many INT4 weights */

typedef struct state {
    ortho_base base;
    ortho_bcsr ortho;
    const ortho_spmm_kernels *spmm;
} state;

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    state *st = opaque;
    int32_t tile = TILE_FLOATS / ortho_base_stride(problem->m);
    ortho_status status = ortho_base_prepare(&st->base, problem, services);
    if (status != ORTHO_OK)
        return status;
    status =
        ortho_bcsr_from_csr(problem->split, ORTHO_BASE_ROWS, tile > TILE_LEAST ? tile : TILE_LEAST,
                            services, ORTHO_WEIGHTS, &st->ortho);
    if (status != ORTHO_OK)
        ortho_base_release(&st->base, services);
    st->spmm = ortho_spmm_pick();
    return status;
}

static void release(void *opaque, const ortho_services *services)
{
    state *st = opaque;
    ortho_bcsr_free(&st->ortho, services);
    ortho_base_release(&st->base, services);
}

static size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype)
{
    (void)dtype;
    return ortho_base_workspace(&((const state *)opaque)->base, m);
}

static void patch(const void *ctx, const ortho_patch *block)
{
    const state *st = ctx;
    st->spmm->bcsr(&st->ortho, block);
}

static void prefetch(const void *ctx, int64_t block)
{
    ortho_bcsr_prefetch(&((const state *)ctx)->ortho, block);
}

static int64_t tiles_of(const ortho_bcsr *m)
{
    return (m->k + m->tile_cols - 1) / m->tile_cols;
}

/* Work of the row blocks before `block`. */
static int64_t work_before(const state *st, int64_t block)
{
    return block * ORTHO_BASE_ROWS * st->base.k +
           ENTRY_WORK * (int64_t)st->ortho.bucket_ptr[block * tiles_of(&st->ortho)];
}

/* The first block with at least thread / threads of the work before it. */
static int64_t cut(const void *ctx, int thread, int threads)
{
    const state *st = ctx;
    int64_t low = 0, high = ortho_base_blocks(st->base.n);
    double wanted = (double)work_before(st, high) * thread / threads;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if ((double)work_before(st, middle) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = opaque;
    const ortho_patcher patcher = {.ctx = st, .patch = patch, .prefetch = prefetch, .cut = cut};
    return ortho_base_run(&st->base, &patcher, call);
}

static void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *st = opaque;
    size_t buckets = (size_t)(ortho_base_blocks(st->base.n) * tiles_of(&st->ortho)) + 1;
    ortho_base_cost(&st->base, m, st->ortho.nnz,
                    buckets * sizeof(int32_t) + (size_t)st->ortho.nnz * 3 * sizeof(uint16_t), out);
}

static ortho_status export_split(const void *opaque, ortho_split *out,
                                 const ortho_services *services)
{
    const state *st = opaque;
    (void)services;
    ortho_base_export(&st->base, out);
    return ortho_csr_from_bcsr(&st->ortho, out);
}

const ortho_gemm_hooks ortho_block_csr_gemm_cpu = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .lanes = ortho_block_csr_lanes,
    .export_split = export_split,
};
