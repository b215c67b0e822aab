/*
 * The cut out of what a gathering found: the bin of the bracket in which it lies, by the counts
 * that came with the list; the listed keys above that bin, each for its row; and those in it, the
 * finalists, which the last block ranks. The last block also makes row_ptr of the rows' counts.
 *
 * Where there was no sample, its bracket missed, or keys tie by the thousands, every block sees so
 * from the same few words, and all settle it by digits instead: the grid fits the chip at once.
 */
#include "kernels/cuda/sieve_digits.cuh"
#include "kernels/cuda/sieve_kernels.h"

using namespace ortho_sieve;

namespace
{

struct cut_bin {
    uint32_t bin, above, here; /* its number, the bracket's keys above it and in it */
};

/* The bin, from the top, in which the need-th key of the bracket lies; every block finds it. */
__device__ cut_bin find_bin(const uint4 &four, uint32_t need)
{
    constexpr int EACH = BRACKET_BINS / SETTLERS;
    __shared__ cut_bin found;
    const uint32_t bin[EACH] = {four.x, four.y, four.z, four.w};
    uint32_t total, above = sum_above(four.x + four.y + four.z + four.w, &total);
#pragma unroll
    for (int i = EACH - 1; i >= 0; i--) {
        if (above < need && above + bin[i] >= need)
            found = {static_cast<uint32_t>(threadIdx.x * EACH + i), above, bin[i]};
        above += bin[i];
    }
    __syncthreads();
    return found;
}

__device__ __forceinline__ void tally(const view &v, uint64_t entry)
{
    atomicAdd(v.row_ptr + 1 + static_cast<uint32_t>(~entry) / static_cast<uint32_t>(v.k), 1);
}

/* The last block: the need-th of the finalists, by counting who is ahead of each. */
template <what WHAT>
__device__ void rank_finalists(const view &v, ortho_cuda_selection *s, uint32_t need)
{
    __shared__ uint64_t entry[FINALISTS];
    const uint32_t count = __ldcg(&s->finalists);
    for (uint32_t i = threadIdx.x; i < count; i += SETTLERS)
        entry[i] = __ldcg(v.finalists + i);
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < count; i += SETTLERS) {
        uint32_t ahead = 0;
        for (uint32_t j = 0; j < count; j++)
            ahead += entry[j] > entry[i];
        if (ahead == need - 1) {
            s->cut_key = static_cast<uint32_t>(entry[i] >> 32);
            s->cut_at = static_cast<uint32_t>(~entry[i]);
        }
        if (WHAT == SCORES && ahead < need)
            tally(v, entry[i]);
    }
    for (int i = threadIdx.x; i < BRACKET_BINS; i += SETTLERS)
        v.bracket[i] = 0;
    __syncthreads();
}

template <typename R, what WHAT>
__global__ void __launch_bounds__(SETTLERS)
    settle_kernel(const view v, uint64_t wanted, bool sampled)
{
    ortho_cuda_release_dependents();
    ortho_cuda_wait_for_previous();
    ortho_cuda_selection *s = &v.selection[WHAT];
    const uint4 four = __ldcg(reinterpret_cast<const uint4 *>(v.bracket) + threadIdx.x);
    const uint64_t above = s->above;
    const uint32_t listed = s->listed, lo = s->lo, shift = s->shift;
    const bool brackets = sampled && s->missed == 0 && above < wanted && above + listed >= wanted &&
                          listed <= v.list_size;
    const uint32_t need = static_cast<uint32_t>(wanted - above);
    cut_bin cut = {0, 0, FINALISTS + 1};
    if (brackets)
        cut = find_bin(four, need);
    if (cut.here > FINALISTS) {
        settle_by_digits<R, WHAT>(v, wanted);
        return;
    }
    for (uint32_t i = blockIdx.x * SETTLERS + threadIdx.x; i < listed; i += gridDim.x * SETTLERS) {
        const uint64_t e = __ldcg(v.list[WHAT] + i);
        const uint32_t bin = (static_cast<uint32_t>(e >> 32) - lo) >> shift;
        if (bin == cut.bin)
            v.finalists[atomicAdd(&s->finalists, 1u)] = e;
        else if (WHAT == SCORES && bin > cut.bin)
            tally(v, e);
    }
    if (!last_to_arrive(v.counters + SLOT_SAMPLE, gridDim.x))
        return;
    rank_finalists<WHAT>(v, s, need - cut.above);
    if (WHAT == SCORES)
        scan_counts(v.row_ptr, v.n);
}

int multiprocessors()
{
    int device = 0, count = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
                   cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) ==
                       cudaSuccess &&
                   count > 0
               ? count
               : 1;
}

} // namespace

ortho_status ortho_sieve_launch_settle(const view &v, bool scores, int64_t need, ortho_dtype dtype,
                                       cudaStream_t stream)
{
    const unsigned blocks = static_cast<unsigned>(multiprocessors());
    const uint64_t wanted = static_cast<uint64_t>(need);
    const bool sampled = ortho_sieve_is_sampled(v, need);
    ortho_status status = ORTHO_OK;
    with_reader(v, dtype, [&](auto type) {
        typedef decltype(type) R;
        status =
            ortho_sieve_launch("settle_kernel", ORTHO_SIEVE_BEHIND,
                               scores ? settle_kernel<R, SCORES> : settle_kernel<R, MAGNITUDES>,
                               {blocks, SETTLERS, 0}, stream, v, wanted, sampled);
    });
    return status;
}

void ortho_sieve_report_settle(const view &v, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    with_reader(v, dtype, [&](auto type) {
        ortho_cuda_kernel_report("settle_kernel",
                                 (const void *)settle_kernel<decltype(type), SCORES>, SETTLERS, 0,
                                 sink);
    });
}
