#define _GNU_SOURCE
#include "harness/commands/outcome.h"

#include "common/error.h"
#include "common/output.h"
#include "reports/reports.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define PLOT_COLUMNS 100
#define PLOT_LINES   30

static const ortho_plot *find_plot(const char *name)
{
    for (const ortho_plot *const *p = ortho_plots; *p != NULL; p++)
        if (strcmp((*p)->name, name) == 0)
            return *p;
    return NULL;
}

/* What `--plot tty` draws: the speed-ups. */
static ortho_status plot_terminal(const json_t *results)
{
    int columns = ob_terminal_width(STDOUT_FILENO);
    if (columns == 0 || columns > 160)
        columns = PLOT_COLUMNS;
    const ortho_plot *plot = find_plot("speedup");
    if (plot == NULL)
        return ortho_fail(ORTHO_E_INTERNAL, "this build has no plot of speed-ups");
    return ortho_plot_tty(results, plot, columns, PLOT_LINES, stdout);
}

ortho_status ob_outcome_print(const json_t *results, const ob_options *options)
{
    const char *format = options->format != NULL ? options->format : OB_FORMAT_USUAL;
    const ortho_writer *writer = ortho_writer_find(format);
    if (writer == NULL)
        return ortho_fail(ORTHO_E_INTERNAL, "no writer '%s' in this build", format);
    ortho_writer_options how = {.color = ob_color_wanted(options->color, STDOUT_FILENO),
                                .width = ob_terminal_width(STDOUT_FILENO)};
    ortho_status status = ortho_report_write(results, writer, &how, "-");
    if (status == ORTHO_OK && options->plot == OB_PLOT_TTY)
        status = plot_terminal(results);
    if (status == ORTHO_E_IO && ob_reader_left(STDOUT_FILENO))
        return ORTHO_OK; /* it has seen enough */
    return status;
}

static void tell(void *ctx, const char *line)
{
    ob_log_detail(ctx, "%s", line);
}

ortho_status ob_outcome_folder(const json_t *results, const char *folder, const ob_log *log)
{
    ob_log copy = *log;
    ortho_status status = ortho_report_folder(results, folder, tell, &copy);
    if (status == ORTHO_OK)
        ob_log_note(log, "report and plots: %s", folder);
    return status;
}

ortho_status ob_outcome_check(const char *path)
{
    ortho_output probe = {0};
    if (strcmp(path, "-") == 0)
        return ORTHO_OK;
    ortho_status status = ortho_output_begin(path, &probe);
    ortho_output_abort(&probe);
    return status;
}

ortho_status ob_outcome_save(const json_t *results, const char *path)
{
    const ortho_writer *native = ortho_writer_find("json");
    if (native == NULL)
        return ortho_fail(ORTHO_E_INTERNAL, "this build can't write native JSON");
    return ortho_report_write(results, native, NULL, path);
}
