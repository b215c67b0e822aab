/*
 * warp-per-row's sieve on CUDA: the streaming sieve, and a warp a row that walks its columns 256 at
 * a time, eight a lane, tests each key against the cut and compacts what is chosen by an exclusive
 * sum over the lanes: columns stay in order, stores are neighbours. Bound by reading W once more.
 */
#include "kernels/cuda/sieve_csr.h"
#include "kernels/cuda/sieve_device.cuh"
#include "kernels/cuda/sieve_kernels.h"

extern "C" void ortho_warp_per_row_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

using namespace ortho_sieve;

namespace
{

constexpr int BUFFER = 512; /* columns that a warp holds back, to write them side by side */

/* A warp's exclusive sum, by ballots where no lane has more than one. */
__device__ __forceinline__ uint32_t places_before(uint32_t count, uint32_t *total)
{
    const uint32_t some = __ballot_sync(ALL, count != 0);
    if (__any_sync(ALL, count > 1)) {
        *total = warp_sum(count);
        return lanes_before(count);
    }
    *total = __popc(some);
    return __popc(some & ((1u << threadIdx.x % 32) - 1));
}

/* Writes `count` columns held back, lane by lane: W is gathered again, from the cache. */
template <typename W, typename C>
__device__ __forceinline__ void write_out(const view &v, int64_t row, const uint32_t *held,
                                          uint32_t count, uint32_t at, C *cols, uint16_t *vals)
{
    const W *w = static_cast<const W *>(v.w) + row * v.stride;
    __syncwarp();
    for (uint32_t i = threadIdx.x % 32; i < count; i += 32) {
        const uint32_t col = held[i];
        const uint16_t val = residual_of(v, row, col, ortho_cuda_float(w[col]));
        cols[at + i] = static_cast<C>(col);
        vals[at + i] = val;
        if ((val & 0x7c00u) == 0x7c00u)
            reject(v, row);
    }
    __syncwarp();
}

template <typename W, typename C>
__global__ void __launch_bounds__(THREADS) emit_kernel(const view v, C *cols, uint16_t *vals)
{
    __shared__ uint32_t buffer[WARPS][BUFFER];
    const int lane = threadIdx.x % 32;
    const int64_t row = blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / 32;
    if (row >= v.n)
        return;
    uint32_t *held = buffer[threadIdx.x / 32], count = 0;
    uint32_t at = static_cast<uint32_t>(v.row_ptr[row]);
    const uint32_t end = static_cast<uint32_t>(v.row_ptr[row + 1]);
    const uint32_t cut_key = v.selection[SCORES].cut_key, cut_at = v.selection[SCORES].cut_at;
    const row_context c = open_row<SCORES>(v, row);
    for (int t = 0; t < v.tiles && at + count < end; t++) {
        const int64_t col = t * static_cast<int64_t>(TILE) + lane * EIGHT;
        uint32_t key[EIGHT], chosen = 0, total;
        load_keys<W, SCORES>(v, c, col, key);
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            if (key[i] >= cut_key && key[i] != 0 &&
                is_selected(key[i], c.at + static_cast<uint32_t>(col) + i, cut_key, cut_at))
                chosen |= 1u << i;
        uint32_t to = count + places_before(__popc(chosen), &total);
        for (; chosen != 0; chosen &= chosen - 1)
            held[to++] = static_cast<uint32_t>(col) + __ffs(chosen) - 1;
        count += total;
        if (count > BUFFER - TILE) { /* the next tile may not fit */
            count = count < end - at ? count : end - at;
            write_out<W, C>(v, row, held, count, at, cols, vals);
            at += count;
            count = 0;
        }
    }
    count = count < end - at ? count : end - at;
    write_out<W, C>(v, row, held, count, at, cols, vals);
}

template <typename C> ortho_status emit(ortho_cuda_sieve_csr *s, cudaStream_t stream)
{
    const view &v = s->sieve.view;
    unsigned blocks = static_cast<unsigned>((v.n + WARPS - 1) / WARPS);
    with_type(s->sieve.dtype, [&](auto type) {
        emit_kernel<decltype(type), C><<<blocks, THREADS, 0, stream>>>(
            v, static_cast<C *>(s->col), static_cast<uint16_t *>(s->val));
    });
    return ortho_cuda_launched("emit_kernel");
}

ortho_status run(void *state, const ortho_sieve_problem *problem, const ortho_services *services)
{
    ortho_cuda_sieve_csr *s = static_cast<ortho_cuda_sieve_csr *>(state);
    cudaStream_t stream = static_cast<cudaStream_t>(services->stream);
    ortho_status status = ortho_cuda_sieve_run(&s->sieve, problem, services);
    if (status != ORTHO_OK || s->sieve.view.nnz == 0)
        return status;
    return s->sieve.view.k > 65536 ? emit<uint32_t>(s, stream) : emit<uint16_t>(s, stream);
}

void kernels(const void *state, const ortho_kernel_sink *sink)
{
    const ortho_cuda_sieve_csr *s = static_cast<const ortho_cuda_sieve_csr *>(state);
    ortho_cuda_sieve_kernels(&s->sieve, sink);
    with_type(s->sieve.dtype, [&](auto type) {
        ortho_cuda_kernel_report("emit_kernel", (const void *)emit_kernel<decltype(type), uint16_t>,
                                 THREADS, 0, sink);
    });
}

} // namespace

extern "C" const ortho_sieve_hooks ortho_warp_per_row_sieve_cuda;
const ortho_sieve_hooks ortho_warp_per_row_sieve_cuda = {
    .state_size = sizeof(ortho_cuda_sieve_csr),
    .prepare = ortho_cuda_sieve_csr_prepare,
    .run = run,
    .export_split = ortho_cuda_sieve_csr_export,
    .release = ortho_cuda_sieve_csr_release,
    .lanes = ortho_warp_per_row_sieve_lanes,
    .w_reads = ORTHO_CUDA_SIEVE_W_READS(1),
    .kernels = kernels,
};
