/* Student's t, ranks and corrections against SciPy: tests/golden-stats/golden.json. */
#include "common/ranks.h"
#include "common/student.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    json_error_t error;
    *state = json_load_file(ORTHO_SOURCE_DIR "/tests/golden-stats/golden.json", 0, &error);
    return *state == NULL;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static double *numbers(const json_t *object, const char *key, size_t *n)
{
    const json_t *array = json_object_get(object, key);
    *n = json_array_size(array);
    double *values = malloc((*n + 1) * sizeof *values);
    assert_true(values != NULL && *n > 0);
    for (size_t i = 0; i < *n; i++)
        values[i] = json_number_value(json_array_get(array, i));
    return values;
}

static void near(double got, double wanted)
{
    if (!(fabs(got - wanted) <= 1e-9 * fabs(wanted)))
        fail_msg("%.17g, wanted %.17g", got, wanted);
}

static void student(void **state)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(*state, "student"), i, one)
    {
        double df = number(one, "df");
        near(ortho_student_two_sided(number(one, "t"), df), number(one, "p"));
        near(ortho_student_two_sided(-number(one, "t"), df), number(one, "p"));
        near(ortho_student_quantile(number(one, "of"), df), number(one, "quantile"));
    }
    assert_true(i == 30);
    /* As many as a side of a given spread has beside one of nearly none. */
    near(ortho_student_two_sided(2, 1e6), 0.04550053385131924);
    near(ortho_student_two_sided(0.1, 1e15), 0.9203443254459421);
    near(ortho_student_two_sided(5, 1e15), 5.733031437584845e-07);
    near(ortho_student_quantile(0.05, 1e15), 1.9599639845400567);
    near(ortho_student_quantile(0.05, INFINITY), 1.9599639845400545);
    near(ortho_student_two_sided(1.9599639845400545, INFINITY), 0.05);
    assert_true(ortho_student_two_sided(INFINITY, 3) == 0);
    assert_true(isnan(ortho_student_two_sided(NAN, 3)) && isnan(ortho_student_two_sided(1, 0)));
    assert_true(isnan(ortho_student_quantile(0, 3)) && isnan(ortho_student_quantile(1, 3)));
}

static void mann_whitney(void **state)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(*state, "rank_tests"), i, one)
    {
        size_t na, nb;
        double *a = numbers(one, "a", &na), *b = numbers(one, "b", &nb);
        near(ortho_mann_whitney(a, na, b, nb), number(one, "p"));
        near(ortho_mann_whitney(b, nb, a, na), number(one, "p"));
        free(a);
        free(b);
    }
    assert_true(i == 9);
    assert_true(isnan(ortho_mann_whitney(NULL, 0, (double[]){1}, 1)));
}

static void discoveries(void **state)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(*state, "discoveries"), i, one)
    {
        size_t n, same;
        double *p = numbers(one, "p", &n), *wanted = numbers(one, "corrected", &same);
        assert_true(same == n && ortho_false_discovery(p, n));
        for (size_t j = 0; j < n; j++)
            near(p[j], wanted[j]);
        free(p);
        free(wanted);
    }
    double with_a_gap[] = {NAN, 0.01, 0.04};
    assert_true(ortho_false_discovery(with_a_gap, 3) && isnan(with_a_gap[0]));
    near(with_a_gap[1], 0.02);
    assert_true(ortho_false_discovery(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(student),
        cmocka_unit_test(mann_whitney),
        cmocka_unit_test(discoveries),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
