/*
 * sieve_load.cuh: eight consecutive weights of a row a lane, 256 columns a warp, from memory to
 * floats, in two steps: one requests several eights, and only then opens the first, or each load
 * would wait for the one before. Two readers, by template, so that the one that matters has no
 * branches: of rows that come in whole eights at addresses of whole words, and of any others.
 */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_LOAD_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_LOAD_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/sieve.h"

namespace ortho_sieve
{

constexpr int EIGHT = 8, TILE = 256;

typedef ortho_cuda_sieve_view view;

/* Eight weights as they come: one or two 16-byte words. */
template <typename W> struct eight_of;

template <> struct eight_of<float> {
    float4 a, b;
    __device__ void clear()
    {
        a = b = make_float4(0, 0, 0, 0);
    }
    __device__ void load(const float *from)
    {
        a = __ldg(reinterpret_cast<const float4 *>(from));
        b = __ldg(reinterpret_cast<const float4 *>(from) + 1);
    }
    __device__ void gather(const float *from, int count)
    {
        a.x = count > 0 ? from[0] : 0, a.y = count > 1 ? from[1] : 0;
        a.z = count > 2 ? from[2] : 0, a.w = count > 3 ? from[3] : 0;
        b.x = count > 4 ? from[4] : 0, b.y = count > 5 ? from[5] : 0;
        b.z = count > 6 ? from[6] : 0, b.w = count > 7 ? from[7] : 0;
    }
    __device__ void open(float w[EIGHT]) const
    {
        w[0] = a.x, w[1] = a.y, w[2] = a.z, w[3] = a.w;
        w[4] = b.x, w[5] = b.y, w[6] = b.z, w[7] = b.w;
    }
    __device__ void open_sizes(float size[EIGHT]) const
    {
        open(size);
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            size[i] = fabsf(size[i]);
    }
};

struct eight_halves {
    uint4 four;
    __device__ void clear()
    {
        four = make_uint4(0, 0, 0, 0);
    }
    __device__ void load(const void *from)
    {
        four = __ldg(static_cast<const uint4 *>(from));
    }
    __device__ void gather(const void *at, int count)
    {
        const uint16_t *from = static_cast<const uint16_t *>(at);
        uint32_t words[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t low = 2 * i < count ? from[2 * i] : 0;
            const uint32_t high = 2 * i + 1 < count ? from[2 * i + 1] : 0;
            words[i] = low | high << 16;
        }
        four = make_uint4(words[0], words[1], words[2], words[3]);
    }
    /* The signs of two at a time. */
    __device__ eight_halves without_signs() const
    {
        return {make_uint4(four.x & 0x7fff7fffu, four.y & 0x7fff7fffu, four.z & 0x7fff7fffu,
                           four.w & 0x7fff7fffu)};
    }
};

__device__ __forceinline__ void open_pair(uint32_t word, float w[2], __half)
{
    const float2 f = __half22float2(*reinterpret_cast<const __half2 *>(&word));
    w[0] = f.x;
    w[1] = f.y;
}

__device__ __forceinline__ void open_pair(uint32_t word, float w[2], __nv_bfloat16)
{
    w[0] = __uint_as_float(word << 16);
    w[1] = __uint_as_float(word & 0xffff0000u);
}

template <typename W> struct eight_of : eight_halves {
    __device__ void open(float w[EIGHT]) const
    {
        open_pair(this->four.x, w, W());
        open_pair(this->four.y, w + 2, W());
        open_pair(this->four.z, w + 4, W());
        open_pair(this->four.w, w + 6, W());
    }
    __device__ void open_sizes(float size[EIGHT]) const
    {
        eight_of<W> sizes;
        sizes.four = this->without_signs().four;
        sizes.open(size);
    }
};

/* The weight at a row and a column. */
template <typename W>
__device__ __forceinline__ const W *weights_at(const view &v, int64_t row, int64_t col)
{
    return static_cast<const W *>(v.w) + row * v.stride + col;
}

/* Columns [col, col + 8) of a row, 0 beyond k. WHOLE: view.whole. */
template <typename W, bool WHOLES> struct reader : eight_of<W> {
    typedef W element;
    static constexpr bool WHOLE = WHOLES;

    /* from: the row's first column; there: false reads nothing, and gives zeros. */
    __device__ __forceinline__ void request(const view &v, const W *from, uint32_t col,
                                            bool there = true)
    {
        this->clear();
        if (!there || col >= v.cols)
            return;
        if (WHOLE)
            this->load(from + col);
        else
            this->gather(from + col, static_cast<int>(v.cols - col < EIGHT ? v.cols - col : EIGHT));
    }
};

template <typename R>
__device__ __forceinline__ const typename R::element *row_of(const view &v, int64_t row)
{
    return weights_at<typename R::element>(v, row, 0);
}

template <typename R>
__device__ __forceinline__ void load_weights(const view &v, int64_t row, uint32_t col,
                                             float w[EIGHT])
{
    R eight;
    eight.request(v, row_of<R>(v, row), col);
    eight.open(w);
}

/* A lane's first column of a tile. */
__device__ __forceinline__ uint32_t column_of(int tile)
{
    return static_cast<uint32_t>(tile) * TILE + threadIdx.x % 32 * EIGHT;
}

template <typename R>
__device__ __forceinline__ float weight_at(const view &v, int64_t row, int64_t col)
{
    return ortho_cuda_float(__ldg(weights_at<typename R::element>(v, row, col)));
}

/* Calls f with the reader of W's element type. */
template <typename F> void with_reader(const view &v, ortho_dtype dtype, F f)
{
    if (dtype == ORTHO_F16)
        v.whole ? f(reader<__half, true>()) : f(reader<__half, false>());
    else if (dtype == ORTHO_BF16)
        v.whole ? f(reader<__nv_bfloat16, true>()) : f(reader<__nv_bfloat16, false>());
    else
        v.whole ? f(reader<float, true>()) : f(reader<float, false>());
}

} // namespace ortho_sieve

#endif
