/* Reports of a GPU's rows: clocks and throttling, kernels, a pass, the machine that is named. */
#include "reports/columns.h"
#include "reports/model.h"
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
    return text;
}

/* The first row whose key begins so. */
static json_t *row_of(const json_t *document, const char *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
    {
        const char *its = ortho_model_string(row, "key");
        if (its != NULL && strncmp(its, key, strlen(key)) == 0)
            return row;
    }
    fail_msg("no row %s", key);
    return NULL;
}

static ortho_cell cell_of(const json_t *row, const char *title)
{
    ortho_cell cell = {.text = ""};
    for (size_t c = 0; c < ortho_column_count; c++)
        if (strcmp(ortho_columns[c].title, title) == 0) {
            ortho_column_cell(&ortho_columns[c], row, &cell);
            return cell;
        }
    fail_msg("no column %s", title);
    return cell;
}

static const char *const throttled_key = "gemm/coo/cuda/L0.gate/m1/d0.05/";

static void throttled(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    const json_t *row = row_of(document, throttled_key);
    assert_int_equal(ortho_model_throttled(row), 3);
    ortho_cell time = cell_of(row, "time"), count = cell_of(row, "throttled");
    assert_int_equal(strncmp(time.text, "† 1.51 ms", strlen("† 1.51 ms")), 0);
    assert_int_equal(time.tone, ORTHO_TONE_DOUBT);
    assert_string_equal(count.text, "3 of 24");
    assert_int_equal(count.tone, ORTHO_TONE_DOUBT);
    row = row_of(document, "gemm/csr/cuda/L0.gate/m1/d0.05/");
    assert_int_equal(ortho_model_throttled(row), 0);
    assert_null(strstr(cell_of(row, "time").text, "†"));
    assert_string_equal(cell_of(row, "throttled").text, "");
    static const char *const writers[] = {"table", "markdown"};
    for (int w = 0; w < 2; w++) {
        char *text = write_with(document, writers[w], (ortho_writer_options){0});
        assert_non_null(strstr(text, "THROTTLED: something held the GPU's clock down during "
                                     "samples of 1 of 49 cases, marked † (sw-power-cap, "
                                     "hw-thermal)."));
        assert_non_null(strstr(text, "† 1.51 ms"));
        free(text);
    }
    json_decref(document);
}

/* What is both says both. */
static void throttled_and_ambiguous(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU), *row = row_of(document, throttled_key);
    json_object_set_new(row, "status", json_string("ambiguous"));
    assert_int_equal(strncmp(cell_of(row, "time").text, "†~ ", strlen("†~ ")), 0);
    json_decref(document);
}

static void no_word_of_throttling(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE);
    char *text = write_with(document, "table", (ortho_writer_options){0});
    static const char *const words[] = {"†",     "throttled", "THROTTLED", "regs",
                                        "clock", "tokens/s",  "device"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_null(strstr(text, words[i]));
    assert_non_null(strstr(text, "on Example CPU (made-up numbers) · 2 cores · avx512"));
    free(text);
    json_decref(document);
}

static void widest_kernel(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    ortho_kernel_view kernel;
    const json_t *row = row_of(document, throttled_key); /* the second needs most, and spills */
    assert_true(ortho_model_kernel(row, &kernel));
    assert_string_equal(kernel.name, "coo_scan");
    assert_true(kernel.registers == 48 && kernel.threads == 128 && kernel.spilled_bytes == 24);
    ortho_cell cell = cell_of(row, "regs");
    assert_string_equal(cell.text, "48 r, 24 B spilled");
    assert_int_equal(cell.tone, ORTHO_TONE_BAD);
    row = row_of(document, "gemm/csr/cuda/");
    cell = cell_of(row, "regs");
    assert_string_equal(cell.text, "40 r, 8.20 KiB");
    assert_int_equal(cell.tone, ORTHO_TONE_PLAIN);
    assert_false(ortho_model_kernel(row_of(document, "gemm/dense/cuda/"), &kernel));
    assert_string_equal(cell_of(row_of(document, "gemm/dense/cuda/"), "regs").text, "");
    json_decref(document);
}

/* A spill of any kernel is told, wherever it stands in the list. */
static void spills_of_others(void **state)
{
    (void)state;
    json_t *row =
        json_loads("{\"kernels\": [{\"name\": \"a\", \"registers\": 20, \"spilled_bytes\": 40},"
                   " {\"name\": \"b\", \"registers\": 30, \"spilled_bytes\": 0},"
                   " {\"name\": \"c\", \"registers\": 25, \"spilled_bytes\": 16}, 5, {}]}",
                   0, NULL);
    ortho_kernel_view kernel;
    assert_true(ortho_model_kernel(row, &kernel));
    assert_string_equal(kernel.name, "b");
    assert_float_equal(kernel.spilled_bytes, 40, 0);
    assert_true(isnan(kernel.shared_bytes));
    json_decref(row);
}

static void a_pass(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    const json_t *row = row_of(document, "pass/fused/");
    assert_true(ortho_model_pass(row));
    assert_false(ortho_model_pass(row_of(document, "gemm/fused/")));
    assert_int_equal(strncmp(cell_of(row, "tokens/s").text, "1163 [", 6), 0);
    assert_string_equal(cell_of(row_of(document, "gemm/fused/"), "tokens/s").text, "");
    char *text = write_with(document, "table", (ortho_writer_options){0});
    assert_non_null(strstr(text, "\npass · 196 linears · m 1 · density 0.01 (28185722 entries) · "
                                 "outlier · group 128 · fp16 · cuda · SYNTHETIC\n"));
    assert_null(strstr(text, "?"));
    free(text);
    json_decref(document);
}

static void forms_of_a_pass(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    static const char *const key = "pass/fused/cuda/decode-persistent/m1/d0.05/";
    char label[ORTHO_LABEL_BYTES];
    const json_t *row = row_of(document, key), *old = row_of(document, "pass/fused/");
    const json_t *none = row_of(document, "pass/csr/cuda/decode-persistent/");
    const json_t *dense = row_of(document, "pass/dense/cuda/decode-grouped/m1/d0.05/");
    assert_string_equal(cell_of(row, "form").text, "persistent");
    assert_string_equal(cell_of(none, "form").text, "persistent"); /* it has no time */
    assert_string_equal(cell_of(old, "form").text, "single");      /* it doesn't tell */
    assert_string_equal(cell_of(row_of(document, "gemm/fused/"), "form").text, "");
    assert_int_equal(strncmp(cell_of(row, "speed-up").text, "3.79× [", 8), 0);
    assert_int_equal(strncmp(cell_of(row, "over grouped").text, "3.71× [", 8), 0);
    assert_int_equal(strncmp(cell_of(dense, "speed-up").text, "1.02× [", 8), 0);
    assert_string_equal(cell_of(dense, "over grouped").text, "baseline");
    ortho_model_label(row, label);
    assert_string_equal(label, "fused persistent");
    ortho_model_label(old, label);
    assert_string_equal(label, "fused");
    char *text = write_with(document, "table", (ortho_writer_options){0});
    assert_non_null(strstr(text, "\npass · 196 linears · m 1 · density 0.05"));
    assert_non_null(strstr(text, "\nvariant        form "));
    assert_non_null(strstr(text, "csr      persistent  skipped: the variant has no chain"));
    free(text);
    text = write_with(document, "markdown", (ortho_writer_options){0});
    assert_non_null(strstr(text, "fused persistent in 1"));
    assert_non_null(strstr(text, "| csr | persistent | **skipped**: the variant has no chain"));
    free(text);
    json_decref(document);
}

static void machine(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    assert_true(ortho_model_on_gpu(document));
    char *text = write_with(document, "table", (ortho_writer_options){0});
    assert_non_null(strstr(
        text,
        "\non Example GPU (made-up numbers) · 132 SMs · driver 580.0 · CUDA 13.0 · CUPTI 130001 "
        "· up to 1980 MHz · limit 700 W · reads 3010 GB/s, copies 2650 GB/s, multiplies 780 "
        "TFLOP/s\n"
        "host Example CPU (made-up numbers) · 2 cores · governor performance\n"));
    free(text);
    json_t *gpu = json_object_get(json_object_get(document, "context"), "gpu");
    json_object_set_new(gpu, "mig", json_true());
    text = write_with(document, "table", (ortho_writer_options){0});
    assert_non_null(strstr(text, " · MIG · "));
    free(text);
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
        json_object_set_new(row, "backend", json_string("cpu"));
    assert_false(ortho_model_on_gpu(document)); /* it was there and did nothing */
    json_decref(document);
}

/* On the narrowest terminal too the mark of a throttled row stands. */
static void never_left_out(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    for (int columns = 60; columns <= 200; columns += 20) {
        char *text = write_with(document, "table", (ortho_writer_options){.width = columns});
        assert_non_null(strstr(text, "† 1.51 ms"));
        char *save;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            assert_in_range(ortho_text_width(line), 1, columns);
        free(text);
    }
    json_decref(document);
}

/* The value of a named column in the record of a key. */
static void csv_field(const char *text, const char *key, const char *title, char out[64])
{
    const char *record = strstr(text, key);
    assert_non_null(record);
    int index = 0;
    for (const char *at = text;
         strncmp(at, title, strlen(title)) != 0 || strchr(",\r", at[strlen(title)]) == NULL;
         index++) {
        at = strchr(at, ',');
        assert_non_null(at);
        at++;
    }
    for (bool quoted = false; index > 0; record++) {
        assert_true(*record != '\r' && *record != '\0');
        quoted ^= *record == '"';
        index -= !quoted && *record == ',';
    }
    snprintf(out, 64, "%.*s", (int)strcspn(record, ",\r"), record);
}

static void csv(void **state)
{
    (void)state;
    static const struct {
        const char *key, *title, *value;
    } wanted[] = {
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "throttled", "3"},
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "throttle", "sw-power-cap hw-thermal"},
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "sm_mhz_min", "1410"},
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "power_w", "512"},
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "kernel", "coo_scan"},
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "registers", "48"},
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "spilled_bytes", "24"},
        {"gemm/coo/cuda/L0.gate/m1/d0.05/", "linears", ""},
        {"gemm/csr/cuda/L0.gate/m1/d0.05/", "throttled", ""},
        {"gemm/csr/cuda/L0.gate/m1/d0.05/", "throttle", ""},
        {"gemm/csr/cuda/L0.gate/m1/d0.05/", "shared_bytes", "8396"},
        {"gemm/csr/cuda/L0.gate/m1/d0.05/", "tokens_per_s", ""},
        {"gemm/csr/cuda/L0.gate/m1/d0.05/", "device_bytes", "20115882"},
        {"gemm/dense/cuda/L0.gate/m1/d0.05/", "kernel", ""},
        {"gemm/dense/cuda/L0.gate/m1/d0.05/", "registers", ""},
        {"gemm/cusparse/cuda/L0.gate/m1/d0.05/", "sm_mhz", ""},
        {"pass/csr/", "linears", "196"},
        {"pass/csr/", "n", ""},
        {"pass/csr/", "l2", "pass"},
    };
    json_t *document = load(EXAMPLE_GPU);
    char *text = write_with(document, "csv", (ortho_writer_options){0}), value[64];
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        csv_field(text, wanted[i].key, wanted[i].title, value);
        assert_string_equal(value, wanted[i].value);
    }
    csv_field(text, "pass/fused/", "tokens_per_s", value);
    assert_true(strtod(value, NULL) > 1000);
    free(text);
    json_decref(document);
}

static void gbench(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    char *text = write_with(document, "gbench", (ortho_writer_options){0});
    json_t *out = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *row;
    assert_non_null(out);
    assert_string_equal(ortho_model_string(out, "context.ortho_gpu"),
                        "Example GPU (made-up numbers)");
    assert_string_equal(ortho_model_string(out, "context.ortho_driver"), "580.0");
    size_t i;
    bool seen[3] = {false};
    json_array_foreach(json_object_get(out, "benchmarks"), i, row)
    {
        const char *name = ortho_model_string(row, "name");
        if (ortho_model_number(row, "repetition_index") != 0)
            continue;
        bool coo = strncmp(name, throttled_key, strlen(throttled_key)) == 0;
        bool pass = strncmp(name, "pass/csr/cuda/decode/", 21) == 0;
        bool dense = strncmp(name, "gemm/dense/", 11) == 0;
        assert_true(!coo || (ortho_model_number(row, "throttled_samples") == 3 &&
                             ortho_model_number(row, "registers") == 48 &&
                             ortho_model_number(row, "sm_mhz") == 1980));
        assert_true(!pass || ortho_model_number(row, "tokens_per_second") > 100);
        assert_true(!dense || (json_object_get(row, "registers") == NULL &&
                               json_object_get(row, "throttled_samples") == NULL &&
                               json_object_get(row, "tokens_per_second") == NULL));
        seen[0] |= coo;
        seen[1] |= pass;
        seen[2] |= dense;
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    json_decref(out);
    free(text);
    json_decref(document);
}

static void round_trip(void **state)
{
    (void)state;
    json_t *document = load(EXAMPLE_GPU);
    char *text = write_with(document, "json", (ortho_writer_options){0});
    json_t *again = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_equal(document, again));
    json_decref(again);
    free(text);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(throttled),
        cmocka_unit_test(throttled_and_ambiguous),
        cmocka_unit_test(no_word_of_throttling),
        cmocka_unit_test(widest_kernel),
        cmocka_unit_test(spills_of_others),
        cmocka_unit_test(a_pass),
        cmocka_unit_test(forms_of_a_pass),
        cmocka_unit_test(machine),
        cmocka_unit_test(never_left_out),
        cmocka_unit_test(csv),
        cmocka_unit_test(gbench),
        cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
