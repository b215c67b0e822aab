/* Lane models of the variants against examples worked out by hand. */
#include "variants/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct histogram {
    double issued[33];
} histogram;

static void issue(void *ctx, int active, double count)
{
    assert_in_range(active, 1, 32);
    ((histogram *)ctx)->issued[active] += count;
}

/* The model of variant `name` over rows of these lengths, columns 0, 1, ... of each; m 0: of its
 * sieve. */
static histogram model(const char *name, const int32_t *lengths, int64_t n, int64_t m)
{
    int32_t row_ptr[129] = {0};
    uint16_t col[1024];
    histogram h;
    memset(&h, 0, sizeof h);
    assert_in_range(n, 1, 128);
    for (int64_t r = 0; r < n; r++) {
        row_ptr[r + 1] = row_ptr[r] + lengths[r];
        assert_in_range(row_ptr[r + 1], 0, 1024);
        for (int32_t i = 0; i < lengths[r]; i++)
            col[row_ptr[r] + i] = (uint16_t)i;
    }
    const ortho_split split = {
        .n = n, .k = 4096, .nnz = row_ptr[n], .group = 128, .row_ptr = row_ptr, .col = col};
    const ortho_lane_sink sink = {.ctx = &h, .issue = issue};
    const ortho_variant *v = ortho_variant_find(name, ORTHO_CPU);
    assert_non_null(v);
    assert_non_null(v->gemm->lanes);
    assert_non_null(v->sieve->lanes);
    if (m > 0)
        v->gemm->lanes(&split, m, &sink);
    else
        v->sieve->lanes(&split, &sink);
    return h;
}

static void expect(const histogram *h, const double want[33])
{
    for (int i = 0; i <= 32; i++)
        if (h->issued[i] != want[i])
            fail_msg("%d lanes: %g, not %g", i, h->issued[i], want[i]);
}

/* Rows of 19 and 8 entries, of 34. First warp: all enter (16), the two go on (5); the rest of 19 is
 * 3: alone in 20 + 14 + 14; they meet one by one; both look whether there are eight (1), set up (8)
 * and run one trip together (101), the first a second one alone; the thirty, then each of the two,
 * meet. Second warp: two rows of none, 16 and 1. */
static void csr_waits_for_the_longest(void **unused)
{
    (void)unused;
    int32_t lengths[34] = {19, 8};
    histogram h = model("csr", lengths, 34, 5);
    const double want[33] = {[32] = 16 * 5,
                             [30] = 1 * 5,
                             [2] = (5 + 1 + 8 + 101 + 16 + 1) * 5,
                             [1] = (20 + 14 + 14 + 1 + 1 + 101 + 1 + 1) * 5};
    expect(&h, want);
}

static void csr_uniform_is_full(void **unused)
{
    (void)unused;
    int32_t lengths[64];
    for (int r = 0; r < 64; r++)
        lengths[r] = 7;
    histogram h = model("csr", lengths, 64, 1);
    const double want[33] = {[32] = 2 * (16 + 5 + 20 + 4 * 14 + 25 + 1 + 1 + 1)};
    expect(&h, want);
}

/* 70 entries: six lanes have 3, the others 2: six take one alone (19) and meet apart, all set up
 * and take two. An empty row only enters. 5 entries: five lanes take one. */
static void warp_per_row_has_a_tail(void **unused)
{
    (void)unused;
    const int32_t lengths[3] = {70, 0, 5};
    histogram h = model("warp-per-row", lengths, 3, 1);
    const double want[33] = {[32] = (10 + 6 + 1 + 9 + 32 + 1) + (10 + 1) + 10,
                             [26] = 1,
                             [6] = 19 + 1,
                             [5] = 6 + 19 + 1 + 1 + 1,
                             [27] = 1};
    expect(&h, want);
}

/* From two tokens on eight at a time, in other instructions. */
static void warp_per_row_takes_eight_tokens(void **unused)
{
    (void)unused;
    const int32_t lengths[1] = {64};
    histogram h = model("warp-per-row", lengths, 1, 9);
    const double want[33] = {[32] = 2 * (7 + 13 + 1 + 2 + 26 + 182 + 1)};
    expect(&h, want);
}

/* 64 rows of one block hold 1 + 2 + 65 = 68 entries: a round of three rows, one of one, and one of
 * 4 entries. The second block holds 3 of one row. 16 warps of each look at the list. */
static void block_csr_pools_rows(void **unused)
{
    (void)unused;
    int32_t lengths[66] = {1, 2};
    lengths[63] = 65;
    lengths[65] = 3;
    histogram h = model("block-csr", lengths, 66, 1);
    const double rounds = 6 + 34 + 4;
    const double want[33] = {[32] = 2 * 16 * 6 + 4 * rounds + 2 * (14 + 1),
                             [29] = 1 + 1,
                             [28] = 1,
                             [31] = 3,
                             [1] = 3 * (6 + 1),
                             [4] = 14 + 1,
                             [3] = 6 + 1 + 14 + 1};
    expect(&h, want);
}

/* Three rows, entries 2, 0, 1: all look at entry 0 and 1, one multiplies and the two meet it; at
 * entry 2 two leave, which is row 2's own. */
static void coo_scans_together_and_multiplies_alone(void **unused)
{
    (void)unused;
    const int32_t small[3] = {2, 0, 1};
    histogram h = model("coo", small, 3, 2);
    const double want[33] = {[3] = (10 + 2 * (9 + 4 + 5) + 9) * 2,
                             [2] = (2 * 1 + 1) * 2,
                             [1] = (2 * (17 + 1) + 4 + 5 + 17 + 1 + 1) * 2};
    expect(&h, want);
}

/* In a warp two rows of columns 0 to 9, and column 0. Step 0: both store once, one seven times more
 * alone; step 1: one stores twice. The block's other warp votes once, and leaves. */
static void csr_sieve_steps_to_the_last_entry(void **unused)
{
    (void)unused;
    const int32_t lengths[2] = {10, 1};
    histogram h = model("csr", lengths, 2, 0);
    const double want[33] = {[32] = 2 * 9,
                             [2] = 293 + 58 + 6,
                             [1] = 7 * 58 + 1 + 1 + 293 + 2 * 58 + 1 + 6,
                             [30] = 6,
                             [31] = 6};
    expect(&h, want);
}

/* Too few to be sampled, so walked: 40 entries of one step, written at the end, 32 and 8. */
static void warp_per_row_sieve_writes_side_by_side(void **unused)
{
    (void)unused;
    const int32_t lengths[1] = {40};
    histogram h = model("warp-per-row", lengths, 1, 0);
    const double want[33] = {[32] = 5 + 2 + 61 + 2, [8] = 61 + 1, [24] = 1};
    expect(&h, want);
}

/* 16 steps of a row's 4096 columns; columns 0 to 11 chosen: eight of one lane, four of the next. */
static void block_csr_sieve_stores_a_lane_in_turn(void **unused)
{
    (void)unused;
    const int32_t lengths[1] = {12};
    histogram h = model("block-csr", lengths, 1, 0);
    const double want[33] = {
        [32] = 16 * (222 + 405) + 6, [30] = 1, [2] = 3.5 + 4 * 73.5, [1] = 4 * 73.5 + 1 + 1};
    expect(&h, want);
}

static void coo_sieve_is_full_but_for_the_end(void **unused)
{
    (void)unused;
    const int32_t lengths[2] = {60, 11};
    histogram h = model("coo", lengths, 2, 0);
    const double want[33] = {[32] = 8 * 5 + 2 * 77, [7] = 77};
    expect(&h, want);
}

static void nothing_in_nothing_out(void **unused)
{
    (void)unused;
    const int32_t lengths[5] = {0};
    const char *const names[] = {"csr", "warp-per-row", "block-csr", "coo"};
    const double none[33] = {0};
    for (int i = 0; i < 4; i++)
        for (int m = 0; m <= 3; m += 3) {
            histogram h = model(names[i], lengths, 5, m);
            expect(&h, none);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csr_waits_for_the_longest),
        cmocka_unit_test(csr_uniform_is_full),
        cmocka_unit_test(warp_per_row_has_a_tail),
        cmocka_unit_test(warp_per_row_takes_eight_tokens),
        cmocka_unit_test(block_csr_pools_rows),
        cmocka_unit_test(coo_scans_together_and_multiplies_alone),
        cmocka_unit_test(csr_sieve_steps_to_the_last_entry),
        cmocka_unit_test(warp_per_row_sieve_writes_side_by_side),
        cmocka_unit_test(block_csr_sieve_stores_a_lane_in_turn),
        cmocka_unit_test(coo_sieve_is_full_but_for_the_end),
        cmocka_unit_test(nothing_in_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
