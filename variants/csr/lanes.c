/*
 * csr, lane models of the GPU mapping: a thread a row, 32 consecutive rows a warp.
 *
 * GEMM. The compiler unrolls row_sum eight times, the rest of length % 8 entries comes first:
 *
 *     enter; a row without entries leaves
 *     rest 1; leave if there was but one; rest 2; ...; rest 5; rest 6 and, by predicate, 7
 *     meet; rows of less than 8 leave; set up
 *     eight entries a trip, length / 8 trips
 *     meet
 *
 * so lanes wait for the longest rest, and then for the most trips of eight. Once for each token.
 *
 * Sieve. Rows of a warp step over eight columns at once, as long as one of them has entries left:
 *
 *     vote, and leave where all are through: all 32 lanes
 *     the keys of eight columns: the lanes whose rows have entries left
 *     a trip for each of them that is chosen, where lanes with fewer wait; meet
 *     next: those lanes, and the others on their own
 *
 * Where the outlier rule keeps a weight out, its lane skips 12 of a step's instructions: not in the
 * model, like the last vote; both are less than 1 % of the ratio at a density of 1 %.
 */
#include "kernels/lanes.h"

/* GEMM: fp16, 16-bit columns. */
#define ENTER      16.0 /* 11 of them before the tokens: a token has a warp of its own */
#define ANY        5.0  /* of rows with entries */
#define REST_FIRST 20.0
#define REST       14.0 /* 2 to 5 */
#define REST_LAST  25.0 /* 6 and 7 */
#define SHORT      1.0  /* is it less than 8? */
#define SET_UP     8.0
#define EIGHT      101.0
#define MEET       1.0

void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

/* length: -1 beyond the rows. */
static void multiply(const int64_t length[ORTHO_WARP], double m, const ortho_lane_sink *sink)
{
    int64_t rest[ORTHO_WARP], rest_left[ORTHO_WARP], trips[ORTHO_WARP], left[ORTHO_WARP];
    for (int lane = 0; lane < ORTHO_WARP; lane++) {
        int64_t entries = length[lane] > 0 ? length[lane] : 0;
        rest[lane] = entries % 8;
        trips[lane] = entries / 8;
        rest_left[lane] = entries == 0 ? -1 : rest[lane] < 6 ? rest[lane] : 6;
        left[lane] = length[lane] <= 0 ? length[lane] : 1 + trips[lane];
    }
    const int any = ortho_lanes_above(length, 0);
    ortho_lanes_issue(sink, ortho_lanes_above(length, -1), m * ENTER);
    ortho_lanes_issue(sink, any, m * ANY);
    ortho_lanes_issue(sink, ortho_lanes_above(rest, 0), m * REST_FIRST);
    for (int entry = 1; entry < 5; entry++)
        ortho_lanes_issue(sink, ortho_lanes_above(rest, entry), m * REST);
    ortho_lanes_issue(sink, ortho_lanes_above(rest, 5), m * REST_LAST);
    ortho_lanes_meet(sink, rest_left, m * MEET);
    ortho_lanes_issue(sink, any, m * SHORT);
    ortho_lanes_issue(sink, ortho_lanes_above(trips, 0), m * SET_UP);
    ortho_lanes_loop(sink, trips, m * EIGHT);
    ortho_lanes_meet(sink, left, m * MEET);
}

void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    if (split->nnz == 0)
        return; /* nothing is launched */
    for (int64_t row = 0; row < split->n; row += ORTHO_WARP) {
        int64_t length[ORTHO_WARP];
        for (int lane = 0; lane < ORTHO_WARP; lane++)
            length[lane] = row + lane < split->n
                               ? split->row_ptr[row + lane + 1] - split->row_ptr[row + lane]
                               : -1;
        multiply(length, (double)m, sink);
    }
}

/* Sieve: weights of bf16 in whole eights, 16-bit columns. */
#define BLOCK   64 /* rows, and threads: those beyond the rows vote too */
#define COLUMNS 8  /* of a step */
#define VOTE    9.0
#define STEP    293.0
#define STORE   58.0 /* a trip */
#define NEXT    6.0

void ortho_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

/* What the rows of a warp have yet to store. */
typedef struct front {
    int32_t next[ORTHO_WARP], end[ORTHO_WARP];
} front;

/* The step of the nearest entry of all; -1 where all are stored. *filling: lanes at work. */
static int64_t next_step(const ortho_split *s, const front *f, int *filling)
{
    int64_t nearest = -1;
    *filling = 0;
    for (int lane = 0; lane < ORTHO_WARP; lane++) {
        if (f->next[lane] >= f->end[lane])
            continue;
        int64_t step = ortho_split_col(s, f->next[lane]) / COLUMNS;
        nearest = nearest < 0 || step < nearest ? step : nearest;
        ++*filling;
    }
    return nearest;
}

/* Stores the entries of one step, a trip each. */
static void store(const ortho_split *s, int64_t step, front *f, const ortho_lane_sink *sink)
{
    int64_t trips[ORTHO_WARP], left[ORTHO_WARP];
    for (int lane = 0; lane < ORTHO_WARP; lane++) {
        bool filling = f->next[lane] < f->end[lane];
        int32_t first = f->next[lane];
        while (f->next[lane] < f->end[lane] && ortho_split_col(s, f->next[lane]) / COLUMNS == step)
            f->next[lane]++;
        trips[lane] = f->next[lane] - first;
        left[lane] = filling ? trips[lane] : -1;
    }
    ortho_lanes_loop(sink, trips, STORE);
    ortho_lanes_meet(sink, left, MEET);
}

static void fill(const ortho_split *s, front *f, const ortho_lane_sink *sink)
{
    int filling;
    int64_t at = 0;
    for (int64_t step; (step = next_step(s, f, &filling)) >= 0; at = step + 1) {
        const double steps = (double)(step + 1 - at); /* none chosen but in the last */
        ortho_lanes_issue(sink, ORTHO_WARP, steps * VOTE);
        ortho_lanes_issue(sink, filling, steps * (STEP + NEXT) + (steps - 1) * MEET);
        ortho_lanes_issue(sink, ORTHO_WARP - filling, steps * NEXT);
        store(s, step, f, sink);
    }
}

void ortho_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    if (s->nnz == 0)
        return;
    for (int64_t row = 0; row < (s->n + BLOCK - 1) / BLOCK * BLOCK; row += ORTHO_WARP) {
        front f = {{0}, {0}};
        for (int lane = 0; lane < ORTHO_WARP && row + lane < s->n; lane++) {
            f.next[lane] = s->row_ptr[row + lane];
            f.end[lane] = s->row_ptr[row + lane + 1];
        }
        fill(s, &f, sink);
    }
}
