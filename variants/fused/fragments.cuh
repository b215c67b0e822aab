/*
 * fragments.cuh: packed weights as the first operand of wgmma, fp16 and patched: a warp has two
 * units, 16 rows of an image.
 */
#ifndef ORTHO_VARIANTS_FUSED_FRAGMENTS_CUH
#define ORTHO_VARIANTS_FUSED_FRAGMENTS_CUH

#include "variants/fused/activations.cuh"
#include "variants/fused/overlay.cuh"

namespace ortho_fused
{

namespace
{

/* Lane t of a quad has columns 8t .. 8t + 7 of each strip, and wants 2t and 2t + 1 of each eight:
 * words t of all four lanes. v[i]: of the eight i, in the order that unpack() wants. */
__device__ __forceinline__ void deal_quad(uint4 words, int lane, uint32_t v[4])
{
    constexpr uint32_t LOW = 0x0f0f0f0fu;
    constexpr int PICK = (0xf0 & 0xaa) | (0xcc & ~0xaa & 0xff); /* c ? a : b, bit by bit */
    const uint32_t out[4] = {
        lop3<PICK>(words.x, words.z << 4, LOW), lop3<PICK>(words.x >> 4, words.z, LOW),
        lop3<PICK>(words.y, words.w << 4, LOW), lop3<PICK>(words.y >> 4, words.w, LOW)};
    const bool odd = lane & 1, upper = lane & 2;
    const uint32_t r0 = __shfl_xor_sync(ALL_LANES, odd ? out[0] : out[1], 1),
                   r1 = __shfl_xor_sync(ALL_LANES, odd ? out[2] : out[3], 1);
    const uint32_t a0 = odd ? r0 : out[0], a1 = odd ? out[1] : r0, a2 = odd ? r1 : out[2],
                   a3 = odd ? out[3] : r1;
    const uint32_t s0 = __shfl_xor_sync(ALL_LANES, upper ? a0 : a2, 2),
                   s1 = __shfl_xor_sync(ALL_LANES, upper ? a1 : a3, 2);
    v[0] = upper ? s0 : a0;
    v[1] = upper ? s1 : a1;
    v[2] = upper ? a2 : s0;
    v[3] = upper ? a3 : s1;
}

__device__ __forceinline__ uint32_t half_add(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

__device__ __forceinline__ uint32_t half_fma(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t d;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

/* The overlay of a lane's row of a unit, a strip a word of four; zeros are left behind. */
struct patch_words {
    uint4 strip[4];

    /* Without branches: products are on their way. */
    __device__ __forceinline__ void take(uint32_t overlay, uint32_t mask_at, int unit, int lane)
    {
        const uint32_t mask = load_shared_4(mask_at) >> (lane % 4 * 4);
        none();
#pragma unroll
        for (int i = 0; i < 4; i++)
            asm volatile("{\n"
                         ".reg .pred p;\n"
                         ".reg .b32 z;\n" /* an operand might share a register with %0 */
                         "mov.b32 z, 0;\n"
                         "setp.ne.b32 p, %5, 0;\n"
                         "@p ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];\n"
                         "@p st.shared.v4.u32 [%4], {z,z,z,z};\n"
                         "}"
                         : "+r"(strip[i].x), "+r"(strip[i].y), "+r"(strip[i].z), "+r"(strip[i].w)
                         : "r"(overlay + overlay_at(unit, i, lane)), "r"(mask >> i & 1)
                         : "memory");
    }
    __device__ __forceinline__ void none()
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            strip[i] = make_uint4(0, 0, 0, 0);
    }
};

/* A lane's nibbles of an image, of both units of a warp, and their scales, as they are packed. */
template <int GROUPS> struct packed_rows {
    uint4 words[2];
    uint32_t scale[2][GROUPS];
};

/* A warp's weights, image by image, straight from memory: asked for well before they are needed. */
template <int GROUPS> struct weight_stream {
    const linear &w;
    int unit, lane; /* the first of two; what isn't there is read as the last one */
    const uint8_t *nibbles[2], *scales[2]; /* of image `base` */
    int base, end;                         /* of the panel */

    __device__ __forceinline__ weight_stream(const linear &of, int first)
        : w(of), unit(first), lane(threadIdx.x % 32), base(0), end(0)
    {
    }
    __device__ __forceinline__ void turn_to(int image)
    {
        const shape &s = w.s;
        const int window = image / WINDOW_IMAGES, inside = image % WINDOW_IMAGES;
        const int panel = s.panels_of(window) == 2 && inside >= s.panel_first(window, 1) ? 1 : 0;
        base = window * WINDOW_IMAGES + s.panel_first(window, panel);
        end = base + s.panel_images(window, panel);
#pragma unroll
        for (int u = 0; u < 2; u++) {
            const place at = image_place(s, min(unit + u, s.units - 1), base);
            nibbles[u] = w.base + at.nibbles + lane * 16;
            scales[u] = w.base + at.scales + lane / 4 * 2;
        }
    }
    /* Images ascend. */
    __device__ __forceinline__ packed_rows<GROUPS> ask(int image)
    {
        packed_rows<GROUPS> p;
        if (image >= end)
            turn_to(image);
#pragma unroll
        for (int u = 0; u < 2; u++) {
            p.words[u] = __ldcs(reinterpret_cast<const uint4 *>(
                nibbles[u] + static_cast<int64_t>(image - base) * IMAGE_BYTES));
#pragma unroll
            for (int g = 0; g < GROUPS; g++)
                p.scale[u][g] = __ldcs(reinterpret_cast<const uint16_t *>(
                    scales[u] + ((image - base) * GROUPS + g) * SCALE_BYTES));
        }
        return p;
    }
};

/* A warp's 16 rows of an image: fragments of its eight k-steps. */
template <int GROUPS> struct fragments {
    uint32_t a[8][4];

    /* One of the two units. */
    __device__ __forceinline__ void unpack(const packed_rows<GROUPS> &p, int unit, int lane,
                                           const patch_words &patch)
    {
        uint32_t v[4];
        deal_quad(p.words[unit], lane, v);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            uint32_t q[4]; /* strips 0, 1, 2 and 3 */
            half_activations::unpack(v[i], q);
#pragma unroll
            for (int strip = 0; strip < 4; strip++) {
                const uint32_t offset =
                    strip / 2 == 0 ? half_activations::FIRST : half_activations::SECOND;
                const uint4 &o = patch.strip[strip];
                const uint32_t extra = i == 0 ? o.x : i == 1 ? o.y : i == 2 ? o.z : o.w;
                a[2 * strip + i / 2][i % 2 * 2 + unit] =
                    half_fma(half_add(q[strip], offset),
                             p.scale[unit][strip * GROUPS / 4] * 0x10001u, extra);
            }
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
