/*
 * block-csr, lane models of the GPU mapping.
 *
 * GEMM. A row block's entries in a tile of columns, whatever their rows, are one list that 16 warps
 * stride over, 32 entries a round. All lanes make every round, the shuffles of add_runs want them:
 *
 *     enter: 16 warps look at each tile's list
 *     begin the round; load and multiply, of lanes with an entry; meet
 *     add the runs of equal rows, by shuffles
 *     add to the row's sum: the last lane of each run, so as many as the round has rows; meet
 *     next
 *
 * What is ragged is the last round of a list, and what few lanes do is the addition to the sums:
 * the ratio hardly depends on the rows' skew. A warp whose addition meets another's at the same row
 * tries again: not in the model. Once for each token.
 *
 * Sieve. A row's walk, twice: a warp's steps over 256 columns, eight a lane, all lanes but for the
 * end of a row that isn't whole steps. The first walk counts; in the second, where any of a step's
 * columns is chosen, lanes store theirs in turn, a trip each: at 1 % most such lanes are alone or
 * two. Where the outlier rule keeps a weight out, its lane skips 12 of a step's instructions: not
 * in the model, it is less than 1 % of the ratio at a density of 1 %.
 */
#include "kernels/lanes.h"

#include <math.h>

#define BLOCK_ROWS 64
#define TILE       4096
#define WARPS      16

/* GEMM: fp16. */
#define ENTER 6.0
#define BEGIN 6.0
#define LOAD  14.0
#define RUNS  34.0
#define ADD   6.0
#define NEXT  4.0
#define MEET  1.0

void ortho_block_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

static void add_round(int entries, int rows, double m, const ortho_lane_sink *sink)
{
    ortho_lanes_issue(sink, ORTHO_WARP, m * (BEGIN + RUNS + NEXT));
    ortho_lanes_issue(sink, entries, m * LOAD);
    ortho_lanes_rejoin(sink, entries, ORTHO_WARP, m * MEET);
    ortho_lanes_issue(sink, rows, m * ADD);
    ortho_lanes_rejoin(sink, rows, ORTHO_WARP, m * MEET);
}

/* Entries of a row up to column `end`; *at moves behind them. */
static int64_t take_tile(const ortho_split *s, int64_t row, int64_t end, int32_t *at)
{
    const int32_t first = *at, last = s->row_ptr[row + 1];
    if (end >= s->k)
        *at = last;
    while (*at < last && ortho_split_col(s, *at) < end)
        ++*at;
    return *at - first;
}

/* The list of rows [row, last) and of columns up to `end`, in rounds of 32. */
static void add_list(const ortho_split *s, int64_t row, int64_t last, int64_t end,
                     int32_t at[BLOCK_ROWS], double m, const ortho_lane_sink *sink)
{
    int entries = 0, rows = 0;
    ortho_lanes_issue(sink, ORTHO_WARP, m * WARPS * ENTER);
    for (int64_t r = row; r < last; r++)
        for (int64_t left = take_tile(s, r, end, &at[r - row]); left > 0;) {
            int taken = (int)(left < ORTHO_WARP - entries ? left : ORTHO_WARP - entries);
            left -= taken;
            entries += taken;
            rows++;
            if (entries < ORTHO_WARP)
                continue;
            add_round(entries, rows, m, sink);
            entries = rows = 0;
        }
    if (entries > 0)
        add_round(entries, rows, m, sink);
}

void ortho_block_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    for (int64_t row = 0; row < split->n && split->nnz > 0; row += BLOCK_ROWS) {
        int64_t last = row + BLOCK_ROWS < split->n ? row + BLOCK_ROWS : split->n;
        int32_t at[BLOCK_ROWS];
        for (int64_t r = row; r < last; r++)
            at[r - row] = split->row_ptr[r];
        for (int64_t end = TILE; end < split->k + TILE; end += TILE)
            add_list(split, row, last, end, at, (double)m, sink);
    }
}

/* Sieve: weights of bf16 in whole eights. Steps of both walks; a tile's share of what comes before
 * its four steps is in WALK. */
#define STEP   256 /* columns, eight a lane */
#define EIGHT  8
#define WALK   222.0
#define KEYS   405.0 /* of lanes with columns */
#define OPEN   6.0   /* where any is chosen */
#define SET_UP 3.5   /* of lanes with one */
#define STORE  73.5  /* a trip */

void ortho_block_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

static void store(const int64_t trips[ORTHO_WARP], const ortho_lane_sink *sink)
{
    ortho_lanes_issue(sink, ORTHO_WARP, OPEN);
    ortho_lanes_issue(sink, ortho_lanes_above(trips, 0), SET_UP);
    ortho_lanes_loop(sink, trips, STORE);
    ortho_lanes_meet(sink, trips, MEET);
}

void ortho_block_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    const double whole = (double)(s->k / STEP), steps = ceil((double)s->k / STEP);
    const int last = (int)((s->k % STEP + EIGHT - 1) / EIGHT);
    if (s->nnz == 0)
        return;
    ortho_lanes_issue(sink, ORTHO_WARP, (double)s->n * (steps * WALK + whole * KEYS));
    ortho_lanes_issue(sink, last, (double)s->n * KEYS);
    for (int64_t row = 0; row < s->n; row++)
        for (int64_t i = s->row_ptr[row]; i < s->row_ptr[row + 1];) {
            int64_t trips[ORTHO_WARP] = {0}, step = ortho_split_col(s, i) / STEP;
            for (; i < s->row_ptr[row + 1] && ortho_split_col(s, i) / STEP == step; i++)
                trips[ortho_split_col(s, i) % STEP / EIGHT]++;
            store(trips, sink);
        }
}
