/* history: what earlier runs measured: the runs, a case over commits, and results files taken in.
 */
#include "harness/history.h"

#include "common/error.h"
#include "harness/commands/command.h"
#include "harness/commands/history_import.h"
#include "harness/commands/history_print.h"
#include "harness/options_table.h"

#include <jansson.h>
#include <limits.h>

#define SCHEMA "ortho-bench-history/1"

/* Prints {"schema", key: value}; takes the reference. */
static ortho_status print_json(const char *key, json_t *value, FILE *out)
{
    json_t *document = json_pack("{s:s, s:o}", "schema", SCHEMA, key, value);
    bool failed = document == NULL || json_dumpf(document, out, JSON_INDENT(1)) != 0;
    json_decref(document);
    if (failed && !ferror(out)) /* a stream that fails is main's to tell */
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the history");
    fputc('\n', out);
    return ORTHO_OK;
}

/* ---- import ---------------------------------------------------------------------------------- */

static ortho_status print_import(ob_import *import, bool as_json)
{
    if (as_json)
        return print_json("import",
                          json_pack("{s:I, s:I, s:O}", "new", (json_int_t)import->added, "known",
                                    (json_int_t)import->known, "refused", import->reasons),
                          stdout);
    printf("%zu new, %zu known, %zu refused\n", import->added, import->known, import->refused);
    return ORTHO_OK;
}

static int import_all(const ob_options *options, const ob_log *log)
{
    ob_import import = {.log = log, .reasons = json_array()};
    ortho_status status = ob_history_open(OB_HISTORY_WRITE, &import.history);
    for (int i = 0; status == ORTHO_OK && i < options->operand_count; i++)
        status = ob_import_path(&import, options->operands[i]);
    if (status == ORTHO_OK)
        status = print_import(&import, options->json);
    if (status != ORTHO_OK)
        ob_log_error(log, "%s", ortho_last_message());
    ob_history_close(import.history);
    json_decref(import.reasons);
    bool nothing = import.added + import.known == 0; /* not even from a folder */
    return status != ORTHO_OK || import.refused_by_name > 0 || nothing ? OB_EXIT_RUNTIME
                                                                       : OB_EXIT_OK;
}

/* ---- show ------------------------------------------------------------------------------------ */

static void tell_nothing(const ob_options *options, bool any, const ob_log *log)
{
    if (any && options->history_case != NULL)
        ob_log_note(log, "no such case in the history: a pattern shows more (--case 'gemm/csr/*'), "
                         "`ortho-bench history` the runs");
    else if (any)
        ob_log_note(log, "nothing since %s", options->since);
    else
        ob_log_note(log, "the history is empty: each `ortho-bench run` adds to it, and "
                         "`ortho-bench history --import FILE...` takes in earlier results");
}

static ortho_status print_list(const ob_options *options, json_t *list)
{
    if (options->json)
        return print_json(options->history_case != NULL ? "trends" : "runs", json_incref(list),
                          stdout);
    if (json_array_size(list) == 0)
        return ORTHO_OK;
    return options->history_case != NULL ? ob_history_print_trends(list, stdout)
                                         : ob_history_print_runs(list, stdout);
}

/* *any: whether there is a history with a run in it. The caller owns *list, an array. */
static ortho_status read_list(const ob_options *options, json_t **list, bool *any)
{
    ob_history *history = NULL;
    const ob_history_query all = {.limit = 1};
    const ob_history_query query = {
        .key = options->history_case, .since = options->since, .limit = options->limit};
    json_t *first = NULL;
    ortho_status status = ob_history_open(OB_HISTORY_READ, &history);
    if (status == ORTHO_E_NOT_FOUND) {
        *list = json_array();
        return ORTHO_OK;
    }
    if (status == ORTHO_OK)
        status = ob_history_runs(history, &all, &first);
    if (status == ORTHO_OK)
        status = options->history_case != NULL ? ob_history_trends(history, &query, list)
                                               : ob_history_runs(history, &query, list);
    *any = json_array_size(first) > 0;
    json_decref(first);
    ob_history_close(history);
    return status;
}

static int show(const ob_options *options, const ob_log *log)
{
    json_t *list = NULL;
    bool any = false;
    ortho_status status = read_list(options, &list, &any);
    if (status == ORTHO_OK)
        status = print_list(options, list);
    if (status == ORTHO_OK && json_array_size(list) == 0)
        tell_nothing(options, any, log);
    json_decref(list);
    if (status == ORTHO_OK)
        return OB_EXIT_OK;
    ob_log_error(log, "%s", ortho_last_message());
    return OB_EXIT_RUNTIME;
}

static int history(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    if (options->import && options->operand_count == 0) {
        ob_log_error(&log, "--import needs files or folders: ortho-bench history --import FILE...");
        return OB_EXIT_USAGE;
    }
    if (options->operand_count > 0 && options->history_case != NULL) {
        ob_log_error(&log, "'%s' would be imported, and --case shows: do one after the other",
                     options->operands[0]);
        return OB_EXIT_USAGE;
    }
    if (options->since != NULL && ob_history_check_date(options->since) != ORTHO_OK) {
        ob_log_error(&log, "--since: %s", ortho_last_message());
        return OB_EXIT_USAGE;
    }
    return options->operand_count > 0 ? import_all(options, &log) : show(options, &log);
}

extern const ob_command ob_command_history;
const ob_command ob_command_history = {
    .name = "history",
    .bit = OB_FOR_HISTORY,
    .operands = "[FILE...]",
    .operands_max = INT_MAX,
    .summary = "what earlier runs measured: a case over commits, results taken in",
    .about = "Each complete `run` is recorded (unless --no-history says no): its figures and its "
             "environment, in an SQLite file, ~/.local/state/ortho-bench/history.db or below "
             "ORTHO_BENCH_STATE. Without options the runs, newest first. With --case a table over "
             "commits: median, half of its 95 % interval, change to the point before. One trend "
             "holds what may be compared: one case on one device, one model's bytes, one setting. "
             "Files and folders as operands are taken in.",
    .examples = {{"ortho-bench history", "the runs that are known, newest first"},
                 {"ortho-bench history --case 'gemm/csr/*' --limit 10",
                  "how csr fared over the last ten runs, case by case"},
                 {"ortho-bench history --import reports/results",
                  "what others measured and committed, too"},
                 {"ortho-bench history --case 'gemm/*' --json", "the figures for a script"}},
    .run = history,
};
