/* Every deliberately broken variant is caught, for the reason that it was broken for, gets no time,
 * and the exit code says so; the two that aren't broken pass. */
#include "caught.h"
#include "harness/memory.h"

static const bad defects[] = {
    {"gemm_not", NULL, 1, BEFORE},
    {"gemm_not", NULL, 40, BEFORE},
    {"gemm_row", "y[token 0, row 12] is", 1, BEFORE},
    {"gemm_row", "y[token 0, row 12] is", 40, BEFORE},
    {"gemm_element", "y[token 4, row 1] is", 8, BEFORE},
    {"gemm_element", "signed sum of its 2000 tokens", 2000, BEFORE},
    {"gemm_nan", "not written, or wrong", 1, BEFORE},
    {"gemm_nan", "not written, or wrong", 40, BEFORE},
    {"gemm_short", "not written, or wrong", 3, BEFORE},
    {"gemm_bounds", "beyond a buffer", 1, BEFORE},
    {"gemm_before", "before a buffer", 1, BEFORE},
    {"gemm_input", "changed its input x", 1, BEFORE},
    {"gemm_workspace", "beyond a buffer of 16 bytes", 1, BEFORE},
    {"gemm_later", "y[token 0, row 0] is", 1, AFTER},
    {"gemm_nothing", "not written, or wrong", 1, BEFORE},
    {"gemm_error", "without a message", 1, BEFORE},
    {"gemm_claim", "claims to compute nothing", 1, BEFORE},
    {"sieve_not", NULL, 1, BEFORE},
    {"sieve_entry", "W - Base is", 1, BEFORE},
    {"sieve_few", "row", 1, BEFORE},
    {"sieve_scale", "scale[row 0, group 1]", 1, BEFORE},
    {"sieve_q", "q[row 0, column 0]", 1, BEFORE},
    {"sieve_choice", "W - Base is", 1, BEFORE},
    {"sieve_bounds", "beyond a buffer", 1, BEFORE},
    {"sieve_input", "changed its input W", 1, BEFORE},
    {"sieve_later", "W - Base is", 1, AFTER},
    {"sieve_nothing", "row", 1, BEFORE},
};

static const bad descriptors[] = {
    {"gemm_abi", "built for ABI 9", 1, BEFORE},
    {"gemm_size", "bytes", 1, BEFORE},
    {"gemm_rounds", "int8_activations are for a product with the split alone", 1, BEFORE},
    {"gemm_hook", "lacks the required hook gemm.run", 1, BEFORE},
    {"ways_half", "lacks the required hook gemm.way", 1, BEFORE},
    {"ways_word", "its way 'Quick' isn't lower-case words", 1, BEFORE},
    {"sieve_hook", "lacks the required hook sieve.export_split", 1, BEFORE},
    {"gemm_name", "isn't lower-case words", 1, BEFORE},
    {"gemm_empty", "neither the sieve nor the GEMM", 1, BEFORE},
    {"gemm_null", "no descriptor (NULL)", 1, BEFORE},
    {"gemm_symbol", "exports no symbol ortho_plugin", 1, BEFORE},
    {"there_is_none", "can't be loaded", 1, BEFORE},
};

static int run(const bad *b, json_t **results)
{
    char path[512];
    ob_options o;
    bad_options(b, BAD_DIR, path, &o);
    return ob_session_run(&o, NULL, results);
}

static void each_defect_is_caught(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        json_t *results = NULL;
        int code = run(&defects[i], &results);
        print_message("%s: %d\n", defects[i].file, code);
        assert_non_null(results);
        expect_caught(&defects[i], code, bad_row(results));
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
