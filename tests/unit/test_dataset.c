/* The dataset layer: slices and their order, NaN and Inf, facts, and H from a file. */
#include "tests/unit/test_reader_files.h"

#include "common/half.h"

#include <math.h>

/* Appends one entry of a header; data follow each other. */
static void add_entry(char *header, const char *name, const char *dtype, int n, int k, int *at)
{
    int size = strcmp(dtype, "F32") == 0 ? 4 : 2, end = *at + n * k * size;
    sprintf(header + strlen(header),
            "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}",
            header[1] ? "," : "", name, dtype, n, k, *at, end);
    *at = end;
}

static ortho_dataset *open_entries(const char *path, const char *header, const void *data, int size)
{
    ortho_dataset *dataset;
    safetensors_write(path, header, strlen(header), data, (size_t)size);
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_OK);
    return dataset;
}

static void orders_slices(void **state)
{
    char header[4000] = "{";
    int at = 0;
    static const char *const names[] = {
        "model.layers.10.mlp.down_proj.weight",    "model.layers.2.mlp.up_proj.weight",
        "model.layers.2.mlp.gate_proj.weight",     "model.layers.2.self_attn.o_proj.weight",
        "model.layers.2.self_attn.k_proj.weight",  "model.layers.2.self_attn.v_proj.weight",
        "model.layers.10.self_attn.q_proj.weight", "model.layers.2.mlp.down_proj.weight",
        "model.layers.2.self_attn.q_proj.weight",  "model.embed_tokens.weight",
        "model.layers.2.input_layernorm.weight"};
    for (int i = 0; i < 11; i++)
        add_entry(header, names[i], "BF16", 2, 3 + i, &at);
    strcat(header, "}");
    char *data = calloc(1, (size_t)at);
    ortho_dataset *dataset = open_entries(in_folder(state, "x.safetensors"), header, data, at);
    static const struct {
        int layer;
        const char *proj;
    } want[] = {{2, "q"},  {2, "k"},    {2, "v"},  {2, "o"},    {2, "gate"},
                {2, "up"}, {2, "down"}, {10, "q"}, {10, "down"}};
    assert_int_equal(ortho_dataset_tensors(dataset), 11);
    assert_int_equal(ortho_dataset_slices(dataset), 9);
    for (int i = 0; i < 9; i++) {
        const ortho_slice *s = ortho_dataset_slice(dataset, i);
        assert_int_equal(s->layer, want[i].layer);
        assert_string_equal(s->proj, want[i].proj);
        assert_ptr_equal(s->tensor, ortho_dataset_tensor(dataset, s->index));
        assert_int_equal(s->n, s->tensor->shape[0]);
        assert_int_equal(s->k, s->tensor->shape[1]);
    }
    assert_null(ortho_dataset_slice(dataset, 9));
    assert_null(ortho_dataset_slice(dataset, -1));
    ortho_dataset_close(dataset);
    free(data);
}

/* Two matrices of unknown names: nothing to benchmark, everything to inspect. */
static void leaves_unknown_names(void **state)
{
    char header[500] = "{", data[64] = {0};
    int at = 0;
    add_entry(header, "first", "F32", 2, 3, &at);
    add_entry(header, "second", "F32", 2, 3, &at);
    strcat(header, "}");
    ortho_dataset *dataset =
        open_entries(in_folder(state, "my.model.safetensors"), header, data, at);
    assert_int_equal(ortho_dataset_slices(dataset), 0);
    assert_int_equal(ortho_dataset_tensors(dataset), 2);
    assert_string_equal(ortho_dataset_facts(dataset)->name, "my.model");
    assert_string_equal(ortho_dataset_facts(dataset)->licence, "");
    ortho_dataset_close(dataset);
}

/* Names of two schemes in one file: the first scheme is the checkpoint's. */
static void takes_one_scheme(void **state)
{
    char header[500] = "{", data[64] = {0};
    int at = 0;
    add_entry(header, "blk.0.attn_q.weight", "F32", 2, 3, &at);
    add_entry(header, "model.layers.0.self_attn.q_proj.weight", "F32", 2, 3, &at);
    strcat(header, "}");
    ortho_dataset *dataset = open_entries(in_folder(state, "two.safetensors"), header, data, at);
    assert_int_equal(ortho_dataset_slices(dataset), 1);
    assert_int_equal(ortho_dataset_slice(dataset, 0)->index, 1);
    ortho_dataset_close(dataset);
}

/* A bad value of each dtype at (row 3, column 2) of [5, 1111]. */
static void names_bad_values(void **state)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    static const uint32_t bad[3][3] = {{0x7f800000u, 0xff800000u, 0x7fc00001u},
                                       {0x7c00, 0xfc00, 0x7e01},
                                       {0x7f80, 0xff80, 0x7fc1}};
    const char *path = in_folder(state, "nan.safetensors");
    enum { N = 5, K = 1111 };
    for (int d = 0; d < 3; d++)
        for (int v = 0; v < 3; v++) {
            char header[300] = "{", want[64];
            int at = 0, size = d == 0 ? 4 : 2;
            unsigned char *data = calloc(N * K, 4);
            memcpy(data + (3 * K + 2) * size, &bad[d][v], (size_t)size);
            add_entry(header, "w", dtypes[d], N, K, &at);
            strcat(header, "}");
            ortho_dataset *dataset = open_entries(path, header, data, at);
            const ortho_slice *slice = ortho_dataset_slice(dataset, 0);
            float *rows = malloc(N * K * 4);
            ortho_dtype dtype;
            assert_int_equal(ortho_dataset_read(dataset, slice, 0, 3, rows, &dtype), ORTHO_OK);
            assert_int_equal(ortho_dataset_read(dataset, slice, 4, 1, rows, &dtype), ORTHO_OK);
            assert_int_equal(ortho_dataset_read(dataset, slice, 1, 4, rows, &dtype),
                             ORTHO_E_NONFINITE);
            const char *message = ortho_last_message();
            snprintf(want, sizeof want, "row 3, column 2 is %s",
                     v == 2   ? "nan"
                     : v == 1 ? "-inf"
                              : "inf");
            assert_non_null(strstr(message, want));
            assert_non_null(strstr(message, "tensor \"w\""));
            assert_non_null(strstr(message, "nan.safetensors"));
            free(rows), free(data);
            ortho_dataset_close(dataset);
        }
}

static void hash_of(const char *path, const char *name, int rows, char hash[65])
{
    char header[300] = "{", data[256] = {0};
    int at = 0;
    add_entry(header, name, "F32", rows, 3, &at);
    strcat(header, "}");
    ortho_dataset *dataset = open_entries(path, header, data, at);
    strcpy(hash, ortho_dataset_facts(dataset)->hash);
    ortho_dataset_close(dataset);
}

static void hashes_headers(void **state)
{
    char a[65], b[65], c[65], d[65];
    hash_of(in_folder(state, "a.safetensors"), "w", 2, a);
    hash_of(in_folder(state, "b.safetensors"), "w", 2, b);
    hash_of(in_folder(state, "c.safetensors"), "v", 2, c);
    hash_of(in_folder(state, "d.safetensors"), "w", 3, d);
    assert_int_equal(strlen(a), 32);
    assert_string_equal(a, b); /* the same bytes at another place */
    assert_string_not_equal(a, c);
    assert_string_not_equal(a, d);
}

/* A file that says of itself that its weights were made can't pass for a trained one. */
static void believes_made_files(void **state)
{
    const char *header = "{\"__metadata__\":{\"made\":\"yes\"},"
                         "\"w\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}";
    ortho_dataset *dataset = open_entries(in_folder(state, "m.safetensors"), header, "\0\0\0\0", 4);
    assert_true(ortho_dataset_facts(dataset)->synthetic);
    assert_string_equal(ortho_dataset_facts(dataset)->name, "m (made, not trained)");
    ortho_dataset_close(dataset);
}

enum { K = 4 };

/* A slice over a tensor "w" of K columns, for files of activations. */
static const ortho_tensor w_tensor = {.name = "w", .dtype = ORTHO_F32, .rank = 2, .shape = {2, K}};
static const ortho_slice w_slice = {.proj = "w", .n = 2, .k = K, .tensor = &w_tensor};

static ortho_status read_hessian(void **state, const char *header, const void *data, size_t size,
                                 float *h)
{
    const char *path = in_folder(state, "acts.safetensors");
    safetensors_write(path, header, strlen(header), data, size);
    return ortho_hessian_from_file(path, &w_slice, h);
}

static void reads_hessians(void **state)
{
    float h[K] = {0}, diagonal[K] = {0, 1, 2.5f, 1e-20f};
    assert_int_equal(
        read_hessian(state, "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
                     diagonal, 16, h),
        ORTHO_OK);
    assert_memory_equal(h, diagonal, sizeof h);
    float x[3][K] = {{1, 2, 0, -1}, {-1, 2, 0, 2}, {1, -2, 3, 4}};
    assert_int_equal(
        read_hessian(state, "{\"w\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]}}",
                     x, 48, h),
        ORTHO_OK);
    assert_float_equal(h[0], 1, 1e-6);
    assert_float_equal(h[1], 4, 1e-6);
    assert_float_equal(h[2], 3, 1e-6);
    assert_float_equal(h[3], 7, 1e-6);
}

static void keeps_activations(void **state)
{
    const char *path = in_folder(state, "acts.safetensors");
    const char *header = "{\"w\":{\"dtype\":\"F16\",\"shape\":[3,4],\"data_offsets\":[0,24]}}";
    const uint16_t halves[3][K] = {{0x3c00, 0x4000, 0, 0xbc00}, /* 1 2 0 -1 */
                                   {0xbc00, 0x4000, 0, 0x4000},
                                   {0x3c00, 0xc000, 0x4200, 0x4400}};
    const float want[3][K] = {{1, 2, 0, -1}, {-1, 2, 0, 2}, {1, -2, 3, 4}}, h[K] = {1, 4, 3, 7};
    ortho_activations got;
    safetensors_write(path, header, strlen(header), halves, sizeof halves);
    assert_int_equal(ortho_activations_from_file(path, &w_slice, &got), ORTHO_OK);
    assert_int_equal(got.tokens, 3);
    assert_memory_equal(got.x, want, sizeof want);
    assert_memory_equal(got.h, h, sizeof h);
    ortho_activations_free(&got);
    header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}";
    safetensors_write(path, header, strlen(header), h, sizeof h);
    assert_int_equal(ortho_activations_from_file(path, &w_slice, &got), ORTHO_OK);
    assert_true(got.tokens == 0 && got.x == NULL);
    assert_memory_equal(got.h, h, sizeof h);
    ortho_activations_free(&got);
    got.tokens = 99; /* an output is set only on success */
    const float bad[K] = {1, INFINITY, 1, 1};
    safetensors_write(path, header, strlen(header), bad, sizeof bad);
    assert_int_equal(ortho_activations_from_file(path, &w_slice, &got), ORTHO_E_NONFINITE);
    header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,4],\"data_offsets\":[0,16]}}";
    safetensors_write(path, header, strlen(header), bad, sizeof bad);
    assert_int_equal(ortho_activations_from_file(path, &w_slice, &got), ORTHO_E_NONFINITE);
    header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}";
    safetensors_write(path, header, strlen(header), bad, sizeof bad);
    assert_int_equal(ortho_activations_from_file(path, &w_slice, &got), ORTHO_E_ARGUMENT);
    assert_true(got.tokens == 99);
}

/* More rows than are read at once: each lands in its own place. */
static void keeps_many_activations(void **state)
{
    enum { T = (1 << 18) + 1, HEADER = 80 };
    const char *path = in_folder(state, "acts.safetensors");
    const uint64_t length = HEADER; /* little-endian, as is every machine that this is built for */
    float *x = malloc(sizeof(float) * T * K);
    char header[HEADER + 1];
    ortho_activations got;
    for (int i = 0; i < T * K; i++)
        x[i] = (float)(i % 1021);
    int used = snprintf(header, sizeof header,
                        "{\"w\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]}}", T,
                        K, T * K * 4);
    assert_true(used <= HEADER);
    memset(header + used, ' ', (size_t)(HEADER - used));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(&length, 8, 1, f);
    fwrite(header, HEADER, 1, f);
    fwrite(x, sizeof(float), T * K, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(ortho_activations_from_file(path, &w_slice, &got), ORTHO_OK);
    assert_int_equal(got.tokens, T);
    assert_memory_equal(got.x, x, sizeof(float) * T * K);
    ortho_activations_free(&got);
    free(x);
}

static void refuses_hessians(void **state)
{
    float h[K] = {9, 9, 9, 9}, data[12] = {0};
    const float untouched[K] = {9, 9, 9, 9};
    assert_int_equal(
        read_hessian(state, "{\"v\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
                     data, 16, h),
        ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), "no tensor is called \"w\""));
    static const char *const shapes[] = {"[3]", "[3,3]", "[0,4]", "[1,1,4]", "[]", "[5]"};
    static const int sizes[] = {12, 36, 0, 16, 4, 20};
    for (int i = 0; i < 6; i++) {
        char header[200];
        snprintf(header, sizeof header,
                 "{\"w\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[0,%d]}}", shapes[i],
                 sizes[i]);
        assert_int_equal(read_hessian(state, header, data, (size_t)sizes[i], h), ORTHO_E_ARGUMENT);
        assert_non_null(strstr(ortho_last_message(), "tensor \"w\""));
        assert_non_null(strstr(ortho_last_message(), "acts.safetensors"));
    }
    data[2] = -1;
    const char *header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}";
    assert_int_equal(read_hessian(state, header, data, 16, h), ORTHO_E_NONFINITE);
    assert_non_null(strstr(ortho_last_message(), "column 2 is -1"));
    data[2] = INFINITY;
    assert_int_equal(read_hessian(state, header, data, 16, h), ORTHO_E_NONFINITE);
    assert_int_equal(
        read_hessian(state, "{\"w\":{\"dtype\":\"I64\",\"shape\":[4],\"data_offsets\":[0,32]}}",
                     data, 32, h),
        ORTHO_E_UNSUPPORTED);
    assert_int_equal(ortho_hessian_from_file(in_folder(state, "none.safetensors"), &w_slice, h),
                     ORTHO_E_NOT_FOUND);
    assert_memory_equal(h, untouched, sizeof h);
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(orders_slices),       FOLDER_TEST(leaves_unknown_names),
        FOLDER_TEST(names_bad_values),    FOLDER_TEST(hashes_headers),
        FOLDER_TEST(believes_made_files), FOLDER_TEST(reads_hessians),
        FOLDER_TEST(keeps_activations),   FOLDER_TEST(keeps_many_activations),
        FOLDER_TEST(refuses_hessians),    FOLDER_TEST(takes_one_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
