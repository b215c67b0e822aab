/* What `tune` makes of the rows of a session: which way, which cases, and the table's text. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/error.h"
#include "harness/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct made {
    int m;
    const char *way;
    bool usual;
    const char *status, *reason;
    double ns; /* the interval is 1 % wide on both sides */
} made;

static json_t *row_of(const made *r)
{
    bool timed = strcmp(r->status, "ok") == 0 || strcmp(r->status, "ambiguous") == 0;
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:s, s:s, s:b, s:s, s:s, s:{s:s, s:s}}",
        "key", "gemm/x", "op", "gemm", "variant", "fused", "backend", "cpu", "n", 64, "k", 128,
        "group", 128, "m", r->m, "density", 0.01, "dtype", "fp32", "way", r->way, "way_usual",
        (int)r->usual, "status", r->status, "l2", "cold", "verified", "before", "pass", "after",
        timed ? "pass" : "fail");
    assert_non_null(row);
    if (r->reason != NULL)
        json_object_set_new(row, "reason", json_string(r->reason));
    if (timed)
        json_object_set_new(
            row, "time_ns",
            json_pack("{s:f, s:f, s:f}", "median", r->ns, "lo", r->ns * 0.99, "hi", r->ns * 1.01));
    return row;
}

static json_t *document_of(const made *rows, size_t count, bool interrupted)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, row_of(&rows[i]));
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:b, s:{s:s}, s:{s:s}}, s:o}", "schema",
                     "ortho-bench/1", "context", "binary", "ortho-bench 9.9.9", "commit", "abc",
                     "date", "2026-11-27T00:00:00Z", "interrupted", (int)interrupted, "model",
                     "name", "a \"model\"", "options", "ortho-rows", "one-full", "results", list);
}

static ob_tune read_tune(const json_t *document)
{
    ob_tune t;
    if (ob_tune_read(document, &t) != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
    return t;
}

/* ---- which way ------------------------------------------------------------------------------- */

/* The best and the second of one case with the ways a (the usual one), b and c. */
static void choice_is(const made *rows, size_t count, const char *best, const char *second,
                      bool changes)
{
    json_t *document = document_of(rows, count, false);
    ob_tune t = read_tune(document);
    assert_int_equal(t.count, 1);
    const ob_tune_case *c = t.cases;
    const char *found = c->best >= 0 ? c->way[c->best].name : "-";
    const char *other = c->second >= 0 ? c->way[c->second].name : "-";
    if (strcmp(found, best) != 0 || strcmp(other, second) != 0)
        fail_msg("%s before %s, not %s before %s", found, other, best, second);
    assert_int_equal(ob_tune_changes(c), changes);
    ob_tune_clear(&t);
    json_decref(document);
}

static void the_fastest_way_is_taken_where_it_is_faster(void **unused)
{
    (void)unused;
    const made clear[] = {{8, "a", true, "ok", NULL, 100},
                          {8, "b", false, "ok", NULL, 90},
                          {8, "c", false, "ambiguous", NULL, 80}};
    choice_is(clear, 3, "c", "b", true);
    const made usual[] = {{8, "a", true, "ok", NULL, 80}, {8, "b", false, "ok", NULL, 100}};
    choice_is(usual, 2, "a", "b", false);
    const made close[] = {{8, "a", true, "ok", NULL, 100}, {8, "b", false, "ok", NULL, 98.5}};
    choice_is(close, 2, "a", "b", false); /* the intervals meet */
    const made little[] = {{8, "a", true, "ok", NULL, 100}, {8, "b", false, "ok", NULL, 97.9}};
    choice_is(little, 2, "b", "a", true);
}

static json_t *row_at(json_t *document, size_t i)
{
    return json_array_get(json_object_get(document, "results"), i);
}

/* Though the second row has the shorter time. Drops the document. */
static void the_first_is_kept(json_t *document)
{
    ob_tune t = read_tune(document);
    assert_int_equal(t.cases[0].best, 0);
    ob_tune_clear(&t);
    json_decref(document);
}

static void less_than_two_per_cent_is_no_gain(void **unused)
{
    (void)unused;
    const made rows[] = {{8, "a", true, "ok", NULL, 100}, {8, "b", false, "ok", NULL, 98.5}};
    json_t *document = document_of(rows, 2, false);
    for (size_t i = 0; i < 2; i++) { /* intervals of no width: apart */
        json_t *time = json_object_get(row_at(document, i), "time_ns");
        json_object_set(time, "lo", json_object_get(time, "median"));
        json_object_set(time, "hi", json_object_get(time, "median"));
    }
    the_first_is_kept(document);
}

static void intervals_that_meet_show_no_gain(void **unused)
{
    (void)unused;
    const made rows[] = {{8, "a", true, "ok", NULL, 100}, {8, "b", false, "ok", NULL, 50}};
    json_t *document = document_of(rows, 2, false);
    json_object_set_new(json_object_get(row_at(document, 0), "time_ns"), "lo", json_real(50));
    the_first_is_kept(document);
}

static void cold_and_warm_times_are_not_compared(void **unused)
{
    (void)unused;
    const made rows[] = {{8, "a", true, "ok", NULL, 100}, {8, "b", false, "ok", NULL, 50}};
    json_t *document = document_of(rows, 2, false);
    json_object_set_new(row_at(document, 1), "l2", json_string("warm"));
    the_first_is_kept(document);
}

static void ways_without_a_time_are_left_out(void **unused)
{
    (void)unused;
    const made wrong[] = {{8, "a", true, "ok", NULL, 100}, {8, "b", false, "failed", "wrong", 0}};
    choice_is(wrong, 2, "a", "-", false);
    const made skipped[] = {{8, "a", true, "skipped", "can't", 0},
                            {8, "b", false, "ok", NULL, 200},
                            {8, "c", false, "ok", NULL, 201}};
    choice_is(skipped, 3, "b", "c", true); /* the usual one has no say */
    const made nothing[] = {{8, "a", true, "failed", "wrong", 0}};
    choice_is(nothing, 1, "-", "-", false);
}

/* ---- which cases ----------------------------------------------------------------------------- */

static void cases_are_sorted_and_stand_once(void **unused)
{
    (void)unused;
    const made rows[] = {{16, "a", true, "ok", NULL, 100}, {16, "b", false, "ok", NULL, 50},
                         {2, "a", true, "ok", NULL, 10},   {2, "b", false, "ok", NULL, 50},
                         {2, "a", true, "ok", NULL, 11},   {2, "b", false, "ok", NULL, 51},
                         {4, "a", true, "failed", "x", 0}, {4, "b", false, "ok", NULL, 50}};
    static const int sorted[] = {2, 4, 16};
    json_t *document = document_of(rows, 8, false);
    ob_tune t = read_tune(document);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.failed, 1);
    assert_int_equal(t.unfinished, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(t.cases[i].m, sorted[i]);
    ob_tune_clear(&t);
    json_decref(document);
}

static void an_interrupted_case_is_left_out(void **unused)
{
    (void)unused;
    const made rows[] = {{2, "a", true, "ok", NULL, 10},
                         {2, "b", false, "ok", NULL, 50},
                         {4, "a", true, "ambiguous", "interrupted after 3 samples", 10},
                         {4, "b", false, "skipped", "interrupted", 0}};
    json_t *document = document_of(rows, 4, true);
    ob_tune t = read_tune(document);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.cases[0].m, 2);
    assert_int_equal(t.unfinished, 1);
    ob_tune_clear(&t);
    json_decref(document);
}

static void rows_of_another_kind_are_passed_over_and_two_variants_refused(void **unused)
{
    (void)unused;
    const made rows[] = {{2, "a", true, "ok", NULL, 10}, {2, "b", false, "ok", NULL, 50}};
    json_t *document = document_of(rows, 2, false), *list = json_object_get(document, "results");
    json_object_del(json_array_get(list, 0), "way");
    json_array_append_new(list, json_null());
    ob_tune t = read_tune(document);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.cases[0].count, 1);
    ob_tune_clear(&t);
    json_array_append_new(list, row_of(&rows[0]));
    json_object_set_new(json_array_get(list, 3), "variant", json_string("csr"));
    assert_int_equal(ob_tune_read(document, &t), ORTHO_E_ARGUMENT);
    json_decref(document);
}

static void more_ways_than_there_can_be_are_refused(void **unused)
{
    (void)unused;
    made rows[ORTHO_WAYS_MAX + 1];
    char names[ORTHO_WAYS_MAX + 1][8];
    for (int i = 0; i <= ORTHO_WAYS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "w%d", i);
        rows[i] = (made){2, names[i], false, "ok", NULL, 10};
    }
    json_t *document = document_of(rows, ORTHO_WAYS_MAX + 1, false);
    ob_tune t;
    assert_int_equal(ob_tune_read(document, &t), ORTHO_E_ARGUMENT);
    json_decref(document);
}

/* ---- the text -------------------------------------------------------------------------------- */

static void the_table_is_written_whole(void **unused)
{
    (void)unused;
    const made rows[] = {{2, "a", true, "ok", NULL, 10},
                         {2, "b", false, "ok", NULL, 5},
                         {3, "a", true, "failed", "x", 0},
                         {4, "a", true, "ok", NULL, 1234567.89}};
    static const char wanted[] = "# format\tortho-tuned/1\n"
                                 "# device\tA _GPU_ (80GB)\n"
                                 "# backend\tcpu\n"
                                 "# variant\tfused\n"
                                 "# version\tortho-bench 9.9.9\n"
                                 "# commit\tabc\n"
                                 "# date\t2026-11-27T00:00:00Z\n"
                                 "# driver\t-\n"
                                 "# threads\t3\n"
                                 "# model\ta _model_\n"
                                 "# rows\tone-full\n"
                                 "# verified\tevery row\n"
                                 "n\tk\tgroup\tm\tdensity\tdtype\tway\ttime_ns\tsecond\tratio\n"
                                 "64\t128\t128\t2\t0.01\tfp32\tb\t5.0\ta\t2.000\n"
                                 "64\t128\t128\t4\t0.01\tfp32\ta\t1234567.9\t-\t-\n";
    char path[] = "/tmp/ortho-tune-XXXXXX", text[2048] = "", place[512];
    close(mkstemp(path));
    json_t *document = document_of(rows, 4, false);
    ob_tune t = read_tune(document);
    const ob_tune_origin origin = {.device = "A [GPU] (80GB)", .threads = 3};
    assert_int_equal(ob_tune_write(&t, document, &origin, path), ORTHO_OK);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_string_equal(text, wanted);
    assert_int_equal(ob_tune_write(&t, document, &origin, "/proc/nowhere/t.tsv"), ORTHO_E_IO);
    ob_tune_place(&t, "NVIDIA H100 (80GB)  HBM3 ", place);
    assert_string_equal(place, "variants/fused/tuned/nvidia-h100-80gb-hbm3.tsv");
    ob_tune_clear(&t);
    json_decref(document);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_way_is_taken_where_it_is_faster),
        cmocka_unit_test(less_than_two_per_cent_is_no_gain),
        cmocka_unit_test(intervals_that_meet_show_no_gain),
        cmocka_unit_test(cold_and_warm_times_are_not_compared),
        cmocka_unit_test(ways_without_a_time_are_left_out),
        cmocka_unit_test(cases_are_sorted_and_stand_once),
        cmocka_unit_test(an_interrupted_case_is_left_out),
        cmocka_unit_test(rows_of_another_kind_are_passed_over_and_two_variants_refused),
        cmocka_unit_test(more_ways_than_there_can_be_are_refused),
        cmocka_unit_test(the_table_is_written_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
