/*
 * csr's sieve on CUDA: the streaming sieve, and a thread a row that walks its own row and fills in
 * what is chosen. 32 lanes read 32 rows at once, 16 bytes of each, so that a line is used over
 * several trips and must stay in the L1 meanwhile; and a warp waits for the row with the most
 * entries. It is what one writes first, and what warp-per-row is measured against.
 */
#include "kernels/cuda/sieve_csr.h"
#include "kernels/cuda/sieve_device.cuh"
#include "kernels/cuda/sieve_kernels.h"

extern "C" void ortho_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

using namespace ortho_sieve;

namespace
{

constexpr int BLOCK = 64;

template <typename R, typename C>
__global__ void __launch_bounds__(BLOCK) fill_kernel(const view v, C *cols, uint16_t *vals)
{
    const int64_t row = blockIdx.x * static_cast<int64_t>(BLOCK) + threadIdx.x;
    const bool there = row < v.n;
    const row_context c = open_row<SCORES>(v, there ? row : v.n - 1);
    const final_cut cut = open_final_cut(v);
    uint32_t to = there ? static_cast<uint32_t>(v.row_ptr[row]) : 0;
    const uint32_t end = there ? static_cast<uint32_t>(v.row_ptr[row + 1]) : 0;
    for (uint32_t col = 0; col < v.cols && to < end; col += EIGHT) {
        uint32_t key[EIGHT], chosen = 0;
        if (there) {
            load_keys<R, SCORES>(v, c, col, key);
            chosen = chosen_of(c, col, key, cut);
        }
        for (; chosen != 0 && to < end; chosen &= chosen - 1) { /* a trip per entry of the row */
            const uint32_t at = col + __ffs(chosen) - 1;
            cols[to] = static_cast<C>(at);
            vals[to] = residual_at<R>(v, c, at);
            if ((vals[to++] & 0x7c00u) == 0x7c00u)
                reject(v, row);
        }
    }
}

template <typename C> ortho_status emit(ortho_cuda_sieve_csr *s, cudaStream_t stream)
{
    const view &v = s->sieve.view;
    unsigned blocks = static_cast<unsigned>((v.n + BLOCK - 1) / BLOCK);
    ortho_status status = ORTHO_OK;
    with_reader(v, s->sieve.dtype, [&](auto type) {
        status = ortho_sieve_launch("fill_kernel", ORTHO_SIEVE_ALONE,
                                    fill_kernel<decltype(type), C>, {blocks, BLOCK, 0}, stream, v,
                                    static_cast<C *>(s->col), static_cast<uint16_t *>(s->val));
    });
    return status;
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
    with_reader(s->sieve.view, s->sieve.dtype, [&](auto type) {
        ortho_cuda_kernel_report("fill_kernel", (const void *)fill_kernel<decltype(type), uint16_t>,
                                 BLOCK, 0, sink);
    });
}

} // namespace

extern "C" const ortho_sieve_hooks ortho_csr_sieve_cuda;
const ortho_sieve_hooks ortho_csr_sieve_cuda = {
    .state_size = sizeof(ortho_cuda_sieve_csr),
    .prepare = ortho_cuda_sieve_csr_prepare,
    .run = run,
    .export_split = ortho_cuda_sieve_csr_export,
    .release = ortho_cuda_sieve_csr_release,
    .lanes = ortho_csr_sieve_lanes,
    .w_reads = ORTHO_CUDA_SIEVE_W_READS(1),
    .kernels = kernels,
};
