/*
 * annotate: the source of a variant's kernel with what its instructions did beside each line. Two
 * child processes observe each case, one that counts and one that samples (observe.h).
 */
#include "harness/annotate.h"

#include "common/error.h"
#include "harness/annotate_cases.h"
#include "harness/commands/command.h"
#include "harness/environment.h"
#include "harness/gpu.h"
#include "harness/log.h"
#include "harness/observe.h"
#include "harness/options_table.h"
#include "reports/heat.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

typedef struct annotating {
    const ob_options *options; /* of the user */
    ob_options child;          /* of the observing processes */
    ob_log log;
    ob_source_places places;
    json_t *context; /* machine, build and request, as a results document has them */
    json_t *cases;   /* of --json; NULL: text */
    int annotated;   /* cases so far */
} annotating;

/* ---- one case -------------------------------------------------------------------------------- */

static ortho_status write_heat_map(annotating *all, const ob_case *c, const ob_annotation *a,
                                   const ob_annotation_view *view)
{
    char name[128];
    const char *op = c->sieve ? "sieve" : c->pass ? "pass" : "gemm";
    snprintf(name, sizeof name, "annotate-%.80s-%s", c->variant->name, op);
    json_t *map = ob_annotation_heat_map(a, view);
    json_object_set(map, "context", all->context);
    json_object_set_new(map, "results", json_pack("[{s:s}]", "backend", "cuda"));
    ortho_status status = map != NULL ? ortho_heat_files(map, name, all->options->report)
                                      : ortho_fail(ORTHO_E_MEMORY, "no memory for a heat map");
    json_decref(map);
    if (status == ORTHO_OK)
        ob_log_note(&all->log, "heat map: %s/%s.svg, .png, .gp, .tsv", all->options->report, name);
    else if (status == ORTHO_E_UNSUPPORTED)
        ob_log_note(&all->log, "no heat map: %s", ortho_last_message());
    return status == ORTHO_E_UNSUPPORTED ? ORTHO_OK : status;
}

static ortho_status deliver(annotating *all, const ob_case *c, const ob_annotation *a,
                            const ob_annotation_view *view)
{
    ortho_status status = ORTHO_OK;
    if (all->cases != NULL) {
        if (json_array_append_new(all->cases, ob_annotation_json(a, view)) != 0)
            status = ortho_fail(ORTHO_E_MEMORY, "no memory for the sums by line");
    } else {
        if (all->annotated > 0)
            putchar('\n');
        status = ob_annotation_print(a, view, stdout);
        fflush(stdout);
    }
    if (status == ORTHO_OK && all->options->report != NULL)
        status = write_heat_map(all, c, a, view);
    all->annotated++;
    return status;
}

/* Without counts there is nothing to print; without samples there are the counts. */
static ortho_status annotate_case(annotating *all, const ob_case *c)
{
    json_t *counted = NULL, *sampled = NULL;
    char why[256] = "";
    ob_annotation a = {0};
    ob_log_note(&all->log, "%s: counting instructions, then sampling stalls", c->key);
    ortho_status status = ob_observe_case(&all->child, c->key, OB_OBSERVE_INSTRUCTIONS, &counted);
    if (status != ORTHO_OK)
        return status;
    if (ob_observe_case(&all->child, c->key, OB_OBSERVE_STALLS, &sampled) != ORTHO_OK)
        snprintf(why, sizeof why, "%s", ortho_last_message());
    ob_annotation_view view = {
        .key = c->key,
        .loop = ob_case_loop(c),
        .measured = json_object_get(json_object_get(counted, "divergence"), "measured"),
        .no_stalls = sampled == NULL ? why : NULL,
        .places = &all->places,
        .color = ob_color_wanted(all->options->color, STDOUT_FILENO),
        .width = ob_terminal_width(STDOUT_FILENO)};
    status = ob_annotation_make(json_object_get(counted, "instructions"),
                                json_object_get(sampled, "instructions"), view.loop, &a);
    if (status == ORTHO_OK)
        status = deliver(all, c, &a, &view);
    ob_annotation_clear(&a);
    json_decref(counted);
    json_decref(sampled);
    return status;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int exit_of(ortho_status status)
{
    switch (status) {
    case ORTHO_OK:
        return OB_EXIT_OK;
    case ORTHO_E_UNSUPPORTED:
        return OB_EXIT_COUNTERS;
    default:
        return OB_EXIT_RUNTIME;
    }
}

/* A case that can't be counted doesn't keep the next from it; the first failure is the exit code.
 */
static int annotate_plan(annotating *all, const ob_plan *plan)
{
    int code = OB_EXIT_OK, more, found = 0;
    for (int i = 0; i < plan->count; i++) {
        const ob_case *c = &plan->cases[i];
        if (!ob_annotate_takes(all->options, plan, i, &more))
            continue;
        found++;
        if (more > 0)
            ob_log_note(&all->log,
                        "%s stands for %d more cases: --layers, --proj, --batch, --density or "
                        "--case choose another",
                        c->key, more);
        ortho_status status =
            ob_case_loop(c) != NULL
                ? annotate_case(all, c)
                : ortho_fail(ORTHO_E_UNSUPPORTED, "the variant doesn't tell where its loop is");
        if (status == ORTHO_OK)
            continue;
        ob_log_error(&all->log, "%s: %s%s", c->key, ortho_last_message(),
                     status == ORTHO_E_UNSUPPORTED && ob_case_loop(c) != NULL
                         ? " (`ortho-bench doctor` tells what counting takes here, and how to get "
                           "it)"
                         : "");
        code = code == OB_EXIT_OK ? exit_of(status) : code;
    }
    if (found == 0) {
        ob_log_error(&all->log, "these options select no case of a variant that --variant names");
        return OB_EXIT_USAGE;
    }
    return code;
}

static ortho_status open_model(const ob_options *o, ortho_dataset **out)
{
    char spec[1024], why[512];
    if (o->model != NULL)
        return ortho_dataset_open(o->model, out);
    ortho_status status = ortho_models_choose(spec, why);
    return status == ORTHO_OK ? ortho_dataset_open(spec, out) : status;
}

static int refuse(const ob_log *log, ortho_status status)
{
    ob_log_error(log, "%s%s", ortho_last_message(),
                 status == ORTHO_E_UNSUPPORTED
                     ? ": annotate counts a GPU's instructions (`ortho-bench doctor` tells what is "
                       "missing here)"
                     : "");
    return status == ORTHO_E_UNSUPPORTED                               ? OB_EXIT_SKIPPED
           : status == ORTHO_E_NOT_FOUND || status == ORTHO_E_ARGUMENT ? OB_EXIT_USAGE
                                                                       : OB_EXIT_RUNTIME;
}

static int print_json(const ob_log *log, json_t *context, json_t *cases)
{
    json_t *document = json_pack("{s:s, s:O, s:O}", "schema", "ortho-bench-annotate/1", "context",
                                 context, "cases", cases);
    int failed = document == NULL || json_dumpf(document, stdout, JSON_INDENT(1)) != 0;
    json_decref(document);
    if (failed && !ferror(stdout)) { /* a stream that fails is main's to tell */
        ob_log_error(log, "no memory for the sums by line");
        return OB_EXIT_RUNTIME;
    }
    putchar('\n');
    return OB_EXIT_OK;
}

static ortho_status open_context(annotating *all, const ortho_dataset *dataset)
{
    ob_timer timer;
    ortho_status status = ob_timer_calibrate(&timer);
    if (status != ORTHO_OK)
        return status;
    all->context = ob_environment_context(&all->child, ortho_dataset_facts(dataset), NULL, &timer);
    if (all->context == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the context");
    json_object_set_new(all->context, "gpu", ob_gpu_context(0, NULL, 0));
    return ORTHO_OK;
}

static int annotate_dataset(annotating *all, const ortho_dataset *dataset)
{
    ob_plan plan = {0};
    ortho_status status = ob_plan_make(&all->child, dataset, &plan);
    if (status == ORTHO_OK)
        status = open_context(all, dataset);
    if (status != ORTHO_OK) {
        ob_plan_free(&plan);
        return refuse(&all->log, status);
    }
    ob_source_places_here(&all->places);
    all->cases = all->options->json ? json_array() : NULL;
    int code = annotate_plan(all, &plan);
    if (all->cases != NULL && all->annotated > 0) {
        int printed = print_json(&all->log, all->context, all->cases);
        code = code == OB_EXIT_OK ? printed : code;
    }
    json_decref(all->cases);
    json_decref(all->context);
    ob_plan_free(&plan);
    return code;
}

static int annotate(const ob_options *options)
{
    annotating all = {.options = options, .child = *options, .log = ob_log_open(options)};
    ortho_dataset *dataset = NULL;
    if (options->variants.count == 0 && options->plugins.count == 0) {
        ob_log_error(&all.log, "whose source? --variant NAME, of those that `ortho-bench list` "
                               "shows for cuda");
        return OB_EXIT_USAGE;
    }
    if (options->backend == OB_BACKEND_CPU) {
        ob_log_error(&all.log, "annotate counts a GPU's instructions, and the backend is cpu: "
                               "--backend cuda");
        return OB_EXIT_SKIPPED;
    }
    all.child.backend = OB_BACKEND_CUDA; /* auto must not fall back */
    all.child.report = NULL;             /* the children make none */
    ortho_status status = open_model(options, &dataset);
    int code = status == ORTHO_OK ? annotate_dataset(&all, dataset) : refuse(&all.log, status);
    if (dataset != NULL)
        ortho_dataset_close(dataset);
    return code;
}

extern const ob_command ob_command_annotate;
const ob_command ob_command_annotate = {
    .name = "annotate",
    .bit = OB_FOR_ANNOTATE,
    .summary = "print a kernel's source with lanes, instructions and stalls beside each line",
    .about = "Counts every machine instruction of the kernel that has the variant's Ortho loop, "
             "samples where its warps stand still, and prints the source with, beside each line: "
             "the warp instructions that were executed, how many of the 32 lanes were active on "
             "average, the line's share of the stall samples, and the branches that tore a warp. "
             "Of each operation it takes the first case that the options select. It needs a GPU "
             "(else it exits 77) and the permission to count on it (else 6).",
    .examples =
        {{"ortho-bench annotate --variant coo --op gemm",
          "where the lanes of coo's loop are lost, line by line"},
         {"ortho-bench annotate --variant csr --proj down --density 0.05 --report out/lines",
          "one projection at 5 %, with a heat map of its lines on disk"},
         {"ortho-bench annotate --variant coo --json", "the sums by line for a script"}},
    .run = annotate,
};
