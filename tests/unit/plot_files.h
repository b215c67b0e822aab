/* What the tests of plots share: a document's data and scripts by plot, and folders of pictures. */
#ifndef ORTHO_TESTS_PLOT_FILES_H
#define ORTHO_TESTS_PLOT_FILES_H

#include "common/error.h"
#include "reports/gnuplot.h"
#include "reports/model.h"
#include "reports/plot.h"
#include "reports/reports.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define EXAMPLE     ORTHO_SOURCE_DIR "/tests/schema/example.json"
#define EXAMPLE_GPU ORTHO_SOURCE_DIR "/tests/schema/example-gpu.json"

static inline json_t *load(const char *path)
{
    json_t *document = NULL;
    assert_int_equal(ortho_results_load(path, &document), ORTHO_OK);
    return document;
}

static inline const ortho_plot *find_plot(const char *name)
{
    for (size_t i = 0; ortho_plots[i] != NULL; i++)
        if (strcmp(ortho_plots[i]->name, name) == 0)
            return ortho_plots[i];
    fail_msg("no plot %s", name);
    return NULL;
}

static inline char *data_of(const json_t *document, const char *name)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(find_plot(name)->data(document, out), ORTHO_OK);
    fclose(out);
    return text;
}

static inline bool have_gnuplot(void)
{
    return ortho_gnuplot_run("/dev/null", NULL, NULL) != ORTHO_E_UNSUPPORTED;
}

static inline char *script_of(const json_t *document, const char *name)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(ortho_plot_script(document, find_plot(name), out), ORTHO_OK);
    fclose(out);
    return text;
}

static inline void remove_folder(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(folder), 0); /* the folder to draw in is gone too */
}

static inline void count_lines(void *ctx, const char *line)
{
    *(int *)ctx += strncmp(line, "drew ", 5) == 0;
}

static inline bool fills(const json_t *document, const ortho_plot *plot)
{
    FILE *out = fopen("/dev/null", "w");
    ortho_status status = plot->data(document, out);
    fclose(out);
    return status == ORTHO_OK;
}

/* It can't be filled, and says why in these words. */
static inline void refuses(const json_t *document, const char *plot, const char *words)
{
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(find_plot(plot)->data(document, out), ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), words));
    assert_int_equal(find_plot(plot)->body(document, out), ORTHO_E_UNSUPPORTED);
    fclose(out);
}

#endif
