/* Imposed row distributions: the total is kept, the split stays canonical, and the rows have the
 * shape that was asked for. */
#include "tests/unit/test_reader_files.h"

#include <math.h>
#include <ortho/variant.h>

typedef struct made_split {
    ortho_split split;
    int32_t *row_ptr;
    uint32_t *col;
} made_split;

static made_split make(int64_t n, int64_t k, int64_t nnz)
{
    made_split m = {.row_ptr = calloc((size_t)n + 1, 4), .col = calloc((size_t)nnz + 1, 4)};
    m.row_ptr[n] = (int32_t)nnz;
    m.split =
        (ortho_split){.n = n, .k = k, .nnz = nnz, .group = k, .row_ptr = m.row_ptr, .col = m.col};
    return m;
}

static void drop(made_split *m)
{
    free(m->row_ptr);
    free(m->col);
}

/* variant.h's invariants of row_ptr and col. */
static void check(const ortho_split *s)
{
    assert_int_equal(s->row_ptr[0], 0);
    assert_int_equal(s->row_ptr[s->n], s->nnz);
    for (int64_t r = 0; r < s->n; r++) {
        assert_true(s->row_ptr[r] <= s->row_ptr[r + 1]);
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++) {
            assert_true(ortho_split_col(s, i) < s->k);
            if (i > s->row_ptr[r])
                assert_true(ortho_split_col(s, i) > ortho_split_col(s, i - 1));
        }
    }
}

static void keeps_the_split_canonical(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 0},   {1, 1, 1},     {7, 5, 35},      {7, 5, 34},
                                       {3, 100, 1}, {100, 3, 150}, {64, 70000, 999}};
    static const char *const specs[] = {"uniform", "lognormal:0", "lognormal:1", "lognormal:4",
                                        "one-full"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof specs / sizeof *specs; j++) {
            made_split m = make(sizes[i][0], sizes[i][1], sizes[i][2]);
            assert_int_equal(ortho_rows_impose(&m.split, specs[j], 3), ORTHO_OK);
            check(&m.split);
            drop(&m);
        }
}

static int32_t row_length(const ortho_split *s, int64_t r)
{
    return s->row_ptr[r + 1] - s->row_ptr[r];
}

static void uniform_is_even(void **state)
{
    (void)state;
    made_split m = make(300, 1000, 3100);
    assert_int_equal(ortho_rows_impose(&m.split, "uniform", 1), ORTHO_OK);
    double columns = 0;
    for (int64_t r = 0; r < 300; r++)
        assert_in_range(row_length(&m.split, r), 10, 11);
    for (int64_t i = 0; i < 3100; i++)
        columns += (double)ortho_split_col(&m.split, i);
    assert_true(fabs(columns / 3100 - 499.5) < 16); /* three sigma */
    drop(&m);
}

static void lognormal_is_skewed(void **state)
{
    (void)state;
    made_split m = make(20000, 4000, 1000000);
    assert_int_equal(ortho_rows_impose(&m.split, "lognormal:0.5", 1), ORTHO_OK);
    double squares = 0;
    for (int64_t r = 0; r < 20000; r++)
        squares += pow(row_length(&m.split, r), 2);
    double cv = sqrt(squares / 20000 / 2500 - 1);
    assert_true(fabs(cv - sqrt(exp(.25) - 1)) < .03);
    drop(&m);
}

static void one_full_has_one_row(void **state)
{
    (void)state;
    made_split m = make(256, 1024, 2621);
    assert_int_equal(ortho_rows_impose(&m.split, "one-full", 5), ORTHO_OK);
    int long_rows = 0;
    for (int64_t r = 0; r < 256; r++)
        if (row_length(&m.split, r) > 900)
            long_rows++;
        else
            assert_in_range(row_length(&m.split, r), 6, 8);
    assert_int_equal(long_rows, 1);
    drop(&m);
}

static void depends_on_the_seed_only(void **state)
{
    (void)state;
    made_split a = make(50, 60, 200), b = make(50, 60, 200), c = make(50, 60, 200);
    assert_int_equal(ortho_rows_impose(&a.split, "lognormal:1", 1), ORTHO_OK);
    assert_int_equal(ortho_rows_impose(&b.split, "lognormal:1", 1), ORTHO_OK);
    assert_int_equal(ortho_rows_impose(&c.split, "lognormal:1", 2), ORTHO_OK);
    assert_memory_equal(a.row_ptr, b.row_ptr, 51 * 4);
    assert_memory_equal(a.col, b.col, 200 * 2);
    assert_memory_not_equal(a.row_ptr, c.row_ptr, 51 * 4);
    drop(&a), drop(&b), drop(&c);
}

static void sieve_leaves_it_alone(void **state)
{
    (void)state;
    made_split m = make(3, 5, 4);
    m.row_ptr[1] = 3;
    assert_int_equal(ortho_rows_impose(&m.split, "sieve", 1), ORTHO_OK);
    assert_int_equal(m.row_ptr[1], 3);
    assert_int_equal(m.row_ptr[2], 0);
    drop(&m);
}

static void refuses_specs(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "Uniform",       "uniform:1",    "lognormal",
        "lognormal:", "lognormal:-1",  "lognormal:5",  "one-full:2",
        "sieve ",     "lognormal:nan", "lognormal:1x", "lognormal: 1"};
    made_split m = make(3, 5, 4);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ortho_rows_impose(&m.split, bad[i], 1), ORTHO_E_ARGUMENT);
        assert_non_null(strstr(ortho_last_message(), "lognormal:SIGMA"));
    }
    m.split.nnz = 16;
    assert_int_equal(ortho_rows_impose(&m.split, "uniform", 1), ORTHO_E_ARGUMENT);
    assert_non_null(strstr(ortho_last_message(), "don't fit [3, 5]"));
    drop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_split_canonical),
        cmocka_unit_test(uniform_is_even),
        cmocka_unit_test(lognormal_is_skewed),
        cmocka_unit_test(one_full_has_one_row),
        cmocka_unit_test(depends_on_the_seed_only),
        cmocka_unit_test(sieve_leaves_it_alone),
        cmocka_unit_test(refuses_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
