/*
 * block-csr, dual GEMM on CUDA: a row block's entries (64 rows), whatever their rows, are one list,
 * ordered by column tile; a thread block owns it, its warps take turns at 32 entries, lane by lane,
 * so that a long row is everybody's. x is staged in shared memory a tile of columns at a time. An
 * entry says its row within the block and its column within the tile, 16 bits each, with an fp16
 * value: 6 bytes. Sums of rows are added in shared memory: their order, and so the last bit of
 * fp32, may change from run to run.
 */
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/status.h"
#include "kernels/split.h"

extern "C" void ortho_block_csr_lanes(const ortho_split *split, int64_t m,
                                      const ortho_lane_sink *sink);

namespace
{

constexpr int BLOCK_ROWS = 64, TILE = 4096, THREADS = 512;

struct bcsr_state {
    ortho_cuda_base base;
    int64_t nnz, tiles;
    void *bucket_ptr, *row, *col, *val;
    size_t bytes;
};

struct lists {
    const int32_t *bucket_ptr;
    const uint16_t *row, *col;
    const __half *val;
    int64_t n, k, m, tiles;
};

constexpr int LOOP_FIRST = __LINE__;
/* Lanes of one row are neighbours: each run is added up by shuffles, and its last lane adds it to
 * the row's sum, so that lanes don't queue for one address. */
__device__ __forceinline__ void add_runs(int row, float v, float *sums)
{
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        float other = __shfl_up_sync(0xffffffffu, v, distance);
        int its = __shfl_up_sync(0xffffffffu, row, distance);
        if (lane >= distance && its == row)
            v += other;
    }
    int next = __shfl_down_sync(0xffffffffu, row, 1);
    if (row < BLOCK_ROWS && (lane == 31 || next != row)) {
        ORTHO_COUNT_LANES_HERE(6);
        atomicAdd(&sums[row], v);
    }
}

/* The Ortho loop: a warp's turns at 32 entries of bucket[0], tile by tile. All lanes make every
 * round, the shuffles want them: those beyond the last entry bring nothing. */
template <typename X>
__device__ __forceinline__ void add_bucket(const lists &l, const int32_t *bucket, const X *tile,
                                           float *sums)
{
    for (int32_t begin = bucket[0] + static_cast<int32_t>(threadIdx.x / 32 * 32); begin < bucket[1];
         begin += THREADS) {
        int32_t i = begin + static_cast<int32_t>(threadIdx.x % 32);
        bool there = i < bucket[1];
        float product = 0;
        ORTHO_COUNT_LANES_HERE(44);
        if (there) {
            ORTHO_COUNT_LANES_HERE(14);
            product = __half2float(l.val[i]) * ortho_cuda_float(tile[l.col[i]]);
        }
        add_runs(there ? l.row[i] : BLOCK_ROWS, product, sums);
    }
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"block_csr_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

template <typename X>
__global__ void __launch_bounds__(THREADS)
    block_csr_kernel(const lists l, const X *x, float alpha, float *addend)
{
    __shared__ X tile[TILE];
    __shared__ float sums[BLOCK_ROWS];
    ortho_cuda_release_dependents();
    const int32_t *bucket = l.bucket_ptr + blockIdx.x * l.tiles;
    for (int64_t token = blockIdx.y; token < l.m; token += gridDim.y) {
        if (threadIdx.x < BLOCK_ROWS)
            sums[threadIdx.x] = 0;
        for (int64_t t = 0; t < l.tiles; t++) {
            int64_t first = t * TILE, width = l.k - first < TILE ? l.k - first : TILE;
            __syncthreads(); /* the tile before has been used, the sums are cleared */
            for (int c = threadIdx.x; c < width; c += THREADS)
                tile[c] = x[token * l.k + first + c];
            __syncthreads();
            add_bucket(l, bucket + t, tile, sums);
        }
        __syncthreads();
        int64_t r = blockIdx.x * static_cast<int64_t>(BLOCK_ROWS) + threadIdx.x;
        if (threadIdx.x < BLOCK_ROWS && r < l.n)
            addend[token * l.n + r] = alpha * sums[threadIdx.x];
    }
}

template <typename X> void launch(const bcsr_state *s, const ortho_gemm_call *call, float *addend)
{
    lists l = {static_cast<const int32_t *>(s->bucket_ptr),
               static_cast<const uint16_t *>(s->row),
               static_cast<const uint16_t *>(s->col),
               static_cast<const __half *>(s->val),
               s->base.n,
               s->base.k,
               call->m,
               s->tiles};
    dim3 grid(static_cast<unsigned>((l.n + BLOCK_ROWS - 1) / BLOCK_ROWS),
              static_cast<unsigned>(call->m < 65535 ? call->m : 65535));
    block_csr_kernel<X><<<grid, THREADS, 0, static_cast<cudaStream_t>(call->stream)>>>(
        l, static_cast<const X *>(call->x), call->alpha, addend);
}

ortho_status multiply(const void *opaque, const ortho_gemm_call *call, float *addend)
{
    const bcsr_state *s = static_cast<const bcsr_state *>(opaque);
    if (call->dtype == ORTHO_F16)
        launch<__half>(s, call, addend);
    else if (call->dtype == ORTHO_BF16)
        launch<__nv_bfloat16>(s, call, addend);
    else
        launch<float>(s, call, addend);
    return ortho_cuda_launched("block_csr_kernel");
}

void release(void *opaque, const ortho_services *services)
{
    bcsr_state *s = static_cast<bcsr_state *>(opaque);
    services->free(services->ctx, s->val);
    services->free(services->ctx, s->col);
    services->free(services->ctx, s->row);
    services->free(services->ctx, s->bucket_ptr);
    ortho_cuda_base_release(&s->base, services);
    *s = bcsr_state{};
}

ortho_status upload(bcsr_state *s, const ortho_split *split, const ortho_services *services)
{
    ortho_bcsr b;
    size_t entries = static_cast<size_t>(split->nnz) * sizeof(uint16_t);
    size_t blocks = static_cast<size_t>((split->n + BLOCK_ROWS - 1) / BLOCK_ROWS);
    size_t ptr_bytes = (blocks * static_cast<size_t>(s->tiles) + 1) * sizeof(int32_t);
    ortho_status status = ortho_bcsr_from_csr(split, BLOCK_ROWS, TILE, services, ORTHO_WORKING, &b);
    if (status != ORTHO_OK)
        return status;
    status = ortho_cuda_keep(b.bucket_ptr, ptr_bytes, services, &s->bucket_ptr);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(b.row, entries, services, &s->row);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(b.col, entries, services, &s->col);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(b.val, entries, services, &s->val);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(
            cudaStreamSynchronize(static_cast<cudaStream_t>(services->stream)), "upload of Ortho");
    ortho_bcsr_free(&b, services);
    s->bytes = ptr_bytes + 3 * entries;
    return status;
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    bcsr_state made = {};
    made.nnz = problem->split->nnz;
    made.tiles = (problem->k + TILE - 1) / TILE;
    ortho_status status = ortho_cuda_base_prepare(&made.base, problem, services);
    if (status != ORTHO_OK)
        return status;
    status = upload(&made, problem->split, services);
    if (status != ORTHO_OK)
        release(&made, services);
    else
        *static_cast<bcsr_state *>(opaque) = made;
    return status;
}

size_t workspace(const void *opaque, int64_t m, ortho_dtype)
{
    return ortho_cuda_dual_workspace(&static_cast<const bcsr_state *>(opaque)->base, m);
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const bcsr_state *s = static_cast<const bcsr_state *>(opaque);
    return ortho_cuda_dual_run(&s->base, s->nnz, call, s, multiply);
}

ortho_status export_split(const void *opaque, ortho_split *out, const ortho_services *services)
{
    const bcsr_state *s = static_cast<const bcsr_state *>(opaque);
    const size_t entries = static_cast<size_t>(s->nnz), half = entries * sizeof(uint16_t);
    const size_t ptr_bytes = s->bytes - 3 * half;
    ortho_bcsr b = {s->base.n, s->base.k, s->nnz,  BLOCK_ROWS, TILE,
                    nullptr,   nullptr,   nullptr, nullptr};
    char *host =
        static_cast<char *>(services->alloc(services->ctx, s->bytes, ORTHO_HOST, ORTHO_WORKING));
    if (host == nullptr)
        return ORTHO_E_MEMORY;
    b.bucket_ptr = reinterpret_cast<int32_t *>(host);
    b.row = reinterpret_cast<uint16_t *>(host + ptr_bytes);
    b.col = b.row + entries;
    b.val = b.col + entries;
    ortho_status status = ortho_cuda_base_export(&s->base, out, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(b.bucket_ptr, s->bucket_ptr, ptr_bytes, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(b.row, s->row, half, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(b.col, s->col, half, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(b.val, s->val, half, services);
    if (status == ORTHO_OK)
        status = ortho_csr_from_bcsr(&b, out);
    services->free(services->ctx, host);
    return status;
}

void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const bcsr_state *s = static_cast<const bcsr_state *>(opaque);
    ortho_cuda_base_cost(&s->base, m, s->nnz, s->bytes, out);
}

void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    const bcsr_state *s = static_cast<const bcsr_state *>(opaque);
    const void *kernel = s->base.dtype == ORTHO_F16 ? (const void *)block_csr_kernel<__half>
                         : s->base.dtype == ORTHO_BF16
                             ? (const void *)block_csr_kernel<__nv_bfloat16>
                             : (const void *)block_csr_kernel<float>;
    if (s->nnz > 0)
        ortho_cuda_kernel_report("block_csr_kernel", kernel, THREADS, 0, sink);
    ortho_cuda_base_kernels(&s->base, m, sink);
}

} // namespace

extern "C" const ortho_gemm_hooks ortho_block_csr_gemm_cuda;
const ortho_gemm_hooks ortho_block_csr_gemm_cuda = {
    .state_size = sizeof(bcsr_state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .lanes = ortho_block_csr_lanes,
    .loop = &loop,
    .kernels = kernels,
    .export_split = export_split,
};
