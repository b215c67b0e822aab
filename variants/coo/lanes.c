/*
 * coo, lane models of the GPU mapping.
 *
 * GEMM, the review's loop: a thread a row, 32 consecutive rows a warp; every thread scans the
 * sorted list from its start until an entry's row exceeds its own (or the list ends), and
 * multiplies where the row is its own:
 *
 *     for (i = 0; i < nnz; i++) {
 *         if (row[i] > r) break;       LOOK: load of row[i], compare; who leaves waits at the end
 *         if (row[i] == r) sum += ...; TEST, then BODY where it is so: loads of col, val, x,
 *     }                                convert, FMA; meet; NEXT: increment, compare
 *
 * The compiler doesn't unroll it. The rows of a warp start together and end within 32 rows of one
 * another, so the scan keeps its lanes busy; but an entry belongs to exactly one row, so each body
 * is issued with one active lane. The ratio is therefore flattering for long lists: the time goes
 * into useless scanning that keeps every lane active. What divergence costs this loop is visible in
 * the first bins of the histogram, what the scan costs in its time. Once for each token.
 *
 * Sieve: a thread an entry of the compacted list, a single trip: all lanes but for the list's end.
 */
#include "kernels/lanes.h"

/* GEMM: fp16. */
#define ENTER 10.0
#define LOOK  9.0
#define TEST  4.0
#define BODY  17.0
#define NEXT  5.0
#define MEET  1.0

void ortho_coo_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

/* `entries` of a row that `reading` lanes haven't passed, one of them its own. */
static void read_row(int reading, double entries, const ortho_lane_sink *sink)
{
    ortho_lanes_issue(sink, reading, entries * (TEST + NEXT));
    ortho_lanes_issue(sink, 1, entries * BODY);
    ortho_lanes_rejoin(sink, 1, reading, entries * MEET);
}

/* Rows [row, last) scan: before their first entry all go together. */
static void scan(const ortho_split *split, int64_t row, int64_t last, double m,
                 const ortho_lane_sink *sink)
{
    int reading = (int)(last - row);
    double before = (double)split->row_ptr[row];
    ortho_lanes_issue(sink, reading, m * (ENTER + before * (LOOK + TEST + MEET + NEXT)));
    for (int64_t r = row; r < last; r++) {
        double entries = split->row_ptr[r + 1] - split->row_ptr[r];
        int stay = (int)(last - r);
        if (entries == 0)
            continue;
        ortho_lanes_issue(sink, reading, m * LOOK); /* at the row's first, rows before it leave */
        ortho_lanes_issue(sink, reading - stay, m * MEET);
        ortho_lanes_issue(sink, stay, m * (entries - 1) * LOOK);
        read_row(stay, m * entries, sink);
        reading = stay;
    }
    if (split->row_ptr[last] < split->nnz)
        ortho_lanes_issue(sink, reading, m * LOOK);
    ortho_lanes_issue(sink, reading, m * MEET);
}

void ortho_coo_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    for (int64_t row = 0; row < split->n && split->nnz > 0; row += ORTHO_WARP)
        scan(split, row, row + ORTHO_WARP < split->n ? row + ORTHO_WARP : split->n, (double)m,
             sink);
}

/* Sieve. */
#define BLOCK 256  /* threads: those beyond the list look and leave */
#define GUARD 5.0  /* all lanes */
#define LIST  77.0 /* an entry */

void ortho_coo_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

void ortho_coo_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    const int64_t blocks = (s->nnz + BLOCK - 1) / BLOCK, full = s->nnz / ORTHO_WARP;
    if (s->nnz == 0)
        return;
    ortho_lanes_issue(sink, ORTHO_WARP,
                      (double)blocks * (BLOCK / 32) * GUARD + (double)full * LIST);
    ortho_lanes_issue(sink, (int)(s->nnz % ORTHO_WARP), LIST);
}
