/*
 * sieve_device.cuh: what the sieve's kernels share: eight consecutive weights of a row a lane, 256
 * columns a warp, and their keys. A key orders entries as in kernels/quant.h: the bits of a score
 * >= 0, plus 1; 0 is padding. Arithmetic that decides an order is rounded as the CPU's (no
 * contraction).
 */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_DEVICE_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_DEVICE_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/sieve.h"

namespace ortho_sieve
{

constexpr int EIGHT = 8, TILE = 256, WARPS = 8, THREADS = WARPS * 32;
constexpr int BINS = 32768, BIN_SHIFT = 16;
constexpr uint32_t KEY_TOP = 0x7fffffffu, KEY_NONE = 0xffffffffu;
constexpr float RMS_SHIFT = 0x1p60f; /* see kernels/quant.h */
constexpr unsigned ALL = 0xffffffffu;

enum what { MAGNITUDES = 0, SCORES = 1 };

typedef ortho_cuda_sieve_view view;

/* ---- loading --------------------------------------------------------------------------------- */

template <typename W>
struct eight_of; /* 16-byte words that hold eight elements, and how to open them */

template <> struct eight_of<float> {
    float4 a, b;
    __device__ void load(const float *from)
    {
        a = __ldg(reinterpret_cast<const float4 *>(from));
        b = __ldg(reinterpret_cast<const float4 *>(from) + 1);
    }
    __device__ void open(float w[EIGHT]) const
    {
        w[0] = a.x, w[1] = a.y, w[2] = a.z, w[3] = a.w;
        w[4] = b.x, w[5] = b.y, w[6] = b.z, w[7] = b.w;
    }
};

template <> struct eight_of<__half> {
    uint4 v;
    __device__ void load(const __half *from)
    {
        v = __ldg(reinterpret_cast<const uint4 *>(from));
    }
    __device__ void open(float w[EIGHT]) const
    {
        const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float2 f = __half22float2(*reinterpret_cast<const __half2 *>(&words[i]));
            w[2 * i] = f.x;
            w[2 * i + 1] = f.y;
        }
    }
};

template <> struct eight_of<__nv_bfloat16> {
    uint4 v;
    __device__ void load(const __nv_bfloat16 *from)
    {
        v = __ldg(reinterpret_cast<const uint4 *>(from));
    }
    __device__ void open(float w[EIGHT]) const
    {
        const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            w[2 * i] = __uint_as_float(words[i] << 16);
            w[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    }
};

/* Columns [col, col + 8) of a row as floats, 0 beyond k. */
template <typename W>
__device__ __forceinline__ void load_weights(const view &v, int64_t row, int64_t col,
                                             float w[EIGHT])
{
    const W *from = static_cast<const W *>(v.w) + row * v.stride + col;
    if (v.vectors && col + EIGHT <= v.k) {
        eight_of<W> words;
        words.load(from);
        words.open(w);
        return;
    }
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        w[i] = col + i < v.k ? ortho_cuda_float(from[i]) : 0.0f;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* rint and clamp to the grid -8 .. 7, as kernels/quant_plain.h does it. */
__device__ __forceinline__ float on_grid(float x)
{
    float q = __fadd_rn(__fadd_rn(x, 12582912.0f), -12582912.0f);
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

/* The grid point nearest to w: by the reciprocal, then mended where that was off by one. */
__device__ __forceinline__ float quantised(float w, float scale, float inverse)
{
    float q = on_grid(__fmul_rn(w, inverse)), e = __fmaf_rn(-scale, q, w), half = 0.5f * scale;
    if (e > half && q < 7.0f)
        q += 1.0f;
    else if (e < -half && q > -8.0f)
        q -= 1.0f;
    return q;
}

__device__ __forceinline__ uint32_t magnitude_key(float w, float inverse_rms)
{
    return __float_as_uint(__fmul_rn(__fmul_rn(fabsf(w), RMS_SHIFT), inverse_rms)) + 1u;
}

__device__ __forceinline__ float score_of(float w, float scale, float inverse, float h)
{
    float e = __fmaf_rn(-scale, on_grid(__fmul_rn(w, inverse)), w);
    return __fmul_rn(__fmul_rn(e, e), h);
}

__device__ __forceinline__ uint32_t score_key(float w, float scale, float inverse, float h)
{
    return (__float_as_uint(score_of(w, scale, inverse, h)) & 0x7fffffffu) + 1u;
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
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(counter, 1u) == blocks - 1;
        if (last)
            *counter = 0;
    }
    __syncthreads();
    if (last)
        __threadfence();
    return last;
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
    float
        out_from; /* smaller weights aren't kept out, whatever their position; and from out_sure */
    float out_sure; /* on they are: between the two, which is rare, keys decide */
    const uint16_t *scale;
};

/* The magnitudes' cut for a row, and what it comes to as a weight, with room for the roundings. */
__device__ __forceinline__ void open_cut(const view &v, row_context *c)
{
    c->out_key = v.selection[MAGNITUDES].cut_key;
    c->out_at = v.selection[MAGNITUDES].cut_at;
    const float size = __uint_as_float(min(c->out_key - 1u, 0x7f7fffffu));
    const float weight = size / RMS_SHIFT / c->inverse_rms;
    c->out_from = c->inverse_rms > 0 ? 0.9999f * weight : 0.0f;
    c->out_sure = c->inverse_rms > 0 ? 1.0001f * weight : INFINITY;
}

template <what WHAT> __device__ __forceinline__ row_context open_row(const view &v, int64_t row)
{
    row_context c = {row,      static_cast<uint32_t>(row * v.k), 0.0f, KEY_NONE, 0, INFINITY,
                     INFINITY, v.scale + row * v.groups};
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
__device__ __forceinline__ bool is_outlier(const view &, const row_context &c, float w, int64_t col)
{
    return fabsf(w) >= c.out_from &&
           is_selected(magnitude_key(w, c.inverse_rms), c.at + static_cast<uint32_t>(col),
                       c.out_key, c.out_at);
}

/* Scores' keys of eight columns. */
__device__ __forceinline__ void score_keys(const view &v, const row_context &c, int64_t col,
                                           const float w[EIGHT], uint32_t key[EIGHT])
{
    const float scale =
        half_value(c.scale[static_cast<uint32_t>(col) / static_cast<uint32_t>(v.group)]);
    const float inverse = inverse_of(scale);
    const float4 a = *reinterpret_cast<const float4 *>(v.weight + col);
    const float4 b = *reinterpret_cast<const float4 *>(v.weight + col + 4);
    const float h[EIGHT] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
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
__device__ __forceinline__ void keys_of(const view &v, const row_context &c, int64_t col,
                                        const float w[EIGHT], uint32_t key[EIGHT])
{
    if (col >= v.k) {
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
    if (col + EIGHT <= v.k)
        return;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        key[i] = col + i < v.k ? key[i] : 0;
}

template <typename W, what WHAT>
__device__ __forceinline__ void load_keys(const view &v, const row_context &c, int64_t col,
                                          uint32_t key[EIGHT])
{
    float w[EIGHT];
    load_weights<W>(v, c.row, col, w);
    keys_of<WHAT>(v, c, col, w, key);
}

/* fp16 bits of W - Base at a position whose q and scale are final. */
__device__ __forceinline__ uint16_t residual_of(const view &v, int64_t row, int64_t col, float w)
{
    uint32_t byte = v.q[row * ((v.k + 1) / 2) + col / 2];
    int q = static_cast<int>((col & 1 ? byte >> 4 : byte) & 15u);
    float scale = half_value(v.scale[row * v.groups + col / v.group]);
    float e = __fmaf_rn(-scale, static_cast<float>(q >= 8 ? q - 16 : q), w);
    return __half_as_ushort(__float2half_rn(e));
}

/* Calls f with a value of W's element type. */
template <typename F> void with_type(ortho_dtype dtype, F f)
{
    if (dtype == ORTHO_F16)
        f(__half());
    else if (dtype == ORTHO_BF16)
        f(__nv_bfloat16());
    else
        f(float());
}

} // namespace ortho_sieve

#endif
