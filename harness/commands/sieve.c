/* sieve: a whole checkpoint into an artifact. The work is libortho's; this watches it. */
#define _GNU_SOURCE
#include "common/error.h"
#include "harness/commands/command.h"
#include "harness/commands/interrupt.h"
#include "harness/commands/sieve_print.h"
#include "harness/options_table.h"
#include "harness/session.h"
#include "harness/transfer_progress.h"

#include <inttypes.h>
#include <string.h>

/* What the progress callback needs. */
typedef struct watching {
    const ob_log *log;
    ob_transfer_view view;
    char phase[32];
    int64_t units_done, units_total;
} watching;

static int on_progress(void *ctx, const ortho_progress *p)
{
    watching *w = ctx;
    char label[320];
    if (strcmp(w->phase, p->phase) != 0) { /* the rate of one says nothing of the next */
        ob_transfer_close(&w->view);
        w->view = ob_transfer_open(w->log);
        snprintf(w->phase, sizeof w->phase, "%s", p->phase);
        ob_log_detail(w->log, "%s", p->phase);
    }
    w->units_done = p->units_done;
    w->units_total = p->units_total;
    snprintf(label, sizeof label, "%s %s", p->phase, p->tensor);
    ob_transfer_show(&w->view, p->bytes_done, p->bytes_total, label);
    return ob_session_interrupted();
}

/* ---- what is asked --------------------------------------------------------------------------- */

/* "0,1,7", as the library takes it; NULL: all. */
static const char *join_layers(const ob_numbers *list, char text[OB_LIST_MAX * 8])
{
    int used = 0;
    for (int i = 0; i < list->count; i++)
        used += snprintf(text + used, (size_t)(OB_LIST_MAX * 8 - used), "%s%d", i ? "," : "",
                         (int)list->item[i]);
    return list->count > 0 ? text : NULL;
}

static const char *join_projections(const ob_words *list, char text[OB_LIST_MAX * 8])
{
    int used = 0;
    for (int i = 0; i < list->count; i++)
        used += snprintf(text + used, (size_t)(OB_LIST_MAX * 8 - used), "%s%s", i ? "," : "",
                         list->item[i]);
    return list->count > 0 ? text : NULL;
}

static int32_t device_of(ob_backend_choice backend)
{
    return backend == OB_BACKEND_CPU    ? ORTHO_DEVICE_CPU
           : backend == OB_BACKEND_CUDA ? ORTHO_DEVICE_CUDA
                                        : ORTHO_DEVICE_AUTO;
}

static ortho_status sieve_model(const char *model, watching *w, ob_sieve_outcome *outcome)
{
    const ob_options *o = outcome->options;
    char layers[OB_LIST_MAX * 8], projections[OB_LIST_MAX * 8];
    ortho_sieve_options sieve = {.size = sizeof sieve,
                                 .density = o->sieve_density,
                                 .rule = o->rule,
                                 .group = o->group,
                                 .threads = o->threads,
                                 .device = device_of(o->backend)};
    ortho_checkpoint_options options = {.size = sizeof options,
                                        .sieve = &sieve,
                                        .layers = join_layers(&o->layers, layers),
                                        .projections =
                                            join_projections(&o->projections, projections),
                                        .hessian = o->hessian,
                                        .memory_budget = o->memory_budget,
                                        .resume = o->resume,
                                        .measure = o->measure,
                                        .progress = on_progress,
                                        .progress_ctx = w};
    outcome->report.size = sizeof outcome->report;
    ob_interrupt_catch();
    ortho_status status = ortho_checkpoint_sieve(model, o->out, &options, &outcome->report);
    ob_transfer_close(&w->view);
    outcome->units_total = w->units_total;
    return status;
}

/* ---- before and after ------------------------------------------------------------------------ */

/* The operand, else the best model at hand; and what it is. */
static ortho_status find_model(ob_sieve_outcome *o, char spec[1024], const ob_log *log)
{
    char why[512] = "";
    ortho_dataset *dataset;
    ortho_status status = ORTHO_OK;
    if (o->options->operand_count == 0)
        status = ortho_models_choose(spec, why);
    else if (snprintf(spec, 1024, "%s", o->options->operands[0]) >= 1024)
        status = ortho_fail(ORTHO_E_ARGUMENT, "the model's name is too long");
    if (status == ORTHO_OK)
        status = ortho_dataset_open(spec, &dataset);
    if (status != ORTHO_OK)
        return status;
    o->facts = *ortho_dataset_facts(dataset);
    ortho_dataset_close(dataset);
    if (why[0] != '\0')
        ob_log_note(log, "%s", why);
    return ORTHO_OK;
}

/* How large the sieved layers are, as anyone finds them who opens the artifact: that it opens is
 * the last check. */
static ortho_status weigh(ob_sieve_outcome *o)
{
    ortho_artifact *artifact;
    ortho_status status = ortho_artifact_open(o->options->out, &artifact);
    if (status != ORTHO_OK)
        return status;
    int64_t count = ortho_artifact_count(artifact);
    for (int64_t i = 0; i < count && status == ORTHO_OK; i++) {
        ortho_artifact_info info = {.size = sizeof info};
        status = ortho_artifact_inspect(artifact, i, &info);
        if (status == ORTHO_OK) {
            o->weights += info.n * info.k;
            o->layer_bytes += info.bytes;
        }
    }
    ortho_artifact_close(artifact);
    if (status == ORTHO_OK)
        o->layers = count;
    return status;
}

/* Says what a run that didn't end well leaves, and how to go on. */
static void tell_kept(const ob_sieve_outcome *o, const ob_log *log)
{
    const ortho_checkpoint_report *r = &o->report;
    int64_t kept = r->layers_sieved + r->pieces_copied + r->units_resumed;
    if (o->units_total > 0 && r->io[0] != '\0')
        ob_log_note(log,
                    "%" PRId64 " of %" PRId64
                    " layers and pieces are kept in %s: the same command with --resume goes on",
                    kept, o->units_total, o->options->out);
}

static ortho_status tell_outcome(const ob_sieve_outcome *o)
{
    if (o->options->json)
        return ob_sieve_print_json(o);
    if (!o->interrupted)
        ob_sieve_print(o);
    return ORTHO_OK;
}

static int exit_of(ortho_status status)
{
    return status == ORTHO_OK            ? OB_EXIT_OK
           : status == ORTHO_E_CANCELLED ? OB_EXIT_INTERRUPTED
           : status == ORTHO_E_ARGUMENT  ? OB_EXIT_USAGE
                                         : OB_EXIT_RUNTIME;
}

static int fail(const ob_log *log, ortho_status status)
{
    ob_log_error(log, "%s", ortho_last_message());
    return exit_of(status);
}

static int sieve(const ob_options *options)
{
    char model[1024];
    ob_log log = ob_log_open(options);
    watching w = {.log = &log, .view = ob_transfer_open(&log)};
    ob_sieve_outcome outcome = {.options = options};
    if (options->out == NULL) {
        ob_log_error(&log, "`sieve` needs -o DIR: the folder of the artifact");
        return OB_EXIT_USAGE;
    }
    ortho_status status = find_model(&outcome, model, &log);
    if (status != ORTHO_OK)
        return fail(&log, status);
    status = sieve_model(model, &w, &outcome);
    if (status == ORTHO_OK)
        status = weigh(&outcome);
    int code = status == ORTHO_OK ? OB_EXIT_OK : fail(&log, status);
    outcome.interrupted = status == ORTHO_E_CANCELLED;
    if (status != ORTHO_OK)
        tell_kept(&outcome, &log);
    if ((status == ORTHO_OK || outcome.interrupted) && tell_outcome(&outcome) != ORTHO_OK)
        return fail(&log, ORTHO_E_MEMORY);
    return code;
}

extern const ob_command ob_command_sieve;
const ob_command ob_command_sieve = {
    .name = "sieve",
    .bit = OB_FOR_SIEVE,
    .operands = "[MODEL]",
    .operands_max = 1,
    .summary = "stream a whole checkpoint through the sieve into an artifact",
    .about =
        "Splits the linear layers of a model into INT4 Base and sparse Ortho and copies everything "
        "else byte for byte into a folder of safetensors shards, with the config and tokenizer "
        "files beside it; a few layers are in memory at a time, however large the model. MODEL is "
        "what --model of `run` takes; without it the best model at hand is taken. A file appears "
        "under its name only whole: after Ctrl-C, a crash or a full disk the same command with "
        "--resume goes on, and the bytes are those of a run that nothing disturbed.",
    .examples = {{"ortho-bench sieve smollm2-135m -o smollm2-sieved", "a known model"},
                 {"ortho-bench sieve ./Llama-3.2-3B -o llama-sieved --density 0.5% --measure",
                  "a folder of shards, and what bounds the speed here"},
                 {"ortho-bench sieve ./Llama-3.2-3B -o llama-sieved --density 0.5% --resume",
                  "continue it after an interruption"},
                 {"ortho-bench sieve random:8192x3072 -o out/one --json",
                  "one made matrix, the summary for a script"}},
    .run = sieve,
};
