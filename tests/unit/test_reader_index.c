/* The huggingface reader: folders, shards behind an index, and the local hub cache. */
#include "tests/unit/test_reader_files.h"

#define INDEX    "model.safetensors.index.json"
#define REVISION "0123456789abcdef0123456789abcdef01234567"

static void make_folder(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

/* A shard "FOLDER/NAME" that holds one [1, 2] F32 tensor of value `v`. */
static void write_shard(const char *folder, const char *name, const char *tensor, float v)
{
    char path[600], header[200];
    float data[2] = {v, v};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(header, sizeof header,
             "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}", tensor);
    safetensors_write(path, header, strlen(header), data, sizeof data);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file_write(path, text, strlen(text));
}

/* The index must be refused; `at`: where in its text. */
static void refuse(void **state, const char *text, const char *tensor, const char *at,
                   const char *words)
{
    write_text(*state, INDEX, text);
    const char *place = strstr(text, at);
    assert_non_null(place);
    expect_refusal(*state, ORTHO_E_FORMAT, INDEX, tensor, (uint64_t)(place - text), words);
    expect_refusal(in_folder(state, INDEX), ORTHO_E_FORMAT, INDEX, tensor, (uint64_t)(place - text),
                   words);
}

static void refuses_index(void **state)
{
    write_shard(*state, "one.safetensors", "a", 1);
    refuse(state, "", NULL, "", "begin with '{'");
    refuse(state, "[]", NULL, "[", "begin with '{'");
    refuse(state, "{}", NULL, "{", "no \"weight_map\"");
    refuse(state, "{\"weight_map\":[]}", NULL, "{", "no \"weight_map\"");
    refuse(state, "{\"weight_map\":{\"a\":1}}", "a", "\"a\"", "plain name");
    static const char *const names[] = {"../one.safetensors",  "/etc/passwd", "",    "..",
                                        "sub/one.safetensors", ".hidden",     "a..b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", names[i]);
        refuse(state, text, "a", "\"a\"", "plain name of a file beside the index");
    }
    refuse(state, "{\"weight_map\":{\"a\":\"one\\u0007\"}}", "a", "\"a\"", "plain name");
    refuse(state, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}", "b",
           "\"b\"", "the shard that claims it, one.safetensors, has no such tensor");
    refuse(state, "{\"metadata\":{\"a\":[[[[[[[[]]]]]]]]},\"weight_map\":{}}", "a", "[[]",
           "nested deeper");
}

static void refuses_duplicate(void **state)
{
    write_shard(*state, "one.safetensors", "a", 1);
    const char *text = "{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}";
    refuse(state, text, "a", ":\"one.safetensors\"}", "duplicate");
}

static void refuses_shards(void **state)
{
    ortho_dataset *dataset;
    write_text(*state, INDEX, "{\"weight_map\":{\"a\":\"gone.safetensors\"}}");
    assert_int_equal(ortho_dataset_open(*state, &dataset), ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), "gone.safetensors"));
    /* A fault in a shard is told with the shard's name and offset. */
    write_text(*state, INDEX, "{\"weight_map\":{\"a\":\"bad.safetensors\"}}");
    write_text(*state, "bad.safetensors", "\x02\0\0\0\0\0\0\0{}");
    expect_refusal(*state, ORTHO_E_FORMAT, "bad.safetensors", NULL, 0, "too few");
}

static void refuses_many_shards(void **state)
{
    char *text = malloc(40000);
    assert_non_null(text);
    int length = sprintf(text, "{\"weight_map\":{");
    for (int i = 0; i <= 1000; i++)
        length += sprintf(text + length, "%s\"t%d\":\"s%d\"", i ? "," : "", i, i);
    sprintf(text + length, "}}");
    write_text(*state, INDEX, text);
    free(text);
    expect_refusal(*state, ORTHO_E_FORMAT, INDEX, NULL, 0, "more than 1000 shards");
}

static void check_two_shards(const char *spec, const char *name)
{
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(spec, &dataset), ORTHO_OK);
    assert_int_equal(ortho_dataset_tensors(dataset), 2);
    assert_int_equal(ortho_dataset_slices(dataset), 2);
    assert_string_equal(ortho_dataset_facts(dataset)->name, name);
    assert_string_equal(ortho_dataset_facts(dataset)->format, "huggingface");
    float row[2];
    ortho_dtype dtype;
    for (int i = 0; i < 2; i++) {
        const ortho_slice *slice = ortho_dataset_slice(dataset, i);
        assert_int_equal(slice->layer, i);
        assert_int_equal(ortho_dataset_read(dataset, slice, 0, 1, row, &dtype), ORTHO_OK);
        assert_float_equal(row[1], i + 1, 0);
    }
    ortho_dataset_close(dataset);
}

static void write_two_shards(const char *folder)
{
    write_shard(folder, "one.safetensors", "model.layers.0.mlp.up_proj.weight", 1);
    write_shard(folder, "two.safetensors", "model.layers.1.mlp.up_proj.weight", 2);
    write_text(folder, INDEX,
               "{\"metadata\":{\"total_size\":1.6e1},\"weight_map\":{"
               "\"model.layers.1.mlp.up_proj.weight\":\"two.safetensors\","
               "\"model.layers.0.mlp.up_proj.weight\":\"one.safetensors\"}}");
}

static void reads_shards(void **state)
{
    const char *base = strrchr(*state, '/') + 1;
    write_two_shards(*state);
    check_two_shards(*state, base);
    check_two_shards(in_folder(state, INDEX), INDEX);
    check_two_shards(in_folder(state, ""), base); /* a slash at the end */
}

/* A tensor that two shards hold is read from the one that the index names. */
static void obeys_the_index(void **state)
{
    write_shard(*state, "one.safetensors", "a", 1);
    write_shard(*state, "two.safetensors", "a", 2);
    write_text(*state, INDEX, "{\"weight_map\":{\"a\":\"two.safetensors\"}}");
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(*state, &dataset), ORTHO_OK);
    assert_int_equal(ortho_dataset_tensors(dataset), 1);
    float row[2];
    ortho_dtype dtype;
    assert_int_equal(
        ortho_dataset_read(dataset, ortho_dataset_slice(dataset, 0), 0, 1, row, &dtype), ORTHO_OK);
    assert_float_equal(row[0], 2, 0);
    ortho_dataset_close(dataset);
}

static void reads_single_file(void **state)
{
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open(*state, &dataset), ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), *state));
    write_shard(*state, "model.safetensors", "a", 1);
    assert_int_equal(ortho_dataset_open(*state, &dataset), ORTHO_OK);
    assert_int_equal(ortho_dataset_slices(dataset), 1);
    ortho_dataset_close(dataset);
}

/* models--org--name/{refs/main, snapshots/REVISION} below `hub`. */
static void make_hub(const char *hub, char snapshot[600])
{
    char path[600];
    snprintf(path, sizeof path, "%s/models--org--name", hub);
    make_folder(path);
    snprintf(path, sizeof path, "%s/models--org--name/refs", hub);
    make_folder(path);
    write_text(path, "main", REVISION);
    snprintf(path, sizeof path, "%s/models--org--name/snapshots", hub);
    make_folder(path);
    snprintf(snapshot, 600, "%s/models--org--name/snapshots/" REVISION, hub);
    make_folder(snapshot);
}

static void resolves_hub_names(void **state)
{
    char snapshot[600];
    const char *hub = in_folder(state, "hub");
    make_folder(hub);
    make_hub(hub, snapshot);
    write_two_shards(snapshot);
    setenv("HF_HUB_CACHE", hub, 1);
    check_two_shards("org/name", "org/name");
    unsetenv("HF_HUB_CACHE");
    setenv("HF_HOME", *state, 1);
    check_two_shards("org/name", "org/name");
    unsetenv("HF_HOME");
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL, path[600];
    snprintf(path, sizeof path, "%s/.cache", (char *)*state);
    make_folder(path);
    strcat(path, "/huggingface");
    make_folder(path);
    strcat(path, "/hub");
    assert_int_equal(symlink("../../hub", path), 0);
    setenv("HOME", *state, 1);
    check_two_shards("org/name", "org/name");
    if (home)
        setenv("HOME", home, 1);
    free(home);
}

static void refuses_hub_names(void **state)
{
    char snapshot[600], refs[600];
    ortho_dataset *dataset;
    make_hub(*state, snapshot);
    setenv("HF_HUB_CACHE", *state, 1);
    assert_int_equal(ortho_dataset_open("org/other", &dataset), ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), "models--org--other/refs/main"));
    assert_int_equal(ortho_dataset_open("../name", &dataset), ORTHO_E_NOT_FOUND);
    assert_int_equal(ortho_dataset_open("org/name", &dataset), ORTHO_E_NOT_FOUND); /* empty */
    assert_non_null(strstr(ortho_last_message(), "model.safetensors"));
    snprintf(refs, sizeof refs, "%s/models--org--name/refs", (char *)*state);
    write_text(refs, "main", "../../../../../../../../../../../etc/passwd");
    expect_refusal("org/name", ORTHO_E_FORMAT, "refs/main", NULL, 0, "40 hex digits");
    write_text(refs, "main", REVISION "\n/..");
    expect_refusal("org/name", ORTHO_E_FORMAT, "refs/main", NULL, 40, "40 hex digits");
    write_text(refs, "main", "ffffffffffffffffffffffffffffffffffffffff\n");
    assert_int_equal(ortho_dataset_open("org/name", &dataset), ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), "snapshots/ffffffffffffffff"));
    unsetenv("HF_HUB_CACHE");
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)

int main(void)
{
    unsetenv("HF_HUB_CACHE");
    unsetenv("HF_HOME");
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(refuses_index),     FOLDER_TEST(refuses_duplicate),
        FOLDER_TEST(refuses_shards),    FOLDER_TEST(refuses_many_shards),
        FOLDER_TEST(reads_shards),      FOLDER_TEST(obeys_the_index),
        FOLDER_TEST(reads_single_file), FOLDER_TEST(resolves_hub_names),
        FOLDER_TEST(refuses_hub_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
