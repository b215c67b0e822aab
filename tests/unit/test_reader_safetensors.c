/* The safetensors reader: each way in which a header can lie has a file of its own here. */
#include "tests/unit/test_reader_files.h"

#include "common/half.h"

#define F32_A(range) "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":" range "}"

/* What is wrong with a file of this header and so many zero bytes of data. `at`: a piece of the
 * header where the fault must be located; NULL: byte 0. `past`: so many bytes behind it. */
typedef struct refusal {
    const char *what, *header;
    size_t data;
    const char *tensor, *at;
    size_t past;
    const char *words;
} refusal;

static const refusal refusals[] = {
    {"first byte", " {}", 0, NULL, " {", 0, "begin with '{'"},
    {"an array", "[]", 0, NULL, "[", 0, "begin with '{'"},
    {"empty header", "", 0, NULL, "", 0, "begin with '{'"},
    {"trailing junk", "{" F32_A("[0,24]") "} x", 24, "a", "} x", 3, "end of file expected"},
    {"trailing zero", "{} \x01", 0, NULL, "{} ", 4, "end of file expected"},
    {"malformed UTF-8", "{\"a\xff\":1}", 0, "a?", "\xff", 0, "decode byte 0xff"},
    {"overlong UTF-8", "{\"a\xc0\x80\":1}", 0, "a??", "\xc0", 0, "decode byte 0xc0"},
    {"a NUL in a name", "{\"a\\u0000\":1}", 0, "a\\u0000", "\":", 1, "NUL"},
    {"duplicate tensor", "{" F32_A("[0,24]") ",\"a\":{}}", 24, "a", "\"a\":{}", 3, "duplicate"},
    {"duplicate key in an entry", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\"}}", 0, "a",
     ":\"F16\"", 0, "duplicate"},
    {"integer overflow", "{" F32_A("[0,99999999999999999999]") "}", 24, "a", "]}", 0, "too big"},
    {"deep nesting", "{\"a\":[[[[[[[[[]]]]]]]]]}", 0, "a", "[[[[[[[[[", 7, "nested deeper"},
    {"metadata is no object", "{\"__metadata__\":[]}", 0, "__metadata__", "\"__m", 0,
     "strings to strings"},
    {"metadata holds a number", "{\"__metadata__\":{\"format\":1}}", 0, "__metadata__", "\"__m", 0,
     "\"format\" must be a string"},
    {"entry is no object", "{\"a\":7}", 0, "a", "\"a\"", 0, "must be an object"},
    {"no dtype", "{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", 0, "a", "\"a\"", 0,
     "unknown dtype (none)"},
    {"unknown dtype", "{\"a\":{\"dtype\":\"F128\",\"shape\":[],\"data_offsets\":[0,16]}}", 16, "a",
     "\"a\"", 0, "unknown dtype F128"},
    {"a GGUF dtype", "{\"a\":{\"dtype\":\"Q4_0\",\"shape\":[32],\"data_offsets\":[0,18]}}", 18, "a",
     "\"a\"", 0, "unknown dtype Q4_0"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "a", "\"a\"", 0,
     "must be an array"},
    {"negative dimension", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,-3],\"data_offsets\":[0,24]}}",
     24, "a", "\"a\"", 0, "dimension 1 must be a whole number"},
    {"fractional dimension", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
     8, "a", "\"a\"", 0, "dimension 0 must be a whole number"},
    {"dimension in words", "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}",
     8, "a", "\"a\"", 0, "dimension 0 must be a whole number"},
    {"excess rank",
     "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "a",
     "\"a\"", 0, "rank 9"},
    {"element count overflow",
     "{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "a",
     "\"a\"", 0, "overflows"},
    {"byte count overflow",
     "{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0, "a",
     "\"a\"", 0, "overflows"},
    {"half a byte", "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "a",
     "\"a\"", 0, "fill whole bytes"},
    {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3]}}", 24, "a", "\"a\"", 0,
     "two whole numbers"},
    {"one offset", "{" F32_A("[0]") "}", 24, "a", "\"a\"", 0, "two whole numbers"},
    {"negative offset", "{" F32_A("[-24,0]") "}", 24, "a", "\"a\"", 0, "two whole numbers"},
    {"fractional offset", "{" F32_A("[0,24.0]") "}", 24, "a", "\"a\"", 0, "two whole numbers"},
    {"end before begin", "{" F32_A("[24,0]") "}", 24, "a", "\"a\"", 0, "ends at 0 before"},
    {"more data than the shape takes", "{" F32_A("[0,28]") "}", 28, "a", "\"a\"", 0,
     "28 bytes of data, but 6 elements of F32 take 24"},
    {"size against shape", "{" F32_A("[0,20]") "}", 20, "a", "\"a\"", 0,
     "20 bytes of data, but 6 elements of F32 take 24"},
};

static void refuses_header(void **state)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        const char *path = in_folder(state, "bad.safetensors");
        char *data = calloc(1, r->data + 1);
        safetensors_write(path, r->header, strlen(r->header), data, r->data);
        free(data);
        print_message("  %s\n", r->what);
        const char *at = strstr(r->header, r->at);
        assert_non_null(at);
        expect_refusal(path, ORTHO_E_FORMAT, "bad.safetensors", r->tensor,
                       8 + (uint64_t)(at - r->header) + r->past, r->words);
    }
}

/* Which jansson passes over behind a word. */
static void refuses_a_nul(void **state)
{
    static const char header[] = "{\"a\":null\0}";
    const char *path = in_folder(state, "nul.safetensors");
    safetensors_write(path, header, sizeof header - 1, "", 0);
    expect_refusal(path, ORTHO_E_FORMAT, "nul.safetensors", NULL, 8 + strlen(header), "a NUL byte");
}

/* Two tensors of 4 bytes at these offsets, `data` bytes of data: the fault is at byte `at` of it.
 */
static void refuse_layout(void **state, int begin_a, int begin_b, size_t data, const char *tensor,
                          size_t at, const char *words)
{
    char header[300], zeros[64] = {0};
    const char *path = in_folder(state, "layout.safetensors");
    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]},"
             "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}}",
             begin_a, begin_a + 4, begin_b, begin_b + 4);
    safetensors_write(path, header, strlen(header), zeros, data);
    expect_refusal(path, ORTHO_E_FORMAT, "layout.safetensors", tensor, 8 + strlen(header) + at,
                   words);
}

static void refuses_layout(void **state)
{
    refuse_layout(state, 0, 8, 12, "b", 8, "hole");
    refuse_layout(state, 2, 6, 10, "a", 2, "hole");
    refuse_layout(state, 0, 2, 6, "b", 2, "overlap");
    refuse_layout(state, 0, 0, 4, "b", 0, "overlap");
    refuse_layout(state, 0, 4, 9, "b", 8, "the file ends at");
    refuse_layout(state, 4, 0, 7, "a", 8, "the file ends at");
}

static void refuses_length(void **state)
{
    const char *path = in_folder(state, "length.safetensors");
    unsigned char prefix[8] = {1, 0xe1, 0xf5, 5}; /* 100,000,001 */
    file_write(path, prefix, 7);
    expect_refusal(path, ORTHO_E_FORMAT, "length.safetensors", NULL, 0, "too few");
    file_write(path, prefix, 0);
    expect_refusal(path, ORTHO_E_FORMAT, "length.safetensors", NULL, 0, "0 bytes are too few");
    file_write(path, prefix, 8);
    expect_refusal(path, ORTHO_E_FORMAT, "length.safetensors", NULL, 0, "header of 100000001");
    assert_int_equal(truncate(path, 200000000), 0); /* long enough, and still refused */
    expect_refusal(path, ORTHO_E_FORMAT, "length.safetensors", NULL, 0, "at most 100000000");
    unsigned char beyond[10] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    file_write(path, beyond, sizeof beyond);
    expect_refusal(path, ORTHO_E_FORMAT, "length.safetensors", NULL, 0, "the file ends at 10");
    unsigned char huge[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    file_write(path, huge, sizeof huge);
    expect_refusal(path, ORTHO_E_FORMAT, "length.safetensors", NULL, 0, "18446744073709551615");
}

static void refuses_names(void **state)
{
    char header[600], name[301];
    const char *path = in_folder(state, "name.safetensors");
    memset(name, 'n', 300);
    name[300] = '\0';
    snprintf(header, sizeof header,
             "{\"%s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", name);
    safetensors_write(path, header, strlen(header), "", 1);
    name[100] = '\0'; /* a message shows the beginning */
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_E_FORMAT);
    assert_non_null(strstr(ortho_last_message(), name));
    assert_non_null(strstr(ortho_last_message(), "byte 9: name of 300 bytes: at most 255"));

    /* What a terminal could obey reaches neither a name nor a message. */
    const char *escape = "{\"a\\u001b[2J\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}";
    safetensors_write(path, escape, strlen(escape), "", 1);
    expect_refusal(path, ORTHO_E_FORMAT, "name.safetensors", "a?[2J", 8, "control character");
    const char *c1 = "{\"a\xc2\x9b\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}";
    safetensors_write(path, c1, strlen(c1), "", 1);
    expect_refusal(path, ORTHO_E_FORMAT, "name.safetensors", "a?", 9, "control character");
}

/* A header within its 100 MB, but with more tokens than any checkpoint has. */
static void refuses_token_flood(void **state)
{
    const char *path = in_folder(state, "flood.safetensors");
    size_t length = 9000000;
    char *header = malloc(length);
    assert_non_null(header);
    memcpy(header, "{\"a\":[", 6);
    for (size_t i = 6; i + 2 < length; i += 2)
        memcpy(header + i, "0,", 2);
    memcpy(header + length - 2, "]}", 2);
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)(length >> (8 * i));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(prefix, 1, 8, f);
    fwrite(header, 1, length, f);
    assert_int_equal(fclose(f), 0);
    free(header);
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_E_FORMAT);
    assert_non_null(strstr(ortho_last_message(), "tensor \"a\""));
    assert_non_null(strstr(ortho_last_message(), "more than 4000000 JSON tokens"));
}

static void refuses_what_is_no_file(void **state)
{
    ortho_dataset *dataset;
    const char *path = in_folder(state, "fifo.safetensors");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_not_equal(ortho_dataset_open(path, &dataset), ORTHO_OK); /* and doesn't hang */
    assert_int_equal(ortho_hessian_from_file(path, NULL, NULL), ORTHO_E_ARGUMENT);
    assert_non_null(strstr(ortho_last_message(), "fifo.safetensors: not a regular file"));
    path = in_folder(state, "missing.safetensors");
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), "missing.safetensors"));
    path = in_folder(state, "weights.bin");
    file_write(path, "pickle", 6);
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), "weights.bin"));
}

/* Legal oddities: padding, rank 0, a zero dimension (with one that would overflow), metadata, every
 * dtype, an unaligned tensor, entries out of order. */
static void reads_oddities(void **state)
{
    const char *path = in_folder(state, "odd.safetensors");
    const char *header =
        "{\"late\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[5,13]},"
        "\"__metadata__\":{\"format\":\"pt\"},"
        "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[1,5]},"
        "\"byte\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]},"
        "\"empty\":{\"dtype\":\"I64\",\"shape\":[9223372036854775807,0,9223372036854775807],"
        "\"data_offsets\":[5,5]},"
        "\"four\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[13,14]},"
        "\"six\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[14,17]}}   \n ";
    unsigned char data[17] = {0};
    uint16_t values[4] = {0x3f80, 0xbf80, 0x4000, 0x3e00}; /* 1, -1, 2, 0.125 */
    memcpy(data + 5, values, sizeof values);
    safetensors_write(path, header, strlen(header), data, sizeof data);
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_OK);
    assert_int_equal(ortho_dataset_tensors(dataset), 6);
    assert_null(ortho_dataset_tensor(dataset, 6));
    assert_null(ortho_dataset_tensor(dataset, -1));
    assert_false(ortho_dataset_facts(dataset)->synthetic);
    const ortho_tensor *late = ortho_dataset_tensor(dataset, 0);
    assert_string_equal(late->name, "late");
    assert_int_equal(late->begin, 8 + strlen(header) + 5);
    assert_int_equal(late->end, 8 + strlen(header) + 13);
    assert_int_equal(ortho_dataset_slices(dataset), 1); /* the only matrix */
    const ortho_slice *slice = ortho_dataset_slice(dataset, 0);
    assert_string_equal(slice->proj, "w");
    uint16_t row[2];
    ortho_dtype dtype;
    assert_int_equal(ortho_dataset_read(dataset, slice, 1, 1, row, &dtype), ORTHO_OK);
    assert_int_equal(dtype, ORTHO_BF16);
    assert_memory_equal(row, values + 2, sizeof row);
    ortho_dataset_close(dataset);
}

static void reads_every_plain_dtype(void **state)
{
    const char *path = in_folder(state, "plain.safetensors");
    const char *header = "{\"f32\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                         "\"f16\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[16,24]},"
                         "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[24,32]},"
                         "\"i32\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[32,48]}}";
    unsigned char data[48] = {0};
    float want[4] = {1.5f, -2, 0.25f, 3};
    memcpy(data, want, 16);
    for (int i = 0; i < 4; i++) {
        uint16_t half = ortho_float_to_fp16(want[i]), brain = ortho_float_to_bf16(want[i]);
        memcpy(data + 16 + 2 * i, &half, 2);
        memcpy(data + 24 + 2 * i, &brain, 2);
    }
    safetensors_write(path, header, strlen(header), data, sizeof data);
    extern const ortho_reader ortho_reader_safetensors;
    const ortho_reader *reader = &ortho_reader_safetensors;
    ortho_source *source;
    assert_int_equal(reader->open(path, &source), ORTHO_OK);
    for (int t = 0; t < 3; t++) {
        float got[4];
        assert_int_equal(reader->read_f32(source, t, 0, 2, got), ORTHO_OK);
        assert_memory_equal(got, want, sizeof want);
        assert_int_equal(reader->read_f32(source, t, 1, 1, got), ORTHO_OK);
        assert_memory_equal(got, want + 2, 8);
        assert_int_equal(reader->read_f32(source, t, 2, 0, got), ORTHO_OK);
        assert_int_equal(reader->read_f32(source, t, 1, 2, got), ORTHO_E_ARGUMENT);
        assert_int_equal(reader->read_f32(source, t, -1, 1, got), ORTHO_E_ARGUMENT);
        assert_int_equal(reader->read_f32(source, t, 1, INT64_MAX, got), ORTHO_E_ARGUMENT);
    }
    float got[4];
    assert_int_equal(reader->read_f32(source, 3, 0, 1, got), ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), "dtype I32 is named, not decoded"));
    assert_int_equal(reader->read_f32(source, 4, 0, 1, got), ORTHO_E_ARGUMENT);
    reader->close(source);
}

/* A file that shrinks after it was opened is an error where it happens, not a crash. */
static void survives_a_file_that_shrinks(void **state)
{
    const char *path = in_folder(state, "shrink.safetensors");
    const char *header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}";
    unsigned char data[24] = {0};
    safetensors_write(path, header, strlen(header), data, sizeof data);
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_OK);
    assert_int_equal(truncate(path, (off_t)(8 + strlen(header) + 14)), 0);
    float rows[6];
    ortho_dtype dtype;
    const ortho_slice *slice = ortho_dataset_slice(dataset, 0);
    assert_int_equal(ortho_dataset_read(dataset, slice, 0, 1, rows, &dtype), ORTHO_OK);
    assert_int_equal(ortho_dataset_read(dataset, slice, 0, 2, rows, &dtype), ORTHO_E_FORMAT);
    char want[64];
    snprintf(want, sizeof want, "byte %zu: the file became shorter", 8 + strlen(header) + 14);
    assert_non_null(strstr(ortho_last_message(), want));
    assert_non_null(strstr(ortho_last_message(), "tensor \"a\""));
    ortho_dataset_close(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refuses_header, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(refuses_a_nul, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(refuses_layout, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(refuses_length, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(refuses_names, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(refuses_token_flood, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_file, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(reads_oddities, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(reads_every_plain_dtype, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(survives_a_file_that_shrinks, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
