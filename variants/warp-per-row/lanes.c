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

void ortho_warp_per_row_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

/* One warp a row walks its k columns 32 at a time and compacts by ballot: every lane tests its
 * column, chosen or not, so that only the last step of a row has idle lanes. */
void ortho_warp_per_row_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    double rows = (double)s->n;
    if (s->k >= 32)
        sink->issue(sink->ctx, 32, rows * (double)(s->k / 32));
    if (s->k % 32 != 0)
        sink->issue(sink->ctx, (int)(s->k % 32), rows);
}
