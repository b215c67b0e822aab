/* Exports for other people's tools: names under which a tool can keep a history, numbers only of
 * verified cases, and the words that belong to them. */
#include "reports/export.h"
#include "reports/reports.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE ORTHO_SOURCE_DIR "/tests/schema/example.json"

/* A row that was verified and timed, and what `more` adds to it: "\"m\": 1". */
static json_t *timed_row(const char *key, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"op\": \"gemm\", \"variant\": \"csr\", \"backend\": \"cpu\", \"status\": \"ok\","
             " \"verified\": {\"before\": \"pass\", \"after\": \"pass\"},"
             " \"time_ns\": {\"median\": 1000.0, \"lo\": 990.0, \"hi\": 1020.0,"
             " \"samples\": [990.0, 1000.0, 1020.0]}%s%s}",
             *more != '\0' ? ", " : "", more);
    json_t *row = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(row);
    json_object_set_new(row, "key", json_string(key));
    return row;
}

static json_t *document_of(json_t *row)
{
    return json_pack("{s:s, s:{s:s, s:s}, s:[o]}", "schema", "ortho-bench/1", "context", "commit",
                     "abc", "date", "2026-11-24T21:40:00Z", "results", row);
}

static void add_row(json_t *document, json_t *row)
{
    json_array_append_new(json_object_get(document, "results"), row);
}

static char *text_with(const json_t *document, const char *name)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const ortho_writer *writer = ortho_writer_find(name);
    assert_non_null(writer);
    assert_int_equal(writer->write(document, &(ortho_writer_options){0}, out), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

static json_t *json_with(const json_t *document, const char *name)
{
    char *text = text_with(document, name);
    json_t *out = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(out);
    free(text);
    return out;
}

static void check_name(ortho_names *names, const char *key, const char *suffix, const char *wanted)
{
    json_t *row = json_object();
    if (key != NULL)
        json_object_set_new(row, "key", json_string(key));
    char *name = ortho_names_take(names, row, suffix);
    assert_string_equal(name, wanted);
    free(name);
    json_decref(row);
}

static void names_are_unique(void **state)
{
    (void)state;
    ortho_names names = {0};
    check_name(&names, "k", "", "k");
    check_name(&names, "k", "", "k #2");
    check_name(&names, "k #3", "", "k #3"); /* a key of that name comes first */
    check_name(&names, "k", "", "k #4");
    check_name(&names, "k", "", "k #5");
    check_name(&names, "k", " (synthetic)", "k (synthetic)");
    check_name(&names, "k #2", "", "k #2 #2");
    check_name(&names, NULL, "", "?");
    check_name(&names, "", "", "? #2");
    check_name(&names, "a`b|c\n", "", "a'b/c\xef\xbf\xbd");
    check_name(&names, "a'b/c\xef\xbf\xbd", "", "a'b/c\xef\xbf\xbd #2");
    ortho_names_free(&names);
    ortho_names_free(&names);
}

/* Cut between two characters, the suffix and the number kept whole. */
static void names_are_short(void **state)
{
    (void)state;
    char key[1503];
    for (size_t i = 0; i < 1500; i += 3)
        memcpy(key + i, "\xe2\x80\xa6", 4);
    ortho_names names = {0};
    json_t *row = json_pack("{s:s}", "key", key);
    for (int i = 0; i < 3; i++) {
        char *name = ortho_names_take(&names, row, " (synthetic)");
        assert_in_range(strlen(name), 995, 1000);
        assert_non_null(strstr(name, i == 0 ? "… (synthetic)" : "… (synthetic) #"));
        json_t *valid = json_string(name); /* NULL for broken UTF-8 */
        assert_non_null(valid);
        json_decref(valid);
        free(name);
    }
    json_decref(row);
    ortho_names_free(&names);
}

static void processes_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        size_t count;
    } cases[] = {{"[1, 2]", 2},
                 {"[3]", 1},
                 {"[1, 1, 1]", 3},
                 {"[]", 0},
                 {"[1, 1]", 0},
                 {"[4]", 0},
                 {"[-1, 4]", 0},
                 {"[0, 3]", 0},
                 {"3", 0},
                 {"[1.5, 1.5]", 0},
                 {"null", 0},
                 {"[2, \"1\"]", 0},
                 {"[9223372036854775807, 9223372036854775807, 5]", 0}}; /* 3, were it to wrap */
    json_t *row = timed_row("k", "");
    assert_int_equal(ortho_model_processes(row), 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_object_set_new(json_object_get(row, "time_ns"), "processes",
                            json_loads(cases[i].list, JSON_DECODE_ANY, NULL));
        if (ortho_model_processes(row) != cases[i].count)
            fail_msg("%s: %zu", cases[i].list, ortho_model_processes(row));
    }
    json_decref(row);
    assert_int_equal(ortho_model_processes(NULL), 0);
}

/* The columns of CSV and Markdown. */
static void processes_are_shown(void **state)
{
    (void)state;
    json_t *document = document_of(timed_row("k", ""));
    json_t *time =
        json_object_get(json_array_get(json_object_get(document, "results"), 0), "time_ns");
    char *text = text_with(document, "csv");
    assert_non_null(strstr(text, ",samples,processes,outliers,"));
    assert_non_null(strstr(text, ",1000,990,1020,,3,1,,"));
    free(text);
    text = text_with(document, "markdown");
    assert_null(strstr(text, "| processes |"));
    free(text);
    json_object_set_new(time, "processes", json_pack("[i, i]", 1, 2));
    text = text_with(document, "csv");
    assert_non_null(strstr(text, ",1000,990,1020,,3,2,,"));
    free(text);
    text = text_with(document, "markdown");
    assert_non_null(strstr(text, "| processes |"));
    free(text);
    json_t *out = json_with(document, "gha");
    const char *extra = ortho_model_string(json_array_get(out, 0), "extra");
    assert_non_null(strstr(extra, "samples: 3 of 2 processes\n"));
    json_decref(out);
    json_decref(document);
}

static void gha_entry(void **state)
{
    (void)state;
    json_t *row = timed_row("k", "\"synthetic\": true"), *document = document_of(row);
    json_object_set_new(json_object_get(document, "context"), "interrupted", json_true());
    json_object_update_new(json_object_get(row, "verified"),
                           json_pack("{s:f, s:f}", "rel_error", 1.23456e-7, "tolerance", 1e-5));
    add_row(document, json_pack("{s:s, s:s, s:s, s:s}", "key", "f", "op", "gemm", "variant", "v",
                                "status", "failed"));
    json_t *out = json_with(document, "gha"), *entry = json_array_get(out, 0);
    assert_int_equal(json_array_size(out), 1);
    assert_string_equal(ortho_model_string(entry, "name"), "k");
    assert_true(ortho_model_number(entry, "value") == 1000);
    assert_string_equal(ortho_model_string(entry, "unit"), "ns");
    assert_string_equal(ortho_model_string(entry, "range"), "± 1.50 %");
    assert_string_equal(ortho_model_string(entry, "extra"),
                        "SYNTHETIC weights: made, not trained\n"
                        "interrupted: cases of this run are missing\n"
                        "verified: before and after timing, relative error 1.2e-07 (tolerance "
                        "1.0e-05)\n"
                        "commit: abc\n"
                        "samples: 3\n"
                        "run: 2 cases: 1 ok, 1 failed");
    json_decref(out);
    json_decref(document);
}

/* One sample has no interval, and no format gets one. */
static void no_interval_of_one_sample(void **state)
{
    (void)state;
    json_t *row = timed_row("k", "");
    json_object_set_new(json_object_get(row, "time_ns"), "samples", json_pack("[f]", 1000.0));
    json_t *document = document_of(row), *gha = json_with(document, "gha");
    json_t *bmf = json_with(document, "bmf");
    assert_null(ortho_model_at(json_array_get(gha, 0), "range"));
    assert_true(ortho_model_number(bmf, "k.latency.value") == 1000);
    assert_null(ortho_model_at(bmf, "k.latency.lower_value"));
    assert_null(ortho_model_at(bmf, "k.throughput.upper_value"));
    json_decref(gha);
    json_decref(bmf);
    json_decref(document);
}

static void bmf_measures(void **state)
{
    (void)state;
    json_t *document = document_of(
        timed_row("k", "\"peak_bytes\": {\"working\": 0, \"weights\": 512},"
                       " \"divergence\": {\"predicted\": {\"value\": 0.31}},"
                       " \"tokens_per_s\": {\"value\": 5.0, \"lo\": 6.0, \"hi\": 7.0}"));
    json_t *out = json_with(document, "bmf"), *k = json_object_get(out, "k");
    assert_true(ortho_model_number(k, "latency.lower_value") == 990);
    assert_true(ortho_model_number(k, "latency.upper_value") == 1020);
    assert_true(fabs(ortho_model_number(k, "throughput.value") - 1e6) < 1e-3);
    assert_true(fabs(ortho_model_number(k, "throughput.lower_value") - 1e9 / 1020) < 1e-3);
    assert_true(fabs(ortho_model_number(k, "throughput.upper_value") - 1e9 / 990) < 1e-3);
    assert_true(ortho_model_number(k, "peak-working-bytes.value") == 0);
    assert_true(ortho_model_number(k, "weights-bytes.value") == 512);
    assert_true(ortho_model_number(k, "active-lanes-predicted.value") == 0.31);
    assert_null(json_object_get(k, "active-lanes-measured"));
    assert_null(ortho_model_at(k, "tokens-per-second.lower_value")); /* it lies above the value */
    assert_int_equal(json_object_size(k), 6);
    json_decref(out);
    json_object_set_new(json_array_get(json_object_get(document, "results"), 0), "synthetic",
                        json_true());
    out = json_with(document, "bmf");
    assert_non_null(json_object_get(out, "k (synthetic)"));
    json_decref(out);
    json_decref(document);
}

static void gbench_median_rows(void **state)
{
    (void)state;
    json_t *document = NULL, *row;
    size_t i, errors = 0, labels = 0;
    assert_int_equal(ortho_results_load(EXAMPLE, &document), ORTHO_OK);
    json_t *out = json_with(document, "gbench-median");
    const json_t *rows = json_object_get(out, "benchmarks");
    assert_int_equal(json_array_size(rows), ortho_model_count(document));
    json_array_foreach(rows, i, row)
    {
        const json_t *source = ortho_model_row(document, i);
        assert_string_equal(ortho_model_string(row, "name"), ortho_model_string(source, "key"));
        assert_string_equal(ortho_model_string(row, "run_type"), "iteration");
        assert_true(ortho_model_number(row, "repetitions") == 1);
        bool timed = ortho_model_timed(source), error = ortho_model_true(row, "error_occurred");
        errors += error;
        labels += ortho_model_string(row, "label") != NULL;
        assert_int_equal(error, !timed);
        assert_true(ortho_model_number(row, "real_time") ==
                    (timed ? ortho_model_time(source) : 0.0));
        if (timed) /* 16 launches in each of 24 samples */
            assert_true(ortho_model_number(row, "iterations") == 16 * 24);
    }
    assert_int_equal(errors, 6);
    assert_int_equal(labels, 1); /* the ambiguous one */
    json_decref(out);
    json_decref(document);
}

/* A row that an export lists only with a verdict: its number appears nowhere else. */
static void no_number_without_verdict(void **state)
{
    (void)state;
    static const char *const writers[] = {"gbench-median", "gha", "bmf", "junit"};
    static const char *const broken[] = {
        "\"verified\": {\"before\": \"pass\", \"after\": \"fail\"}", "\"verified\": {}",
        "\"status\": \"failed\", \"reason\": \"wrong\"", "\"status\": \"skipped\"",
        "\"status\": \"fine\""};
    for (size_t w = 0; w < sizeof writers / sizeof *writers; w++)
        for (size_t b = 0; b < sizeof broken / sizeof *broken; b++) {
            char patch[256];
            snprintf(patch, sizeof patch, "{%s}", broken[b]);
            json_t *row = timed_row("k", ""), *update = json_loads(patch, 0, NULL);
            json_object_set_new(json_object_get(row, "time_ns"), "median", json_real(7654.0));
            json_object_update(row, update);
            json_decref(update);
            json_t *document = document_of(row);
            char *text = text_with(document, writers[w]);
            assert_null(strstr(text, "7654"));
            assert_null(strstr(text, "\"k\": {"));
            free(text);
            json_decref(document);
        }
}

static void junit_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *patch, *wanted;
    } cases[] = {
        {"{}", "<testcase classname=\"gemm.csr\" name=\"k\" time=\"0.000001\"/>"},
        {"{\"status\": \"ambiguous\", \"reason\": \"wide <5 %\"}",
         "time=\"0.000001\">\n      <system-out>ambiguous: wide &lt;5 %</system-out>"},
        {"{\"status\": \"skipped\", \"reason\": \"no time\"}",
         "name=\"k\">\n      <skipped message=\"no time\">"},
        {"{\"status\": \"fine\"}",
         "name=\"k\">\n      <error message=\"no reason given\" type=\"unknown\">"},
        {"{\"verified\": {\"before\": \"pass\", \"after\": \"fail\", \"rel_error\": 0.5}}",
         "type=\"failed\">it has a time and was not verified before and after\n"
         "verified before timing: pass\nverified after timing: fail\nrelative error: 0.5<"},
        {"{\"synthetic\": true}", "<property name=\"synthetic\" value=\"true\"/>"},
        {"{\"synthetic\": false}", "<property name=\"synthetic\" value=\"false\"/>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *row = timed_row("k", ""), *update = json_loads(cases[i].patch, 0, NULL);
        json_object_update(row, update);
        json_decref(update);
        json_t *document = document_of(row);
        char *text = text_with(document, "junit");
        if (strstr(text, cases[i].wanted) == NULL)
            fail_msg("no %s in\n%s", cases[i].wanted, text);
        assert_null(strstr(text, "interrupted"));
        free(text);
        json_object_set_new(json_object_get(document, "context"), "interrupted", json_true());
        text = text_with(document, "junit");
        assert_non_null(
            strstr(text, "<testcase classname=\"run\" name=\"complete\">\n      <error"));
        free(text);
        json_decref(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(names_are_short),
        cmocka_unit_test(processes_are_counted),
        cmocka_unit_test(processes_are_shown),
        cmocka_unit_test(gha_entry),
        cmocka_unit_test(no_interval_of_one_sample),
        cmocka_unit_test(bmf_measures),
        cmocka_unit_test(gbench_median_rows),
        cmocka_unit_test(no_number_without_verdict),
        cmocka_unit_test(junit_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
