/* What a comparison pairs, refuses, and says beside the times. */
#include "tests/unit/comparison_files.h"

#include "common/error.h"
#include "reports/compare/view.h"
#include "reports/json_set.h"
#include "reports/model.h"
#include "reports/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const machine quiet = {0.001, 0.002, 0, 0, 5, 20};

static json_t *side(double ns, int cases, uint64_t seed)
{
    ortho_random g = ortho_random_seeded(seed);
    return made_up_side(&quiet, ns, cases, &g);
}

static json_t *row(json_t *document, size_t i)
{
    return json_array_get(json_object_get(document, "results"), i);
}

static json_t *usual(json_t *a, json_t *b)
{
    ortho_compare_options options = usual_options(200);
    json_t *out = compared(a, b, &options);
    assert_non_null(out);
    return out;
}

static int count(const json_t *out, const char *name)
{
    return (int)json_integer_value(json_object_get(json_object_get(out, "summary"), name));
}

static void reads(const json_t *node, const char *path, const char *wanted)
{
    const char *text = ortho_model_string(node, path);
    assert_non_null(text);
    assert_string_equal(text, wanted);
}

static const json_t *first_of(const json_t *out, const char *list)
{
    return json_array_get(json_object_get(out, list), 0);
}

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

static void set_status(json_t *one, const char *status)
{
    json_object_set_new(one, "status", json_string(status));
    json_object_set_new(one, "reason", json_string("out of bounds"));
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

/* ---- beside the times ------------------------------------------------------------------------ */

static const char *flag_of(const json_t *out, size_t i)
{
    const char *text =
        json_string_value(json_array_get(ortho_model_at(first_of(out, "cases"), "flags"), i));
    return text != NULL ? text : "";
}

static void faster_but_less_exact(void **state)
{
    (void)state;
    json_t *b = side(0.8e5, 1, 2);
    json_object_set_new(json_object_get(row(b, 0), "verified"), "rel_error", json_real(1e-5));
    json_t *out = usual(side(1e5, 1, 1), b);
    assert_non_null(strstr(flag_of(out, 0), "faster, but less exact: relative error 1e-05 where"));
    assert_int_equal(count(out, "flagged"), 1);
    assert_int_equal(ortho_comparison_read(out), ORTHO_COMPARISON_FASTER);
    json_decref(out);
    out = usual(side(1e5, 1, 1), side(0.8e5, 1, 2)); /* as exact as before */
    assert_int_equal(count(out, "flagged"), 0);
    json_decref(out);
}

static void more_bytes_are_a_regression(void **state)
{
    (void)state;
    json_t *b = side(1e5, 1, 2);
    json_object_set_new(json_object_get(row(b, 0), "peak_bytes"), "working", json_integer(1 << 20));
    json_t *out = usual(side(1e5, 1, 1), b);
    assert_int_equal(count(out, "larger"), 1);
    assert_int_equal(count(out, "same"), 1);
    assert_string_equal(flag_of(out, 0), "takes more temporaries: 1.00 MiB where it was 4.00 KiB");
    assert_int_equal(ortho_comparison_read(out), ORTHO_COMPARISON_SLOWER);
    json_decref(out);
    b = side(1e5, 1, 2);
    json_object_set_new(json_object_get(row(b, 0), "peak_bytes"), "working", json_integer(8192));
    out = usual(side(1e5, 1, 1), b); /* a page: no change */
    assert_int_equal(count(out, "larger"), 0);
    json_decref(out);
}

/* Where a reference moved, the machine did; that is told and gates nothing. */
static void references_gate_nothing(void **state)
{
    (void)state;
    json_t *a = side(1e5, 2, 1), *b = side(1e5, 2, 2), *slow = side(1.2e5, 2, 3);
    json_object_set(row(b, 1), "time_ns", json_object_get(row(slow, 1), "time_ns"));
    json_object_set_new(row(a, 1), "role", json_string("baseline"));
    json_object_set_new(row(b, 1), "role", json_string("baseline"));
    json_t *out = usual(a, b);
    const json_t *notes = ortho_model_at(out, "context.notes");
    assert_int_equal(count(out, "slower"), 0);
    assert_int_equal(count(out, "references"), 1);
    assert_int_equal(ortho_comparison_read(out), ORTHO_COMPARISON_SAME);
    assert_int_equal(json_array_size(notes), 1);
    assert_non_null(strstr(json_string_value(json_array_get(notes, 0)), "the machine differs"));
    json_decref(slow);
    json_decref(out);
}

/* Several files of a side are several processes of it; of another model they are no side. */
static void several_files(void **state)
{
    static const machine one = {0.001, 0.002, 0, 0, 1, 20};
    const char *files[] = {"1.json", "2.json", "3.json"};
    ortho_compare_options options = usual_options(200);
    ortho_random g = ortho_random_seeded(4);
    json_t *a[3], *b[3], *out = NULL;
    (void)state;
    for (int i = 0; i < 3; i++) {
        a[i] = made_up_side(&one, 1e5, 1, &g);
        b[i] = made_up_side(&one, 1.1e5, 1, &g);
    }
    ortho_compare_side left = {a, files, 3}, right = {b, files, 3};
    assert_int_equal(ortho_compare(&left, &right, &options, &out), ORTHO_OK);
    assert_int_equal(count(out, "slower"), 1);
    assert_int_equal(ortho_model_number(out, "context.a.processes"), 3);
    reads(out, "context.b.name", "1.json and 2 more");
    reads(first_of(out, "cases"), "time.mann_whitney.over", "processes");
    json_decref(out);
    json_object_set_new(json_object_get(json_object_get(b[2], "context"), "model"), "hash",
                        json_string("other"));
    assert_int_equal(ortho_compare(&left, &right, &options, &out), ORTHO_E_ARGUMENT);
    assert_non_null(
        strstr(ortho_last_message(), "1.json and 3.json are no one side: another model"));
    for (int i = 0; i < 3; i++) {
        json_decref(a[i]);
        json_decref(b[i]);
    }
}

static void geometric_means(void **state)
{
    (void)state;
    json_t *a = side(1e5, 2, 1), *b = side(1e5, 2, 2), *slow = side(1.21e5, 2, 3);
    json_object_set(row(b, 1), "time_ns", json_object_get(row(slow, 1), "time_ns"));
    json_t *out = usual(a, b);
    const json_t *mean = first_of(out, "groups");
    assert_int_equal(json_array_size(json_object_get(out, "groups")), 1);
    assert_int_equal(ortho_model_number(mean, "cases"), 2);
    assert_true(fabs(ortho_model_number(mean, "ratio") - 1.1) < 0.003);
    json_decref(slow);
    json_decref(out);
}

/* Groups come in the order of their first cases, whatever they are called. */
static void groups_in_order(void **state)
{
    static const char *const variants[] = {"z", "a", "z", "m", "a", "z"};
    (void)state;
    json_t *a = side(1e5, 6, 1), *b = side(1.1e5, 6, 2);
    for (size_t i = 0; i < 6; i++) {
        json_object_set_new(row(a, i), "variant", json_string(variants[i]));
        json_object_set_new(row(b, i), "variant", json_string(variants[i]));
    }
    json_t *out = usual(a, b);
    const json_t *groups = json_object_get(out, "groups");
    assert_int_equal(json_array_size(groups), 3);
    reads(json_array_get(groups, 0), "variant", "z");
    reads(json_array_get(groups, 1), "variant", "a");
    reads(json_array_get(groups, 2), "variant", "m");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ortho_model_number(json_array_get(groups, i), "cases"), 3 - i);
    json_decref(out);
}

/* A row may lack what a group is made by; it counts in one all the same. */
static void a_group_without_a_backend(void **state)
{
    (void)state;
    json_t *a = side(1e5, 2, 1), *b = side(1.1e5, 2, 2);
    for (size_t i = 0; i < 2; i++) {
        json_object_del(row(a, i), "backend");
        json_object_del(row(b, i), "backend");
    }
    json_t *out = usual(a, b);
    assert_int_equal(json_array_size(json_object_get(out, "groups")), 1);
    assert_int_equal(ortho_model_number(first_of(out, "groups"), "cases"), 2);
    assert_true(fabs(ortho_model_number(first_of(out, "groups"), "ratio") - 1.1) < 0.003);
    json_decref(out);
}

/* `before`, then 300 characters of two bytes: a cut at any number of bytes goes through one of them
 * for one of two lengths of `before`. */
static json_t *lengthy(const char *before)
{
    char out[640] = "";
    strcpy(out, before);
    for (size_t i = 0, used = strlen(before); i < 300; i++, used += 2)
        memcpy(out + used, "µ", sizeof "µ");
    return json_string(out);
}

/* What is cut within a character isn't lost. */
static void long_words(void **state)
{
    static const char *const before[] = {"", "x"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *a = side(1e5, 1, 1), *b = side(1e5, 1, 2);
        set_status(row(b, 0), "failed");
        json_object_set_new(row(b, 0), "reason", lengthy(before[i]));
        json_object_set_new(json_object_get(b, "context"), "commit", lengthy(before[i]));
        json_object_set_new(ortho_json_part(json_object_get(b, "context"), "gpu"), "driver",
                            lengthy(before[i]));
        json_t *out = usual(a, b);
        const char *reason = ortho_model_string(first_of(out, "cases"), "reason");
        assert_non_null(reason);
        assert_null(strstr(reason, "\xef\xbf\xbd"));
        const json_t *notes = ortho_model_at(out, "context.notes");
        assert_int_equal(json_array_size(notes), 1);
        assert_non_null(strstr(json_string_value(json_array_get(notes, 0)), "µ in b"));
        json_decref(out);
    }
}

/* ---- writers --------------------------------------------------------------------------------- */

static char *written(const json_t *document, const char *name)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const ortho_writer *writer = ortho_comparison_writer_find(name);
    assert_non_null(writer);
    assert_int_equal(writer->write(document, &(ortho_writer_options){0}, out), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void verdict_first(void **state)
{
    (void)state;
    json_t *b = side(1.1e5, 2, 2);
    json_object_set_new(row(b, 1), "synthetic", json_true());
    json_t *a = side(1e5, 2, 1);
    json_object_set_new(row(a, 1), "synthetic", json_true());
    json_t *out = usual(a, b);
    char *md = written(out, "md"), *table = written(out, "table");
    assert_ptr_equal(strstr(md, "## ortho-bench: SLOWER: 2 slower"), md);
    assert_non_null(strstr(md, "(SYNTHETIC)"));
    assert_non_null(strstr(table, "SYNTHETIC weights"));
    assert_non_null(strstr(table, "SLOWER: 2 slower"));
    free(md);
    free(table);
    json_decref(out);
}

static void hostile_names(void **state)
{
    static const char name[] = "x|y\033[31m<script>@all\n## SAME";
    (void)state;
    json_t *a = side(1e5, 1, 1), *b = side(1.2e5, 1, 2);
    json_object_set_new(row(a, 0), "key", json_string(name));
    json_object_set_new(row(b, 0), "key", json_string(name));
    json_object_set_new(json_object_get(b, "context"), "commit", json_string(name));
    json_t *out = usual(a, b); /* and read back from a file, a verdict may be any text, too */
    json_object_set_new(json_array_get(json_object_get(out, "cases"), 0), "verdict",
                        json_string("x\033[31mµµµµµµµµµµ"));
    for (size_t i = 0; ortho_comparison_writers[i] != NULL; i++) {
        char *text = written(out, ortho_comparison_writers[i]->name);
        assert_null(strchr(text, '\033'));
        json_t *utf8 = json_string(text);
        assert_non_null(utf8);
        json_decref(utf8);
        assert_null(strstr(text, "\n## SAME"));
        if (strcmp(ortho_comparison_writers[i]->name, "markdown") == 0)
            assert_true(strstr(text, "<script>") == NULL && strstr(text, "x|y") == NULL);
        free(text);
    }
    json_decref(out);
}

/* A comment on GitHub holds 65,536 characters. */
static void long_comments(void **state)
{
    (void)state;
    json_t *a = side(1e5, 800, 1), *b = side(1.2e5, 800, 2);
    json_t *out = usual(a, b);
    char *md = written(out, "md");
    assert_true(strlen(md) < 65536);
    assert_non_null(strstr(md, "more are left out"));
    free(md);
    json_decref(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(refusals),
        cmocka_unit_test(another_setting),
        cmocka_unit_test(alone),
        cmocka_unit_test(wrong_and_untimed),
        cmocka_unit_test(one_wrong_file_is_enough),
        cmocka_unit_test(a_wide_interval_is_flagged),
        cmocka_unit_test(a_side_is_of_one_commit_and_of_each_file_once),
        cmocka_unit_test(rows_of_one_key_are_alike),
        cmocka_unit_test(samples_that_are_none),
        cmocka_unit_test(faster_but_less_exact),
        cmocka_unit_test(more_bytes_are_a_regression),
        cmocka_unit_test(references_gate_nothing),
        cmocka_unit_test(several_files),
        cmocka_unit_test(geometric_means),
        cmocka_unit_test(groups_in_order),
        cmocka_unit_test(a_group_without_a_backend),
        cmocka_unit_test(long_words),
        cmocka_unit_test(verdict_first),
        cmocka_unit_test(hostile_names),
        cmocka_unit_test(long_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
