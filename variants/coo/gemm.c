/*
 * coo, dual GEMM: the original's loop, kept faithfully as the patient. For each row the sorted COO
 * list is scanned from its start until its row has passed: O(n * nnz) comparisons, 1.0e9 for 1 % of
 * 8192 x 3072, where csr needs 2.5e5 multiplications. Indices are 32 bits wide (the original's 16
 * overflow). The original scans once per row and token; here once per row, with the tokens inside,
 * so that a batch stays measurable: for m > 1 this is kinder to it than the original was.
 */
#include "common/half.h"
#include "kernels/base_gemm.h"
#include "kernels/split.h"

#include <math.h>

extern const ortho_gemm_hooks ortho_coo_gemm_cpu;
void ortho_coo_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

typedef struct state {
    ortho_base base;
    ortho_coo ortho;
} state;

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    state *st = opaque;
    ortho_status status = ortho_base_prepare(&st->base, problem, services);
    if (status != ORTHO_OK)
        return status;
    status = ortho_coo_from_csr(problem->split, services, ORTHO_WEIGHTS, &st->ortho);
    if (status != ORTHO_OK)
        ortho_base_release(&st->base, services);
    return status;
}

static void release(void *opaque, const ortho_services *services)
{
    state *st = opaque;
    ortho_coo_free(&st->ortho, services);
    ortho_base_release(&st->base, services);
}

static size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype)
{
    (void)dtype;
    return ortho_base_workspace(&((const state *)opaque)->base, m);
}

/* One row scans the list. `total` [tokens] is the row's. */
static void scan(const ortho_coo *coo, int64_t row, const ortho_patch *block, float *total)
{
    for (int64_t i = 0; i < coo->nnz; i++) {
        if (coo->row[i] > row)
            break;
        if (coo->row[i] == row) {
            const float *x = block->x + (int64_t)coo->col[i] * block->stride;
            float val = ortho_fp16_to_float(coo->val[i]);
            for (int t = 0; t < block->tokens; t++)
                total[t] += val * x[t];
        }
    }
}

static void patch(const void *ctx, const ortho_patch *block)
{
    const state *st = ctx;
    for (int r = 0; r < block->rows; r++) {
        float total[ORTHO_BASE_TOKENS] = {0};
        scan(&st->ortho, block->row + r, block, total);
        for (int t = 0; t < block->tokens; t++)
            block->sum[r * block->stride + t] += block->alpha * total[t];
    }
}

/* A row's scan grows with its index, so equal work is a square root: the original's grid of many
 * short blocks isn't made to look worse than it was by a static partition. */
static int64_t cut(const void *ctx, int thread, int threads)
{
    double blocks = (double)ortho_base_blocks(((const state *)ctx)->base.n);
    return (int64_t)(blocks * sqrt((double)thread / threads));
}

static ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = opaque;
    const ortho_patcher patcher = {.ctx = st, .patch = patch, .cut = cut};
    return ortho_base_run(&st->base, &patcher, call);
}

/* Each entry once, as packed: row and col i32, val fp16. What the scan reads again isn't counted:
 * nobody needs to. */
static void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *st = opaque;
    ortho_base_cost(&st->base, m, st->ortho.nnz, (size_t)st->ortho.nnz * 10, out);
}

static ortho_status export_split(const void *opaque, ortho_split *out,
                                 const ortho_services *services)
{
    const state *st = opaque;
    (void)services;
    ortho_base_export(&st->base, out);
    return ortho_csr_from_coo(&st->ortho, out);
}

const ortho_gemm_hooks ortho_coo_gemm_cpu = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .lanes = ortho_coo_lanes,
    .export_split = export_split,
};
