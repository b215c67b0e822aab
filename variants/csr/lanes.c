/*
 * csr, lane model of the GPU mapping: a thread a row, 32 consecutive rows a warp, one trip per
 * entry of the row; the loop runs once a token. Rows of unequal length leave lanes waiting for the
 * longest of the 32. Lanes beyond n never enter.
 */
#include <ortho/variant.h>

void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    for (int64_t row = 0; row < split->n; row += 32) {
        int64_t trips[32] = {0};
        for (int lane = 0; lane < 32 && row + lane < split->n; lane++)
            trips[lane] = split->row_ptr[row + lane + 1] - split->row_ptr[row + lane];
        ortho_lanes_loop(sink, trips, (double)m);
    }
}
