/*
 * The first read of W. A warp owns 256 columns of every eighth row of a stripe; a lane sums its
 * eight columns' squares over those rows in fp32 (32 terms at 8192 rows and 32 stripes), the block
 * adds its warps, and the last block of a column tile adds the stripes in double, always in the
 * same order. In the same read: the group's absmax, scale and nibbles where a rule has one
 * candidate, or the rows' sums of squares for the outlier rule. Bound by reading.
 */
#include "kernels/cuda/sieve_block.cuh"
#include "kernels/cuda/sieve_kernels.h"
#include "kernels/cuda/sieve_quantise.cuh"

using namespace ortho_sieve;

namespace
{

constexpr int UNROLL = 2;

/* What is done beside H: these, or the fit of groups of so many lanes. */
enum beside { NOTHING = 0, SQUARES = -1 };

/* A group that lies in this warp's tile: one scale, its nibbles. */
template <typename R, int LANES>
__device__ __forceinline__ void fit_plainly(const view &v, int64_t row, uint32_t col,
                                            const float w[EIGHT])
{
    const float absmax = __uint_as_float(max_over<LANES>(bits_of_absmax(w)));
    const uint16_t half = plain_scale(v, row, absmax);
    if (threadIdx.x % LANES == 0 && col < v.cols)
        v.scale[row * v.groups + (col >> v.group_shift)] = half;
    quantise<R>(v, row, col, w, half);
}

/* The stripes' sums of one column, added in their order; eight loads in flight. */
__device__ double add_stripes(const view &v, uint32_t col)
{
    constexpr int AHEAD = 8;
    const int64_t width = static_cast<int64_t>(v.tiles) * TILE;
    double sum = 0;
    for (int first = 0; first < v.stripes; first += AHEAD) {
        float part[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            part[i] =
                first + i < v.stripes ? __ldcg(v.column_sums + (first + i) * width + col) : 0.0f;
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            sum += static_cast<double>(part[i]);
    }
    return sum;
}

/* H of one tile, or what stands for it. */
__device__ void weigh_tile(const view &v)
{
    const uint32_t col = blockIdx.x * TILE + threadIdx.x;
    float h = static_cast<float>(add_stripes(v, col) / static_cast<double>(v.n));
    if (v.rule == ORTHO_RULE_LEGACY)
        h = h > 0.0f ? fminf(__frcp_rn(h), 0x1.fffffep127f) : 0.0f;
    h = col < v.cols ? h : 0.0f;
    v.weight[col] = h;
    v.root[col] = ortho_sieve_root(h);
}

/* The sum of squares of this tile's part of a row. */
__device__ __forceinline__ void note_squares(const view &v, int64_t row, float square)
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        square += __shfl_xor_sync(ALL, square, distance);
    if (threadIdx.x % 32 != 0)
        return;
    v.row_squares[row * v.tiles + blockIdx.x] = square;
    if (!(square < INFINITY))
        reject(v, row);
}

template <typename R, int BESIDE>
__global__ void __launch_bounds__(THREADS, 5) statistics_kernel(const view v)
{
    __shared__ float sums[WARPS][TILE];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t col = column_of(static_cast<int>(blockIdx.x));
    const int64_t each = (v.n + v.stripes - 1) / v.stripes, first = blockIdx.y * each;
    const int64_t end = first + each < v.n ? first + each : v.n;
    float column[EIGHT] = {};
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0)
        v.counters[SLOT_BARRIER] = 0;
    ortho_cuda_release_dependents();
    const typename R::element *from = row_of<R>(v, first + warp);
    const int64_t step = WARPS * v.stride;
    R ahead[UNROLL]; /* the next rows are requested before these are used */
#pragma unroll
    for (int u = 0; u < UNROLL; u++)
        ahead[u].request(v, from + u * step, col, first + warp + u * WARPS < end);
    for (uint32_t begin = first + warp; begin < end; begin += WARPS * UNROLL) {
        R eight[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            eight[u] = ahead[u];
            ahead[u].request(v, from + (UNROLL + u) * step, col,
                             begin + (UNROLL + u) * WARPS < end);
        }
        from += UNROLL * step;
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            const int64_t row = begin + u * WARPS;
            if (row >= end)
                break;
            float w[EIGHT];
            eight[u].open(w);
#pragma unroll
            for (int i = 0; i < EIGHT; i++)
                column[i] = __fmaf_rn(w[i], w[i], column[i]);
            if (BESIDE == SQUARES) {
                float square = 0;
#pragma unroll
                for (int i = 0; i < EIGHT; i++)
                    square = __fmaf_rn(w[i], w[i], square);
                note_squares(v, row, square);
            }
            if constexpr (BESIDE > 0)
                fit_plainly<R, BESIDE>(v, row, col, w);
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
    if (last_to_arrive(v.counters + SLOTS + blockIdx.x, gridDim.y))
        weigh_tile(v);
}

typedef void (*statistics_function)(const view v);

template <typename R> statistics_function statistics_for(const view &v)
{
    if (!ortho_sieve_fits_at_once(v))
        return v.row_squares != nullptr ? statistics_kernel<R, SQUARES>
                                        : statistics_kernel<R, NOTHING>;
    switch (v.group_lanes) {
    case 4:
        return statistics_kernel<R, 4>;
    case 8:
        return statistics_kernel<R, 8>;
    case 16:
        return statistics_kernel<R, 16>;
    default:
        return statistics_kernel<R, 32>;
    }
}

} // namespace

ortho_status ortho_sieve_launch_statistics(const view &v, ortho_dtype dtype, cudaStream_t stream)
{
    dim3 grid(static_cast<unsigned>(v.tiles), static_cast<unsigned>(v.stripes));
    ortho_status status = ORTHO_OK;
    with_reader(v, dtype, [&](auto type) {
        status =
            ortho_sieve_launch("statistics_kernel", ORTHO_SIEVE_ALONE,
                               statistics_for<decltype(type)>(v), {grid, THREADS, 0}, stream, v);
    });
    return status;
}

void ortho_sieve_report_statistics(const view &v, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    with_reader(v, dtype, [&](auto type) {
        ortho_cuda_kernel_report("statistics_kernel",
                                 (const void *)statistics_for<decltype(type)>(v), THREADS, 0, sink);
    });
}
