/*
 * block-csr, lane model of the GPU mapping: a row block's entries, whatever their rows, are one
 * list that its warp strides over, lane l taking entries l, l + 32, ...; long lists are shared by
 * several warps at multiples of 32 entries, which changes nothing here. The loop runs once a token.
 * Ragged is only the last round of a row block, so the ratio hardly depends on the rows' skew.
 */
#include <ortho/variant.h>

#define BLOCK_ROWS 64

void ortho_block_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

void ortho_block_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    for (int64_t row = 0; row < split->n; row += BLOCK_ROWS) {
        int64_t last = row + BLOCK_ROWS < split->n ? row + BLOCK_ROWS : split->n, trips[32];
        int64_t entries = split->row_ptr[last] - split->row_ptr[row];
        for (int lane = 0; lane < 32; lane++)
            trips[lane] = (entries + 31 - lane) / 32;
        ortho_lanes_loop(sink, trips, (double)m);
    }
}

void ortho_block_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

/* A warp a row finds its entries as warp-per-row's does, 32 columns at a time by ballot; a tile's
 * end is a multiple of 32, so that only the last step of a row has idle lanes. */
void ortho_block_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    double rows = (double)s->n;
    if (s->k >= 32)
        sink->issue(sink->ctx, 32, rows * (double)(s->k / 32));
    if (s->k % 32 != 0)
        sink->issue(sink->ctx, (int)(s->k % 32), rows);
}
