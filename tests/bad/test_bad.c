/* Every deliberately broken variant is caught, for the reason that it was broken for, gets no time,
 * and the exit code says so; the two that aren't broken pass. */
#include "harness/memory.h"
#include "harness/session.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct bad {
    const char *file, *reason; /* NULL: nothing is wrong */
    int batch;
    bool after; /* caught by the verification after timing */
} bad;

static const bad defects[] = {
    {"gemm_not", NULL, 1, false},
    {"gemm_not", NULL, 40, false},
    {"gemm_row", "y[token 0, row 12] is", 1, false},
    {"gemm_row", "y[token 0, row 12] is", 40, false},
    {"gemm_element", "y[token 4, row 1] is", 8, false},
    {"gemm_element", "signed sum of its 2000 tokens", 2000, false},
    {"gemm_nan", "not written, or wrong", 1, false},
    {"gemm_nan", "not written, or wrong", 40, false},
    {"gemm_short", "not written, or wrong", 3, false},
    {"gemm_bounds", "beyond a buffer", 1, false},
    {"gemm_before", "before a buffer", 1, false},
    {"gemm_input", "changed its input x", 1, false},
    {"gemm_workspace", "beyond a buffer of 16 bytes", 1, false},
    {"gemm_later", "y[token 0, row 0] is", 1, true},
    {"gemm_nothing", "not written, or wrong", 1, false},
    {"gemm_error", "without a message", 1, false},
    {"gemm_claim", "claims to compute nothing", 1, false},
    {"sieve_not", NULL, 1, false},
    {"sieve_entry", "W - Base is", 1, false},
    {"sieve_few", "row", 1, false},
    {"sieve_scale", "scale[row 0, group 1]", 1, false},
    {"sieve_q", "q[row 0, column 0]", 1, false},
    {"sieve_choice", "W - Base is", 1, false},
    {"sieve_bounds", "beyond a buffer", 1, false},
    {"sieve_input", "changed its input W", 1, false},
    {"sieve_later", "W - Base is", 1, true},
    {"sieve_nothing", "row", 1, false},
};

static const bad descriptors[] = {
    {"gemm_abi", "built for ABI 3", 1, false},
    {"gemm_size", "bytes", 1, false},
    {"gemm_hook", "lacks the required hook gemm.run", 1, false},
    {"sieve_hook", "lacks the required hook sieve.export_split", 1, false},
    {"gemm_name", "isn't lower-case words", 1, false},
    {"gemm_empty", "neither the sieve nor the GEMM", 1, false},
    {"gemm_null", "no descriptor (NULL)", 1, false},
    {"gemm_symbol", "exports no symbol ortho_plugin", 1, false},
    {"there_is_none", "can't be loaded", 1, false},
};

static int run(const bad *b, json_t **results)
{
    char path[512];
    ob_options o;
    snprintf(path, sizeof path, "%s/bad_%s.so", BAD_DIR, b->file);
    ob_options_default(&o);
    o.backend = OB_BACKEND_CPU;
    o.model = "random:24x160";
    o.do_sieve = strncmp(b->file, "sieve", 5) == 0;
    o.do_gemm = !o.do_sieve;
    o.batches = (ob_numbers){.count = 1, .item = {b->batch}};
    o.densities = (ob_numbers){.count = 1, .item = {0.05}};
    o.l2 = OB_L2_WARM;
    o.min_time = 0.002;
    o.case_timeout = 0.5;
    o.ci_target = 1;
    o.variants = (ob_words){.count = 1, .item = {"bad"}};
    o.plugins = (ob_words){.count = 1, .item = {path}};
    return ob_session_run(&o, NULL, results);
}

static const json_t *bad_row(const json_t *results)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "variant")), "bad") == 0)
            return row;
    }
    return NULL;
}

static void expect(const bad *b, int code, const json_t *row)
{
    const char *reason = json_string_value(json_object_get(row, "reason"));
    const char *status = json_string_value(json_object_get(row, "status"));
    const json_t *verified = json_object_get(row, "verified");
    assert_non_null(row);
    if (b->reason == NULL) {
        assert_int_equal(code, OB_EXIT_OK);
        assert_string_not_equal(status, "failed");
        assert_string_equal(json_string_value(json_object_get(verified, "after")), "pass");
        return;
    }
    assert_string_equal(status, "failed");
    assert_non_null(reason);
    if (strstr(reason, b->reason) == NULL)
        fail_msg("%s: '%s' doesn't say '%s'", b->file, reason, b->reason);
    assert_int_equal(code, OB_EXIT_WRONG);
    assert_null(json_object_get(row, "time_ns"));
    assert_null(json_object_get(row, "speedup"));
    assert_string_equal(json_string_value(json_object_get(verified, b->after ? "after" : "before")),
                        "fail");
}

static void each_defect_is_caught(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        json_t *results = NULL;
        int code = run(&defects[i], &results);
        print_message("%s: %d\n", defects[i].file, code);
        assert_non_null(results);
        expect(&defects[i], code, bad_row(results));
        json_decref(results);
    }
}

static void each_descriptor_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
        json_t *results = NULL;
        assert_int_equal(run(&descriptors[i], &results), OB_EXIT_USAGE);
        assert_null(results);
        if (strstr(ortho_last_message(), descriptors[i].reason) == NULL)
            fail_msg("%s: '%s' doesn't say '%s'", descriptors[i].file, ortho_last_message(),
                     descriptors[i].reason);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return ob_memory_child(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_defect_is_caught),
        cmocka_unit_test(each_descriptor_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
