/* Reports of what CUPTI told: lanes predicted / measured, counters, activity, and why it is
 * missing; and that no number without its ok gets out. */
#include "reports/columns.h"
#include "reports/counters.h"
#include "reports/measured.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE     ORTHO_SOURCE_DIR "/tests/schema/example.json"
#define EXAMPLE_GPU ORTHO_SOURCE_DIR "/tests/schema/example-gpu.json"

static json_t *load(const char *path)
{
    json_t *document = NULL;
    assert_int_equal(ortho_results_load(path, &document), ORTHO_OK);
    return document;
}

static char *write_with(const json_t *document, const char *name, ortho_writer_options options)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(ortho_writer_find(name)->write(document, &options, out), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    char *copy = strdup(text); /* gcc 12 takes text itself for a pointer to this frame */
    free(text);
    return copy;
}

static json_t *row_of(const json_t *document, const char *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i,
                       row) if (strncmp(ortho_model_string(row, "key"), key, strlen(key)) ==
                                0) return row;
    fail_msg("no row %s", key);
    return NULL;
}

/* A document of the rows whose keys begin so. */
static json_t *only(const json_t *document, const char *key)
{
    json_t *out = json_copy((json_t *)document), *rows = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(document, "results"), i,
                       row) if (strstr(ortho_model_string(row, "key"), key) != NULL)
        json_array_append(rows, row);
    json_object_set_new(out, "results", rows);
    return out;
}

static ortho_cell lanes_of(const json_t *row)
{
    ortho_cell cell = {.text = ""};
    for (size_t c = 0; c < ortho_column_count; c++)
        if (strcmp(ortho_columns[c].title, "lanes") == 0)
            ortho_column_cell(&ortho_columns[c], row, &cell);
    return cell;
}

static const char *const csr = "gemm/csr/cuda/L0.gate/m1/d0.01/";
static const char *const refused = "gemm/coo/cuda/L0.gate/m1/d0.05/";

static void lanes_cells(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU), *row = row_of(document, csr);
    assert_string_equal(lanes_of(row).text, "32.9 / 37.0 %");
    assert_int_equal(lanes_of(row).tone, ORTHO_TONE_BAD); /* 12 % apart */
    ortho_cell cell = lanes_of(row_of(document, "gemm/fused/cuda/L0.gate/m1/d0.01/"));
    assert_string_equal(cell.text, "86.5 / 87.1 %");
    assert_int_equal(cell.tone, ORTHO_TONE_PLAIN);
    assert_string_equal(lanes_of(row_of(document, refused)).text, "15.6 % / n/a (no permission)");
    assert_string_equal(lanes_of(row_of(document, "gemm/dense/cuda/")).text, "");
    json_t *divergence = json_object_get(row, "divergence");
    json_object_del(divergence, "predicted");
    assert_string_equal(lanes_of(row).text, "– / 37.0 %");
    assert_int_equal(lanes_of(row).tone, ORTHO_TONE_PLAIN);
    json_object_set_new(divergence, "measured",
                        json_pack("{s:s, s:s}", "status", "n/a", "reason",
                                  "the profiler of another process is at work"));
    assert_string_equal(lanes_of(row).text, "– / n/a (the profiler of a…)");
    json_object_set_new(divergence, "predicted", json_pack("{s:f}", "value", 0.25));
    json_object_del(divergence, "measured");
    assert_string_equal(lanes_of(row).text, "25.0 % / –");
    json_decref(document);
}

/* Red begins beyond a tenth of the prediction, on either side. */
static void lanes_red(void **state)
{
    (void)state;
    static const struct {
        double measured;
        ortho_tone tone;
    } cases[] = {{0.549, ORTHO_TONE_PLAIN},
                 {0.551, ORTHO_TONE_BAD},
                 {0.451, ORTHO_TONE_PLAIN},
                 {0.449, ORTHO_TONE_BAD}};
    json_t *document = load(EXAMPLE_GPU), *row = row_of(document, csr);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_object_set_new(row, "divergence",
                            json_pack("{s:{s:f}, s:{s:s, s:f}}", "predicted", "value", 0.5,
                                      "measured", "status", "ok", "value", cases[i].measured));
        assert_int_equal(lanes_of(row).tone, cases[i].tone);
    }
    json_decref(document);
}

/* A group has the column of the prediction or that of both, never both. */
static void one_lanes_column(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU), *group = only(document, "L0.gate/m1/d0.05/");
    char *text = write_with(group, "table", (ortho_writer_options){0});
    assert_non_null(strstr(text, "  lanes  "));
    assert_null(strstr(text, "lanes*"));
    assert_non_null(strstr(text, "\nlanes not measured for coo: no permission: the driver lets "
                                 "administrators alone read counters\n"));
    free(text);
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(group, "results"), i,
                       row) if (json_object_get(row, "divergence") != NULL)
        json_object_set_new(json_object_get(row, "divergence"), "measured",
                            json_pack("{s:s, s:s}", "status", "n/a", "reason", "busy"));
    json_object_set_new(json_object_get(group, "context"), "cupti",
                        json_pack("{s:s, s:s, s:s}", "status", "n/a", "reason",
                                  "another process is profiling", "cure", "end that process"));
    text = write_with(group, "table", (ortho_writer_options){0});
    assert_non_null(strstr(text, "  lanes*  "));
    assert_null(strstr(text, "\nlanes:"));
    assert_non_null(
        strstr(text, "\nlanes not measured for coo, csr, fused: busy; end that process\n"));
    assert_non_null(
        strstr(text, "\nNO COUNTERS: another process is profiling; end that process\n"));
    free(text);
    json_decref(group);
    json_decref(document);
}

static void counter_values(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *unit, *text;
    } cases[] = {
        {9.66, "lanes", "9.66 lanes"},
        {62.13, "%", "62.1 %"},
        {1234, "%", "1234 %"},
        {268435456, "bytes", "256 MiB"},
        {512, "B", "512 B"},
        {8183, "", "8.18 k"},
        {8183, "branches", "8.18 k branches"},
        {1.5e9, "", "1.50 G"},
        {61000, "ns", "61.0 µs"},
        {0, "warps", "0 warps"},
        {-2.5, "", "-2.50"},
        {1e300, "bytes", "1.00e+300 bytes"},
        {1e18, "", "1.00e+18"},
        {NAN, "bytes", ""},
        {999.4, "", "999"},
        {999.6, "", "1.00 k"},
        {1, "sectors of a very long unit", "1.00 sectors of a very lo"},
        {1, "\033[2J", "1.00 \xef\xbf\xbd[2J"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        ortho_counter_value(cases[i].value, cases[i].unit, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

/* Derived values, the metrics that nothing was derived of, and what was asked for by name. */
static void counter_lines(void **state)
{
    (void)state;
    json_t *row =
        json_loads("{\"status\": \"ok\", \"verified\": {\"before\": \"pass\", \"after\": \"pass\"},"
                   " \"time_ns\": {\"median\": 5.0}, \"counters\": {"
                   " \"a.x\": {\"value\": 1, \"status\": \"ok\", \"code\": 0, \"group\": \"a\"},"
                   " \"m__one\": {\"value\": 2, \"status\": \"ok\", \"code\": 0, \"group\": \"a\"},"
                   " \"m__two\": {\"value\": 3, \"status\": \"ok\", \"code\": 0, \"group\": \"b\"},"
                   " \"ab.x\": {\"value\": 4, \"status\": \"ok\", \"code\": 0, \"group\": \"a\"},"
                   " \"m__three\": {\"value\": 5, \"status\": \"ok\", \"code\": 0}}}",
                   0, NULL);
    const json_t *rows[] = {row};
    const ortho_group group = {.rows = rows, .count = 1};
    ortho_counter_table t = {0};
    assert_int_equal(ortho_counter_table_make(&group, &t), ORTHO_OK);
    static const char *const names[] = {"a.x", "m__two", "m__three"};
    assert_int_equal(t.lines, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(ortho_counter_table_name(&t, i), names[i]);
    ortho_counter_table_free(&t);
    json_decref(row);
}

static void counters_section(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU), *group = only(document, "L0.gate/m1/d0.05/");
    char *text = write_with(group, "table", (ortho_writer_options){0});
    const char *at = strstr(text, "\n\ncounter ");
    assert_non_null(at);
    at += 2;
    char *header = strndup(at, strcspn(at, "\n"));
    assert_non_null(strstr(header, " csr"));
    assert_null(strstr(header, " coo")); /* refused: it has none */
    assert_null(strstr(header, "cusparse"));
    free(header);
    assert_non_null(strstr(at, "\nmemory.dram_read "));
    assert_non_null(strstr(at, " 17.2 MiB"));
    assert_null(strstr(at, "dram__bytes_read")); /* memory.dram_read is made of it */
    assert_non_null(strstr(at, "\n(a) n/a: no permission: the driver lets administrators alone "
                               "read counters (CUPTI code 35)\n(b) n/a: its metrics stood in"));
    assert_non_null(strstr(
        text, "\ncsr: activity says 34.3 µs, timing 28.1 µs (+22 %): nothing explains it\n"));
    assert_null(strstr(text, "fused: activity"));
    free(text);
    text = write_with(group, "markdown", (ortho_writer_options){0});
    assert_non_null(strstr(text, "\n\n| counter | dense | dense-lt | csr | fused | memcpy |\n"));
    assert_non_null(strstr(text, "\n| memory.dram\\_read | 48.0 MiB | 48.0 MiB | 17.2 MiB |"));
    assert_non_null(strstr(text, "\n- (a) n/a: no permission"));
    assert_non_null(strstr(text, "csr: activity says 34.3 µs"));
    free(text);
    json_decref(group);
    json_decref(document);
}

/* Where nobody counted, no word of it. */
static void no_word_of_counters(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE);
    static const char *const writers[] = {"table", "markdown", "csv"};
    for (int w = 0; w < 3; w++) {
        char *text = write_with(document, writers[w], (ortho_writer_options){0});
        static const char *const words[] = {"counter", "activity says", "CUPTI 1",
                                            "not measured for", "COUNTERS"};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            assert_null(strstr(text, words[i]));
        free(text);
    }
    json_decref(document);
}

static void fits_the_terminal(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    for (int width = 40; width <= 200; width += 8) {
        char *text = write_with(document, "table", (ortho_writer_options){.width = width});
        char *at = strstr(text, "\ncounter"), *save;
        assert_non_null(at);
        for (char *line = strtok_r(at, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            if (strncmp(line, "gemm", 4) == 0)
                break;
            else
                assert_in_range(ortho_text_width(line), 1, width);
        free(text);
    }
    json_decref(document);
}

/* The field of a column in the only record of a document. */
static char *csv_field(const json_t *document, const char *title)
{
    char *text = write_with(document, "csv", (ortho_writer_options){0});
    char *record = strstr(text, "\r\n"), *found = NULL;
    assert_non_null(record);
    *record = '\0';
    record += 2;
    char *head = text;
    for (char *name; (name = strsep(&head, ",")) != NULL;) {
        size_t length = *record == '"' ? strcspn(record + 1, "\"") + 2 : strcspn(record, ",\r");
        if (strcmp(name, title) == 0)
            found = strndup(record, length);
        record += length + 1;
    }
    assert_non_null(found);
    free(text);
    return found;
}

static void check_csv(const json_t *document, const char *title, const char *value)
{
    char *field = csv_field(document, title);
    assert_string_equal(field, value);
    free(field);
}

static void csv_columns(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU), *one = only(document, csr);
    check_csv(one, "counters.memory.dram_read", "13992198");
    check_csv(one, "counters.memory.dram_read.status", "ok");
    check_csv(one, "counters.dram__bytes_read.sum", "13992198"); /* raw ones too */
    check_csv(one, "counters.memory.l2_hit_rate", "");
    check_csv(one, "counters.memory.l2_hit_rate.status", "n/a");
    check_csv(one, "lanes_measured", "0.3699");
    check_csv(one, "lanes_measured_status", "ok");
    check_csv(one, "loop_instructions", "36");
    check_csv(one, "branch_efficiency", "0.6219");
    check_csv(one, "lanes_exact", "");
    check_csv(one, "activity_agrees", "true");
    check_csv(one, "activity_launches", "40");
    json_decref(one);
    one = only(document, refused);
    check_csv(one, "lanes_measured", "");
    check_csv(one, "lanes_measured_status", "n/a");
    check_csv(one, "activity_ns", "");
    check_csv(one, "activity_status", "n/a");
    json_decref(one);
    one = only(document, "gemm/fused/cuda/L0.gate/m1/d0.01/");
    check_csv(one, "lanes_exact", "0.8653");
    json_decref(one);
    json_decref(document);
}

/* Each number of CUPTI's becomes 7654321 or the like; when its status isn't ok, or the case has no
 * verdict, none of them is in any report. */
static json_t *marked(const json_t *document)
{
    json_t *one = json_deep_copy(document), *copy = only(one, csr);
    json_t *row = json_array_get(json_object_get(copy, "results"), 0);
    json_object_set_new(row, "divergence",
                        json_loads("{\"measured\": {\"status\": \"ok\", \"value\": 0.7654321,"
                                   "\"instructions\": 7654321, \"difference\": 7.654321},"
                                   "\"kernel\": {\"status\": \"ok\", \"value\": 0.7654321,"
                                   "\"divergent_branches\": 7654321}}",
                                   0, NULL));
    json_object_set_new(row, "activity",
                        json_loads("{\"status\": \"ok\", \"ns\": 76543.21, \"agrees\": false,"
                                   "\"difference\": 7.654321, \"allocator_bytes\": 7654321}",
                                   0, NULL));
    json_object_set_new(row, "counters",
                        json_loads("{\"g.c\": {\"status\": \"ok\", \"code\": 0, \"group\": \"g\","
                                   "\"value\": 7.654321}}",
                                   0, NULL));
    json_decref(one);
    return copy;
}

/* How often a report of that kind has one of the marked numbers, in full or rounded. */
static int marks(const json_t *document, const char *writer)
{
    int found = 0;
    char *text = write_with(document, writer, (ortho_writer_options){0});
    static const char *const digits[] = {"76543", "7.65", "76.5", "0.765"};
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++)
        found += strstr(text, digits[i]) != NULL;
    free(text);
    return found;
}

static void set_statuses(json_t *row, const char *status)
{
    static const char *const parts[] = {"divergence.measured", "divergence.kernel", "activity"};
    json_t *counter = json_object_get(json_object_get(row, "counters"), "g.c");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        json_object_set_new((json_t *)ortho_model_at(row, parts[i]), "status", json_string(status));
    json_object_set_new(counter, "status", json_string(status));
}

static void no_number_without_ok(void **state)
{
    (void)state;
    static const char *const writers[] = {"table", "csv", "markdown", "gbench"};
    json_t *document = load(EXAMPLE_GPU);
    for (size_t w = 0; w < sizeof writers / sizeof *writers; w++) {
        json_t *one = marked(document);
        json_t *row = json_array_get(json_object_get(one, "results"), 0);
        assert_true(marks(one, writers[w]) > 0);
        json_t *verified = json_incref(json_object_get(row, "verified"));
        json_object_set_new(row, "verified",
                            json_pack("{s:s, s:s}", "before", "pass", "after", "fail"));
        assert_int_equal(marks(one, writers[w]), 0);
        json_object_set_new(row, "verified", verified);
        static const char *const statuses[] = {"n/a", "", "OK", "pending"};
        for (size_t s = 0; s < sizeof statuses / sizeof *statuses; s++) {
            set_statuses(row, statuses[s]);
            assert_int_equal(marks(one, writers[w]), 0);
        }
        json_decref(one);
    }
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_cells),         cmocka_unit_test(lanes_red),
        cmocka_unit_test(one_lanes_column),    cmocka_unit_test(counter_values),
        cmocka_unit_test(counter_lines),       cmocka_unit_test(counters_section),
        cmocka_unit_test(no_word_of_counters), cmocka_unit_test(fits_the_terminal),
        cmocka_unit_test(csv_columns),         cmocka_unit_test(no_number_without_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
