/* The verifiers accept what is right to rounding and refuse the smallest real error. */
#include "harness/verify.h"

#include "common/account.h"
#include "common/dtype.h"
#include "kernels/sieve.h"
#include "kernels/split.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 24, K = 150, M = 70 };

typedef struct fixture {
    float w[N * K], x[M * K];
    double h[K];
    ortho_matrix matrix;
    ortho_services services;
    ortho_split split;
} fixture;

static float noise(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*s >> 40) / (1 << 24) - 0.5);
}

static void take_row(void *ctx, int64_t row, int64_t first, int64_t count, const uint32_t *col,
                     const uint16_t *val)
{
    ortho_split *s = ctx;
    (void)row;
    for (int64_t i = 0; i < count; i++) {
        ((uint16_t *)s->col)[first + i] = (uint16_t)col[i];
        s->val[first + i] = val[i];
    }
}

static ob_sieve_truth sieve_truth(const fixture *f, ortho_rule rule)
{
    return (ob_sieve_truth){.w = &f->matrix,
                            .hessian = f->h,
                            .nnz = f->split.nnz,
                            .group = f->split.group,
                            .rule = rule,
                            .threads = 1};
}

static void sieve(fixture *f, ortho_rule rule)
{
    ortho_sieve_problem p = {
        .w = &f->matrix, .density = 0.05, .nnz = N * K / 20, .rule = rule, .group = 64};
    assert_int_equal(ortho_split_alloc(N, K, ortho_sieve_group(&p), p.nnz, &f->services,
                                       ORTHO_OUTPUT, &f->split),
                     ORTHO_OK);
    ortho_sieve_emit emit = {.ctx = &f->split, .row = take_row};
    assert_int_equal(ortho_sieve_stream(&p, ORTHO_WALK_SCALAR, f->split.q, f->split.scale,
                                        f->split.row_ptr, &emit, &f->services),
                     ORTHO_OK);
}

static fixture *fixture_new(ortho_rule rule)
{
    fixture *f = calloc(1, sizeof *f);
    uint64_t seed = 5;
    assert_non_null(f);
    for (int i = 0; i < N * K; i++)
        f->w[i] = noise(&seed) * noise(&seed) * 0.2f;
    for (int i = 0; i < M * K; i++)
        f->x[i] = 4 * noise(&seed);
    f->matrix = (ortho_matrix){.rows = N, .cols = K, .stride = K, .data = f->w};
    f->services = ortho_services_default();
    ob_hessian_exact(&f->matrix, NULL, f->h);
    sieve(f, rule);
    return f;
}

static void fixture_free(fixture *f)
{
    ortho_split_free(&f->split, &f->services);
    free(f);
}

/* ---- GEMM -------------------------------------------------------------------------------------
 */

static ob_gemm_truth gemm_truth(const fixture *f, ortho_dtype dtype, int64_t m, void *x)
{
    ob_gemm_truth t = {0};
    for (int64_t i = 0; i < m * K; i++)
        ortho_dtype_store(dtype, x, i, f->x[i]);
    ob_gemm_inputs in = {
        .split = &f->split, .x = x, .dtype = dtype, .m = m, .alpha = 1, .threads = 1, .seed = 9};
    assert_int_equal(ob_gemm_truth_make(&in, &t), ORTHO_OK);
    return t;
}

/* y as a plain fp32 loop over decoded weights gives it. */
static void multiply(const fixture *f, ortho_dtype dtype, int64_t m, const void *x, void *y)
{
    static float base[K];
    for (int64_t r = 0; r < N; r++) {
        int64_t groups = (K + f->split.group - 1) / f->split.group;
        for (int64_t c = 0; c < K; c++) {
            int q = f->split.q[r * ((K + 1) / 2) + c / 2] >> (4 * (c & 1)) & 15;
            base[c] = ortho_dtype_load(ORTHO_F16, f->split.scale, r * groups + c / f->split.group) *
                      (float)(q >= 8 ? q - 16 : q);
        }
        for (int64_t i = f->split.row_ptr[r]; i < f->split.row_ptr[r + 1]; i++)
            base[ortho_split_col(&f->split, i)] += ortho_dtype_load(ORTHO_F16, f->split.val, i);
        for (int64_t t = 0; t < m; t++) {
            float sum = 0;
            for (int64_t c = 0; c < K; c++)
                sum += base[c] * ortho_dtype_load(dtype, x, t * K + c);
            ortho_dtype_store(dtype, y, t * N + r, sum);
        }
    }
}

static void gemm_accepts_rounding_in_every_dtype(void **state)
{
    static const ortho_dtype dtypes[] = {ORTHO_F32, ORTHO_F16, ORTHO_BF16};
    static const int64_t batches[] = {1, 5, 32, M};
    fixture *f = fixture_new(ORTHO_RULE_OUTLIER);
    static float x[M * K], y[M * N];
    (void)state;
    for (int d = 0; d < 3; d++)
        for (int b = 0; b < 4; b++) {
            ob_gemm_truth t = gemm_truth(f, dtypes[d], batches[b], x);
            ob_verdict v = {0};
            multiply(f, dtypes[d], batches[b], x, y);
            assert_int_equal(ob_gemm_verify(&t, y, &v), ORTHO_OK);
            assert_true(v.tolerance > 0 && v.rel_error <= v.tolerance);
            assert_true(strlen(v.checked) > 0);
            ob_gemm_truth_free(&t);
        }
    fixture_free(f);
}

/* Any one element, by as little as one average weight would move it. */
static void gemm_refuses_any_single_wrong_element(void **state)
{
    fixture *f = fixture_new(ORTHO_RULE_OUTLIER);
    static float x[M * K], y[M * N];
    ob_gemm_truth t = gemm_truth(f, ORTHO_F32, M, x);
    (void)state;
    multiply(f, ORTHO_F32, M, x, y);
    for (int64_t i = 0; i < (int64_t)M * N; i++) {
        ob_verdict v = {0};
        float right = y[i];
        y[i] += (float)(t.scale[i % N] / K);
        assert_int_equal(ob_gemm_verify(&t, y, &v), ORTHO_E_WRONG);
        y[i] = NAN;
        assert_int_equal(ob_gemm_verify(&t, y, &v), ORTHO_E_WRONG);
        y[i] = right;
    }
    ob_gemm_truth_free(&t);
    fixture_free(f);
}

static void poison_must_survive(void **state)
{
    unsigned char y[64];
    ob_verdict v = {0};
    (void)state;
    memset(y, 0xff, sizeof y);
    assert_int_equal(ob_poison_verify(y, sizeof y, &v), ORTHO_OK);
    y[63] = 0xfe;
    assert_int_equal(ob_poison_verify(y, sizeof y, &v), ORTHO_E_WRONG);
    assert_non_null(strstr(ortho_last_message(), "byte 63"));
}

/* ---- sieve ------------------------------------------------------------------------------------
 */

static void sieve_accepts_every_rule(void **state)
{
    static const ortho_rule rules[] = {ORTHO_RULE_OUTLIER, ORTHO_RULE_RESIDUAL, ORTHO_RULE_LEGACY};
    (void)state;
    for (int r = 0; r < 3; r++) {
        fixture *f = fixture_new(rules[r]);
        ob_sieve_truth t = sieve_truth(f, rules[r]);
        ob_verdict v = {0};
        assert_int_equal(ob_sieve_verify(&t, &f->split, &v), ORTHO_OK);
        fixture_free(f);
    }
}

/* Another rule's split is refused: the rules really are told apart. */
static void sieve_tells_the_rules_apart(void **state)
{
    fixture *f = fixture_new(ORTHO_RULE_RESIDUAL);
    ob_sieve_truth t = sieve_truth(f, ORTHO_RULE_OUTLIER);
    ob_verdict v = {0};
    (void)state;
    assert_int_equal(ob_sieve_verify(&t, &f->split, &v), ORTHO_E_WRONG);
    fixture_free(f);
}

/* The worst taken entry leaves, the best one left out... the second best comes in its place. */
static void sieve_refuses_a_worse_choice(void **state)
{
    fixture *f = fixture_new(ORTHO_RULE_RESIDUAL);
    ob_sieve_truth t = sieve_truth(f, ORTHO_RULE_RESIDUAL);
    ob_verdict v = {0};
    ortho_split *s = &f->split;
    uint16_t *col = s->col;
    int64_t groups = (K + s->group - 1) / s->group, moved = -1;
    (void)state;
    for (int64_t r = 0; r < N && moved < 0; r++)
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1] && moved < 0; i++) {
            bool free_left = col[i] > 0 && (i == s->row_ptr[r] || col[i - 1] != col[i] - 1);
            if (!free_left)
                continue;
            int64_t c = --col[i];
            int q = s->q[r * ((K + 1) / 2) + c / 2] >> (4 * (c & 1)) & 15;
            float scale = ortho_dtype_load(ORTHO_F16, s->scale, r * groups + c / s->group);
            float e = f->w[r * K + c] - scale * (float)(q >= 8 ? q - 16 : q);
            ortho_dtype_store(ORTHO_F16, s->val, i, e);
            moved = i;
        }
    assert_true(moved >= 0);
    assert_int_equal(ob_sieve_verify(&t, s, &v), ORTHO_E_WRONG);
    assert_non_null(strstr(ortho_last_message(), "was left out"));
    fixture_free(f);
}

static void sieve_refuses_each_broken_part(void **state)
{
    (void)state;
    for (int part = 0; part < 5; part++) {
        fixture *f = fixture_new(ORTHO_RULE_OUTLIER);
        ob_sieve_truth t = sieve_truth(f, ORTHO_RULE_OUTLIER);
        ob_verdict v = {0};
        switch (part) {
        case 0:
            f->split.val[3] ^= 1;
            break;
        case 1:
            f->split.scale[7]++;
            break;
        case 2:
            f->split.q[100] ^= 0x10;
            break;
        case 3:
            t.nnz++;
            break;
        default:
            f->split.row_ptr[N]--;
        }
        assert_int_equal(ob_sieve_verify(&t, &f->split, &v), ORTHO_E_WRONG);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_accepts_rounding_in_every_dtype),
        cmocka_unit_test(gemm_refuses_any_single_wrong_element),
        cmocka_unit_test(poison_must_survive),
        cmocka_unit_test(sieve_accepts_every_rule),
        cmocka_unit_test(sieve_tells_the_rules_apart),
        cmocka_unit_test(sieve_refuses_a_worse_choice),
        cmocka_unit_test(sieve_refuses_each_broken_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
