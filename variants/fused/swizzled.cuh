/*
 * swizzled.cuh: weights as the tensor cores read them from shared memory: half an image of a unit,
 * 64 columns, is 8 lines of 128 bytes, whose pieces of 16 bytes are swizzled as TMA does it.
 */
#ifndef ORTHO_VARIANTS_FUSED_SWIZZLED_CUH
#define ORTHO_VARIANTS_FUSED_SWIZZLED_CUH

#include "variants/fused/ring.cuh"
#include "variants/fused/weights.cuh"

namespace ortho_fused
{

namespace
{

constexpr int HALVES = 2, HALF_COLUMNS = IMAGE_COLUMNS / HALVES, HALF_LINE = HALF_COLUMNS * 2;
constexpr int HALF_UNIT = UNIT_ROWS * HALF_LINE; /* bytes */

constexpr uint32_t OTHER_PIECE = 4 * 16; /* to be turned in an address */

/* What a lane unpacks. A row's line has eight columns a piece, piece p at place p ^ row. Lane 4 *
 * row + t has pieces t and 4 + t ("sides") of either half. Lanes of odd rows turn to side 1 first,
 * so that those that store at once don't meet in banks. */
struct half_unpacker {
    int odd;
    uint32_t piece, order;

    __device__ __forceinline__ explicit half_unpacker(int lane)
        : odd(lane / 4 % 2), piece(kept(first_piece(lane))), order(kept(odd ? 0x2301 : 0x3210))
    {
    }
    static __device__ __forceinline__ uint32_t first_piece(int lane)
    {
        const int row = lane / 4, at = row % 2 * 4 + lane % 4;
        return static_cast<uint32_t>(row * HALF_LINE + (at ^ row) * 16);
    }
    /* The lane's two words of a half; to: the half's first line; scales of the two strips in the
     * lane's order, twice each. */
    __device__ __forceinline__ void unpack(uint32_t first, uint32_t second, uint32_t to,
                                           uint32_t scale_0, uint32_t scale_1) const
    {
        uint4 out[2];
        unpack_weights(__byte_perm(first, 0, order), __byte_perm(second, 0, order), scale_0,
                       scale_1, out);
        store_shared_16(to + piece, out[0]);
        store_shared_16((to + piece) ^ OTHER_PIECE, out[1]);
    }
};

} // namespace

} // namespace ortho_fused

#endif
