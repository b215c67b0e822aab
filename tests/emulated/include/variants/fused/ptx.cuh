/* ptx.cuh: what the header of this name in variants/fused does by PTX, in plain code. */
#ifndef ORTHO_TESTS_EMULATED_PTX_CUH
#define ORTHO_TESTS_EMULATED_PTX_CUH

#include "cuda_emulated.h"

namespace ortho_fused
{

namespace
{

template <int TABLE> inline uint32_t lop3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t d = 0;
    for (int bits = 0; bits < 8; bits++)
        if (TABLE >> bits & 1)
            d |= (bits & 4 ? a : ~a) & (bits & 2 ? b : ~b) & (bits & 1 ? c : ~c);
    return d;
}

/* ---- mma.m16n8k16 ---------------------------------------------------------------------------- */

/* A lane's, as the PTX ISA draws them. */
struct emulated_fragments {
    const uint32_t *a;
    uint32_t b[2];
    float *c;
};

/* A register's two elements. Register r of lane l has of A row l / 4 + 8 * (r % 2), columns from
 * l % 4 * 2 + 8 * (r / 2) on; of B column l / 4, rows from l % 4 * 2 + 8 * r on. */
template <float (*VALUE)(uint16_t)> inline void emulated_two(uint32_t v, float *to, int apart)
{
    to[0] = VALUE(static_cast<uint16_t>(v));
    to[apart] = VALUE(static_cast<uint16_t>(v >> 16));
}

/* c += a * b: products and their sum as good as exact, rounded once. */
template <float (*VALUE)(uint16_t)> inline void emulated_mma_of_warp(const uint64_t left[32])
{
    float a[16][16], b[16][8];
    const auto of = [&](int lane) {
        return reinterpret_cast<const emulated_fragments *>(left[lane]);
    };
    for (int l = 0; l < 32; l++) {
        for (int r = 0; r < 4; r++)
            emulated_two<VALUE>(of(l)->a[r], &a[l / 4 + 8 * (r % 2)][l % 4 * 2 + 8 * (r / 2)], 1);
        for (int r = 0; r < 2; r++)
            emulated_two<VALUE>(of(l)->b[r], &b[l % 4 * 2 + 8 * r][l / 4], 8);
    }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            double sum = of(l)->c[i];
            for (int k = 0; k < 16; k++)
                sum += static_cast<double>(a[l / 4 + 8 * (i / 2)][k]) * b[k][l % 4 * 2 + i % 2];
            of(l)->c[i] = static_cast<float>(sum);
        }
}

template <float (*VALUE)(uint16_t)>
inline void emulated_mma(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    const emulated_fragments mine = {a, {b0, b1}, c};
    emulated_together(reinterpret_cast<uintptr_t>(&mine), emulated_mma_of_warp<VALUE>);
}

inline void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    emulated_mma<ortho_fp16_to_float>(c, a, b0, b1);
}

inline void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    emulated_mma<ortho_bf16_to_float>(c, a, b0, b1);
}

inline void first_mma_f16(float d[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    d[0] = d[1] = d[2] = d[3] = 0;
    mma_f16(d, a, b0, b1);
}

inline void first_mma_bf16(float d[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    d[0] = d[1] = d[2] = d[3] = 0;
    mma_bf16(d, a, b0, b1);
}

/* ---- shared memory --------------------------------------------------------------------------- */

inline uint4 load_shared_16(uint32_t at)
{
    return *emulated_shared<uint4>(at);
}

inline uint32_t load_shared_2(uint32_t at)
{
    return *emulated_shared<uint16_t>(at);
}

inline uint32_t load_shared_4(uint32_t at)
{
    return *emulated_shared<uint32_t>(at);
}

inline void store_shared_4(uint32_t at, uint32_t v)
{
    *emulated_shared<uint32_t>(at) = v;
}

inline float load_shared_float(uint32_t at)
{
    return *emulated_shared<float>(at);
}

inline void store_shared_float(uint32_t at, float v)
{
    *emulated_shared<float>(at) = v;
}

inline float2 load_shared_8(uint32_t at)
{
    return *emulated_shared<float2>(at);
}

inline void store_shared_8(uint32_t at, float a, float b)
{
    *emulated_shared<float2>(at) = {a, b};
}

inline void store_shared_16(uint32_t at, uint4 v)
{
    *emulated_shared<uint4>(at) = v;
}

} // namespace

} // namespace ortho_fused

#endif
