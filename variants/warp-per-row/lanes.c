/*
 * warp-per-row, lane model of the GPU mapping: a warp a row, lane l takes entries l, l + 32, ...;
 * the loop runs once a token. Only the last round of a row is ragged. The shuffle reduction after
 * the loop runs with all lanes and isn't part of it.
 */
#include <ortho/variant.h>

void ortho_warp_per_row_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

void ortho_warp_per_row_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    for (int64_t row = 0; row < split->n; row++) {
        int64_t entries = split->row_ptr[row + 1] - split->row_ptr[row], trips[32];
        for (int lane = 0; lane < 32; lane++)
            trips[lane] = (entries + 31 - lane) / 32;
        ortho_lanes_loop(sink, trips, (double)m);
    }
}
