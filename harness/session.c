/*
 * The session: plan, calibrate, then slice by slice: read it, and for each density sieve it, split
 * it, multiply with it; one group of interleaved cases at a time. Every path ends in one document.
 */
#include "harness/session.h"

#include "common/account.h"
#include "common/error.h"
#include "harness/divergence.h"
#include "harness/environment.h"
#include "harness/gpu.h"
#include "harness/nvtx.h"
#include "harness/observe.h"
#include "harness/session_observe.h"
#include "harness/session_pass.h"
#include "kernels/split.h"
#include "variants/table.h"

#include <jansson.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The one mutable variable of the session at file scope: a signal handler has nothing else to
 * write to. */
static atomic_int interrupted;

void ob_session_interrupt(void)
{
    atomic_store(&interrupted, 1);
}

bool ob_session_interrupted(void)
{
    return atomic_load(&interrupted) != 0;
}

/* ---- opening
 * ------------------------------------------------------------------------------------- */

/* A build whose loops count what they do is for checking: its times would say nothing. */
static ortho_status refuse_timing(const ob_options *o)
{
    if (!ob_divergence_counts() || o->verify_only)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_ARGUMENT, "this build counts lanes and times nothing: `ortho-bench "
                                        "verify`, or configure one with -DORTHO_COUNT_LANES=OFF");
}

static ortho_status open_model(const ob_options *o, ortho_dataset **out, char why[512])
{
    char spec[1024];
    why[0] = '\0';
    if (o->model != NULL)
        return ortho_dataset_open(o->model, out);
    ortho_status status = ortho_models_choose(spec, why);
    return status == ORTHO_OK ? ortho_dataset_open(spec, out) : status;
}

/* For the rotating copies of a group: of a GPU's memory half; of the machine's a quarter, 8 GiB at
 * most. */
static size_t budget_of(const ob_backend *backend)
{
    size_t used = 0, device = 0;
    backend->device_memory(&used, &device);
    if (device > 0)
        return (device - used) / 2;
    size_t quarter = ob_environment_ram() / 4, most = (size_t)8 << 30;
    return quarter == 0 ? (size_t)1 << 30 : quarter < most ? quarter : most;
}

/* The queue, and NVML beside it, which saw the device before and after the context was there. */
static ortho_status open_device(ob_session *s, size_t *context_bytes)
{
    size_t before = 0, after = 0, total;
    bool cuda = s->backend->kind == ORTHO_CUDA;
    if (cuda && ob_gpu_nvml(0, &s->nvml) != ORTHO_OK)
        ob_say_note(s, "no clocks, power or temperature: %s", ortho_last_message());
    bool told = s->nvml != NULL && ob_nvml_memory(s->nvml, &before, &total);
    ortho_status status = ob_observation_prepare(s->options);
    if (status == ORTHO_OK)
        status = s->backend->open(&s->queue);
    if (status == ORTHO_OK && told && ob_nvml_memory(s->nvml, &after, &total) && after > before)
        *context_bytes = after - before;
    if (status == ORTHO_OK && s->options->observe != OB_OBSERVE_NOTHING)
        status = ob_observation_open(s->options, &s->observation);
    return status;
}

static ortho_status open_session(ob_session *s, const ob_options *o, const ob_progress *progress,
                                 char why[512])
{
    *s = (ob_session){.options = o, .progress = progress, .interrupt = &interrupted};
    ortho_status status = refuse_timing(o);
    if (status == ORTHO_OK)
        status = open_model(o, &s->dataset, why);
    if (status == ORTHO_OK)
        status = ob_plan_make(o, s->dataset, &s->plan);
    if (status == ORTHO_OK)
        status = ob_timer_calibrate(&s->timer);
    if (status != ORTHO_OK)
        return status;
    s->facts = ortho_dataset_facts(s->dataset);
    s->backend = ob_backend_find(s->plan.backend);
    s->dtype = s->plan.dtype;
    size_t context_bytes = 0;
    status = open_device(s, &context_bytes);
    if (status != ORTHO_OK)
        return status;
    s->threads = o->threads > 0 ? o->threads : omp_get_max_threads();
    s->cache_bytes = s->backend->cache_bytes();
    s->memory_budget = budget_of(s->backend);
    s->rows = json_array();
    s->document =
        json_pack("{s:s, s:o, s:O}", "schema", "ortho-bench/1", "context",
                  ob_environment_context(o, s->facts, why[0] != '\0' ? why : NULL, &s->timer),
                  "results", s->rows);
    if (s->document == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the results");
    if (ob_divergence_counts())
        json_object_set_new(json_object_get(s->document, "context"), "instrumented", json_true());
    if (s->backend->kind == ORTHO_CUDA)
        json_object_set_new(json_object_get(s->document, "context"), "gpu",
                            ob_gpu_context(0, s->nvml, context_bytes));
    if (s->observation != NULL)
        json_object_set_new(json_object_get(s->document, "context"), "cupti",
                            ob_observation_about(s->observation));
    return ORTHO_OK;
}

static void close_session(ob_session *s)
{
    if (s->profiling)
        s->backend->profile(false);
    ob_observation_close(s->observation);
    if (s->scratch != NULL)
        s->backend->free(s->scratch, s->backend->space);
    if (s->backend != NULL)
        s->backend->close(s->queue);
    ob_nvml_close(s->nvml);
    ob_plan_free(&s->plan);
    if (s->dataset != NULL)
        ortho_dataset_close(s->dataset);
    json_decref(s->rows);
    json_decref(s->document);
}

/* ---- running
 * ------------------------------------------------------------------------------------- */

/* Cases of one group starting at `first`. */
static int group_length(const ob_plan *plan, int first)
{
    int end = first + 1;
    while (end < plan->count && plan->cases[end].group_number == plan->cases[first].group_number)
        end++;
    return end - first;
}

static int make_blob(const ob_session *s, const ob_work *work, const ortho_split *split)
{
    if (s->options->verify_only || s->options->ways || s->backend->space == ORTHO_DEVICE)
        return -1; /* what the operating system sees of a GPU's work says nothing of it */
    int blob = ob_memory_blob(&work->w, work->hessian, split);
    if (blob < 0)
        ob_say_note(s, "peaks of resident memory are left out: %s", ortho_last_message());
    return blob;
}

/* The GEMM groups of one density, from plan index `first` on: they share a split. */
static ortho_status run_gemms(ob_session *s, const ob_work *work, int first, int *next)
{
    const ob_plan *plan = &s->plan;
    const ob_case *head = &plan->cases[first];
    ortho_account account = {0};
    ortho_services services = ortho_account_services(&account, s->threads);
    ortho_split split;
    ortho_status status = ob_work_split(s, work, head, &services, &split);
    if (status != ORTHO_OK)
        return status;
    int blob = make_blob(s, work, &split), i = first;
    while (status == ORTHO_OK && i < plan->count && !plan->cases[i].sieve &&
           plan->cases[i].slice == head->slice && plan->cases[i].density == head->density &&
           !ob_session_interrupted()) {
        int length = group_length(plan, i);
        status = ob_gemm_group(s, work, &split, blob, &plan->cases[i], length);
        i += length;
    }
    if (blob >= 0)
        close(blob);
    ortho_split_free(&split, &services);
    *next = i;
    return status;
}

static ortho_status run_slice(ob_session *s, int first, int *next)
{
    const ob_plan *plan = &s->plan;
    const ortho_slice *slice = plan->cases[first].slice;
    ob_work work;
    ob_range_shape shape = {.n = slice->n, .k = slice->k};
    ortho_status status = ob_work_open(s, slice, &work);
    if (status != ORTHO_OK)
        return status;
    ob_nvtx_push(OB_RANGE_SLICE, slice->tensor->name, &shape);
    int i = first;
    while (status == ORTHO_OK && i < plan->count && plan->cases[i].slice == slice &&
           !ob_session_interrupted()) {
        if (!plan->cases[i].sieve) {
            status = run_gemms(s, &work, i, &i);
            continue;
        }
        int length = group_length(plan, i), blob = make_blob(s, &work, NULL);
        status = ob_sieve_group(s, &work, blob, &plan->cases[i], length);
        if (blob >= 0)
            close(blob);
        i += length;
    }
    ob_nvtx_pop();
    ob_work_close(&work);
    *next = i;
    return status;
}

static ortho_status run_pass(ob_session *s, int first, int *next)
{
    int length = group_length(&s->plan, first);
    *next = first + length;
    return ob_pass_group(s, &s->plan.cases[first], length);
}

static ortho_status run_plan(ob_session *s)
{
    ortho_status status = ORTHO_OK;
    if (s->options->l2 == OB_L2_COLD && ob_session_times(s))
        status = ob_ceilings_calibrate(s);
    for (int i = 0; status == ORTHO_OK && i < s->plan.count && !ob_session_interrupted();)
        status = s->plan.cases[i].pass ? run_pass(s, i, &i) : run_slice(s, i, &i);
    return status;
}

/* ---- ending
 * -------------------------------------------------------------------------------------- */

static void finish_context(ob_session *s)
{
    json_t *context = json_object_get(s->document, "context"), *ceilings = json_object();
    if (s->read > 0)
        json_object_set_new(ceilings, "read_gbps", json_real(s->read));
    if (s->copy > 0)
        json_object_set_new(ceilings, "copy_gbps", json_real(s->copy));
    if (s->tensor > 0)
        json_object_set_new(ceilings, "tensor_tflops", json_real(s->tensor * 1e-3));
    if (json_object_size(ceilings) > 0)
        json_object_set(context, "ceilings", ceilings);
    json_decref(ceilings);
    json_object_set_new(context, "interrupted", json_boolean(ob_session_interrupted()));
    size_t rss = ob_environment_max_rss();
    if (rss > 0)
        json_object_set_new(context, "process",
                            json_pack("{s:I}", "max_rss_bytes", (json_int_t)rss));
}

static int exit_of_error(ortho_status status)
{
    switch (status) {
    case ORTHO_E_ARGUMENT:
        return OB_EXIT_USAGE;
    case ORTHO_E_CANCELLED:
        return OB_EXIT_INTERRUPTED;
    default:
        return OB_EXIT_RUNTIME;
    }
}

static int exit_of_session(const ob_session *s, ortho_status status)
{
    if (s->wrong > 0)
        return OB_EXIT_WRONG;
    if (ob_session_interrupted())
        return OB_EXIT_INTERRUPTED;
    if (status != ORTHO_OK)
        return exit_of_error(status);
    return s->ok + s->ambiguous == 0 ? OB_EXIT_SKIPPED : OB_EXIT_OK;
}

/* What runs beside us is measured with us. */
static void warn_of_load(const ob_session *s)
{
    double load;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (ob_session_times(s) && getloadavg(&load, 1) == 1 && load > 0.5 * (double)processors)
        ob_say_note(s, "the machine is busy (load %.1f on %ld processors): intervals will be wide",
                    load, processors);
}

int ob_session_run(const ob_options *options, const ob_progress *progress, json_t **results)
{
    char why[512];
    ob_session s;
    atomic_store(&interrupted, 0);
    ortho_status status = open_session(&s, options, progress, why);
    if (status != ORTHO_OK) {
        /* A backend that this machine hasn't got is a skip. */
        int code = status == ORTHO_E_UNSUPPORTED ? OB_EXIT_SKIPPED
                   : status == ORTHO_E_NOT_FOUND ? OB_EXIT_USAGE
                                                 : exit_of_error(status);
        close_session(&s);
        return code;
    }
    if (why[0] != '\0')
        ob_say_note(&s, "%s", why);
    if (s.plan.backend_note[0] != '\0')
        ob_say_note(&s, "%s", s.plan.backend_note);
    warn_of_load(&s);
    if (progress != NULL && progress->plan != NULL)
        progress->plan(progress->ctx, s.plan.count);
    status = run_plan(&s);
    if (status != ORTHO_OK && status != ORTHO_E_CANCELLED && json_array_size(s.rows) > 0)
        ob_say_note(&s, "%s", ortho_last_message()); /* without a row the caller says it */
    if (status == ORTHO_OK)
        status = ob_observation_save(&s);
    finish_context(&s);
    int code = exit_of_session(&s, status);
    if (status == ORTHO_OK && ob_session_times(&s) && !ob_session_interrupted() &&
        !ob_observe_run(options, progress, s.document) && code == OB_EXIT_OK)
        code = OB_EXIT_COUNTERS;
    if (json_array_size(s.rows) > 0)
        *results = json_incref(s.document);
    close_session(&s);
    return code;
}

/* ---- listing
 * ------------------------------------------------------------------------------------- */

/* Whether a variant would skip this case, in its own words. */
static bool would_skip(const ob_options *o, const ob_case *c, const ortho_services *services)
{
    if (c->pass) /* each linear is asked when its turn comes */
        return ortho_variant_takes(c->variant, c->activations) == ORTHO_E_UNSUPPORTED ||
               ob_chain_supported(c) == ORTHO_E_UNSUPPORTED;
    if (c->sieve) {
        ortho_matrix w = {.rows = c->slice->n,
                          .cols = c->slice->k,
                          .stride = c->slice->k,
                          .dtype = ortho_dataset_read_dtype(c->slice)};
        ortho_sieve_problem p = {
            .w = &w, .density = c->density, .nnz = c->nnz, .rule = o->rule, .group = c->group};
        return c->variant->sieve->supports != NULL &&
               c->variant->sieve->supports(&p, services) == ORTHO_E_UNSUPPORTED;
    }
    ortho_gemm_problem p = {.n = c->slice->n,
                            .k = c->slice->k,
                            .m = c->m,
                            .nnz = c->nnz,
                            .group = o->rule == ORTHO_RULE_LEGACY ? c->slice->k : c->group,
                            .dtype = c->dtype,
                            .activations = c->activations};
    return ortho_variant_supports(c->variant, &p, services) == ORTHO_E_UNSUPPORTED;
}

int ob_session_list(const ob_options *options, FILE *out)
{
    char why[512];
    ortho_dataset *dataset = NULL;
    ob_plan plan = {0};
    ortho_status status = open_model(options, &dataset, why);
    if (status == ORTHO_OK)
        status = ob_plan_make(options, dataset, &plan);
    ortho_services services = ortho_services_default();
    for (int i = 0; status == ORTHO_OK && i < plan.count; i++) {
        bool skip = would_skip(options, &plan.cases[i], &services);
        fprintf(out, "%s%s%s\n", plan.cases[i].key, skip ? "  # skipped: " : "",
                skip ? ortho_last_message() : "");
    }
    ob_plan_free(&plan);
    if (dataset != NULL)
        ortho_dataset_close(dataset);
    return status == ORTHO_OK              ? OB_EXIT_OK
           : status == ORTHO_E_UNSUPPORTED ? OB_EXIT_SKIPPED
           : status == ORTHO_E_NOT_FOUND   ? OB_EXIT_USAGE
                                           : exit_of_error(status);
}
