/*
 * block-csr's sieve on CUDA: the streaming sieve, and entries straight into buckets of (64 rows x
 * 1024 columns) with 16-bit local coordinates; there is no CSR in between.
 *
 * A thread block owns a row block; a warp takes every eighth row of it and finds its entries as
 * warp-per-row's does. First it counts them by (row, tile) into shared memory, then the block turns
 * the counts into places, tile by tile and row by row within a tile, and a second walk over the
 * same rows, mostly from the L2, writes them there. Wide matrices go through the tiles
 * TILES_AT_ONCE at a time.
 */
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/sieve_device.cuh"
#include "kernels/cuda/sieve_kernels.h"
#include "kernels/split.h"

extern "C" void ortho_block_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

using namespace ortho_sieve;

namespace
{

constexpr int BLOCK_ROWS = 64, TILE_COLS = 1024, TILES_AT_ONCE = 64;
constexpr int STEPS = TILE_COLS / TILE; /* a warp's walks of 256 columns in a bucket's tile */

struct buckets {
    int32_t *ptr; /* [blocks * tiles + 1] */
    uint16_t *row, *col, *val;
    int64_t tiles;
};

struct state {
    ortho_cuda_sieve sieve;
    buckets b;
};

/* Of eight columns from col on, those chosen; the lane's first place in the bucket. */
struct chosen_eight {
    uint32_t col, chosen, to;
};

constexpr int LOOP_FIRST = __LINE__;
/* The Ortho loop is a row's walk, and in the second of its two this: what makes entries of a step's
 * chosen columns, a lane's in turn. */
template <typename R>
__device__ __forceinline__ void write_chosen(const view &v, const buckets &b, const row_context &c,
                                             const chosen_eight &e)
{
    ORTHO_COUNT_LANES_HERE(6);
    uint32_t to = e.to;
    for (uint32_t left = e.chosen; left != 0 && to < static_cast<uint32_t>(v.nnz);
         left &= left - 1) {
        ORTHO_COUNT_LANES_HERE(74);
        const uint32_t col = e.col + __ffs(left) - 1;
        b.row[to] = static_cast<uint16_t>(c.row % BLOCK_ROWS);
        b.col[to] = static_cast<uint16_t>(col % TILE_COLS);
        b.val[to] = residual_at<R>(v, c, col);
        if ((b.val[to++] & 0x7c00u) == 0x7c00u)
            reject(v, c.row);
    }
}

/* One row's walk over the columns of tiles [first, first + tiles): counts, or writes from place on.
 */
template <typename R, bool WRITES>
__device__ void walk_row(const view &v, const buckets &b, int64_t row, int64_t first, int tiles,
                         uint32_t *place)
{
    const int lane = threadIdx.x % 32;
    const row_context c = open_row<SCORES>(v, row);
    const final_cut cut = open_final_cut(v);
    const typename R::element *from = row_of<R>(v, row);
    for (int t = 0; t < tiles; t++) {
        const uint32_t begin = static_cast<uint32_t>(first + t) * TILE_COLS + lane * EIGHT;
        uint32_t at = WRITES ? place[t] : 0;
        R eight[STEPS]; /* all in flight */
#pragma unroll
        for (int step = 0; step < STEPS; step++)
            eight[step].request(v, from, begin + step * TILE);
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            const uint32_t col = begin + step * TILE;
            if (col - lane * EIGHT >= v.cols)
                break;
            ORTHO_COUNT_LANES_HERE(314);
            float weights[EIGHT];
            uint32_t key[EIGHT];
            eight[step].open(weights);
            keys_of<SCORES>(v, c, col, weights, key);
            const uint32_t chosen = chosen_of(c, col, key, cut), count = __popc(chosen);
            if (WRITES && __any_sync(ALL, count != 0)) {
                write_chosen<R>(v, b, c, {col, chosen, at + lanes_before(count)});
                __syncwarp(); /* or who wrote goes on alone, through the next step's keys */
            }
            at += warp_sum(count);
        }
        if (!WRITES && lane == 0)
            place[t] = at;
    }
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"bucket_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

template <typename R>
__global__ void __launch_bounds__(THREADS, 2) bucket_kernel(const view v, const buckets b)
{
    __shared__ uint32_t place[BLOCK_ROWS][TILES_AT_ONCE];
    const int warp = threadIdx.x / 32;
    const int64_t row = blockIdx.x * static_cast<int64_t>(BLOCK_ROWS);
    const int rows = v.n - row < BLOCK_ROWS ? static_cast<int>(v.n - row) : BLOCK_ROWS;
    __shared__ uint32_t next;
    if (threadIdx.x == 0)
        next = static_cast<uint32_t>(v.row_ptr[row]);
    for (int64_t first = 0; first < b.tiles; first += TILES_AT_ONCE) {
        const int tiles =
            b.tiles - first < TILES_AT_ONCE ? static_cast<int>(b.tiles - first) : TILES_AT_ONCE;
        for (int r = warp; r < rows; r += WARPS)
            walk_row<R, false>(v, b, row + r, first, tiles, place[r]);
        __syncthreads();
        if (threadIdx.x == 0) { /* at most 4096 counts, in the order of the buckets */
            uint32_t sum = next;
            for (int t = 0; t < tiles; t++) {
                b.ptr[blockIdx.x * b.tiles + first + t] = static_cast<int32_t>(sum);
                for (int r = 0; r < rows; r++) {
                    uint32_t count = place[r][t];
                    place[r][t] = sum;
                    sum += count;
                }
            }
            next = sum;
        }
        __syncthreads();
        for (int r = warp; r < rows; r += WARPS)
            walk_row<R, true>(v, b, row + r, first, tiles, place[r]);
        __syncthreads();
    }
    if (threadIdx.x == 0 && row + rows == v.n)
        b.ptr[static_cast<int64_t>(gridDim.x) * b.tiles] = static_cast<int32_t>(next);
}

int64_t blocks_of(const state *s)
{
    return (s->sieve.view.n + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

size_t pointers(const state *s)
{
    return static_cast<size_t>(blocks_of(s) * s->b.tiles) + 1;
}

void release(void *opaque, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    services->free(services->ctx, s->b.val);
    services->free(services->ctx, s->b.col);
    services->free(services->ctx, s->b.row);
    services->free(services->ctx, s->b.ptr);
    ortho_cuda_sieve_release(&s->sieve, services);
    *s = state{};
}

void *output(const ortho_services *s, size_t bytes)
{
    return s->alloc(s->ctx, bytes, ORTHO_DEVICE, ORTHO_OUTPUT);
}

ortho_status prepare(void *opaque, const ortho_sieve_problem *problem,
                     const ortho_services *services)
{
    state made = {};
    ortho_status status = ortho_cuda_sieve_prepare(&made.sieve, problem, services);
    if (status != ORTHO_OK)
        return status;
    size_t bytes = static_cast<size_t>(problem->nnz) * sizeof(uint16_t);
    made.b.tiles = (problem->w->cols + TILE_COLS - 1) / TILE_COLS;
    made.b.ptr = static_cast<int32_t *>(output(services, pointers(&made) * sizeof(int32_t)));
    made.b.row = static_cast<uint16_t *>(output(services, bytes));
    made.b.col = static_cast<uint16_t *>(output(services, bytes));
    made.b.val = static_cast<uint16_t *>(output(services, bytes));
    if (made.b.ptr == nullptr || made.b.row == nullptr || made.b.col == nullptr ||
        made.b.val == nullptr) {
        release(&made, services);
        return ORTHO_E_MEMORY;
    }
    *static_cast<state *>(opaque) = made;
    return ORTHO_OK;
}

ortho_status run(void *opaque, const ortho_sieve_problem *problem, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    ortho_status status = ortho_cuda_sieve_run(&s->sieve, problem, services);
    if (status != ORTHO_OK)
        return status;
    const dim3 blocks(static_cast<unsigned>(blocks_of(s)));
    with_reader(s->sieve.view, s->sieve.dtype, [&](auto type) {
        status = ortho_sieve_launch(
            "bucket_kernel", ORTHO_SIEVE_ALONE, bucket_kernel<decltype(type)>, {blocks, THREADS, 0},
            static_cast<cudaStream_t>(services->stream), s->sieve.view, s->b);
    });
    return status;
}

ortho_status fetch(void *to, const void *from, size_t bytes)
{
    return ortho_cuda_status(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost),
                             "reading the buckets");
}

ortho_status export_buckets(const state *s, ortho_split *out, const ortho_services *services)
{
    size_t bytes = static_cast<size_t>(s->sieve.view.nnz) * sizeof(uint16_t);
    ortho_bcsr b = {};
    b.n = s->sieve.view.n;
    b.k = s->sieve.view.k;
    b.nnz = s->sieve.view.nnz;
    b.block_rows = BLOCK_ROWS;
    b.tile_cols = TILE_COLS;
    void *ptr =
        services->alloc(services->ctx, pointers(s) * sizeof(int32_t), ORTHO_HOST, ORTHO_WORKING);
    char *rest =
        static_cast<char *>(services->alloc(services->ctx, 3 * bytes, ORTHO_HOST, ORTHO_WORKING));
    ortho_status status = ptr != nullptr && rest != nullptr ? ORTHO_OK : ORTHO_E_MEMORY;
    b.bucket_ptr = static_cast<int32_t *>(ptr);
    b.row = reinterpret_cast<uint16_t *>(rest);
    b.col = b.row + b.nnz;
    b.val = b.col + b.nnz;
    if (status == ORTHO_OK)
        status = fetch(b.bucket_ptr, s->b.ptr, pointers(s) * sizeof(int32_t));
    if (status == ORTHO_OK)
        status = fetch(b.row, s->b.row, bytes);
    if (status == ORTHO_OK)
        status = fetch(b.col, s->b.col, bytes);
    if (status == ORTHO_OK)
        status = fetch(b.val, s->b.val, bytes);
    if (status == ORTHO_OK)
        status = ortho_csr_from_bcsr(&b, out);
    services->free(services->ctx, rest);
    services->free(services->ctx, ptr);
    return status;
}

ortho_status export_split(const void *opaque, ortho_split *out, const ortho_services *services)
{
    const state *s = static_cast<const state *>(opaque);
    ortho_status status = ortho_cuda_sieve_export(&s->sieve, out, services);
    return status == ORTHO_OK ? export_buckets(s, out, services) : status;
}

void kernels(const void *opaque, const ortho_kernel_sink *sink)
{
    const state *s = static_cast<const state *>(opaque);
    ortho_cuda_sieve_kernels(&s->sieve, sink);
    with_reader(s->sieve.view, s->sieve.dtype, [&](auto type) {
        ortho_cuda_kernel_report("bucket_kernel", (const void *)bucket_kernel<decltype(type)>,
                                 THREADS, 0, sink);
    });
}

} // namespace

extern "C" const ortho_sieve_hooks ortho_block_csr_sieve_cuda;
const ortho_sieve_hooks ortho_block_csr_sieve_cuda = {
    .state_size = sizeof(state),
    .prepare = prepare,
    .run = run,
    .export_split = export_split,
    .release = release,
    .lanes = ortho_block_csr_sieve_lanes,
    .loop = &loop,
    .w_reads = ORTHO_CUDA_SIEVE_W_READS(2),
    .kernels = kernels,
};
