/* What a comparison pairs, judges and refuses. */
#include "tests/unit/comparison_rows.h"

#include "common/error.h"

static void verdicts(void **state)
{
    static const struct {
        double factor;
        const char *verdict;
        ortho_comparison_verdict whole;
    } all[] = {{1.1, "SLOWER", ORTHO_COMPARISON_SLOWER},
               {0.9, "FASTER", ORTHO_COMPARISON_FASTER},
               {1, "SAME", ORTHO_COMPARISON_SAME},
               {1.01, "SAME", ORTHO_COMPARISON_SAME}, /* seen, and below the threshold */
               {1.0199, "AMBIGUOUS", ORTHO_COMPARISON_AMBIGUOUS}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        json_t *out = usual(side(1e5, 1, 1), side(1e5 * all[i].factor, 1, 2));
        reads(first_of(out, "cases"), "verdict", all[i].verdict);
        assert_int_equal(ortho_comparison_read(out), all[i].whole);
        double ratio = ortho_model_number(first_of(out, "cases"), "time.ratio");
        assert_true(fabs(ratio / all[i].factor - 1) < 0.003);
        assert_true(ortho_model_number(first_of(out, "cases"), "time.lo") < ratio);
        assert_true(ortho_model_number(first_of(out, "cases"), "time.hi") > ratio);
        assert_null(ortho_model_at(first_of(out, "cases"), "time.widened"));
        json_decref(out);
    }
}

/* What can't be compared is refused by the name of what differs. */
static void refusals(void **state)
{
    static const struct {
        const char *part, *key, *value, *what, *of;
    } all[] = {{"cpu", "model", "another", "device", "*"},
               {"cpu", "cores", "64", "number of cores", "*"},
               {"model", "hash", "4567", "model", "*"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        json_t *b = side(1e5, 2, 2);
        json_object_set_new(json_object_get(json_object_get(b, "context"), all[i].part), all[i].key,
                            json_string(all[i].value));
        json_t *out = usual(side(1e5, 2, 1), b);
        assert_int_equal(count(out, "refused"), 1);
        reads(first_of(out, "refused"), "what", all[i].what);
        reads(first_of(out, "refused"), "key", all[i].of);
        reads(first_of(out, "refused"), "b", all[i].value);
        assert_int_equal(json_array_size(json_object_get(out, "cases")), 0);
        assert_int_equal(ortho_comparison_read(out), ORTHO_COMPARISON_NOTHING);
        json_decref(out);
    }
}

static void another_setting(void **state)
{
    static const struct {
        const char *key, *now;
    } all[] = {{"density", "0.05"}, {"l2", "warm"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        json_t *b = side(1e5, 2, 2);
        json_object_set_new(row(b, 1), "key", json_string("another key"));
        json_object_set_new(row(b, 1), all[i].key, i == 0 ? json_real(0.05) : json_string("warm"));
        json_t *out = usual(side(1e5, 2, 1), b);
        assert_int_equal(count(out, "refused"), 1);
        reads(first_of(out, "refused"), "what", all[i].key);
        reads(first_of(out, "refused"), "b", all[i].now);
        assert_int_equal(count(out, "same"), 1);
        assert_int_equal(count(out, "only_a") + count(out, "only_b"), 0);
        json_decref(out);
    }
    /* Another split under the same key. */
    json_t *b = side(1e5, 1, 2);
    json_object_set_new(row(b, 0), "nnz", json_integer(41));
    json_t *out = usual(side(1e5, 1, 1), b);
    reads(first_of(out, "refused"), "what", "nnz");
    json_decref(out);
}

static void alone(void **state)
{
    (void)state;
    json_t *a = side(1e5, 2, 1), *b = side(1e5, 2, 2);
    json_object_set_new(row(a, 1), "key", json_string("old"));
    json_object_set_new(row(a, 1), "variant", json_string("old"));
    json_object_set_new(row(b, 1), "key", json_string("new"));
    json_object_set_new(row(b, 1), "variant", json_string("new"));
    json_t *out = usual(a, b);
    assert_string_equal(json_string_value(first_of(out, "only_a")), "old");
    assert_string_equal(json_string_value(first_of(out, "only_b")), "new");
    assert_int_equal(count(out, "same"), 1);
    json_decref(out);
}

/* Cases of two forms are two cases, never one in another setting; a pass that doesn't tell its form
 * is single. */
static void forms_are_cases_of_their_own(void **state)
{
    static const char *const forms[] = {"grouped", "single"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *a = side(1e5, 2, 1), *b = side(1e5, 2, 2);
        json_object_set_new(row(a, 1), "linears", json_integer(7));
        json_object_set_new(row(b, 1), "linears", json_integer(7));
        json_object_set_new(row(b, 1), "form", json_string(forms[i]));
        json_object_set_new(row(b, 1), "density", json_real(0.05));
        json_object_set_new(row(b, 1), "key", json_string("another key"));
        json_t *out = usual(a, b);
        assert_int_equal(count(out, "refused"), i);
        assert_int_equal(count(out, "only_a") + count(out, "only_b"), i == 0 ? 2 : 0);
        json_decref(out);
    }
}

static void wrong_and_untimed(void **state)
{
    (void)state;
    json_t *b = side(1e5, 3, 2);
    set_status(row(b, 0), "failed");
    set_status(row(b, 1), "skipped");
    json_t *out = usual(side(1e5, 3, 1), b);
    assert_int_equal(count(out, "wrong"), 1);
    assert_int_equal(count(out, "untimed"), 1);
    reads(first_of(out, "cases"), "reason", "failed in b: out of bounds");
    assert_null(json_object_get(first_of(out, "cases"), "time"));
    assert_int_equal(ortho_comparison_read(out), ORTHO_COMPARISON_WRONG);
    json_decref(out);
    /* What was wrong before isn't b's fault. */
    json_t *a = side(1e5, 1, 1);
    b = side(1e5, 1, 2);
    set_status(row(a, 0), "failed");
    set_status(row(b, 0), "failed");
    out = usual(a, b);
    assert_int_equal(count(out, "wrong"), 0);
    assert_int_equal(ortho_comparison_read(out), ORTHO_COMPARISON_NOTHING);
    json_decref(out);
    /* A row that was never verified shows no time, whatever it claims. */
    b = side(1e5, 1, 2);
    json_object_del(row(b, 0), "verified");
    out = usual(side(1e5, 1, 1), b);
    assert_null(json_object_get(first_of(out, "cases"), "time"));
    json_decref(out);
}

static json_t *of_files(json_t *a[2], json_t *b[2])
{
    static const char *const files[] = {"1.json", "2.json"};
    ortho_compare_options options = usual_options(200);
    ortho_compare_side left = {a, files, 2}, right = {b, files, 2};
    json_t *out = NULL;
    assert_int_equal(ortho_compare(&left, &right, &options, &out), ORTHO_OK);
    for (int i = 0; i < 2; i++) {
        json_decref(a[i]);
        json_decref(b[i]);
    }
    return out;
}

/* Whatever became of the case in a side's other files. */
static void one_wrong_file_is_enough(void **state)
{
    (void)state;
    for (int passed = 0; passed < 2; passed++) { /* in one file of a; else in none */
        json_t *a[] = {side(1e5, 1, 1), side(1e5, 1, 2)}, *b[] = {side(1e5, 1, 3), side(1e5, 1, 4)};
        set_status(row(a[0], 0), "skipped");
        if (!passed)
            set_status(row(a[1], 0), "skipped");
        set_status(row(b[0], 0), "skipped");
        set_status(row(b[1], 0), "failed");
        json_t *out = of_files(a, b);
        reads(first_of(out, "cases"), "verdict", passed ? "WRONG" : "UNTIMED");
        reads(first_of(out, "cases"), "reason", "failed in b: out of bounds");
        json_decref(out);
    }
}

/* Of one process that is to be told; of several the comparison has an interval of its own. */
static void a_wide_interval_is_flagged(void **state)
{
    (void)state;
    for (int several = 0; several < 2; several++) {
        json_t *b = side(1e5, 1, 2);
        json_object_set_new(row(b, 0), "status", json_string("ambiguous"));
        if (!several)
            json_object_del(json_object_get(row(b, 0), "time_ns"), "processes");
        json_t *out = usual(side(1e5, 1, 1), b);
        assert_int_equal(count(out, "flagged"), !several);
        json_decref(out);
    }
}

static void a_side_is_of_one_commit_and_of_each_file_once(void **state)
{
    static const char *const files[] = {"1.json", "2.json"};
    (void)state;
    json_t *a[] = {side(1e5, 1, 1), side(1e5, 1, 2)}, *b[] = {side(1e5, 1, 3), side(1e5, 1, 4)};
    json_object_set_new(json_object_get(b[1], "context"), "commit", json_string("other"));
    json_t *out = of_files(a, b);
    const json_t *notes = ortho_model_at(out, "context.notes");
    assert_int_equal(json_array_size(notes), 1);
    assert_string_equal(json_string_value(json_array_get(notes, 0)),
                        "b holds more than one commit: 1a2b3c4 in 1.json, other in 2.json");
    json_decref(out);
    json_t *twice[] = {side(1e5, 1, 1), side(1e5, 1, 1)};
    ortho_compare_options options = usual_options(200);
    ortho_compare_side same = {twice, files, 2};
    assert_int_equal(ortho_compare(&same, &same, &options, &out), ORTHO_E_ARGUMENT);
    assert_string_equal(ortho_last_message(),
                        "1.json and 2.json are the same results: they count once, leave one out");
    json_decref(twice[0]);
    json_decref(twice[1]);
}

/* Under one key, in any file of a side: another split, another alpha, a rotation that was given up.
 */
static void rows_of_one_key_are_alike(void **state)
{
    static const struct {
        const char *name, *value, *other;
    } all[] = {{"nnz", "41", "40"}, {"alpha", "2", "1"}, {"l2", "warm", "cold"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (int where = 0; where < 4; where++) {
            json_t *d[4];
            for (size_t j = 0; j < 4; j++) {
                d[j] = side(1e5, 2, j + 1);
                json_object_set_new(row(d[j], 0), "alpha", json_real(1));
            }
            json_object_set_new(row(d[where], 0), all[i].name,
                                i == 2 ? json_string(all[i].value)
                                       : json_integer(atoi(all[i].value)));
            json_t *out = of_files(d, d + 2);
            reads(first_of(out, "refused"), "what", all[i].name);
            reads(first_of(out, "refused"), where < 2 ? "a" : "b", all[i].value);
            reads(first_of(out, "refused"), where < 2 ? "b" : "a", all[i].other);
            assert_int_equal(count(out, "refused"), 1);
            assert_int_equal(count(out, "same"), 1);
            json_decref(out);
        }
    }
}

static void samples_that_are_none(void **state)
{
    static const char *const bad[] = {"[3, 4]", "[0, 100]", "[\"5\"]", "[101]"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *b = side(1e5, 1, 2);
        json_object_set_new(json_object_get(row(b, 0), "time_ns"), "processes",
                            json_loads(bad[i], 0, NULL));
        json_t *out = usual(side(1e5, 1, 1), b);
        reads(first_of(out, "cases"), "verdict", "UNTIMED");
        assert_non_null(strstr(ortho_model_string(first_of(out, "cases"), "reason"), "processes"));
        json_decref(out);
    }
    json_t *b = side(1e5, 1, 2);
    json_array_set_new(json_object_get(json_object_get(row(b, 0), "time_ns"), "samples"), 7,
                       json_real(-1));
    json_t *out = usual(side(1e5, 1, 1), b);
    reads(first_of(out, "cases"), "verdict", "UNTIMED");
    json_decref(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(refusals),
        cmocka_unit_test(another_setting),
        cmocka_unit_test(alone),
        cmocka_unit_test(forms_are_cases_of_their_own),
        cmocka_unit_test(wrong_and_untimed),
        cmocka_unit_test(one_wrong_file_is_enough),
        cmocka_unit_test(a_wide_interval_is_flagged),
        cmocka_unit_test(a_side_is_of_one_commit_and_of_each_file_once),
        cmocka_unit_test(rows_of_one_key_are_alike),
        cmocka_unit_test(samples_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
