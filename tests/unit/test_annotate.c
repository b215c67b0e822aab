/* Sums by source line: what belongs to which line, file and kernel; what is printed of a source
 * that may hold anything, or be gone; and the JSON of it. */
#define _GNU_SOURCE
#include "harness/annotate.h"

#include "common/error.h"
#include "harness/annotate_cases.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KERNEL "_ZN12_GLOBAL__N_110coo_kernelIfEEvPKi"
#define PLAIN  "void (anonymous namespace)::coo_kernel<float>(int const*)"
#define BASE   "_Z11base_kernelPKf"

static const ortho_loop loop = {"coo_kernel", "/build/variants/coo/gemm.cu", 11, 13};

typedef struct entry {
    const char *function, *file;
    int line;
    json_int_t warps, threads, divergent, stalls;
} entry;

static json_t *list_of(const entry *entries, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const entry *e = &entries[i];
        json_t *one = json_pack("{s:s, s:I, s:s, s:i, s:I, s:I, s:I, s:I, s:I}", "function",
                                e->function, "pc", (json_int_t)(16 * i), "file", e->file, "line",
                                e->line, "warps", e->warps, "threads", e->threads, "enabled",
                                e->threads / 2, "divergent", e->divergent, "stalls", e->stalls);
        assert_non_null(one);
        json_array_append_new(list, one);
    }
    return list;
}

#define LIST(...)                                                                                  \
    list_of((const entry[]){__VA_ARGS__}, sizeof((const entry[]){__VA_ARGS__}) / sizeof(entry))

#define OURS   "/build/variants/coo/gemm.cu"
#define SHARED "/elsewhere/kernels/cuda/device.cuh"
#define NVIDIA "/usr/local/cuda/include/cuda_fp16.hpp"

/* A kernel with a loop, a header of ours, one of NVIDIA's, and an instruction without a line; and
 * the operation's other kernel, which is sampled only. */
static json_t *counted(void)
{
    return LIST({KERNEL, OURS, 12, 100, 3200, 0, 0}, {KERNEL, OURS, 12, 100, 800, 10, 0},
                {KERNEL, OURS, 3, 10, 320, 0, 0}, {KERNEL, NVIDIA, 700, 40, 640, 0, 0},
                {KERNEL, NVIDIA, 701, 40, 640, 0, 0}, {KERNEL, SHARED, 9, 50, 1600, 1, 0},
                {KERNEL, "", 0, 5, 160, 0, 0});
}

static json_t *sampled(void)
{
    return LIST({KERNEL, OURS, 12, 0, 0, 0, 60}, {KERNEL, OURS, 13, 0, 0, 0, 20},
                {KERNEL, NVIDIA, 700, 0, 0, 0, 15}, {KERNEL, "", 0, 0, 0, 0, 5},
                {BASE, "/build/kernels/cuda/base_gemm.cu", 5, 0, 0, 0, 300});
}

static ob_annotation make(json_t *counts, json_t *samples)
{
    ob_annotation a;
    assert_int_equal(ob_annotation_make(counts, samples, &loop, &a), ORTHO_OK);
    json_decref(counts); /* nothing of the lists is kept */
    json_decref(samples);
    return a;
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void sums_by_line(void **state)
{
    (void)state;
    ob_annotation a = make(counted(), sampled());
    assert_string_equal(a.kernel, PLAIN);
    assert_int_equal(a.file_count, 3);
    const ob_annotated_file *f = a.files;
    assert_string_equal(f[0].path, OURS); /* the loop's, though not the first by name */
    assert_string_equal(f[1].path, SHARED);
    assert_string_equal(f[2].path, NVIDIA);
    assert_true(f[0].ours && f[1].ours && !f[2].ours);
    assert_int_equal(f[0].count, 3);
    assert_int_equal(f[0].lines[0].line, 3);
    assert_int_equal(f[0].lines[1].line, 12);
    const ob_annotation_sum *hot = &f[0].lines[1].sum;
    assert_int_equal(hot->instructions, 2);
    assert_int_equal(hot->warps, 200);
    assert_int_equal(hot->threads, 4000);
    assert_int_equal(hot->enabled, 2000);
    assert_int_equal(hot->divergent, 10);
    assert_int_equal(hot->stalls, 60);
    assert_true(fabs(ob_annotation_lanes(hot) - 20) <= 1e-9); /* false of NaN */
    assert_int_equal(f[0].lines[2].line, 13);                 /* sampled, never counted */
    assert_true(isnan(ob_annotation_lanes(&f[0].lines[2].sum)));
    assert_int_equal(f[2].sum.warps, 80);
    assert_int_equal(f[2].sum.stalls, 15);
    assert_int_equal(a.unplaced.warps, 5);
    assert_int_equal(a.unplaced.stalls, 5);
    ob_annotation_clear(&a);
}

static void totals(void **state)
{
    (void)state;
    ob_annotation a = make(counted(), sampled());
    assert_int_equal(a.total.instructions, 7);
    assert_int_equal(a.total.warps, 345);
    assert_int_equal(a.total.stalls, 100);
    assert_int_equal(a.samples, 400);
    assert_int_equal(a.other_count, 1);
    assert_string_equal(a.others[0].name, "base_kernel(float const*)");
    assert_int_equal(a.others[0].stalls, 300);
    ob_annotation_clear(&a);
    a = make(counted(), NULL);
    assert_true(a.counted && !a.sampled);
    assert_int_equal(a.total.stalls, 0);
    ob_annotation_clear(&a);
}

/* Two functions that were counted are one kernel: what wasn't inlined is called. */
static void two_functions(void **state)
{
    (void)state;
    ob_annotation a =
        make(LIST({"helper", OURS, 40, 10, 100, 0, 0}, {KERNEL, OURS, 12, 99, 990, 0, 0}), NULL);
    assert_string_equal(a.kernel, PLAIN); /* the heavier */
    assert_int_equal(a.total.warps, 109);
    assert_int_equal(a.other_count, 0);
    ob_annotation_clear(&a);
}

/* Without counts the loop's name tells the kernel; an instruction that no warp executed counts as
 * nothing. */
static void nothing_counted(void **state)
{
    (void)state;
    ob_annotation a = make(NULL, sampled());
    assert_false(a.counted);
    assert_string_equal(a.kernel, PLAIN);
    assert_int_equal(a.total.stalls, 100);
    ob_annotation_clear(&a);
    a = make(LIST({KERNEL, OURS, 12, 0, 0, 0, 0}), NULL);
    assert_int_equal(a.total.instructions, 0);
    assert_true(isnan(ob_annotation_lanes(&a.total)));
    assert_int_equal(ob_annotation_heat(&a.total), OB_HEAT_NONE);
    ob_annotation_clear(&a);
    a = make(json_array(), json_array());
    assert_int_equal(a.file_count, 0);
    assert_string_equal(a.kernel, "coo_kernel"); /* all that is known */
    ob_annotation_clear(&a);
}

/* Sums stop at the largest number, and what is no count is none. */
static void odd_numbers(void **state)
{
    (void)state;
    const json_int_t huge = INT64_MAX;
    ob_annotation a =
        make(LIST({KERNEL, OURS, 12, huge, huge, 0, 0}, {KERNEL, OURS, 12, huge, huge, 0, 0},
                  {KERNEL, OURS, 12, huge, huge, 0, 0}, {KERNEL, OURS, -4, 1, 1, -9, -1}),
             NULL);
    assert_true(a.total.warps == UINT64_MAX);
    assert_int_equal(a.total.divergent, 0);
    assert_int_equal(a.unplaced.warps, 1); /* of line -4 */
    ob_annotation_clear(&a);
    json_t *list = json_pack("[n, i, {}, {s:i, s:s}, {s:s, s:s, s:i}]", 7, "function", 3, "warps",
                             "x", "function", KERNEL, "file", OURS, "warps", 2);
    a = make(list, json_string("no list"));
    assert_int_equal(a.total.warps, 2);
    assert_int_equal(a.unplaced.warps, 2);
    ob_annotation_clear(&a);
}

static void heat(void **state)
{
    (void)state;
    static const struct {
        uint64_t threads;
        ob_heat heat;
    } cases[] = {{320, OB_HEAT_FULL}, {300, OB_HEAT_FULL}, {299, OB_HEAT_PART},
                 {160, OB_HEAT_PART}, {159, OB_HEAT_TORN}, {0, OB_HEAT_TORN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            ob_annotation_heat(&(ob_annotation_sum){.warps = 10, .threads = cases[i].threads}),
            cases[i].heat);
}

/* A plug-in's own header is ours, its neighbours' folders aren't. */
static void files_of_a_plugin(void **state)
{
    (void)state;
    static const ortho_loop mine = {"k", "/home/me/mine/mine.cu", 1, 2};
    json_t *list = LIST({"k", "/home/me/mine/mine.cuh", 1, 1, 1, 0, 0},
                        {"k", "/home/me/other/x.cuh", 1, 1, 1, 0, 0},
                        {"k", "/moved/me/mine/mine.cu", 1, 1, 1, 0, 0});
    ob_annotation a;
    assert_int_equal(ob_annotation_make(list, NULL, &mine, &a), ORTHO_OK);
    json_decref(list);
    assert_int_equal(a.file_count, 3);
    assert_string_equal(a.files[0].path, "/moved/me/mine/mine.cu");
    assert_string_equal(a.files[1].path, "/home/me/mine/mine.cuh");
    assert_true(a.files[0].ours && a.files[1].ours && !a.files[2].ours);
    ob_annotation_clear(&a);
}

/* ---- print ----------------------------------------------------------------------------------- */

static char folder[64];

static void write_file(const char *name, const char *text, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    fclose(f);
}

static int make_sources(void **state)
{
    (void)state;
    char path[128];
    static const char kernel[] = "// 1\n// 2\nint r = blockIdx.x;\n// 4\n// 5\n// 6\n// 7\n// 8\n"
                                 "// 9\nstart();\nfor (;;) {\n\tif (rows[i] > r)\n        sum++;\n"
                                 "}\nend();\n// 16\n";
    static const char header[] = "\033[31mred\n\0nul\n\xff\xfe\nx\ny\nz\n7\n8\nlast";
    strcpy(folder, "/tmp/ortho-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    static const char *const folders[] = {"variants", "variants/coo", "kernels", "kernels/cuda"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    write_file("variants/coo/gemm.cu", kernel, sizeof kernel - 1);
    write_file("kernels/cuda/device.cuh", header, sizeof header - 1);
    return 0;
}

static int remove_sources(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static char *print(const ob_annotation *a, const ob_annotation_view *view)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(ob_annotation_print(a, view, out), ORTHO_OK);
    fclose(out);
    return text;
}

static const char golden[] =
    "gemm/coo/cuda/L0.q\n"
    "kernel: " PLAIN "\n"
    "\n"
    "/build/variants/coo/gemm.cu\n"
    "warp instr  lanes   stalls  div br   line\n"
    "                                        1  // 1\n"
    "                                        2  // 2\n"
    "        10   32.0    0.0 %       0      3  int r = blockIdx.x;\n"
    "                                        4  // 4\n"
    "                                        5  // 5\n"
    "                                     …\n"
    "                                       10  start();\n"
    "                                    |  11  for (;;) {\n"
    "       200   20.0   60.0 %      10  |  12      if (rows[i] > r)\n"
    "         0      -   20.0 %       -  |  13          sum++;\n"
    "                                       14  }\n"
    "                                       15  end();\n"
    "\n"
    "/elsewhere/kernels/cuda/device.cuh\n"
    "warp instr  lanes   stalls  div br   line\n"
    "                                        7  7\n"
    "                                        8  8\n"
    "        50   32.0    0.0 %       1      9  last\n"
    "\n"
    "        80   16.0   15.0 %       0   /usr/local/cuda/include/cuda_fp16.hpp, 2 lines\n"
    "         5   32.0    5.0 %       0   without a line\n"
    "       345   21.3  100.0 %      11   the kernel: 7 SASS instructions, 100 stall samples (25.0 "
    "% "
    "of the operation's)\n"
    "       280   18.9                    the Ortho loop, marked |, with what was inlined into it: "
    "4 "
    "SASS instructions\n"
    "other kernels' share of the samples: 75.0 % base_kernel(float const*)\n";

static ob_annotation_view view_of(const ob_source_places *places)
{
    return (ob_annotation_view){.key = "gemm/coo/cuda/L0.q", .loop = &loop, .places = places};
}

/* Found by the last three parts of its path; a file of another build's root as well. */
static void printed(void **state)
{
    (void)state;
    const ob_source_places places = {.folder = {"/nowhere", folder}};
    ob_annotation a = make(counted(), sampled());
    ob_annotation_view view = view_of(&places);
    json_t *measured =
        json_pack("{s:f, s:i, s:i}", "value", 0.59, "warp_instructions", 280, "instructions", 4);
    view.measured = measured;
    char *text = print(&a, &view);
    assert_string_equal(text, golden);
    free(text);
    view.color = true;
    text = print(&a, &view);
    assert_non_null(strstr(text, "\033[33m   20.0\033[0m"));
    assert_non_null(strstr(text, "\033[32m   32.0\033[0m"));
    free(text);
    json_decref(measured);
    ob_annotation_clear(&a);
}

/* What a source or a name holds can't drive the terminal, and what is too long is cut. */
static void hostile_text(void **state)
{
    (void)state;
    const ob_source_places places = {.folder = {folder}};
    ob_annotation a = make(LIST({KERNEL, SHARED, 1, 1, 32, 0, 0},
                                {"evil\033[2Jname", "/x/kernels/a\033]0;b/c\n.cu", 1, 9, 32, 0, 0}),
                           NULL);
    ob_annotation_view view = view_of(&places);
    view.no_stalls = "no\033 permission";
    view.width = 60;
    char *text = print(&a, &view);
    assert_null(strchr(text, '\033'));
    assert_null(strstr(text, "\xff"));
    assert_non_null(strstr(text, "evil\xef\xbf\xbd[2Jname"));
    assert_non_null(strstr(text, "no stall samples: no\xef\xbf\xbd permission\n"));
    assert_non_null(strstr(text, "  1  \xef\xbf\xbd[31mred\n"));
    assert_non_null(strstr(text, "  2  ?nul\n"));
    assert_non_null(strstr(text, "a\xef\xbf\xbd]0;b/c\xef\xbf\xbd.cu: not found here"));
    free(text);
    ob_annotation_clear(&a);
    char line[512];
    memset(line, 'x', sizeof line);
    write_file("kernels/cuda/wide.cuh", line, sizeof line);
    a = make(LIST({KERNEL, "/y/kernels/cuda/wide.cuh", 1, 1, 32, 0, 0}), NULL);
    text = print(&a, &view);
    assert_null(strstr(text, "xxxxxxxxxxxxxxxxxxxxx"));
    assert_non_null(strstr(text, "xxx…\n"));
    free(text);
    ob_annotation_clear(&a);
}

/* A source that isn't there, is a folder, or a pipe that nobody writes to: numbers alone. */
static void no_source(void **state)
{
    (void)state;
    const ob_source_places places = {.folder = {folder}};
    char pipe[160];
    snprintf(pipe, sizeof pipe, "%s/variants/coo/pipe.cu", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    const char *const files[] = {"/gone/variants/coo/gone.cu", "/x/variants/coo/pipe.cu",
                                 "/variants/coo/../coo"};
    for (int i = 0; i < 3; i++) {
        ob_annotation a = make(
            LIST({KERNEL, files[i], 5, 1, 32, 0, 0}, {KERNEL, files[i], 7, 1, 32, 0, 0}), NULL);
        a.files[0].ours = true;
        ob_annotation_view view = view_of(&places);
        char *text = print(&a, &view);
        assert_non_null(
            strstr(text, ": not found here, so its lines' numbers alone; ORTHO_SOURCE"));
        assert_non_null(strstr(text, "    5\n"));
        assert_non_null(strstr(text, "…\n"));
        assert_non_null(strstr(text, "    7\n"));
        free(text);
        ob_annotation_clear(&a);
    }
    ob_source source;
    assert_int_equal(ob_source_open("", &places, &source), ORTHO_E_NOT_FOUND);
}

/* A line beyond the file's end (it changed) has its sums and no text; a source that is newer than
 * the build says so. */
static void stale_source(void **state)
{
    (void)state;
    const ob_source_places places = {.folder = {folder}, .built = 1};
    ob_annotation a = make(LIST({KERNEL, OURS, 99, 7, 32, 0, 0}), NULL);
    ob_annotation_view view = view_of(&places);
    char *text = print(&a, &view);
    assert_non_null(strstr(text, ": changed after this binary was built"));
    assert_non_null(strstr(text, "   99\n"));
    free(text);
    ob_annotation_clear(&a);
}

/* The project of this very binary is found without being told, and a variable beats it. */
static void places_here(void **state)
{
    (void)state;
    ob_source_places places;
    setenv("ORTHO_SOURCE", folder, 1);
    ob_source_places_here(&places);
    unsetenv("ORTHO_SOURCE");
    assert_string_equal(places.folder[0], folder);
    assert_true(places.built > 0);
    char path[4200];
    snprintf(path, sizeof path, "%s/variants/coo/gemm.cu", places.folder[2]);
    assert_int_equal(access(path, R_OK), 0);
    ob_source_places_here(&places);
    assert_null(places.folder[0]);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void as_json(void **state)
{
    (void)state;
    const ob_source_places places = {.folder = {folder}};
    ob_annotation a = make(counted(), sampled());
    ob_annotation_view view = view_of(&places);
    json_t *all = ob_annotation_json(&a, &view);
    json_t *file = json_array_get(json_object_get(all, "files"), 0);
    json_t *line = json_array_get(json_object_get(file, "lines"), 1);
    assert_int_equal(json_integer_value(json_object_get(line, "line")), 12);
    assert_int_equal(json_integer_value(json_object_get(line, "warps")), 200);
    assert_true(fabs(json_real_value(json_object_get(line, "lanes")) - 20) <=
                1e-9);                                        /* false of NaN */
    line = json_array_get(json_object_get(file, "lines"), 2); /* sampled only */
    assert_null(json_object_get(line, "lanes"));
    assert_int_equal(json_integer_value(json_object_get(line, "stalls")), 20);
    json_decref(all);
    ob_annotation_clear(&a);
    a = make(counted(), NULL);
    view.no_stalls = "no permission";
    all = ob_annotation_json(&a, &view);
    assert_null(json_object_get(json_object_get(all, "total"), "stalls")); /* absent, not 0 */
    assert_string_equal(json_string_value(json_object_get(all, "no_stalls")), "no permission");
    json_decref(all);
    ob_annotation_clear(&a);
}

/* ---- which cases ----------------------------------------------------------------------------- */

static void first_of_each(void **state)
{
    (void)state;
    static const ortho_variant coo = {.name = "coo"}, dense = {.name = "dense"},
                               mine = {.name = "mine"};
    ob_case cases[] = {{.variant = &dense},
                       {.variant = &coo, .sieve = true},
                       {.variant = &coo},
                       {.variant = &mine, .plugin = "./mine.so"},
                       {.variant = &coo},
                       {.variant = &coo},
                       {.variant = &coo, .sieve = true}};
    const ob_plan plan = {.cases = cases, .count = 7};
    static const bool taken[2][7] = {{false, true, true}, {false, false, false, true}};
    static const int stands_for[2][7] = {{0, 1, 2}, {0}};
    for (int named = 0; named < 2; named++) {
        ob_options o = {0};
        if (named == 0)
            o.variants = (ob_words){.count = 1, .item = {"coo"}};
        for (int i = 0; i < plan.count; i++) {
            int more;
            assert_int_equal(ob_annotate_takes(&o, &plan, i, &more), taken[named][i]);
            if (taken[named][i])
                assert_int_equal(more, stands_for[named][i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_by_line),      cmocka_unit_test(totals),
        cmocka_unit_test(two_functions),     cmocka_unit_test(nothing_counted),
        cmocka_unit_test(odd_numbers),       cmocka_unit_test(heat),
        cmocka_unit_test(files_of_a_plugin), cmocka_unit_test(printed),
        cmocka_unit_test(hostile_text),      cmocka_unit_test(no_source),
        cmocka_unit_test(stale_source),      cmocka_unit_test(places_here),
        cmocka_unit_test(as_json),           cmocka_unit_test(first_of_each),
    };
    return cmocka_run_group_tests(tests, make_sources, remove_sources);
}
