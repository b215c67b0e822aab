/* fused, lane model of the Ortho steps on the GPU: a segment of four entries of one row a lane, 32
 * segments a step, the last one filled up: all lanes work together, whatever the rows' lengths;
 * only the addition of a row's sum is one lane's. */
#include <ortho/variant.h>

#define SEGMENT_ENTRIES 4
#define WARP            32
/* Instructions of a step: by all lanes; by the last lane of each row, which adds its sum. */
#define TOGETHER 80
#define ADD      4

void ortho_fused_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

void ortho_fused_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    int64_t filled = 0, rows = 0; /* of the step at work */
    (void)m;
    for (int64_t row = 0; row < split->n; row++) {
        int64_t left =
            (split->row_ptr[row + 1] - split->row_ptr[row] + SEGMENT_ENTRIES - 1) / SEGMENT_ENTRIES;
        while (left > 0) {
            int64_t here = left < WARP - filled ? left : WARP - filled;
            left -= here;
            filled += here;
            rows++;
            if (filled == WARP) {
                sink->issue(sink->ctx, WARP, TOGETHER);
                sink->issue(sink->ctx, (int)rows, ADD);
                filled = rows = 0;
            }
        }
    }
    if (filled > 0) {
        sink->issue(sink->ctx, WARP, TOGETHER);
        sink->issue(sink->ctx, (int)rows, ADD);
    }
}
