/* The quality of a sieve, against figures worked out by hand, and across threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/half.h"
#include "kernels/quality.h"

#include <math.h>
#include <string.h>

#define CLOSE 1e-12

/* Two rows of three: Base [1 2 7 | 0 0 0] (scale 1, 0), Ortho 1 at (0, 2) and 2 at (1, 0). */
static const float weights[] = {1.5f, 2.0f, 8.0f, 2.0f, 0.0f, -1.0f};
static const uint8_t q[] = {0x21, 0x07, 0, 0};
static const int32_t row_ptr[] = {0, 1, 2};
static const uint16_t col[] = {2, 0};

static ortho_split make(uint16_t *scale, uint16_t *val)
{
    scale[0] = ortho_float_to_fp16(1.0f);
    scale[1] = 0;
    val[0] = ortho_float_to_fp16(1.0f);
    val[1] = ortho_float_to_fp16(2.0f);
    return (ortho_split){.n = 2,
                         .k = 3,
                         .nnz = 2,
                         .group = 3,
                         .q = (uint8_t *)q,
                         .scale = scale,
                         .row_ptr = (int32_t *)row_ptr,
                         .col = (void *)col,
                         .val = val};
}

static void test_by_hand(void **unused)
{
    uint16_t scale[2], val[2];
    ortho_split s = make(scale, val);
    ortho_matrix w = {2, 3, 3, ORTHO_F32, weights};
    ortho_quality got;
    float h[] = {4, 1, 2};
    (void)unused;
    /* D = [.5 0 0 | 0 0 -1], V = [1 2 8 | 2 0 0] */
    double ww = 2.25 + 4 + 64 + 4 + 1, dd = 0.25 + 1, vv = 1 + 4 + 64 + 4;
    double wv = 1.5 + 4 + 64 + 4;
    assert_int_equal(ortho_quality_measure(&w, &s, h, 1, &got), ORTHO_OK);
    assert_true(fabs(got.rel_frobenius - sqrt(dd / ww)) < CLOSE);
    double hdd = 4 * 0.25 + 2, hww = 4 * 2.25 + 4 + 2 * 64 + 4 * 4 + 2;
    assert_true(fabs(got.h_weighted - sqrt(hdd / hww)) < CLOSE);
    assert_true(fabs(got.snr_db - 10 * log10(ww / dd)) < CLOSE);
    assert_true(fabs(got.cosine - wv / sqrt(ww * vv)) < CLOSE);
    assert_true(fabs(got.max_abs - 1) < CLOSE);
    assert_true(fabs(got.clip_rate - 3.0 / 6) < CLOSE); /* 8 > 7; 2 and -1 on a scale of 0 */
    /* q 4, scale 4, row_ptr 12, col 4, val 4 bytes */
    assert_true(fabs(got.bits_per_weight - 8.0 * 28 / 6) < CLOSE);
    assert_int_equal(got.nnz, 2);
    assert_int_equal(got.row_max, 1);
    assert_true(got.row_cv == 0 && got.empty_rows == 0);
}

static void test_own_hessian_is_the_mean_square(void **unused)
{
    uint16_t scale[2], val[2];
    ortho_split s = make(scale, val);
    ortho_matrix w = {2, 3, 3, ORTHO_F32, weights};
    ortho_quality given, own;
    float h[] = {(2.25f + 4) / 2, 2, (64.0f + 1) / 2};
    (void)unused;
    assert_int_equal(ortho_quality_measure(&w, &s, h, 1, &given), ORTHO_OK);
    assert_int_equal(ortho_quality_measure(&w, &s, NULL, 2, &own), ORTHO_OK);
    assert_memory_equal(&given, &own, sizeof own);
}

static void test_rows(void **unused)
{
    uint16_t scale[2], val[2];
    ortho_split s = make(scale, val);
    int32_t skewed[] = {0, 0, 2};
    uint16_t columns[] = {0, 2};
    ortho_matrix w = {2, 3, 3, ORTHO_F32, weights};
    ortho_quality got;
    (void)unused;
    s.row_ptr = skewed;
    s.col = columns;
    assert_int_equal(ortho_quality_measure(&w, &s, NULL, 1, &got), ORTHO_OK);
    assert_int_equal(got.row_max, 2);
    assert_true(fabs(got.row_cv - 1) < CLOSE && fabs(got.empty_rows - 0.5) < CLOSE);
}

static void test_a_perfect_split(void **unused)
{
    uint16_t scale[] = {0, 0}, val[2];
    ortho_split s = make(scale, val);
    float zeros[6] = {0};
    int32_t none[] = {0, 0, 0};
    uint8_t empty[4] = {0};
    ortho_matrix w = {2, 3, 3, ORTHO_F32, zeros};
    ortho_quality got;
    (void)unused;
    s.q = empty;
    s.row_ptr = none;
    s.nnz = 0;
    assert_int_equal(ortho_quality_measure(&w, &s, NULL, 1, &got), ORTHO_OK);
    assert_true(got.rel_frobenius == 0 && got.h_weighted == 0 && got.cosine == 1);
    assert_true(isinf(got.snr_db) && got.clip_rate == 0 && got.row_cv == 0 && got.empty_rows == 1);
}

static void test_shapes_must_match(void **unused)
{
    uint16_t scale[2], val[2];
    ortho_split s = make(scale, val);
    ortho_matrix w = {2, 2, 3, ORTHO_F32, weights};
    ortho_quality got;
    (void)unused;
    assert_int_equal(ortho_quality_measure(&w, &s, NULL, 1, &got), ORTHO_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_own_hessian_is_the_mean_square),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_a_perfect_split),
        cmocka_unit_test(test_shapes_must_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
