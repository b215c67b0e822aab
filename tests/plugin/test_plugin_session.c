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

static ob_options options_of(const char *plugin, const char *variant, ob_backend_choice backend)
{
    ob_options o;
    ob_options_default(&o);
    o.backend = backend;
    o.model = "random:48x70";
    o.do_sieve = false;
    o.do_gemm = true;
    o.l2 = OB_L2_WARM;
    o.min_time = 0.01;
    o.case_timeout = 1;
    o.ci_target = 0.5;
    o.variants = (ob_words){.count = 1, .item = {variant}};
    o.plugins = (ob_words){.count = 1, .item = {plugin}};
    return o;
}

static void verified_and_measured(const json_t *row, json_int_t weights)
{
    const json_t *verified = json_object_get(row, "verified");
    assert_non_null(row);
    assert_string_equal(text_of(verified, "before"), "pass");
    assert_string_equal(text_of(verified, "after"), "pass");
    assert_true(json_number_value(json_object_get(json_object_get(row, "time_ns"), "median")) > 0);
    const json_t *peak = json_object_get(row, "peak_bytes");
    assert_int_equal(json_integer_value(json_object_get(peak, "weights")), weights);
}

static void plugin_is_verified_and_measured(void **state)
{
    ob_options o = options_of(*(char **)state, "example", OB_BACKEND_CPU);
    json_t *results = NULL;
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
    const json_t *row = row_of(results, "example");
    verified_and_measured(row, 2 * 48 * 70 * 4);
    const json_t *peak = json_object_get(row, "peak_bytes");
    assert_true(json_integer_value(json_object_get(peak, "host")) > 100000);
    /* What it is compared with runs without being named. */
    assert_non_null(row_of(results, "dense"));
    assert_non_null(row_of(results, "memcpy"));
    assert_non_null(row_of(results, "null"));
    assert_null(row_of(results, "csr"));
    assert_true(json_number_value(json_object_get(json_object_get(row, "speedup"), "ratio")) > 0);
    json_decref(results);
}

/* ---- on a GPU -------------------------------------------------------------------------------- */

static bool gpu_is_here(void)
{
    char why[256];
    const ob_backend *cuda = ob_backend_find(ORTHO_CUDA);
    return cuda != NULL && cuda->available(why);
}

static void cuda_plugin_is_verified_and_measured(void **state)
{
    static const ortho_dtype dtypes[] = {ORTHO_F16, ORTHO_BF16, ORTHO_F32};
    if (!gpu_is_here()) {
        print_message("no GPU here: refused, as it should be\n");
        return;
    }
    for (int i = 0; i < 3; i++) {
        ob_options o = options_of(*(char **)state, "example-cuda", OB_BACKEND_CUDA);
        o.dtype = dtypes[i];
        json_t *results = NULL;
        assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
        const json_t *row = row_of(results, "example-cuda");
        /* 33 entries: q, scale, row_ptr, col, val */
        verified_and_measured(row, 48 * 35 + 48 * 2 + 49 * 4 + 33 * 4 + 33 * 2);
        const json_t *kernel = json_array_get(json_object_get(row, "kernels"), 0);
        assert_string_equal(text_of(kernel, "name"), "multiply");
        assert_true(json_integer_value(json_object_get(kernel, "registers")) > 0);
        assert_non_null(json_object_get(row, "divergence"));
        assert_non_null(row_of(results, "null"));
        assert_null(row_of(results, "csr"));
        json_decref(results);
    }
}

/* On the other backend it is a usage error, without a GPU a skip: in words, and nothing is run. */
static void cuda_plugin_is_refused_elsewhere(void **state)
{
    json_t *results = NULL;
    ob_options o = options_of(*(char **)state, "example-cuda", OB_BACKEND_CPU);
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_USAGE);
    assert_null(results);
    assert_non_null(strstr(ortho_last_message(), "is for cuda, this run is on cpu"));
    if (gpu_is_here())
        return;
    o = options_of(*(char **)state, "example-cuda", OB_BACKEND_CUDA);
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_SKIPPED);
    assert_null(results);
    assert_non_null(strstr(ortho_last_message(), "--backend cuda: "));
}

/* test_plugin_session EXAMPLE.so, or --cuda EXAMPLE.so */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return ob_memory_child(argc, argv);
    if (argc < 2)
        return EXIT_FAILURE;
    const struct CMUnitTest cpu[] = {
        cmocka_unit_test_prestate(plugin_is_verified_and_measured, argv[1]),
    };
    const struct CMUnitTest cuda[] = {
        cmocka_unit_test_prestate(cuda_plugin_is_verified_and_measured, argv[argc - 1]),
        cmocka_unit_test_prestate(cuda_plugin_is_refused_elsewhere, argv[argc - 1]),
    };
    return strcmp(argv[1], "--cuda") == 0 ? cmocka_run_group_tests(cuda, NULL, NULL)
                                          : cmocka_run_group_tests(cpu, NULL, NULL);
}
