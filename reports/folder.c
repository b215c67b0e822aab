/* Everything that can be made of a results document, in one folder. */
#include "common/error.h"
#include "common/output.h"
#include "reports/page/page.h"
#include "reports/plot.h"
#include "reports/reports.h"

#include <limits.h>
#include <string.h>

typedef struct telling {
    void (*told)(void *ctx, const char *line);
    void *ctx;
    const char *folder;
} telling;

static void tell(const telling *t, const char *what, const char *name, const char *why)
{
    char line[2 * PATH_MAX];
    if (t->told == NULL)
        return;
    snprintf(line, sizeof line, "%s%s%s%s", what, name, why[0] != '\0' ? ": " : "", why);
    t->told(t->ctx, line);
}

static ortho_status write_export(const struct json_t *results, const ortho_writer *writer,
                                 const telling *t)
{
    char path[PATH_MAX];
    int used = snprintf(path, sizeof path, "%s/results.%s", t->folder, writer->extension);
    if (used < 0 || used >= PATH_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "%.80s...: the folder's name is too long", t->folder);
    ortho_status status = ortho_report_write(results, writer, NULL, path);
    if (status == ORTHO_OK)
        tell(t, "wrote ", path, "");
    return status;
}

/* A plot that these results can't fill, or that nobody can draw here, is told and is no failure. */
static ortho_status write_plot(const struct json_t *results, const ortho_plot *plot,
                               const telling *t)
{
    char made[PATH_MAX];
    ortho_status status = ortho_plot_files(results, plot, t->folder);
    if (status == ORTHO_OK) {
        if (snprintf(made, sizeof made, "%s/%s.{svg,png,gp,tsv}", t->folder, plot->name) < PATH_MAX)
            tell(t, "drew ", made, "");
        return ORTHO_OK;
    }
    tell(t, status == ORTHO_E_UNSUPPORTED ? "no picture of " : "failed to draw ", plot->name,
         ortho_last_message());
    return status == ORTHO_E_UNSUPPORTED ? ORTHO_OK : status;
}

ortho_status ortho_report_files(const struct json_t *results, const char *folder,
                                void (*told)(void *ctx, const char *line), void *ctx)
{
    telling t = {.told = told, .ctx = ctx, .folder = folder};
    ortho_status status = ortho_make_folders(folder), first = status;
    for (size_t i = 0; ortho_writers[i] != NULL && first == ORTHO_OK; i++)
        if (ortho_writers[i]->extension != NULL)
            first = write_export(results, ortho_writers[i], &t);
    for (size_t i = 0; ortho_plots[i] != NULL && status == ORTHO_OK; i++) {
        ortho_status drawn = write_plot(results, ortho_plots[i], &t);
        first = first == ORTHO_OK ? drawn : first; /* the others are drawn all the same */
    }
    return first;
}

ortho_status ortho_report_page(const ortho_page *page, const char *folder,
                               void (*told)(void *ctx, const char *line), void *ctx)
{
    telling t = {.told = told, .ctx = ctx, .folder = folder};
    char path[PATH_MAX];
    ortho_output output = {0};
    int used = snprintf(path, sizeof path, "%s/index.html", folder);
    if (used < 0 || used >= PATH_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "%.80s...: the folder's name is too long", folder);
    ortho_status status = ortho_output_begin(path, &output);
    if (status != ORTHO_OK)
        return status;
    status = ortho_page_write(page, output.stream);
    if (status != ORTHO_OK) {
        ortho_output_abort(&output);
        return status;
    }
    status = ortho_output_commit(&output);
    if (status == ORTHO_OK)
        tell(&t, "wrote ", path, "");
    return status;
}

ortho_status ortho_report_folder(const struct json_t *results, const char *folder,
                                 void (*told)(void *ctx, const char *line), void *ctx)
{
    const char *name = "results.json"; /* the export that lies beside the page */
    ortho_page page = {.results = &results, .names = &name, .plots = &folder, .count = 1};
    ortho_status files = ortho_report_files(results, folder, told, ctx);
    ortho_status made = ortho_report_page(&page, folder, told, ctx); /* without what isn't there */
    return files != ORTHO_OK ? files : made;
}
