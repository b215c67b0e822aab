/* Every deliberately broken group or chain of a pass is caught in the form that it is of, for the
 * reason that it was broken for, without a time; the other form and the one that isn't broken pass.
 */
#include "caught.h"
#include "harness/memory.h"

typedef struct bad_pass {
    bad what;
    const char *form;
} bad_pass;

static const bad_pass defects[] = {
    {{"pass_not", NULL, 1, BEFORE}, "single"},
    {{"pass_not", NULL, 1, BEFORE}, "grouped"},
    {{"pass_not", NULL, 3, BEFORE}, "grouped"},
    {{"pass_not", NULL, 1, BEFORE}, "persistent"},
    {{"pass_swap", "L0.k: y[token 0, row 0] is", 1, BEFORE}, "grouped"},
    {{"pass_swap", "L0.k: y[token 0, row 0] is", 2, BEFORE}, "grouped"},
    {{"pass_last", "nan: not written, or wrong", 1, BEFORE}, "grouped"},
    {{"pass_step", "step 3 of 7, L0.v: y[token 0, row 96] is", 1, BEFORE}, "persistent"},
    {{"pass_stale", "step 4 of 7, L0.o: y[token 0, row 0] is", 1, BEFORE}, "persistent"},
    /* a loop leaves it right: what a launch reads of the one before is the same */
    {{"pass_race", "step 4 of 7, L0.o: y[token 0, row 0] is", 1, AFTER}, "persistent"},
    {{"pass_scale", "L0.q: y[token 0, row 0] is", 1, BEFORE}, "persistent"},
    {{"pass_link", "L0.o: y[token 0, row 0] is", 1, BEFORE}, "persistent"},
    {{"pass_input", "changed its input x", 1, BEFORE}, "persistent"},
    {{"pass_later", "step 7 of 7, L0.down: y[token 0, row 0] is", 1, AFTER}, "persistent"},
    {{"pass_bounds", "beyond a buffer", 1, BEFORE}, "persistent"},
};

static void options_of(const bad *b, char path[512], ob_options *o)
{
    bad_options(b, BAD_DIR, path, o);
    o->model = "synthetic:smollm2-135m";
    o->layers = (ob_numbers){.count = b->reason == NULL ? 2 : 1, .item = {0, 1}};
    o->pass = OB_PASS_DECODE;
    o->forms = OB_FORM_SINGLE | OB_FORM_GROUPED | OB_FORM_PERSISTENT;
    o->dtype = ORTHO_F32;
    o->case_timeout = 0.1;
}

static const json_t *row_of(const json_t *results, const char *form)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "variant")), "bad") == 0 &&
            strcmp(json_string_value(json_object_get(row, "form")), form) == 0)
            return row;
    }
    return NULL;
}

/* The defect is the form's alone. */
static void others_pass(const json_t *results, const bad_pass *b)
{
    static const char *const forms[] = {"single", "grouped", "persistent"};
    for (int f = 0; f < 3; f++) {
        const json_t *row = row_of(results, forms[f]);
        const char *status = json_string_value(json_object_get(row, "status"));
        bool chain = f == 2, skipped = chain && b->what.batch > 1;
        if (strcmp(forms[f], b->form) != 0)
            assert_true(skipped == (strcmp(status, "skipped") == 0) &&
                        strcmp(status, "failed") != 0);
    }
}

static void each_defect_is_caught(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        char path[512];
        ob_options o;
        json_t *results = NULL;
        options_of(&defects[i].what, path, &o);
        int code = ob_session_run(&o, NULL, &results);
        print_message("%s, %s: %d\n", defects[i].what.file, defects[i].form, code);
        assert_non_null(results);
        expect_caught(&defects[i].what, code, row_of(results, defects[i].form));
        others_pass(results, &defects[i]);
        json_decref(results);
    }
}

/* Of a part of a layer: steps that take x again, and one whose x spans two outputs. */
static void a_chain_of_a_part_is_right(void **state)
{
    static const ob_words parts[] = {{.count = 2, .item = {"v", "o"}},
                                     {.count = 3, .item = {"q", "k", "o"}},
                                     {.count = 2, .item = {"gate", "down"}},
                                     {.count = 1, .item = {"down"}}};
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const bad b = {"pass_not", NULL, 1, BEFORE};
        char path[512];
        ob_options o;
        json_t *results = NULL;
        options_of(&b, path, &o);
        o.projections = parts[i];
        o.verify_only = true;
        int code = ob_session_run(&o, NULL, &results);
        expect_caught(&b, code, row_of(results, "persistent"));
        expect_caught(&b, code, row_of(results, "grouped"));
        json_decref(results);
    }
}

static double bytes_of(const json_t *results, const char *form)
{
    return json_number_value(json_object_get(row_of(results, form), "bytes"));
}

static void how_groups_were_made_is_told(void **state)
{
    const bad b = {"pass_not", NULL, 1, BEFORE};
    char path[512];
    ob_options o;
    json_t *results = NULL;
    (void)state;
    options_of(&b, path, &o);
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_OK);
    const json_t *row = row_of(results, "grouped"), *chain = row_of(results, "persistent");
    assert_string_equal(json_string_value(json_object_get(row, "grouping")),
                        "one launch over separate weights");
    assert_null(json_object_get(chain, "grouping"));
    /* One launch an operation, over the baseline in both of its forms. */
    const json_t *time = json_object_get(chain, "time_ns");
    assert_int_equal(json_integer_value(json_object_get(time, "copies")), 1);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(chain, "speedup"), "over")), "dense");
    assert_non_null(json_object_get(chain, "speedup_grouped"));
    assert_non_null(json_object_get(chain, "tokens_per_s"));
    /* A group reads its x once. A chain reads its own; the others' are outputs of its steps. */
    double x = 576 * sizeof(float), layer = 6 * x + 1536 * sizeof(float);
    double single = bytes_of(results, "single");
    assert_true(bytes_of(results, "grouped") == single - 2 * 3 * x);
    assert_true(bytes_of(results, "persistent") == single - 2 * layer + x);
    json_decref(results);
}

static void a_chain_lacks_no_hook(void **state)
{
    const bad b = {"pass_hook", NULL, 1, BEFORE};
    char path[512];
    ob_options o;
    json_t *results = NULL;
    (void)state;
    options_of(&b, path, &o);
    assert_int_equal(ob_session_run(&o, NULL, &results), OB_EXIT_USAGE);
    assert_non_null(strstr(ortho_last_message(), "lacks the required hook gemm.chain.run"));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return ob_memory_child(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_defect_is_caught),
        cmocka_unit_test(a_chain_of_a_part_is_right),
        cmocka_unit_test(how_groups_were_made_is_told),
        cmocka_unit_test(a_chain_lacks_no_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
