/*
 * test_lanes_loops.h: the loops that lane models speak of, enacted lane by lane: a warp's 32
 * threads each run the loop's stretches of instructions, and threads at the same stretch run it
 * together. Stretches are numbered in the order of the code; the least one runs first, so that
 * threads wait where they meet, but a meeting point itself runs as soon as a thread arrives.
 */
#ifndef ORTHO_TESTS_LANES_LOOPS_H
#define ORTHO_TESTS_LANES_LOOPS_H

#include <ortho/variant.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define OUT 99 /* a thread that is through */

typedef struct thread {
    int at, lane; /* at: its next stretch */
    int64_t row;
    int64_t i, end;        /* its entries */
    int64_t col;           /* of the eight that it looks at */
    int64_t limit;         /* behind the last entry of its warp's rows */
    const int64_t *places; /* block-csr: rows of a list's entries; warp-per-row's sieve: chosen? */
} thread;

/* A loop: its stretches' lengths, and what a thread does in one: returns the next. */
typedef struct code {
    double length[16];
    bool meets[16];
    int (*step)(const ortho_split *s, thread *t);
} code;

typedef struct histogram {
    double issued[33];
} histogram;

static int nearest(const code *c, const thread threads[32])
{
    int least = OUT, key = OUT;
    for (int lane = 0; lane < 32; lane++) {
        int at = threads[lane].at;
        if (at == OUT)
            continue;
        int order = c->meets[at] ? -1 : at;
        if (order < key) {
            key = order;
            least = at;
        }
    }
    return least;
}

static void run_warp(const code *c, const ortho_split *s, thread threads[32], histogram *h)
{
    for (int at; (at = nearest(c, threads)) != OUT;) {
        int active = 0;
        for (int lane = 0; lane < 32; lane++)
            if (threads[lane].at == at) {
                threads[lane].at = c->step(s, &threads[lane]);
                active++;
            }
        h->issued[active] += c->length[at];
    }
}

/* ---- the loops ------------------------------------------------------------------------------- */

/* enter, any, rest 1 .. 6, meet, short, set up, eight, meet */
static int csr_step(const ortho_split *s, thread *t)
{
    (void)s;
    const int64_t entries = t->end - t->i;
    switch (t->at) {
    case 0:
        return entries > 0 ? 1 : 12;
    case 1:
        return entries % 8 > 0 ? 2 : 8;
    case 7:
        return 8;
    case 8:
        return 9;
    case 9:
        return entries >= 8 ? 10 : 12;
    case 10:
        t->end -= entries % 8;
        return 11;
    case 11:
        t->i += 8;
        return t->i < t->end ? 11 : 12;
    case 12:
        return OUT;
    default:
        return entries % 8 > t->at - 1 ? t->at + 1 : 8;
    }
}

/* enter, look, test, body, meet, next, meet */
static int coo_step(const ortho_split *s, thread *t)
{
    switch (t->at) {
    case 0:
        t->i = 0;
        t->col = 0; /* here: the row of entry i */
        return 1;
    case 1:
        while (s->row_ptr[t->col + 1] <= t->i)
            t->col++;
        return t->col > t->row ? 6 : 2;
    case 2:
        return t->col == t->row ? 3 : 4;
    case 3:
        return 4;
    case 4:
        return 5;
    case 5:
        t->i++;
        return t->i < s->nnz ? 1 : 6;
    default:
        return OUT;
    }
}

/* enter, any, odd, meet, more, set up, pair, meet */
static int warp_step(const ortho_split *s, thread *t)
{
    (void)s;
    const int64_t trips = t->i < t->end ? (t->end - t->i + 31) / 32 : 0;
    switch (t->at) {
    case 0:
        return trips > 0 ? 1 : 7;
    case 1:
        return trips % 2 != 0 ? 2 : 3;
    case 2:
        t->col = 1; /* here: has taken its odd one */
        return 3;
    case 3:
        return 4;
    case 4:
        t->i += t->col * 32;
        return t->i < t->end ? 5 : 7;
    case 5:
        return 6;
    case 6:
        t->i += 64;
        return t->i < t->end ? 6 : 7;
    default:
        return OUT;
    }
}

/* enter, begin, load, meet, runs, add, meet, next */
static int block_step(const ortho_split *s, thread *t)
{
    (void)s;
    const bool there = t->i < t->end, leads = t->i - t->lane < t->end;
    switch (t->at) {
    case 0:
        return leads ? 1 : OUT;
    case 1:
        return there ? 2 : 3;
    case 2:
        return 3;
    case 3:
        return 4;
    case 4:
        if (there &&
            (t->lane == 31 || t->i + 1 == t->end || t->places[t->i + 1] != t->places[t->i]))
            return 5;
        return 6;
    case 5:
        return 6;
    case 6:
        return 7;
    default:
        t->i += 512;
        return t->i - t->lane < t->end ? 1 : OUT;
    }
}

static bool next_in(const ortho_split *s, const thread *t, int64_t width)
{
    return t->i < t->end && ortho_split_col(s, t->i) < t->col + width;
}

/* enter, step, store, meet, next of who filled, next of the others, vote or leave, go on */
static int fill_step(const ortho_split *s, thread *t)
{
    switch (t->at) {
    case 0:
        return 6;
    case 1:
        return next_in(s, t, 8) ? 2 : 3;
    case 2:
        t->i++;
        return next_in(s, t, 8) ? 2 : 3;
    case 3:
        return 4;
    case 4:
    case 5:
        t->col += 8;
        return 6;
    case 6:
        return t->col < t->limit ? 7 : OUT;
    default:
        return t->i < t->end ? 1 : 5;
    }
}

/* walk, keys, open, set up, store, meet: one step of 256 columns; `places`: is any chosen? */
static int bucket_step(const ortho_split *s, thread *t)
{
    switch (t->at) {
    case 0:
        return t->col < s->k ? 1 : t->places[0] ? 2 : OUT;
    case 1:
        return t->places[0] ? 2 : OUT;
    case 2:
        return next_in(s, t, 8) ? 3 : 5;
    case 3:
        return 4;
    case 4:
        t->i++;
        return next_in(s, t, 8) ? 4 : 5;
    default:
        return OUT;
    }
}

/* compact, put, meet: 32 candidates */
static int unstage_step(const ortho_split *s, thread *t)
{
    (void)s;
    switch (t->at) {
    case 0:
        return t->i < t->end && t->places[t->i] ? 1 : 2;
    case 1:
        return 2;
    default:
        return OUT;
    }
}

/* open, set up, write, meet, close */
static int write_step(const ortho_split *s, thread *t)
{
    (void)s;
    switch (t->at) {
    case 0:
        return t->i < t->end ? 1 : 3;
    case 1:
        return 2;
    case 2:
        t->i += 32;
        return t->i < t->end ? 2 : 3;
    case 3:
        return 4;
    default:
        return OUT;
    }
}

static const code csr = {
    {16, 5, 20, 14, 14, 14, 14, 25, 1, 1, 8, 101, 1}, {[8] = true, [12] = true}, csr_step};
static const code coo = {{10, 9, 4, 17, 1, 5, 1}, {[4] = true, [6] = true}, coo_step};
static const code warp_one = {{10, 6, 19, 1, 1, 9, 32, 1}, {[3] = true, [7] = true}, warp_step};
static const code warp_eight = {
    {7, 13, 141, 1, 2, 26, 182, 1}, {[3] = true, [7] = true}, warp_step};
static const code block = {{6, 6, 14, 1, 34, 6, 1, 4}, {[3] = true, [6] = true}, block_step};
static const code fill = {{0, 293, 58, 1, 6, 6, 0, 9}, {[3] = true}, fill_step};
static const code bucket = {{222, 405, 6, 3.5, 73.5, 1}, {[5] = true}, bucket_step};
static const code unstage = {{10.5, 31, 1}, {[2] = true}, unstage_step};
static const code write_out = {{5, 2, 61, 1, 2}, {[3] = true}, write_step};

/* ---- a split's warps ------------------------------------------------------------------------- */

/* A thread a row; `padded`: threads beyond the rows run too, without entries. */
static void by_rows(const code *c, const ortho_split *s, int64_t padded, histogram *h)
{
    int64_t all = (s->n + padded - 1) / padded * padded;
    for (int64_t row = 0; row < all; row += 32) {
        thread threads[32];
        int64_t limit = 0;
        for (int64_t r = row; r < row + 32 && r < s->n; r++)
            if (s->row_ptr[r + 1] > s->row_ptr[r] &&
                ortho_split_col(s, s->row_ptr[r + 1] - 1) >= limit)
                limit = ortho_split_col(s, s->row_ptr[r + 1] - 1) + 1;
        for (int lane = 0; lane < 32; lane++) {
            int64_t r = row + lane;
            threads[lane] =
                (thread){.at = r < s->n || padded > 1 ? 0 : OUT, .row = r, .limit = limit};
            threads[lane].i = r < s->n ? s->row_ptr[r] : 0;
            threads[lane].end = r < s->n ? s->row_ptr[r + 1] : 0;
        }
        run_warp(c, s, threads, h);
    }
}

/* Lane l at first + l of [.., end). */
static void by_lanes(const code *c, const ortho_split *s, int64_t first, int64_t end,
                     const int64_t *places, histogram *h)
{
    thread threads[32];
    for (int lane = 0; lane < 32; lane++)
        threads[lane] = (thread){.lane = lane, .i = first + lane, .end = end, .places = places};
    run_warp(c, s, threads, h);
}

/* 64 rows, a tile of 4096 columns: the rows of its entries, in order, to 16 warps. */
static void by_list(const ortho_split *s, int64_t first_row, int64_t tile, histogram *h)
{
    int64_t *rows = malloc((size_t)(s->nnz + 1) * sizeof *rows), count = 0;
    assert_non_null(rows);
    for (int64_t r = first_row; r < first_row + 64 && r < s->n; r++)
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++)
            if (ortho_split_col(s, i) / 4096 == tile)
                rows[count++] = r;
    for (int warp = 0; warp < 16; warp++)
        by_lanes(&block, s, warp * 32, count, rows, h);
    free(rows);
}

static void by_steps(const ortho_split *s, int64_t row, histogram *h)
{
    for (int64_t begin = 0; begin < s->k; begin += 256) {
        thread threads[32];
        int64_t any = 0;
        for (int lane = 0; lane < 32; lane++) {
            thread t = {.col = begin + lane * 8,
                        .i = s->row_ptr[row],
                        .end = s->row_ptr[row + 1],
                        .places = &any};
            while (t.i < t.end && ortho_split_col(s, t.i) < t.col)
                t.i++;
            any |= next_in(s, &t, 8);
            threads[lane] = t;
        }
        run_warp(&bucket, s, threads, h);
    }
}

/* Steps of 256 columns fill a buffer, written out where it holds more than 256. */
static void by_buffer(const ortho_split *s, int64_t row, histogram *h)
{
    int64_t held = 0, i = s->row_ptr[row], end = s->row_ptr[row + 1];
    for (int64_t begin = 0; begin < s->k; begin += 256) {
        for (; i < end && ortho_split_col(s, i) < begin + 256; i++)
            held++;
        if (held > 256) {
            by_lanes(&write_out, s, 0, held, NULL, h);
            held = 0;
        }
    }
    by_lanes(&write_out, s, 0, held, NULL, h);
}

#endif
