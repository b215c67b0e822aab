/* report: results files again, in other forms: a page of them, or one writer's output. */
#define _GNU_SOURCE
#include "common/error.h"
#include "harness/commands/command.h"
#include "harness/commands/outcome.h"
#include "harness/options_table.h"
#include "reports/compare/compare.h"
#include "reports/page/page.h"
#include "reports/reports.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Name of a file without folder and extension: length in *length. */
static const char *stem(const char *path, int *length)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *length = dot != NULL && dot != name ? (int)(dot - name) : (int)strlen(name);
    return name;
}

static bool to_stdout(const ob_options *options)
{
    return options->out == NULL || strcmp(options->out, "-") == 0;
}

static bool wants_page(const ob_options *options)
{
    return options->format == NULL && !to_stdout(options);
}

/* With several files each has a folder of its own under `parent`. */
static ortho_status folder_of(const char *parent, const char *file, bool alone,
                              char folder[PATH_MAX])
{
    int length, n;
    const char *name = stem(file, &length);
    if (alone)
        n = snprintf(folder, PATH_MAX, "%s", parent);
    else
        n = snprintf(folder, PATH_MAX, "%s/%.*s", parent, length, name);
    if (n >= PATH_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: this name is too long", file);
    return ORTHO_OK;
}

/* ---- a page -------------------------------------------------------------------------------------
 */

/* Documents on their way into a page: lists of the operands' length, of which `count` are filled.
 */
typedef struct pages {
    const json_t **results;
    const char **names, **plots;
    char (*folders)[PATH_MAX];
    size_t count;
    json_t *comparison;
} pages;

static void pages_free(pages *p)
{
    for (size_t i = 0; i < p->count; i++)
        json_decref((json_t *)p->results[i]);
    json_decref(p->comparison);
    free(p->results);
    free(p->names);
    free(p->plots);
    free(p->folders);
}

static ortho_status pages_make(size_t room, pages *out)
{
    pages p = {.results = calloc(room, sizeof *p.results),
               .names = calloc(room, sizeof *p.names),
               .plots = calloc(room, sizeof *p.plots),
               .folders = calloc(room, sizeof *p.folders)};
    if (p.results == NULL || p.names == NULL || p.plots == NULL || p.folders == NULL) {
        pages_free(&p);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu files", room);
    }
    *out = p;
    return ORTHO_OK;
}

static ortho_status pages_add(pages *p, const char *file)
{
    json_t *document = NULL;
    ortho_status status = ortho_document_load(file, &document);
    if (status != ORTHO_OK)
        return status;
    if (!ortho_is_comparison(document)) {
        const char *slash = strrchr(file, '/');
        p->names[p->count] = slash != NULL ? slash + 1 : file;
        p->results[p->count++] = document;
        return ORTHO_OK;
    }
    if (p->comparison != NULL) {
        json_decref(document);
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: a second comparison; a page has room for one",
                          file);
    }
    p->comparison = document;
    return ORTHO_OK;
}

static void tell(void *ctx, const char *line)
{
    ob_log_detail(ctx, "%s", line);
}

/* Every export and plot of every file, then the page over all of them. */
static ortho_status pages_write(pages *p, const char *folder, const ob_log *log)
{
    ob_log copy = *log;
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < p->count && status == ORTHO_OK; i++) {
        status = folder_of(folder, p->names[i], p->count == 1, p->folders[i]);
        p->plots[i] = p->folders[i];
        if (status == ORTHO_OK)
            status = ortho_report_files(p->results[i], p->folders[i], tell, &copy);
    }
    ortho_page page = {.results = p->results,
                       .names = p->names,
                       .plots = p->plots,
                       .count = p->count,
                       .comparison = p->comparison};
    if (status == ORTHO_OK)
        status = ortho_report_page(&page, folder, tell, &copy);
    if (status == ORTHO_OK)
        ob_log_note(log, "page: %s/index.html", folder);
    return status;
}

static ortho_status report_page(const ob_options *options, const ob_log *log)
{
    pages p = {0};
    ortho_status status = pages_make((size_t)options->operand_count, &p);
    for (int i = 0; i < options->operand_count && status == ORTHO_OK; i++)
        status = pages_add(&p, options->operands[i]);
    if (status == ORTHO_OK)
        status = pages_write(&p, options->out, log);
    pages_free(&p);
    return status;
}

/* A name that ends like a file's, or is one's, was meant as one. */
static bool names_file(const char *out)
{
    struct stat st;
    if (stat(out, &st) == 0)
        return !S_ISDIR(st.st_mode);
    const char *slash = strrchr(out, '/'), *dot = strrchr(slash != NULL ? slash : out, '.');
    return dot != NULL && (strcmp(dot, ".html") == 0 || strcmp(dot, ".txt") == 0 ||
                           ortho_writer_find(dot + 1) != NULL);
}

/* ---- one writer's output ------------------------------------------------------------------------
 */

static ortho_status report_one(const ob_options *options, const char *file, const ob_log *log)
{
    json_t *results = NULL;
    char folder[PATH_MAX];
    ortho_status status = ortho_document_load(file, &results);
    if (status != ORTHO_OK)
        return status;
    if (options->out != NULL && options->format != NULL)
        status =
            ortho_report_write(results, ortho_writer_find(options->format), NULL, options->out);
    else if (!wants_page(options))
        status = ob_outcome_print(results, options);
    if (status == ORTHO_OK && options->format != NULL && !to_stdout(options))
        ob_log_note(log, "%s: %s", options->format, options->out);
    if (status == ORTHO_OK && options->report != NULL)
        status = folder_of(options->report, file, options->operand_count == 1, folder);
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
                ob_log_error(log, "%s and %s would share a folder; report them apart",
                             options->operands[j], options->operands[i]);
                return false;
            }
        }
    return true;
}

/* What can't be done together, said before anything is read. */
static bool is_possible(const ob_options *options, bool page, const ob_log *log)
{
    if (page && names_file(options->out)) {
        ob_log_error(log,
                     "--out %s: a page goes into a folder; for a file, say which with --format",
                     options->out);
        return false;
    }
    if (!page && options->operand_count > 1 && options->out != NULL) {
        ob_log_error(log,
                     "--out holds one report; there are %d files (without --format it is a "
                     "folder, with one page of all)",
                     options->operand_count);
        return false;
    }
    return (options->report == NULL && !page) || stems_differ(options, log);
}

static int report(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    bool page = wants_page(options);
    ortho_status status = ORTHO_OK;
    if (!is_possible(options, page, &log))
        return OB_EXIT_USAGE;
    if (page)
        status = report_page(options, &log);
    for (int i = 0; i < options->operand_count && status == ORTHO_OK; i++) {
        if (page && options->report == NULL)
            break; /* all is said */
        if (options->operand_count > 1)
            ob_log_note(&log, "%s", options->operands[i]);
        status = report_one(options, options->operands[i], &log);
    }
    if (status != ORTHO_OK)
        ob_log_error(&log, "%s", ortho_last_message());
    return status == ORTHO_OK ? OB_EXIT_OK : OB_EXIT_RUNTIME;
}

extern const ob_command ob_command_report;
const ob_command ob_command_report = {
    .name = "report",
    .bit = OB_FOR_REPORT,
    .operands = "FILE...",
    .operands_min = 1,
    .operands_max = INT_MAX,
    .summary = "make one page of saved results, or write them again: table, JSON, CSV, Markdown",
    .about = "Reads native results files. --out DIR makes DIR/index.html, one page that needs no "
             "network, with every export and plot beside it; a comparison among the files is its "
             "verdict. With --format, and without --out, it writes what that says, to stdout or to "
             "a file. --report makes a folder with a page of its own for each file.",
    .examples = {{"ortho-bench report out/run.json", "the table again"},
                 {"ortho-bench report before.json after.json -o out/page",
                  "out/page/index.html: both, in one page"},
                 {"ortho-bench report out/run.json --format csv --out run.csv",
                  "for a spreadsheet"},
                 {"ortho-bench report out/run.json --report out/report --plot tty",
                  "every export and plot, and the speed-ups in the terminal"}},
    .run = report,
};
