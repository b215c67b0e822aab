/* The page of results and the lines it begins with; tests/page opens it in a browser. */
#include "common/error.h"
#include "reports/compare/view.h"
#include "reports/page/page.h"
#include "reports/reports.h"
#include "reports/verdict.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TESTS   ORTHO_SOURCE_DIR "/tests"
#define HOSTILE "</script><script>x()</script>\"'&\xe2\x80\xa8\xe2\x80\xae\n\\u003c"

static json_t *load(const char *path)
{
    json_t *document = NULL;
    assert_int_equal(ortho_document_load(path, &document), ORTHO_OK);
    return document;
}

static json_t *one_row(const char *text)
{
    json_t *row = json_loads(text, 0, NULL);
    assert_non_null(row);
    return json_pack("{s:s, s:{}, s:[o]}", "schema", "ortho-bench/1", "context", "results", row);
}

static char *page_of(const json_t *results, const json_t *comparison, const char *plots)
{
    char *text = NULL;
    size_t size = 0;
    const char *name = "run.json";
    FILE *out = open_memstream(&text, &size);
    ortho_page page = {.results = &results,
                       .names = &name,
                       .plots = plots != NULL ? &plots : NULL,
                       .count = results != NULL,
                       .comparison = comparison};
    assert_int_equal(ortho_page_write(&page, out), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* What a reader sees: without the documents at the end. */
static char *seen(const json_t *results, const json_t *comparison)
{
    char *text = page_of(results, comparison, NULL);
    char *data = strstr(text, "<script type=\"application/json\"");
    assert_non_null(data);
    *data = '\0';
    return text;
}

static void add_line(void *ctx, const char *text, ortho_tone tone)
{
    fprintf(ctx, "%d %s\n", (int)tone, text);
}

static char *lines_of(ortho_status (*make)(const json_t *, const ortho_line_sink *),
                      const json_t *document)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(make(document, &(ortho_line_sink){.ctx = out, .line = add_line}), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *row, *word;
    } cases[] = {
        {"{\"status\": \"ok\", \"verified\": {\"before\": \"pass\", \"after\": \"pass\"},"
         " \"time_ns\": {\"median\": 5.0}}",
         "PASSED"},
        {"{\"status\": \"ok\", \"verified\": {\"before\": \"pass\"}, \"time_ns\": {\"median\": 5}}",
         "FAILED"},
        {"{\"status\": \"skipped\", \"reason\": \"no GPU\"}", "NOTHING"},
        {"{\"status\": \"ambiguous\", \"verified\": {\"before\": \"pass\", \"after\": \"n/a\"},"
         " \"time_ns\": {\"median\": 5.0}}",
         "AMBIGUOUS"},
        {"{\"status\": \"fine\"}", "FAILED"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *document = one_row(cases[i].row);
        char *text = lines_of(ortho_verdict_lines, document);
        assert_int_equal(strncmp(text + 2, cases[i].word, strlen(cases[i].word)), 0);
        free(text);
        json_decref(document);
    }
}

/* The fastest is told with its interval, and an ambiguous row is never it. */
static void fastest(void **state)
{
    (void)state;
    json_t *document = load(TESTS "/schema/example.json");
    char *text = lines_of(ortho_verdict_lines, document);
    assert_non_null(strstr(text, "FAILED"));
    assert_non_null(strstr(text, "gemm on cpu: warp-per-row is the fastest in 8 of 8; at best "
                                 "2.99× [2.93, 3.05] over dense"));
    free(text);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
    {
        const char *variant = json_string_value(json_object_get(row, "variant"));
        if (strcmp(variant, "warp-per-row") == 0)
            json_object_set_new(row, "status", json_string("ambiguous"));
    }
    text = lines_of(ortho_verdict_lines, document);
    assert_non_null(strstr(text, "gemm on cpu: block-csr is the fastest"));
    assert_null(strstr(text, "warp-per-row"));
    free(text);
    json_decref(document);
}

static void compared(void **state)
{
    (void)state;
    json_t *document = load(TESTS "/page/comparison.json");
    size_t count = 0;
    const json_t **slower = ortho_comparison_pick(document, "SLOWER", &count);
    assert_int_equal(count, 2);
    assert_true(ortho_model_number(slower[0], "time.ratio") == 1.2); /* the largest change first */
    free(slower);
    char *text = lines_of(ortho_comparison_told, document);
    assert_int_equal(strncmp(text, "4 SLOWER: 1 wrong, 2 slower, 1 faster", 37), 0);
    assert_non_null(strstr(text, "commit bbbbbbb"));
    assert_non_null(strstr(text, "SYNTHETIC weights: made"));
    free(text);
    text = seen(NULL, document);
    assert_non_null(strstr(text, "NVIDIA H200"));
    assert_null(strstr(text, "7.65")); /* the time of a wrong case */
    free(text);
    json_decref(document);
}

/* As test_reports.c demands of every writer. */
static void no_number_without_verdict(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"key\": \"k\", \"op\": \"gemm\", \"variant\": \"v\", \"status\": \"ok\", \"bytes\": 5,"
        " \"role\": \"competitor\", \"speedup\": {\"over\": \"d\", \"ratio\": 7654.0},"
        " \"time_ns\": {\"median\": 7654.0, \"samples\": [7654.0, 7655.0]},"
        " \"verified\": {\"before\": \"pass\", \"after\": \"fail\"}}",
        "{\"key\": \"k\", \"op\": \"gemm\", \"variant\": \"v\", \"status\": \"failed\","
        " \"reason\": \"wrong\", \"quality\": {\"snr_db\": 7654}, \"clocks\": {\"sm_mhz\":"
        " {\"median\": 7654}}, \"kernels\": [{\"name\": \"n\", \"registers\": 7654}],"
        " \"peak_bytes\": {\"working\": 7837696}, \"counters\": {\"c\": {\"status\": \"ok\","
        " \"value\": 7654}}, \"time_ns\": {\"median\": 7654.0, \"samples\": [7654.0, 7655.0]}}",
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        json_t *document = one_row(rows[r]);
        char *text = seen(document, NULL);
        assert_null(strstr(text, "765"));
        assert_null(strstr(text, "7.65"));
        assert_non_null(strstr(text, "FAILED"));
        free(text);
        json_decref(document);
    }
}

/* No word of a document is markup, and the document that is in the page reads back as it was. */
static void hostile_words(void **state)
{
    (void)state;
    json_t *document = load(TESTS "/schema/example.json");
    json_t *row = json_array_get(json_object_get(document, "results"), 1);
    static const char *const keys[] = {"key", "op", "variant", "proj", "rule", "reason", "dtype"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set_new(row, keys[i], json_string(HOSTILE));
    json_object_set_new(json_object_get(document, "context"), HOSTILE, json_string(HOSTILE));
    char *text = page_of(document, NULL, NULL), *at = text;
    assert_null(strstr(text, "<script>x()"));
    assert_null(strstr(text, "\xe2\x80\xae\n"));
    size_t scripts = 0;
    for (; (at = strstr(at, "</script>")) != NULL; at++)
        scripts++;
    assert_int_equal(scripts, 2);
    char *data = strstr(text, "id=\"data-0\""), *begin = strchr(data, '>') + 1;
    *strstr(begin, "</script>") = '\0';
    assert_null(strpbrk(begin, "<>&"));
    json_t *again = json_loads(begin, 0, NULL);
    assert_true(json_equal(again, document));
    json_decref(again);
    free(text);
    json_decref(document);
}

static void put_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

/* A picture is embedded when it is there and is SVG. */
static void plots(void **state)
{
    (void)state;
    char folder[] = "/tmp/ortho-page-XXXXXX", speedup[64], memory[64];
    assert_non_null(mkdtemp(folder));
    snprintf(speedup, sizeof speedup, "%s/speedup.svg", folder);
    snprintf(memory, sizeof memory, "%s/memory.svg", folder);
    put_file(speedup, "<svg>Man</svg>");
    put_file(memory, "no picture");
    json_t *document = load(TESTS "/schema/example.json");
    char *text = page_of(document, NULL, folder);
    const char *first = strstr(text, "data:image/svg+xml;base64,PHN2Zz5NYW48L3N2Zz4=\"");
    assert_non_null(first);
    assert_non_null(strstr(first, "alt=\"Plot speedup: "));
    assert_ptr_equal(strstr(text, "data:image"), first);
    assert_null(strstr(first + 1, "data:image"));
    free(text);
    json_decref(document);
    remove(speedup);
    remove(memory);
    remove(folder);
}

/* A full disk is no page. */
static void failing_stream(void **state)
{
    (void)state;
    json_t *document = load(TESTS "/schema/example.json");
    const struct json_t *results = document;
    const char *name = "run.json";
    FILE *full = fopen("/dev/full", "wb");
    if (full != NULL) {
        setvbuf(full, NULL, _IONBF, 0);
        ortho_page page = {.results = &results, .names = &name, .count = 1};
        assert_int_equal(ortho_page_write(&page, full), ORTHO_E_IO);
        fclose(full);
    }
    json_decref(document);
}

/* ---- Markdown: the same as a comment ------------------------------------------------------------
 */

static char *markdown_of(const json_t *document)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const ortho_writer *writer = ortho_writer_find("md");
    assert_non_null(writer);
    assert_string_equal(writer->name, "markdown");
    ortho_writer_options plain = {0};
    if (ortho_is_comparison(document))
        writer = ortho_comparison_writer_find("md");
    assert_int_equal(writer->write(document, &plain, out), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Many cases, long words: still a comment, and it says what it left out. The failure stays in. */
static void comment_fits(void **state)
{
    (void)state;
    json_t *document = load(TESTS "/schema/example.json");
    json_t *rows = json_object_get(document, "results"), *copy;
    for (int i = 0; i < 3000; i++) {
        copy = json_deep_copy(json_array_get(rows, (size_t)i % 20));
        json_object_set_new(copy, "m", json_integer(i + 100));
        json_array_insert_new(rows, 0, copy);
    }
    char *long_word = calloc(1, 100001);
    memset(long_word, '@', 100000);
    json_object_set_new(json_object_get(document, "context"), "model_choice",
                        json_string(long_word));
    char *text = markdown_of(document);
    assert_true(strlen(text) <= 65536);
    assert_int_equal(strncmp(text, "## ortho-bench: FAILED", 22), 0);
    assert_non_null(strstr(text, "tables are left out"));
    assert_non_null(strstr(text, "**failed**"));
    assert_non_null(strstr(text, "</details>"));
    free(text);
    free(long_word);
    json_decref(document);
}

static void comparison_fits(void **state)
{
    (void)state;
    json_t *document = load(TESTS "/page/comparison.json");
    char *text = markdown_of(document);
    assert_int_equal(strncmp(text, "## ortho-bench: SLOWER", 22), 0);
    assert_null(strstr(text, "7.65"));
    assert_null(strstr(text, "left out"));
    assert_non_null(strstr(text, "(SYNTHETIC)"));
    free(text);
    json_t *cases = json_object_get(document, "cases");
    for (int i = 0; i < 2000; i++)
        json_array_append_new(cases, json_deep_copy(json_array_get(cases, 0)));
    char *long_word = calloc(1, 100001);
    memset(long_word, '@', 100000);
    json_object_set_new(json_array_get(cases, 0), "key", json_string(long_word));
    json_object_set_new(json_object_get(document, "summary"), "verdict", json_string(long_word));
    text = markdown_of(document);
    assert_true(strlen(text) <= 65536);
    assert_non_null(strstr(text, "are left out"));
    free(text);
    free(long_word);
    json_decref(document);
}

static void refuse_comparisons(void **state)
{
    (void)state;
    json_t *document = load(TESTS "/page/comparison.json");
    assert_int_equal(ortho_report_write(document, ortho_writer_find("csv"), NULL, "-"),
                     ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), "--format md"));
    json_t *other = NULL;
    assert_int_equal(ortho_results_load(TESTS "/page/comparison.json", &other), ORTHO_E_FORMAT);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),        cmocka_unit_test(fastest),
        cmocka_unit_test(compared),        cmocka_unit_test(no_number_without_verdict),
        cmocka_unit_test(hostile_words),   cmocka_unit_test(plots),
        cmocka_unit_test(failing_stream),  cmocka_unit_test(comment_fits),
        cmocka_unit_test(comparison_fits), cmocka_unit_test(refuse_comparisons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
