/* sizes.cuh: of shared memory, and of what tiles of 16 tokens have there. */
#ifndef ORTHO_VARIANTS_FUSED_SIZES_CUH
#define ORTHO_VARIANTS_FUSED_SIZES_CUH

#include "variants/fused/layout.cuh"

namespace ortho_fused
{

namespace
{

/* Of shared memory; a block takes 1 KiB for itself. */
constexpr int MULTIPROCESSOR_BYTES = 228 << 10, BLOCK_MOST = 227 << 10, BLOCK_RESERVED = 1 << 10;

constexpr int TILE_TOKENS = 16, TILE_LINE = TILE_TOKENS * 2; /* bytes of a column */
constexpr int IMAGE_TILE_BYTES = IMAGE_COLUMNS * TILE_LINE;
constexpr int UNIT_SUM_BYTES = TILE_TOKENS * UNIT_ROWS * 4; /* a warp's of a unit, [token][row] */

} // namespace

} // namespace ortho_fused

#endif
