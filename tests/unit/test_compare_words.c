/* What a comparison says beside the times, and how its writers put it. */
#include "tests/unit/comparison_rows.h"

#include "common/error.h"
#include "reports/compare/view.h"
#include "reports/json_set.h"
#include "reports/reports.h"

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
