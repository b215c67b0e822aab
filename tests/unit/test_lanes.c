/* Lane models of the GEMM variants against examples worked out by hand. */
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

/* The model of variant `name` over rows of these lengths. */
static histogram model(const char *name, const int32_t *lengths, int64_t n, int64_t m)
{
    int32_t row_ptr[129] = {0};
    histogram h;
    memset(&h, 0, sizeof h);
    assert_in_range(n, 1, 128);
    for (int64_t r = 0; r < n; r++)
        row_ptr[r + 1] = row_ptr[r] + lengths[r];
    const ortho_split split = {
        .n = n, .k = 4096, .nnz = row_ptr[n], .group = 128, .row_ptr = row_ptr};
    const ortho_lane_sink sink = {.ctx = &h, .issue = issue};
    const ortho_variant *v = ortho_variant_find(name, ORTHO_CPU);
    assert_non_null(v);
    assert_non_null(v->gemm->lanes);
    v->gemm->lanes(&split, m, &sink);
    return h;
}

static void expect(const histogram *h, const double want[33])
{
    for (int i = 0; i <= 32; i++)
        assert_true(h->issued[i] == want[i]);
}

/* Warp of rows 0..31: lengths 3, 1 and thirty empty; warp of rows 32, 33: 2 and 2. */
static void csr_waits_for_the_longest(void **unused)
{
    (void)unused;
    int32_t lengths[34] = {3, 1};
    lengths[32] = lengths[33] = 2;
    histogram h = model("csr", lengths, 34, 5);
    const double want[33] = {[1] = 2 * 5, [2] = (1 + 2) * 5};
    expect(&h, want);
}

static void csr_uniform_is_full(void **unused)
{
    (void)unused;
    int32_t lengths[64];
    for (int r = 0; r < 64; r++)
        lengths[r] = 7;
    histogram h = model("csr", lengths, 64, 1);
    const double want[33] = {[32] = 14};
    expect(&h, want);
}

/* 70 entries: two full rounds and one of 6; 5 entries: one round of 5; an empty row: none. */
static void warp_per_row_has_a_tail(void **unused)
{
    (void)unused;
    const int32_t lengths[3] = {70, 0, 5};
    histogram h = model("warp-per-row", lengths, 3, 2);
    const double want[33] = {[32] = 4, [6] = 2, [5] = 2};
    expect(&h, want);
}

/* 64 rows of one block hold 1 + 2 + 65 = 68 entries: two full rounds and one of 4. The second block
 * holds 3. */
static void block_csr_pools_rows(void **unused)
{
    (void)unused;
    int32_t lengths[66] = {1, 2};
    lengths[63] = 65;
    lengths[65] = 3;
    histogram h = model("block-csr", lengths, 66, 1);
    const double want[33] = {[32] = 2, [4] = 1, [3] = 1};
    expect(&h, want);
}

/* Three rows, entries 2, 0, 1: row_ptr 0 2 2 3. Iterations: row 0 sees its 2 and leaves at the
 * third (3); row 1 the same (3); row 2 reaches the end of the list (3). So 3 scans with 3 lanes,
 * weight 7, and 3 bodies with one lane, weight 6. Then 33 rows: rows 0..31 hold one entry each, row
 * 32 none: row r makes r + 2 iterations, capped by the list's 32. */
static void coo_scans_together_and_multiplies_alone(void **unused)
{
    (void)unused;
    const int32_t small[3] = {2, 0, 1};
    histogram h = model("coo", small, 3, 2);
    const double want[33] = {[3] = 3 * 7 * 2, [1] = 3 * 6 * 2};
    expect(&h, want);

    int32_t lengths[33] = {0};
    for (int r = 0; r < 32; r++)
        lengths[r] = 1;
    h = model("coo", lengths, 33, 1);
    /* trips 2, 3, .., 32, 32: iterations 1 and 2 with 32 lanes, iteration 3 with 31, .., iteration
     * 31 with 3, iteration 32 with 2; then row 32 alone scans all 32. */
    double expected[33] = {0};
    expected[32] = 2 * 7;
    for (int i = 3; i <= 32; i++)
        expected[34 - i] = 7;
    expected[1] = 32 * 7 + 32 * 6;
    expect(&h, expected);
}

static void nothing_in_nothing_out(void **unused)
{
    (void)unused;
    const int32_t lengths[5] = {0};
    const char *const names[] = {"csr", "warp-per-row", "block-csr", "coo"};
    const double none[33] = {0};
    for (int i = 0; i < 4; i++) {
        histogram h = model(names[i], lengths, 5, 3);
        expect(&h, none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csr_waits_for_the_longest),
        cmocka_unit_test(csr_uniform_is_full),
        cmocka_unit_test(warp_per_row_has_a_tail),
        cmocka_unit_test(block_csr_pools_rows),
        cmocka_unit_test(coo_scans_together_and_multiplies_alone),
        cmocka_unit_test(nothing_in_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
