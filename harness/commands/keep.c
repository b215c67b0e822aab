#define _GNU_SOURCE /* realpath */
#include "harness/commands/keep.h"

#include "common/error.h"
#include "harness/baseline.h"
#include "harness/history.h"
#include "harness/state.h"
#include "reports/model.h"

#include <stdlib.h>

ortho_status ob_keep_check(const ob_options *options)
{
    char path[PATH_MAX];
    if (options->save_baseline == NULL)
        return ORTHO_OK;
    ortho_status status = ob_state_path("baselines/.", path);
    return status == ORTHO_OK ? ob_state_make(path) : status;
}

static ortho_status keep_baseline(const json_t *results, const char *name, const ob_log *log)
{
    ortho_status status = ob_baseline_save(name, results);
    if (status == ORTHO_OK)
        ob_log_note(log, "baseline '%s' is saved: `--baseline %s` compares with it", name, name);
    else if (status == ORTHO_E_CANCELLED)
        ob_log_note(log, "%s", ortho_last_message());
    else
        ob_log_error(log, "%s", ortho_last_message());
    return status == ORTHO_E_CANCELLED ? ORTHO_OK : status;
}

/* A run that skipped everything, for want of a GPU for instance, tells nothing about a commit. */
static bool is_worth_recording(const json_t *results)
{
    if (ortho_model_true(results, "context.interrupted") ||
        ortho_model_true(results, "context.instrumented"))
        return false;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row != NULL && ortho_model_status(row) != ORTHO_CASE_SKIPPED)
            return true;
    }
    return false;
}

static void record(const json_t *results, const char *file, const ob_log *log)
{
    bool added = false;
    char *path = file != NULL ? realpath(file, NULL) : NULL;
    if (ob_history_record(results, path, &added) != ORTHO_OK)
        ob_log_note(log, "this run is not in the history: %s", ortho_last_message());
    else
        ob_log_detail(log, "recorded: `ortho-bench history` shows it");
    free(path);
}

ortho_status ob_keep(const json_t *results, const ob_options *options, const char *file,
                     const ob_log *log)
{
    ortho_status status = ORTHO_OK;
    if (options->save_baseline != NULL)
        status = keep_baseline(results, options->save_baseline, log);
    if (!options->no_history && is_worth_recording(results))
        record(results, file, log);
    return status;
}
