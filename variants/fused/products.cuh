/*
 * products.cuh: products of 16 tokens with an image of a unit, by mma.m16n8k16. Nibbles stay the
 * exact numbers that they are, what they have too many starts the sum, and scales meet sums in
 * fp32.
 */
#ifndef ORTHO_VARIANTS_FUSED_PRODUCTS_CUH
#define ORTHO_VARIANTS_FUSED_PRODUCTS_CUH

#include "variants/fused/tile.cuh"

namespace ortho_fused
{

namespace
{

/* GROUPS: of an image. */
template <typename A, int GROUPS> struct image_products {
    /* Sums of an image that are kept apart: by groups, and two chains at least. */
    static constexpr int PARTS = GROUPS == 1 ? 2 : GROUPS;

    /* Of k-step 2 * word + side. */
    static __device__ __forceinline__ constexpr int part_of_step(int word, int side)
    {
        return GROUPS == 4 ? word / 2 * 2 + side : GROUPS == 2 ? word / 2 : side;
    }
    /* d = the products of an image and a unit; weights(word, b) gives both sides' B fragments. */
    template <typename F>
    static __device__ __forceinline__ void products(const tile_image &image, float d[PARTS][4],
                                                    const F &weights)
    {
        bool begun[PARTS] = {};
#pragma unroll
        for (int word = 0; word < 4; word++) {
            uint32_t b[4];
            weights(word, b);
#pragma unroll
            for (int side = 0; side < 2; side++) {
                const int part = part_of_step(word, side);
                const uint32_t(&a)[4] = image.a[2 * word + side];
                if (begun[part])
                    A::mma(d[part], a, b[side], b[2 + side]);
                else
                    A::first_mma(d[part], a, b[side], b[2 + side]);
                begun[part] = true;
            }
        }
    }
    /* Of a group. */
    static __device__ __forceinline__ float group_sum(const float d[PARTS][4], int group, int i)
    {
        return GROUPS == 1 ? d[0][i] + d[1][i] : d[group][i];
    }
    /* What nibbles have too many, for all rows alike: of a lane's two tokens. */
    static __device__ __forceinline__ void load_start(const tile_image &image,
                                                      float start[GROUPS][TILE_HALVES])
    {
        float d[PARTS][4];
        products(image, d, [](int, uint32_t b[4]) {
            b[0] = b[1] = A::FIRST;
            b[2] = b[3] = A::SECOND;
        });
#pragma unroll
        for (int g = 0; g < GROUPS; g++)
#pragma unroll
            for (int half = 0; half < TILE_HALVES; half++)
                start[g][half] = group_sum(d, g, half * 2);
    }
    /* Adds the products of an image and a unit. scale(group) gives the scales of a lane's two rows.
     */
    template <typename F>
    static __device__ __forceinline__ void multiply(const tile_image &image,
                                                    const float start[GROUPS][TILE_HALVES],
                                                    uint4 words, const F &scale, float sum[4])
    {
        const uint32_t w[4] = {words.x, words.y, words.z, words.w};
        float d[PARTS][4];
        products(image, d, [&](int word, uint32_t b[4]) { A::unpack(w[word], b); });
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            const float2 two = half_activations::pair(scale(g));
#pragma unroll
            for (int i = 0; i < 4; i++)
                sum[i] =
                    fmaf(i % 2 == 0 ? two.x : two.y, group_sum(d, g, i) + start[g][i / 2], sum[i]);
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
