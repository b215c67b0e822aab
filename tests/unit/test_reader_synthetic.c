/* The generators: the same weights in any order of reading, at exact shapes, with the tails and the
 * skew that were asked for. */
#include "tests/unit/test_reader_files.h"

#include "common/half.h"
#include "datasets/generator.h"

#include <math.h>

static ortho_dataset *open_spec(const char *spec)
{
    ortho_dataset *dataset;
    ortho_status status = ortho_dataset_open(spec, &dataset);
    if (status != ORTHO_OK)
        print_message("%s\n", ortho_last_message());
    assert_int_equal(status, ORTHO_OK);
    return dataset;
}

static const ortho_slice *find_slice(const ortho_dataset *dataset, int layer, const char *proj)
{
    for (int64_t i = 0; i < ortho_dataset_slices(dataset); i++) {
        const ortho_slice *slice = ortho_dataset_slice(dataset, i);
        if (slice->layer == layer && strcmp(slice->proj, proj) == 0)
            return slice;
    }
    fail_msg("no slice L%d.%s", layer, proj);
    return NULL;
}

static uint16_t *read_rows(ortho_dataset *dataset, const ortho_slice *slice, int64_t row,
                           int64_t rows)
{
    uint16_t *w = malloc((size_t)(rows * slice->k) * sizeof *w);
    ortho_dtype dtype;
    assert_non_null(w);
    assert_int_equal(ortho_dataset_read(dataset, slice, row, rows, w, &dtype), ORTHO_OK);
    assert_int_equal(dtype, ORTHO_BF16);
    return w;
}

static void has_the_models_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *proj;
        int64_t n, k;
    } shapes[] = {{"q", 3072, 3072},    {"k", 1024, 3072},  {"v", 1024, 3072},   {"o", 3072, 3072},
                  {"gate", 8192, 3072}, {"up", 8192, 3072}, {"down", 3072, 8192}};
    ortho_dataset *dataset = open_spec("synthetic:llama-3.2-3b");
    assert_int_equal(ortho_dataset_slices(dataset), 28 * 7);
    for (int64_t i = 0; i < 28 * 7; i++) {
        const ortho_slice *slice = ortho_dataset_slice(dataset, i);
        assert_int_equal(slice->layer, i / 7);
        assert_string_equal(slice->proj, shapes[i % 7].proj);
        assert_int_equal(slice->n, shapes[i % 7].n);
        assert_int_equal(slice->k, shapes[i % 7].k);
        assert_null(slice->tensor->file);
    }
    assert_string_equal(find_slice(dataset, 27, "o")->tensor->name,
                        "model.layers.27.self_attn.o_proj.weight");
    const ortho_model_facts *facts = ortho_dataset_facts(dataset);
    assert_true(facts->synthetic);
    assert_false(facts->four_bit);
    assert_int_equal(facts->seed, 1);
    assert_string_equal(facts->name, "synthetic:llama-3.2-3b:1");
    assert_string_equal(facts->path, "");
    assert_string_equal(facts->licence, "");
    assert_int_equal(strlen(facts->hash), 32);
    ortho_dataset_close(dataset);
    dataset = open_spec("synthetic:minilm-l6:18446744073709551");
    assert_int_equal(ortho_dataset_slices(dataset), 6 * 6); /* no gate in BERT */
    assert_int_equal(ortho_dataset_facts(dataset)->seed, 18446744073709551);
    ortho_dataset_close(dataset);
}

static void reads_in_any_order(void **state)
{
    (void)state;
    ortho_dataset *one = open_spec("synthetic:smollm2-135m:7");
    ortho_dataset *two = open_spec("synthetic:smollm2-135m:7");
    const ortho_slice *down = find_slice(one, 1, "down"), *q = find_slice(one, 2, "q");
    size_t row_bytes = (size_t)down->k * 2;
    uint16_t *whole = read_rows(one, down, 0, down->n);
    for (int64_t row = down->n - 1; row >= 0; row -= 113) {
        uint16_t *other = read_rows(two, q, row % q->n, 1); /* another tensor in between */
        uint16_t *alone = read_rows(two, down, row, 1);
        assert_memory_equal(alone, whole + row * down->k, row_bytes);
        free(alone);
        free(other);
    }
    float *as_float = malloc((size_t)down->k * 4 * 3);
    extern const ortho_reader ortho_reader_synthetic;
    ortho_source *source;
    assert_int_equal(ortho_reader_synthetic.open("synthetic:smollm2-135m:7", &source), ORTHO_OK);
    assert_int_equal(ortho_reader_synthetic.read_f32(source, down->index, 5, 3, as_float),
                     ORTHO_OK);
    for (int64_t i = 0; i < 3 * down->k; i++)
        assert_float_equal(as_float[i], ortho_bf16_to_float(whole[5 * down->k + i]), 0);
    ortho_reader_synthetic.close(source);
    free(as_float);
    free(whole);
    ortho_dataset_close(one);
    ortho_dataset_close(two);
}

static void differs_by_seed_and_tensor(void **state)
{
    (void)state;
    ortho_dataset *one = open_spec("synthetic:smollm2-135m:1");
    ortho_dataset *two = open_spec("synthetic:smollm2-135m:2");
    assert_string_not_equal(ortho_dataset_facts(one)->hash, ortho_dataset_facts(two)->hash);
    uint16_t *a = read_rows(one, find_slice(one, 0, "gate"), 0, 1);
    uint16_t *b = read_rows(two, find_slice(two, 0, "gate"), 0, 1);
    uint16_t *c = read_rows(one, find_slice(one, 0, "up"), 0, 1);
    uint16_t *d = read_rows(one, find_slice(one, 1, "gate"), 0, 1);
    assert_memory_not_equal(a, b, 1152);
    assert_memory_not_equal(a, c, 1152);
    assert_memory_not_equal(a, d, 1152);
    uint16_t *next = read_rows(one, find_slice(one, 0, "gate"), 1, 1);
    int same_sign = 0; /* a row's own factor doesn't make it another row: half the signs do */
    for (int i = 0; i < 576; i++)
        same_sign += (a[i] >> 15) == (next[i] >> 15);
    assert_in_range(same_sign, 240, 336);
    free(next);
    free(a), free(b), free(c), free(d);
    ortho_dataset_close(one);
    ortho_dataset_close(two);
}

/* Coefficient of variation over rows of the count of the top 1 % by w^2 * H, as in the sieve. */
static double row_skew(ortho_dataset *dataset, const ortho_slice *slice, double *max_over_mean)
{
    int64_t n = slice->n, k = slice->k;
    uint16_t *w = read_rows(dataset, slice, 0, n);
    float *h = malloc((size_t)k * sizeof *h);
    int64_t *histogram = calloc(65536, sizeof *histogram), wanted = n * k / 100, above = 0;
    assert_int_equal(ortho_dataset_hessian(dataset, slice, h), ORTHO_OK);
    /* The upper 16 bits of a non-negative float order it: a threshold by histogram. */
    for (int64_t i = 0; i < n * k; i++) {
        float x = ortho_bf16_to_float(w[i]);
        histogram[ortho_float_bits(x * x * h[i % k]) >> 16]++;
    }
    int threshold = 65535;
    while (above + histogram[threshold] < wanted)
        above += histogram[threshold--];
    double sum = 0, squares = 0, most = 0;
    for (int64_t r = 0; r < n; r++) {
        double count = 0;
        for (int64_t c = 0; c < k; c++) {
            float x = ortho_bf16_to_float(w[r * k + c]);
            count += (int)(ortho_float_bits(x * x * h[c]) >> 16) >= threshold;
        }
        sum += count;
        squares += count * count;
        most = count > most ? count : most;
    }
    double mean = sum / (double)n;
    *max_over_mean = most / mean;
    free(w), free(h), free(histogram);
    return sqrt(squares / (double)n - mean * mean) / mean;
}

/* The profiles give the skew that they were chosen for: .6 and 4x, 1.1 and 9x (q and k more, by the
 * factor of a head). */
static void has_the_profiles_skew(void **state)
{
    (void)state;
    double most;
    ortho_dataset *dataset = open_spec("synthetic:llama-3.2-3b");
    double cv = row_skew(dataset, find_slice(dataset, 0, "o"), &most);
    print_message("  o: CV %.2f, max/mean %.1f\n", cv, most);
    assert_true(cv > .4 && cv < .8 && most > 2.5 && most < 8);
    cv = row_skew(dataset, find_slice(dataset, 0, "q"), &most);
    print_message("  q: CV %.2f, max/mean %.1f\n", cv, most);
    assert_true(cv > 1 && cv < 2 && most > 6 && most < 30);
    ortho_dataset_close(dataset);
}

static double column_rms(const uint16_t *w, int64_t n, int64_t k, int64_t c)
{
    double sum = 0;
    for (int64_t r = 0; r < n; r++)
        sum += pow(ortho_bf16_to_float(w[r * k + c]), 2);
    return sqrt(sum / (double)n);
}

static int64_t super_columns(const char *spec, int layer)
{
    ortho_dataset *dataset = open_spec(spec);
    const ortho_slice *slice = find_slice(dataset, layer, "down");
    uint16_t *w = read_rows(dataset, slice, 0, 256);
    int64_t found = 0;
    for (int64_t c = 0; c < slice->k; c++)
        found += column_rms(w, 256, slice->k, c) > 5;
    free(w);
    ortho_dataset_close(dataset);
    return found;
}

static void has_one_super_column(void **state)
{
    (void)state;
    assert_int_equal(super_columns("synthetic:llama-3.2-3b", 0), 0);
    assert_int_equal(super_columns("synthetic:llama-3.2-3b", 1), 1);
    assert_int_equal(super_columns("synthetic:llama-3.2-3b", 2), 0);
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static void has_three_hot_columns(void **state)
{
    (void)state;
    ortho_dataset *dataset = open_spec("synthetic:llama-3.2-3b:3");
    const ortho_slice *slice = find_slice(dataset, 5, "up");
    float *h = malloc((size_t)slice->k * sizeof *h), *again = malloc((size_t)slice->k * sizeof *h);
    assert_int_equal(ortho_dataset_hessian(dataset, slice, h), ORTHO_OK);
    assert_int_equal(ortho_dataset_hessian(dataset, slice, again), ORTHO_OK);
    assert_memory_equal(h, again, (size_t)slice->k * sizeof *h);
    double logs = 0, squares = 0;
    qsort(h, (size_t)slice->k, sizeof *h, descending);
    for (int64_t c = 3; c < slice->k; c++) {
        logs += log(h[c]);
        squares += log(h[c]) * log(h[c]);
    }
    double mean = logs / (double)(slice->k - 3);
    assert_true(h[slice->k - 1] > 0);
    assert_true(fabs(mean) < .06);
    assert_true(fabs(sqrt(squares / (double)(slice->k - 3) - mean * mean) - .8) < .04);
    double hot = (log(h[0]) + log(h[1]) + log(h[2])) / 3; /* log 100, and three draws of .8 N */
    assert_true(fabs(hot - log(100)) < 1.4);
    free(h), free(again);
    ortho_dataset_close(dataset);
}

/* random: moments of 0.02 * N(0, 1), whatever the shape, and rows in any order. */
static void random_is_normal(void **state)
{
    (void)state;
    ortho_dataset *dataset = open_spec("random:1000x333:5");
    const ortho_slice *slice = ortho_dataset_slice(dataset, 0);
    assert_string_equal(slice->proj, "w");
    assert_int_equal(slice->n, 1000);
    assert_int_equal(slice->k, 333);
    assert_true(ortho_dataset_facts(dataset)->synthetic);
    float *w = malloc(1000 * 333 * sizeof *w), row[333];
    ortho_dtype dtype;
    assert_int_equal(ortho_dataset_read(dataset, slice, 0, 1000, w, &dtype), ORTHO_OK);
    assert_int_equal(dtype, ORTHO_F32);
    double sum = 0, squares = 0, fourth = 0;
    for (int i = 0; i < 333000; i++) {
        double x = w[i] / .02;
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / 333000) < .01);
    assert_true(fabs(squares / 333000 - 1) < .01);
    assert_true(fabs(fourth / 333000 - 3) < .08);
    assert_int_equal(ortho_dataset_read(dataset, slice, 777, 1, row, &dtype), ORTHO_OK);
    assert_memory_equal(row, w + 777 * 333, sizeof row);
    assert_int_equal(ortho_dataset_hessian(dataset, slice, row), ORTHO_E_UNSUPPORTED);
    free(w);
    ortho_dataset_close(dataset);
}

static float two_sided(const ortho_quantiles *q, double p)
{
    double tail = p * 0x1p32; /* ortho_draw's (2 * bits + 1) */
    return ortho_draw(q, (uint32_t)(tail / 2));
}

/* Against the tables that every textbook has. */
static void has_the_right_quantiles(void **state)
{
    (void)state;
    ortho_quantiles q;
    ortho_quantiles_normal(&q);
    assert_float_equal(two_sided(&q, .05), 1.959964, 1e-4);
    assert_float_equal(two_sided(&q, .001), 3.290527, 2e-4);
    ortho_quantiles_student(5, &q);
    assert_float_equal(two_sided(&q, .05), 2.570582, 1e-4);
    assert_float_equal(two_sided(&q, .001), 6.868827, 5e-4);
    ortho_quantiles_student(8, &q);
    assert_float_equal(two_sided(&q, .05), 2.306004, 1e-4);
    assert_float_equal(two_sided(&q, .5), .706387, 1e-4);
    assert_true(isfinite(ortho_draw(&q, 0)) && ortho_draw(&q, 0) > 20);
    assert_float_equal(ortho_draw(&q, 0x80000000u), -ortho_draw(&q, 0), 0);
    assert_float_equal(ortho_draw(&q, 0x7fffffffu), 0, 1e-6);
}

static void refuses_specs(void **state)
{
    (void)state;
    static const char *const bad[] = {"synthetic:",
                                      "synthetic:llama-3.2-3b:",
                                      "synthetic:llama-3.2-3b:x",
                                      "random:",
                                      "random:3",
                                      "random:3x",
                                      "random:0x3",
                                      "random:3x0",
                                      "random:-1x3",
                                      "random:3x4:",
                                      "random:3x4:-1",
                                      "random:3x4x5",
                                      "random:3x4:5 ",
                                      "random:99999999999x1",
                                      "synthetic:llama-3.2-3b:1:2",
                                      "random:3x4:5:6",
                                      "synthetic:llama-3.2-3b:-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ortho_dataset *dataset = NULL;
        assert_int_equal(ortho_dataset_open(bad[i], &dataset), ORTHO_E_ARGUMENT);
        assert_null(dataset);
        assert_non_null(strstr(ortho_last_message(), bad[i]));
    }
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open("synthetic:llama-9", &dataset), ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), "llama-9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_models_shapes),      cmocka_unit_test(reads_in_any_order),
        cmocka_unit_test(differs_by_seed_and_tensor), cmocka_unit_test(has_the_profiles_skew),
        cmocka_unit_test(has_one_super_column),       cmocka_unit_test(has_three_hot_columns),
        cmocka_unit_test(random_is_normal),           cmocka_unit_test(refuses_specs),
        cmocka_unit_test(has_the_right_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
