/* The GGUF reader: each known way in which such a file can lie has a file of its own here, and the
 * blocks are decoded against values worked out by hand. */
#include "tests/unit/test_reader_files.h"

#include "common/half.h"

enum { U8 = 0, I16 = 3, U32 = 4, BOOL = 7, STRING = 8, ARRAY = 9, U64 = 10, F64 = 12 };
enum { F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q8_0 = 8, BF16 = 30 };

static void start(bytes *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
    b->length = 0;
    put(b, "GGUF", 4);
    put_little(b, version, 4);
    put_little(b, tensors, 8);
    put_little(b, keys, 8);
}

static void put_string(bytes *b, const char *text)
{
    put_little(b, strlen(text), 8);
    put(b, text, strlen(text));
}

static void put_key(bytes *b, const char *key, uint32_t type)
{
    put_string(b, key);
    put_little(b, type, 4);
}

static void put_tensor(bytes *b, const char *name, uint64_t ne0, uint64_t ne1, uint32_t type,
                       uint64_t offset)
{
    put_string(b, name);
    put_little(b, 2, 4);
    put_little(b, ne0, 8);
    put_little(b, ne1, 8);
    put_little(b, type, 4);
    put_little(b, offset, 8);
}

static void pad(bytes *b, size_t alignment, size_t more)
{
    static const unsigned char zeros[4096];
    put(b, zeros, (alignment - b->length % alignment) % alignment);
    put(b, zeros, more);
}

static void refuse(void **state, const bytes *b, ortho_status status, const char *tensor,
                   uint64_t offset, const char *words)
{
    const char *path = in_folder(state, "bad.gguf");
    file_write(path, b->at, b->length);
    expect_refusal(path, status, "bad.gguf", tensor, offset, words);
}

/* A file is a big buffer: one for each test, from its setup. */
static bytes *fresh(void)
{
    bytes *b = calloc(1, sizeof *b);
    assert_non_null(b);
    return b;
}

static void refuses_prologue(void **state)
{
    bytes *b = fresh();
    refuse(state, b, ORTHO_E_FORMAT, NULL, 0, "4 bytes wanted, but the file ends at 0");
    put(b, "GGML", 4);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 0, "not a GGUF file");
    start(b, 3, 0, 0);
    b->length = 20;
    refuse(state, b, ORTHO_E_FORMAT, NULL, 16, "8 bytes wanted");
    start(b, 1, 0, 0);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 4, "neither 2 nor 3");
    start(b, 0x03000000, 0, 0); /* big-endian */
    refuse(state, b, ORTHO_E_FORMAT, NULL, 4, "neither 2 nor 3");
    start(b, 3, UINT64_MAX, 0);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 8, "more tensors");
    start(b, 3, 0, UINT64_MAX / 2);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 16, "more keys");
    start(b, 3, 2, 0);
    put_tensor(b, "a", 4, 1, F32, 0);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 8, "more tensors");
    free(b);
}

static void refuses_keys(void **state)
{
    bytes *b = fresh();
    start(b, 3, 0, 1);
    put_little(b, UINT64_MAX, 8); /* a key's length */
    pad(b, 1, 32);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 24, "key of 18446744073709551615 bytes");
    start(b, 3, 0, 1);
    put_little(b, 2000, 8);
    pad(b, 1, 3000);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 24, "key of 2000 bytes: at most 1023");
    start(b, 3, 0, 1);
    put_key(b, "a\x1b", U8);
    put_little(b, 0, 8);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 24, "not UTF-8 without control");
    start(b, 3, 0, 1);
    put_key(b, "key", 13);
    put_little(b, 0, 8);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 35, "unknown type of a value (13)");
    start(b, 3, 0, 1);
    put_key(b, "key", STRING);
    put_little(b, 1000, 8);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 47, "string of 1000 elements");
    start(b, 3, 0, 1);
    put_key(b, "key", F64);
    put_little(b, 0, 4);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 39, "value of 1 elements of 8 bytes");
    free(b);
}

static void refuses_arrays(void **state)
{
    bytes *b = fresh();
    start(b, 3, 0, 1);
    put_key(b, "key", ARRAY);
    put_little(b, ARRAY, 4);
    put_little(b, 1, 8);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 39, "array within an array");
    start(b, 3, 0, 1);
    put_key(b, "key", ARRAY);
    put_little(b, 99, 4);
    put_little(b, 1, 8);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 39, "unknown type of array elements (99)");
    start(b, 3, 0, 1);
    put_key(b, "key", ARRAY);
    put_little(b, U64, 4);
    put_little(b, UINT64_MAX / 8 + 2, 8); /* times 8 is 8 */
    pad(b, 1, 64);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 51, "array of 2305843009213693953 elements");
    start(b, 3, 0, 1);
    put_key(b, "key", ARRAY);
    put_little(b, STRING, 4);
    put_little(b, 100, 8);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 39, "more strings");
    start(b, 3, 0, 1);
    put_key(b, "key", ARRAY);
    put_little(b, STRING, 4);
    put_little(b, 2, 8);
    put_string(b, "one");
    put_little(b, 77, 8); /* longer than what remains */
    refuse(state, b, ORTHO_E_FORMAT, NULL, 70, "string of 77 elements");
    free(b);
}

static void refuses_duplicates(void **state)
{
    bytes *b = fresh();
    start(b, 3, 0, 3);
    for (int i = 0; i < 3; i++) {
        put_key(b, i == 1 ? "other" : "same", U8);
        put_little(b, 0, 1);
    }
    refuse(state, b, ORTHO_E_FORMAT, "same", 24 + 17 + 18, "a second key");
    start(b, 3, 2, 0);
    put_tensor(b, "w", 4, 1, F32, 0);
    put_tensor(b, "w", 4, 1, F32, 32);
    pad(b, 32, 64);
    refuse(state, b, ORTHO_E_FORMAT, "w", 24 + 41, "a second tensor");
    free(b);
}

static void refuses_alignment(void **state)
{
    bytes *b = fresh();
    const size_t at = 24 + 8 + strlen("general.alignment") + 4;
    const uint32_t bad[] = {0, 33, 0xffffffffu};
    for (size_t i = 0; i < 3; i++) {
        start(b, 3, 0, 1);
        put_key(b, "general.alignment", U32);
        put_little(b, bad[i], 4);
        refuse(state, b, ORTHO_E_FORMAT, NULL, at, "not a power of two");
    }
    start(b, 3, 0, 1);
    put_key(b, "general.alignment", U64);
    put_little(b, 32, 8);
    refuse(state, b, ORTHO_E_FORMAT, NULL, at, "not a u32");
    start(b, 3, 1, 1); /* an alignment that takes the data past the file's end */
    put_key(b, "general.alignment", U32);
    put_little(b, 0x80000000u, 4);
    put_tensor(b, "w", 4, 1, F32, 0);
    pad(b, 32, 32);
    refuse(state, b, ORTHO_E_FORMAT, "w", 0x80000000u, "end past the file");
    free(b);
}

static void refuses_names(void **state)
{
    char name[65];
    memset(name, 'n', 64);
    name[64] = '\0';
    bytes *b = fresh();
    start(b, 3, 1, 0);
    put_tensor(b, name, 4, 1, F32, 0);
    pad(b, 32, 32);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 24, "tensor's name of 64 bytes: at most 63");
    name[63] = '\0'; /* 63 are legal */
    start(b, 3, 1, 0);
    put_tensor(b, name, 4, 1, F32, 1);
    pad(b, 32, 32);
    refuse(state, b, ORTHO_E_FORMAT, name, 24 + 8 + 63 + 24, "not a multiple");
    start(b, 3, 1, 0);
    put_tensor(b, "\xff", 4, 1, F32, 0);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 24, "not UTF-8");
    start(b, 3, 1, 0);
    put_little(b, 1u << 30, 8);
    pad(b, 1, 64);
    refuse(state, b, ORTHO_E_FORMAT, NULL, 24, "tensor's name of 1073741824 bytes, but only");
    free(b);
}

/* One tensor "w" of these parts; its info is at 24: name 9, dimensions at 33, ne at 37, 45, type at
 * 53, offset at 57. */
static void refuse_tensor(void **state, const uint64_t ne[2], uint32_t type, uint64_t offset,
                          size_t data, uint64_t at, const char *words)
{
    bytes *b = fresh();
    start(b, 3, 1, 0);
    put_tensor(b, "w", ne[0], ne[1], type, offset);
    pad(b, 32, data);
    refuse(state, b, ORTHO_E_FORMAT, "w", at, words);
    free(b);
}

static void refuses_tensors(void **state)
{
    const uint64_t whole[2] = {32, 2}, negative[2] = {4, 1ull << 63};
    const uint64_t square[2] = {1ull << 32, 1ull << 31}, ragged[2] = {48, 2};
    const uint64_t wide[2] = {1ull << 61, 1}, below[2] = {1ull << 60, 1};
    refuse_tensor(state, negative, F32, 0, 32, 45, "negative dimension");
    refuse_tensor(state, square, F32, 0, 32, 53, "product overflows");
    refuse_tensor(state, wide, F32, 0, 32, 53, "product overflows"); /* in bytes */
    refuse_tensor(state, below, F32, 0, 32, 96, "end past the file");
    refuse_tensor(state, ragged, Q4_0, 0, 64, 53, "whole number of blocks (48)");
    refuse_tensor(state, whole, F32, 8, 320, 57, "not a multiple of the alignment (8)");
    refuse_tensor(state, whole, F32, UINT64_MAX - 31, 320, 57, "overflows");
    refuse_tensor(state, whole, F32, 32, 287, 128, "end past the file");
    refuse_tensor(state, whole, Q4_1, 32, 71, 128, "its 40 bytes there end past the file");
    refuse_tensor(state, whole, F32, 1ull << 40, 320, 96 + (1ull << 40), "end past the file");

    bytes *b = fresh();
    start(b, 3, 1, 0);
    put_string(b, "w");
    put_little(b, 5, 4);
    pad(b, 1, 64);
    refuse(state, b, ORTHO_E_FORMAT, "w", 33, "more than 4 dimensions (5)");
    start(b, 3, 1, 0);
    put_tensor(b, "w", 32, 2, Q5_0, 0);
    pad(b, 32, 64);
    refuse(state, b, ORTHO_E_UNSUPPORTED, "w", 53, "GGUF type 6");
    start(b, 3, 1, 0);
    put_tensor(b, "w", 32, 2, F32, 0);
    b->length -= 4;
    refuse(state, b, ORTHO_E_FORMAT, "w", 57, "8 bytes wanted");
    free(b);
}

/* Every type of value is passed over, whatever it holds. */
static void put_every_value(bytes *b)
{
    static const int sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    char name[] = "key.a";
    for (uint32_t type = 0; type < 13; type++, name[4]++) {
        put_key(b, name, type);
        if (type == STRING) {
            put_string(b, "any text");
        } else if (type == ARRAY) {
            put_little(b, STRING, 4);
            put_little(b, 2, 8);
            put_string(b, "");
            put_string(b, "second");
        } else {
            put_little(b, ~0ull, sizes[type]);
        }
    }
    put_key(b, "array", ARRAY);
    put_little(b, I16, 4);
    put_little(b, 3, 8);
    put_little(b, 0, 6);
    put_key(b, "general.alignment", U32);
    put_little(b, 64, 4);
}

static void reads_version(void **state, uint32_t version)
{
    const char *path = in_folder(state, "good.gguf");
    bytes *b = fresh();
    start(b, version, 2, 15);
    put_every_value(b);
    put_tensor(b, "blk.3.ffn_up.weight", 2, 3, F32, 64);
    put_string(b, "scalar");
    put_little(b, 0, 4);
    put_little(b, BF16, 4);
    put_little(b, 0, 8);
    pad(b, 64, 64);
    const float values[6] = {1, 2, 3, 4, 5, 6};
    put(b, values, sizeof values);
    file_write(path, b->at, b->length);
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(path, &dataset), ORTHO_OK);
    assert_int_equal(ortho_dataset_tensors(dataset), 2);
    assert_int_equal(ortho_dataset_tensor(dataset, 1)->rank, 0);
    const ortho_slice *slice = ortho_dataset_slice(dataset, 0);
    assert_int_equal(slice->layer, 3);
    assert_string_equal(slice->proj, "up");
    assert_int_equal(slice->n, 3); /* ne[0] is in_features */
    assert_int_equal(slice->k, 2);
    assert_int_equal(slice->tensor->end, b->length);
    float row[2];
    ortho_dtype dtype;
    assert_int_equal(ortho_dataset_read(dataset, slice, 1, 1, row, &dtype), ORTHO_OK);
    assert_float_equal(row[0], 3, 0);
    assert_float_equal(row[1], 4, 0);
    assert_false(ortho_dataset_facts(dataset)->four_bit);
    ortho_dataset_close(dataset);
    free(b);
}

static void reads_versions(void **state)
{
    reads_version(state, 2);
    reads_version(state, 3);
}

/* One block of each kind with d = 0.5, m = -3: element i is q * 0.5 - 3 where q is a code that
 * tells positions apart. */
static void decodes_blocks(void **state)
{
    const char *path = in_folder(state, "blocks.gguf");
    bytes *b = fresh();
    start(b, 3, 3, 0);
    put_tensor(b, "q40", 32, 1, Q4_0, 0);
    put_tensor(b, "q41", 32, 1, Q4_1, 32);
    put_tensor(b, "q80", 32, 1, Q8_0, 64);
    pad(b, 32, 0);
    put_little(b, ortho_float_to_fp16(.5f), 2);
    for (uint64_t j = 0; j < 16; j++) /* low nibble j, high nibble 15 - j */
        put_little(b, j | (15 - j) << 4, 1);
    pad(b, 32, 0);
    put_little(b, ortho_float_to_fp16(.5f), 2);
    put_little(b, ortho_float_to_fp16(-3.f), 2);
    for (uint64_t j = 0; j < 16; j++)
        put_little(b, j | (15 - j) << 4, 1);
    pad(b, 32, 0);
    put_little(b, ortho_float_to_fp16(.5f), 2);
    for (int j = 0; j < 32; j++)
        put_little(b, (uint8_t)(int8_t)(j * 8 - 128), 1);
    file_write(path, b->at, b->length);
    free(b);
    extern const ortho_reader ortho_reader_gguf;
    ortho_source *source;
    assert_int_equal(ortho_reader_gguf.open(path, &source), ORTHO_OK);
    float got[3][32];
    for (int t = 0; t < 3; t++) {
        assert_int_equal(ortho_reader_gguf.read_f32(source, t, 0, 1, got[t]), ORTHO_OK);
        assert_int_equal(ortho_reader_gguf.read_raw(source, t, 0, 1, got[t]), ORTHO_E_UNSUPPORTED);
    }
    for (int i = 0; i < 32; i++) {
        int q = i < 16 ? i : 31 - i;
        assert_float_equal(got[0][i], .5f * (float)(q - 8), 0);
        assert_float_equal(got[1][i], .5f * (float)q - 3, 0);
        assert_float_equal(got[2][i], .5f * (float)(i * 8 - 128), 0);
    }
    ortho_reader_gguf.close(source);
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(refuses_prologue),  FOLDER_TEST(refuses_keys),
        FOLDER_TEST(refuses_arrays),    FOLDER_TEST(refuses_duplicates),
        FOLDER_TEST(refuses_alignment), FOLDER_TEST(refuses_names),
        FOLDER_TEST(refuses_tensors),   FOLDER_TEST(reads_versions),
        FOLDER_TEST(decodes_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
