/* The energy of outputs, against figures worked out by hand, over blocks of tokens and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/half.h"
#include "kernels/outputs.h"

#include <math.h>

#define CLOSE 1e-12

/* Two rows of five: Base [1 2 7 0 -8 | 0 0 0 0 0] (scale 1, 0), Ortho 1 at (0, 2), 2 at (1, 0). */
static const float weights[] = {1.5f, 2.0f, 8.0f, 0.0f, -7.0f, 2.0f, 0.0f, -1.0f, 0.0f, 3.0f};
static const uint8_t q[] = {0x21, 0x07, 0x08, 0, 0, 0};
static const int32_t row_ptr[] = {0, 1, 2};
static const uint16_t col[] = {2, 0};

static ortho_split make(uint16_t *scale, uint16_t *val)
{
    scale[0] = ortho_float_to_fp16(1.0f);
    scale[1] = 0;
    val[0] = ortho_float_to_fp16(1.0f);
    val[1] = ortho_float_to_fp16(2.0f);
    return (ortho_split){.n = 2,
                         .k = 5,
                         .nnz = 2,
                         .group = 5,
                         .q = (uint8_t *)q,
                         .scale = scale,
                         .row_ptr = (int32_t *)row_ptr,
                         .col = (void *)col,
                         .val = val};
}

static void by_hand(void **unused)
{
    (void)unused;
    uint16_t scale[2], val[2];
    ortho_split s = make(scale, val);
    ortho_matrix w = {2, 5, 5, ORTHO_F32, weights};
    const float x[] = {1, 2, 3, 4, 5, 2, 0, -1, 0, 1};
    double got = 0;
    /* D = [.5 0 0 0 1 | 0 0 -1 0 3]; X D' = [5.5 12 | 2 4] */
    assert_int_equal(ortho_output_energy(&w, &s, x, 2, 1, &got), ORTHO_OK);
    assert_true(fabs(got - (5.5 * 5.5 + 144 + 4 + 16)) < CLOSE);
    /* X W' = [-5.5 14 | -12 8] */
    assert_int_equal(ortho_output_energy(&w, NULL, x, 2, 1, &got), ORTHO_OK);
    assert_true(fabs(got - (5.5 * 5.5 + 196 + 144 + 64)) < CLOSE);
}

/* More tokens than a block takes, and a block that isn't full; threads change no bit. */
static void blocks(void **unused)
{
    (void)unused;
    enum { TOKENS = 600, N = 37, K = 11 };
    float *x = malloc(sizeof(float) * TOKENS * K), *data = malloc(sizeof(float) * N * K);
    ortho_matrix w = {N, K, K, ORTHO_F32, data};
    double want = 0, one = 0, three = 0;
    for (int i = 0; i < TOKENS * K; i++)
        x[i] = (float)((i * 7919) % 101 - 50);
    for (int i = 0; i < N * K; i++)
        data[i] = (float)((i * 104729) % 103 - 51);
    for (int t = 0; t < TOKENS; t++)
        for (int n = 0; n < N; n++) {
            double y = 0;
            for (int k = 0; k < K; k++)
                y += (double)x[t * K + k] * data[n * K + k];
            want += y * y;
        }
    assert_int_equal(ortho_output_energy(&w, NULL, x, TOKENS, 1, &one), ORTHO_OK);
    assert_int_equal(ortho_output_energy(&w, NULL, x, TOKENS, 3, &three), ORTHO_OK);
    assert_true(fabs(one / want - 1) < CLOSE);
    assert_true(one == three);
    free(data);
    free(x);
}

static void shapes_must_match(void **unused)
{
    (void)unused;
    uint16_t scale[2], val[2];
    ortho_split s = make(scale, val);
    ortho_matrix w = {2, 4, 5, ORTHO_F32, weights};
    const float x[5] = {0};
    double got = 7;
    assert_int_equal(ortho_output_energy(&w, &s, x, 1, 1, &got), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_output_energy(&w, NULL, x, 0, 1, &got), ORTHO_E_ARGUMENT);
    assert_true(got == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(blocks),
        cmocka_unit_test(shapes_must_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
