/* The plot of quality: means by hand, what isn't pooled, what is left out. */
#define _GNU_SOURCE
#include "tests/unit/plot_files.h"

#include <math.h>

static json_t *document_new(void)
{
    return json_pack("{s:s, s:{s:s, s:{s:b}}, s:[]}", "schema", ORTHO_RESULTS_SCHEMA, "context",
                     "commit", "abc1234", "model", "synthetic", 0, "results");
}

/* A verified sieve by `rule`, group 128, of layer 0 and csr until the row says otherwise. */
static json_t *sieve_add(json_t *document, const char *rule, double density, double error)
{
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:f, s:s, s:i, s:s, s:b, s:s, s:{s:s, s:s}, "
        "s:{s:f, s:f, s:f, s:[f]}, s:{s:f, s:f}}",
        "op", "sieve", "variant", "csr", "role", "competitor", "backend", "cpu", "layer", 0, "proj",
        "q", "n", 1000, "k", 1000, "density", density, "rule", rule, "group", 128, "l2", "warm",
        "synthetic", 0, "status", "ok", "verified", "before", "pass", "after", "pass", "time_ns",
        "median", 1.0, "lo", 1.0, "hi", 1.0, "samples", 1.0, "quality", "h_weighted", error,
        "bits_per_weight", 4.125 + 32 * density);
    json_array_append_new(json_object_get(document, "results"), row);
    return row;
}

static json_t *in_layer(json_t *row, int layer)
{
    json_object_set_new(row, "layer", json_integer(layer));
    return row;
}

/* Two slices, two rules, two densities. */
static json_t *document_full(void)
{
    json_t *document = document_new();
    for (int layer = 0; layer < 2; layer++) {
        double scale = layer == 0 ? 1 : 4;
        in_layer(sieve_add(document, "outlier", 0.0, 0.1 * scale), layer);
        in_layer(sieve_add(document, "outlier", 0.0625, 0.05 * scale), layer);
        in_layer(sieve_add(document, "residual", 0.0625, 0.06 * scale), layer);
        in_layer(sieve_add(document, "residual", 0.0, 0.11 * scale), layer);
    }
    return document;
}

static int count_of(const char *text, const char *words)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static void judge_held_out(json_t *row, double error)
{
    json_object_set_new(json_object_get(row, "quality"), "held_out",
                        json_pack("{s:f}", "h_weighted", error));
}

/* The picture's points, one a line of its data. */
typedef struct numbers {
    double bits, error, lo, hi, series, density, slices;
} numbers;

static int points_of(const json_t *document, numbers *out, int most)
{
    char *text = data_of(document, "quality"), *at = text, *line;
    int count = 0;
    while ((line = strsep(&at, "\n")) != NULL)
        if (*line != '\0') {
            assert_true(count < most);
            numbers *n = &out[count++];
            assert_int_equal(sscanf(line, "%lf %lf %lf %lf %lf %lf %lf", &n->bits, &n->error,
                                    &n->lo, &n->hi, &n->series, &n->density, &n->slices),
                             7);
        }
    free(text);
    return count;
}

static void means(void **state)
{
    (void)state;
    json_t *document = document_full();
    const numbers want[] = {{4.125, 0.2, 0.1, 0.4, 0, 0, 2},
                            {6.125, 0.1, 0.05, 0.2, 0, 0.0625, 2},
                            {4.125, 0.22, 0.11, 0.44, 1, 0, 2},
                            {6.125, 0.12, 0.06, 0.24, 1, 0.0625, 2}};
    numbers got[4];
    assert_int_equal(points_of(document, got, 4), 4);
    for (int i = 0; i < 4; i++)
        for (size_t v = 0; v < sizeof(numbers) / sizeof(double); v++)
            assert_float_equal(((double *)&got[i])[v], ((const double *)&want[i])[v], 1e-12);
    char *text = data_of(document, "quality");
    assert_int_equal(count_of(text, "\n\n"), 1); /* between two lines */
    assert_non_null(strstr(text, "\toutlier\toutlier g128\n"));
    free(text);
    text = script_of(document, "quality");
    assert_non_null(strstr(text, "geometric mean of 2 slices"));
    assert_non_null(strstr(text, "judged by the H that the sieve used"));
    assert_non_null(strstr(text, "set logscale y"));
    assert_null(strstr(text, "SYNTHETIC"));
    free(text);
    json_decref(document);
}

/* Groups as long as a row are one line; other variants, made weights and what failed don't enter a
 * mean. */
static void not_pooled(void **state)
{
    (void)state;
    json_t *document = document_full();
    char *before = data_of(document, "quality");
    json_t *row = sieve_add(document, "outlier", 0.0, 9);
    json_object_set_new(row, "variant", json_string("coo"));
    row = sieve_add(document, "outlier", 0.0, 9);
    json_object_set_new(row, "synthetic", json_true());
    row = sieve_add(document, "outlier", 0.0, 9);
    json_object_set_new(json_object_get(row, "verified"), "after", json_string("fail"));
    row = sieve_add(document, "outlier", 0.0, 9);
    json_object_set_new(row, "status", json_string("failed"));
    sieve_add(document, "outlier", 0.0, 0); /* no logarithm */
    json_object_del(json_object_get(sieve_add(document, "outlier", 0.0, 9), "quality"),
                    "bits_per_weight");
    char *after = data_of(document, "quality");
    assert_string_equal(before, after);
    free(after);
    free(before);
    for (int layer = 0; layer < 2; layer++) {
        in_layer(sieve_add(document, "legacy", 0.0, 0.5), layer);
        row = in_layer(sieve_add(document, "outlier", 0.0, 0.25), layer);
        json_object_set_new(row, "group", json_integer(1000 * (1 + layer))); /* the row's length */
        json_object_set_new(row, "k", json_integer(1000 * (1 + layer)));
    }
    after = data_of(document, "quality");
    assert_non_null(strstr(after, "4.125\t0.5\t0.5\t0.5\t2\t0\t2\tlegacy\tlegacy row\n"));
    assert_non_null(strstr(after, "4.125\t0.25\t0.25\t0.25\t3\t0\t2\toutlier\toutlier row\n"));
    free(after);
    json_decref(document);
}

/* A mean over fewer slices compares with nothing. */
static void needs_the_same_slices(void **state)
{
    (void)state;
    json_t *document = document_full();
    sieve_add(document, "outlier", 0.125, 0.001);
    char *text = data_of(document, "quality");
    assert_null(strstr(text, "0.125"));
    assert_null(strstr(text, "0.001"));
    free(text);
    json_decref(document);
}

static void prefers_held_out(void **state)
{
    (void)state;
    json_t *document = document_full(), *row;
    size_t i;
    json_array_foreach(json_object_get(document, "results"), i, row) judge_held_out(row, 0.25);
    numbers got[4];
    assert_int_equal(points_of(document, got, 4), 4);
    for (int p = 0; p < 4; p++)
        assert_float_equal(got[p].error, 0.25, 1e-12);
    char *text = script_of(document, "quality");
    assert_non_null(strstr(text, "activations that the sieve didn’t see"));
    free(text);
    json_decref(document);
}

static void refuses_one_point(void **state)
{
    (void)state;
    json_t *document = document_new();
    sieve_add(document, "outlier", 0.0, 0.1);
    refuses(document, "quality", "--density 0,0.01,0.05");
    sieve_add(document, "outlier", 0.01, 0.1);
    free(data_of(document, "quality"));
    json_decref(document);
}

/* Names and counts from a hostile document stay within their arrays and strings. */
static void hostile(void **state)
{
    (void)state;
    json_t *document = document_new();
    for (int i = 0; i < 400; i++) {
        char rule[80];
        snprintf(rule, sizeof rule, "%d'; system('touch owned') with a long tail of words", i % 40);
        sieve_add(document, rule, i / 1000.0, 1e-300 + i);
    }
    char *text = script_of(document, "quality");
    assert_null(strstr(text, "system('"));
    free(text);
    free(data_of(document, "quality"));
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means),
        cmocka_unit_test(not_pooled),
        cmocka_unit_test(needs_the_same_slices),
        cmocka_unit_test(prefers_held_out),
        cmocka_unit_test(refuses_one_point),
        cmocka_unit_test(hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
