/* Reports of odd counters and lanes: of another type, huge, not a number, without a status, by the
 * hundred, with names that end a cell, a line or a buffer. Every writer must answer, and none may
 * show what isn't ok. */
#include "reports/model.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOSTILE "a,b\"c'd`e|f<g>&@x\\n\n\t\033[31m\xe2\x80\xae{%s}$#"

static json_t *document_with(json_t *counters)
{
    json_t *row = json_loads("{\"key\": \"k\", \"op\": \"gemm\", \"variant\": \"v\", \"m\": 1,"
                             "\"role\": \"competitor\", \"backend\": \"cuda\", \"status\": \"ok\","
                             "\"verified\": {\"before\": \"pass\", \"after\": \"pass\"},"
                             "\"time_ns\": {\"median\": 1000.0, \"samples\": [1000.0, 1001.0]}}",
                             0, NULL);
    json_object_set_new(row, "counters", counters);
    return json_pack("{s:s, s:{}, s:[o]}", "schema", "ortho-bench/1", "context", "results", row);
}

static json_t *row_in(json_t *document)
{
    return json_array_get(json_object_get(document, "results"), 0);
}

static char *write_with(const json_t *document, const ortho_writer *writer, int width)
{
    const ortho_writer_options options = {.width = width};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(writer->write(document, &options, out), ORTHO_OK);
    fclose(out);
    char *copy = strdup(text); /* gcc 12 takes text itself for a pointer to this frame */
    free(text);
    return copy;
}

/* All writers but json, which writes the document itself, told apart by their name. */
static void check_writers(const json_t *document, void (*check)(const char *name, char *text))
{
    for (size_t i = 0; ortho_writers[i] != NULL; i++)
        for (int width = 0; width <= 120; width += 40) {
            char *text = write_with(document, ortho_writers[i], width);
            if (strcmp(ortho_writers[i]->name, "json") != 0)
                check(ortho_writers[i]->name, text);
            free(text);
        }
    for (size_t i = 0; ortho_plots[i] != NULL; i++) {
        FILE *out = fopen("/dev/null", "w");
        ortho_plots[i]->data(document, out);
        fclose(out);
    }
}

static void shows_no_mark(const char *name, char *text)
{
    (void)name;
    assert_null(strstr(text, "7654"));
    assert_null(strstr(text, "7.65"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
}

/* Counters that are no counters. */
static void wrong_types(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]",
        "\"7654\"",
        "7654",
        "true",
        "[{\"value\": 7654, \"status\": \"ok\"}]",
        "{\"a.b\": 7654}",
        "{\"a.b\": [7654]}",
        "{\"a.b\": \"7654\"}",
        "{\"a.b\": null, \"\": null}",
        "{\"a.b\": {\"value\": 7654}}",
        "{\"a.b\": {\"value\": 7654, \"status\": null}}",
        "{\"a.b\": {\"value\": 7654, \"status\": 1}}",
        "{\"a.b\": {\"value\": 7654, \"status\": \"n/a\", \"code\": \"x\", \"reason\": 5}}",
        "{\"a.b\": {\"value\": \"NaN\", \"status\": \"ok\", \"code\": 0}}",
        "{\"a.b\": {\"value\": \"7654\", \"status\": \"ok\", \"code\": 0}}",
        "{\"a.b\": {\"value\": [7654], \"status\": \"ok\", \"unit\": 5, \"group\": []}}",
        "{\"a.b\": {\"value\": true, \"status\": \"ok\", \"group\": \"\"}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *counters = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        assert_non_null(counters);
        json_t *document = document_with(counters);
        check_writers(document, shows_no_mark);
        json_decref(document);
    }
}

static void lines_end(const char *name, char *text)
{
    char *save;
    if (strcmp(name, "table") != 0)
        return;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        assert_true(ortho_text_width(line) < 600);
}

/* No digits that aren't there: a huge number is told by its power. */
static void huge_values(void **state)
{
    (void)state;
    json_t *document = document_with(
        json_loads("{\"a.b\": {\"value\": 1.7e308, \"status\": \"ok\", \"unit\": \"bytes\","
                   "\"group\": \"a\"},"
                   "\"a.c\": {\"value\": -1.7e308, \"status\": \"ok\", \"group\": \"a\"},"
                   "\"a.d\": {\"value\": 9223372036854775807, \"status\": \"ok\"},"
                   "\"a.e\": {\"value\": 1e-320, \"status\": \"ok\", \"unit\": \"ns\"},"
                   "\"a.f\": {\"status\": \"n/a\", \"code\": 1e300, \"reason\": \"why\"}}",
                   0, NULL));
    char *text = write_with(document, ortho_writer_find("table"), 0);
    assert_non_null(strstr(text, "1.70e+308 bytes"));
    assert_non_null(strstr(text, "-1.70e+308"));
    assert_non_null(strstr(text, "9.22e+18"));
    assert_non_null(strstr(text, "(a) n/a: why\n")); /* a code beyond all codes is not told */
    free(text);
    check_writers(document, lines_end);
    json_decref(document);
}

static void cells_hold(const char *name, char *text)
{
    int columns = 0;
    if (strcmp(name, "table") == 0) {
        assert_null(strchr(text, '\033'));
        assert_null(strchr(text, '\t'));
        assert_null(strstr(text, "\xe2\x80\xae"));
    }
    if (strcmp(name, "markdown") != 0)
        return;
    for (char *line; (line = strsep(&text, "\n")) != NULL;) { /* a blank line ends a table */
        int bars = 0;
        for (char *c = line; *c != '\0'; c++)
            bars += *c == '|' && (c == line || c[-1] != '\\');
        columns = line[0] != '|' ? 0 : columns == 0 ? bars : columns;
        assert_true(line[0] != '|' || bars == columns);
        assert_null(strstr(line, "<g"));
    }
}

static void hostile_names(void **state)
{
    (void)state;
    char *name = malloc(20001);
    memset(name, 'n', 20000);
    name[20000] = '\0';
    json_t *counters = json_object(), *counter;
    const char *const names[] = {HOSTILE, name, "", " ", "a.b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int ok = 0; ok < 2; ok++) {
            counter = json_pack("{s:s, s:s, s:s, s:i}", "status", ok ? "ok" : "n/a", "unit",
                                HOSTILE, "reason", ok ? HOSTILE : name, "code", 35);
            if (ok)
                json_object_set_new(counter, "value", json_real(5));
            char key[20010];
            snprintf(key, sizeof key, "%s%d", names[i], ok);
            json_object_set_new(counters, key, counter);
        }
    json_t *document = document_with(counters);
    json_object_set_new(row_in(document), "variant", json_string(HOSTILE));
    json_object_set_new(row_in(document), "divergence",
                        json_pack("{s:{s:f}, s:{s:s, s:s}}", "predicted", "value", 0.5, "measured",
                                  "status", HOSTILE, "reason", HOSTILE));
    check_writers(document, cells_hold);
    json_decref(document);
    free(name);
}

/* A reason is cut where no code point is broken, so that a long one in any script is told. */
static void long_reasons(void **state)
{
    (void)state;
    char reason[2001] = "";
    for (int shift = 0; shift < 3; shift++) {
        memset(reason, 'x', (size_t)shift);
        reason[shift] = '\0';
        while (strlen(reason) < 1990)
            strcat(reason, "語");
        json_t *document = document_with(
            json_pack("{s:{s:s, s:s, s:i}}", "a.b", "status", "n/a", "reason", reason, "code", 7));
        char *text = write_with(document, ortho_writer_find("table"), 0);
        assert_non_null(strstr(text, "語 (CUPTI code 7)\n"));
        assert_null(strstr(text, "\xef\xbf\xbd"));
        free(text);
        json_decref(document);
    }
}

static void many_counters(void **state)
{
    (void)state;
    json_t *counters = json_object();
    for (int i = 0; i < 200; i++) {
        char name[32], reason[32];
        snprintf(name, sizeof name, "group.value%d", i);
        snprintf(reason, sizeof reason, "reason %d", i);
        json_object_set_new(counters, name,
                            i % 2 ? json_pack("{s:s, s:s}", "status", "n/a", "reason", reason)
                                  : json_pack("{s:s, s:i}", "status", "ok", "value", i));
    }
    json_t *document = document_with(counters);
    json_t *rows = json_object_get(document, "results");
    for (int v = 1; v < 40; v++) {
        char name[16];
        json_t *row = json_copy(row_in(document));
        snprintf(name, sizeof name, "v%d", v);
        json_object_set_new(row, "variant", json_string(name));
        json_array_append_new(rows, row);
    }
    char *text = write_with(document, ortho_writer_find("table"), 100), *save;
    assert_non_null(strstr(text, "n/a (cv)")); /* the hundredth */
    assert_non_null(strstr(text, "\n(cv) n/a: reason 199\n"));
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        lines += strncmp(line, "group.value198 ", 15) == 0;
        assert_in_range(ortho_text_width(line), 1, 100);
    }
    assert_true(lines > 1); /* in as many blocks as the variants need */
    free(text);
    check_writers(document, cells_hold);
    json_decref(document);
}

static void odd_lanes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"measured\": 7654}",
        "{\"measured\": {\"value\": 0.7654}}",
        "{\"measured\": {\"status\": \"ok\", \"value\": 7654}}",
        "{\"measured\": {\"status\": \"ok\", \"value\": -0.7654}}",
        "{\"measured\": {\"status\": \"ok\", \"value\": \"0.7654\"}}",
        "{\"measured\": {\"status\": [\"ok\"], \"value\": 0.7654}}",
        "{\"predicted\": {\"value\": 0}, \"measured\": {\"status\": \"ok\", \"histogram\": []}}",
        "{\"predicted\": {\"value\": 0.5}, \"measured\": {\"status\": \"ok\"}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *document = document_with(json_object());
        json_object_set_new(row_in(document), "divergence", json_loads(texts[i], 0, NULL));
        json_object_set_new(row_in(document), "activity",
                            json_loads("{\"agrees\": false, \"ns\": 7654}", 0, NULL));
        check_writers(document, shows_no_mark);
        json_decref(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_types),   cmocka_unit_test(huge_values),
        cmocka_unit_test(hostile_names), cmocka_unit_test(long_reasons),
        cmocka_unit_test(many_counters), cmocka_unit_test(odd_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
