/* The registry: what it must hold, and how a model is found at hand. */
#include "tests/unit/test_reader_files.h"

#include "datasets/registry.h"

static const char *const variables[] = {"HF_HUB_CACHE", "HF_HOME", "ORTHO_CACHE", "XDG_CACHE_HOME",
                                        "HOME"};

/* No test may see this machine's own caches. */
static int isolate(void **state)
{
    if (folder_make(state) != 0)
        return -1;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    return setenv("HOME", *state, 1);
}

static bool is_hex(const char *text, size_t length)
{
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

/* scripts/setup reads these fields. */
static void is_complete(void **state)
{
    (void)state;
    json_t *registry;
    assert_int_equal(ortho_registry_load(&registry), ORTHO_OK);
    const json_t *models = json_object_get(registry, "models");
    assert_true(json_array_size(models) >= 3);
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *model = json_array_get(models, i), *files = json_object_get(model, "files");
        assert_true(strlen(ortho_registry_text(model, "licence")) > 3);
        assert_true(strlen(ortho_registry_text(model, "attribution")) > 3);
        assert_true(json_is_boolean(json_object_get(model, "chosen")));
        assert_true(json_array_size(files) > 0);
        for (size_t f = 0; f < json_array_size(files); f++) {
            assert_true(is_hex(ortho_registry_text(json_array_get(files, f), "sha256"), 64));
            assert_null(strchr(ortho_registry_text(json_array_get(files, f), "name"), '/'));
        }
        const json_t *pypi = json_object_get(model, "pypi");
        assert_true(json_is_object(pypi) || json_array_size(json_object_get(model, "hub")) > 0);
        if (json_is_object(pypi)) {
            assert_true(is_hex(ortho_registry_text(pypi, "sha256"), 64));
            const char *member = ortho_registry_text(pypi, "member");
            const char *file = ortho_registry_text(json_array_get(files, 0), "name");
            assert_string_equal(strrchr(member, '/') + 1, file);
        }
        char name[256];
        int64_t shape[2];
        assert_true(ortho_registry_linear(registry, model, 6, 0, name, shape));
        assert_int_equal(shape[0], ortho_registry_config(model, "hidden"));
        assert_int_equal(shape[1], ortho_registry_config(model, "intermediate"));
    }
    json_decref(registry);
}

/* 28 layers of Llama-3.2-3B, embedding and norms come to the published total. */
static void llama_adds_up(void **state)
{
    (void)state;
    json_t *registry;
    assert_int_equal(ortho_registry_load(&registry), ORTHO_OK);
    const json_t *model = ortho_registry_by_name(registry, "llama-3.2-3b");
    assert_ptr_equal(model, ortho_registry_by_hub(registry, "unsloth/Llama-3.2-3B"));
    int64_t elements = 128256ll * 3072 + 3072;
    for (int layer = 0; layer < 28; layer++) {
        elements += 2 * 3072;
        for (int proj = 0; proj < ORTHO_PROJ_COUNT; proj++) {
            char name[256];
            int64_t shape[2];
            assert_true(ortho_registry_linear(registry, model, proj, layer, name, shape));
            elements += shape[0] * shape[1];
        }
    }
    assert_int_equal(elements * 2, 6425499648);
    json_decref(registry);
}

static void parses_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int proj, layer; /* proj -1: no projection */
    } names[] = {
        {"model.layers.0.self_attn.q_proj.weight", 0, 0},
        {"model.layers.27.mlp.down_proj.weight", 6, 27},
        {"blk.12.attn_output.weight", 3, 12},
        {"encoder.layer.5.attention.output.dense.weight", 3, 5},
        {"encoder.layer.5.output.dense.weight", 6, 5},
        {"bert.encoder.layer.11.intermediate.dense.weight", 5, 11},
        {"model.layers.01.mlp.down_proj.weight", -1, 0},
        {"model.layers.-1.mlp.down_proj.weight", -1, 0},
        {"model.layers..mlp.down_proj.weight", -1, 0},
        {"model.layers.999999999999.mlp.down_proj.weight", -1, 0},
        {"model.layers.1.mlp.down_proj.weight.x", -1, 0},
        {"xmodel.layers.1.mlp.down_proj.weight", -1, 0},
        {"model.layers.1.mlp.down_proj.bias", -1, 0},
        {"model.embed_tokens.weight", -1, 0},
    };
    json_t *registry;
    assert_int_equal(ortho_registry_load(&registry), ORTHO_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int proj = -1, layer = 0, found = -1;
        for (size_t s = 0; s < ortho_registry_schemes(registry); s++)
            if (ortho_registry_parse_name(registry, s, names[i].name, &proj, &layer))
                found = proj;
        assert_int_equal(found, names[i].proj);
        if (found >= 0)
            assert_int_equal(layer, names[i].layer);
    }
    json_decref(registry);
}

typedef struct listing {
    char names[8][32];
    ortho_known_model models[8];
    int count;
} listing;

static void collect(void *ctx, const ortho_known_model *model)
{
    listing *l = ctx;
    strcpy(l->names[l->count], model->name);
    l->models[l->count++] = *model;
}

static void nothing_is_at_hand(void **state)
{
    (void)state;
    listing l = {.count = 0};
    assert_int_equal(ortho_models_each(collect, &l), ORTHO_OK);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.names[0], "llama-3.2-3b");
    assert_string_equal(l.names[1], "smollm2-135m");
    for (int i = 0; i < l.count; i++)
        assert_false(l.models[i].at_hand);
    assert_non_null(strstr(l.models[0].where, "HF_HUB_CACHE"));
    assert_non_null(strstr(l.models[1].where, "scripts/setup"));
    char spec[1024], why[512];
    assert_int_equal(ortho_models_choose(spec, why), ORTHO_OK);
    assert_string_equal(spec, "synthetic:llama-3.2-3b");
    assert_non_null(strstr(why, "no trained model"));
    ortho_dataset *dataset;
    assert_int_equal(ortho_dataset_open("smollm2-135m", &dataset), ORTHO_E_NOT_FOUND);
    assert_non_null(strstr(ortho_last_message(), "scripts/setup"));
}

/* Makes `path` (folders and an empty file of this length). */
static void make_file(const char *path, long long length)
{
    char command[2000];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\" && truncate -s %lld '%s'", path,
             length, path);
    assert_int_equal(system(command), 0);
}

static void expect_choice(const char *spec)
{
    char got[1024], why[512];
    assert_int_equal(ortho_models_choose(got, why), ORTHO_OK);
    assert_string_equal(got, spec);
    assert_non_null(strstr(why, spec));
}

static void finds_the_cache(void **state)
{
    char path[600];
    const char *file = "models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf";
    snprintf(path, sizeof path, "%s/.cache/ortho-bench/%s", (char *)*state, file);
    make_file(path, 98362431); /* cut short: not at hand */
    expect_choice("synthetic:llama-3.2-3b");
    make_file(path, 98362432);
    expect_choice("smollm2-135m");
    setenv("XDG_CACHE_HOME", in_folder(state, "xdg"), 1);
    expect_choice("synthetic:llama-3.2-3b");
    snprintf(path, sizeof path, "%s/xdg/ortho-bench/%s", (char *)*state, file);
    make_file(path, 98362432);
    expect_choice("smollm2-135m");
    setenv("ORTHO_CACHE", in_folder(state, "own"), 1);
    expect_choice("synthetic:llama-3.2-3b");
    snprintf(path, sizeof path, "%s/own/%s", (char *)*state, file);
    make_file(path, 98362432);
    expect_choice("smollm2-135m");
    ortho_dataset *dataset; /* found, and what lies there is no GGUF file */
    assert_int_equal(ortho_dataset_open("smollm2-135m", &dataset), ORTHO_E_FORMAT);
    assert_non_null(strstr(ortho_last_message(), path));
}

static void prefers_llama(void **state)
{
    char path[800];
    static const char snapshot[] = "models--unsloth--Llama-3.2-3B/snapshots/"
                                   "0123456789abcdef0123456789abcdef01234567";
    setenv("HF_HUB_CACHE", in_folder(state, "hub"), 1);
    snprintf(path, sizeof path, "%s/hub/models--unsloth--Llama-3.2-3B/refs/main", (char *)*state);
    make_file(path, 0);
    file_write(path, "0123456789abcdef0123456789abcdef01234567", 40);
    snprintf(path, sizeof path, "%s/hub/%s/model-00001-of-00002.safetensors", (char *)*state,
             snapshot);
    make_file(path, 10);
    expect_choice("synthetic:llama-3.2-3b"); /* one shard is missing */
    strcpy(strstr(path, "00001-of"), "00002-of-00002.safetensors");
    make_file(path, 10);
    expect_choice("llama-3.2-3b");
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, isolate, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(is_complete),        FOLDER_TEST(llama_adds_up),   FOLDER_TEST(parses_names),
        FOLDER_TEST(nothing_is_at_hand), FOLDER_TEST(finds_the_cache), FOLDER_TEST(prefers_llama),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
