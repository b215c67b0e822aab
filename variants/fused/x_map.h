/* x_map.h: x as TMA reads it. */
#ifndef ORTHO_VARIANTS_FUSED_X_MAP_H
#define ORTHO_VARIANTS_FUSED_X_MAP_H

#include <ortho/variant.h>

#include <cuda.h>

namespace ortho_fused
{

/* Has the driver what describes it? */
bool can_map_x();

/* x as boxes of 64 columns by `box` tokens, in the order of wgmma's tiles; zeros beyond its ends.
 * k: of a row; tokens: of all. */
bool map_x(const ortho_gemm_call &call, int64_t k, int64_t tokens, int box, CUtensorMap *map);

} // namespace ortho_fused

#endif
