/*
 * csr, lane model of the GPU mapping: a thread a row, one trip per entry of the row; the loop runs
 * once a token.
 */
#include <ortho/variant.h>

void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    ortho_lanes_rows(split, sink, (double)m);
}

void ortho_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

/* A thread a row fills its row: lane l of a warp makes as many trips as its row has entries, and
 * waits for the fullest of the 32. */
void ortho_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    ortho_lanes_rows(s, sink, 1.0);
}
