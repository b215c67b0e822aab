/*
 * csr's sieve on CUDA: the streaming sieve, and a thread a row that walks its own row and fills in
 * what is chosen. 32 lanes read 32 rows at once, 16 bytes of each, so that a line is used over
 * several trips and must stay in the L1 meanwhile; and a warp waits for the row with the most
 * entries. It is what one writes first, and what warp-per-row is measured against.
 */
#include "kernels/cuda/sieve_csr.cuh"

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

struct emission {
    static constexpr const char *NAME = "fill_kernel";
    static constexpr ortho_sieve_place PLACE = ORTHO_SIEVE_ALONE;
    static constexpr int THREADS = BLOCK, ROWS = BLOCK;
    template <typename R, typename C> static auto kernel()
    {
        return fill_kernel<R, C>;
    }
};

} // namespace

extern "C" const ortho_sieve_hooks ortho_csr_sieve_cuda;
const ortho_sieve_hooks ortho_csr_sieve_cuda = {
    .state_size = sizeof(ortho_cuda_sieve_csr),
    .prepare = ortho_cuda_sieve_csr_prepare,
    .run = run_csr<emission>,
    .export_split = ortho_cuda_sieve_csr_export,
    .release = ortho_cuda_sieve_csr_release,
    .lanes = ortho_csr_sieve_lanes,
    .w_reads = ORTHO_CUDA_SIEVE_W_READS(1),
    .kernels = report_csr_kernels<emission>,
};
