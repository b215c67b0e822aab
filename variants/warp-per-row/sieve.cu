/*
 * warp-per-row's sieve on CUDA: the streaming sieve, and a warp a row that emits. The selection's
 * read of W has staged the columns that may be chosen: a lane each tests its key against the cut,
 * and what stays is compacted by a ballot: columns stay in order, stores are neighbours, and W is
 * gathered at those columns alone. A row that isn't staged (too many of its columns, too dense a
 * split, keys that tie by the thousands) is walked, 256 columns at a time, eight a lane.
 */
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/sieve_csr.cuh"

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

/* Appends a warp's chosen columns, in their order; returns how many. */
__device__ __forceinline__ uint32_t hold(uint32_t chosen, uint32_t col, uint32_t *held)
{
    uint32_t total, to = places_before(__popc(chosen), &total);
    for (; chosen != 0; chosen &= chosen - 1)
        held[to++] = col + __ffs(chosen) - 1;
    return total;
}

/* Where a row's entries go. */
template <typename C> struct sink {
    C *cols;
    uint16_t *vals;
    int64_t row;
    uint32_t at, end;
};

constexpr int LOOP_FIRST = __LINE__;
/* The Ortho loop: what makes entries of chosen columns. */
template <typename C>
__device__ __forceinline__ void put(const view &v, const sink<C> &to, uint32_t at, uint32_t col,
                                    uint16_t val)
{
    ORTHO_COUNT_LANES_HERE(31);
    to.cols[at] = static_cast<C>(col);
    to.vals[at] = val;
    if ((val & 0x7c00u) == 0x7c00u)
        reject(v, to.row);
}

/* Of a column a lane, those chosen, side by side. */
template <typename C>
__device__ __forceinline__ void compact(const view &v, uint32_t col, const lone &one, bool chosen,
                                        sink<C> *to)
{
    ORTHO_COUNT_LANES_HERE(11);
    const uint32_t all = __ballot_sync(ALL, chosen);
    const uint32_t at = to->at + __popc(all & ((1u << threadIdx.x % 32) - 1));
    if (chosen && at < to->end)
        put(v, *to, at, col, residual_of(one.w, one.scale));
    to->at += __popc(all);
}

/* Writes `count` columns held back, a lane each: W is gathered again, from the cache. */
template <typename R, typename C>
__device__ __forceinline__ void write_out(const view &v, const row_context &c, const uint32_t *held,
                                          uint32_t count, sink<C> *to)
{
    __syncwarp();
    count = count < to->end - to->at ? count : to->end - to->at;
    for (uint32_t i = threadIdx.x % 32; i < count; i += 32) {
        ORTHO_COUNT_LANES_HERE(30); /* and what put counts */
        put(v, *to, to->at + i, held[i], residual_at<R>(v, c, held[i]));
    }
    to->at += count;
    __syncwarp();
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"emit_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

template <typename R, typename C>
__device__ __forceinline__ void walk(const view &v, const row_context &c, const final_cut &cut,
                                     uint32_t *held, sink<C> to)
{
    uint32_t count = 0;
    each_tile<R, SCORES>(v, c, [&](uint32_t col, const uint32_t key[EIGHT]) {
        count += hold(chosen_of(c, col, key, cut), col, held + count);
        if (count > BUFFER - TILE) { /* the next tile may not fit */
            write_out<R, C>(v, c, held, count, &to);
            count = 0;
        }
    });
    write_out<R, C>(v, c, held, count, &to);
}

template <typename R, typename C>
__device__ __forceinline__ void unstage(const view &v, const row_context &c, const final_cut &cut,
                                        const ortho_cuda_staged_row &staged, sink<C> to)
{
    constexpr int AHEAD = 4; /* columns of a lane in flight */
    const uint32_t lane = threadIdx.x % 32;
    for (uint32_t first = lane; first - lane < staged.count; first += 32 * AHEAD) {
        uint32_t col[AHEAD];
        lone one[AHEAD];
        bool chosen[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            col[i] = first + i * 32 < staged.count ? v.stage[staged.at + first + i * 32] : 0;
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            one[i] = load_lone<R, SCORES>(v, c, col[i]);
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            chosen[i] =
                first + i * 32 < staged.count &&
                is_selected(lone_key<SCORES>(v, c, col[i], one[i]), c.at + col[i], cut.key, cut.at);
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            compact(v, col[i], one[i], chosen[i], &to);
    }
}

template <typename R, typename C>
__global__ void __launch_bounds__(THREADS, 4) emit_kernel(const view v, C *cols, uint16_t *vals)
{
    __shared__ uint32_t buffer[WARPS][BUFFER];
    const int64_t row = blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / 32;
    ortho_cuda_wait_for_previous();
    if (row >= v.n)
        return;
    const final_cut cut = open_final_cut(v);
    const row_context c = open_row<SCORES>(v, row);
    const sink<C> to = {cols, vals, row, static_cast<uint32_t>(v.row_ptr[row]),
                        static_cast<uint32_t>(v.row_ptr[row + 1])};
    ortho_cuda_staged_row staged = {0, WALK};
    if (v.stage_size != 0 && !cut.exact)
        staged = v.staged[row];
    if (staged.count == WALK)
        walk<R, C>(v, c, cut, buffer[threadIdx.x / 32], to);
    else
        unstage<R, C>(v, c, cut, staged, to);
}

struct emission {
    static constexpr const char *NAME = "emit_kernel";
    static constexpr ortho_sieve_place PLACE = ORTHO_SIEVE_BEHIND;
    static constexpr int THREADS = ortho_sieve::THREADS, ROWS = WARPS;
    template <typename R, typename C> static auto kernel()
    {
        return emit_kernel<R, C>;
    }
};

} // namespace

extern "C" const ortho_sieve_hooks ortho_warp_per_row_sieve_cuda;
const ortho_sieve_hooks ortho_warp_per_row_sieve_cuda = {
    .state_size = sizeof(ortho_cuda_sieve_csr),
    .prepare = ortho_cuda_sieve_csr_prepare,
    .run = run_csr<emission>,
    .export_split = ortho_cuda_sieve_csr_export,
    .release = ortho_cuda_sieve_csr_release,
    .lanes = ortho_warp_per_row_sieve_lanes,
    .loop = &loop,
    .w_reads = ORTHO_CUDA_SIEVE_W_READS(0),
    .kernels = report_csr_kernels<emission>,
};
