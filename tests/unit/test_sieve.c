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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants_agree_with_the_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
