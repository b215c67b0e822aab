/* verify: every check of a run, and no more timing than they need. */
#include "harness/commands/command.h"
#include "harness/commands/run.h"
#include "harness/options_table.h"

static int verify(const ob_options *options)
{
    ob_options checks = *options;
    checks.verify_only = true;
    return ob_run_session(&checks, false);
}

extern const ob_command ob_command_verify;
const ob_command ob_command_verify = {
    .name = "verify",
    .bit = OB_FOR_VERIFY,
    .summary = "check variants against the fp64 reference, without timing them",
    .about = "Runs each case's verification and prints the verdicts. Exits 4 when a variant "
             "computed a wrong result. Results are saved only where --out says.",
    .examples = {{"ortho-bench verify --variant csr", "is csr right on the model at hand?"},
                 {"ortho-bench verify --variant all --model random:513x385 --batch 1,3 "
                  "--density 0,0.01,1",
                  "odd sizes, empty and full rows"},
                 {"ortho-bench verify --plugin ./mine.so --variant mine", "is mine?"}},
    .run = verify,
};
