/* run: the default command. */
#define _GNU_SOURCE
#include "harness/commands/run.h"

#include "common/error.h"
#include "common/output.h"
#include "harness/baseline.h"
#include "harness/commands/command.h"
#include "harness/commands/gate.h"
#include "harness/commands/interrupt.h"
#include "harness/commands/keep.h"
#include "harness/commands/outcome.h"
#include "harness/commands/verdicts.h"
#include "harness/options_table.h"
#include "harness/processes.h"
#include "harness/progress.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_SECONDS 10 /* between partial files: what a crash may cost */

typedef struct running {
    ob_progress_view view;
    const char *partial; /* path; NULL: none is kept */
    time_t checked;
} running;

/* out/ortho-bench-20261124-214000.json, with -2, -3, ... where that is taken. */
static ortho_status default_out(char path[PATH_MAX])
{
    char stamp[32];
    time_t t = time(NULL);
    struct tm tm;
    if (localtime_r(&t, &tm) == NULL || strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm) == 0)
        return ortho_fail(ORTHO_E_INTERNAL, "the clock gives no date");
    snprintf(path, PATH_MAX, "out/ortho-bench-%s.json", stamp);
    for (int i = 2; access(path, F_OK) == 0; i++)
        snprintf(path, PATH_MAX, "out/ortho-bench-%s-%d.json", stamp, i);
    return ORTHO_OK;
}

static void on_checkpoint(void *ctx, const json_t *results)
{
    running *r = ctx;
    time_t t = time(NULL);
    if (r->partial == NULL || t - r->checked < CHECKPOINT_SECONDS)
        return;
    r->checked = t;
    if (ob_outcome_save(results, r->partial) != ORTHO_OK) {
        ob_log_error(r->view.log, "%s", ortho_last_message());
        r->partial = NULL; /* said once; the end will say whether the results could be saved */
    }
}

/* The progress callbacks, which expect the view, over a `running`, whose first member it is. */
static ob_progress callbacks(running *r)
{
    _Static_assert(offsetof(running, view) == 0, "a running is its view");
    ob_progress p = ob_progress_callbacks(&r->view);
    p.checkpoint = on_checkpoint;
    return p;
}

static ortho_status tell_failure(const ob_log *log, ortho_status status)
{
    if (status != ORTHO_OK)
        ob_log_error(log, "%s", ortho_last_message());
    return status;
}

/* Saves first: what was measured must not be lost to a terminal or a report that fails. Every step
 * is taken whatever became of the others; the first failure is returned. */
static ortho_status deliver(const json_t *results, const ob_options *options, const char *out,
                            const ob_log *log)
{
    bool to_stdout = strcmp(out, "-") == 0;
    ortho_status saved = tell_failure(log, ob_outcome_save(results, out));
    ortho_status printed = ORTHO_OK, reported = ORTHO_OK;
    if (!to_stdout)
        printed = tell_failure(log, ob_outcome_print(results, options));
    fflush(stdout); /* before what is said of it on stderr */
    if (!to_stdout && saved == ORTHO_OK)
        ob_log_note(log, "results: %s", out);
    if (options->report != NULL)
        reported = tell_failure(log, ob_outcome_folder(results, options->report, log));
    return saved != ORTHO_OK ? saved : printed != ORTHO_OK ? printed : reported;
}

static size_t finished_processes(const json_t *results)
{
    size_t i, count = 0;
    const json_t *process, *context = json_object_get(results, "context");
    json_array_foreach(json_object_get(context, "processes"), i, process)
    {
        const char *status = json_string_value(json_object_get(process, "status"));
        count += status != NULL && strcmp(status, "ok") == 0;
    }
    return count;
}

int ob_session_watch(const ob_options *options, const ob_log *log, const char *partial,
                     json_t **results)
{
    running r = {.view = ob_progress_open(log), .partial = partial, .checked = time(NULL)};
    ob_interrupt_catch();
    ob_progress progress = callbacks(&r);
    bool several = options->processes > 1 && !options->profile && !options->verify_only;
    int code = several ? ob_processes_run(options, &progress, results)
                       : ob_session_run(options, &progress, results);
    ob_progress_close(&r.view);
    if (*results == NULL && code != OB_EXIT_INTERRUPTED) /* nothing was run: say why */
        ob_log_error(log, "%s", ortho_last_message());
    if (code == OB_EXIT_INTERRUPTED)
        ob_log_note(log, "interrupted: these are the %s that were finished",
                    finished_processes(*results) > 0 ? "processes" : "cases");
    return code;
}

/* As one word of a shell. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++)
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            ob_print_safe(stdout, (char[]){*text, '\0'});
    putchar('\'');
}

/* Options that a case's key doesn't hold, where they aren't the usual ones. */
static void print_rest(const json_t *options)
{
    static const char *const kept[] = {"model", "alpha", "seed", "hessian", "plugin", "ortho-rows"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *text = json_string_value(json_object_get(options, kept[i]));
        const ob_option *option = ob_option_find(kept[i]);
        bool usual =
            text != NULL && option->fallback != NULL && strcmp(text, option->fallback) == 0;
        if (text != NULL && !usual) {
            printf(" --%s ", kept[i]);
            print_quoted(text);
        }
    }
}

/* Whether ncu can see anything of a case: it passed, on a GPU. */
static bool is_profiled(const json_t *row)
{
    const char *status = json_string_value(json_object_get(row, "status"));
    const char *backend = json_string_value(json_object_get(row, "backend"));
    return status != NULL && strcmp(status, "ok") == 0 && backend != NULL &&
           strcmp(backend, "cuda") == 0;
}

/* What profiles each case alone. */
static void print_commands(const json_t *results)
{
    size_t i;
    bool any = false;
    const json_t *row, *context = json_object_get(results, "context");
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        if (!is_profiled(row))
            continue;
        if (!any)
            puts("\nto profile one of them alone:");
        any = true;
        fputs("ncu --clock-control none --nvtx --nvtx-include \"ortho@profile/\" ortho-bench run "
              "--profile --case '",
              stdout);
        ob_print_safe(stdout, json_string_value(json_object_get(row, "key")));
        putchar('\'');
        print_rest(json_object_get(context, "options"));
        putchar('\n');
    }
    if (!any)
        puts("\nnothing here for nsys or ncu: no case passed on a GPU");
}

static int profile(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    json_t *results = NULL;
    int code = ob_session_watch(options, &log, NULL, &results);
    if (results == NULL)
        return code;
    ob_verdicts_print(results, options->verbose);
    print_commands(results);
    if (options->save_baseline != NULL)
        ob_log_note(&log, "--profile takes no times: no baseline is saved");
    json_decref(results);
    return code;
}

int ob_session_dry_run(const ob_options *options, const ob_log *log)
{
    const int code = ob_session_list(options, stdout);
    if (code != OB_EXIT_OK)
        ob_log_error(log, "%s", ortho_last_message());
    return code;
}

static int run(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    if (options->dry_run)
        return ob_session_dry_run(options, &log);
    if (options->profile)
        return profile(options);
    char path[PATH_MAX], partial[PATH_MAX];
    const char *out = options->out != NULL ? options->out : path;
    ortho_status status = options->out == NULL ? default_out(path) : ORTHO_OK;
    if (status == ORTHO_OK)
        status = ob_outcome_check(out);
    if (status == ORTHO_OK && options->report != NULL)
        status = ortho_make_folders(options->report);
    if (status == ORTHO_OK)
        status = ob_keep_check(options);
    json_t *results = NULL, *baseline = NULL; /* as it is now: this run may replace it */
    if (status == ORTHO_OK && options->baseline != NULL)
        status = ob_baseline_load(options->baseline, &baseline);
    if (tell_failure(&log, status) != ORTHO_OK)
        return OB_EXIT_RUNTIME;
    bool has_partial = strcmp(out, "-") != 0 &&
                       snprintf(partial, sizeof partial, "%s.partial", out) < (int)sizeof partial;
    int code = ob_session_watch(options, &log, has_partial ? partial : NULL, &results);
    if (results == NULL)
        goto end;
    status = deliver(results, options, out, &log);
    if (status == ORTHO_OK && has_partial)
        unlink(partial);
    const char *file = status == ORTHO_OK && strcmp(out, "-") != 0 ? out : NULL;
    ortho_status kept = ob_keep(results, options, file, &log);
    status = status == ORTHO_OK ? kept : status;
    if (code == OB_EXIT_OK && status != ORTHO_OK)
        code = OB_EXIT_RUNTIME;
    /* A run that failed of itself ends as it would without a baseline, and tells of the rest. */
    if (baseline != NULL && code != OB_EXIT_INTERRUPTED && code != OB_EXIT_SKIPPED) {
        int gate = ob_gate_baseline(options, baseline, results, &log);
        code = code == OB_EXIT_OK ? gate : code;
    }
end:
    json_decref(results);
    json_decref(baseline);
    return code;
}

extern const ob_command ob_command_run;
const ob_command ob_command_run = {
    .name = "run",
    .bit = OB_FOR_RUN,
    .summary = "verify and time variants on real weights, print and save the results",
    .about = "Takes the slices that --model, --layers and --proj name, splits each by every "
             "--density, verifies every variant against an fp64 reference, times them in turns, "
             "verifies again, prints a table and saves the raw samples. With no option but "
             "--variant it is a complete run on the best model at hand.",
    .examples = {{"ortho-bench --variant csr",
                  "csr and the references on the best model at hand: a complete, useful run"},
                 {"ortho-bench --variant all --model smollm2-135m --layers 0-1 --batch 1,16 "
                  "--report out/report",
                  "everything on two layers of a small Llama, with plots on disk"},
                 {"ortho-bench --op gemm --variant csr,block-csr --model "
                  "synthetic:llama-3.2-3b --proj gate --density 0.005,0.01,0.05",
                  "how two formats bear density, at the exact shapes of Llama-3.2-3B"},
                 {"ortho-bench --variant coo,csr --counters divergence,dram",
                  "how torn the warps are and what went to memory, counted by the GPU"}},
    .run = run,
};
