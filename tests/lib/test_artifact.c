/* Artifacts, written and read: what is saved comes back bit for bit, a file is there whole or not
 * at all, threads share what is open. */
#include "folder.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

enum { N = 24, K = 96, M = 5 };

static const struct {
    const char *name;
    int64_t n, k;
    double density;
    ortho_rule rule;
    int group;
} layers[] = {
    {"one", 1, 1, 1.0, ORTHO_RULE_RESIDUAL, 32},
    {"odd", 5, 33, 0.1, ORTHO_RULE_OUTLIER, 32},
    {"legacy", 64, 129, 0.03, ORTHO_RULE_LEGACY, 64},
    {"empty", 37, 256, 0.0, ORTHO_RULE_RESIDUAL, 128},
    {"full", 16, 97, 1.0, ORTHO_RULE_OUTLIER, 0},
    {"wide", 3, 66001, 0.001, ORTHO_RULE_OUTLIER, 128},
    {"na\xc3\xafve name/with.dots", 8, 64, 0.2, ORTHO_RULE_OUTLIER, 64},
};

static ortho_layer *make_layer(size_t i)
{
    float *w = random_floats(layers[i].n * layers[i].k, (unsigned)i + 1);
    ortho_layer *layer = sieved(w, layers[i].n, layers[i].k,
                                options_of(layers[i].density, layers[i].rule, layers[i].group));
    free(w);
    return layer;
}

static void save_all(const char *path)
{
    ortho_writer *writer = NULL;
    must(ortho_writer_open(path, &writer));
    for (size_t i = 0; i < COUNT(layers); i++) {
        ortho_layer *layer = make_layer(i);
        must(ortho_layer_save(layer, writer, layers[i].name));
        ortho_layer_free(layer);
    }
    must(ortho_writer_commit(writer));
}

static void check_one(const ortho_artifact *artifact, size_t i)
{
    ortho_artifact_info info = {.size = sizeof info};
    ortho_layer_info loaded_info = {.size = sizeof loaded_info};
    ortho_layer *saved = make_layer(i), *loaded = NULL;
    must(ortho_artifact_inspect(artifact, (int64_t)i, &info));
    assert_string_equal(info.name, layers[i].name);
    assert_string_equal(info.tensor, "");
    assert_int_equal(info.rule, layers[i].rule);
    assert_true(info.density == layers[i].density);
    must(ortho_layer_load(artifact, info.name, &on_cpu, &loaded));
    must(ortho_layer_inspect(loaded, &loaded_info));
    assert_int_equal(loaded_info.rule, layers[i].rule);
    assert_true(loaded_info.alpha == 1.0f);
    ortho_split a = exported(saved), b = exported(loaded);
    assert_same_split(&a, &b);
    assert_int_equal(info.nnz, a.nnz);
    assert_int_equal(info.group, a.group);
    size_t bytes[5], sum = 0;
    array_bytes(&a, bytes);
    for (int p = 0; p < 5; p++)
        sum += bytes[p];
    assert_int_equal(info.bytes, sum);
    float *x = random_floats(M * a.k, 9), *y1 = random_floats(M * a.n, 1),
          *y2 = random_floats(M * a.n, 2);
    must(ortho_layer_forward(saved, x, M, ORTHO_F32, y1, NULL));
    must(ortho_layer_forward(loaded, x, M, ORTHO_F32, y2, NULL));
    assert_memory_equal(y1, y2, (size_t)(M * a.n) * sizeof(float));
    free(y2);
    free(y1);
    free(x);
    split_free(&b);
    split_free(&a);
    ortho_layer_free(loaded);
    ortho_layer_free(saved);
}

static void test_round_trip(void **state)
{
    (void)state;
    const char *path = in_folder("deep/er/all.safetensors"); /* missing folders are made */
    ortho_artifact *artifact = NULL;
    save_all(path);
    must(ortho_artifact_open(path, &artifact));
    assert_int_equal(ortho_artifact_count(artifact), COUNT(layers));
    for (size_t i = 0; i < COUNT(layers); i++)
        check_one(artifact, i);
    ortho_artifact_close(artifact);
}

/* What was loaded is saved to the same bytes. */
static void test_saved_again(void **state)
{
    (void)state;
    size_t first_bytes, second_bytes;
    ortho_layer *layer = make_layer(1);
    save_alone(layer, in_folder("first"));
    ortho_layer *again = load_one(in_folder("first"), "l");
    save_alone(again, in_folder("second"));
    char *first = read_file(in_folder("first"), &first_bytes);
    char *second = read_file(in_folder("second"), &second_bytes);
    assert_int_equal(first_bytes, second_bytes);
    assert_memory_equal(first, second, first_bytes);
    free(second);
    free(first);
    ortho_layer_free(again);
    ortho_layer_free(layer);
}

/* A folder of shards with an index, as any tool writes one. */
static void test_folder_of_shards(void **state)
{
    (void)state;
    ortho_layer *a = make_layer(1), *b = make_layer(6);
    ortho_artifact *artifact = NULL;
    ortho_writer *writer = NULL;
    const char *parts[] = {"ortho.row_ptr", "base.scale", "ortho.val", "ortho.col", "base.q"};
    char index[2048] = "{\"weight_map\":{";
    must(ortho_writer_open(in_folder("s/one.safetensors"), &writer));
    must(ortho_layer_save(a, writer, "a"));
    must(ortho_writer_commit(writer));
    must(ortho_writer_open(in_folder("s/two.safetensors"), &writer));
    must(ortho_layer_save(b, writer, "b"));
    must(ortho_writer_commit(writer));
    refused(ortho_artifact_open(in_folder("s"), &artifact), ORTHO_E_NOT_FOUND, "index.json");
    for (int i = 0; i < 10; i++)
        sprintf(index + strlen(index), "%s\"%s.%s\":\"%s.safetensors\"", i > 0 ? "," : "",
                i < 5 ? "a" : "b", parts[i % 5], i < 5 ? "one" : "two");
    strcat(index, "}}");
    write_file(in_folder("s/model.safetensors.index.json"), index, strlen(index));
    const char *paths[] = {"s", "s/model.safetensors.index.json"};
    for (int i = 0; i < 2; i++) {
        must(ortho_artifact_open(in_folder(paths[i]), &artifact));
        assert_int_equal(ortho_artifact_count(artifact), 2);
        ortho_artifact_close(artifact);
    }
    ortho_layer *loaded = load_one(in_folder("s"), "b");
    ortho_split wanted = exported(b), got = exported(loaded);
    assert_same_split(&wanted, &got);
    split_free(&got);
    split_free(&wanted);
    ortho_layer_free(loaded);
    ortho_layer_free(b);
    ortho_layer_free(a);
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    ortho_artifact *const untouched = (ortho_artifact *)(uintptr_t)0x40;
    ortho_artifact *artifact = untouched;
    ortho_artifact_info info = {.size = sizeof info};
    ortho_layer *layer = make_layer(1), *out = NULL;
    refused(ortho_artifact_open(NULL, &artifact), ORTHO_E_ARGUMENT, "path is NULL");
    refused(ortho_artifact_open("x", NULL), ORTHO_E_ARGUMENT, "out is NULL");
    refused(ortho_artifact_open(in_folder("none"), &artifact), ORTHO_E_NOT_FOUND, "none");
    refused(ortho_artifact_open("no/such", &artifact), ORTHO_E_NOT_FOUND, "no/such");
    static const char plain[] =
        "\x39\0\0\0\0\0\0\0"
        "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}    x";
    write_file(in_folder("plain"), plain, sizeof plain - 1);
    refused(ortho_artifact_open(in_folder("plain"), &artifact), ORTHO_E_UNSUPPORTED,
            "without a sieved layer");
    assert_ptr_equal(artifact, untouched);
    save_alone(layer, in_folder("a"));
    must(ortho_artifact_open(in_folder("a"), &artifact));
    refused(ortho_layer_load(artifact, "x", NULL, &out), ORTHO_E_NOT_FOUND, "called \"x\"");
    refused(ortho_layer_load(artifact, NULL, NULL, &out), ORTHO_E_ARGUMENT, "name is NULL");
    refused(ortho_layer_load(NULL, "l", NULL, &out), ORTHO_E_ARGUMENT, "artifact is NULL");
    refused(ortho_layer_load(artifact, "l", NULL, NULL), ORTHO_E_ARGUMENT, "out is NULL");
    refused(ortho_artifact_inspect(artifact, 1, &info), ORTHO_E_ARGUMENT, "layer 1 of 1");
    refused(ortho_artifact_inspect(artifact, -1, &info), ORTHO_E_ARGUMENT, "layer -1");
    info.size = 4;
    refused(ortho_artifact_inspect(artifact, 0, &info), ORTHO_E_ARGUMENT, "size is 4");
    assert_int_equal(ortho_artifact_count(NULL), 0);
    ortho_artifact_close(artifact);
    ortho_artifact_close(NULL);
    ortho_layer_free(layer);
}

static void test_names(void **state)
{
    (void)state;
    ortho_layer *layer = make_layer(0);
    ortho_writer *writer = NULL;
    char longest[202];
    memset(longest, 'x', sizeof longest);
    longest[201] = '\0';
    refused(ortho_writer_open(folder, &writer), ORTHO_E_ARGUMENT, "not of a folder");
    refused(ortho_writer_open("", &writer), ORTHO_E_ARGUMENT, "name of a file");
    refused(ortho_writer_open(NULL, &writer), ORTHO_E_ARGUMENT, "path is NULL");
    must(ortho_writer_open(in_folder("names"), &writer));
    refused(ortho_layer_save(layer, writer, ""), ORTHO_E_ARGUMENT, "1 to 200");
    refused(ortho_layer_save(layer, writer, longest), ORTHO_E_ARGUMENT, "1 to 200");
    refused(ortho_layer_save(layer, writer, "a\nb"), ORTHO_E_ARGUMENT, "control");
    refused(ortho_layer_save(layer, writer, "\xff"), ORTHO_E_ARGUMENT, "UTF-8");
    longest[200] = '\0';
    must(ortho_layer_save(layer, writer, longest));
    refused(ortho_layer_save(layer, writer, longest), ORTHO_E_ARGUMENT, "already");
    refused(ortho_layer_save(NULL, writer, "l"), ORTHO_E_ARGUMENT, "layer is NULL");
    must(ortho_layer_save(layer, writer, "l")); /* refusals leave the writer as it was */
    must(ortho_writer_commit(writer));
    ortho_layer_free(load_one(in_folder("names"), longest));
    ortho_layer_free(load_one(in_folder("names"), "l"));
    refused(ortho_writer_commit(NULL), ORTHO_E_ARGUMENT, "writer is NULL");
    ortho_writer_abort(NULL);
    ortho_layer_free(layer);
}

/* Before commit, and after abort, the target is what it was. */
static void test_nothing_before_commit(void **state)
{
    (void)state;
    ortho_layer *layer = make_layer(1);
    ortho_writer *writer = NULL;
    size_t bytes;
    write_file(in_folder("target"), "old", 3);
    must(ortho_writer_open(in_folder("target"), &writer));
    must(ortho_layer_save(layer, writer, "l"));
    char *text = read_file(in_folder("target"), &bytes);
    assert_string_equal(text, "old");
    free(text);
    ortho_writer_abort(writer);
    text = read_file(in_folder("target"), &bytes);
    assert_string_equal(text, "old");
    free(text);
    assert_int_equal(files_in_folder(), 1);
    save_alone(layer, in_folder("target"));
    assert_int_equal(files_in_folder(), 1);
    ortho_layer_free(load_one(in_folder("target"), "l"));
    ortho_layer_free(layer);
}

/* How a cycle ends where a file may have `limit` bytes and no more. */
static ortho_status save_within(const ortho_layer *layer, size_t limit)
{
    struct rlimit before, now;
    ortho_writer *writer = NULL;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    now = before;
    now.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    ortho_status status = ortho_writer_open(in_folder("target"), &writer);
    for (int i = 0; i < 4 && status == ORTHO_OK; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        status = ortho_layer_save(layer, writer, name);
    }
    if (status == ORTHO_OK) {
        status = ortho_writer_commit(writer);
    } else {
        refused(ortho_layer_save(layer, writer, "z"), ORTHO_E_IO, "abort this writer");
        refused(ortho_writer_commit(writer), ORTHO_E_IO, "nothing is kept");
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    return status;
}

/* A disk that is full, at every stage: IO, the target as it was, nothing left behind. */
static void test_no_room(void **state)
{
    (void)state;
    ortho_layer *layer = make_layer(5);
    size_t whole, bytes;
    ortho_status status;
    signal(SIGXFSZ, SIG_IGN);
    must(save_within(layer, (size_t)1 << 30));
    free(read_file(in_folder("target"), &whole));
    write_file(in_folder("target"), "old", 3);
    /* The last ones leave room for the layers, but not for the header before them. */
    int failures = 0;
    for (size_t limit = 0; limit < whole; failures++) {
        status = save_within(layer, limit);
        if (status != ORTHO_E_IO)
            fail_msg("limit %zu of %zu: %s", limit, whole, ortho_status_name(status));
        char *text = read_file(in_folder("target"), &bytes);
        assert_string_equal(text, "old");
        free(text);
        assert_int_equal(files_in_folder(), 1);
        limit += limit < 8192 || limit + 4096 >= whole ? 512 : limit + 20480 < whole ? 16384 : 4096;
    }
    assert_true(failures > 20);
    must(save_within(layer, whole));
    ortho_layer_free(load_one(in_folder("target"), "d"));
    ortho_layer_free(layer);
}

static void test_folder_that_is_not_writable(void **state)
{
    (void)state;
    ortho_writer *writer = NULL;
    write_file(in_folder("file"), "x", 1);
    refused(ortho_writer_open(in_folder("file/inside"), &writer), ORTHO_E_IO, "file");
}

/* ---- threads --------------------------------------------------------------------------------- */

typedef struct job {
    const ortho_artifact *artifact;
    int wrong;
} job;

static void *load_often(void *arg)
{
    job *j = arg;
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < COUNT(layers); i++) {
            ortho_layer *layer = NULL;
            float y[64] = {0}, x[1] = {0};
            if (ortho_layer_load(j->artifact, layers[i].name, &on_cpu, &layer) != ORTHO_OK)
                j->wrong++;
            else if (layers[i].k == 1 &&
                     ortho_layer_forward(layer, x, 1, ORTHO_F32, y, NULL) != ORTHO_OK)
                j->wrong++;
            ortho_layer_free(layer);
        }
    return NULL;
}

static void test_threads_share_an_artifact(void **state)
{
    (void)state;
    ortho_artifact *artifact = NULL;
    pthread_t thread[4];
    job jobs[4];
    save_all(in_folder("shared"));
    must(ortho_artifact_open(in_folder("shared"), &artifact));
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){.artifact = artifact};
        assert_int_equal(pthread_create(&thread[i], NULL, load_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(jobs[i].wrong, 0);
    }
    ortho_artifact_close(artifact);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_saved_again),
        TEST(test_folder_of_shards),
        TEST(test_what_is_not_there),
        TEST(test_names),
        TEST(test_nothing_before_commit),
        TEST(test_no_room),
        TEST(test_folder_that_is_not_writable),
        TEST(test_threads_share_an_artifact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
