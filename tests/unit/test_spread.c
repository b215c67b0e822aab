/* How far processes are apart: found out, kept, read back, also from a file that is damaged. */
#define _GNU_SOURCE
#include "common/error.h"
#include "harness/spread.h"
#include "reports/model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- by hand --------------------------------------------------------------------------------- */

/* A row of processes with these medians, one sample and two beside it each. */
static json_t *row_of(const double *medians, size_t count)
{
    json_t *samples = json_array(), *processes = json_array();
    for (size_t i = 0; i < count; i++) {
        for (int j = -1; j <= 1; j++)
            json_array_append_new(samples, json_real(medians[i] * (1 + 0.5 * j)));
        json_array_append_new(processes, json_integer(3));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:f, s:f, s:f, s:o, s:o}}", "key",
                     "k", "op", "gemm", "variant", "csr", "backend", "cpu", "status", "ok",
                     "verified", "before", "pass", "after", "pass", "time_ns", "median", medians[0],
                     "lo", medians[0], "hi", medians[0], "samples", samples, "processes",
                     processes);
}

/* Three processes whose logarithms have this sample standard deviation. */
static json_t *row_apart(double time, double share)
{
    const double medians[] = {time, time * exp(share), time * exp(-share)};
    return row_of(medians, 3);
}

static json_t *document_of(const char *cpu)
{
    return json_pack("{s:s, s:{s:s, s:s, s:{s:s}}, s:[]}", "schema", "ortho-bench/1", "context",
                     "date", "2026-11-26T01:02:03Z", "binary", "ortho-bench 0.1.0", "cpu", "model",
                     cpu, "results");
}

static void add(json_t *document, json_t *row)
{
    json_array_append_new(json_object_get(document, "results"), row);
}

/* Four cases apart by 1 to 4 %. */
static json_t *four(const char *cpu)
{
    json_t *document = document_of(cpu);
    for (int i = 1; i <= 4; i++)
        add(document, row_apart(1e5 * i, 0.01 * i));
    return document;
}

static int make_folder(void **state)
{
    static const char name[] = "/tmp/test-spread-XXXXXX";
    char *folder = strdup(name);
    if (folder == NULL || mkdtemp(folder) == NULL)
        return -1;
    *state = folder;
    return setenv("ORTHO_BENCH_STATE", folder, 1);
}

static int remove_folder(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "%s/spread.json", (char *)*state);
    unlink(path);
    int failed = rmdir(*state); /* nothing else is left there */
    free(*state);
    return failed;
}

static void write_file(void **state, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/spread.json", (char *)*state);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- finding it out -------------------------------------------------------------------------- */

static void it_is_the_upper_quartile_of_deviations(void **state)
{
    (void)state;
    size_t cases;
    json_t *document = four("cpu");
    assert_true(fabs(ob_spread_of(document, &cases) - 0.0325) < 1e-9);
    assert_int_equal(cases, 4);
    json_decref(document);
}

static void what_tells_nothing_is_left_out(void **state)
{
    (void)state;
    size_t cases;
    const double two[] = {1e5, 2e5};
    json_t *document = document_of("cpu");
    assert_true(isnan(ob_spread_of(document, &cases)));
    add(document, row_apart(1e5, 0.02));
    add(document, row_apart(4999, 0.5)); /* short */
    add(document, row_of(two, 2));       /* too few */
    json_t *wrong = row_apart(1e5, 0.5), *holed = row_apart(1e5, 0.5);
    json_object_set_new(wrong, "status", json_string("failed"));
    json_array_set_new(json_object_get(json_object_get(holed, "time_ns"), "processes"), 0,
                       json_integer(9));
    add(document, wrong);
    add(document, holed);
    json_t *odd = row_apart(1e5, 0.5);
    json_array_set_new(json_object_get(json_object_get(odd, "time_ns"), "samples"), 1,
                       json_real(-1));
    json_array_set_new(json_object_get(json_object_get(odd, "time_ns"), "samples"), 0,
                       json_string("x"));
    add(document, odd);
    json_array_append_new(json_object_get(document, "results"), json_integer(3));
    assert_true(fabs(ob_spread_of(document, &cases) - 0.02) < 1e-9);
    assert_int_equal(cases, 1);
    json_decref(document);
}

static void it_belongs_to_what_did_the_work(void **state)
{
    (void)state;
    json_t *document = four("a cpu");
    assert_string_equal(ortho_model_device(document), "a cpu");
    json_object_set_new(json_object_get(document, "context"), "gpu",
                        json_pack("{s:s}", "name", "a gpu"));
    assert_string_equal(ortho_model_device(document), "a cpu");
    json_object_set_new(json_array_get(json_object_get(document, "results"), 0), "backend",
                        json_string("cuda"));
    assert_string_equal(ortho_model_device(document), "a gpu");
    json_object_clear(json_object_get(document, "context"));
    assert_null(ortho_model_device(document));
    json_decref(document);
}

/* ---- keeping it ------------------------------------------------------------------------------ */

static void keep(const char *cpu, double share, const char *wanted)
{
    char told[256];
    json_t *document = document_of(cpu);
    for (int i = 0; i < 3; i++)
        add(document, row_apart(1e5, share));
    assert_int_equal(ob_spread_keep(document, told), ORTHO_OK);
    if (strstr(told, wanted) == NULL)
        fail_msg("'%s' lacks '%s'", told, wanted);
    json_decref(document);
}

static void knows(const char *cpu, double wanted)
{
    double share = 0;
    char from[128];
    assert_true(ob_spread_known(cpu, &share, from));
    assert_true(fabs(share - wanted) < 1e-9);
    assert_string_equal(from, "3 cases in 3 processes, 2026-11-26");
}

static void each_machine_keeps_its_newest(void **state)
{
    (void)state;
    double share = 7;
    char from[128] = "untouched";
    assert_false(ob_spread_known("one", &share, from));
    keep("one", 0.02, "2 % apart (3 cases)");
    keep("two", 0.05, "5 % apart");
    knows("one", 0.02);
    knows("two", 0.05);
    keep("one", 0.03, "kept in");
    knows("one", 0.03);
    knows("two", 0.05);
    assert_false(ob_spread_known("three", &share, from));
    assert_false(ob_spread_known(NULL, &share, from));
    assert_true(share == 7 && strcmp(from, "untouched") == 0);
}

/* One variant that moves among others that keep still, whose quartile doesn't show it. */
static void a_variant_may_move_by_more(void **state)
{
    static const char hostile[] =
        "{\"schema\": \"ortho-bench-spread/1\", \"machines\": {\"one\": {\"share\": 0.1, "
        "\"cases\": 3, \"processes\": 3, \"variants\": {\"a\": -1, \"b\": \"x\", \"c\": 1e9, "
        "\"d\": 0.5}}}}";
    char told[256];
    json_t *document = document_of("one"), *coo = row_apart(1e5, 0.06);
    for (int i = 0; i < 9; i++)
        add(document, row_apart(1e5, 0.001 * (i * 4 % 9 + 1)));
    json_object_set_new(coo, "variant", json_string("coo"));
    add(document, coo);
    assert_null(ob_spread_variants(NULL));
    assert_int_equal(ob_spread_keep(document, told), ORTHO_OK);
    json_t *kept = ob_spread_variants("one"), *none = ob_spread_variants("two");
    assert_true(fabs(ortho_model_number(kept, "gemm/csr/cpu") - 0.009) < 1e-9);
    assert_true(fabs(ortho_model_number(kept, "gemm/coo/cpu") - 0.06) < 1e-9);
    assert_int_equal(json_object_size(kept), 2);
    assert_int_equal(json_object_size(none), 0);
    json_decref(none);
    json_decref(kept);
    json_decref(document);
    write_file(state, hostile);
    kept = ob_spread_variants("one");
    assert_int_equal(json_object_size(kept), 1);
    assert_true(ortho_model_number(kept, "d") == 0.5);
    json_decref(kept);
}

static void few_cases_speak_for_no_machine(void **state)
{
    (void)state;
    double share;
    char told[256], from[128];
    json_t *document = document_of("cpu");
    add(document, row_apart(1e5, 0.02));
    add(document, row_apart(1e5, 0.02));
    assert_int_equal(ob_spread_keep(document, told), ORTHO_OK);
    assert_string_equal(told, "");
    assert_false(ob_spread_known("cpu", &share, from));
    json_decref(document);
}

static void damage_is_survived(void **state)
{
    static const char *const files[] = {"", "{", "[1]",
                                        "{\"schema\": \"ortho-bench-spread/9\", \"machines\": {}}",
                                        "{\"schema\": \"ortho-bench-spread/1\", \"machines\": 3}"};
    double share;
    char from[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_file(state, files[i]);
        assert_false(ob_spread_known("one", &share, from));
        keep("one", 0.02, "which was damaged");
        knows("one", 0.02);
        keep("one", 0.03, "spread.json");
    }
}

static void odd_entries_are_unknown(void **state)
{
    static const char *const entries[] = {"3",
                                          "{}",
                                          "{\"share\": \"0.1\", \"cases\": 3, \"processes\": 3}",
                                          "{\"share\": -0.1, \"cases\": 3, \"processes\": 3}",
                                          "{\"share\": 0.1, \"cases\": 3, \"processes\": 2}",
                                          "{\"share\": 0.1, \"cases\": 0, \"processes\": 3}"};
    double share;
    char text[256], from[128];
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        snprintf(text, sizeof text,
                 "{\"schema\": \"ortho-bench-spread/1\", \"machines\": {\"one\": %s}}", entries[i]);
        write_file(state, text);
        assert_false(ob_spread_known("one", &share, from));
    }
    write_file(state, "{\"schema\": \"ortho-bench-spread/1\", \"machines\": {\"one\": "
                      "{\"share\": 0.1, \"cases\": 3, \"processes\": 3}}}");
    assert_true(ob_spread_known("one", &share, from));
    assert_string_equal(from, "3 cases in 3 processes");
}

static void a_folder_that_cannot_be_made(void **state)
{
    double share;
    char told[256], from[128];
    json_t *document = four("cpu");
    setenv("ORTHO_BENCH_STATE", "/dev/null/state", 1);
    assert_int_not_equal(ob_spread_keep(document, told), ORTHO_OK);
    assert_false(ob_spread_known("cpu", &share, from));
    setenv("ORTHO_BENCH_STATE", *state, 1);
    json_decref(document);
}

#define kept(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_upper_quartile_of_deviations),
        cmocka_unit_test(what_tells_nothing_is_left_out),
        cmocka_unit_test(it_belongs_to_what_did_the_work),
        kept(each_machine_keeps_its_newest),
        kept(a_variant_may_move_by_more),
        kept(few_cases_speak_for_no_machine),
        kept(damage_is_survived),
        kept(odd_entries_are_unknown),
        kept(a_folder_that_cannot_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
