/*
 * csr's sieve on CUDA: the streaming sieve, and a thread a row that walks its own row and fills in
 * what is chosen. 32 lanes read 32 rows at once, 16 bytes of each, so that a line is used over
 * several trips and must stay in the L1 meanwhile; and a warp waits for the row with the most
 * entries. It is what one writes first, and what warp-per-row is measured against.
 */
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/sieve_csr.cuh"

extern "C" void ortho_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

using namespace ortho_sieve;

namespace
{

constexpr int BLOCK = 64;

/* Where a row's entries go: [to, end). */
template <typename C> struct sink {
    C *cols;
    uint16_t *vals;
    uint32_t to, end;
};

constexpr int LOOP_FIRST = __LINE__;
/* The Ortho loop: eight columns at a time, until the entries of all 32 rows are out. The vote at
 * its head brings the lanes together again: without it a lane that stored goes on alone from there.
 */
template <typename R, typename C>
__device__ __forceinline__ void fill_row(const view &v, const row_context &c, const final_cut &cut,
                                         sink<C> out)
{
    for (uint32_t col = 0; col < v.cols && __any_sync(ALL, out.to < out.end); col += EIGHT) {
        ORTHO_COUNT_LANES_HERE(9);
        if (out.to >= out.end)
            continue;
        ORTHO_COUNT_LANES_HERE(293);
        uint32_t key[EIGHT];
        load_keys<R, SCORES>(v, c, col, key);
        uint32_t chosen = chosen_of(c, col, key, cut);
        for (; chosen != 0 && out.to < out.end; chosen &= chosen - 1) { /* a trip per entry */
            ORTHO_COUNT_LANES_HERE(58);
            const uint32_t at = col + __ffs(chosen) - 1;
            out.cols[out.to] = static_cast<C>(at);
            out.vals[out.to] = residual_at<R>(v, c, at);
            if ((out.vals[out.to++] & 0x7c00u) == 0x7c00u)
                reject(v, c.row);
        }
    }
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"fill_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

template <typename R, typename C>
__global__ void __launch_bounds__(BLOCK) fill_kernel(const view v, C *cols, uint16_t *vals)
{
    const int64_t row = blockIdx.x * static_cast<int64_t>(BLOCK) + threadIdx.x;
    const bool there = row < v.n;
    const row_context c = open_row<SCORES>(v, there ? row : v.n - 1);
    const final_cut cut = open_final_cut(v);
    const uint32_t to = there ? static_cast<uint32_t>(v.row_ptr[row]) : 0;
    const uint32_t end = there ? static_cast<uint32_t>(v.row_ptr[row + 1]) : 0;
    fill_row<R, C>(v, c, cut,
                   {cols, vals, to, end}); /* lanes beyond the rows have nothing to fill */
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
    .loop = &loop,
    .w_reads = ORTHO_CUDA_SIEVE_W_READS(1),
    .kernels = report_csr_kernels<emission>,
};
