/* checkpoint.c: ortho_checkpoint_sieve: plan, target, stream, and what to tell of them. */
#define _GNU_SOURCE
#include "common/clock.h"
#include "common/error.h"
#include "lib/ceilings.h"
#include "lib/options.h"
#include "lib/verify.h"

#include <stdio.h>

#define DEFAULT_BUDGET (256ull << 20)

static const ortho_form options_form = {
    .name = "ortho_checkpoint_options",
    .least = sizeof(ortho_checkpoint_options),
    .bytes = sizeof(ortho_checkpoint_options),
};
static const ortho_form report_form = {
    .name = "ortho_checkpoint_report",
    .least = sizeof(ortho_checkpoint_report),
    .bytes = sizeof(ortho_checkpoint_report),
};

/* One call. */
typedef struct run {
    ortho_checkpoint_options options;
    const ortho_siever_ops *ops;
    ortho_plan *plan;
    ortho_target target;
    ortho_stream stream;
    ortho_rss rss;
    ortho_ceilings ceilings;
    ortho_checkpoint_report report;
    double began, sieving; /* seconds, monotonic; when the stream began */
} run;

/* ---- progress -------------------------------------------------------------------------------- */

static int tell(const run *r, const char *phase, const ortho_stream *s)
{
    ortho_progress p = {
        .size = sizeof p, .phase = phase, .tensor = "", .seconds = ortho_seconds() - r->began};
    if (r->options.progress == NULL)
        return 0;
    p.bytes_total = r->plan->from_bytes;
    p.units_total = r->plan->unit_count;
    if (s != NULL) {
        p.bytes_done = s->bytes_done;
        p.bytes_resumed = s->bytes_resumed;
        p.units_done = s->units_done;
        if (s->last_unit >= 0)
            p.tensor = ortho_plan_unit_name(r->plan, &r->plan->units[s->last_unit]);
    }
    return r->options.progress(r->options.progress_ctx, &p);
}

/* A phase in which nothing is told: its beginning may be refused all the same. */
static ortho_status begin_phase(const run *r, const char *phase, const ortho_stream *s)
{
    return tell(r, phase, s) == 0
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_CANCELLED,
                            "stopped: what is finished is kept, and --resume goes on");
}

static int tick_stream(void *ctx, const ortho_stream *s)
{
    return tell(ctx, "sieving", s);
}

static int tick_check(void *ctx, uint64_t bytes)
{
    (void)bytes;
    return tell(ctx, "checking", NULL);
}

/* ---- the run --------------------------------------------------------------------------------- */

static ortho_status choose_device(run *r, int32_t device)
{
    if (device == ORTHO_DEVICE_CPU) {
        r->ops = &ortho_siever_cpu;
        return ORTHO_OK;
    }
    r->ops = ortho_siever_cuda();
    if (r->ops == NULL && device == ORTHO_DEVICE_CUDA)
        return ORTHO_E_UNSUPPORTED; /* said why */
    if (r->ops == NULL)
        r->ops = &ortho_siever_cpu;
    return ORTHO_OK;
}

static ortho_status stream_all(run *r)
{
    ortho_status status = ORTHO_OK;
    if (r->options.resume)
        status = ortho_target_verify(&r->target, tick_check, r);
    if (status == ORTHO_OK && r->options.measure)
        status = begin_phase(r, "measuring", NULL);
    if (status == ORTHO_OK && r->options.measure)
        status = ortho_ceilings_measure(&r->stream, &r->target, &r->ceilings);
    r->sieving = ortho_seconds();
    if (status == ORTHO_OK)
        status = ortho_stream_run(&r->stream, &r->target, tick_stream, r);
    if (status == ORTHO_OK)
        status = begin_phase(r, "finishing", &r->stream);
    return status == ORTHO_OK ? ortho_target_finish(&r->target) : status;
}

static void report_stream(run *r)
{
    ortho_checkpoint_report *o = &r->report;
    const ortho_stream *s = &r->stream;
    o->layers_sieved = s->layers_done;
    o->pieces_copied = s->copies_done;
    o->units_resumed = s->units_done - s->layers_done - s->copies_done;
    o->bytes_read = s->bytes_read;
    o->bytes_written = s->bytes_written;
    o->bytes_sieved = s->bytes_sieved;
    o->seconds = ortho_seconds() - r->sieving;
    o->device = r->ops->device;
    snprintf(o->io, sizeof o->io, "%s", ortho_io_engine_name(s->io));
    o->slots = s->held;
    o->buffer_bytes = s->buffer_bytes;
    r->ops->peaks(s->siever, &o->device_peak_bytes, &o->device_memory_bytes);
    o->read_rate = r->ceilings.read_rate;
    o->copy_rate = r->ceilings.copy_rate;
    o->write_rate = r->ceilings.write_rate;
    o->both_rate = r->ceilings.both_rate;
    o->sieve_rate = r->ceilings.sieve_rate;
    o->floor_seconds = ortho_ceilings_floor(&r->ceilings, s);
}

static uint64_t budget_of(const run *r)
{
    return r->options.memory_budget != 0 ? r->options.memory_budget : DEFAULT_BUDGET;
}

static ortho_status sieve_planned(run *r)
{
    r->stream.rss = &r->rss;
    ortho_status status = ortho_stream_open(&r->stream, r->plan, r->ops, budget_of(r));
    if (status != ORTHO_OK)
        return status;
    status = stream_all(r);
    report_stream(r);
    ortho_stream_close(&r->stream);
    return status;
}

/* What a checkpoint's sieve can't heed: it serves no layer. */
static ortho_status check_sieve(const ortho_sieve_options *o)
{
    if (o->variant != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "variant is \"%s\", but a checkpoint's sieve serves no layer: say it to "
                          "ortho_layer_load",
                          o->variant);
    if (o->activations != ORTHO_ACTIVATIONS_EXACT)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "activations are set, but a checkpoint's sieve serves no layer: say it "
                          "to ortho_layer_load");
    return ORTHO_OK;
}

static ortho_status sieve(run *r, const char *model, const char *out)
{
    ortho_plan_options plan = {.layers = r->options.layers,
                               .projections = r->options.projections,
                               .hessian = r->options.hessian};
    ortho_status status = ortho_sieve_options_read(r->options.sieve, &plan.sieve);
    if (status == ORTHO_OK)
        status = check_sieve(&plan.sieve);
    if (status == ORTHO_OK)
        status = choose_device(r, plan.sieve.device);
    ortho_rss_begin(&r->rss); /* the context is up, where there is one */
    if (status == ORTHO_OK)
        status = ortho_plan_make(model, &plan, &r->plan);
    if (status == ORTHO_OK)
        status = ortho_stream_fits(r->plan, r->ops, budget_of(r));
    if (status == ORTHO_OK)
        status = ortho_target_open(r->plan, out, r->options.resume != 0, &r->target);
    if (status == ORTHO_OK && !r->target.complete)
        status = sieve_planned(r);
    if (status == ORTHO_OK && r->target.complete)
        r->report.units_resumed = r->plan->unit_count;
    return status;
}

ORTHO_API ortho_status ortho_checkpoint_sieve(const char *model, const char *out,
                                              const ortho_checkpoint_options *options,
                                              ortho_checkpoint_report *report)
{
    run r = {.began = ortho_seconds()};
    if (model == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_checkpoint_sieve: %s is NULL",
                          model == NULL ? "model" : "out");
    ortho_status status =
        options != NULL ? ortho_options_read(&options_form, options, &r.options) : ORTHO_OK;
    if (status == ORTHO_OK && report != NULL) /* can it take what there will be to tell? */
        status = ortho_info_write(&report_form, &r.report, report);
    if (status != ORTHO_OK)
        return status;
    status = sieve(&r, model, out);
    r.report.host_before_bytes = r.rss.before;
    r.report.host_peak_bytes = ortho_rss_peak(&r.rss);
    if (report != NULL)
        (void)ortho_info_write(&report_form, &r.report, report); /* as before */
    ortho_target_close(&r.target);
    ortho_plan_free(r.plan);
    return status;
}
