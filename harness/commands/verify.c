/*
 * verify: every check of a run and no timing. Its result is the verdicts, a line a case; a results
 * document would be one without a single time, which no report has a use for.
 */
#include "harness/commands/command.h"
#include "harness/commands/run.h"
#include "harness/options_table.h"
#include "harness/session.h"

#include <jansson.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "-";
}

static void print_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value))
        printf(" %10.1e", json_number_value(value));
    else
        printf(" %10s", "-");
}

static void print_verdict(const json_t *row, bool verbose)
{
    const json_t *verified = json_object_get(row, "verified");
    printf("%-8s %-7s", text_of(row, "status"), text_of(verified, "before"));
    print_number(verified, "rel_error");
    print_number(verified, "tolerance");
    fputs("  ", stdout);
    ob_print_safe(stdout, text_of(row, "key"));
    const char *more[] = {"reason", verbose ? "checked" : NULL};
    const json_t *from[] = {row, verified};
    for (int i = 0; i < 2; i++)
        if (more[i] != NULL && json_object_get(from[i], more[i]) != NULL) {
            fputs(": ", stdout);
            ob_print_safe(stdout, text_of(from[i], more[i]));
        }
    fputc('\n', stdout);
}

static int verify(const ob_options *options)
{
    if (options->dry_run)
        return ob_session_list(options, stdout);
    ob_options checks = *options;
    checks.verify_only = true;
    ob_log log = ob_log_open(options);
    json_t *results = NULL;
    int code = ob_session_watch(&checks, &log, NULL, &results);
    if (results == NULL)
        return code;
    printf("%-8s %-7s %10s %10s  %s\n", "status", "verdict", "rel_error", "tolerance", "case");
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(results, "results"), i, row)
        print_verdict(row, options->verbose);
    json_decref(results);
    return code;
}

extern const ob_command ob_command_verify;
const ob_command ob_command_verify = {
    .name = "verify",
    .bit = OB_FOR_VERIFY,
    .summary = "check variants against the fp64 reference, without timing them",
    .about = "Runs each case's verification and prints the verdicts, a line a case: status, "
             "verdict, relative error, tolerance, key. Exits 4 when a variant computed a wrong "
             "result.",
    .examples = {{"ortho-bench verify --variant csr", "is csr right on the model at hand?"},
                 {"ortho-bench verify --variant all --model random:513x385 --batch 1,3 "
                  "--density 0,0.01,1",
                  "odd sizes, empty and full rows"},
                 {"ortho-bench verify --plugin ./mine.so --variant mine", "is mine?"}},
    .run = verify,
};
