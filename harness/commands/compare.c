/* compare: is b slower than a? */
#include "harness/baseline.h"
#include "harness/commands/command.h"
#include "harness/commands/gate.h"
#include "harness/options_table.h"
#include "reports/reports.h"

#include "common/error.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Documents of a side, owned. */
typedef struct side {
    json_t **documents;
    const char *const *files;
    size_t count;
} side;

static void close_side(side *s)
{
    for (size_t i = 0; i < s->count; i++)
        json_decref(s->documents[i]);
    free(s->documents);
}

static bool is_folder(const char *name)
{
    struct stat found;
    return stat(name, &found) == 0 && S_ISDIR(found.st_mode);
}

/* A file, or where there is none of that name, a baseline. */
static ortho_status open_one(const char *name, json_t **out)
{
    ortho_status status = ortho_results_load(name, out);
    if (status != ORTHO_E_NOT_FOUND && !is_folder(name))
        return status;
    if (ob_baseline_check(name) != ORTHO_OK) /* its words are of another matter */
        return ortho_fail(status, "%s: no such file", name);
    status = ob_baseline_load(name, out);
    return status == ORTHO_E_NOT_FOUND
               ? ortho_fail(status,
                            "%s: no such file, and no baseline: `ortho-bench list "
                            "--baselines` names them",
                            name)
               : status;
}

static ortho_status open_side(char **files, int count, side *out)
{
    *out = (side){.files = (const char *const *)files};
    out->documents = calloc((size_t)count + 1, sizeof *out->documents);
    if (out->documents == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for results");
    for (int i = 0; i < count; i++) {
        ortho_status status = open_one(files[i], &out->documents[i]);
        if (status != ORTHO_OK)
            return status;
        out->count++;
    }
    return ORTHO_OK;
}

/* Operands before and behind "vs"; two operands need none. Returns how many are a's; 0 when nobody
 * can tell. */
static int split(const ob_options *options)
{
    int at = 0;
    for (int i = 0; i < options->operand_count; i++)
        if (strcmp(options->operands[i], "vs") == 0) {
            if (at > 0)
                return 0;
            at = i;
        }
    if (at > 0 && at < options->operand_count - 1)
        return at;
    return options->operand_count == 2 && at == 0 ? 1 : 0;
}

/* Saves first, as a run does. */
static ortho_status deliver(const ob_options *options, const json_t *comparison, const ob_log *log)
{
    ortho_status status = ORTHO_OK;
    if (options->out != NULL) {
        status = ob_gate_print(options, comparison, options->out);
        if (status == ORTHO_OK && strcmp(options->out, "-") != 0)
            ob_log_note(log, "comparison: %s", options->out);
        if (options->comparison_format != NULL || strcmp(options->out, "-") == 0)
            return status;
    }
    ortho_status printed = ob_gate_print(options, comparison, NULL);
    return status != ORTHO_OK ? status : printed;
}

static int compare(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    side a = {0}, b = {0};
    json_t *comparison = NULL;
    int first = split(options), code = OB_EXIT_RUNTIME;
    if (first == 0) {
        ob_log_error(&log, "two files, or files of each side with 'vs' between them: "
                           "ortho-bench compare base-*.json vs head-*.json");
        return OB_EXIT_USAGE;
    }
    int second = options->operand_count == 2 ? 1 : first + 1;
    ortho_status status = open_side(options->operands, first, &a);
    if (status == ORTHO_OK)
        status = open_side(options->operands + second, options->operand_count - second, &b);
    if (status == ORTHO_OK)
        status = ob_gate_compare(options, &(ortho_compare_side){a.documents, a.files, a.count},
                                 &(ortho_compare_side){b.documents, b.files, b.count}, &comparison);
    if (status == ORTHO_OK)
        status = deliver(options, comparison, &log);
    if (status != ORTHO_OK)
        ob_log_error(&log, "%s", ortho_last_message());
    else
        code = ob_gate_exit(options, comparison, &log);
    json_decref(comparison);
    close_side(&a);
    close_side(&b);
    return code;
}

extern const ob_command ob_command_compare;
const ob_command ob_command_compare = {
    .name = "compare",
    .bit = OB_FOR_COMPARE,
    .operands = "A... [vs] B...",
    .operands_min = 2,
    .operands_max = INT_MAX,
    .summary = "is b slower than a? two results, or several of each, case by case",
    .about =
        "Sides are results files, baselines, or several of each with `vs` between them. Pairs "
        "cases by "
        "key and tells for each the ratio of times with its interval, the p of "
        "chance, and a verdict against --threshold; and what changed in memory, lanes, counters "
        "and "
        "exactness. It isn't fooled by a lucky process: intervals resample processes first, and a "
        "side with fewer than three is widened. Exit code 3: a case is slower or takes more "
        "memory; "
        "4: a case that passed is wrong; 5: ambiguous, with --strict.",
    .examples = {{"ortho-bench compare base.json head.json", "two results, each of one run"},
                 {"ortho-bench compare base-*.json vs head-*.json --threshold 1%",
                  "several processes of each, which proves more"},
                 {"ortho-bench compare base.json head.json --format md -o comment.md",
                  "for a pull request"}},
    .run = compare,
};
