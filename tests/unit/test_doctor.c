/* The doctor: what it says of a GPU's settings (a made-up NVML), finding programs, and printing. */
#define _GNU_SOURCE
#include "harness/doctor.h"

#include "common/error.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FAKE(kind) FAKE_NVML_DIR "/fake_nvml_" kind ".so"

static const ob_finding *find(const ob_findings *list, const char *name)
{
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    fail_msg("nothing is said of %s", name);
    return NULL;
}

static void expect(const ob_findings *list, const char *name, ob_health health, const char *word)
{
    const ob_finding *f = find(list, name);
    assert_int_equal(f->health, health);
    if (strstr(f->what, word) == NULL)
        fail_msg("%s: \"%s\" lacks \"%s\"", name, f->what, word);
}

/* ---- the GPU's settings ---------------------------------------------------------------------- */

static ob_findings ask(const char *library, const char *wish)
{
    ob_findings list = {0};
    ob_nvml *nvml = NULL;
    setenv("FAKE_NVML", wish, 1);
    assert_int_equal(ob_nvml_open_library(library, "0000:0a:00.0", &nvml), ORTHO_OK);
    ob_doctor_nvml(&list, nvml);
    ob_nvml_close(nvml);
    unsetenv("FAKE_NVML");
    return list;
}

static void settings(void **state)
{
    (void)state;
    ob_findings list = ask(FAKE("current"), "");
    expect(&list, "persistence", OB_HEALTH_OK, "on");
    expect(&list, "ecc", OB_HEALTH_OK, "on");
    expect(&list, "mig", OB_HEALTH_OK, "off");
    expect(&list, "power limit", OB_HEALTH_OK, "700 W");
    expect(&list, "clocks", OB_HEALTH_WARN, "1755 MHz now, 1980 MHz at most; whether");
    expect(&list, "clocks", OB_HEALTH_WARN, "held down by sw-power-cap, hw-thermal");
    ob_findings_clear(&list);
}

static void unsettled(void **state)
{
    (void)state;
    ob_findings list = ask(FAKE("current"), "unsettled");
    expect(&list, "persistence", OB_HEALTH_WARN, "off");
    assert_non_null(strstr(find(&list, "persistence")->cure, "nvidia-smi -pm 1"));
    expect(&list, "ecc", OB_HEALTH_OK, "off");
    expect(&list, "mig", OB_HEALTH_WARN, "on");
    ob_findings_clear(&list);
}

/* What isn't told is n/a, never "off" or 0. */
static void not_told(void **state)
{
    (void)state;
    ob_findings list = ask(FAKE("current"), "lost");
    static const char *const names[] = {"persistence", "ecc", "mig", "power limit", "clocks"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect(&list, names[i], OB_HEALTH_NA, "not told");
    ob_findings_clear(&list);
    list = ask(FAKE("old"), "");
    expect(&list, "clocks", OB_HEALTH_WARN, "the most isn't told");
    ob_findings_clear(&list);
}

/* ---- programs -------------------------------------------------------------------------------- */

static void touch(const char *folder, const char *name, int mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static void programs(void **state)
{
    (void)state;
    char folder[] = "/tmp/ortho-doctor-XXXXXX", pattern[64], path[512] = "", kept[4096], want[64];
    assert_non_null(mkdtemp(folder));
    snprintf(kept, sizeof kept, "%s", getenv("PATH"));
    touch(folder, "tool-1", 0755);
    touch(folder, "tool-2", 0755);
    touch(folder, "tool-3", 0644); /* no program */
    snprintf(pattern, sizeof pattern, "%s/tool-*", folder);
    const char *const patterns[] = {"/nonexistent/*", pattern, NULL}, *const none[] = {NULL};
    setenv("PATH", "/nonexistent::", 1);
    assert_true(ob_doctor_find("tool-9", patterns, path));
    snprintf(want, sizeof want, "%s/tool-2", folder);
    assert_string_equal(path, want);
    assert_false(ob_doctor_find("tool-1", none, path));
    setenv("PATH", folder, 1);
    assert_true(ob_doctor_find("tool-1", patterns, path));
    assert_non_null(strstr(path, "/tool-1"));
    assert_false(ob_doctor_find("tool-3", none, path));
    setenv("PATH", kept, 1);
    for (int i = 1; i <= 3; i++) {
        snprintf(path, sizeof path, "%s/tool-%d", folder, i);
        unlink(path);
    }
    rmdir(folder);
}

/* ---- printing -------------------------------------------------------------------------------- */

static ob_diagnosis made_up(double divergent)
{
    ob_diagnosis d = {.self_test = calloc((size_t)ob_selftest_count, sizeof *d.self_test)};
    assert_non_null(d.self_test);
    ob_finding_add(&d.machine, "gpu", OB_HEALTH_OK, "odd \x1b[31m\xff name, %d SMs", 132);
    ob_finding_add(&d.machine, "counters", OB_HEALTH_NA, "no permission");
    ob_finding_cure(&d.machine, "run as %s", "root");
    ob_finding_add(&d.variants, "csr", OB_HEALTH_WARN, "on cpu: gemm");
    for (int i = 0; i < ob_selftest_count; i++) {
        ob_counter_value v = {.value = NAN, .code = 1, .reason = "not here"};
        if (i == 0)
            v = (ob_counter_value){.value = divergent};
        ob_selftest_judge(&ob_selftests[i], 0, &v, &d.self_test[i]);
    }
    return d;
}

static void text(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    ob_diagnosis d = made_up(7935);
    ob_diagnosis_print(&d, out);
    fclose(out);
    assert_true(ob_diagnosis_is_wrong(&d));
    assert_null(strchr(printed, '\x1b'));
    assert_non_null(strstr(printed, "gpu              ok    odd \\x1b[31m"));
    assert_non_null(strstr(printed, "counters         n/a   no permission\n"));
    assert_non_null(strstr(printed, "cure: run as root\n"));
    assert_non_null(strstr(printed, "divergent branches wrong 7936                     7935\n"));
    assert_non_null(strstr(printed, "read as smsp__sass_branch"));
    assert_non_null(strstr(printed, "not here"));
    assert_non_null(strstr(printed, "don't believe --counters"));
    free(printed);
    ob_diagnosis_clear(&d);
    d = made_up(7936);
    assert_false(ob_diagnosis_is_wrong(&d));
    ob_diagnosis_clear(&d);
}

static void json(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    ob_diagnosis d = made_up(7935);
    assert_int_equal(ob_diagnosis_print_json(&d, out), ORTHO_OK);
    fclose(out);
    json_t *document = json_loads(printed, 0, NULL);
    assert_non_null(document);
    const json_t *machine = json_object_get(document, "machine");
    const json_t *gpu = json_array_get(machine, 0), *counters = json_array_get(machine, 1);
    assert_string_equal(json_string_value(json_object_get(gpu, "what")),
                        "odd \x1b[31m? name, 132 SMs");
    assert_null(json_object_get(gpu, "cure"));
    assert_string_equal(json_string_value(json_object_get(counters, "cure")), "run as root");
    const json_t *tests = json_object_get(document, "self_test");
    assert_int_equal(json_array_size(tests), ob_selftest_count);
    const json_t *first = json_array_get(tests, 0), *second = json_array_get(tests, 1);
    assert_string_equal(json_string_value(json_object_get(first, "status")), "wrong");
    assert_true(fabs(json_number_value(json_object_get(first, "read")) - 7935) <=
                0); /* false of NaN */
    assert_null(json_object_get(first, "reason"));
    assert_string_equal(json_string_value(json_object_get(second, "status")), "n/a");
    assert_null(json_object_get(second, "read"));
    assert_string_equal(json_string_value(json_object_get(second, "reason")), "not here");
    json_decref(document);
    free(printed);
    ob_diagnosis_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings), cmocka_unit_test(unsettled), cmocka_unit_test(not_told),
        cmocka_unit_test(programs), cmocka_unit_test(text),      cmocka_unit_test(json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
