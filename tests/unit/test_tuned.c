/* Which measured case decides a call: how near is near, and which is nearest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "variants/table.h"
#include "variants/tuned.h"

#include <stdio.h>
#include <string.h>

static const char *const ways[] = {"first", "second", "third", NULL};

static const ortho_tuned_row few[] = {{1, "first"}, {8, "second"}, {32, "third"}};
static const ortho_tuned_row one[] = {{4, "third"}};
static const ortho_tuned_row gone[] = {{4, "fourth"}};
static const ortho_tuned_shape shapes[] = {
    {1000, 2000, 128, 0.01, ORTHO_F16, 3, few},  {1000, 2000, 128, 0.1, ORTHO_F16, 1, one},
    {1600, 2000, 128, 0.01, ORTHO_F16, 1, one},  {1000, 2000, 128, 0, ORTHO_F16, 1, gone},
    {1000, 2000, 2000, 0.01, ORTHO_F16, 1, one}, {1000, 2000, 128, 0.01, ORTHO_F32, 1, one},
    {1000, 2000, 128, 0.01, ORTHO_F64, 1, one}, /* of no use, and harmless */
};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const ortho_tuned_table tables[] = {
    {"other", ORTHO_CUDA, "GPU", 0, SHAPES, shapes},
    {"mine", ORTHO_CPU, "GPU", 4, SHAPES, shapes},
    {"mine", ORTHO_CUDA, "GPU 2", 0, 0, NULL},
    {"mine", ORTHO_CUDA, "GPU", 0, SHAPES, shapes},
    {0},
};

static int asked; /* how often for the device */

static void name_gpu(char name[ORTHO_TUNED_DEVICE])
{
    asked++;
    snprintf(name, ORTHO_TUNED_DEVICE, "GPU");
}

static void name_nothing(char name[ORTHO_TUNED_DEVICE])
{
    name[0] = '\0';
}

static ortho_tuned_query query_of(int64_t n, int64_t k, int64_t group, double density)
{
    return (ortho_tuned_query){.variant = "mine",
                               .backend = ORTHO_CUDA,
                               .n = n,
                               .k = k,
                               .group = group,
                               .nnz = (int64_t)(density * (double)n * (double)k),
                               .device = name_gpu};
}

/* Index of the shape that decides for F16; -1: none. */
static int shape_for(const ortho_tuned_query *q)
{
    ortho_tuned t = ortho_tuned_find(tables, q);
    return t.of[ORTHO_F16] == NULL ? -1 : (int)(t.of[ORTHO_F16] - shapes);
}

static int shape_of(int64_t n, int64_t k, int64_t group, double density)
{
    ortho_tuned_query q = query_of(n, k, group, density);
    return shape_for(&q);
}

static void the_nearest_shape_decides(void **unused)
{
    (void)unused;
    assert_int_equal(shape_of(1000, 2000, 128, 0.01), 0);
    assert_int_equal(shape_of(1264, 2000, 128, 0.01), 0); /* the middle, by ratio, is 1265 */
    assert_int_equal(shape_of(1266, 2000, 128, 0.01), 2);
    assert_int_equal(shape_of(1000, 2000, 128, 0.0316), -1); /* 3.16 times off both densities */
    assert_int_equal(shape_of(1000, 2000, 128, 0.02), 0);
    assert_int_equal(shape_of(1000, 2000, 128, 0.05), 1);
    assert_int_equal(shape_of(1000, 2000, 128, 0), 3);
    assert_int_equal(shape_of(1000, 2000, 128, 0.004), -1);
    assert_int_equal(shape_of(500, 4000, 128, 0.01), 0);
    assert_int_equal(shape_of(499, 2000, 128, 0.01), -1);
    assert_int_equal(shape_of(3200, 2000, 128, 0.01), 2);
    assert_int_equal(shape_of(3201, 2000, 128, 0.01), -1);
    assert_int_equal(shape_of(1000, 4001, 128, 0.01), -1);
    assert_int_equal(shape_of(1000, 2000, 64, 0.01), -1);
    assert_int_equal(shape_of(1000, 2500, 2500, 0.01), 4); /* whole rows, both */
    assert_int_equal(shape_of(1000, 2500, 2000, 0.01), 4); /* the same number */
}

static void another_device_or_variant_decides_nothing(void **unused)
{
    (void)unused;
    ortho_tuned_query q = query_of(1000, 2000, 128, 0.01);
    q.variant = "another";
    asked = 0;
    assert_int_equal(shape_for(&q), -1);
    assert_int_equal(asked, 0); /* no table: it isn't looked for */
    q = query_of(1000, 2000, 128, 0.01);
    assert_int_equal(shape_for(&q), 0);
    assert_int_equal(asked, 1);
    q.device = name_nothing;
    assert_int_equal(shape_for(&q), -1);
}

static void threads_of_a_processor_are_near_too(void **unused)
{
    (void)unused;
    static const struct {
        int threads, shape;
    } cases[] = {{1, -1}, {2, 0}, {4, 0}, {8, 0}, {9, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ortho_tuned_query q = query_of(1000, 2000, 128, 0.01);
        q.backend = ORTHO_CPU;
        q.threads = cases[i].threads;
        assert_int_equal(shape_for(&q), cases[i].shape);
    }
}

static void the_nearest_tokens_decide(void **unused)
{
    (void)unused;
    static const struct {
        int64_t m;
        int way;
    } cases[] = {{1, 1},  {2, 1},  {3, 0},  {4, 2},  {8, 2},
                 {15, 2}, {16, 3}, /* of both 2: more */
                 {17, 3}, {32, 3}, {64, 3}, {65, 0}, {1ll << 40, 0}};
    ortho_tuned_query q = query_of(1000, 2000, 128, 0.01);
    ortho_tuned t = ortho_tuned_find(tables, &q);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int way = ortho_tuned_way(&t, ways, ORTHO_F16, cases[i].m);
        if (way != cases[i].way)
            fail_msg("%lld tokens: way %d, not %d", (long long)cases[i].m, way, cases[i].way);
    }
    assert_int_equal(ortho_tuned_way(&t, ways, ORTHO_F32, 4), 3);
    assert_int_equal(ortho_tuned_way(&t, ways, ORTHO_F32, 1), 0);
    assert_int_equal(ortho_tuned_way(&t, ways, ORTHO_BF16, 4), 0);
    assert_int_equal(ortho_tuned_way(&t, ways, ORTHO_F64, 4), 0);
    q = query_of(1000, 2000, 128, 0);
    t = ortho_tuned_find(tables, &q);
    assert_int_equal(ortho_tuned_way(&t, ways, ORTHO_F16, 4), 0); /* a way that isn't there */
    assert_int_equal(ortho_tuned_way(&(ortho_tuned){{NULL}}, ways, ORTHO_F16, 4), 0);
}

static void ways_have_numbers_and_names(void **unused)
{
    (void)unused;
    assert_int_equal(ortho_way_find(ways, "first"), 1);
    assert_int_equal(ortho_way_find(ways, "third"), 3);
    assert_int_equal(ortho_way_find(ways, "thir"), 0);
    assert_int_equal(ortho_way_find(NULL, "first"), 0);
    assert_string_equal(ortho_way_name(ways, 3), "third");
    assert_string_equal(ortho_way_name(ways, 4), "?");
    assert_string_equal(ortho_way_name(ways, 0), "?");
    assert_string_equal(ortho_way_name(ways, -1), "?");
    assert_string_equal(ortho_way_name(NULL, 1), "?");
}

/* The build's own tables: each of a variant that is there, in words that it knows. */
static void the_builds_tables_name_ways_that_there_are(void **unused)
{
    (void)unused;
    for (const ortho_tuned_table *t = ortho_tuned_tables; t->variant != NULL; t++) {
        const ortho_variant *v = ortho_variant_find(t->variant, t->backend);
        if (v == NULL && t->backend == ORTHO_CUDA)
            continue; /* built without */
        assert_non_null(v);
        for (int s = 0; s < t->shapes; s++)
            for (int r = 0; r < t->shape[s].rows; r++)
                if (ortho_way_find(v->gemm->ways, t->shape[s].row[r].way) == 0)
                    fail_msg("%s has no way '%s', which the table of %s names", t->variant,
                             t->shape[s].row[r].way, t->device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_shape_decides),
        cmocka_unit_test(another_device_or_variant_decides_nothing),
        cmocka_unit_test(threads_of_a_processor_are_near_too),
        cmocka_unit_test(the_nearest_tokens_decide),
        cmocka_unit_test(ways_have_numbers_and_names),
        cmocka_unit_test(the_builds_tables_name_ways_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
