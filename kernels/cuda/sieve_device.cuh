/*
 * sieve_device.cuh: what the sieve's kernels share beside loading: the keys of eight columns a
 * lane. A key orders entries as in kernels/quant.h: the bits of a score >= 0, plus 1; 0 is padding.
 * Arithmetic that decides an order is rounded as the CPU's (no contraction).
 */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_DEVICE_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_DEVICE_CUH

#include "kernels/cuda/sieve_load.cuh"

namespace ortho_sieve
{

constexpr int WARPS = 8, THREADS = WARPS * 32;
constexpr int BINS = 16384, BIN_SHIFT = 17; /* of sampled keys: a bin is 1.5 % of a score */
constexpr uint32_t WALK = 0xffffffffu;      /* the count of a row that isn't staged */
constexpr uint32_t KEY_TOP = 0x7fffffffu, KEY_NONE = 0xffffffffu;
constexpr float RMS_SHIFT = 0x1p60f;     /* see kernels/quant.h */
constexpr float GRID_ZERO = 12582912.0f; /* 1.5 * 2^23: sums with it are rounded to whole numbers */
constexpr uint32_t GRID_ZERO_BITS = 0x4b400000u;
constexpr unsigned ALL = 0xffffffffu;

enum what { MAGNITUDES = 0, SCORES = 1 };

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* rint and clamp to the grid -8 .. 7, as kernels/quant_plain.h does it. */
__device__ __forceinline__ float on_grid(float x)
{
    float q = __fadd_rn(__fadd_rn(x, GRID_ZERO), -GRID_ZERO);
    return fminf(fmaxf(q, -8.0f), 7.0f);
}

__device__ __forceinline__ float half_value(uint16_t bits)
{
    return __half2float(__ushort_as_half(bits));
}

__device__ __forceinline__ float inverse_of(float scale)
{
    return scale > 0.0f ? __frcp_rn(scale) : 0.0f;
}

/* The grid point nearest to w, as the bits of 1.5 * 2^23 + q. The product with the reciprocal is
 * mended by its remainder, so that it is w / scale rounded once, as on the CPU. Scale 0: q = 0. */
__device__ __forceinline__ uint32_t grid_bits(float w, float scale, float inverse)
{
    float x = __fmul_rn(w, inverse);
    x = __fmaf_rn(__fmaf_rn(-x, scale, w), inverse, x);
    return __float_as_uint(
        fminf(fmaxf(__fadd_rn(x, GRID_ZERO), GRID_ZERO - 8.0f), GRID_ZERO + 7.0f));
}

/* A NaN, whose row is rejected, must not be beyond what selections count: it is at the top. */
__device__ __forceinline__ uint32_t key_of(float score)
{
    return min(__float_as_uint(score) & 0x7fffffffu, KEY_TOP - 1u) + 1u;
}

__device__ __forceinline__ uint32_t magnitude_key(float w, float inverse_rms)
{
    return key_of(__fmul_rn(__fmul_rn(fabsf(w), RMS_SHIFT), inverse_rms));
}

__device__ __forceinline__ float score_of(float w, float scale, float inverse, float h)
{
    float e = __fmaf_rn(-scale, on_grid(__fmul_rn(w, inverse)), w);
    return __fmul_rn(__fmul_rn(e, e), h);
}

__device__ __forceinline__ uint32_t score_key(float w, float scale, float inverse, float h)
{
    return key_of(score_of(w, scale, inverse, h));
}

/* ---- warps ----------------------------------------------------------------------------------- */

__device__ __forceinline__ uint32_t warp_sum(uint32_t v)
{
    return __reduce_add_sync(ALL, v);
}

__device__ __forceinline__ double warp_sum(double v)
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        v += __shfl_xor_sync(ALL, v, distance);
    return v;
}

/* Exclusive sum over the lanes below. */
__device__ __forceinline__ uint32_t lanes_before(uint32_t v)
{
    const int lane = threadIdx.x % 32;
    uint32_t sum = v;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        uint32_t other = __shfl_up_sync(ALL, sum, distance);
        sum += lane >= distance ? other : 0;
    }
    return sum - v;
}

/* True for the block that arrives last; its threads see what the others wrote. */
__device__ __forceinline__ bool last_to_arrive(uint32_t *counter, uint32_t blocks)
{
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence(); /* one for all: what they wrote before they met is ordered too */
        last = atomicAdd(counter, 1u) == blocks - 1;
        if (last)
            *counter = 0;
    }
    __syncthreads();
    if (last)
        __threadfence();
    return last;
}

/* A listed key: in order of keys, then of positions from the last to the first. */
__device__ __forceinline__ uint64_t ranked(uint32_t key, uint32_t at)
{
    return static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(~at);
}

__device__ __forceinline__ void reject(const view &v, int64_t row)
{
    atomicMin(v.bad_row, static_cast<uint32_t>(row));
}

/* ---- keys of a row --------------------------------------------------------------------------- */

/* 1 / (rms * 2^60) of a row, from the tiles' sums of squares: all lanes get it. */
__device__ __forceinline__ float inverse_rms_of(const view &v, int64_t row)
{
    double sum = 0;
    for (int t = threadIdx.x % 32; t < v.tiles; t += 32)
        sum += static_cast<double>(v.row_squares[row * v.tiles + t]);
    double rms = sqrt(warp_sum(sum) / static_cast<double>(v.k));
    return rms > 0 ? static_cast<float>(1.0 / (rms * static_cast<double>(RMS_SHIFT))) : 0.0f;
}

/* What a row's keys depend on, loaded once a row by all lanes of a warp. */
struct row_context {
    int64_t row;
    uint32_t at;       /* position of its first column */
    float inverse_rms; /* magnitudes, and the outlier rule's scores */
    uint32_t out_key;  /* the magnitudes' cut; KEY_NONE: nothing is kept out */
    uint32_t out_at;
    float out_from, out_sure; /* its reach; NaN, which no comparison passes: nothing is kept out */
    const uint16_t *scale;
};

__device__ __forceinline__ row_context row_without_cut(const view &v, int64_t row)
{
    return {row, static_cast<uint32_t>(row * v.k), 0.0f, KEY_NONE, 0, NAN,
            NAN, v.scale + row * v.groups};
}

/* A bound on magnitude keys as one on the weights of a row, with room for the roundings: below
 * `from` a key is less, from `sure` on it isn't; between the two, which is rare, the key decides.
 * Where the bound is zero, subnormal or beyond floats that room isn't there, and keys decide all.
 */
struct reach {
    float from, sure;
};

__device__ __forceinline__ reach reach_of(uint32_t key, float inverse_rms)
{
    const float size = __uint_as_float(min(key - 1u, 0x7f7fffffu));
    const float weight = size / RMS_SHIFT / inverse_rms;
    const bool fits = size >= 0x1p-60f && weight >= 0x1p-120f && weight <= 0x1p120f;
    return fits ? reach{0.9999f * weight, 1.0001f * weight} : reach{0.0f, INFINITY};
}

/* The magnitudes' cut for a row. */
__device__ __forceinline__ void open_cut(const view &v, row_context *c)
{
    c->out_key = v.selection[MAGNITUDES].cut_key;
    c->out_at = v.selection[MAGNITUDES].cut_at;
    const reach r = reach_of(c->out_key, c->inverse_rms);
    c->out_from = r.from;
    c->out_sure = r.sure;
}

template <what WHAT> __device__ __forceinline__ row_context open_row(const view &v, int64_t row)
{
    row_context c = row_without_cut(v, row);
    if (v.row_squares == nullptr)
        return c;
    c.inverse_rms = WHAT == SCORES ? v.inverse_rms[row] : inverse_rms_of(v, row);
    if (WHAT == SCORES)
        open_cut(v, &c);
    return c;
}

__device__ __forceinline__ bool is_selected(uint32_t key, uint32_t at, uint32_t cut_key,
                                            uint32_t cut_at)
{
    return key > cut_key || (key == cut_key && at <= cut_at);
}

/* Whether the outlier rule keeps a weight out of the fit. */
__device__ __forceinline__ bool is_outlier(const view &, const row_context &c, float w,
                                           uint32_t col)
{
    return fabsf(w) >= c.out_from &&
           is_selected(magnitude_key(w, c.inverse_rms), c.at + col, c.out_key, c.out_at);
}

/* H, or what stands for it, of eight columns: padded to whole tiles. */
__device__ __forceinline__ void load_importance(const view &v, uint32_t col, float h[EIGHT])
{
    const float4 a = *reinterpret_cast<const float4 *>(v.weight + col);
    const float4 b = *reinterpret_cast<const float4 *>(v.weight + col + 4);
    h[0] = a.x, h[1] = a.y, h[2] = a.z, h[3] = a.w;
    h[4] = b.x, h[5] = b.y, h[6] = b.z, h[7] = b.w;
}

/* Scores' keys of eight columns. */
__device__ __forceinline__ void score_keys(const view &v, const row_context &c, uint32_t col,
                                           const float w[EIGHT], uint32_t key[EIGHT])
{
    const float scale = half_value(c.scale[col >> v.group_shift]);
    const float inverse = inverse_of(scale);
    float h[EIGHT];
    load_importance(v, col, h);
    bool unsure = false;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        const float size = fabsf(w[i]);
        key[i] = size >= c.out_sure ? KEY_TOP : score_key(w[i], scale, inverse, h[i]);
        unsure |= size >= c.out_from && size < c.out_sure;
    }
    if (!unsure)
        return;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        if (is_outlier(v, c, w[i], col + i))
            key[i] = KEY_TOP;
}

/* Keys of columns [col, col + 8), 0 beyond k. */
template <what WHAT>
__device__ __forceinline__ void keys_of(const view &v, const row_context &c, uint32_t col,
                                        const float w[EIGHT], uint32_t key[EIGHT])
{
    if (col >= v.cols) {
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            key[i] = 0;
        return;
    }
    if (WHAT == SCORES) {
        score_keys(v, c, col, w, key);
    } else {
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            key[i] = magnitude_key(w[i], c.inverse_rms);
    }
    if (col + EIGHT <= v.cols)
        return;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        key[i] = col + i < v.cols ? key[i] : 0;
}

template <typename R, what WHAT>
__device__ __forceinline__ void load_keys(const view &v, const row_context &c, uint32_t col,
                                          uint32_t key[EIGHT])
{
    float w[EIGHT];
    load_weights<R>(v, c.row, col, w);
    keys_of<WHAT>(v, c, col, w, key);
}

/* Calls visit(column, keys) for each tile of a warp's row in turn, two of 16 bits in flight. */
template <typename R, what WHAT, typename F>
__device__ __forceinline__ void each_tile(const view &v, const row_context &c, F visit)
{
    constexpr int AHEAD = sizeof(typename R::element) == 2 ? 2 : 1;
    const typename R::element *from = row_of<R>(v, c.row);
    for (int t = 0; t < v.tiles; t += AHEAD) {
        R eight[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            eight[i].request(v, from, column_of(t + i));
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            float w[EIGHT];
            uint32_t key[EIGHT];
            eight[i].open(w);
            keys_of<WHAT>(v, c, column_of(t + i), w, key); /* 0 beyond the row */
            visit(column_of(t + i), key);
        }
    }
}

/* ---- single columns -------------------------------------------------------------------------- */

/* What a lone column's key and residual are made of: scale and h of scores alone. */
struct lone {
    float w, scale, h;
};

template <typename R, what WHAT>
__device__ __forceinline__ lone load_lone(const view &v, const row_context &c, uint32_t col)
{
    lone one = {weight_at<R>(v, c.row, col), 0.0f, 0.0f};
    if (WHAT == SCORES) {
        one.scale = half_value(__ldg(c.scale + (col >> v.group_shift)));
        one.h = __ldg(v.weight + col);
    }
    return one;
}

/* Its key, by the definition. */
template <what WHAT>
__device__ __forceinline__ uint32_t lone_key(const view &v, const row_context &c, uint32_t col,
                                             const lone &one)
{
    if (WHAT == MAGNITUDES)
        return magnitude_key(one.w, c.inverse_rms);
    return is_outlier(v, c, one.w, col) ? KEY_TOP
                                        : score_key(one.w, one.scale, inverse_of(one.scale), one.h);
}

/* The cut of the scores, for emission. */
struct final_cut {
    uint32_t key, at;
    bool exact;
};

__device__ __forceinline__ final_cut open_final_cut(const view &v)
{
    const ortho_cuda_selection *s = &v.selection[SCORES];
    return {s->cut_key, s->cut_at, s->exact != 0};
}

/* Which of eight columns go to Ortho. */
__device__ __forceinline__ uint32_t chosen_of(const row_context &c, uint32_t col,
                                              const uint32_t key[EIGHT], const final_cut &cut)
{
    uint32_t chosen = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        if (key[i] >= cut.key && key[i] != 0 &&
            is_selected(key[i], c.at + col + i, cut.key, cut.at))
            chosen |= 1u << i;
    return chosen;
}

/* fp16 bits of W - Base: q as quantising makes it. */
__device__ __forceinline__ uint16_t residual_of(float w, float scale)
{
    const float q = __uint_as_float(grid_bits(w, scale, inverse_of(scale))) - GRID_ZERO;
    return __half_as_ushort(__float2half_rn(__fmaf_rn(-scale, q, w)));
}

template <typename R>
__device__ __forceinline__ uint16_t residual_at(const view &v, const row_context &c, uint32_t col)
{
    return residual_of(weight_at<R>(v, c.row, col), half_value(c.scale[col >> v.group_shift]));
}

} // namespace ortho_sieve

#endif
