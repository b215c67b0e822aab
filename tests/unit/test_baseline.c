/* The state folder's place, and baselines: names, what may be one, reading them back. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/error.h"
#include "harness/baseline.h"
#include "harness/state.h"
#include "reports/model.h"
#include "reports/reports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXAMPLE ORTHO_SOURCE_DIR "/tests/schema/example.json"

/* A state folder of the test's own, that isn't there yet. */
static int set_up(void **state)
{
    char *folder = strdup("/tmp/ortho-state-XXXXXX"), *inner = NULL;
    assert_non_null(mkdtemp(folder));
    assert_true(asprintf(&inner, "%s/a/b", folder) > 0);
    setenv("ORTHO_BENCH_STATE", inner, 1);
    free(inner);
    *state = folder;
    return 0;
}

static int tear_down(void **state)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    assert_int_equal(system(command), 0);
    free(*state);
    unsetenv("ORTHO_BENCH_STATE");
    return 0;
}

static void says(const char *words)
{
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' lacks '%s'", ortho_last_message(), words);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void path_is(const char *own, const char *xdg, const char *home, const char *wanted)
{
    const char *names[] = {"ORTHO_BENCH_STATE", "XDG_STATE_HOME", "HOME"};
    const char *values[] = {own, xdg, home};
    char path[PATH_MAX], *before[3];
    for (int i = 0; i < 3; i++) {
        before[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
        values[i] ? setenv(names[i], values[i], 1) : unsetenv(names[i]);
    }
    ortho_status status = ob_state_path("x/y", path);
    for (int i = 0; i < 3; i++) {
        before[i] ? setenv(names[i], before[i], 1) : unsetenv(names[i]);
        free(before[i]);
    }
    if (wanted == NULL)
        assert_int_equal(status, ORTHO_E_ARGUMENT);
    else if (status != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
    else
        assert_string_equal(path, wanted);
}

static void the_folder_is_the_first_that_is_named(void **state)
{
    (void)state;
    path_is("/own", "/xdg", "/home/me", "/own/x/y");
    path_is("", "/xdg", "/home/me", "/xdg/ortho-bench/x/y");
    path_is(NULL, "/xdg", "/home/me", "/xdg/ortho-bench/x/y");
    path_is(NULL, "xdg", "/home/me", "/home/me/.local/state/ortho-bench/x/y");
    path_is(NULL, NULL, "/home/me", "/home/me/.local/state/ortho-bench/x/y");
    path_is("own", "/xdg", "/home/me", NULL);
    says("'own' is no absolute path");
    path_is(NULL, NULL, NULL, NULL);
    says("set ORTHO_BENCH_STATE to a folder");
    char longest[PATH_MAX + 8];
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    path_is(longest, NULL, NULL, NULL);
    longest[PATH_MAX - 3] = '\0';
    path_is(longest, NULL, NULL, NULL);
    says("too long");
}

static void it_is_made_for_its_owner_alone(void **state)
{
    char path[PATH_MAX], blocked[PATH_MAX];
    struct stat st;
    assert_int_equal(ob_state_path("c/file", path), ORTHO_OK);
    assert_int_equal(ob_state_make(path), ORTHO_OK);
    assert_int_equal(ob_state_make(path), ORTHO_OK);
    assert_int_equal(ob_state_path("c", path), ORTHO_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(ob_state_path("c/file", path), ORTHO_OK);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(blocked, sizeof blocked, "%s/file", (char *)*state);
    fclose(fopen(blocked, "w"));
    snprintf(blocked, sizeof blocked, "%s/file/below/x", (char *)*state);
    assert_int_equal(ob_state_make(blocked), ORTHO_E_IO);
    says("/file");
    says("set ORTHO_BENCH_STATE to another one");
}

/* ---- baselines ------------------------------------------------------------------------------- */

static json_t *example(void)
{
    json_t *document = NULL;
    assert_int_equal(ortho_results_load(EXAMPLE, &document), ORTHO_OK);
    json_t *rows = json_object_get(document, "results"); /* the example shows a failure, too */
    for (size_t i = json_array_size(rows); i-- > 0;)
        if (ortho_model_status(json_array_get(rows, i)) == ORTHO_CASE_FAILED)
            json_array_remove(rows, i);
    return document;
}

static void names_are_checked(void **state)
{
    (void)state;
    char longest[OB_BASELINE_NAME + 2];
    memset(longest, 'n', sizeof longest);
    longest[OB_BASELINE_NAME] = '\0';
    const char *good[] = {"a", "main", "v1.2_x-3", "-x", "a..b", longest};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(ob_baseline_check(good[i]), ORTHO_OK);
    const char *bad[] = {"",       ".",   "..",   "../x", ".hidden", "a/b",
                         "/etc/x", "a b", "a\nb", "a\"b", "nöin",    "a%2fb"};
    json_t *document = example(), *read = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ob_baseline_check(bad[i]), ORTHO_E_ARGUMENT);
        says("can't name a baseline");
        assert_int_equal(ob_baseline_save(bad[i], document), ORTHO_E_ARGUMENT);
        assert_int_equal(ob_baseline_load(bad[i], &read), ORTHO_E_ARGUMENT);
    }
    char too_long[OB_BASELINE_NAME + 2];
    memset(too_long, 'n', sizeof too_long);
    too_long[OB_BASELINE_NAME + 1] = '\0';
    assert_int_equal(ob_baseline_check(too_long), ORTHO_E_ARGUMENT);
    assert_null(read);
    json_decref(document);
    char path[PATH_MAX];
    assert_int_equal(ob_state_path("", path), ORTHO_OK);
    assert_int_equal(access(path, F_OK), -1); /* nothing was made of a bad name */
}

static void what_is_saved_is_read_back(void **state)
{
    (void)state;
    json_t *document = example(), *read = NULL;
    assert_int_equal(ob_baseline_save("main", document), ORTHO_OK);
    assert_int_equal(ob_baseline_load("main", &read), ORTHO_OK);
    assert_true(json_equal(document, read));
    json_decref(read);
    read = NULL;
    json_object_set_new(json_object_get(document, "context"), "commit", json_string("later"));
    assert_int_equal(ob_baseline_save("main", document), ORTHO_OK); /* over the first */
    assert_int_equal(ob_baseline_load("main", &read), ORTHO_OK);
    assert_string_equal(ortho_model_string(read, "context.commit"), "later");
    json_decref(read);
    json_decref(document);
}

static void an_unknown_name_lists_the_known(void **state)
{
    (void)state;
    json_t *document = example(), *read = NULL;
    assert_int_equal(ob_baseline_load("main", &read), ORTHO_E_NOT_FOUND);
    says("there is no baseline 'main', nor any other");
    says("--save-baseline NAME");
    assert_int_equal(ob_baseline_save("main", document), ORTHO_OK);
    assert_int_equal(ob_baseline_save("before", document), ORTHO_OK);
    assert_int_equal(ob_baseline_load("mian", &read), ORTHO_E_NOT_FOUND);
    says("did you mean 'main'? (known: before, main)");
    says("--save-baseline NAME");
    assert_int_equal(ob_baseline_load("quite-another", &read), ORTHO_E_NOT_FOUND);
    says("there is no baseline 'quite-another' (known: before, main)");
    assert_null(read);
    json_decref(document);
}

static void only_a_whole_and_right_run_is_one(void **state)
{
    (void)state;
    json_t *document = example(), *read = NULL;
    json_t *rows = json_object_get(document, "results");
    json_object_set_new(json_object_get(document, "context"), "interrupted", json_true());
    assert_int_equal(ob_baseline_save("main", document), ORTHO_E_CANCELLED);
    says("interrupted");
    json_object_set_new(json_object_get(document, "context"), "interrupted", json_false());
    json_t *bad = json_deep_copy(json_array_get(rows, 0));
    json_object_set_new(bad, "status", json_string("failed"));
    json_array_append_new(rows, bad);
    assert_int_equal(ob_baseline_save("main", document), ORTHO_E_WRONG);
    says("1 case failed");
    json_array_clear(rows);
    assert_int_equal(ob_baseline_save("main", document), ORTHO_E_UNSUPPORTED);
    says("no case has a time");
    assert_int_equal(ob_baseline_load("main", &read), ORTHO_E_NOT_FOUND);
    json_decref(document);
}

static void the_list_shows_damaged_ones_too(void **state)
{
    (void)state;
    json_t *document = example(), *list = NULL;
    char path[PATH_MAX];
    assert_int_equal(ob_baseline_list(&list), ORTHO_OK);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    assert_int_equal(ob_baseline_save("main", document), ORTHO_OK);
    const char *others[] = {"baselines/damaged.json", "baselines/.hidden.json",
                            "baselines/no-extension", "baselines/.json"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(ob_state_path(others[i], path), ORTHO_OK);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs("{\"schema\": 3}", f);
        fclose(f);
    }
    assert_int_equal(ob_baseline_list(&list), ORTHO_OK);
    assert_int_equal(json_array_size(list), 2);
    const json_t *damaged = json_array_get(list, 0), *whole = json_array_get(list, 1);
    assert_string_equal(ortho_model_string(damaged, "name"), "damaged");
    assert_non_null(strstr(ortho_model_string(damaged, "error"), "damaged.json"));
    assert_null(json_object_get(damaged, "cases"));
    assert_string_equal(ortho_model_string(whole, "name"), "main");
    assert_null(json_object_get(whole, "error"));
    assert_true(ortho_model_number(whole, "cases") == (double)ortho_model_count(document));
    assert_non_null(ortho_model_string(whole, "device"));
    json_decref(list);
    json_decref(document);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(the_folder_is_the_first_that_is_named),
        IN_A_FOLDER(it_is_made_for_its_owner_alone),
        IN_A_FOLDER(names_are_checked),
        IN_A_FOLDER(what_is_saved_is_read_back),
        IN_A_FOLDER(an_unknown_name_lists_the_known),
        IN_A_FOLDER(only_a_whole_and_right_run_is_one),
        IN_A_FOLDER(the_list_shows_damaged_ones_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
