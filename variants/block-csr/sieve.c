/*
 * block-csr's sieve: streaming, and its entries go into buckets of (row block x column tile) with
 * 16-bit local coordinates; there is no CSR in between.
 *
 * A row block's entries are a contiguous range of the result, [row_ptr[first], row_ptr[last + 1]).
 * Rows write into it as they come, with the tile's number where the local row will be (the row is
 * known from row_ptr); when all have come each block's range is put in order of tiles, with one
 * block's worth of scratch a thread.
 */
#include "kernels/sieve_csr.h"
#include "kernels/split.h"

#include <omp.h>
#include <string.h>

#define BLOCK_ROWS 64
#define TILE_COLS  1024

typedef struct buckets {
    ortho_split base; /* q, scale and row_ptr; its entries are in b */
    ortho_bcsr b;
    int64_t tiles, blocks;
} buckets;

static void release(void *state, const ortho_services *sv)
{
    buckets *s = state;
    ortho_bcsr_free(&s->b, sv);
    ortho_split_free(&s->base, sv);
}

static ortho_status prepare(void *state, const ortho_sieve_problem *p, const ortho_services *sv)
{
    buckets s = {.b = {.n = p->w->rows, .k = p->w->cols, .nnz = p->nnz}};
    size_t entries = (size_t)p->nnz;
    s.b.block_rows = BLOCK_ROWS;
    s.b.tile_cols = TILE_COLS;
    s.tiles = (s.b.k + TILE_COLS - 1) / TILE_COLS;
    s.blocks = (s.b.n + BLOCK_ROWS - 1) / BLOCK_ROWS;
    ortho_status status =
        ortho_split_alloc(s.b.n, s.b.k, ortho_sieve_group(p), 0, sv, ORTHO_OUTPUT, &s.base);
    if (status != ORTHO_OK)
        return status;
    s.b.bucket_ptr = sv->alloc(sv->ctx, (size_t)(s.blocks * s.tiles + 1) * sizeof(int32_t),
                               ORTHO_HOST, ORTHO_OUTPUT);
    s.b.row = sv->alloc(sv->ctx, entries * sizeof(uint16_t), ORTHO_HOST, ORTHO_OUTPUT);
    s.b.col = sv->alloc(sv->ctx, entries * sizeof(uint16_t), ORTHO_HOST, ORTHO_OUTPUT);
    s.b.val = sv->alloc(sv->ctx, entries * sizeof(uint16_t), ORTHO_HOST, ORTHO_OUTPUT);
    if (s.b.bucket_ptr == NULL || s.b.row == NULL || s.b.col == NULL || s.b.val == NULL) {
        release(&s, sv);
        return ORTHO_E_MEMORY;
    }
    memcpy(state, &s, sizeof s);
    return ORTHO_OK;
}

static void write_row(void *ctx, int64_t row, int64_t first, int64_t count, const uint32_t *col,
                      const uint16_t *val)
{
    buckets *s = ctx;
    (void)row;
    for (int64_t i = 0; i < count; i++) {
        s->b.row[first + i] = (uint16_t)(col[i] / TILE_COLS);
        s->b.col[first + i] = (uint16_t)(col[i] % TILE_COLS);
    }
    memcpy(s->b.val + first, val, (size_t)count * sizeof *val);
}

/* A counting sort by tile, stable, so that (row, column) order stays within a tile. scratch: three
 * times the block's entries. */
static void order_block(buckets *s, int64_t block, uint16_t *scratch)
{
    int64_t row = block * BLOCK_ROWS;
    int64_t last = row + BLOCK_ROWS < s->b.n ? row + BLOCK_ROWS : s->b.n;
    int32_t begin = s->base.row_ptr[row], end = s->base.row_ptr[last];
    size_t count = (size_t)(end - begin);
    int32_t *ptr = s->b.bucket_ptr + block * s->tiles + 1; /* bucket t ends at ptr[t] */
    uint16_t *tile = scratch, *col = tile + count, *val = col + count;
    memcpy(tile, s->b.row + begin, count * sizeof *tile);
    memcpy(col, s->b.col + begin, count * sizeof *col);
    memcpy(val, s->b.val + begin, count * sizeof *val);
    memset(ptr, 0, (size_t)s->tiles * sizeof *ptr);
    for (size_t i = 0; i < count; i++)
        ptr[tile[i]]++;
    for (int64_t t = 0, start = begin; t < s->tiles; t++) {
        int32_t in_tile = ptr[t];
        ptr[t] = (int32_t)start;
        start += in_tile;
    }
    for (int64_t r = row; r < last; r++)
        for (int32_t i = s->base.row_ptr[r]; i < s->base.row_ptr[r + 1]; i++) {
            int32_t at = ptr[tile[i - begin]]++;
            s->b.row[at] = (uint16_t)(r - row);
            s->b.col[at] = col[i - begin];
            s->b.val[at] = val[i - begin];
        }
}

static ortho_status order_blocks(buckets *s, const ortho_services *sv)
{
    int64_t most = 0;
    for (int64_t row = 0; row < s->b.n; row += BLOCK_ROWS) {
        int64_t last = row + BLOCK_ROWS < s->b.n ? row + BLOCK_ROWS : s->b.n;
        int64_t count = s->base.row_ptr[last] - s->base.row_ptr[row];
        most = count > most ? count : most;
    }
    int threads = sv->threads < s->blocks ? sv->threads : (int)s->blocks;
    size_t room = (size_t)most * 3;
    uint16_t *scratch =
        sv->alloc(sv->ctx, (size_t)threads * room * sizeof *scratch, ORTHO_HOST, ORTHO_WORKING);
    if (scratch == NULL)
        return ORTHO_E_MEMORY;
    s->b.bucket_ptr[0] = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t block = 0; block < s->blocks; block++)
        order_block(s, block, scratch + (size_t)omp_get_thread_num() * room);
    sv->free(sv->ctx, scratch);
    return ORTHO_OK;
}

static ortho_status run(void *state, const ortho_sieve_problem *problem, const ortho_services *sv)
{
    buckets *s = state;
    ortho_sieve_emit emit = {.ctx = s, .row = write_row};
    ortho_status status = ortho_sieve_stream(problem, ORTHO_WALK_VECTOR, s->base.q, s->base.scale,
                                             s->base.row_ptr, &emit, sv);
    return status == ORTHO_OK ? order_blocks(s, sv) : status;
}

static ortho_status export_split(const void *state, ortho_split *out, const ortho_services *sv)
{
    const buckets *s = state;
    ortho_split base = s->base;
    base.nnz = s->b.nnz;
    ortho_status status = ortho_split_copy_base(&base, out, sv);
    return status == ORTHO_OK ? ortho_csr_from_bcsr(&s->b, out) : status;
}

void ortho_block_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

extern const ortho_sieve_hooks ortho_block_csr_sieve_cpu;
const ortho_sieve_hooks ortho_block_csr_sieve_cpu = {
    .state_size = sizeof(buckets),
    .prepare = prepare,
    .run = run,
    .export_split = export_split,
    .release = release,
    .lanes = ortho_block_csr_sieve_lanes,
    .w_reads = ORTHO_SIEVE_W_READS,
};
