/*
 * `fused` on the CPU with int8 activations, by every instruction set: which whole numbers x
 * becomes, over which columns, and what stays exact. test_random.c has the random shapes.
 */
#include "tests/unit/fused_cpu.h"
#include "tests/unit/int8_model.h"
#include "variants/reference/oracle.h"

/* Every weight of Base is `q`, of scale 1; no entries. */
static ortho_split constant_split(int64_t n, int64_t k, int64_t group, int q)
{
    ortho_split s = split_make(n, k, group, 0, 1);
    memset(s.q, (q & 15) * 0x11, (size_t)(n * ((k + 1) / 2)));
    for (int64_t i = 0; i < n * ((k + group - 1) / group); i++)
        s.scale[i] = 0x3c00;
    for (int64_t r = 0; k % 2 == 1 && r < n; r++)
        s.q[(r + 1) * ((k + 1) / 2) - 1] &= 15;
    return s;
}

static input int8_input(int64_t m, int64_t k, ortho_dtype dtype)
{
    input in = input_make(m, k, dtype, 3);
    in.activations = ORTHO_ACTIVATIONS_INT8;
    return in;
}

/* The sum of one token's x, as the level sees it. */
static float seen(const char *level, const ortho_split *s, const input *in)
{
    setenv("ORTHO_CPU", level, 1);
    float *y = run_once(s, in), first = y[0];
    for (int64_t r = 1; r < s->n; r++)
        assert_true(y[r] == first || (isnan(y[r]) && isnan(first)));
    free(y);
    unsetenv("ORTHO_CPU");
    return first;
}

/* With 127 as the largest the step is 1. */
static void x_becomes_the_nearest_whole_step(void **unused)
{
    (void)unused;
    static const struct {
        float x, becomes;
    } cases[] = {{0.5f, 0},     {1.5f, 2},      {2.5f, 2},       {-0.5f, 0},
                 {-1.5f, -2},   {0.4999f, 0},   {0.5001f, 1},    {-63.6f, -64},
                 {126.5f, 126}, {126.51f, 127}, {-126.9f, -127}, {-127, -127}};
    ortho_split s = constant_split(33, 20, 20, 1);
    input in = int8_input(1, s.k, ORTHO_F32);
    float *x = in.x;
    for (int l = 0; l < 3; l++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int64_t c = 0; c < s.k; c += 7) {
                memset(x, 0, (size_t)s.k * sizeof *x);
                x[(c + 1) % s.k] = 127;
                x[c] = cases[i].x;
                float got = seen(levels[l], &s, &in) - 127;
                if (got != cases[i].becomes)
                    fail_msg("%s: %g became %g, not %g", levels[l], (double)cases[i].x, (double)got,
                             (double)cases[i].becomes);
            }
    free(in.x);
    split_free(&s);
}

/* 0.3 is lost beside 127, and not where that is in another stretch. */
static void a_stretch_is_of_one_group_and_of_256_columns(void **unused)
{
    (void)unused;
    static const struct {
        int64_t k, group, large, small;
        bool apart;
    } cases[] = {{600, 600, 0, 255, false},   {600, 600, 0, 256, true},
                 {600, 600, 255, 256, true},  {600, 600, 512, 599, false},
                 {600, 600, 511, 512, true},  {96, 32, 31, 32, true},
                 {96, 32, 32, 63, false},     {600, 300, 299, 300, true},
                 {600, 300, 300, 555, false}, {600, 300, 300, 556, true}};
    for (int l = 0; l < 3; l++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            ortho_split s = constant_split(17, cases[i].k, cases[i].group, 1);
            input in = int8_input(1, s.k, ORTHO_F32);
            memset(in.x, 0, (size_t)s.k * sizeof(float));
            ((float *)in.x)[cases[i].large] = 127;
            ((float *)in.x)[cases[i].small] = 0.3f;
            if ((seen(levels[l], &s, &in) > 127.2f) != cases[i].apart)
                fail_msg("%s: columns %d and %d of %d, group %d, share %s step", levels[l],
                         (int)cases[i].large, (int)cases[i].small, (int)s.k, (int)s.group,
                         cases[i].apart ? "a" : "no");
            free(in.x);
            split_free(&s);
        }
}

/* Weights at their largest, of every sign, and x at its: sums are whole numbers. */
static void the_largest_sums_are_exact(void **unused)
{
    (void)unused;
    for (int l = 0; l < 3; l++)
        for (int64_t m = 1; m <= 9; m++)
            for (int q = -8; q <= 7; q += 15) {
                ortho_split s = constant_split(70, 512, 512, q);
                input in = int8_input(m, s.k, ORTHO_F32);
                for (int64_t i = 0; i < m * s.k; i++)
                    ((float *)in.x)[i] = i / s.k % 2 == 0 ? 127 : -127;
                setenv("ORTHO_CPU", levels[l], 1);
                float *y = run_once(&s, &in);
                for (int64_t o = 0; o < m * s.n; o++)
                    assert_true(y[o] == (o / s.n % 2 == 0 ? 127.0f : -127.0f) * 512 * (float)q);
                free(y);
                free(in.x);
                split_free(&s);
            }
    unsetenv("ORTHO_CPU");
}

/* An infinity, a NaN, and what is too small or too large to have a step, as without the option. */
static void what_has_no_step_stays_exact(void **unused)
{
    (void)unused;
    static const float values[] = {INFINITY, -INFINITY, NAN, 0x1p-97f, 0x1.8p-140f, 0x1.8p127f, 0};
    ortho_split s = constant_split(20, 64, 32, 1);
    input in = int8_input(1, s.k, ORTHO_F32), exact = in;
    exact.activations = ORTHO_ACTIVATIONS_EXACT;
    float *x = in.x;
    for (int l = 0; l < 3; l++)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            memset(x, 0, (size_t)s.k * sizeof *x);
            x[40] = values[i];
            x[41] = isfinite(values[i]) ? values[i] / 512 : 1; /* lost beside x[40] in int8 */
            float got = seen(levels[l], &s, &in), wanted = seen(levels[l], &s, &exact);
            assert_true(got == wanted || (isnan(got) && isnan(wanted)));
        }
    free(x);
    split_free(&s);
}

/* Base alone meets the rounded x, and alpha = 0 leaves it alone. */
static void ortho_meets_x_as_it_is(void **unused)
{
    (void)unused;
    for (int l = 0; l < 3; l++)
        for (int64_t m = 1; m <= 6; m += 5) {
            ortho_split s = constant_split(40, 300, 128, 0);
            s.nnz = s.n;
            for (int64_t r = 0; r < s.n; r++) {
                ((uint16_t *)s.col)[r] = (uint16_t)(r * 7);
                s.val[r] = 0x3c00;
                s.row_ptr[r + 1] = (int32_t)r + 1;
            }
            input in = int8_input(m, s.k, ORTHO_F32);
            in.alpha = 0.5f;
            setenv("ORTHO_CPU", levels[l], 1);
            float *y = run_once(&s, &in);
            for (int64_t o = 0; o < m * s.n; o++)
                assert_true(y[o] == 0.5f * ((float *)in.x)[o / s.n * s.k + o % s.n * 7]);
            free(y);
            free(in.x);
            split_free(&s);
        }
    unsetenv("ORTHO_CPU");
}

/* Two linears of one x in one call, one of each mode: x is prepared for each. */
static void a_group_may_mix_both(void **unused)
{
    (void)unused;
    ortho_split s = split_make(50, 200, 64, 5, 4);
    input in = input_make(1, s.k, ORTHO_BF16, 9);
    for (int l = 0; l < 3; l++) {
        const void *states[4];
        ortho_gemm_call calls[4];
        setenv("ORTHO_CPU", levels[l], 1);
        for (int i = 0; i < 4; i++) {
            states[i] = state_make_for(&s, 1, 1, (ortho_activation_mode)(i / 2));
            calls[i] =
                (ortho_gemm_call){.x = in.x,
                                  .y = make((size_t)s.n * 2),
                                  .dtype = in.dtype,
                                  .m = 1,
                                  .alpha = 1,
                                  .workspace = make(hooks()->workspace(states[i], 1, in.dtype)),
                                  .threads = 1};
        }
        assert_int_equal(hooks()->run_group(states, calls, 4), ORTHO_OK);
        for (int i = 0; i < 4; i++) {
            in.activations = (ortho_activation_mode)(i / 2);
            void *alone = run_once(&s, &in);
            assert_memory_equal(calls[i].y, alone, (size_t)s.n * 2);
            free(alone);
        }
        assert_memory_not_equal(calls[0].y, calls[2].y, (size_t)s.n * 2);
        for (int i = 0; i < 4; i++) {
            free(calls[i].workspace);
            free(calls[i].y);
            state_free((void *)(uintptr_t)states[i]);
        }
    }
    unsetenv("ORTHO_CPU");
    free(in.x);
    split_free(&s);
}

static void y_is_the_same_with_any_number_of_threads(void **unused)
{
    (void)unused;
    ortho_split s = split_make(300, 530, 128, 6, 4);
    for (int l = 0; l < 3; l++)
        for (int64_t m = 1; m <= 21; m += 4) {
            input in = int8_input(m, s.k, ORTHO_F16);
            setenv("ORTHO_CPU", levels[l], 1);
            void *first = run_once(&s, &in);
            for (in.threads = 2; in.threads <= 7; in.threads += 5) {
                void *y = run_once(&s, &in);
                assert_memory_equal(y, first, (size_t)(m * s.n) * 2);
                free(y);
            }
            free(first);
            free(in.x);
        }
    unsetenv("ORTHO_CPU");
    split_free(&s);
}

/* ---- who may be asked ------------------------------------------------------------------------ */

static void others_are_refused_by_name(void **unused)
{
    (void)unused;
    const ortho_services services = ortho_services_default();
    ortho_gemm_problem p = {.n = 8, .k = 128, .m = 1, .group = 128, .dtype = ORTHO_BF16};
    int asked = 0, taken = 0;
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->gemm == NULL)
            continue;
        p.activations = ORTHO_ACTIVATIONS_INT8;
        ortho_status status = ortho_variant_supports(*v, &p, &services);
        asked++;
        taken += status == ORTHO_OK;
        assert_int_equal(status == ORTHO_OK, (*v)->gemm->int8_activations);
        assert_int_equal(status, ortho_variant_takes(*v, ORTHO_ACTIVATIONS_INT8));
        if (status == ORTHO_OK)
            continue;
        assert_int_equal(status, ORTHO_E_UNSUPPORTED);
        assert_true(strncmp(ortho_last_message(), (*v)->name, strlen((*v)->name)) == 0);
        assert_non_null(strstr(ortho_last_message(), "on the CPU only, from: fused"));
        assert_int_equal(ortho_variant_takes(*v, ORTHO_ACTIVATIONS_EXACT), ORTHO_OK);
    }
    assert_true(taken == 1 && asked > 4);
    assert_true(hooks()->int8_activations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_becomes_the_nearest_whole_step),
        cmocka_unit_test(a_stretch_is_of_one_group_and_of_256_columns),
        cmocka_unit_test(the_largest_sums_are_exact),
        cmocka_unit_test(what_has_no_step_stays_exact),
        cmocka_unit_test(ortho_meets_x_as_it_is),
        cmocka_unit_test(a_group_may_mix_both),
        cmocka_unit_test(y_is_the_same_with_any_number_of_threads),
        cmocka_unit_test(others_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
