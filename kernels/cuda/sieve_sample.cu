/*
 * Where the cut of a selection lies, roughly: the keys of one tile of 256 columns a row, the tiles
 * in turn, go into a histogram of 8,192 bins, and the last block reads off it a bracket [lo, hi)
 * that holds the cut, in all but one of a million fair samples. Latency is all that it costs.
 */
#include "kernels/cuda/sieve_block.cuh"
#include "kernels/cuda/sieve_kernels.h"

using namespace ortho_sieve;

namespace
{

constexpr int SAMPLERS = SETTLERS, SAMPLING_BLOCKS = 128, EACH = BINS / SAMPLERS;

/* How far the rank of a sample's entry may be off, either way: five standard deviations, and some.
 */
__host__ __device__ inline double margin_of(double rank)
{
    return 5 * sqrt(rank) + 0.004 * rank + 16;
}

/* The key, from the bin's first on, above which `above` of a bin's `count` keys lie, were they
 * spread evenly. */
__device__ __forceinline__ float key_within(double above, uint32_t count)
{
    return static_cast<float>(1.0 - above / static_cast<double>(count)) *
           static_cast<float>(1u << BIN_SHIFT);
}

/* The bracket's ends, at ranks `upper` and `lower` of the sample, with an eighth of a bin to spare:
 * a bin's keys aren't spread quite evenly. `above` counts what is above this thread's bins. */
__device__ void find_ends(const uint32_t bin[EACH], uint32_t above, double upper, double lower,
                          uint32_t *lo, uint32_t *hi)
{
    constexpr float WIDTH = static_cast<float>(1u << BIN_SHIFT), SPARE = WIDTH / 8;
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
                v.reach[col] = col < v.k ? reach_of_score(from, h[i]) : INFINITY;
        }
    }
}

template <what WHAT> __device__ void read_bracket(const view &v, double share)
{
    __shared__ uint32_t lo, hi;
    uint4 *bins = reinterpret_cast<uint4 *>(v.histogram) + threadIdx.x * (EACH / 4);
    uint32_t bin[EACH], mine = 0, total;
#pragma unroll
    for (int i = 0; i < EACH; i += 4) {
        const uint4 four = __ldcg(bins + i / 4);
        bin[i] = four.x, bin[i + 1] = four.y, bin[i + 2] = four.z, bin[i + 3] = four.w;
        mine += four.x + four.y + four.z + four.w;
        bins[i / 4] = make_uint4(0, 0, 0, 0);
    }
    if (threadIdx.x == 0) {
        lo = 1;
        hi = KEY_TOP;
    }
    const uint32_t above = sum_above(mine, &total);
    const double rank = share * static_cast<double>(__ldcg(v.counters + SLOT_TOTAL));
    const double upper = rank - margin_of(rank), lower = rank + margin_of(rank);
    find_ends(bin, above, upper, lower, &lo, &hi);
    __syncthreads();
    const uint32_t from = max(lo, 1u), to = min(hi, KEY_TOP);
    if (threadIdx.x == 0) {
        const int bits = 32 - __clz(to - 1 - from);
        ortho_cuda_selection s = {};
        s.lo = from;
        s.hi = to;
        s.shift = bits > BRACKET_BITS ? bits - BRACKET_BITS : 0;
        s.missed = upper <= 0 || lower >= total || to <= from;
        v.selection[WHAT] = s;
        v.counters[SLOT_TOTAL] = 0;
    }
    if (WHAT == SCORES)
        fill_reach(v, from);
}

/* Hands a block's bins over from the top down to four times the share that is wanted: nobody asks
 * for the rest. A bracket that would lie lower isn't found, and digits decide. */
__device__ void flush_top(const view &v, const uint32_t *bins, double share)
{
    const int first = threadIdx.x * EACH;
    uint32_t mine = 0, total;
#pragma unroll
    for (int i = 0; i < EACH; i++)
        mine += bins[first + (i + threadIdx.x) % EACH]; /* in turn: fewer lanes at one bank */
    uint32_t above = sum_above(mine, &total);
    const double enough = 4 * share * static_cast<double>(total) + 64;
    if (threadIdx.x == 0)
        atomicAdd(v.counters + SLOT_TOTAL, total);
    for (int i = EACH; mine != 0 && i-- > 0 && above <= enough;) {
        const uint32_t here = bins[first + i];
        if (here != 0)
            atomicAdd(&v.histogram[first + i], here);
        above += here;
    }
}

template <typename R, what WHAT>
__global__ void __launch_bounds__(SAMPLERS) sample_kernel(const view v, double share)
{
    __shared__ __align__(16) uint32_t bins[BINS];
    const int lane = threadIdx.x % 32;
    for (int i = threadIdx.x; i < BINS / 4; i += SAMPLERS)
        reinterpret_cast<uint4 *>(bins)[i] = make_uint4(0, 0, 0, 0);
    __syncthreads();
    const int64_t first = blockIdx.x * static_cast<int64_t>(SAMPLERS / 32) + threadIdx.x / 32;
    for (int64_t row = first * v.sample_step; row < v.n;
         row += gridDim.x * static_cast<int64_t>(SAMPLERS / 32) * v.sample_step) {
        const int64_t col =
            (row * 7 + row / v.tiles) % v.tiles * TILE + static_cast<int64_t>(lane) * EIGHT;
        R eight;
        float w[EIGHT];
        uint32_t key[EIGHT];
        eight.request(v, row, col);
        const row_context c = open_row<WHAT>(v, row);
        eight.open(w);
        keys_of<WHAT>(v, c, col, w, key);
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            if (key[i] != 0)
                atomicAdd(&bins[min(key[i] >> BIN_SHIFT, static_cast<uint32_t>(BINS - 1))], 1u);
    }
    __syncthreads();
    flush_top(v, bins, share);
    if (last_to_arrive(v.counters + SLOT_SAMPLE, gridDim.x))
        read_bracket<WHAT>(v, share);
}

} // namespace

/* A quarter of a bin is about 1 % of the entries. */
double ortho_sieve_listed(const view &v, int64_t need)
{
    const double part = static_cast<double>(v.tiles) * v.sample_step; /* one in so many */
    const double rank = static_cast<double>(need) / part;
    return (2 * margin_of(rank) + 0.01 * rank) * part;
}

/* A sample pays where it holds some thousands of the wanted entries, they aren't most of all, and
 * the list will take what the bracket holds. Columns are held back in 16 bits. */
bool ortho_sieve_is_sampled(const view &v, int64_t need)
{
    const double part = static_cast<double>(v.tiles) * v.sample_step;
    return static_cast<double>(need) >= 2000 * part && need <= v.n * v.k / 4 && v.k <= 65536 &&
           ortho_sieve_listed(v, need) < v.list_size;
}

ortho_status ortho_sieve_launch_sample(const view &v, bool scores, int64_t need, ortho_dtype dtype,
                                       cudaStream_t stream)
{
    const double share =
        static_cast<double>(need) / (static_cast<double>(v.n) * static_cast<double>(v.k));
    with_reader(v, dtype, [&](auto type) {
        typedef decltype(type) R;
        if (scores)
            sample_kernel<R, SCORES><<<SAMPLING_BLOCKS, SAMPLERS, 0, stream>>>(v, share);
        else
            sample_kernel<R, MAGNITUDES><<<SAMPLING_BLOCKS, SAMPLERS, 0, stream>>>(v, share);
    });
    return ortho_cuda_launched("sample_kernel");
}

void ortho_sieve_report_sample(const view &v, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    with_reader(v, dtype, [&](auto type) {
        ortho_cuda_kernel_report("sample_kernel",
                                 (const void *)sample_kernel<decltype(type), SCORES>, SAMPLERS, 0,
                                 sink);
    });
}
