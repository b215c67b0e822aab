/*
 * The exact top `need` of n*k keys that are computed on demand, never stored:
 *
 *   sample   the keys of one tile of 256 columns a row, the tiles in turn, into a histogram of
 * 32,768 bins (a bin is 0.5 % of a score); the last block reads off it a bracket [lo, hi) that
 * holds the cut, in all but one of a million fair samples gather   all keys: those above the
 * bracket are counted for their row, those in it are listed resolve  one block: the cut among the
 * listed ones, ties by position; the rows' counts; row_ptr exact    does nothing where that worked.
 * Else (a missed bracket, a full list, a small matrix, keys that tie by the thousands) it settles
 * the key by three histograms of all keys, then the position among equal keys, then counts
 *   (emission is the variant's)
 *
 * The exact kernel's grid fits the chip at once, so that its blocks can wait for one another.
 */
#include "kernels/cuda/sieve_block.cuh"
#include "kernels/cuda/sieve_kernels.h"

using namespace ortho_sieve;

namespace
{

constexpr int SAMPLERS =
    1024; /* threads of a sampling block: its histogram fills the SM's memory */
constexpr int FINALISTS = 2048;
constexpr uint32_t FOUND = 512; /* listed keys that a gathering block holds */
constexpr int SAMPLING_BLOCKS = 64, TALLYING_BLOCKS = 32;

/* ---- sample ---------------------------------------------------------------------------------- */

/* How far the rank of a sample's entry may be off, either way: five standard deviations, and some.
 */
__host__ __device__ inline double margin_of(double rank)
{
    return 5 * sqrt(rank) + 0.004 * rank + 16;
}

/* The bins in which ranks s - margin and s + margin of the sample lie bound the bracket. */
__device__ void read_bracket(const view &v, ortho_cuda_selection *out, double share)
{
    constexpr int EACH = BINS / SAMPLERS;
    const int first = threadIdx.x * EACH;
    __shared__ uint32_t lo, hi;
    uint32_t bin[EACH], mine = 0, total;
#pragma unroll
    for (int i = 0; i < EACH; i += 4) {
        const uint4 four = __ldcg(reinterpret_cast<const uint4 *>(v.histogram + first + i));
        bin[i] = four.x, bin[i + 1] = four.y, bin[i + 2] = four.z, bin[i + 3] = four.w;
        mine += four.x + four.y + four.z + four.w;
    }
    uint32_t above = sum_above(mine, &total);
    const double sampled = static_cast<double>(__ldcg(v.counters + SLOT_TOTAL));
    const double rank = share * sampled;
    const double margin = margin_of(rank);
    const double upper = rank - margin, lower = rank + margin;
    if (threadIdx.x == 0) {
        lo = 1;
        hi = KEY_TOP;
    }
    __syncthreads();
    if (threadIdx.x == 0)
        v.counters[SLOT_TOTAL] = 0;
        /* From the top down: `above` counts the bins above bin i. */
#pragma unroll
    for (int i = EACH - 1; i >= 0; i--) {
        const uint32_t begin = static_cast<uint32_t>(first + i) << BIN_SHIFT;
        if (above <= upper && above + bin[i] > upper)
            hi = begin + (1u << BIN_SHIFT);
        if (above < lower && above + bin[i] >= lower)
            lo = begin > 0 ? begin : 1;
        above += bin[i];
        if (bin[i] != 0)
            v.histogram[first + i] = 0;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        *out = ortho_cuda_selection{};
        out->lo = lo;
        out->hi = hi < KEY_TOP ? hi : KEY_TOP;
        out->exact = upper <= 0 || lower >= total;
    }
}

/* Hands a block's bins over from the top down to four times the share that is wanted: nobody asks
 * for the rest, and thousands of atomics are what a histogram costs. A bracket that would lie lower
 * isn't found, and the exact kernel takes over. */
__device__ void flush_top(const view &v, const uint32_t *bins, double share)
{
    constexpr int EACH = BINS / SAMPLERS;
    const int first = threadIdx.x * EACH;
    uint32_t mine = 0, total;
#pragma unroll
    for (int i = 0; i < EACH; i++)
        mine += bins[first + (i + threadIdx.x) % EACH]; /* in turn: no two lanes at one bank */
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

template <typename W, what WHAT>
__global__ void __launch_bounds__(SAMPLERS) sample_kernel(const view v, double share)
{
    extern __shared__ uint32_t bins[];
    for (int i = threadIdx.x; i < BINS / 4; i += SAMPLERS)
        reinterpret_cast<uint4 *>(bins)[i] = make_uint4(0, 0, 0, 0);
    __syncthreads();
    const int lane = threadIdx.x % 32;
    const int64_t first = blockIdx.x * static_cast<int64_t>(SAMPLERS / 32) + threadIdx.x / 32;
    for (int64_t row = first * v.sample_step; row < v.n;
         row += gridDim.x * static_cast<int64_t>(SAMPLERS / 32) * v.sample_step) {
        const row_context c = open_row<WHAT>(v, row);
        const int64_t col =
            (row * 7 + row / v.tiles) % v.tiles * TILE + static_cast<int64_t>(lane) * EIGHT;
        uint32_t key[EIGHT];
        load_keys<W, WHAT>(v, c, col, key);
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            if (key[i] != 0)
                atomicAdd(&bins[min(key[i] >> BIN_SHIFT, static_cast<uint32_t>(BINS - 1))], 1u);
    }
    __syncthreads();
    flush_top(v, bins, share);
    if (last_to_arrive(v.counters + SLOT_SAMPLE, gridDim.x))
        read_bracket(v, &v.selection[WHAT], share);
}

/* Where nothing is sampled: straight to the exact kernel. */
__global__ void skip_kernel(ortho_cuda_selection *selection, uint32_t *barrier)
{
    *selection = ortho_cuda_selection{};
    selection->exact = 1;
    *barrier = 0;
}

/* ---- gather ---------------------------------------------------------------------------------- */

__device__ __forceinline__ uint64_t ranked(uint32_t key, uint32_t at)
{
    return static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(~at);
}

/* What a block found: it reserves its place in the list once, at the end. */
struct found {
    uint32_t count, base;
    unsigned long long above;
    uint64_t entry[FOUND];
};

__device__ __forceinline__ void note(const view &v, ortho_cuda_selection *s, found *f, uint64_t e)
{
    const uint32_t at = atomicAdd(&f->count, 1u);
    if (at < FOUND) {
        f->entry[at] = e;
    } else { /* more than a fair sample promised: straight to the list */
        const uint32_t place = atomicAdd(&s->listed, 1u);
        if (place < v.list_size)
            v.list[place] = e;
    }
}

__device__ void hand_in(const view &v, ortho_cuda_selection *s, found *f)
{
    __syncthreads();
    const uint32_t count = f->count < FOUND ? f->count : FOUND;
    if (threadIdx.x == 0) {
        f->base = count != 0 ? atomicAdd(&s->listed, count) : 0;
        if (f->above != 0)
            atomicAdd(reinterpret_cast<unsigned long long *>(&s->above), f->above);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < count; i += THREADS)
        if (f->base + i < v.list_size)
            v.list[f->base + i] = f->entry[i];
}

template <typename W, what WHAT>
__device__ __forceinline__ void gather_row(const view &v, ortho_cuda_selection *s, found *f,
                                           int64_t row, uint32_t lo, uint32_t hi)
{
    const int lane = threadIdx.x % 32;
    const row_context c = open_row<WHAT>(v, row);
    uint32_t above = 0;
#pragma unroll 2
    for (int t = 0; t < v.tiles; t++) {
        const int64_t col = t * static_cast<int64_t>(TILE) + lane * EIGHT;
        uint32_t key[EIGHT];
        load_keys<W, WHAT>(v, c, col, key);
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            if (key[i] >= lo) {
                above += key[i] >= hi;
                if (key[i] < hi)
                    note(v, s, f, ranked(key[i], c.at + static_cast<uint32_t>(col) + i));
            }
    }
    above = warp_sum(above);
    if (lane == 0 && WHAT == SCORES)
        v.row_ptr[row + 1] = static_cast<int32_t>(above);
    if (lane == 0 && above != 0)
        atomicAdd(&f->above, static_cast<unsigned long long>(above));
}

template <typename W, what WHAT>
__global__ void __launch_bounds__(THREADS) gather_kernel(const view v)
{
    __shared__ found f;
    ortho_cuda_selection *s = &v.selection[WHAT];
    const uint32_t lo = s->lo, hi = s->hi;
    if (s->exact != 0)
        return;
    if (threadIdx.x == 0) {
        f.count = 0;
        f.above = 0;
    }
    __syncthreads();
    /* Backwards: what the read before has left in the L2 comes first. */
    const int64_t row = v.n - 1 - (blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / 32);
    if (row >= 0)
        gather_row<W, WHAT>(v, s, &f, row, lo, hi);
    hand_in(v, s, &f);
}

/* ---- resolve --------------------------------------------------------------------------------- */

struct finalists {
    uint32_t bins[4096];
    uint64_t entry[FINALISTS];
    uint32_t count, bin, above, found;
    uint64_t cut;
};

/* The bin, from the top, in which the need-th listed key lies, and how many are above it. */
__device__ void pick_bin(finalists *f, uint32_t need)
{
    constexpr int EACH = 4096 / SETTLERS;
    uint32_t mine = 0, total;
    for (int i = 0; i < EACH; i++)
        mine += f->bins[threadIdx.x * EACH + i];
    uint32_t above = sum_above(mine, &total);
    for (int i = EACH; i-- > 0;) {
        uint32_t here = f->bins[threadIdx.x * EACH + i];
        if (above < need && above + here >= need) {
            f->bin = threadIdx.x * EACH + i;
            f->above = above;
        }
        above += here;
    }
    __syncthreads();
}

/* The need-th of the finalists, by counting who is ahead of each. */
__device__ void rank_finalists(finalists *f, uint32_t need)
{
    for (uint32_t i = threadIdx.x; i < f->count; i += SETTLERS) {
        uint32_t ahead = 0;
        for (uint32_t j = 0; j < f->count; j++)
            ahead += f->entry[j] > f->entry[i];
        if (ahead == need - 1)
            f->cut = f->entry[i];
    }
    __syncthreads();
}

/* Calls visit for each listed key of this thread's share, eight loads in flight. */
template <typename F>
__device__ __forceinline__ void each_listed(const view &v, uint32_t listed, F visit)
{
    constexpr int AHEAD = 8;
    for (uint32_t first = threadIdx.x; first < listed; first += AHEAD * SETTLERS) {
        uint64_t e[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            if (first + i * SETTLERS < listed)
                e[i] = __ldcg(v.list + first + i * SETTLERS);
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            if (first + i * SETTLERS < listed)
                visit(e[i]);
    }
}

template <what WHAT>
__global__ void __launch_bounds__(SETTLERS) resolve_kernel(const view v, uint64_t wanted)
{
    extern __shared__ uint64_t memory[];
    finalists *f = reinterpret_cast<finalists *>(memory);
    ortho_cuda_selection *s = &v.selection[WHAT];
    const uint32_t listed = s->listed, lo = s->lo;
    const uint64_t above = s->above;
    if (threadIdx.x == 0)
        v.counters[SLOT_BARRIER] = 0;
    if (s->exact != 0)
        return;
    __syncthreads();
    if (above >= wanted || above + listed < wanted || listed > v.list_size) {
        if (threadIdx.x == 0)
            s->exact = 1;
        return;
    }
    const uint32_t need = static_cast<uint32_t>(wanted - above);
    const int bits = 32 - __clz(s->hi - 1 - lo), shift = bits > 12 ? bits - 12 : 0;
    for (int i = threadIdx.x; i < 4096; i += SETTLERS)
        f->bins[i] = 0;
    if (threadIdx.x == 0)
        f->count = 0;
    __syncthreads();
    each_listed(v, listed, [&](uint64_t e) {
        atomicAdd(&f->bins[(static_cast<uint32_t>(e >> 32) - lo) >> shift], 1u);
    });
    __syncthreads();
    pick_bin(f, need);
    if (f->bins[f->bin] > FINALISTS) { /* uniform */
        if (threadIdx.x == 0)
            s->exact = 1;
        return;
    }
    each_listed(v, listed, [&](uint64_t e) {
        uint32_t bin = (static_cast<uint32_t>(e >> 32) - lo) >> shift;
        if (bin == f->bin)
            f->entry[atomicAdd(&f->count, 1u)] = e;
    });
    __syncthreads();
    rank_finalists(f, need - f->above);
    if (threadIdx.x == 0) {
        s->cut_key = static_cast<uint32_t>(f->cut >> 32);
        s->cut_at = static_cast<uint32_t>(~f->cut);
    }
}

/* The listed keys that made it, each for its row; the last block makes row_ptr of the counts. */
__global__ void __launch_bounds__(SETTLERS) tally_kernel(const view v)
{
    const ortho_cuda_selection *s = &v.selection[SCORES];
    if (s->exact != 0)
        return;
    const uint64_t cut = ranked(s->cut_key, s->cut_at);
    for (uint32_t i = blockIdx.x * SETTLERS + threadIdx.x; i < s->listed;
         i += gridDim.x * SETTLERS) {
        const uint64_t e = __ldcg(v.list + i);
        if (e >= cut)
            atomicAdd(v.row_ptr + 1 + static_cast<uint32_t>(~e) / static_cast<uint32_t>(v.k), 1);
    }
    if (last_to_arrive(v.counters + SLOT_SAMPLE, gridDim.x))
        scan_counts(v.row_ptr, v.n);
}

/* ---- launching ------------------------------------------------------------------------------- */

template <typename W, what WHAT>
ortho_status sample(const view &v, int64_t need, cudaStream_t stream)
{
    const size_t bytes = BINS * sizeof(uint32_t);
    ortho_cuda_selection *s = v.selection + WHAT;
    if (!ortho_sieve_is_sampled(v, need)) {
        skip_kernel<<<1, 1, 0, stream>>>(s, v.counters + SLOT_BARRIER);
        return ortho_cuda_launched("skip_kernel");
    }
    double share =
        static_cast<double>(need) / (static_cast<double>(v.n) * static_cast<double>(v.k));
    ortho_status status = ortho_cuda_status(
        cudaFuncSetAttribute(sample_kernel<W, WHAT>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)),
        "shared memory of sample_kernel");
    if (status != ORTHO_OK)
        return status;
    sample_kernel<W, WHAT><<<SAMPLING_BLOCKS, SAMPLERS, bytes, stream>>>(v, share);
    return ortho_cuda_launched("sample_kernel");
}

template <typename W, what WHAT>
ortho_status select(const view &v, int64_t need, cudaStream_t stream)
{
    const uint64_t wanted = static_cast<uint64_t>(need);
    const unsigned blocks = static_cast<unsigned>((v.n + WARPS - 1) / WARPS);
    ortho_status status = sample<W, WHAT>(v, need, stream);
    if (status == ORTHO_OK && ortho_sieve_is_sampled(v, need)) {
        gather_kernel<W, WHAT><<<blocks, THREADS, 0, stream>>>(v);
        status = ortho_cuda_launched("gather_kernel");
        if (status == ORTHO_OK)
            resolve_kernel<WHAT><<<1, SETTLERS, sizeof(finalists), stream>>>(v, wanted);
        if (status == ORTHO_OK)
            status = ortho_cuda_launched("resolve_kernel");
        if (status == ORTHO_OK && WHAT == SCORES) {
            tally_kernel<<<TALLYING_BLOCKS, SETTLERS, 0, stream>>>(v);
            status = ortho_cuda_launched("tally_kernel");
        }
    }
    return status;
}

} // namespace

/* A sample pays where it holds some thousands of the wanted entries, they aren't most of all, and
 * the list will take what the bracket holds (a bin on either side is about 1 % of the entries
 * more). */
bool ortho_sieve_is_sampled(const view &v, int64_t need)
{
    const double part = static_cast<double>(v.tiles) * v.sample_step; /* one in so many */
    const double rank = static_cast<double>(need) / part;
    const double listed = (2 * margin_of(rank) + 0.01 * rank) * part;
    return rank >= 2000 && need <= v.n * v.k / 4 && listed < v.list_size;
}

ortho_status ortho_sieve_launch_select(const view &v, bool scores, int64_t need, ortho_dtype dtype,
                                       cudaStream_t stream)
{
    ortho_status status = ORTHO_OK;
    with_type(dtype, [&](auto type) {
        typedef decltype(type) W;
        status =
            scores ? select<W, SCORES>(v, need, stream) : select<W, MAGNITUDES>(v, need, stream);
    });
    return status == ORTHO_OK ? ortho_sieve_launch_exact(v, scores, need, dtype, stream) : status;
}

void ortho_sieve_report_select(const view &, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    with_type(dtype, [&](auto type) {
        typedef decltype(type) W;
        ortho_cuda_kernel_report("sample_kernel", (const void *)sample_kernel<W, SCORES>, SAMPLERS,
                                 BINS * sizeof(uint32_t), sink);
        ortho_cuda_kernel_report("gather_kernel", (const void *)gather_kernel<W, SCORES>, THREADS,
                                 0, sink);
        ortho_cuda_kernel_report("resolve_kernel", (const void *)resolve_kernel<SCORES>, SETTLERS,
                                 sizeof(finalists), sink);
        ortho_cuda_kernel_report("tally_kernel", (const void *)tally_kernel, SETTLERS, 0, sink);
    });
    ortho_sieve_report_exact(dtype, sink);
}
