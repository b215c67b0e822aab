/*
 * Random shapes of `fused` on the CPU, in every form and by every instruction set, against the fp64
 * reference; tests/cuda/test_random.c is the same for a GPU. A failure says which
 * ORTHO_RANDOM_SEED and ORTHO_RANDOM_CASE repeat it alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "random_runs.h"
#include "variants/table.h"

enum { CASES = 200, WEIGHTS = 1 << 20 };

static void *take(size_t bytes)
{
    return aligned_alloc(256, (bytes + 512) / 256 * 256);
}

static void copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

/* Where activations don't become integers, a row's columns are added one after the other in fp32:
 * as many roundings as columns, which add up like steps of a random walk; 4 times its deviation. */
static double roundings(int64_t k)
{
    return 4 * sqrt((double)k) + 16;
}

static void run_levels(bool int8)
{
    static const char *const levels[] = {"portable", "avx2", "avx512"};
    random_side side = {.services = ortho_services_default(),
                        .take = take,
                        .drop = free,
                        .copy = copy,
                        .roundings = roundings,
                        .most = WEIGHTS,
                        .int8 = int8};
    const ortho_variant *v = ortho_variant_find("fused", ORTHO_CPU);
    assert_non_null(v);
    side.gemm = v->gemm;
    side.services.threads = 2;
    for (int i = 0; i < 3; i++) {
        setenv("ORTHO_CPU", levels[i], 1);
        random_cases_run(&side, i == 2 ? CASES : CASES / 4);
    }
    unsetenv("ORTHO_CPU");
}

static void random_shapes_are_right(void **state)
{
    (void)state;
    run_levels(false);
}

static void they_are_with_int8_activations(void **state)
{
    (void)state;
    run_levels(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_shapes_are_right),
        cmocka_unit_test(they_are_with_int8_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
