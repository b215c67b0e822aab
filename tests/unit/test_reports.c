/* Reports: loading, every writer on the example, and on rows made to break them. */
#include "common/error.h"
#include "reports/json_set.h"
#include "reports/model.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define EXAMPLE ORTHO_SOURCE_DIR "/tests/schema/example.json"

/* Names that end a cell, a string, a line, a terminal's patience. */
#define HOSTILE "a,b\"c'd`e|f<g>&@x\\n\n\t\033[31m\xe2\x80\xae{%s}$#"

static json_t *example(void)
{
    json_t *document = NULL;
    assert_int_equal(ortho_results_load(EXAMPLE, &document), ORTHO_OK);
    return document;
}

static char *write_with(const json_t *document, const char *name, ortho_writer_options options)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const ortho_writer *writer = ortho_writer_find(name);
    assert_non_null(writer);
    assert_int_equal(writer->write(document, &options, out), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

static char *file_text(const char *path)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    char *text = calloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, in) > 0);
    fclose(in);
    return text;
}

static json_t *one_row(const char *text)
{
    json_t *row = json_loads(text, 0, NULL);
    assert_non_null(row);
    return json_pack("{s:s, s:{}, s:[o]}", "schema", "ortho-bench/1", "context", "results", row);
}

/* A row of every name hostile, otherwise sound. */
static json_t *hostile_document(void)
{
    json_t *document = one_row("{\"status\": \"ok\", \"layer\": 0, \"m\": 1, \"synthetic\": false,"
                               " \"verified\": {\"before\": \"pass\", \"after\": \"pass\"},"
                               " \"time_ns\": {\"median\": 1000.0, \"samples\": [1000.0]}}");
    json_t *row = json_array_get(json_object_get(document, "results"), 0);
    static const char *const keys[] = {"key", "op", "variant", "proj", "role", "backend", "rule"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set_new(row, keys[i], json_string(HOSTILE));
    json_object_set_new(json_object_get(document, "context"), "model_choice", json_string(HOSTILE));
    return document;
}

static void find_writers(void **state)
{
    (void)state;
    static const char *const names[] = {"table",    "json", "gbench", "gbench-median", "csv",
                                        "markdown", "gha",  "bmf",    "junit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(ortho_writer_find(names[i])->name, names[i]);
    assert_null(ortho_writer_find("xml"));
}

static void json_round_trip(void **state)
{
    (void)state;
    json_t *document = example();
    char *written = write_with(document, "json", (ortho_writer_options){0});
    char *read = file_text(EXAMPLE);
    assert_string_equal(written, read);
    free(read);
    free(written);
    json_decref(document);
}

static void numbers_round_trip(void **state)
{
    (void)state;
    static const double values[] = {0.1,
                                    1.0 / 3,
                                    61000.0,
                                    1e-300,
                                    1.7976931348623157e308,
                                    5e-324,
                                    -0.0,
                                    1e22,
                                    123456789012345678.0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *document = json_pack("{s:f}", "x", values[i]);
        char *text = write_with(document, "json", (ortho_writer_options){0});
        json_t *again = json_loads(text, 0, NULL);
        assert_true(json_is_real(json_object_get(again, "x")));
        assert_true(json_real_value(json_object_get(again, "x")) == values[i]);
        json_decref(again);
        free(text);
        json_decref(document);
    }
}

static void refuse_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
        ortho_status status;
    } files[] = {
        {"", ":1:", ORTHO_E_FORMAT},
        {"{\"schema\": }", ":1:", ORTHO_E_FORMAT},
        {"{\"schema\": \"ortho-bench/1\", \"schema\": 1}", "uplicate", ORTHO_E_FORMAT},
        {"[1]", "not an object", ORTHO_E_FORMAT},
        {"{}", "not an ortho-bench results", ORTHO_E_FORMAT},
        {"{\"schema\": \"gha\"}", "gha", ORTHO_E_FORMAT},
        {"{\"schema\": \"ortho-bench/2\"}", "ortho-bench/2", ORTHO_E_UNSUPPORTED},
        {"{\"schema\": \"ortho-bench/1\"}", "context", ORTHO_E_FORMAT},
        {"{\"schema\": \"ortho-bench/1\", \"context\": {}, \"results\": {}}", "results",
         ORTHO_E_FORMAT},
        {"{\"schema\": \"ortho-bench/1\", \"context\": {}, \"results\": [1]}", "results[0]",
         ORTHO_E_FORMAT},
        {"{\"schema\": \"ortho-bench/1\", \"context\": {}, \"results\": [{\"key\": \"a\", \"op\": "
         "\"gemm\", \"variant\": \"v\", \"status\": \"fine\"}]}",
         "results[0].status", ORTHO_E_FORMAT},
        {"{\"schema\": \"ortho-bench/1\", \"x\": NaN}", ":1:", ORTHO_E_FORMAT},
    };
    char path[] = "/tmp/ortho-test-XXXXXX";
    close(mkstemp(path));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        FILE *out = fopen(path, "wb");
        fputs(files[i].text, out);
        fclose(out);
        json_t *document = (json_t *)&state;
        assert_int_equal(ortho_results_load(path, &document), files[i].status);
        assert_ptr_equal(document, &state); /* untouched */
        assert_non_null(strstr(ortho_last_message(), path));
        assert_non_null(strstr(ortho_last_message(), files[i].word));
    }
    unlink(path);
    json_t *document;
    assert_int_equal(ortho_results_load(path, &document), ORTHO_E_NOT_FOUND);
    assert_int_equal(ortho_results_load("/tmp", &document), ORTHO_E_IO);
}

/* "ok" without a verdict, or without a time, shows no number in any report. */
static void no_number_without_verdict(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"key\": \"k\", \"op\": \"gemm\", \"variant\": \"v\", \"status\": \"ok\", \"bytes\": 5,"
        " \"time_ns\": {\"median\": 7654.0, \"samples\": [7654.0]},"
        " \"verified\": {\"before\": \"pass\", \"after\": \"fail\"}}",
        "{\"key\": \"k\", \"op\": \"gemm\", \"variant\": \"v\", \"status\": \"ok\", \"bytes\": 5,"
        " \"time_ns\": {\"median\": 7654.0, \"samples\": [7654.0]}}",
        "{\"key\": \"k\", \"op\": \"gemm\", \"variant\": \"v\", \"status\": \"failed\","
        " \"reason\": \"wrong\", \"speedup\": {\"over\": \"d\", \"ratio\": 7654.0},"
        " \"time_ns\": {\"median\": 7654.0, \"samples\": [7654.0]}}",
    };
    static const char *const writers[] = {"table", "csv", "markdown", "gbench"};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t w = 0; w < sizeof writers / sizeof *writers; w++) {
            json_t *document = one_row(rows[r]);
            char *text = write_with(document, writers[w], (ortho_writer_options){0});
            assert_null(strstr(text, "7654"));
            assert_null(strstr(text, "7.65"));
            assert_non_null(strstr(text, "failed"));
            free(text);
            json_decref(document);
        }
}

static void table_rows(void **state)
{
    (void)state;
    json_t *document = example();
    char *text = write_with(document, "table", (ortho_writer_options){.width = 0});
    assert_non_null(strstr(text, "SYNTHETIC"));
    assert_non_null(strstr(text, "chosen because no checkpoint was found"));
    assert_non_null(strstr(text, "skipped: one call takes 41 s"));
    assert_non_null(strstr(text, "failed: y[3, 17] is -0.41"));
    assert_non_null(strstr(text, "~ "));
    assert_non_null(strstr(text, "~ is ambiguous"));
    assert_non_null(strstr(text, "65 cases: 58 ok, 1 ambiguous, 2 failed, 4 skipped"));
    assert_non_null(strstr(text, "predicted"));
    assert_null(strchr(text, '\033'));
    free(text);
    text = write_with(document, "table", (ortho_writer_options){.color = true});
    assert_non_null(strstr(text, "\033[31mfailed"));
    free(text);
    json_decref(document);
}

static void table_respects_width(void **state)
{
    (void)state;
    json_t *document = example();
    for (int width = 60; width <= 140; width += 20) {
        char *text = write_with(document, "table", (ortho_writer_options){.width = width}), *save;
        for (char *line = strtok_r(text, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save))
            assert_in_range(ortho_text_width(line), 1, width);
        free(text);
    }
    json_decref(document);
}

static void table_is_inert(void **state)
{
    (void)state;
    json_t *document = hostile_document();
    char *text = write_with(document, "table", (ortho_writer_options){.width = 100});
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\t'));
    assert_null(strstr(text, "\xe2\x80\xae"));
    free(text);
    json_decref(document);
}

/* Reads one CSV record by RFC 4180; returns the fields, and the record's end. */
static int csv_fields(const char **at)
{
    int fields = 1;
    bool quoted = false;
    for (; **at != '\0'; (*at)++) {
        if (**at == '"')
            quoted = !quoted;
        else if (!quoted && **at == ',')
            fields++;
        else if (!quoted && strncmp(*at, "\r\n", 2) == 0) {
            *at += 2;
            return fields;
        }
    }
    return -1; /* no end of record */
}

static void csv_shape(void **state)
{
    (void)state;
    json_t *documents[] = {example(), hostile_document()};
    for (int d = 0; d < 2; d++) {
        char *text = write_with(documents[d], "csv", (ortho_writer_options){0});
        const char *at = text;
        int header = csv_fields(&at), records = 0;
        assert_true(header > 50);
        for (; *at != '\0'; records++)
            assert_int_equal(csv_fields(&at), header);
        assert_int_equal(records, (int)ortho_model_count(documents[d]));
        free(text);
        json_decref(documents[d]);
    }
}

static void csv_absent_is_empty(void **state)
{
    (void)state;
    json_t *document =
        one_row("{\"key\": \"k\", \"op\": \"gemm\", \"variant\": \"v\", \"status\": \"skipped\","
                " \"reason\": \"no, \\\"thanks\\\"\"}");
    char *text = write_with(document, "csv", (ortho_writer_options){0});
    const char *row = strstr(text, "\r\n") + 2;
    assert_non_null(strstr(row, "k,gemm,v,,,,"));
    assert_non_null(strstr(row, "skipped,\"no, \"\"thanks\"\"\",,,"));
    assert_null(strchr(row, '0'));
    free(text);
    json_decref(document);
}

static void markdown_cells(void **state)
{
    (void)state;
    json_t *documents[] = {example(), hostile_document()};
    for (int d = 0; d < 2; d++) {
        char *text = write_with(documents[d], "markdown", (ortho_writer_options){0}), *save;
        int columns = 0, tables = 0;
        for (char *line = strtok_r(text, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save)) {
            int bars = 0;
            for (char *c = line; *c != '\0'; c++)
                bars += *c == '|' && (c == line || c[-1] != '\\');
            if (line[0] != '|') {
                columns = 0;
                continue;
            }
            tables += columns == 0;
            columns = columns == 0 ? bars : columns;
            assert_int_equal(bars, columns);
            assert_null(strstr(line, "<g"));
        }
        assert_true(tables > 0);
        free(text);
        json_decref(documents[d]);
    }
}

static void gbench_rows(void **state)
{
    (void)state;
    json_t *document = example();
    char *text = write_with(document, "gbench", (ortho_writer_options){0});
    json_t *out = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(out);
    static const char *const context[] = {
        "date",        "host_name",           "executable", "num_cpus",
        "mhz_per_cpu", "cpu_scaling_enabled", "caches",     "library_build_type",
        "load_avg",    "json_schema_version"};
    for (size_t i = 0; i < sizeof context / sizeof *context; i++)
        assert_non_null(json_object_get(json_object_get(out, "context"), context[i]));
    size_t errors = 0, aggregates = 0, samples = 0, i;
    json_t *row;
    json_array_foreach(json_object_get(out, "benchmarks"), i, row)
    {
        assert_true(json_is_number(json_object_get(row, "real_time")));
        assert_true(json_is_number(json_object_get(row, "cpu_time")));
        bool error = json_is_true(json_object_get(row, "error_occurred"));
        bool aggregate = strcmp(ortho_model_string(row, "run_type"), "aggregate") == 0;
        errors += error;
        aggregates += aggregate;
        samples += !error && !aggregate;
    }
    assert_int_equal(errors, 6); /* 2 failed, 4 skipped */
    assert_int_equal(aggregates, (65 - 6) * 4);
    assert_int_equal(samples, (65 - 6) * 24);
    json_decref(out);
    free(text);
    json_decref(document);
}

static void gbench_says_few(void **state)
{
    (void)state;
    json_t *document = hostile_document();
    char *text = write_with(document, "gbench", (ortho_writer_options){0});
    json_t *out = json_loads(text, 0, NULL);
    assert_non_null(out);
    assert_non_null(strstr(text, "only 1 of the 9 samples"));
    assert_string_equal(
        ortho_model_string(json_array_get(json_object_get(out, "benchmarks"), 0), "name"), HOSTILE);
    json_decref(out);
    free(text);
    json_decref(document);
}

static void text_helpers(void **state)
{
    (void)state;
    char out[64];
    ortho_text_time(61000, out, sizeof out);
    assert_string_equal(out, "61.0 µs");
    ortho_text_time(999960, out, sizeof out);
    assert_string_equal(out, "1.00 ms");
    ortho_text_bytes(4608, out, sizeof out);
    assert_string_equal(out, "4.50 KiB");
    ortho_text_time(NAN, out, sizeof out);
    assert_string_equal(out, "");
    assert_int_equal(ortho_text_width("µs ×"), 4);
    assert_int_equal(ortho_text_width("e\xcc\x81"), 1);
    assert_int_equal(ortho_text_fit("µµµ", 2), 4);
    char broken[] = "ab\xe2\x80";
    ortho_text_trim(broken);
    assert_string_equal(broken, "ab");
    char barely[] = "ab\xe2", whole[] = "ab\xe2\x80\xa6";
    ortho_text_trim(barely);
    assert_string_equal(barely, "ab");
    ortho_text_trim(whole);
    assert_string_equal(whole, "ab…");
    char *cut = ortho_text_cut("µµµµ\033", 3);
    assert_string_equal(cut, "µµ…");
    free(cut);
}

/* Bytes that are no UTF-8, each told as one U+FFFD, and in JSON not lost. */
static void broken_text(void **state)
{
    static const char *const broken[] = {
        "\xc3", "\x80", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xfc\x80\x80\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char text[16];
        snprintf(text, sizeof text, "a%s", broken[i]);
        char *clean = ortho_text_clean(text);
        assert_int_equal(strlen(clean), 1 + 3 * strlen(broken[i]));
        json_t *object = json_object();
        ortho_json_text(object, "key", text);
        assert_string_equal(json_string_value(json_object_get(object, "key")), clean);
        json_decref(object);
        free(clean);
    }
    char *whole = ortho_text_clean("µ \xed\x9f\xbf \xf4\x8f\xbf\xbf");
    assert_string_equal(whole, "µ \xed\x9f\xbf \xf4\x8f\xbf\xbf");
    free(whole);
}

static void write_is_atomic(void **state)
{
    (void)state;
    char folder[] = "/tmp/ortho-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/r.json", folder);
    json_t *document = example();
    assert_int_equal(ortho_report_write(document, ortho_writer_find("json"), NULL, path), ORTHO_OK);
    json_t *again;
    assert_int_equal(ortho_results_load(path, &again), ORTHO_OK);
    assert_true(json_equal(document, again));
    json_decref(again);
    assert_int_equal(
        ortho_report_write(document, ortho_writer_find("json"), NULL, "/dev/null/x/r.json"),
        ORTHO_E_IO);
    json_decref(document);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_writers),
        cmocka_unit_test(json_round_trip),
        cmocka_unit_test(numbers_round_trip),
        cmocka_unit_test(refuse_files),
        cmocka_unit_test(no_number_without_verdict),
        cmocka_unit_test(table_rows),
        cmocka_unit_test(table_respects_width),
        cmocka_unit_test(table_is_inert),
        cmocka_unit_test(csv_shape),
        cmocka_unit_test(csv_absent_is_empty),
        cmocka_unit_test(markdown_cells),
        cmocka_unit_test(gbench_rows),
        cmocka_unit_test(gbench_says_few),
        cmocka_unit_test(text_helpers),
        cmocka_unit_test(broken_text),
        cmocka_unit_test(write_is_atomic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
