/* Selection by histogram passes against a plain sort, with few ties, many, and nothing but. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/account.h"
#include "common/error.h"
#include "kernels/select.h"

#include <stdlib.h>
#include <string.h>

typedef struct table {
    int64_t n, k;
    uint32_t *key; /* [n, k] */
    int prepared;
    ortho_status status;
} table;

static void prepare(void *ctx, int64_t row)
{
    (void)row;
#pragma omp atomic
    ((table *)ctx)->prepared++;
}

static void keys_of(void *ctx, int64_t row, int64_t col, int count, uint32_t *keys)
{
    const table *t = ctx;
    memset(keys, 0, (size_t)((count + 15) / 16 * 16) * sizeof *keys);
    memcpy(keys, t->key + row * t->k + col, (size_t)count * sizeof *keys);
}

static ortho_status check(void *ctx)
{
    return ((table *)ctx)->status;
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

/* Position p is selected when its (key, -position) is among the first `need`. */
static void brute_force(const table *t, int64_t need, uint8_t *mark)
{
    size_t all = (size_t)(t->n * t->k);
    uint64_t *rank = malloc(all * sizeof *rank);
    for (size_t i = 0; i < all; i++)
        rank[i] = (uint64_t)t->key[i] << 32 | (0xffffffffu - (uint32_t)i);
    qsort(rank, all, sizeof *rank, descending);
    memset(mark, 0, all);
    for (int64_t i = 0; i < need; i++)
        mark[0xffffffffu - (uint32_t)rank[i]] = 1;
    free(rank);
}

static void compare(table *t, int64_t need, int threads, const ortho_quant_ops *ops)
{
    ortho_account account = {0};
    ortho_services sv = ortho_account_services(&account, threads);
    int32_t *counts = calloc((size_t)t->n, sizeof *counts);
    uint8_t *mark = malloc((size_t)(t->n * t->k) + 1), index[ORTHO_CHUNK];
    _Alignas(64) uint32_t keys[ORTHO_CHUNK];
    ortho_select_problem p = {t->n, t->k, need, ops, &sv, threads, counts};
    ortho_keys source = {t, prepare, keys_of, check};
    ortho_cut cut;
    t->prepared = 0;
    assert_int_equal(ortho_select(&p, &source, &cut), ORTHO_OK);
    assert_int_equal(t->prepared, t->n);
    assert_int_equal(ortho_account_current(&account, ORTHO_WORKING), 0);
    brute_force(t, need, mark);
    for (int64_t row = 0; row < t->n; row++) {
        int32_t in_row = 0;
        for (int64_t col = 0; col < t->k; col += ORTHO_CHUNK) {
            int count = t->k - col < ORTHO_CHUNK ? (int)(t->k - col) : ORTHO_CHUNK, expected = 0;
            keys_of(t, row, col, count, keys);
            int found = ortho_cut_collect(&cut, row, col, count, ops, keys, index);
            for (int i = 0; i < count; i++)
                if (mark[row * t->k + col + i])
                    assert_int_equal(index[expected++], i);
            assert_int_equal(found, expected);
            in_row += expected;
        }
        assert_int_equal(counts[row], in_row);
    }
    free(mark);
    free(counts);
}

/* distinct: how many different keys, spread over the float bits of 2^-20 to 1. */
static void fill(table *t, uint32_t distinct, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    t->key = malloc((size_t)(t->n * t->k) * sizeof *t->key);
    for (int64_t i = 0; i < t->n * t->k; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint32_t pick = (uint32_t)(state >> 33) % distinct;
        t->key[i] = 0x35800001u + pick * (0x0a000000u / distinct);
    }
}

static void test_against_sort(void **unused)
{
    static const uint32_t distinct[] = {1, 2, 50, 100000, 0x0a000000u};
    static const int64_t shapes[][2] = {{1, 1}, {1, 300}, {37, 129}, {300, 64}, {90, 500}};
    (void)unused;
    for (size_t s = 0; s < 5; s++)
        for (size_t d = 0; d < 5; d++) {
            table t = {.n = shapes[s][0], .k = shapes[s][1]};
            int64_t all = t.n * t.k, needs[] = {0, 1, all / 100, all / 3, all - 1, all};
            fill(&t, distinct[d], s * 5 + d);
            for (size_t i = 0; i < 6; i++)
                compare(&t, needs[i], 1 + (int)i % 3, &ortho_quant_portable);
            compare(&t, all / 50, 2, ortho_quant_ops_for(ortho_cpu_detect()));
            free(t.key);
        }
}

static void test_extreme_keys(void **unused)
{
    uint32_t keys[] = {1, 0x7fffffff, 1, 0x7f800001, 2, 0x7fffffff, 1, 3};
    (void)unused;
    for (int64_t need = 0; need <= 8; need++) {
        table t = {.n = 2, .k = 4, .key = keys};
        compare(&t, need, 1, &ortho_quant_portable);
    }
}

static void test_a_failed_check_stops(void **unused)
{
    uint32_t keys[4] = {1, 2, 3, 4};
    table t = {.n = 1, .k = 4, .key = keys};
    ortho_services sv = ortho_services_default();
    ortho_select_problem p = {1, 4, 2, &ortho_quant_portable, &sv, 1, NULL};
    ortho_keys source = {&t, prepare, keys_of, check};
    ortho_cut cut;
    (void)unused;
    t.status = ORTHO_E_NONFINITE;
    assert_int_equal(ortho_select(&p, &source, &cut), ORTHO_E_NONFINITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_sort),
        cmocka_unit_test(test_extreme_keys),
        cmocka_unit_test(test_a_failed_check_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
