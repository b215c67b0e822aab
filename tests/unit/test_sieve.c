/* The sieve: every variant against the oracle and against each other, at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/account.h"
#include "common/dtype.h"
#include "common/half.h"
#include "kernels/sieve_csr.h"
#include "kernels/split.h"
#include "variants/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    int64_t n, k, stride, group;
    ortho_dtype dtype;
    double density;
} shape;

static const shape shapes[] = {
    {1, 1, 1, 32, ORTHO_F32, 1},
    {1, 1, 1, 0, ORTHO_F16, 0},
    {3, 7, 9, 32, ORTHO_F32, 0.3},
    {8, 128, 128, 128, ORTHO_BF16, 0.05},
    {17, 129, 131, 128, ORTHO_F16, 0.1},
    {40, 333, 333, 64, ORTHO_BF16, 0.01},
    {40, 333, 340, 0, ORTHO_F32, 0.02},
    {33, 512, 512, 32, ORTHO_F32, 0.5},
    {64, 1000, 1001, 128, ORTHO_F32, 0.01},
    {5, 70000, 70000, 128, ORTHO_F32, 0.001},
    {16, 300, 300, 128, ORTHO_F16, 1},
    {16, 300, 300, 128, ORTHO_BF16, 0},
    {9, 257, 257, 32, ORTHO_F32, 0.999},
};

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Roughly Student-t: a Gaussian over an independent spread. */
static float draw(uint64_t *state)
{
    double sum = 0, spread = 0;
    for (int i = 0; i < 8; i++) {
        sum += (double)(next(state) >> 40) * 0x1p-24 - 0.5;
        spread += (double)(next(state) >> 40) * 0x1p-24;
    }
    return (float)(0.02 * sum / (0.2 + spread * spread / 16));
}

static void *make_weights(const shape *s, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    size_t count = (size_t)(s->n * s->stride);
    void *data = calloc(count + 1, 4);
    for (size_t i = 0; i < count; i++)
        ortho_dtype_store(s->dtype, data, (int64_t)i, draw(&state));
    return data;
}

static ortho_sieve_problem problem_of(const shape *s, const ortho_matrix *w, ortho_rule rule)
{
    return (ortho_sieve_problem){.w = w,
                                 .density = s->density,
                                 .nnz = ortho_sieve_budget(s->density, s->n, s->k),
                                 .rule = rule,
                                 .group = s->group == 0 ? s->k : s->group};
}

static ortho_status sieve_with(const char *name, const ortho_sieve_problem *p, int threads,
                               ortho_split *out)
{
    ortho_account account = {0};
    ortho_services sv = ortho_account_services(&account, threads), plain = ortho_services_default();
    const ortho_sieve_hooks *hooks = ortho_variant_find(name, ORTHO_CPU)->sieve;
    void *state = calloc(1, hooks->state_size);
    ortho_status status = hooks->prepare(state, p, &sv);
    assert_int_equal(status, ORTHO_OK);
    for (int i = 0; i < 2 && status == ORTHO_OK; i++) /* may be called again on the same state */
        status = hooks->run(state, p, &sv);
    if (status == ORTHO_OK) {
        assert_int_equal(ortho_split_alloc(p->w->rows, p->w->cols, ortho_sieve_group(p), p->nnz,
                                           &plain, ORTHO_OUTPUT, out),
                         ORTHO_OK);
        assert_int_equal(hooks->export_split(state, out, &sv), ORTHO_OK);
    }
    hooks->release(state, &sv);
    free(state);
    for (int i = 0; i < ORTHO_PURPOSES; i++)
        assert_int_equal(ortho_account_current(&account, (ortho_purpose)i), 0);
    return status;
}

static void assert_same(const ortho_split *a, const ortho_split *b)
{
    int64_t groups = (a->k + a->group - 1) / a->group;
    assert_int_equal(a->nnz, b->nnz);
    assert_memory_equal(a->scale, b->scale, (size_t)(a->n * groups) * 2);
    assert_memory_equal(a->q, b->q, (size_t)(a->n * ((a->k + 1) / 2)));
    assert_memory_equal(a->row_ptr, b->row_ptr, (size_t)(a->n + 1) * 4);
    if (a->nnz > 0) {
        assert_memory_equal(a->col, b->col, (size_t)a->nnz * ortho_split_col_bytes(a->k));
        assert_memory_equal(a->val, b->val, (size_t)a->nnz * 2);
    }
}

static void test_variants_agree_with_the_oracle(void **unused)
{
    static const char *const names[] = {"csr", "warp-per-row", "block-csr", "coo"};
    ortho_services plain = ortho_services_default();
    (void)unused;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int rule = 0; rule < 3; rule++) {
            void *data = make_weights(&shapes[i], i + 1);
            ortho_matrix w = {shapes[i].n, shapes[i].k, shapes[i].stride, shapes[i].dtype, data};
            ortho_sieve_problem p = problem_of(&shapes[i], &w, (ortho_rule)rule);
            ortho_split oracle, got;
            assert_int_equal(sieve_with("reference", &p, 1, &oracle), ORTHO_OK);
            assert_int_equal(ortho_split_check(&oracle), ORTHO_OK);
            for (size_t v = 0; v < sizeof names / sizeof *names; v++) {
                assert_int_equal(sieve_with(names[v], &p, 1 + (int)v, &got), ORTHO_OK);
                assert_int_equal(ortho_split_check(&got), ORTHO_OK);
                assert_same(&oracle, &got);
                ortho_split_free(&got, &plain);
            }
            ortho_split_free(&oracle, &plain);
            free(data);
        }
}

static const shape mid = {96, 700, 704, 128, ORTHO_BF16, 0.03};

/* One sieve with defaults, to be varied: the caller changes data and problem. */
typedef struct bench {
    void *data;
    ortho_matrix w;
    ortho_sieve_problem p;
} bench;

static void bench_make(bench *b, const shape *s, ortho_rule rule)
{
    b->data = make_weights(s, 77);
    b->w = (ortho_matrix){s->n, s->k, s->stride, s->dtype, b->data};
    b->p = problem_of(s, &b->w, rule);
}

static void test_levels_and_threads_give_the_same_bytes(void **unused)
{
    static const char *const levels[] = {"avx512", "avx2", "portable"};
    ortho_services plain = ortho_services_default();
    (void)unused;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int rule = 0; rule < 3; rule++) {
            bench b;
            ortho_split first, other;
            bench_make(&b, &shapes[i], (ortho_rule)rule);
            assert_int_equal(sieve_with("csr", &b.p, 1, &first), ORTHO_OK);
            for (int l = 0; l < 3; l++) {
                setenv("ORTHO_CPU", levels[l], 1);
                assert_int_equal(sieve_with("warp-per-row", &b.p, 2 * l + 1, &other), ORTHO_OK);
                assert_same(&first, &other);
                ortho_split_free(&other, &plain);
            }
            unsetenv("ORTHO_CPU");
            ortho_split_free(&first, &plain);
            free(b.data);
        }
}

/* Large enough that each thread has work (2^18 weights a thread). */
static void test_threads_give_the_same_bytes(void **unused)
{
    static const shape large = {640, 2048, 2048, 128, ORTHO_F16, 0.02};
    ortho_services plain = ortho_services_default();
    (void)unused;
    for (int rule = 0; rule < 3; rule++) {
        bench b;
        ortho_split first, other;
        bench_make(&b, &large, (ortho_rule)rule);
        assert_int_equal(sieve_with("csr", &b.p, 1, &first), ORTHO_OK);
        for (int threads = 2; threads <= 5; threads++) {
            assert_int_equal(sieve_with("block-csr", &b.p, threads, &other), ORTHO_OK);
            assert_same(&first, &other);
            ortho_split_free(&other, &plain);
        }
        ortho_split_free(&first, &plain);
        free(b.data);
    }
}

static void test_nonfinite_weights_are_named(void **unused)
{
    static const char *const names[] = {"csr", "warp-per-row", "block-csr", "coo", "reference"};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float h[700];
    (void)unused;
    for (int i = 0; i < 700; i++)
        h[i] = 1.0f;
    for (size_t v = 0; v < sizeof names / sizeof *names; v++)
        for (int rule = 0; rule < 3; rule++)
            for (int i = 0; i < 3; i++) {
                bench b;
                ortho_split out;
                bench_make(&b, &mid, (ortho_rule)rule);
                b.p.hessian = i % 2 == 0 ? h : NULL;
                b.p.nnz = i == 2 ? 0 : b.p.nnz;
                ortho_dtype_store(mid.dtype, b.data, 60 * mid.stride + 3, bad[i]);
                ortho_dtype_store(mid.dtype, b.data, 41 * mid.stride + 699, bad[i]);
                assert_int_equal(sieve_with(names[v], &b.p, 2, &out), ORTHO_E_NONFINITE);
                assert_non_null(strstr(ortho_last_message(), "row 41, column 699"));
                free(b.data);
            }
}

static void test_what_fp16_cannot_hold_is_refused(void **unused)
{
    shape s = mid;
    bench b;
    ortho_split out;
    (void)unused;
    s.dtype = ORTHO_F32;
    for (int rule = 0; rule < 3; rule++) {
        bench_make(&b, &s, (ortho_rule)rule);
        b.p.nnz = 1; /* no exclusions: the scale would be 1e6 / 7 */
        ((float *)b.data)[5 * s.stride + 9] = -1e6f;
        assert_int_equal(sieve_with("csr", &b.p, 2, &out), ORTHO_E_NONFINITE);
        assert_non_null(strstr(ortho_last_message(), "row 5, column 9"));
        free(b.data);
    }
    bench_make(&b, &s, ORTHO_RULE_OUTLIER); /* excluded: the residual is too large */
    ((float *)b.data)[5 * s.stride + 9] = 70000.0f;
    assert_int_equal(sieve_with("warp-per-row", &b.p, 2, &out), ORTHO_E_NONFINITE);
    assert_non_null(strstr(ortho_last_message(), "row 5, column 9"));
    free(b.data);
}

/* Scales that are fp16 subnormals, that underflow to 0, and rows of zeros. */
static void test_tiny_weights(void **unused)
{
    shape s = mid;
    ortho_services plain = ortho_services_default();
    (void)unused;
    s.dtype = ORTHO_F32;
    for (int rule = 0; rule < 3; rule++) {
        bench b;
        ortho_split oracle, got;
        bench_make(&b, &s, (ortho_rule)rule);
        float *w = b.data;
        for (int64_t i = 0; i < s.stride; i++) {
            w[3 * s.stride + i] = 0.0f;
            w[4 * s.stride + i] *= 1e-5f;
            w[5 * s.stride + i] *= 1e-7f;
            w[6 * s.stride + i] *= 1e-12f;
            w[7 * s.stride + i] *= i < 256 ? 0.0f : 1.0f;
        }
        assert_int_equal(sieve_with("reference", &b.p, 1, &oracle), ORTHO_OK);
        assert_int_equal(sieve_with("warp-per-row", &b.p, 2, &got), ORTHO_OK);
        assert_int_equal(ortho_split_check(&got), ORTHO_OK);
        assert_same(&oracle, &got);
        int64_t groups = (got.k + got.group - 1) / got.group;
        for (int64_t g = 0; g < groups; g++)
            assert_int_equal(got.scale[3 * groups + g] | got.scale[6 * groups + g], 0);
        ortho_split_free(&oracle, &plain);
        ortho_split_free(&got, &plain);
        free(b.data);
    }
}

/* All scores tie: the first entries by (row, column) are taken. */
static void test_ties_go_by_row_then_column(void **unused)
{
    static const char *const names[] = {"csr", "warp-per-row", "block-csr", "coo", "reference"};
    ortho_services plain = ortho_services_default();
    (void)unused;
    for (size_t v = 0; v < sizeof names / sizeof *names; v++)
        for (int rule = 0; rule < 3; rule++) {
            bench b;
            ortho_split got;
            bench_make(&b, &mid, (ortho_rule)rule);
            for (int64_t i = 0; i < mid.n * mid.stride; i++)
                ortho_dtype_store(mid.dtype, b.data, i, i % 2 == 0 ? 0.5f : -0.5f);
            b.p.nnz = 5 * 700 + 131;
            assert_int_equal(sieve_with(names[v], &b.p, 3, &got), ORTHO_OK);
            for (int64_t r = 0; r <= 5; r++)
                assert_int_equal(got.row_ptr[r], r * 700);
            assert_int_equal(got.row_ptr[6], 5 * 700 + 131);
            assert_int_equal(got.row_ptr[mid.n], 5 * 700 + 131);
            assert_int_equal(ortho_split_col(&got, got.nnz - 1), 130);
            ortho_split_free(&got, &plain);
            free(b.data);
        }
}

static void test_hessian_must_be_a_diagonal(void **unused)
{
    static const float bad[] = {NAN, INFINITY, -1.0f};
    float h[700] = {0};
    bench b;
    ortho_split out;
    (void)unused;
    bench_make(&b, &mid, ORTHO_RULE_OUTLIER);
    b.p.hessian = h;
    for (int i = 0; i < 3; i++) {
        h[123] = bad[i];
        assert_int_equal(sieve_with("csr", &b.p, 1, &out), ORTHO_E_ARGUMENT);
        assert_non_null(strstr(ortho_last_message(), "column 123"));
    }
    free(b.data);
}

static void test_own_hessian_agrees_with_the_oracle(void **unused)
{
    ortho_services plain = ortho_services_default();
    float h[700];
    uint64_t state = 5;
    (void)unused;
    for (int i = 0; i < 700; i++)
        h[i] = i % 50 == 0 ? 0.0f : fabsf(draw(&state)) * (i % 99 == 0 ? 1e4f : 1.0f);
    for (int rule = 0; rule < 3; rule++) {
        bench b;
        ortho_split oracle, got;
        bench_make(&b, &mid, (ortho_rule)rule);
        b.p.hessian = h;
        assert_int_equal(sieve_with("reference", &b.p, 1, &oracle), ORTHO_OK);
        assert_int_equal(sieve_with("csr", &b.p, 2, &got), ORTHO_OK);
        assert_same(&oracle, &got);
        ortho_split_free(&oracle, &plain);
        ortho_split_free(&got, &plain);
        free(b.data);
    }
}

static void test_budget_is_exact(void **unused)
{
    static const struct {
        double density;
        int64_t n, k, budget;
    } cases[] = {
        {0, 10, 10, 0},       {1, 10, 10, 100},       {0.29, 10, 10, 29},
        {0.7, 1, 10, 7},      {0.01, 10, 10, 1},      {0.0099999, 10, 10, 0},
        {0.57, 10, 10, 57},   {0.1, 3, 1, 0},         {0.01, 8192, 3072, 251658},
        {0.05, 33, 577, 952}, {0.999999, 10, 10, 99}, {1e-300, 8192, 3072, 0},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ortho_sieve_budget(cases[i].density, cases[i].n, cases[i].k),
                         cases[i].budget);
}

static size_t working_peak(const char *name, const ortho_sieve_problem *p)
{
    ortho_account account = {0};
    ortho_services sv = ortho_account_services(&account, 2);
    const ortho_sieve_hooks *hooks = ortho_variant_find(name, ORTHO_CPU)->sieve;
    void *state = calloc(1, hooks->state_size);
    assert_int_equal(hooks->prepare(state, p, &sv), ORTHO_OK);
    ortho_account_restart(&account);
    assert_int_equal(hooks->run(state, p, &sv), ORTHO_OK);
    hooks->release(state, &sv);
    free(state);
    return ortho_account_peak(&account, ORTHO_WORKING);
}

static void test_working_memory(void **unused)
{
    static const char *const streaming[] = {"csr", "warp-per-row", "block-csr"};
    shape s = {1024, 3072, 3072, 128, ORTHO_BF16, 0.01};
    bench b;
    (void)unused;
    bench_make(&b, &s, ORTHO_RULE_OUTLIER);
    size_t bytes = (size_t)(s.n * s.k) * 2;
    for (size_t v = 0; v < sizeof streaming / sizeof *streaming; v++)
        assert_true(working_peak(streaming[v], &b.p) < bytes / 50);
    s.n = 128;
    b.w.rows = 128;
    b.p.nnz = ortho_sieve_budget(s.density, s.n, s.k);
    assert_true(working_peak("coo", &b.p) > (size_t)(s.n * s.k) * 12);
    free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants_agree_with_the_oracle),
        cmocka_unit_test(test_levels_and_threads_give_the_same_bytes),
        cmocka_unit_test(test_threads_give_the_same_bytes),
        cmocka_unit_test(test_nonfinite_weights_are_named),
        cmocka_unit_test(test_what_fp16_cannot_hold_is_refused),
        cmocka_unit_test(test_tiny_weights),
        cmocka_unit_test(test_ties_go_by_row_then_column),
        cmocka_unit_test(test_hessian_must_be_a_diagonal),
        cmocka_unit_test(test_own_hessian_agrees_with_the_oracle),
        cmocka_unit_test(test_budget_is_exact),
        cmocka_unit_test(test_working_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
