/* rounds.h: which linears over one x are taken together. */
#ifndef ORTHO_VARIANTS_FUSED_ROUNDS_H
#define ORTHO_VARIANTS_FUSED_ROUNDS_H

#include "variants/fused/layout.cuh"

namespace ortho_fused
{

constexpr int ROUND_MOST = 4;

/* As many linears each as have their units in one batch, ROUND_MOST at most. units: of each
 * linear's largest part; sizes[i]: linears of the round that begins there, or 0. */
inline void mark_rounds(const int *units, int count, int *sizes)
{
    for (int i = 0, first = 0, all = 0; i < count; i++) {
        if (i > first && (all + units[i] > BATCH_UNITS || i - first == ROUND_MOST)) {
            first = i;
            all = 0;
        }
        all += units[i];
        sizes[i] = 0;
        sizes[first] = i - first + 1;
    }
}

} // namespace ortho_fused

#endif
