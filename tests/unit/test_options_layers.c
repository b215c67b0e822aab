/* The layers: defaults < config file < environment < flags, and a source named in every error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness/options_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const ob_command run = {.name = "run", .bit = OB_FOR_RUN};
static const ob_command report = {
    .name = "report", .bit = OB_FOR_REPORT, .operands = "FILE", .operands_max = 1};

typedef struct scene {
    char folder[64], config[160];
} scene;

static int set_up(void **state)
{
    scene *s = calloc(1, sizeof *s);
    strcpy(s->folder, "/tmp/ortho-layers-XXXXXX");
    if (s == NULL || mkdtemp(s->folder) == NULL)
        return -1;
    char path[128];
    snprintf(path, sizeof path, "%s/ortho-bench", s->folder);
    mkdir(path, 0700);
    snprintf(s->config, sizeof s->config, "%s/config.ini", path);
    setenv("XDG_CONFIG_HOME", s->folder, 1);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    scene *s = *state;
    char path[128];
    unlink(s->config);
    snprintf(path, sizeof path, "%s/ortho-bench", s->folder);
    rmdir(path);
    rmdir(s->folder);
    free(s);
    return 0;
}

static void write_bytes(const char *path, const char *text, size_t size)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    fclose(f);
}

static void write_config(const scene *s, const char *text)
{
    write_bytes(s->config, text, strlen(text));
}

static ortho_status load_for(const ob_command *command, const char *flag, ob_options *out)
{
    static char name[] = "x", copy[256];
    char *argv[] = {name, copy, NULL};
    ob_asked asked;
    snprintf(copy, sizeof copy, "%s", flag != NULL ? flag : "");
    argv[1] = flag != NULL ? copy : NULL;
    return ob_options_load(command, flag != NULL ? 2 : 1, argv, out, &asked);
}

static void load(const char *flag, ob_options *out)
{
    if (load_for(&run, flag, out) != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
}

static void refuse(const char *flag, const char *words)
{
    ob_options o;
    if (load_for(&run, flag, &o) == ORTHO_OK)
        fail_msg("accepted; wanted '%s'", words);
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' lacks '%s'", ortho_last_message(), words);
}

/* The config text is refused at `line` with these words. */
static void refuse_config(const scene *s, const char *text, int line, const char *words)
{
    char where[512];
    write_config(s, text);
    snprintf(where, sizeof where, "%s:%d: %s", s->config, line, words);
    refuse(NULL, where);
}

static void later_layers_win(void **state)
{
    ob_options o;
    write_config(*state, "# mine\n[]\n");
    refuse(NULL, "a section");
    write_config(*state, "# mine\n\n  batch = 1,16\nseed = 5   ; inline\nmodel = from-config\n");
    load(NULL, &o);
    assert_int_equal(o.batches.count, 2);
    assert_int_equal(o.seed, 5);
    assert_string_equal(o.model, "from-config");
    ob_options_clear(&o);
    setenv("ORTHO_BENCH_SEED", "6", 1);
    setenv("ORTHO_BENCH_CASE_TIMEOUT", "3", 1);
    setenv("ORTHO_BENCH_DRY_RUN", "true", 1);
    load(NULL, &o);
    assert_int_equal(o.seed, 6);
    assert_true(o.case_timeout == 3 && o.dry_run);
    assert_string_equal(o.model, "from-config");
    ob_options_clear(&o);
    load("--seed=7", &o);
    assert_int_equal(o.seed, 7);
    assert_int_equal(o.batches.count, 2);
    ob_options_clear(&o);
    unsetenv("ORTHO_BENCH_SEED");
    unsetenv("ORTHO_BENCH_CASE_TIMEOUT");
    unsetenv("ORTHO_BENCH_DRY_RUN");
}

static void no_config_is_fine_but_a_named_one_must_be_there(void **state)
{
    const scene *s = *state;
    ob_options o;
    char flag[256], other[128];
    load(NULL, &o);
    assert_int_equal(o.seed, 1);
    ob_options_clear(&o);
    refuse("--config=/nonexistent/x.ini", "/nonexistent/x.ini: can't read this config file");
    snprintf(flag, sizeof flag, "--config=%s", s->folder);
    refuse(flag, "a folder");
    write_config(s, "seed = 5\n");
    snprintf(other, sizeof other, "%s/other.ini", s->folder);
    write_bytes(other, "threads = 2\n", 12);
    snprintf(flag, sizeof flag, "--config=%s", other);
    load(flag, &o); /* instead of the user's own, not beside it */
    assert_true(o.threads == 2 && o.seed == 1);
    ob_options_clear(&o);
    setenv("ORTHO_BENCH_CONFIG", other, 1);
    load(NULL, &o);
    assert_true(o.threads == 2);
    ob_options_clear(&o);
    unsetenv("ORTHO_BENCH_CONFIG");
    unlink(other);
}

static void home_is_looked_in_without_xdg(void **state)
{
    const scene *s = *state;
    char path[128];
    ob_options o;
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    snprintf(path, sizeof path, "%s/.config", s->folder);
    assert_int_equal(symlink(".", path), 0); /* FOLDER/.config/ortho-bench/config.ini */
    write_config(s, "seed = 9\n");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", s->folder, 1);
    load(NULL, &o);
    assert_int_equal(o.seed, 9);
    ob_options_clear(&o);
    unlink(path);
    if (home != NULL)
        setenv("HOME", home, 1);
    free(home);
}

static void config_errors_name_file_and_line(void **state)
{
    const scene *s = *state;
    refuse_config(s, "seed = 1\nbatsch = 1\n", 2, "unknown option 'batsch': did you mean 'batch'?");
    refuse_config(s, "\n# c\n\nbatch = zero\n", 4, "batch: 'zero' is not a whole number");
    refuse_config(s, "seed 5\n", 1, "not of the form name = value");
    refuse_config(s, "seed = 5\nseed = 6\n", 2, "'seed' is set a second time");
    refuse_config(s, "seed = 5\n[run]\n", 2, "a section");
    refuse_config(s, "model =\n", 1, "model: an empty value");
    refuse_config(s, "model = a\n  batch = -3\n", 2, "batch: '-3' is out of range");
    refuse_config(s, "dry-run = perhaps\n", 1, "dry-run: 'perhaps' is neither true nor false");
    refuse_config(s, "config = other.ini\n", 1, "'config' can't be set in a file");
    refuse_config(s, "json = true\n", 1, "'json' can't be set in a file");
    refuse_config(s, "seed = 1\nvariant = cs\n", 2, "variant: no variant 'cs'");
    refuse_config(s, "processes = 3\nprocess = 3\n", 2, "unknown option 'process'");
    char lengthy[2000];
    memset(lengthy, 'a', sizeof lengthy);
    memcpy(lengthy, "model = ", 8);
    lengthy[sizeof lengthy - 1] = '\0';
    refuse_config(s, lengthy, 1, "this line is too long");
    char where[512];
    write_bytes(s->config, "seed = 1\nmodel = a\0b\n", 21);
    snprintf(where, sizeof where, "%s:2: a NUL byte", s->config);
    refuse(NULL, where);
}

static void only_the_first_error_is_told(void **state)
{
    refuse_config(*state, "seed = x\nbatsch = 1\nbatch = 0\n", 1, "seed: 'x'");
}

static void a_last_line_needs_no_end(void **state)
{
    ob_options o;
    write_config(*state, "seed = 12");
    load(NULL, &o);
    assert_int_equal(o.seed, 12);
    ob_options_clear(&o);
}

static void environment_errors_name_the_variable(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *words;
    } wrong[] = {
        {"ORTHO_BENCH_BATSCH", "1",
         "ORTHO_BENCH_BATSCH names no option: did you mean "
         "ORTHO_BENCH_BATCH?"},
        {"ORTHO_BENCH_BATCH", "x", "ORTHO_BENCH_BATCH: 'x' is not a whole number"},
        {"ORTHO_BENCH_MODEL", "", "ORTHO_BENCH_MODEL: an empty value"},
        {"ORTHO_BENCH_JSON", "true", "ORTHO_BENCH_JSON names no option"},
        {"ORTHO_BENCH_case_timeout", "1", "names no option"},
        {"ORTHO_BENCH_VARIANT", "cs", "ORTHO_BENCH_VARIANT: no variant 'cs'"},
        {"ORTHO_BENCH_", "1", "names no option"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv(wrong[i].name, wrong[i].value, 1);
        refuse(NULL, wrong[i].words);
        unsetenv(wrong[i].name);
    }
}

/* A run's default --out must not make `report` overwrite the results with a table. */
static void out_of_a_layer_is_not_for_report(void **state)
{
    ob_options o;
    write_config(*state, "out = results.json\n");
    load(NULL, &o);
    assert_string_equal(o.out, "results.json");
    ob_options_clear(&o);
    assert_int_equal(load_for(&report, NULL, &o), ORTHO_OK);
    assert_null(o.out);
    ob_options_clear(&o);
    assert_int_equal(load_for(&report, "--out=t.txt", &o), ORTHO_OK);
    assert_string_equal(o.out, "t.txt");
    ob_options_clear(&o);
}

static void plugins_of_a_later_layer_replace(void **state)
{
    ob_options o;
    write_config(*state, "plugin = a.so\nplugin = b.so\n");
    load(NULL, &o);
    assert_int_equal(o.plugins.count, 2);
    ob_options_clear(&o);
    load("--plugin=c.so", &o);
    assert_int_equal(o.plugins.count, 1);
    assert_string_equal(o.plugins.item[0], "c.so");
    ob_options_clear(&o);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(later_layers_win),
        TEST(no_config_is_fine_but_a_named_one_must_be_there),
        TEST(home_is_looked_in_without_xdg),
        TEST(config_errors_name_file_and_line),
        TEST(only_the_first_error_is_told),
        TEST(a_last_line_needs_no_end),
        TEST(environment_errors_name_the_variable),
        TEST(out_of_a_layer_is_not_for_report),
        TEST(plugins_of_a_later_layer_replace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
