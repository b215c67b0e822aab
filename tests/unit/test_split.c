/* The split as an object: sizes, checks that each catch their violation, conversions and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/account.h"
#include "kernels/split.h"

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void put(ortho_split *s, int64_t i, int64_t col)
{
    if (s->k > 65536)
        ((uint32_t *)s->col)[i] = (uint32_t)col;
    else
        ((uint16_t *)s->col)[i] = (uint16_t)col;
    s->val[i] = (uint16_t)((i * 7 + 1) % 0x7c00); /* finite */
}

/* Row r holds every (r % 5 + 1)-th column; every third row is empty, row 4 is full. */
static bool holds(int64_t r, int64_t c, int64_t step)
{
    return r == 4 || (r % 3 != 0 && c % (r % 5 + step) == 0);
}

static ortho_split make(int64_t n, int64_t k, int64_t group, int64_t step)
{
    ortho_services sv = ortho_services_default();
    ortho_split s;
    int64_t nnz = 0, at = 0;
    for (int64_t i = 0; i < n * k; i++)
        nnz += holds(i / k, i % k, step);
    assert_int_equal(ortho_split_alloc(n, k, group, nnz, &sv, ORTHO_OUTPUT, &s), ORTHO_OK);
    memset(s.q, 0, (size_t)(n * ((k + 1) / 2)));
    memset(s.scale, 0, (size_t)(n * ((k + group - 1) / group)) * 2);
    for (int64_t r = 0; r < n; r++) {
        for (int64_t c = 0; c < k; c++)
            if (holds(r, c, step))
                put(&s, at++, c);
        s.row_ptr[r + 1] = (int32_t)at;
    }
    assert_int_equal(ortho_split_check(&s), ORTHO_OK);
    return s;
}

static void assert_same_entries(const ortho_split *a, const ortho_split *b)
{
    assert_memory_equal(a->row_ptr, b->row_ptr, (size_t)(a->n + 1) * 4);
    if (a->nnz > 0) {
        assert_memory_equal(a->col, b->col, (size_t)a->nnz * ortho_split_col_bytes(a->k));
        assert_memory_equal(a->val, b->val, (size_t)a->nnz * 2);
    }
}

static void round_trip(const ortho_split *s, int32_t block_rows, int32_t tile_cols)
{
    ortho_account account = {0};
    ortho_services sv = ortho_account_services(&account, 1);
    ortho_split back;
    ortho_coo coo;
    ortho_bcsr b;
    assert_int_equal(ortho_split_alloc(s->n, s->k, s->group, s->nnz, &sv, ORTHO_OUTPUT, &back),
                     ORTHO_OK);
    assert_int_equal(ortho_coo_from_csr(s, &sv, ORTHO_WEIGHTS, &coo), ORTHO_OK);
    assert_int_equal(ortho_csr_from_coo(&coo, &back), ORTHO_OK);
    assert_same_entries(s, &back);
    ortho_coo_free(&coo, &sv);
    memset(back.row_ptr, 0xff, (size_t)(s->n + 1) * 4);
    assert_int_equal(ortho_bcsr_from_csr(s, block_rows, tile_cols, &sv, ORTHO_WEIGHTS, &b),
                     ORTHO_OK);
    int64_t tiles = (s->k + tile_cols - 1) / tile_cols;
    int64_t buckets = (s->n + block_rows - 1) / block_rows * tiles;
    assert_int_equal(b.bucket_ptr[0], 0);
    assert_int_equal(b.bucket_ptr[buckets], s->nnz);
    for (int64_t i = 0; i < buckets; i++)
        for (int32_t e = b.bucket_ptr[i]; e < b.bucket_ptr[i + 1]; e++) {
            assert_true(b.row[e] < block_rows && b.col[e] < tile_cols);
            if (e > b.bucket_ptr[i])
                assert_true(b.row[e - 1] < b.row[e] ||
                            (b.row[e - 1] == b.row[e] && b.col[e - 1] < b.col[e]));
        }
    assert_int_equal(ortho_csr_from_bcsr(&b, &back), ORTHO_OK);
    assert_same_entries(s, &back);
    ortho_bcsr_free(&b, &sv);
    ortho_split_free(&back, &sv);
    assert_int_equal(ortho_account_current(&account, ORTHO_WEIGHTS), 0);
    assert_int_equal(ortho_account_current(&account, ORTHO_OUTPUT), 0);
}

static void test_conversions_round_trip(void **unused)
{
    static const int64_t shapes[][4] = {{1, 1, 1, 1},          {5, 7, 32, 1},
                                        {64, 128, 128, 2},     {67, 333, 64, 3},
                                        {10, 70001, 128, 999}, {3, 65536, 32, 50}};
    ortho_services sv = ortho_services_default();
    (void)unused;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        ortho_split s = make(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
        round_trip(&s, 1, 1 + (int32_t)(shapes[i][1] / 3));
        round_trip(&s, 64, 1024);
        round_trip(&s, 3, 65536);
        ortho_split_free(&s, &sv);
    }
}

static void test_buckets_have_16_bit_coordinates(void **unused)
{
    ortho_services sv = ortho_services_default();
    ortho_split s = make(5, 7, 32, 1);
    ortho_bcsr b;
    (void)unused;
    assert_int_equal(ortho_bcsr_from_csr(&s, 65537, 8, &sv, ORTHO_WEIGHTS, &b), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_bcsr_from_csr(&s, 8, 0, &sv, ORTHO_WEIGHTS, &b), ORTHO_E_ARGUMENT);
    ortho_split_free(&s, &sv);
}

static void test_bytes(void **unused)
{
    ortho_split s = {.n = 3, .k = 7, .nnz = 5, .group = 4};
    (void)unused;
    assert_int_equal(ortho_split_base_bytes(&s), 3 * 4 + 3 * 2 * 2);
    assert_int_equal(ortho_split_ortho_bytes(&s), 4 * 4 + 5 * (2 + 2));
    s.k = 65537;
    assert_int_equal(ortho_split_ortho_bytes(&s), 4 * 4 + 5 * (4 + 2));
}

static void assert_refused(const ortho_split *s, const char *words)
{
    assert_int_equal(ortho_split_check(s), ORTHO_E_FORMAT);
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", ortho_last_message(), words);
}

static void test_check_catches_each_violation(void **unused)
{
    ortho_services sv = ortho_services_default();
    ortho_split s = make(6, 9, 4, 1);
    (void)unused;
    s.scale[4] = 0x7c00;
    assert_refused(&s, "row 1: scale 1");
    s.scale[4] = 0x7e00;
    assert_refused(&s, "row 1: scale 1");
    s.scale[4] = 0;
    s.q[2 * 5 + 4] = 0x10;
    assert_refused(&s, "row 2: the padding");
    s.q[2 * 5 + 4] = 0;
    s.row_ptr[0] = 1;
    assert_refused(&s, "row_ptr runs from 1");
    s.row_ptr[0] = 0;
    s.row_ptr[6]--;
    assert_refused(&s, "row_ptr runs");
    s.row_ptr[6]++;
    s.row_ptr[1] = 6;
    s.row_ptr[2] = 5;
    assert_refused(&s, "row 1: row_ptr falls");
    ortho_split_free(&s, &sv);
    s = make(6, 9, 4, 1);
    uint16_t *col = s.col;
    col[s.row_ptr[5] - 1] = 9;
    assert_refused(&s, "row 4: column 9, but k = 9");
    col[s.row_ptr[5] - 1] = col[s.row_ptr[5] - 2];
    assert_refused(&s, "row 4: column 7 after 7");
    ortho_split_free(&s, &sv);
}

static void test_check_wants_finite_values(void **unused)
{
    ortho_services sv = ortho_services_default();
    ortho_split s = make(6, 9, 4, 1);
    const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e01, 0xffff};
    (void)unused;
    for (int i = 0; i < 4; i++) {
        uint16_t was = s.val[s.row_ptr[4] + 1];
        s.val[s.row_ptr[4] + 1] = bad[i];
        assert_refused(&s, "row 4: value 1 isn't finite");
        s.val[s.row_ptr[4] + 1] = was;
    }
    s.scale[0] = 0x8000; /* -0 */
    assert_refused(&s, "row 0: scale 0 is negative");
    ortho_split_free(&s, &sv);
}

/* Whether columns are what they must be, said plainly. */
static bool columns_are_good(const ortho_split *s)
{
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++)
            if (ortho_split_col(s, i) >= s->k ||
                (i > s->row_ptr[r] && ortho_split_col(s, i) <= ortho_split_col(s, i - 1)))
                return false;
    return true;
}

/* The check that counts descents agrees with the plain one over rows of any lengths, empty ones
 * too, sound or with a column changed. */
static void test_columns_are_checked_as_if_one_by_one(void **unused)
{
    enum { N = 7, K = 12, MOST = N * K };
    int32_t row_ptr[N + 1];
    uint16_t col[MOST], val[MOST] = {0}, scale[N] = {0};
    uint8_t q[N * K / 2] = {0};
    ortho_split s = {N, K, 0, K, q, scale, row_ptr, col, val};
    int sound = 0;
    (void)unused;
    srand(3);
    for (int trial = 0; trial < 20000; trial++) {
        ortho_split_fault fault;
        s.nnz = row_ptr[0] = 0;
        for (int r = 0; r < N; r++) {
            for (int c = 0, kind = rand() % 3; c < K; c++)
                if (kind == 1 || (kind == 2 && rand() % 4 == 0))
                    col[s.nnz++] = (uint16_t)c;
            row_ptr[r + 1] = (int32_t)s.nnz;
        }
        if (s.nnz > 0 && trial % 2 == 1)
            col[rand() % s.nnz] = (uint16_t)(rand() % (K + 2));
        bool good = columns_are_good(&s);
        sound += good;
        assert_int_equal(!ortho_split_find_fault(&s, &fault), good);
        if (!good)
            assert_int_equal(fault.array, ORTHO_SPLIT_COL);
    }
    assert_in_range(sound, 5000, 15000);
}

static void test_alloc_refuses_the_impossible(void **unused)
{
    ortho_services sv = ortho_services_default();
    ortho_split s;
    (void)unused;
    assert_int_equal(ortho_split_alloc(0, 4, 4, 0, &sv, ORTHO_OUTPUT, &s), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_split_alloc(4, 4, 0, 0, &sv, ORTHO_OUTPUT, &s), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_split_alloc(2, 2, 2, 6, &sv, ORTHO_OUTPUT, &s), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_split_alloc(4, 4, 4, -1, &sv, ORTHO_OUTPUT, &s), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_split_alloc(4, 1 << 30, 32, (int64_t)1 << 31, &sv, ORTHO_OUTPUT, &s),
                     ORTHO_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversions_round_trip),
        cmocka_unit_test(test_buckets_have_16_bit_coordinates),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_check_catches_each_violation),
        cmocka_unit_test(test_check_wants_finite_values),
        cmocka_unit_test(test_columns_are_checked_as_if_one_by_one),
        cmocka_unit_test(test_alloc_refuses_the_impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
