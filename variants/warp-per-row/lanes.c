/*
 * warp-per-row, lane models of the GPU mapping: a warp a row.
 *
 * GEMM. Lane l takes entries l, l + 32, ...; the compiler takes two at a time, a lane's odd one
 * first:
 *
 *     enter; a lane without entries leaves
 *     one entry, of lanes with an odd number of them; meet
 *     lanes with one leave; set up; two entries a trip; meet
 *
 * Of a row's e entries the first e % 32 lanes have one more: only there do lanes part. The shuffles
 * after the loop run with all lanes and aren't part of it. One pass for a single token, else one
 * for every eight tokens, whose instructions are counted apart.
 *
 * Sieve. What makes entries of chosen columns. Rows are staged: a lane a candidate, 32 at a time,
 * of which a ballot makes neighbours; it and what surrounds it run with all lanes, 128 candidates a
 * round whether there are as many or not, and the chosen ones are stored. Candidates are the
 * entries and what the bracket holds below the cut, taken to be spread evenly. Rows that aren't
 * staged are walked, and written from a buffer 32 entries at a time.
 */
#include "kernels/lanes.h"

#include <math.h>

/* GEMM: fp16, 16-bit columns; of one token, and of eight. */
typedef struct weights {
    double enter, any, odd, more, set_up, pair;
} weights;

#define TOKENS 8
#define MEET   1.0

void ortho_warp_per_row_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

static void multiply(int64_t entries, const weights *w, double passes, const ortho_lane_sink *sink)
{
    int64_t length[ORTHO_WARP], odd[ORTHO_WARP], pairs[ORTHO_WARP], alone[ORTHO_WARP],
        left[ORTHO_WARP];
    for (int lane = 0; lane < ORTHO_WARP; lane++) {
        length[lane] = (entries + ORTHO_WARP - 1 - lane) / ORTHO_WARP;
        odd[lane] = length[lane] % 2;
        pairs[lane] = length[lane] / 2;
        alone[lane] = length[lane] > 0 ? odd[lane] : -1;
        left[lane] = length[lane] > 0 ? 1 + pairs[lane] : 0;
    }
    const int any = ortho_lanes_above(length, 0);
    ortho_lanes_issue(sink, ORTHO_WARP, passes * w->enter);
    ortho_lanes_issue(sink, any, passes * w->any);
    ortho_lanes_issue(sink, ortho_lanes_above(odd, 0), passes * w->odd);
    ortho_lanes_meet(sink, alone, passes * MEET);
    ortho_lanes_issue(sink, any, passes * w->more);
    ortho_lanes_issue(sink, ortho_lanes_above(pairs, 0), passes * w->set_up);
    ortho_lanes_loop(sink, pairs, passes * w->pair);
    ortho_lanes_meet(sink, left, passes * MEET);
}

void ortho_warp_per_row_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    static const weights one = {10, 6, 19, 1, 9, 32}, eight = {7, 13, 141, 2, 26, 182};
    const double passes = m == 1 ? 1 : (double)((m + TOKENS - 1) / TOKENS);
    for (int64_t row = 0; row < split->n && split->nnz > 0; row++)
        multiply(split->row_ptr[row + 1] - split->row_ptr[row], m == 1 ? &one : &eight, passes,
                 sink);
}

/* ---- sieve: weights of bf16 in whole eights, 16-bit columns ---------------------------------- */

#define AHEAD   4    /* candidates of a lane in a round */
#define HELD    1024 /* candidates of a staged row, at most */
#define TILE    256  /* columns of a step of a walk */
#define BUFFER  512  /* columns of the walk's buffer */
#define COMPACT 10.5 /* of 32 candidates */
#define PUT     31.0 /* of those chosen */
#define OPEN    5.0  /* writing out a buffer */
#define SET_UP  2.0
#define WRITE   61.0
#define CLOSE   2.0

void ortho_warp_per_row_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

/* Candidates for each entry, where the selection samples and its stage finds room; else 0. As
 * kernels/cuda/sieve.cu and sieve_sample.cu reckon, for weights of 16 bits. */
static double candidates_of(const ortho_split *s)
{
    const double entries = (double)s->nnz, all = (double)s->n * (double)s->k;
    double step = floor((double)s->n * (double)((s->k + 7) / 8) / (128 * 1024));
    step = step < 8 ? 8 : step > 32 ? 32 : step;
    const double below = (5 * sqrt(entries / step) + 16) * step; /* in the bracket, below the cut */
    const double listed = 1.2 * 2 * below + 256, width = ceil((double)s->k / TILE) * TILE;
    const double most = all * 2 / 50 > 1 << 20 ? all * 2 / 50 : 1 << 20;
    const double bytes = 2 * (entries + 0.625 * listed + 512) + 8 * listed + 12 * (double)s->n +
                         12 * width + 4 * 4096 + 8 * 1024;
    const bool sampled = entries >= 2000 * step && entries <= all / 4 && s->k <= 65536;
    return sampled && bytes <= most ? 1 + below / entries : 0;
}

static void unstage(int64_t entries, int64_t candidates, const ortho_lane_sink *sink)
{
    for (int64_t first = 0; first < candidates; first += ORTHO_WARP * AHEAD)
        for (int64_t at = first; at < first + ORTHO_WARP * AHEAD; at += ORTHO_WARP) {
            int64_t from = at < candidates ? at : candidates;
            int64_t to = at + ORTHO_WARP < candidates ? at + ORTHO_WARP : candidates;
            int chosen = (int)(to * entries / candidates - from * entries / candidates);
            ortho_lanes_issue(sink, ORTHO_WARP, COMPACT);
            ortho_lanes_issue(sink, chosen, PUT);
            ortho_lanes_rejoin(sink, chosen, ORTHO_WARP, MEET);
        }
}

static void write_out(int64_t count, const ortho_lane_sink *sink)
{
    int64_t trips[ORTHO_WARP];
    for (int lane = 0; lane < ORTHO_WARP; lane++)
        trips[lane] = (count + ORTHO_WARP - 1 - lane) / ORTHO_WARP;
    ortho_lanes_issue(sink, ORTHO_WARP, OPEN);
    ortho_lanes_issue(sink, ortho_lanes_above(trips, 0), SET_UP);
    ortho_lanes_loop(sink, trips, WRITE);
    ortho_lanes_meet(sink, trips, MEET);
    ortho_lanes_issue(sink, ORTHO_WARP, CLOSE);
}

/* The buffer is written out where another step's columns may not fit, and at the end. */
static void walk(const ortho_split *s, int64_t row, const ortho_lane_sink *sink)
{
    int64_t i = s->row_ptr[row], held = 0;
    for (int64_t end = TILE; i < s->row_ptr[row + 1]; end += TILE) {
        for (; i < s->row_ptr[row + 1] && ortho_split_col(s, i) < end; i++)
            held++;
        if (held > BUFFER - TILE) {
            write_out(held, sink);
            held = 0;
        }
    }
    write_out(held, sink);
}

void ortho_warp_per_row_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    const double each = s->nnz > 0 ? candidates_of(s) : 0;
    for (int64_t row = 0; row < s->n && s->nnz > 0; row++) {
        int64_t entries = s->row_ptr[row + 1] - s->row_ptr[row];
        int64_t candidates = (int64_t)(each * (double)entries + 0.5);
        if (each > 0 && candidates <= HELD)
            unstage(entries, candidates, sink);
        else
            walk(s, row, sink);
    }
}
