/* What a group of GEMM cases and a group of sieve cases have in common: rotation, samples, rows. */
#include "harness/session_observe.h"

#include "common/error.h"
#include "harness/affinity.h"
#include "harness/gbench.h"
#include "harness/nvtx.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void push_case(const ob_lane *lane)
{
    const ob_case *c = lane->c;
    ob_range_shape shape = {.n = c->slice != NULL ? c->slice->n : 0,
                            .k = c->slice != NULL ? c->slice->k : 0,
                            .m = c->m,
                            .density = c->density};
    ob_nvtx_push(OB_RANGE_CASE, c->key, &shape);
}

void ob_phase_begin(const ob_session *s, int offset, const ob_lane *lane, const char *phase)
{
    ob_observation_phase(s, lane->c->key, phase);
    if (s->progress != NULL && s->progress->begin != NULL)
        s->progress->begin(s->progress->ctx, s->done + offset, lane->c->key, phase);
    ob_nvtx_push(OB_RANGE_PHASE, phase, NULL);
    push_case(lane);
}

void ob_phase_end(void)
{
    ob_nvtx_pop();
    ob_nvtx_pop();
}

void ob_say_note(const ob_session *s, const char *format, ...)
{
    char text[512];
    if (s->progress == NULL || s->progress->note == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    s->progress->note(s->progress->ctx, text);
}

void ob_expect_message(void)
{
    (void)ortho_fail(ORTHO_E_INTERNAL, "a hook failed without a message");
}

size_t ob_session_fence(const ob_session *s, size_t bytes)
{
    return s->options->observe == OB_OBSERVE_ACTIVITY ? 0 : bytes;
}

void ob_lane_open(ob_session *s, const ob_case *c, size_t fence, ob_lane *lane)
{
    *lane = (ob_lane){.c = c,
                      .session = s,
                      .open = true,
                      .rounds = s->backend->replays,
                      .units = 1,
                      .launches = 1,
                      .copies = 1};
    ob_memory_init(&lane->memory, s->backend, ob_session_fence(s, fence));
    lane->memory.account = &s->account;
    lane->row = ob_row_new(c, s->options, s->facts->synthetic);
}

ortho_services ob_session_services(const ob_session *s, ob_memory *memory)
{
    ortho_services services = ob_memory_services(memory, s->threads);
    services.stream = s->backend->stream(s->queue);
    return services;
}

ortho_status ob_lane_enqueue(void *ctx)
{
    ob_lane *lane = ctx;
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; status == ORTHO_OK && i < lane->units; i++)
        status = lane->loop.launch(lane->loop.ctx, i);
    return status;
}

ortho_status ob_lane_launch(ob_lane *lane, int64_t index, double *ns)
{
    const ob_session *s = lane->session;
    ob_span span = {.first = index, .count = 1};
    return s->backend->time(s->queue, &s->timer, &lane->loop, &span, ns);
}

void ob_lane_skip(ob_lane *lane, const char *reason)
{
    lane->out = true;
    lane->session->skipped++;
    ob_row_status(lane->row, "skipped", reason);
}

void ob_lane_fail(ob_lane *lane, const char *reason)
{
    lane->out = true;
    lane->session->wrong++;
    ob_row_status(lane->row, "failed", reason);
    ob_row_verified_set(lane->row,
                        &(ob_row_verified){.before = lane->before, .after = lane->after});
}

/* ---- samples -------------------------------------------------------------------------------- */

/* The lane before has left its own threads awake, or its own clocks: a lead-in lets them settle. */
static ob_span next_span(const ob_lane *lane)
{
    if (lane->launches == 1)
        return (ob_span){.first = lane->cursor, .count = 1};
    if (lane->rounds)
        return (ob_span){.lead = lane->copies, .count = lane->launches};
    return (ob_span){
        .first = lane->cursor, .lead = lane->launches / 8 + 1, .count = lane->launches};
}

static ortho_status sample(void *ctx, double *ns, double *spent)
{
    ob_lane *lane = ctx;
    ob_session *s = lane->session;
    ortho_status status = ORTHO_OK;
    ob_span span = next_span(lane);
    double start = ob_timer_now(), took = 0;
    push_case(lane);
    if (lane->flush)
        status = s->backend->flush(s->queue, s->scratch, s->scratch_bytes, s->threads);
    if (status == ORTHO_OK)
        status = s->backend->time(s->queue, &s->timer, &lane->loop, &span, &took);
    ob_nvtx_pop();
    if (status != ORTHO_OK)
        return status;
    lane->cursor += span.lead + span.count;
    if (lane->sampling)
        ob_clocks_read(&lane->clocks, s->nvml, lane->taken++, &s->first_reading_ns);
    *ns = took / (double)lane->launches * (double)lane->units;
    *spent = ob_timer_now() - start; /* the flush too: it is what a timeout bounds */
    return ORTHO_OK;
}

/* The least of three samples, or the first that is short: a busy neighbour makes samples longer,
 * nothing makes them shorter. */
static ortho_status short_sample(ob_lane *lane, double *least)
{
    ortho_status status = ORTHO_OK;
    *least = INFINITY;
    for (int i = 0; status == ORTHO_OK && i < 3 && *least >= OB_SAMPLE_NS; i++) {
        double ns, spent;
        status = sample(lane, &ns, &spent);
        *least = fmin(*least, ns / (double)lane->units * (double)lane->launches);
    }
    return status;
}

/* Finds how many launches a sample of OB_SAMPLE_NS needs, which warms the machine up as well. */
static ortho_status calibrate(ob_lane *lane)
{
    for (lane->launches = lane->units; lane->launches < INT64_C(1) << 40;) {
        double took;
        ortho_status status = short_sample(lane, &took);
        if (status != ORTHO_OK || took >= OB_SAMPLE_NS)
            return status;
        double grow = 1.1 * OB_SAMPLE_NS / fmax(took, 100);
        double launches = ceil((double)lane->launches * fmin(fmax(grow, 1.1), 10));
        if (lane->rounds)
            launches = ceil(launches / (double)lane->copies) * (double)lane->copies;
        lane->launches = (int64_t)launches;
    }
    return ORTHO_OK;
}

static void prepare_sampler(ob_lane *lane)
{
    const ob_options *o = lane->session->options;
    free(lane->sampler.samples);
    lane->sampler = (ob_sampler_lane){.ctx = lane,
                                      .sample = sample,
                                      .rule = {.min_samples = 9,
                                               .min_time = o->min_time,
                                               .timeout = o->case_timeout,
                                               .target = o->ci_target}};
    ortho_status status = ORTHO_OK;
    ob_expect_message();
    if (lane->first_ns < OB_SAMPLE_NS && !lane->flush)
        status = calibrate(lane);
    if (status != ORTHO_OK) {
        lane->sampler.status = status;
        snprintf(lane->sampler.message, sizeof lane->sampler.message, "%s", ortho_last_message());
    }
    lane->sampling = true;
}

/* ---- Google Benchmark ----------------------------------------------------------------------- */

static double gbench_sample(void *ctx, int repetition, char *error, size_t error_size)
{
    ob_lane *lane = ctx;
    double ns, spent;
    (void)repetition;
    if (ob_session_interrupted()) {
        snprintf(error, error_size, "interrupted");
        return -1;
    }
    ortho_status status = sample(lane, &ns, &spent);
    if (status == ORTHO_OK && !ob_sampler_push(&lane->sampler, ns, spent))
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for samples");
    if (status == ORTHO_OK)
        return ns * 1e-9;
    snprintf(error, error_size, "%s", ortho_last_message());
    lane->sampler.status = status;
    snprintf(lane->sampler.message, sizeof lane->sampler.message, "%s", ortho_last_message());
    return -1;
}

/* One case: as many repetitions as min_time asks at the pace of the first launch. */
static void gbench_case(ob_lane *lane)
{
    const ob_options *o = lane->session->options;
    double pace = fmax(lane->first_ns, OB_SAMPLE_NS) * 1e-9;
    double wanted = fmin(fmax(o->min_time / pace, 9), fmax(o->case_timeout / pace, 1));
    ob_gbench *g = NULL;
    char *json = NULL;
    ortho_status status = ob_gbench_new(&g);
    if (status == ORTHO_OK)
        status = ob_gbench_add(g, lane->c->key, (int)fmin(wanted, 1000), gbench_sample, lane);
    if (status == ORTHO_OK)
        status = ob_gbench_run(g, &json);
    free(json); /* our own writers make the reports, from the samples */
    ob_gbench_free(g);
    ob_sampler_lane *l = &lane->sampler;
    if (status != ORTHO_OK && l->status == ORTHO_OK && l->count == 0) {
        l->status = status;
        snprintf(l->message, sizeof l->message, "%s", ortho_last_message());
    }
    ob_stop_rule rule = l->rule;
    rule.min_time = 0;
    if (l->count > 0 && !ob_session_interrupted() &&
        (l->stop = ob_should_stop(&rule, l->samples, l->count, l->elapsed)) == OB_STOP_NO)
        l->stop = OB_STOP_TIMEOUT;
}

void ob_group_sample(ob_session *s, ob_lane *lanes, int count)
{
    int in = 0;
    ob_sampler_lane *samplers = calloc((size_t)count + 1, sizeof *samplers);
    ob_affinity *pinned = s->backend->space == ORTHO_HOST ? ob_affinity_pin(s->threads) : NULL;
    for (int i = 0; i < count && !ob_session_interrupted(); i++)
        if (!lanes[i].out) {
            ob_phase_begin(s, i, &lanes[i], "time");
            prepare_sampler(&lanes[i]);
            ob_phase_end();
        }
    if (samplers == NULL || s->options->engine == OB_ENGINE_GBENCH) {
        for (int i = 0; i < count; i++)
            if (!lanes[i].out && !ob_session_interrupted())
                gbench_case(&lanes[i]);
        ob_affinity_release(pinned);
        free(samplers);
        return;
    }
    for (int i = 0; i < count; i++)
        if (!lanes[i].out)
            samplers[in++] = lanes[i].sampler;
    ob_sampler_run(samplers, (size_t)in, s->interrupt);
    ob_affinity_release(pinned);
    in = 0;
    for (int i = 0; i < count; i++)
        if (!lanes[i].out)
            lanes[i].sampler = samplers[in++];
    free(samplers);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static uint64_t row_seed(const ob_session *s, const ob_lane *lane)
{
    return ob_row_seed(s->options->seed, lane->c->key);
}

/* The first baseline of the group in this form that has a time. */
static const ob_lane *baseline_of(const ob_lane *lanes, int count, ob_form form)
{
    for (int i = 0; i < count; i++)
        if (!lanes[i].out && lanes[i].c->variant->role == ORTHO_BASELINE &&
            lanes[i].c->form == form && lanes[i].sampler.count > 0)
            return &lanes[i];
    return NULL;
}

/* ---- floors --------------------------------------------------------------------------------- */

void ob_group_ceiling(const ob_lane *lanes, int count, double *ceiling)
{
    for (int i = 0; i < count; i++) {
        const ob_sampler_lane *l = &lanes[i].sampler;
        if (lanes[i].out || !lanes[i].cold || lanes[i].c->variant->role != ORTHO_CEILING)
            continue;
        for (size_t j = 0; j < l->count; j++)
            *ceiling = fmax(*ceiling, lanes[i].cost.bytes / l->samples[j]);
    }
}

/* What bytes and products take at the measured ceilings; 0 where none was measured. */
static double floor_of(const ob_lane *lane, double ceiling)
{
    double moving = ceiling > 0 ? lane->cost.bytes / ceiling : 0;
    return fmax(moving, lane->tensor_ns);
}

/* The least that a median may be: 2 % below what the ceilings allow. */
static double least_ns(const ob_lane *lane, double ceiling)
{
    return 0.98 * floor_of(lane, ceiling);
}

bool ob_lane_beats(const ob_lane *lane, double ceiling)
{
    ortho_role role = lane->c->variant->role;
    const ob_sampler_lane *l = &lane->sampler;
    return !lane->out && lane->cold && role != ORTHO_HARNESS && role != ORTHO_CEILING &&
           l->count > 0 && ortho_median(l->samples, l->count) < least_ns(lane, ceiling);
}

void ob_lane_floor(ob_lane *lane, double ceiling)
{
    ortho_role role = lane->c->variant->role;
    if (role == ORTHO_HARNESS)
        return; /* moves nothing */
    ob_row_cost_set(lane->row, &lane->cost);
    if (role == ORTHO_CEILING || !lane->cold || !(ceiling > 0))
        return;
    char text[256];
    double floor_ns = floor_of(lane, ceiling);
    bool products = lane->tensor_ns > lane->cost.bytes / ceiling;
    if (products)
        snprintf(text, sizeof text,
                 "2 m n k operations / %.1f TFLOP/s, the tensor ceiling of this run",
                 lane->session->tensor * 1e-3);
    else
        snprintf(text, sizeof text,
                 "bytes that must move / %.2f GB/s, the read ceiling of this run", ceiling);
    ob_row_floor_set(lane->row, floor_ns, text);
    if (!ob_lane_beats(lane, ceiling))
        return;
    snprintf(text, sizeof text, "below the physical floor: %.0f ns, yet %s take %.0f ns",
             ortho_median(lane->sampler.samples, lane->sampler.count),
             products ? "its products" : "its bytes", floor_ns);
    ob_lane_fail(lane, text);
}

static void report_status(ob_session *s, ob_lane *lane, const ortho_interval *ci)
{
    const ob_sampler_lane *l = &lane->sampler;
    char reason[256];
    if (l->stop == OB_STOP_CONVERGED) {
        s->ok++;
        ob_row_status(lane->row, "ok", NULL);
        return;
    }
    double median = ortho_median(l->samples, l->count);
    if (l->stop == OB_STOP_NO)
        snprintf(reason, sizeof reason, "interrupted after %zu samples", l->count);
    else if (l->count < l->rule.min_samples)
        snprintf(reason, sizeof reason, "only %zu samples fitted into %.3g s", l->count,
                 l->rule.timeout);
    else
        snprintf(reason, sizeof reason,
                 "after %zu samples in %.3g s the interval is %.2g %% of the median, %.2g %% was "
                 "asked",
                 l->count, l->elapsed, 100 * (ci->hi - ci->lo) / median, 100 * l->rule.target);
    s->ambiguous++;
    ob_row_status(lane->row, "ambiguous", reason);
}

static void compare(const ob_session *s, ob_lane *lane, const char *key, const ob_lane *baseline)
{
    ortho_role role = lane->c->variant->role;
    if (baseline != NULL && baseline != lane && lane->sampler.count > 0 && role != ORTHO_HARNESS &&
        role != ORTHO_CEILING)
        ob_row_speedup_set(lane->row, key,
                           &(ob_row_speedup){.over = baseline->c->variant->name,
                                             .baseline = &baseline->sampler,
                                             .lane = &lane->sampler,
                                             .seed = row_seed(s, lane) + 1});
}

static void report_lane(ob_session *s, ob_lane *lane)
{
    ob_row_verified_set(
        lane->row,
        &(ob_row_verified){.before = lane->before,
                           .after = lane->after,
                           .verdict = &lane->verdict,
                           .copies = (int)(lane->outputs > 0 ? lane->outputs : lane->copies)});
    if (lane->sampler.count == 0) {
        bool whole = !ob_session_times(s);
        s->ok += whole;
        s->skipped += !whole;
        ob_row_status(lane->row, whole ? "ok" : "skipped",
                      whole ? NULL : "interrupted before the first sample");
        return;
    }
    ortho_interval ci;
    ob_row_time_set(lane->row,
                    &(ob_row_time){.lane = &lane->sampler,
                                   .launches = lane->launches,
                                   .copies = lane->copies,
                                   .seed = row_seed(s, lane),
                                   .flushed = lane->flush},
                    &ci);
    ob_row_clocks_set(lane->row, &lane->clocks);
    report_status(s, lane, &ci);
}

void ob_group_report(ob_session *s, ob_lane *lanes, int count)
{
    const ob_lane *single = baseline_of(lanes, count, OB_FORM_SINGLE);
    const ob_lane *grouped = baseline_of(lanes, count, OB_FORM_GROUPED);
    for (int i = 0; i < count; i++)
        if (!lanes[i].out) {
            report_lane(s, &lanes[i]);
            compare(s, &lanes[i], "speedup", single);
            compare(s, &lanes[i], "speedup_grouped", grouped);
        }
}

void ob_group_finish(ob_session *s, ob_lane *lanes, int count)
{
    for (int i = 0; i < count; i++) {
        ob_lane *lane = &lanes[i];
        if (!lane->open)
            continue;
        s->backend->forget(&lane->loop);
        size_t leaked = ob_memory_close(&lane->memory);
        if (leaked > 0)
            ob_say_note(s, "%s: its release left %zu allocations behind", lane->c->key, leaked);
        ob_sampler_clear(&lane->sampler);
        ob_clocks_clear(&lane->clocks);
        json_array_append(s->rows, lane->row);
        if (s->progress != NULL && s->progress->end != NULL)
            s->progress->end(s->progress->ctx, s->done, lane->row);
        json_decref(lane->row);
        s->done++;
    }
    if (s->progress != NULL && s->progress->checkpoint != NULL)
        s->progress->checkpoint(s->progress->ctx, s->document);
}
