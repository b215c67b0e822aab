/*
 * Artifacts that lie. A good file is taken, one thing in it is changed, and it must be refused,
 * with words that lead to it: each invariant of the arrays once, each fact of the metadata once.
 */
#include "folder.h"

enum { N = 6, K = 41, GROUP = 32 };

static char *good; /* header and data of a good file with the layer "l" */
static size_t good_bytes, header_bytes;

static uint64_t little(const char *at)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | (unsigned char)at[i];
    return v;
}

static int make_good(void **state)
{
    if (folder_make(state) != 0)
        return -1;
    float *w = random_floats(N * K, 3);
    ortho_layer *layer = sieved(w, N, K, options_of(0.2, ORTHO_RULE_OUTLIER, GROUP));
    save_alone(layer, in_folder("good"));
    good = read_file(in_folder("good"), &good_bytes);
    header_bytes = 8 + (size_t)little(good);
    ortho_layer_free(layer);
    free(w);
    return 0;
}

static int forget_good(void **state)
{
    free(good);
    return folder_remove(state);
}

/* Where a tensor's data begin in the file. */
static size_t tensor_begin(const char *name)
{
    char key[64];
    unsigned long begin = 0;
    snprintf(key, sizeof key, "\"%s\":{", name);
    const char *entry = strstr(good + 8, key);
    assert_non_null(entry);
    assert_int_equal(sscanf(strstr(entry, "\"data_offsets\":"), "\"data_offsets\":[%lu", &begin),
                     1);
    return header_bytes + begin;
}

static ortho_status open_and_load(const char *path)
{
    ortho_artifact *artifact = NULL;
    ortho_layer *layer = NULL;
    ortho_status status = ortho_artifact_open(path, &artifact);
    if (status != ORTHO_OK) {
        assert_null(artifact);
        return status;
    }
    status = ortho_layer_load(artifact, "l", &on_cpu, &layer);
    if (status != ORTHO_OK)
        assert_null(layer);
    ortho_layer_free(layer);
    ortho_artifact_close(artifact);
    return status;
}

/* ---- data ------------------------------------------------------------------------------------ */

static const struct {
    const char *tensor;
    size_t element; /* bytes */
    size_t index;   /* of an element */
    uint32_t value;
    const char *words;
} lies[] = {
    {"l.ortho.row_ptr", 4, 0, 1, "row_ptr runs from 1"},
    {"l.ortho.row_ptr", 4, N, 48, "row_ptr runs from 0 to 48"},
    {"l.ortho.row_ptr", 4, 2, 0x7fffffff, "row 2: row_ptr falls from 2147483647"},
    {"l.ortho.row_ptr", 4, 3, 0x80000000, "row 2: row_ptr falls"},
    {"l.base.scale", 2, 5, 0x7c00, "row 2: scale 1 is negative or not finite"},
    {"l.base.scale", 2, 0, 0x7e00, "row 0: scale 0"},
    {"l.base.scale", 2, 1, 0x8001, "row 0: scale 1"},
    {"l.ortho.val", 2, 7, 0xfc00, "isn't finite"},
    {"l.ortho.val", 2, 0, 0x7fff, "isn't finite"},
    {"l.ortho.col", 2, 48, K, "row 5: column 41, but k = 41"},
    {"l.ortho.col", 2, 48, 0, "row 5: column 0 after"},
    {"l.ortho.col", 2, 0, 0xffff, "column 65535, but k = 41"},
    {"l.base.q", 1, 20, 0xf0, "row 0: the padding nibble is not 0"},
    {"l.base.q", 1, 21 * N - 1, 0x10, "row 5: the padding nibble is not 0"},
};

static void test_arrays(void **state)
{
    (void)state;
    char *bad = malloc(good_bytes);
    assert_non_null(bad);
    must(open_and_load(in_folder("good")));
    for (size_t i = 0; i < COUNT(lies); i++) {
        char offset[32];
        size_t at = tensor_begin(lies[i].tensor) + lies[i].index * lies[i].element;
        memcpy(bad, good, good_bytes);
        for (size_t b = 0; b < lies[i].element; b++)
            bad[at + b] = (char)(lies[i].value >> (8 * b));
        write_file(in_folder("bad"), bad, good_bytes);
        refused(open_and_load(in_folder("bad")), ORTHO_E_FORMAT, lies[i].words);
        refused(ORTHO_E_FORMAT, ORTHO_E_FORMAT, lies[i].tensor);
        refused(ORTHO_E_FORMAT, ORTHO_E_FORMAT, "/bad: ");
        snprintf(offset, sizeof offset, "byte %zu:", at);
        if (strstr(lies[i].words, "falls") == NULL) /* said of the element after the rise */
            refused(ORTHO_E_FORMAT, ORTHO_E_FORMAT, offset);
    }
    free(bad);
}

/* ---- header ---------------------------------------------------------------------------------- */

/* The good file with `from` in its header replaced, once. */
static void write_changed(const char *from, const char *to)
{
    size_t room = good_bytes + 64 * (strlen(to) + 1), length = 0;
    char *header = calloc(1, room);
    assert_non_null(header);
    const char *at = good + 8, *end = good + header_bytes;
    int times = 0;
    while (at < end) {
        if (times == 0 && strncmp(at, from, strlen(from)) == 0) {
            memcpy(header + 8 + length, to, strlen(to));
            length += strlen(to);
            at += strlen(from);
            times++;
        } else {
            header[8 + length++] = *at++;
        }
    }
    if (times == 0)
        fail_msg("the good header has no %s", from);
    for (int i = 0; i < 8; i++)
        header[i] = (char)(length >> (8 * i));
    memcpy(header + 8 + length, end, good_bytes - header_bytes);
    write_file(in_folder("bad"), header, 8 + length + good_bytes - header_bytes);
    free(header);
}

static const struct {
    const char *from, *to;
    ortho_status status;
    const char *words;
} changes[] = {
    /* version */
    {"\"ortho.artifact\":\"1\"", "\"ortho.artifact\":\"2\"", ORTHO_E_UNSUPPORTED,
     "update libortho"},
    {"\"ortho.artifact\":\"1\"", "\"ortho.artifact\":\"1x\"", ORTHO_E_FORMAT, "no version"},
    {"\"ortho.artifact\":\"1\"", "\"ortho.artifact\":\"0\"", ORTHO_E_FORMAT, "no version"},
    {"\"ortho.artifact\":\"1\"", "\"ortho.artifact\":\"99999999999999999999\"", ORTHO_E_FORMAT,
     "no version"},
    {"\"ortho.artifact\":\"1\"", "\"x\":\"1\"", ORTHO_E_FORMAT, "doesn't say \"ortho.artifact\""},
    {"\"ortho.artifact\":\"1\"", "\"ortho.artifact\":1", ORTHO_E_FORMAT, "must be a string"},
    /* facts */
    {"\\\"n\\\":6", "\\\"n\\\":7", ORTHO_E_FORMAT, "dimension 0 is 7"},
    {"\\\"n\\\":6", "\\\"n\\\":-6", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"n\\\":6", "\\\"n\\\":6.0", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"n\\\":6", "\\\"n\\\":9223372036854775807", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"n\\\":6", "\\\"n\\\":99999999999999999999", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"n\\\":6", "\\\"m\\\":6", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"k\\\":41", "\\\"k\\\":43", ORTHO_E_FORMAT, "dimension 1 is 21"},
    {"\\\"k\\\":41", "\\\"k\\\":70000", ORTHO_E_FORMAT, "dimension 1"},
    {"\\\"nnz\\\":49", "\\\"nnz\\\":48", ORTHO_E_FORMAT, "dimension 0 is 49"},
    {"\\\"nnz\\\":49", "\\\"nnz\\\":247", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"group\\\":32", "\\\"group\\\":16", ORTHO_E_FORMAT, "dimension 1 is 2"},
    {"\\\"group\\\":32", "\\\"group\\\":0", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"rule\\\":\\\"outlier\\\"", "\\\"rule\\\":\\\"best\\\"", ORTHO_E_FORMAT,
     "don't describe one"},
    {"\\\"density\\\":0.2", "\\\"density\\\":1.2", ORTHO_E_FORMAT, "don't describe one"},
    {"\"{\\\"", "\"{{\\\"", ORTHO_E_FORMAT, "don't describe one"},
    {"\\\"n\\\":6", "\\\"n\\\":6,\\\"n\\\":6", ORTHO_E_FORMAT, "don't describe one"},
    {"\"ortho.layer:l\"", "\"ortho.layer:\"", ORTHO_E_FORMAT, "name of 0 bytes"},
    {"\"ortho.layer:l\"", "\"ortho.layer:\\u0007\"", ORTHO_E_FORMAT, "control"},
    {"\"ortho.layer:l\"", "\"ortho.layer:k\"", ORTHO_E_FORMAT, "k.ortho.row_ptr"},
    /* tensors */
    {"\"l.base.q\"", "\"l.base.r\"", ORTHO_E_FORMAT, "it isn't there"},
    {"\"l.ortho.col\"", "\"l.ortho.val\"", ORTHO_E_FORMAT, "duplicate"},
    {"\"dtype\":\"U16\"", "\"dtype\":\"I16\"", ORTHO_E_FORMAT,
     "it is I16, but such an array is U16"},
    {"\"dtype\":\"I32\"", "\"dtype\":\"F32\"", ORTHO_E_FORMAT, "it is F32"},
    {"\"dtype\":\"U8\",\"shape\":[6,21]", "\"dtype\":\"U8\",\"shape\":[126]", ORTHO_E_FORMAT,
     "rank 1, not 2"},
    {"\"dtype\":\"U8\",\"shape\":[6,21]", "\"dtype\":\"U8\",\"shape\":[21,6]", ORTHO_E_FORMAT,
     "dimension 0 is 21"},
    {"\"shape\":[7]", "\"shape\":[7,1]", ORTHO_E_FORMAT, "rank 2, not 1"},
};

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++) {
        write_changed(changes[i].from, changes[i].to);
        ortho_status status = open_and_load(in_folder("bad"));
        if (status != changes[i].status || strstr(ortho_last_message(), changes[i].words) == NULL)
            fail_msg("%s for %s: %s: %s", changes[i].to, changes[i].from, ortho_status_name(status),
                     ortho_last_message());
    }
}

/* What is legal, if unusual: other metadata, other tensors, other names. */
static void test_what_may_be(void **state)
{
    (void)state;
    write_changed("\"ortho.version\":\"", "\"more\":\"\",\"ortho.version\":\"9.");
    must(open_and_load(in_folder("bad")));
    write_changed("\"hessian\\\":\\\"weights", "\"hessian\\\":\\\"");
    must(open_and_load(in_folder("bad")));
}

static void test_truncated(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < good_bytes; bytes += 37) {
        write_file(in_folder("bad"), good, bytes);
        ortho_artifact *artifact = NULL;
        assert_int_equal(ortho_artifact_open(in_folder("bad"), &artifact), ORTHO_E_FORMAT);
        assert_null(artifact);
    }
}

/* The file shrinks between opening and loading: an error, and no signal. */
static void test_shrinking(void **state)
{
    (void)state;
    ortho_artifact *artifact = NULL;
    ortho_layer *layer = NULL;
    write_file(in_folder("bad"), good, good_bytes);
    must(ortho_artifact_open(in_folder("bad"), &artifact));
    assert_int_equal(truncate(in_folder("bad"), (off_t)good_bytes - 5), 0);
    refused(ortho_layer_load(artifact, "l", &on_cpu, &layer), ORTHO_E_FORMAT, "became shorter");
    assert_null(layer);
    ortho_artifact_close(artifact);
}

/* Two shards that both describe the layer: whose facts hold? Nobody's. */
static void test_two_shards_of_one_layer(void **state)
{
    (void)state;
    static const char *const parts[] = {"ortho.row_ptr", "base.scale", "ortho.val", "ortho.col",
                                        "base.q"};
    ortho_artifact *artifact = NULL;
    char index[1024] = "{\"weight_map\":{";
    write_file(in_folder("one"), good, good_bytes);
    write_file(in_folder("two"), good, good_bytes);
    for (int i = 0; i < 5; i++)
        sprintf(index + strlen(index), "%s\"l.%s\":\"%s\"", i > 0 ? "," : "", parts[i],
                i < 3 ? "one" : "two");
    strcat(index, "}}");
    write_file(in_folder("model.safetensors.index.json"), index, strlen(index));
    refused(ortho_artifact_open(folder, &artifact), ORTHO_E_FORMAT,
            "two files describe layer \"l\"");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_good, forget_good)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arrays),    TEST(test_headers),   TEST(test_what_may_be),
        TEST(test_truncated), TEST(test_shrinking), TEST(test_two_shards_of_one_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
