/* Plots: what stands in their data, that failed rows are never drawn as numbers, that gnuplot takes
 * the scripts (also alone), and that a name can't run a command. */
#define _GNU_SOURCE
#include "tests/unit/plot_files.h"

#include <math.h>

static json_t *example(void)
{
    return load(EXAMPLE);
}

static void speedup_data(void **state)
{
    (void)state;
    json_t *document = example();
    char *text = data_of(document, "speedup"), *save;
    int bars = 0, marks = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        double x, ratio, lo, hi;
        if (sscanf(line, "%lf\t%lf\t%lf\t%lf", &x, &ratio, &lo, &hi) == 4 && ratio == ratio) {
            assert_true(lo <= ratio && ratio <= hi);
            assert_non_null(strstr(line, "\tok\t"));
            bars++;
        } else {
            assert_non_null(strstr(line, "\tNaN\tNaN\tNaN\t"));
            assert_null(strstr(line, "\tok\t"));
            marks++;
        }
    }
    assert_int_equal(bars, 8 * 4 - 7);
    assert_int_equal(marks, 7); /* 4 skipped, 2 failed, 1 ambiguous without a speed-up */
    free(text);
    json_decref(document);
}

static void lanes_data(void **state)
{
    (void)state;
    json_t *document = example();
    char *text = data_of(document, "lanes"), *save;
    int lines = 0;
    double shares = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int lane;
        double share;
        assert_int_equal(sscanf(line, "%d\t%lf", &lane, &share), 2);
        assert_int_equal(lane, lines++ % 33);
        shares += share;
    }
    assert_int_equal(lines, 4 * 33);
    assert_true(fabs(shares - 4.0) <= 1e-9); /* false of NaN */
    free(text);
    json_decref(document);
}

/* The shares of one kind of a variant's bars sum to 1, or all are absent. */
static double share_sum(const char *data, const char *variant, bool measured)
{
    double sum = 0;
    for (const char *line = data; *line != '\0'; line += strcspn(line, "\n") + 1) {
        double share[2];
        char name[32];
        assert_int_equal(
            sscanf(line, "%*d\t%lf\t%*d\t%*f\t%*d\t%31[^\t]\t%lf", &share[0], name, &share[1]), 3);
        sum += strcmp(name, variant) == 0 ? share[measured] : 0;
    }
    return sum;
}

static void lanes_measured(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    char *text = data_of(document, "lanes");
    assert_true(fabs(share_sum(text, "csr", false) - 1) < 1e-9);
    assert_true(fabs(share_sum(text, "csr", true) - 1) < 1e-9);
    free(text);
    text = script_of(document, "lanes");
    assert_non_null(strstr(text, "'Active lanes of a warp, predicted and measured'"));
    assert_non_null(strstr(text, "title 'predicted'"));
    assert_non_null(strstr(text, "title 'measured'"));
    assert_non_null(strstr(text, "'32.9 / 37.0 %'"));
    free(text);
    /* One variant of which nothing was measured keeps its prediction; with none, nothing is said.
     */
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i,
                       row) if (strcmp(ortho_model_string(row, "variant"), "csr") == 0)
        json_object_del(json_object_get(row, "divergence"), "measured");
    text = data_of(document, "lanes");
    assert_true(fabs(share_sum(text, "csr", false) - 1) < 1e-9);
    assert_true(isnan(share_sum(text, "csr", true)));
    assert_true(fabs(share_sum(text, "fused", true) - 1) < 1e-9);
    free(text);
    json_array_foreach(json_object_get(document, "results"), i, row)
        json_object_del(json_object_get(row, "divergence"), "measured");
    text = script_of(document, "lanes");
    assert_non_null(strstr(text, "of the lane model, not measured"));
    assert_null(strstr(text, "title 'measured'"));
    free(text);
    json_decref(document);
}

/* A slice that wasn't measured is in neither bar of a variant that was: unlike slices aren't
 * compared. */
static void lanes_of_like_slices(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU), *rows = json_object_get(document, "results"), *row;
    char *before = data_of(document, "lanes");
    size_t i, count = json_array_size(rows);
    for (i = 0; i < count; i++) {
        row = json_deep_copy(json_array_get(rows, i));
        json_object_set_new(row, "layer", json_integer(1));
        json_t *divergence = json_object_get(row, "divergence");
        json_object_del(divergence, "measured");
        json_t *predicted = json_object_get(divergence, "predicted");
        json_array_set_new(json_object_get(predicted, "histogram"), 32, json_real(1e9));
        json_array_append_new(rows, row);
    }
    char *after = data_of(document, "lanes");
    assert_string_equal(before, after);
    free(before);
    free(after);
    json_decref(document);
}

/* A point for each case that has both numbers and a verdict. */
static void divergence_points(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    char *text = data_of(document, "divergence");
    int points = 0;
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        double predicted, measured;
        assert_int_equal(sscanf(line, "%lf\t%lf", &predicted, &measured), 2);
        assert_true(predicted > 0 && predicted <= 100 && measured > 0 && measured <= 100);
        points++;
    }
    assert_int_equal(points, 14);
    assert_non_null(strstr(text, "32.93\t36.99\t2\tcsr\tL0.gate\tgemm · m 1 · density 0.001"));
    free(text);
    text = script_of(document, "divergence");
    assert_non_null(
        strstr(text, "14 cases, 5 more than 10 % from the prediction · 1 could not be measured"));
    assert_non_null(strstr(text, "title '± 10 %'"));
    free(text);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
        json_object_set_new(row, "verified", json_pack("{s:s}", "before", "pass"));
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(find_plot("divergence")->data(document, out), ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), "--counters divergence"));
    fclose(out);
    json_decref(document);
}

/* The foot of a picture names what did the work. */
static void captions(void **state)
{
    (void)state;
    json_t *cpu = example(), *gpu = load(EXAMPLE_GPU);
    char *text = script_of(cpu, "speedup");
    assert_non_null(strstr(text, "'Example CPU (made-up numbers) · 2000 MHz · n = "));
    free(text);
    text = script_of(gpu, "speedup");
    assert_non_null(
        strstr(text, "'Example GPU (made-up numbers) · up to 1980 MHz · driver 580.0 · n = "));
    assert_null(strstr(text, "Example CPU"));
    free(text);
    json_object_set_new(json_object_get(gpu, "context"), "gpu", json_null());
    text = script_of(gpu, "speedup");
    assert_non_null(strstr(text, "'Example CPU (made-up numbers) · 2000 MHz · n = "));
    free(text);
    json_decref(cpu);
    json_decref(gpu);
}

/* Time over density: one line a variant, logarithmic where the times lie far apart, and a title
 * that tells whose rows they are. */
static void density_lines(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    char *text = data_of(document, "density"), *save;
    int coo = 0, csr = 0, dense = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        coo += strstr(line, "\tcoo\tok") != NULL;
        csr += strstr(line, "\tcsr\tok") != NULL;
        dense += strstr(line, "\tdense\tok") != NULL;
    }
    assert_true(coo == 3 && csr == 3 && dense == 3);
    free(text);
    text = script_of(document, "density");
    assert_non_null(strstr(text, "set logscale x\n"));
    assert_non_null(strstr(text, "set logscale y\n"));
    assert_non_null(strstr(text, "density of Ortho, rows of the sieve'"));
    free(text);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
        json_object_set_new(row, "ortho_rows", json_string("lognormal:1"));
    text = script_of(document, "density");
    assert_non_null(strstr(text, "density of Ortho, rows imposed: lognormal:1'"));
    free(text);
    text = script_of(document, "samples");
    assert_non_null(strstr(text, " · rows lognormal:1 · "));
    free(text);
    json_decref(document);
}

/* A pass has no shape, and no "nan" stands for it. */
static void pass_in_plots(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    char *text = script_of(document, "memory");
    assert_non_null(strstr(text, "'gemm · pass · GiB'"));
    assert_null(strstr(text, "nan"));
    free(text);
    text = data_of(document, "speedup");
    assert_non_null(strstr(text, "\tpass\tgemm · m 1 · density 0.01 · group 128 · outlier · fp16"));
    free(text);
    json_decref(document);
}

static void density_needs_two(void **state)
{
    (void)state;
    json_t *document = example();
    size_t i;
    json_t *row, *rows = json_object_get(document, "results");
    json_array_foreach(rows, i, row) json_object_set_new(row, "density", json_real(0.01));
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(find_plot("density")->data(document, out), ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), "two densities"));
    fclose(out);
    free(text);
    json_decref(document);
}

static void quoting(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ortho_plot_quote("a'b`c`{d}\\n\n\"#@x$y", 40, out);
    ortho_plot_tic("50 % of q_proj", 40, out);
    ortho_plot_quote("abcdefghij", 5, out);
    fclose(out);
    for (const char *bad = "`\\\n\"#@$%"; *bad != '\0'; bad++)
        assert_null(strchr(text, *bad));
    assert_non_null(strstr(text, "'50  of q_proj'"));
    assert_non_null(strstr(text, "'abcd…'"));
    free(text);
}

/* The whole folder, with a variant whose name tries to run a command, drawn; then each script alone
 * in an empty folder, which must give the same bytes. */
static void folder_and_scripts(void **state)
{
    if (!have_gnuplot())
        skip();
    char folder[] = "/tmp/ortho-test-XXXXXX", alone[] = "/tmp/ortho-test-XXXXXX", path[128];
    assert_non_null(mkdtemp(folder));
    assert_non_null(mkdtemp(alone));
    json_t *document = load(*state);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i,
                       row) if (strcmp(ortho_model_string(row, "variant"), "csr") == 0)
        json_object_set_new(row, "variant",
                            json_string("'; system('touch owned') #`touch owned`{"));
    int drawn = 0;
    assert_int_equal(ortho_report_folder(document, folder, count_lines, &drawn), ORTHO_OK);
    /* Both are of one layer; the CPU's has neither CUPTI nor clocks. */
    assert_int_equal(drawn, strcmp(*state, EXAMPLE_GPU) == 0 ? 10 : 8);
    for (i = 0; ortho_plots[i] != NULL; i++) {
        static const char *const kinds[] = {"svg", "png"};
        if (!fills(document, ortho_plots[i]))
            continue;
        snprintf(path, sizeof path, "%s/%s.gp", folder, ortho_plots[i]->name);
        assert_int_equal(ortho_gnuplot_run(path, alone, NULL), ORTHO_OK);
        for (int k = 0; k < 2; k++) {
            struct stat here, there;
            snprintf(path, sizeof path, "%s/%s.%s", folder, ortho_plots[i]->name, kinds[k]);
            assert_int_equal(stat(path, &here), 0);
            snprintf(path, sizeof path, "%s/%s.%s", alone, ortho_plots[i]->name, kinds[k]);
            assert_int_equal(stat(path, &there), 0);
            assert_true(here.st_size > 1000 && here.st_size == there.st_size);
        }
    }
    snprintf(path, sizeof path, "%s/owned", alone);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_not_equal(access("owned", F_OK), 0);
    json_decref(document);
    remove_folder(folder);
    remove_folder(alone);
}

/* What a picture says on a terminal: its variants, where they have a key. */
static const char *words_of(const char *plot)
{
    return strcmp(plot, "accuracy") == 0  ? "Accuracy against bits"
           : strcmp(plot, "quality") == 0 ? "H-weighted error against bits"
           : strcmp(plot, "clocks") == 0  ? "SM clock, MHz"
                                          : "csr";
}

static void terminal(void **state)
{
    if (!have_gnuplot())
        skip();
    json_t *document = load(*state);
    for (size_t i = 0; ortho_plots[i] != NULL; i++) {
        if (!fills(document, ortho_plots[i]))
            continue;
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_int_equal(ortho_plot_tty(document, ortho_plots[i], 100, 30, out), ORTHO_OK);
        fclose(out);
        assert_non_null(strstr(text, words_of(ortho_plots[i]->name)));
        assert_null(strchr(text, '\033'));
        free(text);
    }
    json_decref(document);
}

/* An absent gnuplot is a reason, not a failure; the script and the data are there. */
static void no_gnuplot(void **state)
{
    (void)state;
    char folder[] = "/tmp/ortho-test-XXXXXX", path[128];
    char *saved = strdup(getenv("PATH"));
    assert_non_null(mkdtemp(folder));
    setenv("PATH", "/nonexistent", 1);
    json_t *document = example();
    int drawn = 0;
    ortho_status status = ortho_report_folder(document, folder, count_lines, &drawn);
    setenv("PATH", saved, 1);
    free(saved);
    assert_int_equal(status, ORTHO_OK);
    assert_int_equal(drawn, 0);
    snprintf(path, sizeof path, "%s/speedup.gp", folder);
    assert_int_equal(access(path, F_OK), 0);
    json_decref(document);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speedup_data),
        cmocka_unit_test(lanes_data),
        cmocka_unit_test(lanes_measured),
        cmocka_unit_test(lanes_of_like_slices),
        cmocka_unit_test(divergence_points),
        cmocka_unit_test(captions),
        cmocka_unit_test(density_lines),
        cmocka_unit_test(pass_in_plots),
        cmocka_unit_test(density_needs_two),
        cmocka_unit_test(quoting),
        cmocka_unit_test_prestate(folder_and_scripts, EXAMPLE),
        cmocka_unit_test_prestate(folder_and_scripts, EXAMPLE_GPU),
        cmocka_unit_test_prestate(terminal, EXAMPLE),
        cmocka_unit_test_prestate(terminal, EXAMPLE_GPU),
        cmocka_unit_test(no_gnuplot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
