/*
 * count_lanes.h: the instrumented build's exact histogram of active lanes. Configured with
 * -DORTHO_COUNT_LANES=ON, each Ortho loop counts what its warps do, as it does it
 * (ORTHO_COUNT_LANES_HERE of count_lanes.cuh). Counting slows the loops and changes what the
 * compiler makes of them: such a build checks a lane model, and times nothing.
 */
#ifndef ORTHO_KERNELS_CUDA_COUNT_LANES_H
#define ORTHO_KERNELS_CUDA_COUNT_LANES_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether this build counts. */
bool ortho_cuda_counts_lanes(void);

/* What the loops counted since the last clearing: [a] with `a` active lanes, 0 <= a <= 32. Waits
 * for the device. UNSUPPORTED in a build that doesn't count, DEVICE where the device fails. */
ortho_status ortho_cuda_count_lanes_read(uint64_t histogram[33], bool clear);

/* One source file's counters: `read` adds them to a histogram and clears them where asked. Static
 * storage; registered as the program starts (count_lanes.cuh). */
typedef struct ortho_cuda_lane_counter {
    ortho_status (*read)(uint64_t histogram[33], bool clear);
    struct ortho_cuda_lane_counter *next;
} ortho_cuda_lane_counter;

void ortho_cuda_count_lanes_register(ortho_cuda_lane_counter *counter);

#ifdef __cplusplus
}
#endif
#endif
