/* The heat map of source lines: which lines it takes, what stands in its data, and that a line of
 * source can't run a command or break the picture. */
#define _GNU_SOURCE
#include "reports/heat.h"

#include "common/error.h"
#include "harness/annotate.h"
#include "tests/unit/plot_files.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "annotate-coo-gemm"

static char *read_file(const char *folder, const char *extension)
{
    char path[256], *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/%s.%s", folder, NAME, extension);
    FILE *f = fopen(path, "r"), *to = open_memstream(&text, &size);
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;)
        fputc(c, to);
    fclose(f);
    fclose(to);
    return text;
}

/* Files are whole where gnuplot is, and the script and its data there without it. */
static void draw(const json_t *map, const char *folder)
{
    ortho_status status = ortho_heat_files(map, NAME, folder);
    assert_int_equal(status, have_gnuplot() ? ORTHO_OK : ORTHO_E_UNSUPPORTED);
    for (int i = 0; status == ORTHO_OK && i < 2; i++) {
        char path[256];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s.%s", folder, NAME, i == 0 ? "svg" : "png");
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size > 1000);
    }
}

static const char hostile[] = "'; system('touch owned'); '`touch owned` {\"$x\"} @a #\\ %s \tEOD";

static json_t *map_of(void)
{
    json_t *lines = json_pack("[{s:i, s:s, s:f, s:f, s:f}, {s:i, s:s, s:f, s:f}, {s:i, s:s}]",
                              "line", 41, "text", "    for (int64_t i = 0; i < l.nnz; i++) {",
                              "lanes", 20.0, "warps", 0.5, "stalls", 0.25, "line", 42, "text",
                              hostile, "lanes", 32.0, "warps", 0.25, "line", 43, "text", "EOD");
    assert_non_null(lines);
    return json_pack("{s:s, s:s, s:o}", "title", "Lines", "subtitle", "it's \n{a} key", "lines",
                     lines);
}

static void data_and_script(void **state)
{
    (void)state;
    char folder[] = "/tmp/ortho-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    json_t *map = map_of();
    draw(map, folder);
    char *text = read_file(folder, "tsv");
    const char *const rows[] = {"0\t0\t0.625\t20\t41\t    for (int64_t i = 0; i < l.nnz; i++) {\n",
                                "1\t0\t1\t50\t41\t",
                                "1\t1\t0.5\t25\t42\t",
                                "2\t0\t1\t25\t41\t",
                                "2\t1\tNaN\tNaN\t42\t",
                                "0\t2\tNaN\tNaN\t43\tEOD\n"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_non_null(strstr(text, rows[i]));
    for (const char *bad = "'\"`$#@\\"; *bad != '\0'; bad++)
        assert_null(strchr(text, *bad));
    free(text);
    text = read_file(folder, "gp");
    assert_non_null(strstr(text, "defined (0 '#440154'"));
    assert_null(strstr(text, "system('"));
    assert_null(strstr(text, "`touch"));
    free(text);
    assert_int_not_equal(access("owned", F_OK), 0);
    json_decref(map);
    remove_folder(folder);
}

static void no_lines(void **state)
{
    (void)state;
    json_t *map = json_pack("{s:[]}", "lines");
    assert_int_equal(ortho_heat_files(map, NAME, "/tmp/ortho-test-none"), ORTHO_E_UNSUPPORTED);
    assert_int_not_equal(access("/tmp/ortho-test-none", F_OK), 0);
    json_decref(map);
}

/* Of more lines than fit, the heaviest, in the order of the source. */
static void heaviest_lines(void **state)
{
    (void)state;
    static const ortho_loop loop = {"coo_kernel", "/b/variants/coo/gemm.cu", 1, 2};
    const ob_source_places places = {.folder = {NULL}};
    json_t *list = json_array();
    for (int i = 1; i <= 40; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:i}", "function", "coo_kernel",
                                              "file", loop.file, "line", i, "warps", i, "threads",
                                              32 * i));
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:i, s:i, s:i}", "function", "coo_kernel", "file",
                                    "/usr/include/x.h", "line", 1, "warps", 1000, "threads", 1000));
    ob_annotation a;
    assert_int_equal(ob_annotation_make(list, NULL, &loop, &a), ORTHO_OK);
    json_decref(list);
    const ob_annotation_view view = {.key = "the key", .loop = &loop, .places = &places};
    json_t *map = ob_annotation_heat_map(&a, &view), *lines = json_object_get(map, "lines");
    assert_int_equal(json_array_size(lines), ORTHO_HEAT_LINES);
    for (size_t i = 0; i < ORTHO_HEAT_LINES; i++) {
        const json_t *line = json_array_get(lines, i);
        assert_int_equal(json_integer_value(json_object_get(line, "line")), i + 9);
        assert_string_equal(json_string_value(json_object_get(line, "text")), "gemm.cu");
        assert_null(json_object_get(line, "stalls"));
    }
    assert_string_equal(json_string_value(json_object_get(map, "subtitle")),
                        "the key · the 32 heaviest of 40 lines");
    char folder[] = "/tmp/ortho-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    draw(map, folder);
    remove_folder(folder);
    json_decref(map);
    ob_annotation_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_and_script),
        cmocka_unit_test(no_lines),
        cmocka_unit_test(heaviest_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
