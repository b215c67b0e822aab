/* report: results files again, in other forms. */
#define _GNU_SOURCE
#include "common/error.h"
#include "harness/commands/command.h"
#include "harness/commands/outcome.h"
#include "harness/options_table.h"
#include "reports/reports.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>

/* Name of a file without folder and extension: length in *length. */
static const char *stem(const char *path, int *length)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *length = dot != NULL && dot != name ? (int)(dot - name) : (int)strlen(name);
    return name;
}

/* With several files each has a folder of its own under --report. */
static ortho_status folder_of(const ob_options *options, const char *file, char folder[PATH_MAX])
{
    int length, n;
    const char *name = stem(file, &length);
    if (options->operand_count == 1)
        n = snprintf(folder, PATH_MAX, "%s", options->report);
    else
        n = snprintf(folder, PATH_MAX, "%s/%.*s", options->report, length, name);
    if (n >= PATH_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: this name is too long", file);
    return ORTHO_OK;
}

static ortho_status report_one(const ob_options *options, const char *file, const ob_log *log)
{
    json_t *results = NULL;
    char folder[PATH_MAX];
    ortho_status status = ortho_results_load(file, &results);
    if (status != ORTHO_OK)
        return status;
    if (options->out != NULL)
        status =
            ortho_report_write(results, ortho_writer_find(options->format), NULL, options->out);
    else
        status = ob_outcome_print(results, options);
    if (status == ORTHO_OK && options->out != NULL && strcmp(options->out, "-") != 0)
        ob_log_note(log, "%s: %s", options->format, options->out);
    if (status == ORTHO_OK && options->report != NULL)
        status = folder_of(options, file, folder);
    if (status == ORTHO_OK && options->report != NULL)
        status = ob_outcome_folder(results, folder, log);
    json_decref(results);
    return status;
}

static bool stems_differ(const ob_options *options, const ob_log *log)
{
    for (int i = 0; i < options->operand_count; i++)
        for (int j = 0; j < i; j++) {
            int a, b;
            const char *left = stem(options->operands[i], &a);
            const char *right = stem(options->operands[j], &b);
            if (a == b && strncmp(left, right, (size_t)a) == 0) {
                ob_log_error(log, "%s and %s would share a folder of --report; report them apart",
                             options->operands[j], options->operands[i]);
                return false;
            }
        }
    return true;
}

static int report(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    if (options->operand_count > 1 && options->out != NULL) {
        ob_log_error(&log, "--out holds one report; there are %d files", options->operand_count);
        return OB_EXIT_USAGE;
    }
    if (options->report != NULL && !stems_differ(options, &log))
        return OB_EXIT_USAGE;
    for (int i = 0; i < options->operand_count; i++) {
        if (options->operand_count > 1)
            ob_log_note(&log, "%s", options->operands[i]);
        if (report_one(options, options->operands[i], &log) != ORTHO_OK) {
            ob_log_error(&log, "%s", ortho_last_message());
            return OB_EXIT_RUNTIME;
        }
    }
    return OB_EXIT_OK;
}

extern const ob_command ob_command_report;
const ob_command ob_command_report = {
    .name = "report",
    .bit = OB_FOR_REPORT,
    .operands = "FILE...",
    .operands_min = 1,
    .operands_max = INT_MAX,
    .summary = "write saved results again: table, JSON, CSV, Markdown, plots",
    .about = "Reads native results files and writes them as --format says, to stdout or to --out; "
             "--report makes every export and plot in a folder (with several files, in one folder "
             "each).",
    .examples = {{"ortho-bench report out/run.json", "the table again"},
                 {"ortho-bench report out/run.json --format csv --out run.csv",
                  "for a spreadsheet"},
                 {"ortho-bench report out/run.json --report out/report --plot tty",
                  "every export and plot, and the speed-ups in the terminal"}},
    .run = report,
};
