/* The plots for reviews: roofline, batch, layers, accuracy, clocks; crossovers, exact lanes, and
 * what a caption counts. Documents are made here, so that each number is known. */
#define _GNU_SOURCE
#include "tests/unit/plot_files.h"

#include <math.h>

/* ---- documents ------------------------------------------------------------------------------ */

static json_t *document_new(void)
{
    return json_pack("{s:s, s:{s:s, s:{s:s, s:s}, s:{s:b}, s:{s:f}}, s:[]}", "schema",
                     ORTHO_RESULTS_SCHEMA, "context", "commit", "abc1234", "gpu", "name",
                     "NVIDIA H100 80GB HBM3", "driver", "580.1", "model", "synthetic", 0,
                     "ceilings", "read_gbps", 3000.0, "results");
}

/* A verified GEMM row; its interval is 1 % either way. */
static json_t *row_add(json_t *document, const char *variant, double ns)
{
    bool baseline = strncmp(variant, "dense", 5) == 0;
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:f, s:s, s:i, s:s, s:s, s:s, s:{s:s, s:s}}",
        "op", "gemm", "variant", variant, "role", baseline ? "baseline" : "competitor", "backend",
        "cuda", "layer", 0, "proj", "gate", "n", 1000, "k", 1000, "m", 1, "density", 0.01, "rule",
        "outlier", "group", 128, "dtype", "fp16", "l2", "cold", "status", "ok", "verified",
        "before", "pass", "after", "pass");
    json_object_set_new(row, "time_ns",
                        json_pack("{s:f, s:f, s:f, s:[f, f]}", "median", ns, "lo", 0.99 * ns, "hi",
                                  1.01 * ns, "samples", ns, ns));
    json_array_append_new(json_object_get(document, "results"), row);
    return row;
}

static void set_number(json_t *row, const char *key, double value)
{
    json_object_set_new(row, key, json_real(value));
}

static void set_word(json_t *row, const char *key, const char *word)
{
    json_object_set_new(row, key, json_string(word));
}

/* Its result went wrong after timing. */
static void refute(json_t *row)
{
    set_word(json_object_get(row, "verified"), "after", "fail");
}

static int count_of(const char *text, const char *words)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static void has(char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("no \"%s\" in:\n%s", words, text);
    free(text);
}

static void has_not(char *text, const char *words)
{
    assert_null(strstr(text, words));
    free(text);
}

/* ---- roofline ------------------------------------------------------------------------------- */

static json_t *computing_row(json_t *document, const char *variant, double ns)
{
    json_t *row = row_add(document, variant, ns);
    set_number(row, "bytes", 500000);
    set_number(row, "flops", 2000000);
    return row;
}

static void roofline_points(void **state)
{
    (void)state;
    json_t *document = document_new();
    computing_row(document, "dense", 2000);
    computing_row(document, "csr", 1000);
    refute(computing_row(document, "wrong", 100));
    set_word(computing_row(document, "cpu-row", 100), "backend", "cpu");
    json_object_set_new(computing_row(document, "null", 100), "role", json_string("harness"));
    set_number(computing_row(document, "endless", 100), "bytes", 1e-300);
    set_number(computing_row(document, "idle", 100), "flops", 0);
    char *text = data_of(document, "roofline");
    assert_int_equal(count_of(text, "\n"), 2);
    assert_non_null(strstr(text, "4\t1000\t12\tdense\tL0.gate"));
    assert_non_null(strstr(text, "4\t2000\t0\tcsr\tL0.gate"));
    free(text);
    json_decref(document);
}

static void roofline_roofs(void **state)
{
    (void)state;
    json_t *document = document_new(), *context = json_object_get(document, "context");
    json_t *gpu = json_object_get(context, "gpu"), *ceilings = json_object_get(context, "ceilings");
    computing_row(document, "csr", 1000);
    char *text = script_of(document, "roofline");
    assert_non_null(strstr(text, "measured 3000 GB/s · datasheet 3350 GB/s, 990 TFLOP/s"));
    assert_non_null(strstr(text, "dt 1 lw 2.2 title 'measured'"));
    assert_non_null(strstr(text, "dt 2 lw 1.6 title 'datasheet'"));
    free(text);
    set_number(ceilings, "tensor_tflops", 780);
    has(script_of(document, "roofline"), "measured 3000 GB/s, 780 TFLOP/s · datasheet");
    has(script_of(document, "roofline"), "set xrange [2:8]"); /* the ridge, at 260, is far */
    set_number(computing_row(document, "coo", 1000), "bytes", 100000);
    has(script_of(document, "roofline"), "set xrange [2:590.746]");
    json_object_set_new(gpu, "mig", json_true());
    has_not(script_of(document, "roofline"), "datasheet");
    json_object_set_new(gpu, "mig", json_false());
    json_object_clear(ceilings);
    has_not(script_of(document, "roofline"), "title 'measured'");
    set_word(gpu, "name", "Some GPU");
    refuses(document, "roofline", "measured no ceiling");
    json_array_clear(json_object_get(document, "results"));
    refuses(document, "roofline", "no verified case");
    json_decref(document);
}

/* ---- sweeps --------------------------------------------------------------------------------- */

/* At 0.01 half the baseline's time, at 0.04 twice: equal in the middle of the logarithms. */
static json_t *crossing_document(const char *key, const double at[2])
{
    json_t *document = document_new();
    const double times[2] = {5000, 20000};
    for (int i = 0; i < 2; i++) { /* of as many values, and a smaller slice */
        json_t *small = row_add(document, "dense", 10000);
        set_number(small, key, at[i]);
        set_number(small, "n", 10);
        set_word(small, "proj", "k");
    }
    for (int i = 0; i < 2; i++) {
        set_number(row_add(document, "dense", 10000), key, at[i]);
        set_number(row_add(document, "csr", times[i]), key, at[i]);
        set_number(row_add(document, "slow", 1e8), key, at[i]);
        set_number(row_add(document, "same", 10050 - 100 * i), key, at[i]);
    }
    return document;
}

static void crossovers(void **state)
{
    (void)state;
    json_t *document = crossing_document("density", (const double[]){0.01, 0.04});
    char *text = data_of(document, "density"), *save;
    double at = 0, time = 0;
    /* "same" changes sides too, but within its interval. */
    assert_int_equal(count_of(text, "\tcrossover\n"), 1);
    char *last = text;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        last = line;
    assert_int_equal(sscanf(last, "%lf\t%lf", &at, &time), 2);
    assert_true(fabs(at - 0.02) <= 1e-9); /* false of NaN */
    assert_true(fabs(time - 10) <= 1e-9); /* false of NaN */
    free(text);
    text = script_of(document, "density");
    assert_non_null(strstr(text, "○ = baseline, interpolated · 2 slower cases beyond the picture"));
    assert_non_null(strstr(text, "with points pt 6 ps 1.7 lw 2 lc rgb '#0072B2' title 'at 0.02'"));
    assert_non_null(strstr(text, "to first 0.02, graph 0 nohead"));
    assert_int_equal(count_of(text, "with filledcurves"), 4); /* a band a variant */
    free(text);
    json_decref(document);
}

static void batches(void **state)
{
    (void)state;
    json_t *document = crossing_document("m", (const double[]){1, 16});
    char *text = script_of(document, "batch");
    assert_non_null(strstr(text, "'gemm · L0.gate · density 0.01 · medians"));
    assert_non_null(strstr(text, "title 'dense (cuBLAS)'"));
    assert_non_null(strstr(text, "lc rgb '#000000' dt 1 lw 3.5"));
    assert_non_null(strstr(text, "title 'at 4.00'"));
    assert_non_null(strstr(text, "set xtics ('1' 1, '16' 16)"));
    free(text);
    size_t i;
    json_t *row, *rows = json_object_get(document, "results");
    json_array_foreach(rows, i, row)
    {
        set_word(row, "backend", "cpu");
        if (i == 7) /* csr at 16 */
            refute(row);
    }
    text = script_of(document, "batch");
    assert_non_null(strstr(text, "title 'dense'"));
    assert_non_null(strstr(text, "1 case without a verified time"));
    assert_null(strstr(text, "crossover\n")); /* one side of it isn't known */
    assert_non_null(strstr(text, "16\tNaN\tNaN\tNaN\t0\tcsr\tfailed"));
    free(text);
    json_array_foreach(rows, i, row) set_number(row, "m", 4);
    refuses(document, "batch", "two batches");
    json_decref(document);
}

/* ---- layers --------------------------------------------------------------------------------- */

static json_t *model_document(int layers)
{
    static const char *const projs[] = {"down", "gate", "k", "o", "q", "up", "v"};
    json_t *document = document_new();
    for (int layer = 0; layer < layers; layer++)
        for (int p = 0; p < 7; p++)
            for (int v = 0; v < 2; v++) {
                json_t *row = row_add(document, v == 0 ? "worse" : "better", 1000);
                json_object_set_new(row, "layer", json_integer(layer));
                set_word(row, "proj", projs[p]);
                json_object_set_new(row, "speedup",
                                    json_pack("{s:s, s:f}", "over", "dense", "ratio",
                                              (v == 0 ? 1.0 : 1.5) + 0.01 * layer + 0.001 * p));
            }
    return document;
}

static json_t *row_at(json_t *document, size_t index)
{
    return json_array_get(json_object_get(document, "results"), index);
}

static void layer_map(void **state)
{
    (void)state;
    json_t *document = model_document(28);
    refute(row_at(document, 1)); /* better, down of layer 0 */
    json_t *lone = row_add(document, "lone", 1000);
    json_object_set_new(lone, "speedup", json_pack("{s:s, s:f}", "over", "dense", "ratio", 100.0));
    char *text = data_of(document, "layers");
    assert_int_equal(count_of(text, "\n"), 2 * 28 * 7 + 1);
    assert_non_null(strstr(text, "27\t0\t1.774\t1\t1.77\tbetter\t27\tq\tok"));
    assert_non_null(strstr(text, "0\t6\tNaN\t1\t×\tbetter\t0\tdown\tfailed"));
    free(text);
    text = script_of(document, "layers");
    /* "lone" is fastest where it ran, which is in one cell. */
    assert_non_null(strstr(text, "'Speed-up of worse over dense by layer'"));
    free(text);
    json_object_set(row_at(document, 1), "verified",
                    json_object_get(row_at(document, 0), "verified"));
    text = script_of(document, "layers");
    assert_non_null(strstr(text, "'Speed-up of better over dense by layer'"));
    assert_non_null(strstr(text, "best of 3 variants by geometric mean"));
    assert_non_null(strstr(text, "set ytics ('q' 0, 'k' 1, 'v' 2, 'o' 3, 'gate' 4"));
    assert_non_null(strstr(text, "rotate by 90 center"));
    free(text);
    json_decref(document);
}

static void layer_limits(void **state)
{
    (void)state;
    json_t *document = model_document(80);
    char *text = script_of(document, "layers");
    assert_non_null(strstr(text, "values in the TSV"));
    assert_null(strstr(text, "rotate by 90 center"));
    assert_non_null(strstr(text, "set xtics ('0' 0, '3' 3, "));
    free(text);
    json_decref(document);
    document = model_document(2);
    has(script_of(document, "layers"), "set palette defined (0 '#440154'");
    refute(row_at(document, 15));
    has(script_of(document, "layers"), "'Speed-up of worse");
    for (size_t i = 14; i < 28; i++)
        refute(row_at(document, i));
    refuses(document, "layers", "--layers 0,1");
    json_decref(document);
}

/* ---- accuracy ------------------------------------------------------------------------------- */

static json_t *sieve_add(json_t *document, const char *rule, double density, double snr)
{
    json_t *row = row_add(document, "csr", 1000);
    set_word(row, "op", "sieve");
    set_word(row, "rule", rule);
    set_number(row, "density", density);
    json_object_set_new(row, "quality",
                        json_pack("{s:f, s:f, s:f}", "snr_db", snr, "rel_frobenius",
                                  pow(10, -snr / 20), "bits_per_weight", 4.125 + 30 * density));
    return row;
}

static json_t *accuracy_document(void)
{
    json_t *document = document_new();
    for (int layer = 0; layer < 3; layer++) {
        json_object_set_new(sieve_add(document, "outlier", 0.01, 20 + layer), "layer",
                            json_integer(layer));
        json_object_set_new(sieve_add(document, "residual", 0.01, 16 + layer), "layer",
                            json_integer(layer));
    }
    sieve_add(document, "outlier", 0.05, 24);
    refute(sieve_add(document, "outlier", 0.02, 99));
    return document;
}

static void accuracy_points(void **state)
{
    (void)state;
    json_t *document = accuracy_document();
    char *text = data_of(document, "accuracy");
    assert_non_null(strstr(text, "4.425\t21\t20\t22\t0\t0.01\t3\toutlier\t128\tcsr\n5.625\t24"));
    assert_non_null(strstr(text, "4.425\t17\t16\t18\t1\t0.01\t3\tresidual\t128\tcsr\n"));
    assert_null(strstr(text, "99"));
    free(text);
    text = script_of(document, "accuracy");
    assert_non_null(strstr(text, "dB: higher is better"));
    assert_non_null(strstr(text, "whiskers worst to best of 3 slices · groups of 128'"));
    assert_null(strstr(text, "SYNTHETIC"));
    free(text);
    set_word(sieve_add(document, "outlier", 0.05, 25), "variant", "coo");
    json_object_set_new(json_object_get(json_object_get(document, "context"), "model"), "synthetic",
                        json_true());
    text = script_of(document, "accuracy");
    assert_non_null(strstr(text, "2 variants, up to 4.00 % apart"));
    assert_non_null(strstr(text, "SYNTHETIC"));
    free(text);
    json_decref(document);
}

/* Points that lie together share a label; without a signal to noise the error is drawn. */
static void accuracy_labels(void **state)
{
    (void)state;
    json_t *document = accuracy_document();
    char *text = script_of(document, "accuracy");
    assert_int_equal(count_of(text, "left offset 0.8"), 3);
    free(text);
    sieve_add(document, "outlier", 0.0101, 21.01);
    text = script_of(document, "accuracy");
    assert_int_equal(count_of(text, "left offset 0.8"), 3);
    free(text);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
        json_object_del(json_object_get(row, "quality"), "snr_db");
    has(script_of(document, "accuracy"), "lower is better");
    json_array_foreach(json_object_get(document, "results"), i, row)
        json_object_del(json_object_get(row, "quality"), "rel_frobenius");
    refuses(document, "accuracy", "4-bit already");
    json_decref(document);
}

/* ---- clocks --------------------------------------------------------------------------------- */

static json_t *clocked_add(json_t *document, double least)
{
    json_t *row = row_add(document, "csr", 1000);
    json_object_set_new(row, "clocks",
                        json_pack("{s:{s:f, s:f, s:f}, s:f, s:f}", "sm_mhz", "min", least, "median",
                                  1980.0, "max", 1980.0, "power_w", 400.0, "temp_c", 45.0));
    return row;
}

static void clock_panels(void **state)
{
    (void)state;
    json_t *document = document_new();
    row_add(document, "dense", 1000);
    refuses(document, "clocks", "NVML");
    clocked_add(document, 1980);
    json_t *held = clocked_add(document, 1410);
    json_object_set_new(json_object_get(held, "clocks"), "throttle",
                        json_pack("[s, s]", "sw-power-cap", "'; system('touch owned')"));
    json_object_set_new(json_object_get(held, "time_ns"), "throttled", json_pack("[i, i]", 0, 1));
    refute(clocked_add(document, 1));
    char *text = data_of(document, "clocks");
    assert_int_equal(count_of(text, "\n"), 2);
    assert_non_null(strstr(text, "1\t1980\t1980\t1980\t400\t45\tNaN\tNaN\tcsr\tL0.gate\n"));
    assert_non_null(strstr(text, "2\t1410\t1980\t1980\t400\t45\t2\tNaN\tcsr\tL0.gate\n"));
    free(text);
    text = script_of(document, "clocks");
    assert_non_null(
        strstr(text, "2 cases in the order of the run · × 1 throttled: sw-power-cap, "));
    assert_null(strstr(text, "system('"));
    assert_int_equal(count_of(text, "title 'throttled'"), 3);
    free(text);
    json_object_del(json_object_get(held, "clocks"), "throttle");
    json_object_del(json_object_get(held, "time_ns"), "throttled");
    has(script_of(document, "clocks"), "none throttled");
    json_decref(document);
}

/* ---- exact lanes, captions, files ----------------------------------------------------------- */

static void exact_lanes(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU), *row;
    char *text = script_of(document, "divergence");
    assert_non_null(strstr(text, "could not be measured · 5 counted exactly"));
    assert_int_equal(count_of(text, "with points pt 1 "), 2); /* of fused, with and without band */
    free(text);
    text = script_of(document, "lanes");
    assert_int_equal(count_of(text, "title 'counted'"), 1);
    assert_int_equal(count_of(text, "title 'measured'"), 1); /* of three that were */
    assert_non_null(strstr(text, "'86.5 / 87.1 / 86.5 %'"));
    free(text);
    size_t i;
    json_array_foreach(json_object_get(document, "results"), i,
                       row) if (strcmp(ortho_model_string(row, "variant"), "fused") == 0)
        refute(row);
    text = script_of(document, "divergence");
    assert_null(strstr(text, " counted exactly'"));
    assert_null(strstr(text, "fused"));
    free(text);
    json_decref(document);
}

static void processes(void **state)
{
    (void)state;
    json_t *document = document_new();
    json_t *row = computing_row(document, "csr", 1000);
    has(script_of(document, "roofline"), "H100 80GB HBM3 · driver 580.1 · n = 2 samples a case'");
    has(script_of(document, "roofline"), "commit abc1234'");
    json_object_set_new(json_object_get(row, "time_ns"), "processes", json_pack("[i, i]", 1, 1));
    has(script_of(document, "roofline"), "n = 2 samples a case, of 2 processes'");
    computing_row(document, "coo", 1000);
    has(script_of(document, "roofline"), "n = 2 samples a case, of 1 to 2 processes'");
    json_decref(document);
}

static void take_rows(json_t *document, json_t *other)
{
    json_array_extend(json_object_get(document, "results"), json_object_get(other, "results"));
    json_decref(other);
}

/* A list of tics ends, whatever a document holds. */
static void no_end_of_tics(void **state)
{
    (void)state;
    json_t *document = document_new();
    json_t *row = row_add(document, "csr", 1000);
    json_object_set_new(json_object_get(row, "time_ns"), "samples",
                        json_pack("[f, f]", 1e-320, 1.7e308));
    has(script_of(document, "samples"), "set logscale x");
    json_decref(document);
}

/* Names that try to run a command, in every place that a plot takes words from. */
static void hostile_names(void **state)
{
    (void)state;
    if (!have_gnuplot())
        skip();
    static const char bad[] = "'; system('touch owned') #`touch owned`%d\nEOD\n!touch owned";
    static const char *const keys[] = {"variant", "proj", "rule", "dtype", "l2"};
    char folder[] = "/tmp/ortho-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    json_t *document = model_document(3), *row, *all = json_object_get(document, "results");
    take_rows(document, accuracy_document());
    take_rows(document, crossing_document("m", (const double[]){1, 16}));
    size_t i;
    json_array_foreach(all, i, row)
    {
        set_number(row, "bytes", 1000);
        set_number(row, "flops", 1000);
        if (ortho_model_number(row, "layer") == 0)
            set_word(row, "proj", bad);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (i % 2 == 1 && ortho_model_number(row, "m") != 16)
                set_word(row, keys[k], bad);
    }
    int drawn = 0;
    ortho_status status = ortho_report_folder(document, folder, count_lines, &drawn);
    if (status != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
    assert_true(drawn >= 4);
    snprintf(path, sizeof path, "%s/owned", folder);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_not_equal(access("owned", F_OK), 0);
    remove_folder(folder);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roofline_points), cmocka_unit_test(roofline_roofs),
        cmocka_unit_test(crossovers),      cmocka_unit_test(batches),
        cmocka_unit_test(layer_map),       cmocka_unit_test(layer_limits),
        cmocka_unit_test(accuracy_points), cmocka_unit_test(accuracy_labels),
        cmocka_unit_test(clock_panels),    cmocka_unit_test(exact_lanes),
        cmocka_unit_test(processes),       cmocka_unit_test(hostile_names),
        cmocka_unit_test(no_end_of_tics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
