/*
 * verify: every check of a run and no timing. Its result is the verdicts, a line a case; a results
 * document would be one without a single time, which no report has a use for.
 */
#include "harness/commands/command.h"
#include "harness/commands/run.h"
#include "harness/commands/verdicts.h"
#include "harness/options_table.h"
#include "harness/session.h"

#include <jansson.h>

static int verify(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    if (options->dry_run)
        return ob_session_dry_run(options, &log);
    ob_options checks = *options;
    checks.verify_only = true;
    json_t *results = NULL;
    int code = ob_session_watch(&checks, &log, NULL, &results);
    if (results == NULL)
        return code;
    ob_verdicts_print(results, options->verbose);
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
