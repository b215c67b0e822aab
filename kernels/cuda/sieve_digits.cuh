/*
 * sieve_digits.cuh: the exact selection, where a sample's bracket doesn't serve: by all blocks of a
 * grid that fits the chip at once, so that they can wait for one another. The key by three
 * histograms of all keys (11, 10, 10 bits), each a read of W; then, among equal keys, the position;
 * then the rows' counts.
 */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_DIGITS_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_DIGITS_CUH

#include "kernels/cuda/sieve_block.cuh"

namespace ortho_sieve
{

/* All blocks of the grid meet. The counter goes up by gridDim.x a meeting; a run starts with 0. */
__device__ inline void meet(uint32_t *counter)
{
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        const uint32_t ticket = atomicAdd(counter, 1u);
        const uint32_t goal = ticket / gridDim.x * gridDim.x + gridDim.x;
        while (static_cast<int32_t>(*static_cast<volatile uint32_t *>(counter) - goal) < 0)
            __nanosleep(64);
    }
    __syncthreads();
    __threadfence();
}

struct digit_state {
    uint32_t lo, hi;
    uint64_t need, among;
};

/* Histogram of bits [shift, shift + log2(bins)) of the keys in [lo, hi), over all of W. */
template <typename R, what WHAT>
__device__ void count_digit(const view &v, uint32_t *bins, const digit_state &d, int shift,
                            uint32_t mask)
{
    for (int i = threadIdx.x; i <= static_cast<int>(mask); i += SETTLERS)
        bins[i] = 0;
    __syncthreads();
    for (int64_t row = blockIdx.x * static_cast<int64_t>(SETTLERS / 32) + threadIdx.x / 32;
         row < v.n; row += gridDim.x * static_cast<int64_t>(SETTLERS / 32)) {
        const row_context c = open_row<WHAT>(v, row);
        each_tile<R, WHAT>(v, c, [&](uint32_t, const uint32_t key[EIGHT]) {
#pragma unroll
            for (int i = 0; i < EIGHT; i++)
                if (key[i] >= d.lo && key[i] < d.hi)
                    atomicAdd(&bins[key[i] >> shift & mask], 1u);
        });
    }
    __syncthreads();
    for (int i = threadIdx.x; i <= static_cast<int>(mask); i += SETTLERS)
        if (bins[i] != 0)
            atomicAdd(&v.bracket[i], bins[i]);
}

/* Every block finds the same bin, and narrows its own copy of the state to it. */
__device__ inline void settle_digit(const view &v, digit_state *d, int shift, uint32_t mask)
{
    const uint32_t at = 2 * threadIdx.x;
    const uint32_t low = at <= mask ? __ldcg(v.bracket + at) : 0;
    const uint32_t high = at < mask ? __ldcg(v.bracket + at + 1) : 0;
    const uint64_t need = d->need;
    uint32_t total, above = sum_above(low + high, &total);
    const bool mine = above < need && static_cast<uint64_t>(above) + low + high >= need;
    __syncthreads();
    if (mine) {
        const bool upper = static_cast<uint64_t>(above) + high >= need;
        const uint32_t base = d->lo & ~(((mask + 1) << shift) - 1);
        d->lo = base + ((at + (upper ? 1u : 0u)) << shift);
        d->hi = d->lo + (1u << shift);
        d->lo = d->lo > 0 ? d->lo : 1;
        d->need = need - above - (upper ? 0 : high);
        d->among = upper ? high : low;
    }
    __syncthreads();
}

/* Keys equal to `key` of each row, or those selected by the cut: counted into counts[1 + row]. */
template <typename R, what WHAT>
__device__ void count_rows(const view &v, int32_t *counts, uint32_t key, bool equal,
                           uint32_t cut_at)
{
    const int lane = threadIdx.x % 32;
    for (int64_t row = blockIdx.x * static_cast<int64_t>(SETTLERS / 32) + threadIdx.x / 32;
         row < v.n; row += gridDim.x * static_cast<int64_t>(SETTLERS / 32)) {
        const row_context c = open_row<WHAT>(v, row);
        uint32_t count = 0;
        each_tile<R, WHAT>(v, c, [&](uint32_t col, const uint32_t keys[EIGHT]) {
#pragma unroll
            for (int i = 0; i < EIGHT; i++)
                count +=
                    keys[i] != 0 &&
                    (equal ? keys[i] == key : is_selected(keys[i], c.at + col + i, key, cut_at));
        });
        count = warp_sum(count);
        if (lane == 0)
            counts[1 + row] = static_cast<int32_t>(count);
        if (lane == 0 && row == 0)
            counts[0] = 0;
    }
}

/* The position of the need-th key that equals `key`: the row by the rows' counts, the column by a
 * walk of one warp. Block 0 alone. */
template <typename R, what WHAT>
__device__ void find_tie(const view &v, const int32_t *counts, uint32_t key, uint64_t need,
                         ortho_cuda_selection *s)
{
    __shared__ uint64_t left;
    __shared__ int64_t at_row;
    if (threadIdx.x == 0) {
        int64_t row = 0;
        uint64_t count = static_cast<uint32_t>(__ldcg(counts + 1));
        while (row + 1 < v.n && need > count) {
            need -= count;
            count = static_cast<uint32_t>(__ldcg(counts + 1 + ++row));
        }
        left = need;
        at_row = row;
    }
    __syncthreads();
    if (threadIdx.x >= 32)
        return;
    const row_context c = open_row<WHAT>(v, at_row);
    uint64_t wanted = left;
    for (int t = 0; t < v.tiles; t++) {
        const uint32_t col = column_of(t);
        uint32_t keys[EIGHT], count = 0;
        load_keys<R, WHAT>(v, c, col, keys);
        for (int i = 0; i < EIGHT; i++)
            count += keys[i] == key;
        uint32_t before = lanes_before(count);
        for (int i = 0; i < EIGHT; i++)
            if (keys[i] == key && ++before == wanted)
                s->cut_at = c.at + col + i;
        uint32_t all = warp_sum(count);
        if (all >= wanted)
            break;
        wanted -= all;
    }
}

/* The key of the wanted-th largest, by its digits from the top: d->lo. */
template <typename R, what WHAT>
__device__ void select_key(const view &v, uint32_t *bins, digit_state *d, uint32_t *counter)
{
    const int shifts[3] = {20, 10, 0};
    const uint32_t masks[3] = {2047, 1023, 1023};
    for (int i = 0; i < 3 && d->need < d->among; i++) {
        count_digit<R, WHAT>(v, bins, *d, shifts[i], masks[i]);
        meet(counter);
        settle_digit(v, d, shifts[i], masks[i]);
        meet(counter); /* all have read the histogram */
        if (blockIdx.x == 0)
            for (int b = threadIdx.x; b < 2048; b += SETTLERS)
                v.bracket[b] = 0;
        meet(counter);
    }
}

/* The whole selection, by all blocks. */
template <typename R, what WHAT> __device__ void settle_by_digits(const view &v, uint64_t wanted)
{
    __shared__ uint32_t bins[2048];
    __shared__ digit_state d;
    ortho_cuda_selection *s = &v.selection[WHAT];
    uint32_t *counter = v.counters + SLOT_BARRIER;
    meet(counter); /* all have seen that it comes to this */
    if (blockIdx.x == 0)
        for (int b = threadIdx.x; b < BRACKET_BINS; b += SETTLERS)
            v.bracket[b] = 0;
    if (threadIdx.x == 0)
        d = {1u, 0x80000000u, wanted, static_cast<uint64_t>(v.n) * static_cast<uint64_t>(v.k)};
    meet(counter);
    if (wanted > 0)
        select_key<R, WHAT>(v, bins, &d, counter);
    uint32_t cut_key = wanted > 0 ? d.lo : KEY_NONE, cut_at = 0xffffffffu;
    if (wanted > 0 && d.need < d.among) { /* equal keys: the first ones in order of position */
        count_rows<R, WHAT>(v, v.row_ptr, cut_key, true, 0);
        meet(counter);
        if (blockIdx.x == 0)
            find_tie<R, WHAT>(v, v.row_ptr, cut_key, d.need, s);
        meet(counter);
        cut_at = *static_cast<volatile uint32_t *>(&s->cut_at);
    }
    if (WHAT == SCORES)
        count_rows<R, WHAT>(v, v.row_ptr, cut_key, false, cut_at);
    meet(counter);
    if (blockIdx.x != 0)
        return;
    if (WHAT == SCORES)
        scan_counts(v.row_ptr, v.n);
    if (threadIdx.x == 0) {
        s->cut_key = cut_key;
        s->cut_at = cut_at;
        s->exact = 1;
    }
}

} // namespace ortho_sieve

#endif
