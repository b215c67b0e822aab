/* Reports of odd documents: every value of the example is replaced by something of another type or
 * size, or taken away, many at a time; every writer and plot must answer, and what a machine reads
 * must stay readable. The sequence is fixed. */
#include "reports/model.h"
#include "reports/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE     ORTHO_SOURCE_DIR "/tests/schema/example.json"
#define EXAMPLE_GPU ORTHO_SOURCE_DIR "/tests/schema/example-gpu.json"
#define ROUNDS      60

static uint64_t seed = 0x9e3779b97f4a7c15u;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static json_t *odd_value(void)
{
    switch (draw(12)) {
    case 0:
        return json_null();
    case 1:
        return json_string("");
    case 2:
        return json_string("'; !touch /tmp/x; `id` \"{%s}\" \n EOD\n\t\033[2J");
    case 3:
        return json_array();
    case 4:
        return json_object();
    case 5:
        return json_integer(INT64_MIN);
    case 6:
        return json_integer(0);
    case 7:
        return json_real(1.7e308);
    case 8:
        return json_real(-1e-310);
    case 9:
        return json_true();
    case 10:
        return json_pack("[i, s, [], {}, f, n]", 1, "x", -2.5);
    default: {
        char *text = malloc(5001);
        memset(text, 'w', 5000);
        text[5000] = '\0';
        json_t *value = json_string(text);
        free(text);
        return value;
    }
    }
}

static void mangle(json_t *object, unsigned rarity);

/* Replaces about one value in `rarity` of a list; the objects in it are mangled. */
static void mangle_list(json_t *list, unsigned rarity)
{
    for (size_t i = 0; i < json_array_size(list) && i < 4; i++) {
        if (json_is_object(json_array_get(list, i)))
            mangle(json_array_get(list, i), rarity);
        if (draw(4 * rarity) == 0)
            json_array_set_new(list, i, odd_value());
    }
}

/* Replaces or removes about one value in `rarity` below an object. */
static void mangle(json_t *object, unsigned rarity)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, key, value)
    {
        if (json_is_object(value) && draw(4) != 0)
            mangle(value, rarity);
        mangle_list(value, rarity);
        if (draw(rarity) != 0)
            continue;
        if (draw(3) == 0)
            json_object_del(object, key);
        else
            json_object_set_new(object, key, odd_value());
    }
}

static void run_writers(const json_t *document)
{
    for (size_t i = 0; ortho_writers[i] != NULL; i++) {
        const ortho_writer_options options = {.color = draw(2) == 1, .width = (int)draw(130)};
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_int_equal(ortho_writers[i]->write(document, &options, out), ORTHO_OK);
        fclose(out);
        const char *extension = ortho_writers[i]->extension;
        if (extension != NULL && strstr(extension, "json") != NULL) {
            json_t *again = json_loads(text, JSON_ALLOW_NUL, NULL);
            assert_non_null(again);
            json_decref(again);
        } else if (!options.color && !strstr(ortho_writers[i]->name, "csv")) {
            assert_null(strchr(text, '\033'));
        }
        free(text);
    }
}

/* Every field stays in its line, and no name ends the block or the string that it stands in. */
static void run_plots(const json_t *document)
{
    for (size_t i = 0; ortho_plots[i] != NULL; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        ortho_status data = ortho_plots[i]->data(document, out);
        ortho_status body = ortho_plots[i]->body(document, out);
        fclose(out);
        assert_int_equal(data, body);
        assert_true(data == ORTHO_OK || data == ORTHO_E_UNSUPPORTED);
        assert_null(strstr(text, "\nEOD"));
        assert_null(strchr(text, '`'));
        assert_null(strstr(text, "touch /tmp/x; `"));
        free(text);
    }
}

static void odd_documents(void **state)
{
    json_t *good = NULL;
    assert_int_equal(ortho_results_load(*state, &good), ORTHO_OK);
    for (int round = 0; round < ROUNDS; round++) {
        json_t *document = json_deep_copy(good);
        json_t *rows = json_object_get(document, "results");
        unsigned rarity = 3 + draw(40);
        for (size_t i = 0; i < json_array_size(rows); i++)
            mangle(json_array_get(rows, i), rarity);
        mangle(json_object_get(document, "context"), rarity);
        json_array_append_new(rows, odd_value());
        run_writers(document);
        run_plots(document);
        json_decref(document);
    }
    json_decref(good);
}

static void bare_documents(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"results\": 5}",
        "{\"results\": [1, null, []]}",
        "{\"results\": [{}, {}]}",
        "{\"context\": [], \"results\": []}",
        "{\"results\": [{\"status\": \"ok\", \"op\": 5, \"variant\": [], \"key\": null}]}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *document = json_loads(texts[i], 0, NULL);
        assert_non_null(document);
        run_writers(document);
        run_plots(document);
        json_decref(document);
    }
}

/* Thousands of rows are written in a moment: nothing is quadratic in them. */
static void many_rows(void **state)
{
    (void)state;
    json_t *document = NULL;
    assert_int_equal(ortho_results_load(EXAMPLE, &document), ORTHO_OK);
    json_t *rows = json_object_get(document, "results");
    size_t count = json_array_size(rows);
    for (int layer = 1; layer < 80; layer++)
        for (size_t i = 0; i < count; i++) {
            json_t *row = json_copy(json_array_get(rows, i));
            json_object_set_new(row, "layer", json_integer(layer));
            json_array_append_new(rows, row);
        }
    run_writers(document);
    run_plots(document);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(odd_documents, EXAMPLE),
        cmocka_unit_test_prestate(odd_documents, EXAMPLE_GPU),
        cmocka_unit_test(bare_documents),
        cmocka_unit_test(many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
