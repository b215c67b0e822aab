/* once_counters.h: what blocks of a launch of once.cu tell each other, and who has it. */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_COUNTERS_H
#define ORTHO_VARIANTS_FUSED_ONCE_COUNTERS_H

#include <atomic>
#include <stddef.h>
#include <stdint.h>

namespace ortho_fused
{

/* Device memory. */
struct once_counters {
    uint32_t tasks;   /* taken, but for the first of each warp */
    uint32_t blocks;  /* that have ended */
    uint32_t ready[]; /* [row tiles][chunks] units that are unpacked */
};

/* A linear's counters, all 0 between launches: some sets, since several of its calls may run at
 * once. Those have workspaces of their own, so a set belongs to a workspace, for good. */
struct once_sets {
    static constexpr int SETS = 4;
    std::atomic<const void *> owner[SETS];
    uint8_t *memory; /* [SETS], each of `bytes`; device */
    size_t bytes;
};

} // namespace ortho_fused

#endif
