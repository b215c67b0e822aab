/*
 * The first read of W. A warp owns 256 columns of every eighth row of a stripe; a lane sums its
 * eight columns' squares over those rows in fp32 (32 terms at 8192 rows and 32 stripes), the block
 * adds its warps, and the last block of a column tile adds the stripes in double, always in the
 * same order. In the same read: the group's absmax, scale and nibbles where a rule has one
 * candidate, or the rows' sums of squares for the outlier rule. Bound by reading.
 */
#include "kernels/cuda/sieve_device.cuh"
#include "kernels/cuda/sieve_kernels.h"

using namespace ortho_sieve;

namespace
{

constexpr int UNROLL = 4;

/* Eight grid points as nibbles: four bytes, fewer at the end of a row. */
__device__ __forceinline__ void store_nibbles(const view &v, int64_t row, int64_t col,
                                              const float q[EIGHT])
{
    uint32_t packed = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        packed |= (static_cast<uint32_t>(static_cast<int>(q[i])) & 15u) << (4 * i);
    int64_t bytes = (v.k + 1) / 2;
    uint8_t *to = v.q + row * bytes + col / 2;
    if (bytes % 4 == 0 && col + EIGHT <= v.k) {
        *reinterpret_cast<uint32_t *>(to) = packed;
        return;
    }
    for (int i = 0; i < EIGHT / 2 && col + 2 * i < v.k; i++)
        to[i] = static_cast<uint8_t>(packed >> (8 * i));
}

/* Lanes of a group within a warp's 256 columns. */
__device__ __forceinline__ int lanes_of_group(const view &v)
{
    return v.group >= TILE || v.group >= v.k ? 32 : static_cast<int>(v.group) / EIGHT;
}

__device__ __forceinline__ uint32_t bits_of_absmax(const float w[EIGHT])
{
    uint32_t most = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        most = max(most, __float_as_uint(w[i]) & 0x7fffffffu);
    return most;
}

__device__ __forceinline__ uint32_t max_over(uint32_t v, int lanes)
{
    for (int distance = lanes / 2; distance > 0; distance /= 2)
        v = max(v, __shfl_xor_sync(ALL, v, distance));
    return v;
}

/* fp16 bits of absmax * (32 - c) / 224, rounded once. */
__device__ __forceinline__ uint16_t scale_candidate(float absmax, int c)
{
    double exact = __ddiv_rn(static_cast<double>(absmax) * static_cast<double>(32 - c), 224.0);
    return __half_as_ushort(__double2half(exact));
}

__device__ __forceinline__ bool is_infinite(uint16_t half)
{
    return (half & 0x7c00u) == 0x7c00u;
}

__device__ __forceinline__ void quantise(const view &v, int64_t row, int64_t col,
                                         const float w[EIGHT], uint16_t half)
{
    float q[EIGHT], scale = half_value(half), inverse = inverse_of(scale);
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        q[i] = scale > 0.0f ? quantised(w[i], scale, inverse) : 0.0f;
    if (col < v.k)
        store_nibbles(v, row, col, q);
}

/* A group that lies in this warp's tile: one scale, its nibbles. */
__device__ __forceinline__ void fit_plainly(const view &v, int64_t row, int64_t col,
                                            const float w[EIGHT])
{
    const int lanes = lanes_of_group(v);
    float absmax = __uint_as_float(max_over(bits_of_absmax(w), lanes));
    uint16_t half = scale_candidate(absmax, 0);
    if (is_infinite(half) || !(absmax < INFINITY)) {
        reject(v, row);
        half = 0;
    }
    if (threadIdx.x % lanes == 0 && col < v.k)
        v.scale[row * v.groups + col / v.group] = half;
    quantise(v, row, col, w, half);
}

/* The stripes' sums of one tile, added in their order; H, or what stands for it. */
__device__ void weigh_tile(const view &v)
{
    const int64_t col = blockIdx.x * static_cast<int64_t>(TILE) + threadIdx.x;
    const int64_t width = static_cast<int64_t>(v.tiles) * TILE;
    double sum = 0;
    for (int s = 0; s < v.stripes; s++)
        sum += static_cast<double>(__ldcg(v.column_sums + s * width + col));
    float h = static_cast<float>(sum / static_cast<double>(v.n));
    if (v.rule == ORTHO_RULE_LEGACY)
        h = h > 0.0f ? fminf(__frcp_rn(h), 0x1.fffffep127f) : 0.0f;
    v.weight[col] = col < v.k ? h : 0.0f;
}

template <typename W, bool FITS>
__global__ void __launch_bounds__(THREADS) statistics_kernel(const view v)
{
    __shared__ float sums[WARPS][TILE];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t col = blockIdx.x * static_cast<int64_t>(TILE) + lane * EIGHT;
    const int64_t each = (v.n + v.stripes - 1) / v.stripes, first = blockIdx.y * each;
    const int64_t end = first + each < v.n ? first + each : v.n;
    float column[EIGHT] = {};
    for (int64_t begin = first + warp; begin < end; begin += WARPS * UNROLL) {
        float w[UNROLL][EIGHT];
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            if (begin + u * WARPS < end)
                load_weights<W>(v, begin + u * WARPS, col, w[u]);
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            const int64_t row = begin + u * WARPS;
            if (row >= end)
                break;
            float square = 0;
#pragma unroll
            for (int i = 0; i < EIGHT; i++) {
                column[i] = __fmaf_rn(w[u][i], w[u][i], column[i]);
                square = __fmaf_rn(w[u][i], w[u][i], square);
            }
            if (v.row_squares != nullptr) {
#pragma unroll
                for (int distance = 16; distance > 0; distance /= 2)
                    square += __shfl_xor_sync(ALL, square, distance);
                if (lane == 0)
                    v.row_squares[row * v.tiles + blockIdx.x] = square;
                if (lane == 0 && !(square < INFINITY))
                    reject(v, row);
            }
            if (FITS)
                fit_plainly(v, row, col, w[u]);
        }
    }
    if (v.has_weight)
        return;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        sums[warp][lane * EIGHT + i] = column[i];
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < WARPS; i++)
        sum += sums[i][threadIdx.x];
    v.column_sums[(static_cast<int64_t>(blockIdx.y) * v.tiles + blockIdx.x) * TILE + threadIdx.x] =
        sum;
    if (last_to_arrive(v.counters + 8 + blockIdx.x, gridDim.y))
        weigh_tile(v);
}

/* ---- the fit --------------------------------------------------------------------------------- */

/* The group's scales to try, a lane one of them in turn, handed to all. */
struct candidates {
    float scale, inverse; /* of candidate lane % 16 */
    uint16_t half;
};

__device__ __forceinline__ candidates try_all(float absmax)
{
    candidates c;
    c.half = scale_candidate(absmax, threadIdx.x % 16);
    c.scale = half_value(c.half);
    c.inverse = inverse_of(c.scale);
    return c;
}

/* sum += (e * e) * h over eight weights with one scale. limit: the grid's end on the weight's side.
 */
__device__ __forceinline__ float grid_error(const float size[EIGHT], const float limit[EIGHT],
                                            const float h[EIGHT], float scale, float inverse)
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float q = fminf(__fmaf_rn(size[i], inverse, 12582912.0f), limit[i]) - 12582912.0f;
        float e = __fmaf_rn(-scale, q, size[i]);
        sum = __fmaf_rn(e * e, h[i], sum);
    }
    return sum;
}

/* Hands half of 2 * WIDTH sums to the lane WIDTH away, and adds what comes to the other half. */
template <int WIDTH> __device__ __forceinline__ void hand_over(float sum[16])
{
    const bool upper = (threadIdx.x & WIDTH) != 0;
#pragma unroll
    for (int i = 0; i < WIDTH; i++) {
        float give = upper ? sum[i] : sum[i + WIDTH], keep = upper ? sum[i + WIDTH] : sum[i];
        sum[i] = keep + __shfl_xor_sync(ALL, give, WIDTH);
    }
}

/* 16 sums a lane over 16 lanes: lane l ends with the total of sum l. */
__device__ __forceinline__ float gather_sums(float sum[16])
{
    hand_over<8>(sum);
    hand_over<4>(sum);
    hand_over<2>(sum);
    hand_over<1>(sum);
    return sum[0];
}

/* The lane of the least sum among 16, the first of equals. */
__device__ __forceinline__ int first_least(float sum)
{
    int at = threadIdx.x % 16;
#pragma unroll
    for (int distance = 8; distance > 0; distance /= 2) {
        float other = __shfl_xor_sync(ALL, sum, distance);
        int its = __shfl_xor_sync(ALL, at, distance);
        if (other < sum || (other == sum && its < at)) {
            sum = other;
            at = its;
        }
    }
    return at;
}

/* What the search reads of eight kept weights; excluded ones are zeros of weight 0. */
struct kept {
    float size[EIGHT], limit[EIGHT], h[EIGHT];
};

__device__ __forceinline__ void open_kept(const view &v, const row_context &c, int64_t col,
                                          const float w[EIGHT], kept *out, uint32_t *most)
{
    const bool there = col < v.k; /* the weights are padded to whole tiles */
    const float4 zero = make_float4(0, 0, 0, 0);
    const float4 a = there ? *reinterpret_cast<const float4 *>(v.weight + col) : zero;
    const float4 b = there ? *reinterpret_cast<const float4 *>(v.weight + col + 4) : zero;
    out->h[0] = a.x, out->h[1] = a.y, out->h[2] = a.z, out->h[3] = a.w;
    out->h[4] = b.x, out->h[5] = b.y, out->h[6] = b.z, out->h[7] = b.w;
    *most = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        bool keeps = !is_outlier(v, c, w[i], col + i);
        float value = keeps ? w[i] : 0.0f;
        out->size[i] = fabsf(value);
        out->limit[i] = 12582912.0f + (value < 0.0f ? 8.0f : 7.0f);
        *most = max(*most, __float_as_uint(value) & 0x7fffffffu);
    }
}

/* The best scale of a group of 16 lanes (128 columns), or of all 32. */
__device__ __forceinline__ uint16_t search_wide(const kept &k, float absmax, bool all)
{
    const candidates mine = try_all(absmax);
    const int base = threadIdx.x & 16;
    float sum[16];
#pragma unroll
    for (int t = 0; t < 16; t++)
        sum[t] = grid_error(k.size, k.limit, k.h, __shfl_sync(ALL, mine.scale, base + t),
                            __shfl_sync(ALL, mine.inverse, base + t));
    float total = gather_sums(sum);
    if (all)
        total += __shfl_xor_sync(ALL, total, 16);
    return static_cast<uint16_t>(
        __shfl_sync(ALL, static_cast<unsigned>(mine.half), base + first_least(total)));
}

/* The same for groups of 4 or 8 lanes: every lane makes every candidate. */
__device__ __forceinline__ uint16_t search_narrow(const kept &k, float absmax, int lanes)
{
    float least = INFINITY;
    uint16_t best = 0;
    for (int t = 0; t < 16; t++) {
        uint16_t half = scale_candidate(absmax, t);
        float scale = half_value(half);
        float total = grid_error(k.size, k.limit, k.h, scale, inverse_of(scale));
        for (int distance = lanes / 2; distance > 0; distance /= 2)
            total += __shfl_xor_sync(ALL, total, distance);
        best = total < least ? half : best;
        least = total < least ? total : least;
    }
    return best;
}

/* Groups of up to 256 columns: a warp's tile holds whole ones. */
template <typename W>
__device__ __forceinline__ void fit_tile(const view &v, const row_context &c, int64_t col,
                                         bool searches)
{
    const int lanes = lanes_of_group(v), lane = threadIdx.x % 32;
    float w[EIGHT];
    kept k;
    uint32_t most;
    load_weights<W>(v, c.row, col, w);
    open_kept(v, c, col, w, &k, &most);
    float absmax = __uint_as_float(max_over(most, lanes));
    uint16_t half = scale_candidate(absmax, 0);
    if (is_infinite(half) || !(absmax < INFINITY)) {
        reject(v, c.row);
        half = 0;
    }
    if (searches) {
        uint16_t best =
            lanes >= 16 ? search_wide(k, absmax, lanes == 32) : search_narrow(k, absmax, lanes);
        half = half != 0 ? best : half;
    }
    if (lane % lanes == 0 && col < v.k)
        v.scale[c.row * v.groups + col / v.group] = half;
    quantise(v, c.row, col, w, half);
}

/* One group as long as the row: three walks over it, the later ones from the cache. */
template <typename W>
__device__ __forceinline__ void fit_row(const view &v, const row_context &c, bool searches)
{
    const int lane = threadIdx.x % 32;
    float w[EIGHT];
    kept k;
    uint32_t most, all = 0;
    for (int64_t col = lane * EIGHT; col < v.k; col += TILE) {
        load_weights<W>(v, c.row, col, w);
        open_kept(v, c, col, w, &k, &most);
        all = max(all, most);
    }
    float absmax = __uint_as_float(max_over(all, 32));
    uint16_t half = scale_candidate(absmax, 0);
    if (is_infinite(half) || !(absmax < INFINITY)) {
        reject(v, c.row);
        half = 0;
    }
    if (searches && half != 0) {
        candidates mine = try_all(absmax);
        double sums[16] = {};
        for (int64_t col = lane * EIGHT; col - lane * EIGHT < v.k; col += TILE) {
            load_weights<W>(v, c.row, col, w);
            open_kept(v, c, col, w, &k, &most);
#pragma unroll
            for (int t = 0; t < 16; t++)
                sums[t] += static_cast<double>(grid_error(k.size, k.limit, k.h,
                                                          __shfl_sync(ALL, mine.scale, t),
                                                          __shfl_sync(ALL, mine.inverse, t)));
        }
        double least = INFINITY;
        int best = 0;
#pragma unroll
        for (int t = 0; t < 16; t++) {
            double total = warp_sum(sums[t]);
            if (total < least) {
                least = total;
                best = t;
            }
        }
        half = static_cast<uint16_t>(__shfl_sync(ALL, static_cast<unsigned>(mine.half), best));
    }
    if (lane == 0)
        v.scale[c.row] = half;
    for (int64_t col = lane * EIGHT; col < v.k; col += TILE) {
        load_weights<W>(v, c.row, col, w);
        quantise(v, c.row, col, w, half);
    }
}

template <typename W> __global__ void __launch_bounds__(THREADS, 3) fit_kernel(const view v)
{
    const int64_t row = blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / 32;
    if (row >= v.n)
        return;
    row_context c = open_row<MAGNITUDES>(v, row);
    if (v.row_squares != nullptr) {
        open_cut(v, &c);
        if (threadIdx.x % 32 == 0)
            v.inverse_rms[row] = c.inverse_rms;
    }
    const bool searches = v.rule == ORTHO_RULE_OUTLIER;
    if (v.group > TILE) {
        fit_row<W>(v, c, searches);
        return;
    }
    for (int t = 0; t < v.tiles; t++)
        fit_tile<W>(v, c, t * static_cast<int64_t>(TILE) + threadIdx.x % 32 * EIGHT, searches);
}

bool fits_at_once(const view &v)
{
    return v.rule != ORTHO_RULE_OUTLIER && v.group <= TILE;
}

} // namespace

ortho_status ortho_sieve_launch_statistics(const view &v, ortho_dtype dtype, cudaStream_t stream)
{
    dim3 grid(static_cast<unsigned>(v.tiles), static_cast<unsigned>(v.stripes));
    with_type(dtype, [&](auto type) {
        typedef decltype(type) W;
        if (fits_at_once(v))
            statistics_kernel<W, true><<<grid, THREADS, 0, stream>>>(v);
        else
            statistics_kernel<W, false><<<grid, THREADS, 0, stream>>>(v);
    });
    return ortho_cuda_launched("statistics_kernel");
}

ortho_status ortho_sieve_launch_fit(const view &v, ortho_dtype dtype, cudaStream_t stream)
{
    if (fits_at_once(v))
        return ORTHO_OK;
    unsigned blocks = static_cast<unsigned>((v.n + WARPS - 1) / WARPS);
    with_type(dtype,
              [&](auto type) { fit_kernel<decltype(type)><<<blocks, THREADS, 0, stream>>>(v); });
    return ortho_cuda_launched("fit_kernel");
}

void ortho_sieve_report_statistics(const view &v, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    with_type(dtype, [&](auto type) {
        typedef decltype(type) W;
        const void *first = fits_at_once(v) ? (const void *)statistics_kernel<W, true>
                                            : (const void *)statistics_kernel<W, false>;
        ortho_cuda_kernel_report("statistics_kernel", first, THREADS, 0, sink);
        if (!fits_at_once(v))
            ortho_cuda_kernel_report("fit_kernel", (const void *)fit_kernel<W>, THREADS, 0, sink);
    });
}
