/* A session end to end on small matrices: every row verified, every engine, keys that run again,
 * Ctrl-C, exit codes. */
#include "harness/memory.h"
#include "harness/session.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static ob_options options(const char *model)
{
    ob_options o;
    ob_options_default(&o);
    o.backend = OB_BACKEND_CPU;
    o.model = model;
    o.do_sieve = o.do_gemm = true;
    o.l2 = OB_L2_WARM;
    o.min_time = 0.002;
    o.case_timeout = 0.5;
    o.ci_target = 1;
    o.threads = 1;
    return o;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* Every row passed, or is a reference that computes nothing. */
static void expect_verified(const json_t *results, bool timed)
{
    size_t i;
    json_t *row;
    assert_true(json_array_size(json_object_get(results, "results")) > 0);
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        const json_t *v = json_object_get(row, "verified");
        bool nothing = strcmp(text_of(row, "role"), "ceiling") == 0 ||
                       strcmp(text_of(row, "role"), "harness") == 0;
        if (strcmp(text_of(row, "status"), "ok") != 0 &&
            strcmp(text_of(row, "status"), "ambiguous") != 0)
            fail_msg("%s: %s %s", text_of(row, "key"), text_of(row, "status"),
                     text_of(row, "reason"));
        assert_string_equal(text_of(v, "before"), nothing ? "n/a" : "pass");
        assert_string_equal(text_of(v, "after"), nothing ? "n/a" : "pass");
        assert_int_equal(json_object_get(row, "time_ns") != NULL, timed);
    }
}

static void every_variant_is_right_on_odd_shapes(void **state)
{
    static const char *const models[] = {"random:33x129", "random:1x1", "random:7x300"};
    (void)state;
    for (int m = 0; m < 3; m++)
        for (int rule = 0; rule < 3; rule++) {
            ob_options o = options(models[m]);
            json_t *results = NULL;
            o.rule = (ortho_rule)rule;
            o.variants = (ob_words){.count = 1, .item = {"all"}};
            o.batches = (ob_numbers){.count = 3, .item = {1, 3, 33}};
            o.densities = (ob_numbers){.count = 3, .item = {0, 0.03, 1}};
            o.alpha = rule == 1 ? -0.5 : rule == 2 ? 0 : 1;
            o.group = rule == 1 ? 0 : 32;
            o.verify_only = true;
            assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
            expect_verified(results, false);
            json_decref(results);
        }
}

static void imposed_rows_stay_right(void **state)
{
    static const char *const rows[] = {"uniform", "lognormal:1", "one-full"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        ob_options o = options("random:40x128");
        json_t *results = NULL;
        o.do_sieve = false;
        o.ortho_rows = rows[i];
        o.verify_only = true;
        o.variants = (ob_words){.count = 1, .item = {"all"}};
        assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
        expect_verified(results, false);
        json_decref(results);
    }
}

static void both_engines_fill_the_same_rows(void **state)
{
    static const ob_engine engines[] = {OB_ENGINE_OWN, OB_ENGINE_GBENCH};
    static const char *const names[] = {"own", "gbench"};
    (void)state;
    for (int e = 0; e < 2; e++) {
        ob_options o = options("random:64x96");
        json_t *results = NULL;
        o.engine = engines[e];
        o.variants = (ob_words){.count = 1, .item = {"csr"}};
        assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
        assert_string_equal(text_of(json_object_get(results, "context"), "engine"), names[e]);
        expect_verified(results, true);
        json_decref(results);
    }
}

static void a_pass_is_verified_and_bounds_the_tokens(void **state)
{
    ob_options o = options("random:64x96");
    json_t *results = NULL;
    size_t i;
    json_t *row;
    (void)state;
    o.pass = OB_PASS_DECODE;
    o.batches = (ob_numbers){.count = 1, .item = {2}};
    o.variants = (ob_words){.count = 2, .item = {"csr", "block-csr"}};
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
    expect_verified(results, true);
    assert_int_equal(json_array_size(json_object_get(results, "results")), 5);
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        const json_t *tokens = json_object_get(row, "tokens_per_s");
        double ns = json_number_value(json_object_get(json_object_get(row, "time_ns"), "median"));
        assert_string_equal(text_of(row, "l2"), "pass");
        assert_int_equal(json_integer_value(json_object_get(row, "linears")), 1);
        assert_null(json_object_get(row, "layer"));
        if (strcmp(text_of(row, "role"), "harness") != 0)
            assert_true(json_number_value(json_object_get(tokens, "value")) == 2e9 / ns);
    }
    json_decref(results);
}

static void a_key_runs_its_row_again(void **state)
{
    ob_options o = options("random:64x96");
    json_t *results = NULL;
    (void)state;
    o.case_key = "gemm/block-csr/cpu/L0.w/m1/d0.01/outlier/g128/fp32/warm";
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
    const json_t *rows = json_object_get(results, "results");
    assert_int_equal(json_array_size(rows), 1);
    assert_string_equal(text_of(json_array_get(rows, 0), "key"), o.case_key);
    json_decref(results);
}

static void listing_gives_the_keys_of_the_run(void **state)
{
    ob_options o = options("random:64x96");
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    (void)state;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    assert_int_equal(ob_session_list(&o, out), OB_EXIT_OK);
    fclose(out);
    assert_non_null(strstr(text, "sieve/csr/cpu/L0.w/d0.01/outlier/g128/warm\n"));
    assert_non_null(strstr(text, "gemm/dense/cpu/L0.w/m1/d0.01/outlier/g128/fp32/warm\n"));
    free(text);
}

static void stop_after_first(void *ctx, int index, const json_t *row)
{
    (void)row;
    if (index == 0)
        ob_session_interrupt();
    ++*(int *)ctx;
}

static void an_interruption_keeps_what_was_measured(void **state)
{
    ob_options o = options("random:64x96");
    int rows = 0;
    ob_progress p = {.ctx = &rows, .end = stop_after_first};
    json_t *results = NULL;
    (void)state;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    assert_int_equal(ob_session_run(&o, &p, &results), OB_EXIT_INTERRUPTED);
    assert_non_null(results);
    assert_true(json_is_true(json_object_get(json_object_get(results, "context"), "interrupted")));
    assert_int_equal(json_array_size(json_object_get(results, "results")), rows);
    assert_int_equal(rows, 2); /* the group that was finished: csr, memcpy */
    json_decref(results);
}

static void exit_codes_say_what_happened(void **state)
{
    json_t *results = NULL;
    (void)state;
    ob_options o = options("random:64x96");
    o.variants = (ob_words){.count = 1, .item = {"nope"}};
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_USAGE);
    assert_null(results);
    o = options("/there/is/no/such/model.safetensors");
    assert_int_not_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
    assert_null(results);
    o = options("random:64x96");
    o.backend = OB_BACKEND_CUDA;
    int code = ob_session_run(&o, NULL, &results);
    if (results == NULL) /* no GPU here */
        assert_int_equal(code, OB_EXIT_SKIPPED);
    json_decref(results);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return ob_memory_child(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variant_is_right_on_odd_shapes),
        cmocka_unit_test(imposed_rows_stay_right),
        cmocka_unit_test(both_engines_fill_the_same_rows),
        cmocka_unit_test(a_pass_is_verified_and_bounds_the_tokens),
        cmocka_unit_test(a_key_runs_its_row_again),
        cmocka_unit_test(listing_gives_the_keys_of_the_run),
        cmocka_unit_test(an_interruption_keeps_what_was_measured),
        cmocka_unit_test(exit_codes_say_what_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
