/* once_counters.h: what blocks of a launch of once.cu tell each other, and who has it. */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_COUNTERS_H
#define ORTHO_VARIANTS_FUSED_ONCE_COUNTERS_H

#include <atomic>
#include <stddef.h>
#include <stdint.h>

namespace ortho_fused
{

/* Device memory. Launches take turns with two halves: one counts, and clears the other for the
 * next. So none has to wait in the end until all of its blocks are through. */
struct once_counters {
    /* Each launch's blocks add up to ONE_LAUNCH as they end: which half is this one's. */
    uint32_t ended;
    uint32_t tasks[2]; /* taken, but for the first of each warp */
    uint32_t unused;
    /* [2]: a bit each of the warps that unpack, whether their first tasks are taken; then of tiles
     * and chunks the units that are unpacked. */
    uint32_t words[];
};
constexpr int ONCE_CLAIMS = 32;           /* words of such bits */
constexpr uint32_t ONE_LAUNCH = 1u << 16; /* more than there are blocks */

/* A linear's counters, a half of them all 0 between launches: some sets, since several of its calls
 * may run at once. Those have workspaces of their own, so a set belongs to a workspace, for good.
 */
struct once_sets {
    static constexpr int SETS = 4;
    std::atomic<const void *> owner[SETS];
    uint8_t *memory; /* [SETS], each of `bytes`; device */
    size_t bytes;
    int words; /* of a half, for all forms */
};

} // namespace ortho_fused

#endif
