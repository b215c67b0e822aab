/* A stand-in for Llama-3.2-3B, laid out by scripts/make-llama-dir as the hub's cache does, is found
 * by the model's name and streamed by rows. */
#include "tests/unit/test_reader_files.h"

#include "common/half.h"

#include <math.h>

static int make_cache(void **state)
{
    char command[600];
    if (folder_make(state) != 0)
        return -1;
    setenv("HF_HUB_CACHE", *state, 1);
    setenv("ORTHO_CACHE", in_folder(state, "none"), 1);
    snprintf(command, sizeof command,
             "python3 " ORTHO_SOURCE_DIR "/scripts/make-llama-dir '%s' --layers-filled 20 "
             ">/dev/null",
             (char *)*state);
    return system(command);
}

static ortho_dataset *open_llama(void)
{
    ortho_dataset *dataset;
    ortho_status status = ortho_dataset_open("llama-3.2-3b", &dataset);
    if (status != ORTHO_OK)
        print_message("%s\n", ortho_last_message());
    assert_int_equal(status, ORTHO_OK);
    return dataset;
}

static const ortho_tensor *find_tensor(const ortho_dataset *dataset, const char *name)
{
    for (int64_t i = 0; i < ortho_dataset_tensors(dataset); i++)
        if (strcmp(ortho_dataset_tensor(dataset, i)->name, name) == 0)
            return ortho_dataset_tensor(dataset, i);
    fail_msg("no tensor %s", name);
    return NULL;
}

static void expect_tensor(const ortho_dataset *dataset, const char *name, int64_t n, int64_t k,
                          const char *shard)
{
    const ortho_tensor *t = find_tensor(dataset, name);
    assert_int_equal(t->rank, k ? 2 : 1);
    assert_int_equal(t->shape[0], n);
    if (k)
        assert_int_equal(t->shape[1], k);
    assert_int_equal(t->dtype, ORTHO_BF16);
    assert_int_equal(t->end - t->begin, n * (k ? k : 1) * 2);
    assert_non_null(strstr(t->file, shard));
}

static void has_the_published_layout(void **state)
{
    ortho_dataset *dataset = open_llama();
    assert_int_equal(ortho_dataset_tensors(dataset), 254);
    assert_int_equal(ortho_dataset_slices(dataset), 28 * 7);
    expect_tensor(dataset, "model.embed_tokens.weight", 128256, 3072, "model-00001-of-00002");
    expect_tensor(dataset, "model.norm.weight", 3072, 0, "model-00002-of-00002");
    for (int layer = 0; layer < 28; layer++) {
        static const struct {
            const char *name;
            int64_t n, k;
            int in_first; /* of layer 20, where the shards divide */
        } parts[] = {{"self_attn.q_proj", 3072, 3072, 1},     {"self_attn.k_proj", 1024, 3072, 1},
                     {"self_attn.v_proj", 1024, 3072, 1},     {"self_attn.o_proj", 3072, 3072, 1},
                     {"mlp.gate_proj", 8192, 3072, 1},        {"mlp.up_proj", 8192, 3072, 1},
                     {"mlp.down_proj", 3072, 8192, 0},        {"input_layernorm", 3072, 0, 0},
                     {"post_attention_layernorm", 3072, 0, 0}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            char name[100];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, parts[i].name);
            bool first = layer < 20 || (layer == 20 && parts[i].in_first);
            expect_tensor(dataset, name, parts[i].n, parts[i].k,
                          first ? "model-00001-of-00002" : "model-00002-of-00002");
        }
    }
    uint64_t bytes_total = 0;
    for (int64_t i = 0; i < 254; i++)
        bytes_total +=
            ortho_dataset_tensor(dataset, i)->end - ortho_dataset_tensor(dataset, i)->begin;
    assert_int_equal(bytes_total, 6425499648);
    const ortho_model_facts *facts = ortho_dataset_facts(dataset);
    assert_true(facts->synthetic); /* the files say so themselves */
    assert_string_equal(facts->name, "llama-3.2-3b (made, not trained)");
    assert_string_equal(facts->format, "huggingface");
    assert_non_null(strstr(facts->path, *state));
    assert_non_null(strstr(facts->path, "snapshots"));
    ortho_dataset_close(dataset);
}

static void has_the_published_sizes(void **state)
{
    (void)state;
    ortho_dataset *dataset = open_llama();
    struct stat st;
    assert_int_equal(stat(find_tensor(dataset, "model.embed_tokens.weight")->file, &st), 0);
    assert_int_equal(st.st_size, 4965799096);
    assert_int_equal(stat(find_tensor(dataset, "model.norm.weight")->file, &st), 0);
    assert_int_equal(st.st_size, 1459729952);
    ortho_dataset_close(dataset);
}

/* Layer 20 lies in both shards: up in the first, down in the second. */
static void streams_rows(void **state)
{
    (void)state;
    ortho_dataset *dataset = open_llama();
    for (int proj = 5; proj < 7; proj++) {
        const ortho_slice *slice = ortho_dataset_slice(dataset, 20 * 7 + proj);
        uint16_t *w = malloc((size_t)slice->k * 3 * 2), *last = malloc((size_t)slice->k * 2);
        ortho_dtype dtype;
        assert_int_equal(ortho_dataset_read(dataset, slice, slice->n - 3, 3, w, &dtype), ORTHO_OK);
        assert_int_equal(dtype, ORTHO_BF16);
        assert_int_equal(ortho_dataset_read(dataset, slice, slice->n - 1, 1, last, &dtype),
                         ORTHO_OK);
        assert_memory_equal(last, w + 2 * slice->k, (size_t)slice->k * 2);
        double squares = 0;
        for (int64_t i = 0; i < 3 * slice->k; i++)
            squares += pow(ortho_bf16_to_float(w[i]), 2);
        double rms = sqrt(squares / (double)(3 * slice->k));
        assert_true(rms > .01 && rms < .05);
        free(w), free(last);
    }
    const ortho_slice *empty = ortho_dataset_slice(dataset, 19 * 7 + 6);
    uint16_t *zeros = malloc((size_t)empty->k * 2);
    ortho_dtype dtype;
    assert_int_equal(ortho_dataset_read(dataset, empty, 3071, 1, zeros, &dtype), ORTHO_OK);
    for (int64_t i = 0; i < empty->k; i++)
        assert_int_equal(zeros[i], 0);
    free(zeros);
    ortho_dataset_close(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_published_layout),
        cmocka_unit_test(has_the_published_sizes),
        cmocka_unit_test(streams_rows),
    };
    return cmocka_run_group_tests(tests, make_cache, folder_remove);
}
