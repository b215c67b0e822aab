/* The plot `clocks` of rows that hold single readings: over time, by bands of cases that took
 * turns. Without readings: test_plots_more.c. */
#include "tests/unit/plot_files.h"

#include <math.h>

static json_t *document_new(void)
{
    return json_pack("{s:s, s:{s:s, s:{s:s, s:{s:f}, s:f}}, s:[]}", "schema", ORTHO_RESULTS_SCHEMA,
                     "context", "commit", "abc1234", "gpu", "name", "a GPU", "clocks", "sm_max_mhz",
                     1980.0, "power_limit_w", 700.0, "results");
}

/* A verified row; with `count` readings, 1 s apart, from `s` on. */
static json_t *row_add(json_t *document, const char *variant, const char *proj, double s, int count)
{
    char key[80];
    snprintf(key, sizeof key, "gemm/%s/cuda/L0.%s", variant, proj);
    json_t *readings = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(readings,
                              json_pack("{s:f, s:f, s:f, s:f}", "s", s + i, "sm_mhz", 1980.0 - i,
                                        "power_w", 400.0 + i, "temp_c", 45.0));
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:{s:s, s:s}, s:{s:f, s:[f]}, s:{s:f, s:o}}",
        "key", key, "op", "gemm", "variant", variant, "role", "competitor", "backend", "cuda",
        "layer", 0, "proj", proj, "status", "ok", "verified", "before", "pass", "after", "pass",
        "time_ns", "median", 1000.0, "samples", 1000.0, "clocks", "power_w", 400.0 + count,
        "readings", readings);
    json_array_append_new(json_object_get(document, "results"), row);
    return row;
}

static json_t *reading(json_t *row, size_t index)
{
    return json_array_get(json_object_get(json_object_get(row, "clocks"), "readings"), index);
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static int count_of(const char *text, const char *words)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static void reads(char *text, const char *wanted)
{
    assert_string_equal(text, wanted);
    free(text);
}

static void holds(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("no \"%s\" in:\n%s", words, text);
}

/* By time, whatever the order of rows and readings; an empty line between bands. */
static void data(void **state)
{
    (void)state;
    json_t *document = document_new();
    row_add(document, "late", "k", 10, 1);
    json_t *held = row_add(document, "csr", "q", 0, 2);
    json_t *other = row_add(document, "dense", "q", 0.5, 2);
    set(reading(held, 1), "throttled", json_true());
    json_object_del(reading(other, 0), "power_w");
    reads(data_of(document, "clocks"),
          "0\t1980\t400\t45\tNaN\t2\tgemm/csr/cuda/L0.q\tcsr\tL0.q\n"
          "0.5\t1980\tNaN\t45\tNaN\t3\tgemm/dense/cuda/L0.q\tdense\tL0.q\n"
          "1\t1979\t401\t45\t1\t2\tgemm/csr/cuda/L0.q\tcsr\tL0.q\n"
          "1.5\t1979\t401\t45\tNaN\t3\tgemm/dense/cuda/L0.q\tdense\tL0.q\n"
          "\n"
          "10\t1980\t400\t45\tNaN\t1\tgemm/late/cuda/L0.k\tlate\tL0.k\n");
    json_decref(document);
}

static void script(void **state)
{
    (void)state;
    json_t *document = document_new();
    json_t *held = row_add(document, "csr", "q", 0, 3);
    row_add(document, "dense", "q", 0.5, 3);
    row_add(document, "csr", "q", 0.25, 3); /* with another setting; it is named once */
    row_add(document, "coo", "gate", 10, 3);
    char *text = script_of(document, "clocks");
    holds(text, "'4 cases, 12 s; those on one grey band took turns · none throttled'");
    holds(text, "set object 1 rectangle from first 0, graph 0 to first 2.5, graph 1 behind");
    holds(text, "set object 2 rectangle from first 10, graph 0 to first 12, graph 1 behind");
    assert_null(strstr(text, "set object 3"));
    holds(text, "'L0.q' at first 0, graph 1 left");
    holds(text, "'csr, dense' at first 0, graph 1 left");
    holds(text, "'L0.gate' at first 10, graph 1 left");
    holds(text, "set xrange [-0.12:12.12]");
    assert_int_equal(count_of(text, "$data using 1:"), 3);
    assert_int_equal(count_of(text, "title 'limit'"), 2);
    assert_null(strstr(text, "title 'throttled'"));
    free(text);
    set(reading(held, 1), "throttled", json_true());
    set(json_object_get(held, "clocks"), "throttle", json_pack("[s]", "sw-power-cap"));
    text = script_of(document, "clocks");
    holds(text, "× 1 throttled: sw-power-cap'");
    assert_int_equal(count_of(text, "title 'throttled'"), 3);
    free(text);
    set(json_object_get(held, "time_ns"), "samples", json_pack("[f, f]", 1.0, 2.0));
    set(json_object_get(held, "time_ns"), "processes", json_pack("[i, i]", 1, 1));
    json_object_del(json_object_get(row_add(document, "bare", "k", 20, 1), "clocks"), "readings");
    text = script_of(document, "clocks");
    holds(text, "'4 of 5 cases, 12 s;");
    holds(text, " · the first process’s readings'");
    free(text);
    json_decref(document);
}

/* Names go where there is room: a slice whole or not at all, variants cut. */
static void names(void **state)
{
    (void)state;
    json_t *document = document_new();
    for (int i = 0; i < 12; i++) /* 4 of 48 s each: 9 columns */
        row_add(document, i % 2 == 0 ? "csr" : "a-long-variant", i % 2 == 0 ? "q" : "a-long-slice",
                4 * i, 3);
    row_add(document, "dense", "mixed", 0.5, 2);
    char *text = script_of(document, "clocks");
    holds(text, "'csr, dense");
    holds(text, "'a-long-va…'");
    assert_null(strstr(text, "'L0.a-"));
    assert_int_equal(count_of(text, "'L0.q' at first"), 5);
    free(text);
    json_decref(document);
    document = document_new();
    for (int i = 0; i < 200; i++)
        row_add(document, "csr", "q", 4 * i, 3);
    text = script_of(document, "clocks");
    assert_int_equal(count_of(text, "set object "), 200);
    assert_null(strstr(text, ", graph 1 left offset"));
    holds(text, "using 1:2 with linespoints");
    free(text);
    for (int i = 200; i < 600; i++)
        row_add(document, "csr", "q", 4 * i, 3);
    text = script_of(document, "clocks");
    assert_null(strstr(text, "set object "));
    holds(text, "using 1:2 with lines ");
    free(text);
    json_decref(document);
}

/* What isn't verified shows nothing; readings that are none are passed over. */
static void hostile(void **state)
{
    (void)state;
    json_t *document = document_new();
    json_t *wrong = row_add(document, "wrong", "q", 0, 3);
    set(json_object_get(wrong, "verified"), "after", json_string("fail"));
    refuses(document, "clocks", "NVML");
    json_t *row = row_add(document, "'; system('touch owned') #", "q", 5, 6);
    json_t *readings = json_object_get(json_object_get(row, "clocks"), "readings");
    set(reading(row, 1), "s", json_real(-1));
    set(reading(row, 2), "s", json_real(1e300));
    set(reading(row, 3), "s", json_string("5"));
    set(reading(row, 4), "throttled", json_string("yes"));
    json_array_set_new(readings, 5,
                       json_pack("{s:f, s:f, s:f}", "s", 5.5, "sm_mhz", -1.0, "power_w", 1e9));
    json_array_append_new(readings, json_null());
    json_array_append_new(readings, json_array());
    char *text = data_of(document, "clocks");
    assert_int_equal(count_of(text, "\n"), 2);
    assert_int_equal(strncmp(text, "5\t1980\t400\t45\tNaN\t1\t", 18), 0);
    holds(text, "\n9\t1976\t404\t45\tNaN\t1\t");
    free(text);
    text = script_of(document, "clocks");
    assert_null(strstr(text, "system('"));
    free(text);
    set(json_object_get(row, "clocks"), "readings", json_integer(7)); /* over cases, then */
    text = script_of(document, "clocks");
    holds(text, "1 case in the order of the run");
    free(text);
    json_decref(document);
}

/* gnuplot takes what it gets: one moment, several bands, a power that nobody told. */
static void drawn(void **state)
{
    (void)state;
    if (!have_gnuplot())
        skip();
    json_t *document = document_new();
    for (int i = 0; i < 3; i++) {
        char folder[] = "/tmp/ortho-clocks-XXXXXX";
        assert_non_null(mkdtemp(folder));
        json_t *row = row_add(document, i == 0 ? "csr" : "'\"%s`\\", "q", 8 * i, 1 + 3 * i);
        for (int r = 0; r < 1 + 3 * i; r++)
            json_object_del(reading(row, (size_t)r), "power_w");
        if (i > 0)
            set(reading(row, 0), "throttled", json_true());
        assert_int_equal(ortho_plot_files(document, find_plot("clocks"), folder), ORTHO_OK);
        remove_folder(folder);
    }
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data),    cmocka_unit_test(script), cmocka_unit_test(names),
        cmocka_unit_test(hostile), cmocka_unit_test(drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
