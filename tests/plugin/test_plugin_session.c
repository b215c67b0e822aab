/* A plug-in built elsewhere stands in the same table as ours, under the same verification. */
#include "harness/memory.h"
#include "harness/session.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

static const json_t *row_of(const json_t *results, const char *variant)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        if (strcmp(text_of(row, "variant"), variant) == 0)
            return row;
    }
    return NULL;
}

static void plugin_is_verified_and_measured(void **state)
{
    ob_options o;
    ob_options_default(&o);
    o.backend = OB_BACKEND_CPU;
    o.model = "random:48x70";
    o.do_sieve = false;
    o.do_gemm = true;
    o.l2 = OB_L2_WARM;
    o.min_time = 0.01;
    o.case_timeout = 1;
    o.ci_target = 0.5;
    o.variants = (ob_words){.count = 1, .item = {"example"}};
    o.plugins = (ob_words){.count = 1, .item = {*(char **)state}};
    json_t *results = NULL;
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
    const json_t *row = row_of(results, "example"), *verified = json_object_get(row, "verified");
    assert_non_null(row);
    assert_string_equal(text_of(verified, "before"), "pass");
    assert_string_equal(text_of(verified, "after"), "pass");
    assert_true(json_number_value(json_object_get(json_object_get(row, "time_ns"), "median")) > 0);
    const json_t *peak = json_object_get(row, "peak_bytes");
    assert_int_equal(json_integer_value(json_object_get(peak, "weights")), 2 * 48 * 70 * 4);
    assert_true(json_integer_value(json_object_get(peak, "host")) > 100000);
    /* What it is compared with runs without being named. */
    assert_non_null(row_of(results, "dense"));
    assert_non_null(row_of(results, "memcpy"));
    assert_non_null(row_of(results, "null"));
    assert_null(row_of(results, "csr"));
    assert_true(json_number_value(json_object_get(json_object_get(row, "speedup"), "ratio")) > 0);
    json_decref(results);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return ob_memory_child(argc, argv);
    if (argc != 2)
        return EXIT_FAILURE;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(plugin_is_verified_and_measured, argv[1]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
