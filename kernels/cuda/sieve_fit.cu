/*
 * The scales, where the statistics couldn't make them: the outlier rule tries 16 a group and keeps
 * the one whose error, the sum of (e * e) * h over the weights that stay, is least; and groups as
 * long as a row, of any rule.
 *
 * The search is bound by arithmetic: 16 candidates a weight. With g the root of h, in 22 bits, and
 * r = 1.5 * 2^23 + q what the first step gives, five instructions a candidate:
 *
 *   r = w * (1/s) + 1.5 * 2^23;  r = min(r, end);  q g = r g - 1.5 * 2^23 g;  e' = w g - s (q g);
 *   sum += e' e'
 *
 * The third is exact, so that e' is e g but for one rounding of w g, and the sums differ from the
 * definition's by less than 1e-7 of themselves: candidates that tie to 1e-6 are anyone's.
 */
#include "kernels/cuda/sieve_kernels.h"
#include "kernels/cuda/sieve_quantise.cuh"

using namespace ortho_sieve;

namespace
{

constexpr int TRIES = 16, BATCH = 4, FIT_WARPS = 4, FIT_THREADS = FIT_WARPS * 32;

/* Eight weights as the search reads them. Excluded ones are zeros, which err by nothing. */
struct kept {
    float size[EIGHT]; /* |w| */
    float end[EIGHT];  /* 1.5 * 2^23 and the end of the grid on the weight's side */
    float root[EIGHT], rooted[EIGHT], shifted[EIGHT]; /* g, |w| g, -1.5 * 2^23 g */
};

__device__ __forceinline__ void load_roots(const view &v, uint32_t col, kept *k)
{
    const float4 a = *reinterpret_cast<const float4 *>(v.root + col);
    const float4 b = *reinterpret_cast<const float4 *>(v.root + col + 4);
    k->root[0] = a.x, k->root[1] = a.y, k->root[2] = a.z, k->root[3] = a.w;
    k->root[4] = b.x, k->root[5] = b.y, k->root[6] = b.z, k->root[7] = b.w;
}

__device__ __forceinline__ void open_kept(const view &v, const row_context &c, uint32_t col,
                                          const float w[EIGHT], kept *k)
{
    bool unsure = false;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        const float size = fabsf(w[i]);
        k->size[i] = size >= c.out_sure ? 0.0f : size;
        unsure |= k->size[i] >= c.out_from;
        k->end[i] = __uint_as_float(GRID_ZERO_BITS + 7u + (__float_as_uint(w[i]) >> 31));
    }
    if (unsure) {
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            k->size[i] = is_outlier(v, c, w[i], col + i) ? 0.0f : fabsf(w[i]);
    }
    load_roots(v, col, k);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        k->rooted[i] = __fmul_rn(k->size[i], k->root[i]);
        k->shifted[i] = __fmul_rn(-GRID_ZERO, k->root[i]);
    }
}

/* ENDS: whether a weight may be beyond the grid's. */
template <bool ENDS>
__device__ __forceinline__ float grid_error(const kept &k, float scale, float inverse)
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float r = __fmaf_rn(k.size[i], inverse, GRID_ZERO);
        if (ENDS)
            r = fminf(r, k.end[i]);
        const float e = __fmaf_rn(-scale, __fmaf_rn(r, k.root[i], k.shifted[i]), k.rooted[i]);
        sum = __fmaf_rn(e, e, sum);
    }
    return sum;
}

struct candidate {
    float scale, inverse;
    uint16_t half;
};

__device__ __forceinline__ candidate try_scale(float absmax, int c)
{
    const uint16_t half = scale_candidate(absmax, c);
    const float scale = half_value(half);
    return {scale, inverse_of(scale), half};
}

/* ---- groups within a tile -------------------------------------------------------------------- */

/* What a warp's lanes tell one another about its 32 / LANES groups. Strides keep what lanes touch
 * together out of one another's banks. */
template <int LANES> struct exchange {
    static constexpr int GROUPS = 32 / LANES, PAIRS = GROUPS * TRIES, SUMS = TRIES + 4;
    static constexpr int EACH = PAIRS > 32 ? PAIRS / 32 : 1; /* (group, try) pairs a lane */
    float4 tries[GROUPS][TRIES / 2 + 1];                     /* scale, inverse, twice */
    float sums[32 * SUMS + 16];                              /* a row a lane */
    uint32_t best[GROUPS];

    /* Where a lane's sums begin: half a warp further on, in other banks. */
    static __device__ __forceinline__ int at(int lane)
    {
        return lane * SUMS + lane / 16 * 16;
    }
};

/* Each lane's candidates, handed to all: a lane makes try lane % 16 of group lane / 16
 * and of every second one from there on. */
template <int LANES>
__device__ __forceinline__ void hand_out(exchange<LANES> *x, float absmax,
                                         uint16_t half[exchange<LANES>::EACH])
{
    typedef exchange<LANES> E;
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < E::EACH; i++) {
        const int group = (lane / TRIES + 2 * i) % E::GROUPS, t = lane % TRIES;
        const candidate c = try_scale(__shfl_sync(ALL, absmax, group * LANES), t);
        half[i] = c.half;
        if (lane < E::PAIRS)
            reinterpret_cast<float2 *>(x->tries[group])[t] = {c.scale, c.inverse};
    }
    __syncwarp();
}

/* A lane's errors with four candidates, of which the first ROOMY can't put a weight beyond the
 * grid's end. */
template <int ROOMY>
__device__ __forceinline__ float4 try_batch(const kept &k, const float4 &a, const float4 &b)
{
    return make_float4(grid_error<(ROOMY < 1)>(k, a.x, a.y), grid_error<(ROOMY < 2)>(k, a.z, a.w),
                       grid_error<(ROOMY < 3)>(k, b.x, b.y), grid_error<true>(k, b.z, b.w));
}

/* And with all of its group's. Candidate 2 puts the largest weight at 7 * 32 / 30 < 7.5, and so is
 * within the grid's end, unless the scale is subnormal and rounds by more than that leaves. */
template <int LANES> __device__ __forceinline__ void try_all(exchange<LANES> *x, const kept &k)
{
    const int lane = threadIdx.x % 32;
    const float4 *tries = x->tries[lane / LANES];
    float4 *to = reinterpret_cast<float4 *>(x->sums + exchange<LANES>::at(lane));
    if (__all_sync(ALL, tries[1].x >= 0x1p-14f))
        to[0] = try_batch<3>(k, tries[0], tries[1]);
    else
        to[0] = try_batch<0>(k, tries[0], tries[1]);
#pragma unroll
    for (int t = BATCH; t < TRIES; t += BATCH)
        to[t / 4] = try_batch<0>(k, tries[t / 2], tries[t / 2 + 1]);
    __syncwarp();
}

/* The fp16 scale of the least error of each lane's group; the first of equals. */
template <int LANES>
__device__ __forceinline__ uint16_t pick_best(exchange<LANES> *x,
                                              const uint16_t half[exchange<LANES>::EACH])
{
    typedef exchange<LANES> E;
    const int lane = threadIdx.x % 32, side = lane / 16 * 16;
#pragma unroll
    for (int i = 0; i < E::EACH; i++) {
        const int group = (lane / TRIES + 2 * i) % E::GROUPS, t = lane % TRIES;
        float total = 0;
#pragma unroll
        for (int l = 0; l < LANES; l++)
            total += x->sums[E::at(group * LANES + l) + t];
        float least = total;
#pragma unroll
        for (int distance = TRIES / 2; distance > 0; distance /= 2)
            least = fminf(least, __shfl_xor_sync(ALL, least, distance));
        const uint32_t equal = __ballot_sync(ALL, total == least) >> side & 0xffffu;
        /* None is where a weight beyond all bounds made all errors NaN: its row is rejected. */
        if (t == (equal != 0 ? __ffs(equal) - 1 : 0) && lane < E::PAIRS)
            x->best[group] = half[i];
    }
    __syncwarp();
    return static_cast<uint16_t>(x->best[lane / LANES]);
}

template <typename R, int LANES>
__device__ __forceinline__ void fit_tile(const view &v, const row_context &c, uint32_t col,
                                         const R &eight, exchange<LANES> *x)
{
    float w[EIGHT];
    kept k;
    uint16_t tries[exchange<LANES>::EACH];
    eight.open(w);
    open_kept(v, c, col, w, &k);
    const float absmax = __uint_as_float(max_over<LANES>(bits_of_absmax(k.size)));
    hand_out<LANES>(x, absmax, tries);
    const bool fits = x->tries[threadIdx.x % 32 / LANES][0].x < INFINITY && absmax < INFINITY;
    try_all<LANES>(x, k);
    uint16_t half = pick_best<LANES>(x, tries);
    if (!fits) {
        reject(v, c.row);
        half = 0;
    }
    if (threadIdx.x % LANES == 0 && col < v.cols)
        v.scale[c.row * v.groups + (col >> v.group_shift)] = half;
    quantise<R>(v, c.row, col, w, half);
}

/* A row for the fit, whose rms is known from here on. */
__device__ __forceinline__ row_context open_fit(const view &v, int64_t row)
{
    row_context c = open_row<MAGNITUDES>(v, row);
    if (v.row_squares != nullptr) {
        open_cut(v, &c);
        if (threadIdx.x % 32 == 0)
            v.inverse_rms[row] = c.inverse_rms;
    }
    return c;
}

/* The outlier rule's, for groups within a tile: a warp a row, the next tile in flight. */
template <typename R, int LANES>
__global__ void __launch_bounds__(FIT_THREADS, 5) fit_kernel(const view v)
{
    __shared__ exchange<LANES> exchanges[FIT_WARPS];
    const int64_t row = blockIdx.x * static_cast<int64_t>(FIT_WARPS) + threadIdx.x / 32;
    const typename R::element *from = row_of<R>(v, row);
    R ahead;
    ahead.request(v, from, column_of(0), row < v.n);
    ortho_cuda_release_dependents();
    ortho_cuda_wait_for_previous();
    if (row >= v.n)
        return;
    const row_context c = open_fit(v, row);
    for (int t = 0; t < v.tiles; t++) {
        const uint32_t col = column_of(t);
        const R eight = ahead;
        ahead.request(v, from, col + TILE, t + 1 < v.tiles);
        fit_tile<R, LANES>(v, c, col, eight, &exchanges[threadIdx.x / 32]);
    }
}

/* ---- groups as long as the row --------------------------------------------------------------- */

/* The best of a long row's scales: its sums are in double. */
template <typename R>
__device__ __forceinline__ uint16_t search_row(const view &v, const row_context &c, float absmax)
{
    const candidate mine = try_scale(absmax, threadIdx.x % TRIES);
    float w[EIGHT];
    kept k;
    double sums[TRIES] = {}, least = INFINITY;
    int best = 0;
    for (int t = 0; t < v.tiles; t++) {
        const uint32_t col = column_of(t);
        load_weights<R>(v, c.row, col, w);
        open_kept(v, c, col, w, &k);
#pragma unroll
        for (int i = 0; i < TRIES; i++)
            sums[i] += static_cast<double>(grid_error<true>(k, __shfl_sync(ALL, mine.scale, i),
                                                            __shfl_sync(ALL, mine.inverse, i)));
    }
#pragma unroll
    for (int i = 0; i < TRIES; i++) {
        double total = warp_sum(sums[i]);
        if (total < least) {
            least = total;
            best = i;
        }
    }
    return static_cast<uint16_t>(__shfl_sync(ALL, static_cast<unsigned>(mine.half), best));
}

/* One group as long as the row, of any rule: three walks over it, the later ones from the cache. */
template <typename R> __global__ void __launch_bounds__(FIT_THREADS, 4) fit_row_kernel(const view v)
{
    const int64_t row = blockIdx.x * static_cast<int64_t>(FIT_WARPS) + threadIdx.x / 32;
    ortho_cuda_release_dependents();
    ortho_cuda_wait_for_previous();
    if (row >= v.n)
        return;
    const row_context c = open_fit(v, row);
    const uint32_t first = column_of(0);
    float w[EIGHT];
    kept k;
    uint32_t most = 0;
    for (uint32_t col = first; col < v.cols; col += TILE) {
        load_weights<R>(v, row, col, w);
        open_kept(v, c, col, w, &k);
        most = max(most, bits_of_absmax(k.size));
    }
    const float absmax = __uint_as_float(max_over<32>(most));
    uint16_t half = plain_scale(v, row, absmax);
    if (v.rule == ORTHO_RULE_OUTLIER && half != 0) /* the warp agrees */
        half = search_row<R>(v, c, absmax);
    if (first == 0)
        v.scale[row] = half;
    for (uint32_t col = first; col < v.cols; col += TILE) {
        load_weights<R>(v, row, col, w);
        quantise<R>(v, row, col, w, half);
    }
}

typedef void (*fit_function)(const view v);

template <typename R> fit_function fit_for(const view &v)
{
    if (v.group > TILE)
        return fit_row_kernel<R>;
    switch (v.group_lanes) {
    case 4:
        return fit_kernel<R, 4>;
    case 8:
        return fit_kernel<R, 8>;
    case 16:
        return fit_kernel<R, 16>;
    default:
        return fit_kernel<R, 32>;
    }
}

} // namespace

ortho_status ortho_sieve_launch_fit(const view &v, ortho_dtype dtype, cudaStream_t stream)
{
    if (ortho_sieve_fits_at_once(v))
        return ORTHO_OK;
    const unsigned blocks = static_cast<unsigned>((v.n + FIT_WARPS - 1) / FIT_WARPS);
    ortho_status status = ORTHO_OK;
    with_reader(v, dtype, [&](auto type) {
        status = ortho_sieve_launch("fit_kernel", ORTHO_SIEVE_BEHIND, fit_for<decltype(type)>(v),
                                    {blocks, FIT_THREADS, 0}, stream, v);
    });
    return status;
}

void ortho_sieve_report_fit(const view &v, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    if (ortho_sieve_fits_at_once(v))
        return;
    with_reader(v, dtype, [&](auto type) {
        ortho_cuda_kernel_report("fit_kernel", (const void *)fit_for<decltype(type)>(v),
                                 FIT_THREADS, 0, sink);
    });
}
