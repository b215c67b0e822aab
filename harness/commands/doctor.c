/* doctor: what this machine has, what would be skipped and why, and whether its counters count. */
#include "harness/doctor.h"

#include "common/error.h"
#include "harness/commands/command.h"
#include "harness/log.h"
#include "harness/options_table.h"

static int doctor(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    ob_diagnosis d = {0};
    ortho_status status = ob_diagnosis_make(&d);
    if (status == ORTHO_OK && options->json)
        status = ob_diagnosis_print_json(&d, stdout);
    else if (status == ORTHO_OK)
        ob_diagnosis_print(&d, stdout);
    bool wrong = status == ORTHO_OK && ob_diagnosis_is_wrong(&d);
    ob_diagnosis_clear(&d);
    if (status != ORTHO_OK)
        ob_log_error(&log, "%s", ortho_last_message());
    return status != ORTHO_OK || wrong ? OB_EXIT_RUNTIME : OB_EXIT_OK;
}

extern const ob_command ob_command_doctor;
const ob_command ob_command_doctor = {
    .name = "doctor",
    .bit = OB_FOR_DOCTOR,
    .summary = "tell what this machine has, what would be skipped, whether its counters are right",
    .about = "One line for each thing that a run can use: ok, warn (it works, but) or n/a (without "
             "it), with the cure. Then the variants, and a self-test: kernels whose divergent "
             "branches, bank conflicts, memory traffic, spills and multiply-adds are known "
             "beforehand, counted by the GPU. Exits 1 when a count is wrong; what is missing is no "
             "failure. Changes nothing on the machine.",
    .examples = {{"ortho-bench doctor", "before the first run on a machine"},
                 {"ortho-bench doctor --json", "the same for a script, or for a bug report"}},
    .run = doctor,
};
