/* list: what this build and this machine have. */
#include "common/error.h"
#include "datasets/datasets.h"
#include "harness/commands/command.h"
#include "harness/commands/list_baselines.h"
#include "harness/commands/list_counters.h"
#include "harness/commands/run.h"
#include "harness/log.h"
#include "harness/options_table.h"
#include "harness/session.h"
#include "reports/compare/compare.h"
#include "reports/reports.h"
#include "variants/table.h"

static const char *role_name(ortho_role role)
{
    static const char *const names[] = {[ORTHO_COMPETITOR] = "competitor",
                                        [ORTHO_BASELINE] = "baseline",
                                        [ORTHO_CEILING] = "ceiling",
                                        [ORTHO_HARNESS] = "harness",
                                        [ORTHO_ORACLE] = "oracle"};
    return (unsigned)role < sizeof names / sizeof *names ? names[role] : "?";
}

static const char *ops_name(const ortho_variant *v)
{
    if (v->sieve != NULL && v->gemm != NULL)
        return "sieve,gemm";
    return v->sieve != NULL ? "sieve" : v->gemm != NULL ? "gemm" : "none";
}

static void list_variants(FILE *out)
{
    fprintf(out, "%-16s %-8s %-11s %-11s %s\n", "variant", "backend", "role", "ops", "summary");
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
        fprintf(out, "%-16s %-8s %-11s %-11s %s\n", (*v)->name, ob_backend_name((*v)->backend),
                role_name((*v)->role), ops_name(*v), (*v)->summary);
}

static void list_writers(const char *title, const ortho_writer *const *writers, FILE *out)
{
    fprintf(out, "%-16s %-18s %s\n", title, "extension", "summary");
    for (const ortho_writer *const *w = writers; *w != NULL; w++)
        fprintf(out, "%-16s %-18s %s\n", (*w)->name, (*w)->extension ? (*w)->extension : "-",
                (*w)->summary);
}

static void list_formats(FILE *out)
{
    list_writers("format", ortho_writers, out);
    fputc('\n', out);
    list_writers("of a comparison", ortho_comparison_writers, out);
    fprintf(out, "\n%-16s %s\n", "plot", "the question that it answers");
    for (const ortho_plot *const *p = ortho_plots; *p != NULL; p++)
        fprintf(out, "%-16s %s\n", (*p)->name, (*p)->summary);
}

static void print_model(void *ctx, const ortho_known_model *model)
{
    FILE *out = ctx;
    fprintf(out, "%-16s %-8s %s\n", model->name, model->at_hand ? "at hand" : "absent",
            model->summary);
    fprintf(out, "%-16s %-8s %s: ", "", "", model->at_hand ? "where" : "to get it");
    ob_print_safe(out, model->where);
    fputc('\n', out);
    if (model->licence != NULL && model->licence[0] != '\0')
        fprintf(out, "%-16s %-8s licence: %s\n", "", "", model->licence);
}

static int list_models(FILE *out, const ob_log *log)
{
    fprintf(out, "%-16s %-8s %s\n", "model", "state", "summary");
    if (ortho_models_each(print_model, out) == ORTHO_OK)
        return OB_EXIT_OK;
    ob_log_error(log, "%s", ortho_last_message());
    return OB_EXIT_RUNTIME;
}

static int list(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    bool nothing_asked = !options->list_models && !options->list_formats &&
                         !options->list_counters && !options->list_cases &&
                         !options->list_baselines;
    int code = OB_EXIT_OK;
    if (options->list_variants || nothing_asked)
        list_variants(stdout);
    if (options->list_models)
        code = list_models(stdout, &log);
    if (options->list_formats && code == OB_EXIT_OK)
        list_formats(stdout);
    if (options->list_counters && code == OB_EXIT_OK)
        code = ob_list_counters(stdout, &log);
    if (options->list_cases && code == OB_EXIT_OK)
        code = ob_session_dry_run(options, &log);
    if (options->list_baselines && code == OB_EXIT_OK)
        code = ob_list_baselines(stdout, &log);
    return code;
}

extern const ob_command ob_command_list;
const ob_command ob_command_list = {
    .name = "list",
    .bit = OB_FOR_LIST,
    .summary = "name the variants, models, formats, counters, baselines, or the cases of a run",
    .about = "Names the variants of this build; with --models the known models and which are at "
             "hand, with --formats the writers and plots, with --counters the groups of hardware "
             "counters, with --cases the cases that a run with the same options would do, with "
             "--baselines the results that `run --save-baseline` kept.",
    .examples = {{"ortho-bench list", "the variants, their backends and operations"},
                 {"ortho-bench list --models", "which weights are at hand, how to get others"},
                 {"ortho-bench list --counters", "what the GPU can count, and how to read it"},
                 {"ortho-bench list --cases --variant csr --layers 0-1", "keys for --case"}},
    .run = list,
};
