/* The Google Benchmark shim: samples come back as they went in, errors end a case and not the
 * process, and a handle leaves nothing behind for the next. */
#include "harness/gbench.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Hands out 1 ms, 2 ms, ...; fails at one repetition. */
typedef struct feeder {
    int calls;
    int fail_at;       /* -1: never */
    double bad_value;  /* what the failing call returns */
    const char *words; /* what it writes, NULL: nothing */
    ob_gbench *inner;  /* not NULL: tries to run this one meanwhile */
    ortho_status inner_status;
} feeder;

static double feed(void *ctx, int repetition, char *error, size_t error_size)
{
    feeder *f = ctx;
    assert_int_equal(repetition, f->calls);
    f->calls++;
    if (f->inner != NULL) {
        char *json = NULL;
        f->inner_status = ob_gbench_run(f->inner, &json);
        free(json);
    }
    if (repetition == f->fail_at) {
        if (f->words != NULL)
            snprintf(error, error_size, "%s", f->words);
        return f->bad_value;
    }
    return 1e-3 * (repetition + 1);
}

static ob_gbench *new_handle(void)
{
    ob_gbench *g = NULL;
    assert_int_equal(ob_gbench_new(&g), ORTHO_OK);
    assert_non_null(g);
    return g;
}

static json_t *run_to_json(ob_gbench *g, ortho_status wanted)
{
    char *text = NULL;
    assert_int_equal(ob_gbench_run(g, &text), wanted);
    assert_non_null(text);
    json_error_t error;
    json_t *report = json_loads(text, 0, &error);
    free(text);
    assert_non_null(report);
    return report;
}

/* How many rows of single repetitions `name` has; their times in seconds go to `out`. */
static int rows_of(const json_t *report, const char *name, double *out, int room)
{
    const json_t *rows = json_object_get(report, "benchmarks");
    int found = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *run_name = json_string_value(json_object_get(row, "name"));
        const char *type = json_string_value(json_object_get(row, "run_type"));
        if (strncmp(run_name, name, strlen(name)) != 0 || strcmp(type, "iteration") != 0)
            continue;
        const char *unit = json_string_value(json_object_get(row, "time_unit"));
        assert_string_equal(unit, "ns");
        assert_int_equal(json_integer_value(json_object_get(row, "iterations")), 1);
        if (found < room)
            out[found] = 1e-9 * json_number_value(json_object_get(row, "real_time"));
        found++;
    }
    return found;
}

static void test_samples_come_back(void **state)
{
    (void)state;
    feeder f = {.fail_at = -1}, g = {.fail_at = -1};
    ob_gbench *handle = new_handle();
    assert_int_equal(ob_gbench_add(handle, "gemm/csr/\"q\\k\"", 9, feed, &f), ORTHO_OK);
    assert_int_equal(ob_gbench_add(handle, "sieve/csr", 1, feed, &g), ORTHO_OK);
    json_t *report = run_to_json(handle, ORTHO_OK);
    double times[16];
    assert_int_equal(rows_of(report, "gemm/csr/\"q\\k\"/", times, 16), 9);
    for (int i = 0; i < 9; i++)
        assert_true(fabs(times[i] - 1e-3 * (i + 1)) < 1e-12);
    assert_int_equal(rows_of(report, "sieve/csr/", times, 16), 1);
    assert_int_equal(f.calls, 9);
    assert_int_equal(g.calls, 1);
    assert_true(json_is_object(json_object_get(report, "context")));
    json_decref(report);
    ob_gbench_free(handle);
}

static void check_error(feeder f, const char *message)
{
    feeder after = {.fail_at = -1};
    ob_gbench *handle = new_handle();
    assert_int_equal(ob_gbench_add(handle, "bad", 6, feed, &f), ORTHO_OK);
    assert_int_equal(ob_gbench_add(handle, "good", 3, feed, &after), ORTHO_OK);
    json_t *report = run_to_json(handle, ORTHO_E_WRONG);
    assert_non_null(strstr(ortho_last_message(), message));
    assert_non_null(strstr(ortho_last_message(), "bad"));
    assert_int_equal(f.calls, f.fail_at + 1); /* not asked again after the error */
    const json_t *row = NULL, *rows = json_object_get(report, "benchmarks");
    for (size_t i = 0; i < json_array_size(rows) && row == NULL; i++)
        if (json_is_true(json_object_get(json_array_get(rows, i), "error_occurred")))
            row = json_array_get(rows, i);
    assert_non_null(row);
    assert_non_null(strstr(json_string_value(json_object_get(row, "error_message")), message));
    double times[8];
    assert_int_equal(rows_of(report, "good/", times, 8), 3); /* the others go on */
    json_decref(report);
    ob_gbench_free(handle);
}

static void test_errors_end_the_case(void **state)
{
    (void)state;
    check_error((feeder){.fail_at = 2, .bad_value = -1.0, .words = "row 7 is wrong"},
                "row 7 is wrong");
    check_error((feeder){.fail_at = 0, .bad_value = -1.0}, "left no message");
    check_error((feeder){.fail_at = 5, .bad_value = NAN}, "not finite");
    check_error((feeder){.fail_at = 1, .bad_value = INFINITY}, "not finite");
}

static void test_nothing_to_run(void **state)
{
    (void)state;
    ob_gbench *handle = new_handle();
    char untouched = 'x', *json = &untouched;
    assert_int_equal(ob_gbench_run(handle, &json), ORTHO_E_NOT_FOUND);
    assert_ptr_equal(json, &untouched);
    ob_gbench_free(handle);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    feeder f = {.fail_at = -1};
    char *json = NULL;
    ob_gbench *handle = new_handle();
    assert_int_equal(ob_gbench_new(NULL), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_add(NULL, "a", 1, feed, &f), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_add(handle, NULL, 1, feed, &f), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_add(handle, "", 1, feed, &f), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_add(handle, "a", 0, feed, &f), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_add(handle, "a", 1, NULL, &f), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_run(NULL, &json), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_run(handle, NULL), ORTHO_E_ARGUMENT);
    assert_int_equal(ob_gbench_run(handle, &json), ORTHO_E_NOT_FOUND); /* no bad one was added */
    ob_gbench_free(handle);
    ob_gbench_free(NULL);
}

/* The library's registry outlives handles; what one registered must not run in the next. */
static void test_handles_in_sequence(void **state)
{
    (void)state;
    feeder first = {.fail_at = -1}, second = {.fail_at = -1};
    ob_gbench *a = new_handle();
    assert_int_equal(ob_gbench_add(a, "first", 2, feed, &first), ORTHO_OK);
    json_decref(run_to_json(a, ORTHO_OK));
    first.calls = 0;
    json_decref(run_to_json(a, ORTHO_OK)); /* a handle runs again */
    assert_int_equal(first.calls, 2);
    ob_gbench_free(a);
    ob_gbench *b = new_handle();
    assert_int_equal(ob_gbench_add(b, "second", 4, feed, &second), ORTHO_OK);
    json_t *report = run_to_json(b, ORTHO_OK);
    double times[8];
    assert_int_equal(rows_of(report, "first", times, 8), 0);
    assert_int_equal(rows_of(report, "second", times, 8), 4);
    assert_int_equal(first.calls, 2);
    json_decref(report);
    ob_gbench_free(b);
}

static void test_one_run_at_a_time(void **state)
{
    (void)state;
    feeder inside = {.fail_at = -1}, outside = {.fail_at = -1, .inner_status = ORTHO_OK};
    ob_gbench *inner = new_handle(), *outer = new_handle();
    assert_int_equal(ob_gbench_add(inner, "inner", 1, feed, &inside), ORTHO_OK);
    outside.inner = inner;
    assert_int_equal(ob_gbench_add(outer, "outer", 1, feed, &outside), ORTHO_OK);
    json_decref(run_to_json(outer, ORTHO_OK));
    assert_int_equal(outside.inner_status, ORTHO_E_UNSUPPORTED);
    assert_int_equal(inside.calls, 0);
    json_decref(run_to_json(inner, ORTHO_OK)); /* later it may */
    ob_gbench_free(outer);
    ob_gbench_free(inner);
}

static void test_version(void **state)
{
    (void)state;
    assert_true(ob_gbench_version()[0] >= '1' && ob_gbench_version()[0] <= '9');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_come_back),
        cmocka_unit_test(test_errors_end_the_case),
        cmocka_unit_test(test_nothing_to_run),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_handles_in_sequence),
        cmocka_unit_test(test_one_run_at_a_time),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
