/*
 * Where the cut of a selection lies, roughly: the keys of one eight of columns in so many go into a
 * histogram of 16,384 bins, and the last block reads off it a bracket [lo, hi) that holds the cut,
 * in all but one of a million fair samples. Eights lie far apart, one of each stretch of W, where a
 * hash has it: scores come in clusters, since a group's share its scale, and what is periodic in W
 * would bias a regular sample. Latency is all that it costs.
 */
#include "kernels/cuda/sieve_block.cuh"
#include "kernels/cuda/sieve_kernels.h"

using namespace ortho_sieve;

namespace
{

constexpr int SAMPLERS = SETTLERS, EACH = BINS / SAMPLERS;
constexpr int TOLD = REPORT_BYTES / 4 - 4; /* bins that a block reports */

/* How far the rank of a sample's entry may be off, either way: five standard deviations, and some.
 */
__host__ __device__ inline double margin_of(double rank)
{
    return 5 * sqrt(rank) + 16;
}

/* How far above its first key, `above` of a bin's `count` keys lie, were they spread evenly. */
__device__ __forceinline__ float key_within(uint32_t above, uint32_t count)
{
    return (1.0f - static_cast<float>(above) / static_cast<float>(count)) *
           static_cast<float>(1u << BIN_SHIFT);
}

/* The bracket's ends, at ranks `upper` and `lower` of the sample, with some of a bin to spare: a
 * bin's keys aren't spread quite evenly. `above` counts what is above this thread's bins. */
__device__ void find_ends(const uint32_t bin[EACH], uint32_t above, uint32_t upper, uint32_t lower,
                          uint32_t *lo, uint32_t *hi)
{
    constexpr float WIDTH = static_cast<float>(1u << BIN_SHIFT), SPARE = WIDTH / 32;
#pragma unroll
    for (int i = EACH - 1; i >= 0; i--) {
        const uint32_t first = (threadIdx.x * EACH + i) << BIN_SHIFT;
        if (above <= upper && above + bin[i] > upper)
            *hi = first +
                  static_cast<uint32_t>(fminf(key_within(upper - above, bin[i]) + SPARE, WIDTH));
        if (above < lower && above + bin[i] >= lower)
            *lo = first +
                  static_cast<uint32_t>(fmaxf(key_within(lower - above, bin[i]) - SPARE, 0.0f));
        above += bin[i];
    }
}

/* The least error |e| that can bring a score to `from`, with room for roundings; 0, which tells
 * nothing, where products are near the ends of floats. */
__device__ __forceinline__ float reach_of_score(float from, float h)
{
    if (!(from >= 0x1p-100f && from <= 0x1p100f))
        return 0.0f;
    const float e = 0.9999f * sqrtf(from) * rsqrtf(h);
    return e >= 0x1p-50f ? e : 0.0f;
}

__device__ void fill_reach(const view &v, uint32_t lo)
{
    const int64_t width = static_cast<int64_t>(v.tiles) * TILE;
    const float from = __uint_as_float(lo - 1u);
    constexpr int AHEAD = 4;
    for (int64_t first = threadIdx.x; first < width; first += AHEAD * SAMPLERS) {
        float h[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            h[i] = first + i * SAMPLERS < width ? __ldcg(v.weight + first + i * SAMPLERS) : 0.0f;
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const int64_t col = first + i * SAMPLERS;
            if (col < width)
                v.reach[col] = col < v.cols ? reach_of_score(from, h[i]) : INFINITY;
        }
    }
}

/* ---- what a block's histogram says ----------------------------------------------------------- */

/* A block's bins that matter, from the top down, as bin << 16 | count, and what it leaves out:
 * atomics of all blocks at the same few bins in memory would take longer than all the rest. */
struct report {
    uint32_t total, count; /* sampled keys; bins below */
    uint32_t floor;        /* bins under this one aren't told */
    uint32_t unused;
    uint32_t bins[TOLD];
};
static_assert(sizeof(report) == REPORT_BYTES, "as much as the list is sure to hold");

__device__ __forceinline__ report *reports_of(const view &v, int which)
{
    return reinterpret_cast<report *>(v.list[which]); /* the list comes later */
}

__device__ __forceinline__ void open_bins(const uint32_t *bins, uint32_t bin[EACH], uint32_t *sum)
{
    *sum = 0;
#pragma unroll
    for (int i = 0; i < EACH; i += 4) {
        const uint4 four = reinterpret_cast<const uint4 *>(bins)[threadIdx.x * (EACH / 4) + i / 4];
        bin[i] = four.x, bin[i + 1] = four.y, bin[i + 2] = four.z, bin[i + 3] = four.w;
        *sum += four.x + four.y + four.z + four.w;
    }
}

/* Bins down to four times the share that is wanted: nobody asks for the rest. A bracket that would
 * lie lower isn't found, and digits decide. */
__device__ void tell(report *r, const uint32_t *bins, double share)
{
    uint32_t bin[EACH], mine, total, all;
    open_bins(bins, bin, &mine);
    uint32_t above = sum_above(mine, &total);
    const double most = 4 * share * static_cast<double>(total) + 64;
    const uint32_t enough = most < 4e9 ? static_cast<uint32_t>(most) : 4000000000u;
    uint32_t asked = 0; /* of this thread's bins, a bit each */
#pragma unroll
    for (int i = EACH - 1; i >= 0; i--) {
        asked |= bin[i] != 0 && above <= enough ? 1u << i : 0;
        above += bin[i];
    }
    uint32_t told = sum_above(__popc(asked), &all);
#pragma unroll
    for (int i = EACH - 1; i >= 0; i--)
        if ((asked >> i & 1) != 0) {
            if (told < TOLD)
                r->bins[told] = (threadIdx.x * EACH + i) << 16 | min(bin[i], 0xffffu);
            if (told == TOLD - 1 || bin[i] > 0xffffu)
                atomicMax(&r->floor, threadIdx.x * EACH + i + (bin[i] > 0xffffu ? 1 : 0));
            told++;
        }
    if (threadIdx.x == 0) {
        r->total = total;
        r->count = min(all, static_cast<uint32_t>(TOLD));
    }
}

/* All blocks' reports into one histogram; *sampled keys; the lowest bin that it can be trusted
 * from. */
__device__ uint32_t listen(const view &v, int which, uint32_t *bins, uint32_t *sampled)
{
    __shared__ uint32_t total, floor;
    constexpr int READERS = SAMPLERS / SAMPLING_BLOCKS; /* of a report */
    const report *r = reports_of(v, which) + threadIdx.x / READERS;
    const uint4 head = __ldcg(reinterpret_cast<const uint4 *>(r));
    for (int i = threadIdx.x; i < BINS / 4; i += SAMPLERS)
        reinterpret_cast<uint4 *>(bins)[i] = make_uint4(0, 0, 0, 0);
    if (threadIdx.x == 0)
        total = floor = 0;
    __syncthreads();
    if (threadIdx.x % READERS == 0) {
        atomicAdd(&total, head.x);
        atomicMax(&floor, head.z);
    }
    for (uint32_t first = threadIdx.x % READERS * 4; first < head.y; first += READERS * 4) {
        const uint4 four = __ldcg(reinterpret_cast<const uint4 *>(r->bins + first));
        const uint32_t told[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (first + i < head.y)
                atomicAdd(&bins[told[i] >> 16], told[i] & 0xffffu);
    }
    __syncthreads();
    *sampled = total;
    return floor;
}

template <what WHAT> __device__ void read_bracket(const view &v, uint32_t *bins, double share)
{
    __shared__ uint32_t lo, hi;
    uint32_t bin[EACH], mine, total, sampled;
    const uint32_t floor = listen(v, WHAT, bins, &sampled);
    open_bins(bins, bin, &mine);
    if (threadIdx.x == 0) {
        lo = 1;
        hi = KEY_TOP;
    }
    const uint32_t above = sum_above(mine, &total);
    const double rank = share * static_cast<double>(sampled), margin = margin_of(rank);
    const uint32_t upper = rank > margin ? static_cast<uint32_t>(rank - margin) : 0;
    const uint32_t lower = static_cast<uint32_t>(rank + margin) + 1;
    find_ends(bin, above, upper, lower, &lo, &hi);
    __syncthreads();
    const uint32_t from = max(lo, 1u), to = min(hi, KEY_TOP);
    if (threadIdx.x == 0) {
        const int bits = 32 - __clz(to - 1 - from);
        ortho_cuda_selection s = {};
        s.lo = from;
        s.hi = to;
        s.shift = bits > BRACKET_BITS ? bits - BRACKET_BITS : 0;
        s.missed = upper == 0 || lower >= total || to <= from || from < floor << BIN_SHIFT;
        v.selection[WHAT] = s;
    }
    if (WHAT == SCORES)
        fill_reach(v, from);
}

/* ---- the sample ------------------------------------------------------------------------------ */

/* An eight of columns. */
struct place {
    int64_t row;
    uint32_t col;
    bool there;
};

__device__ __forceinline__ place place_of(const view &v, uint32_t number)
{
    uint32_t hash = (number + 1u) * 0x9e3779b1u;
    hash = (hash ^ hash >> 15) * 0x85ebca77u;
    const uint32_t step = v.sample_step, row_eights = (v.cols + EIGHT - 1) / EIGHT;
    const uint32_t eight = number * step + (hash ^ hash >> 13) % step, row = eight / row_eights;
    return {row, (eight - row * row_eights) * EIGHT, row < v.n};
}

/* A row's context by one lane alone; the rms of magnitudes, near enough for a bracket. */
template <what WHAT>
__device__ __forceinline__ row_context open_sampled_row(const view &v, int64_t row)
{
    if (WHAT == SCORES)
        return open_row<SCORES>(v, row);
    row_context c = row_without_cut(v, row);
    float sum = 0;
#pragma unroll 16
    for (int t = 0; t < v.tiles; t++)
        sum += __ldg(v.row_squares + row * v.tiles + t);
    c.inverse_rms = sum > 0 ? 1.0f / (sqrtf(sum / static_cast<float>(v.cols)) * RMS_SHIFT) : 0.0f;
    return c;
}

template <typename R, what WHAT>
__global__ void __launch_bounds__(SAMPLERS)
    sample_kernel(const view v, uint32_t places, double share)
{
    uint4 *memory = ortho_cuda_dynamic_shared();
    uint32_t *bins = reinterpret_cast<uint32_t *>(memory);
    uint32_t number = blockIdx.x * SAMPLERS + threadIdx.x;
    place at = place_of(v, number);
    R eight;
    eight.request(v, row_of<R>(v, at.row), at.col, at.there && number < places);
    for (int i = threadIdx.x; i < BINS / 4; i += SAMPLERS)
        memory[i] = make_uint4(0, 0, 0, 0);
    ortho_cuda_release_dependents();
    ortho_cuda_wait_for_previous();
    if (threadIdx.x == 0)
        reports_of(v, WHAT)[blockIdx.x].floor = 0;
    __syncthreads();
    while (number < places) {
        float w[EIGHT];
        uint32_t key[EIGHT] = {};
        eight.open(w);
        if (at.there)
            keys_of<WHAT>(v, open_sampled_row<WHAT>(v, at.row), at.col, w, key);
        number += gridDim.x * SAMPLERS;
        at = place_of(v, number);
        eight.request(v, row_of<R>(v, at.row), at.col, at.there && number < places);
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            if (key[i] != 0)
                atomicAdd(&bins[key[i] >> BIN_SHIFT], 1u);
    }
    __syncthreads();
    tell(reports_of(v, WHAT) + blockIdx.x, bins, share);
    if (last_to_arrive(v.counters + SLOT_SAMPLE, gridDim.x))
        read_bracket<WHAT>(v, bins, share);
}

} // namespace

double ortho_sieve_listed(const view &v, int64_t need)
{
    return 2 * margin_of(static_cast<double>(need) / v.sample_step) * v.sample_step;
}

/* A sample pays where it holds some thousands of the wanted entries, they aren't most of all, and
 * the list will take what the bracket holds. Columns are held back in 16 bits. */
bool ortho_sieve_is_sampled(const view &v, int64_t need)
{
    return need >= 2000 * static_cast<int64_t>(v.sample_step) && need <= v.n * v.k / 4 &&
           v.k <= 65536 && ortho_sieve_listed(v, need) < v.list_size;
}

ortho_status ortho_sieve_launch_sample(const view &v, bool scores, int64_t need, ortho_dtype dtype,
                                       cudaStream_t stream)
{
    const double share =
        static_cast<double>(need) / (static_cast<double>(v.n) * static_cast<double>(v.k));
    const int64_t eights = v.n * ((v.k + EIGHT - 1) / EIGHT);
    const uint32_t places = static_cast<uint32_t>((eights + v.sample_step - 1) / v.sample_step);
    ortho_status status = ORTHO_OK;
    with_reader(v, dtype, [&](auto type) {
        typedef decltype(type) R;
        status = ortho_sieve_launch(
            "sample_kernel", ORTHO_SIEVE_BEHIND,
            scores ? sample_kernel<R, SCORES> : sample_kernel<R, MAGNITUDES>,
            {SAMPLING_BLOCKS, SAMPLERS, BINS * sizeof(uint32_t)}, stream, v, places, share);
    });
    return status;
}

void ortho_sieve_report_sample(const view &v, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    with_reader(v, dtype, [&](auto type) {
        ortho_cuda_kernel_report("sample_kernel",
                                 (const void *)sample_kernel<decltype(type), SCORES>, SAMPLERS,
                                 BINS * sizeof(uint32_t), sink);
    });
}
