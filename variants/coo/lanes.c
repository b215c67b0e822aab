/*
 * coo, lane model of the GPU mapping, the review's loop: a thread a row, 32 consecutive rows a
 * warp; every thread scans the sorted list from its start until an entry's row exceeds its own
 * (or the list ends), and multiplies where the row is its own:
 *
 *     for (i = 0; i < nnz; i++) {
 *         if (row[i] > r) break;       SCAN instructions an iteration: increment, bound, load of
 *         if (row[i] == r) sum += ...; row[i], two compares, two branches
 *     }                                BODY instructions: loads of col, val, x, convert, FMA
 *
 * Row r makes row_ptr[r + 1] iterations, and the one that looks at the next entry and leaves; that
 * one is missing only where the list ends. The rows of a warp start together and end within 32 rows
 * of one another, so the scan keeps its lanes busy; but an entry belongs to exactly one row, so
 * each body is issued with one active lane. The ratio is therefore flattering for long lists: the
 * time goes into useless scanning that keeps every lane active. What divergence costs this loop is
 * visible in the first bins of the histogram, what the scan costs in its time.
 */
#include <ortho/variant.h>

#define SCAN 7.0
#define BODY 6.0

void ortho_coo_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

void ortho_coo_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    for (int64_t row = 0; row < split->n; row += 32) {
        int64_t trips[32] = {0}, last = row + 32 < split->n ? row + 32 : split->n;
        for (int64_t r = row; r < last; r++) {
            int64_t passed = split->row_ptr[r + 1];
            trips[r - row] = passed < split->nnz ? passed + 1 : passed;
        }
        ortho_lanes_loop(sink, trips, SCAN * (double)m);
        int64_t entries = split->row_ptr[last] - split->row_ptr[row];
        if (entries > 0)
            sink->issue(sink->ctx, 1, BODY * (double)m * (double)entries);
    }
}

void ortho_coo_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

/* The original compacts after its sort with a thread an entry; what a thread does alone, row by
 * row, is the count of its row: lane l makes as many trips as its row has entries. */
void ortho_coo_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    ortho_lanes_rows(s, sink, 1.0);
}
