/* The oracle against numbers worked out by hand, and its roundings against every fp16 there is. */
#include "common/half.h"
#include "variants/reference/oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Two rows of five columns, groups of four.
 *   row 0: q = 1 -1 7 -8 | 3    scales 0.5, 2     Base = .5 -.5 3.5 -4 | 6
 *   row 1: q = 0 2 0 0 | -2     scales 1, 0.25    Base = 0 2 0 0 | -.5
 * Ortho: (0, 2) = 1.5, (1, 4) = -3. */
static const struct {
    uint8_t q[6];
    uint16_t scale[4], col[2], val[2];
    int32_t row_ptr[3];
} small = {
    .q = {0xf1, 0x87, 0x03, 0x20, 0x00, 0x0e},
    .scale = {0x3800, 0x4000, 0x3c00, 0x3400},
    .col = {2, 4},
    .val = {0x3e00, 0xc200},
    .row_ptr = {0, 1, 2},
};

static ortho_split small_split(void)
{
    return (ortho_split){
        .n = 2,
        .k = 5,
        .nnz = 2,
        .group = 4,
        .q = (uint8_t *)(uintptr_t)small.q,
        .scale = (uint16_t *)(uintptr_t)small.scale,
        .row_ptr = (int32_t *)(uintptr_t)small.row_ptr,
        .col = (void *)(uintptr_t)small.col,
        .val = (uint16_t *)(uintptr_t)small.val,
    };
}

static void split_by_hand(void **unused)
{
    (void)unused;
    ortho_split split = small_split();
    const float x[2][5] = {{1, 2, 3, 4, 5}, {1, -1, 1, -1, 1}};
    double y[4], magnitude[4];
    ortho_oracle_job job = {.split = &split,
                            .x = x,
                            .dtype = ORTHO_F32,
                            .m = 2,
                            .alpha = -0.5f,
                            .threads = 2,
                            .y = y,
                            .magnitude = magnitude};
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    /* Base: .5 - 1 + 10.5 - 16 + 30 = 24; Ortho: -.5 * 1.5 * 3 = -2.25 */
    assert_true(y[0] == 21.75);
    assert_true(y[1] == 4 - 2.5 + 7.5);
    assert_true(y[2] == .5 + .5 + 3.5 + 4 + 6 - .75);
    assert_true(y[3] == -2 - .5 + 1.5);
    assert_true(magnitude[0] == .5 + 1 + 10.5 + 16 + 30 + 2.25);
    assert_true(magnitude[3] == 2 + .5 + 1.5);

    job.m = 1; /* the path of a lone token */
    y[0] = y[1] = 0;
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    assert_true(y[0] == 21.75 && y[1] == 9);
    assert_true(magnitude[0] == .5 + 1 + 10.5 + 16 + 30 + 2.25);
}

static void alpha_zero_reads_no_ortho(void **unused)
{
    (void)unused;
    ortho_split split = small_split();
    const uint16_t nan[2] = {0x7e00, 0x7e00}, x[5] = {0x3c00, 0x4000, 0x4200, 0x4400, 0x4500};
    double y[2];
    split.val = (uint16_t *)(uintptr_t)nan;
    ortho_oracle_job job = {
        .split = &split, .x = x, .dtype = ORTHO_F16, .m = 1, .alpha = 0, .threads = 1, .y = y};
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    assert_true(y[0] == 24 && y[1] == 1.5);
    job.alpha = 1;
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    assert_true(isnan(y[0]) && isnan(y[1]));
}

static void unsplit_with_stride(void **unused)
{
    (void)unused;
    const uint16_t w[2][3] = {{0x3f80, 0xc000, 0x7fc0}, {0x0000, 0x3f00, 0x7fc0}}; /* bf16 */
    const ortho_matrix matrix = {2, 2, 3, ORTHO_BF16, w};
    const float x[2] = {3, 5};
    double y[2];
    ortho_oracle_job job = {
        .w = &matrix, .x = x, .dtype = ORTHO_F32, .m = 1, .alpha = 1, .threads = 1, .y = y};
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    assert_true(y[0] == 3 - 10 && y[1] == 2.5);
}

/* Every fp16 and bf16 value, its neighbours' midpoints and a little to either side. */
static void stores_round_once(void **unused)
{
    (void)unused;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double low = (double)ortho_fp16_to_float((uint16_t)h);
        double high = h == 0x7bff ? 65536 : (double)ortho_fp16_to_float((uint16_t)(h + 1));
        const double probe[] = {low, (low + high) / 2, nextafter((low + high) / 2, 0),
                                nextafter((low + high) / 2, INFINITY)};
        const uint32_t expected[] = {h, h + (h & 1), h, h + 1};
        for (int i = 0; i < 4; i++) {
            uint16_t out[2] = {0, 0};
            ortho_oracle_store(ORTHO_F16, out, 1, -probe[i]);
            assert_int_equal(out[1], expected[i] | 0x8000u);
        }
    }
    for (uint32_t h = 0; h < 0x7f7f; h++) {
        double low = (double)ortho_bf16_to_float((uint16_t)h);
        double high = (double)ortho_bf16_to_float((uint16_t)(h + 1)), middle = (low + high) / 2;
        uint16_t out[3];
        ortho_oracle_store(ORTHO_BF16, out, 0, low);
        ortho_oracle_store(ORTHO_BF16, out, 1, nextafter(middle, 0));
        ortho_oracle_store(ORTHO_BF16, out, 2, nextafter(middle, INFINITY));
        assert_true(out[0] == h && out[1] == h && out[2] == h + 1);
    }
}

static void refuses(void **unused)
{
    (void)unused;
    ortho_split split = small_split();
    double y[2];
    ortho_oracle_job job = {
        .split = &split, .x = y, .dtype = ORTHO_I8, .m = 1, .threads = 1, .y = y};
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_E_ARGUMENT);
    job.dtype = ORTHO_F32;
    job.m = 0;
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_E_ARGUMENT);
    job.m = 1;
    job.split = NULL;
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_by_hand),
        cmocka_unit_test(alpha_zero_reads_no_ortho),
        cmocka_unit_test(unsplit_with_stride),
        cmocka_unit_test(stores_round_once),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
