/*
 * What a child process does where `run` would sample: it observes each lane that was verified, and
 * writes what it found into the lane's row. One kind of observation a process (observe.h).
 */
#include "harness/session_observe.h"

#include "common/error.h"
#include "common/stats.h"
#include "harness/activity.h"
#include "harness/counter_choice.h"
#include "harness/counters.h"
#include "harness/cupti_about.h"
#include "harness/instructions.h"
#include "harness/isolate.h"
#include "harness/observe_facts.h"
#include "harness/results.h"
#include "harness/trace.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Launches of an operation that activity is recorded of, and samples that the timer takes then. */
enum { RECORDED = 20, TIMED = 5 };
/* Below this, the time of one launch is the launching's. */
#define LAUNCH_WEIGHS_NS 1e5
/* The GPU raises its clocks within this time of work. */
#define WARM_UP_NS 3e7
/* Launches are sampled for this long. */
#define SAMPLED_NS 2e8

struct ob_observation {
    ob_observe what;
    ob_counter_choice *choice; /* of counters */
    ob_counters *counters;
    ob_activity_log timeline;
    ob_phases phases; /* of the host, beside the timeline */
    size_t phase;     /* the one at work */
    bool started, keep_timeline;
};

/* ---- opening --------------------------------------------------------------------------------- */

ortho_status ob_observation_prepare(const ob_options *options)
{
    if (options->observe == OB_OBSERVE_INSTRUCTIONS || options->observe == OB_OBSERVE_STALLS)
        return ob_instructions_prepare();
    if (options->observe == OB_OBSERVE_ACTIVITY)
        ob_activity_catch_nvtx();
    return ORTHO_OK;
}

static ortho_status open_counters(ob_observation *o, const char *wanted)
{
    ortho_status status = ob_counter_choice_open(wanted, &o->choice);
    return status == ORTHO_OK ? ob_counters_open(o->choice->names, o->choice->count, &o->counters)
                              : status;
}

ortho_status ob_observation_open(const ob_options *options, ob_observation **out)
{
    ob_observation *o = calloc(1, sizeof *o);
    if (o == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an observation");
    o->what = options->observe;
    o->keep_timeline = options->trace != NULL;
    o->phase = OB_PHASE_LOST;
    ortho_status status = ORTHO_OK;
    if (o->what == OB_OBSERVE_COUNTERS)
        status = open_counters(o, options->counters);
    else if (o->what == OB_OBSERVE_ACTIVITY)
        status = ob_activity_start();
    else if (o->what == OB_OBSERVE_STALLS) /* kernels that were loaded before aren't sampled */
        status = ob_instructions_start(OB_INSTRUCTIONS_SAMPLED);
    o->started = status == ORTHO_OK;
    if (status != ORTHO_OK)
        ob_observation_close(o);
    else
        *out = o;
    return status;
}

void ob_observation_close(ob_observation *o)
{
    if (o == NULL)
        return;
    if (o->started && o->what == OB_OBSERVE_ACTIVITY)
        ob_activity_stop();
    if (o->started && o->what == OB_OBSERVE_STALLS)
        ob_instructions_stop();
    ob_counters_close(o->counters);
    ob_counter_choice_close(o->choice);
    ob_activity_clear(&o->timeline);
    ob_phases_clear(&o->phases);
    free(o);
}

/* What was recorded until now goes to the timeline, or away. */
static void put_away(ob_observation *o, ob_activity_log *log)
{
    if (o->keep_timeline && ob_activity_append(&o->timeline, log) != ORTHO_OK)
        o->keep_timeline = false; /* no memory: a part would look like the whole */
    ob_activity_clear(log);
}

void ob_observation_phase(const ob_session *s, const char *key, const char *phase)
{
    char name[256];
    ob_observation *o = s->observation;
    if (o == NULL || !o->keep_timeline)
        return;
    ob_phases_end(&o->phases, o->phase);
    snprintf(name, sizeof name, "%s %s", phase, key);
    o->phase = ob_phases_begin(&o->phases, name, phase);
}

ortho_status ob_observation_save(const ob_session *s)
{
    ob_activity_log rest = {0};
    ob_observation *o = s->observation;
    if (o == NULL || o->what != OB_OBSERVE_ACTIVITY || s->options->trace == NULL)
        return ORTHO_OK;
    ob_phases_end(&o->phases, o->phase);
    ortho_status status = ob_activity_take(&rest);
    if (status != ORTHO_OK)
        return status;
    put_away(o, &rest);
    if (!o->keep_timeline)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the whole timeline: none is written");
    return ob_trace_write(&o->timeline, &o->phases, json_object_get(s->document, "context"),
                          s->options->trace);
}

json_t *ob_observation_about(const ob_observation *o)
{
    ob_cupti_about about;
    if (ob_cupti_tell(&about) != ORTHO_OK)
        return json_pack("{s:s, s:s}", "status", "n/a", "reason", ortho_last_message());
    json_t *told = json_pack("{s:s, s:i, s:s}", "status", "ok", "version", (int)about.version,
                             "path", about.path);
    if (told != NULL && o->counters != NULL)
        json_object_set_new(told, "passes",
                            json_integer((json_int_t)ob_counters_passes(o->counters)));
    return told;
}

/* ---- activity -------------------------------------------------------------------------------- */

static bool records(const ob_session *s)
{
    return s->observation != NULL && s->observation->what == OB_OBSERVE_ACTIVITY;
}

void ob_observation_mark(const ob_session *s)
{
    ob_activity_log log = {0};
    if (records(s) && ob_activity_take(&log) == ORTHO_OK)
        put_away(s->observation, &log);
}

size_t ob_observation_peak(const ob_session *s)
{
    ob_activity_log log = {0};
    if (!records(s) || ob_activity_take(&log) != ORTHO_OK)
        return 0;
    size_t peak = (size_t)ob_activity_peak(&log);
    put_away(s->observation, &log);
    return peak;
}

/* The launches of the timing's own rotation, plainly enqueued, so that they are cold as the timed
 * ones are: each record goes on where the last one ended, or a few copies would stay in the L2. */
static ortho_status record(ob_session *s, ob_lane *lane, ob_activity_log *out)
{
    ortho_status status = ORTHO_OK;
    int64_t launches = RECORDED * lane->units;
    ob_observation_mark(s); /* what came before isn't this */
    for (int64_t i = 0; status == ORTHO_OK && i < launches && !ob_session_interrupted(); i++) {
        if (lane->flush)
            status = s->backend->flush(s->queue, s->scratch, s->scratch_bytes, s->threads);
        if (status == ORTHO_OK)
            status = lane->loop.launch(lane->loop.ctx, lane->cursor + i);
    }
    lane->cursor += launches;
    return status == ORTHO_OK ? ob_activity_take(out) : status;
}

/* The operation by the timer, the median of a few launches of one: 0 where launching would weigh
 * too much in it. The copies that they ran on stay unreached for the verification. */
static ortho_status time_beside(ob_session *s, ob_lane *lane, double *ns)
{
    double samples[TIMED];
    ortho_status status = ORTHO_OK;
    for (int i = 0; status == ORTHO_OK && i < TIMED; i++) {
        ob_span span = {.first = lane->cursor + i, .count = lane->units};
        if (lane->flush)
            status = s->backend->flush(s->queue, s->scratch, s->scratch_bytes, s->threads);
        if (status == ORTHO_OK)
            status = s->backend->time(s->queue, &s->timer, &lane->loop, &span, &samples[i]);
    }
    if (status == ORTHO_OK)
        *ns = ortho_median(samples, TIMED);
    if (status == ORTHO_OK && *ns < LAUNCH_WEIGHS_NS)
        *ns = 0;
    return status;
}

static ortho_status observe_activity(ob_session *s, ob_lane *lane)
{
    ob_activity_log log = {0};
    double start = ob_timer_now();
    ortho_status status = record(s, lane, &log);
    while (status == ORTHO_OK && ob_timer_now() - start < WARM_UP_NS && !ob_session_interrupted()) {
        put_away(s->observation, &log);
        status = record(s, lane, &log);
    }
    if (status != ORTHO_OK)
        return status;
    double timer_ns = 0;
    status = time_beside(s, lane, &timer_ns);
    ob_activity_view view = {.launches = RECORDED,
                             .flushed = lane->flush,
                             .timer_ns = timer_ns,
                             .device = lane->device_peak,
                             .booked = lane->device_booked};
    if (status == ORTHO_OK)
        ob_row_activity_from(lane->row, &log, &view);
    put_away(s->observation, &log);
    return status;
}

/* ---- counters -------------------------------------------------------------------------------- */

/* Cold as the timing is: the L2 full of clean lines of something else. */
static ortho_status before_count(void *ctx)
{
    ob_lane *lane = ctx;
    return lane->session->options->l2 == OB_L2_COLD ? ob_session_evict(lane->session) : ORTHO_OK;
}

static ortho_status observe_counters(ob_session *s, ob_lane *lane)
{
    ob_observation *o = s->observation;
    int ranges = 0, count = o->choice->count;
    ob_counter_value *values = calloc((size_t)count + 1, sizeof *values);
    if (values == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
    ob_counted counted = {.ctx = lane, .before = before_count, .launch = ob_lane_enqueue};
    size_t kernels = s->backend->nodes(s->queue, &lane->loop, lane->units);
    ob_range_mode mode = kernels == 1 ? OB_RANGE_KERNELS : OB_RANGE_OPERATION;
    ortho_status status = ob_counters_measure(o->counters, mode, &counted, 1, values, &ranges);
    if (status == ORTHO_OK && ranges == 0) /* the one node is a copy, which makes no range */
        status = ob_counters_measure(o->counters, OB_RANGE_OPERATION, &counted, 1, values, &ranges);
    if (status == ORTHO_OK && ranges != 1)
        status =
            ortho_fail(ORTHO_E_DEVICE, "%d ranges were counted where one was expected", ranges);
    lane->cursor = lane->units;
    if (status == ORTHO_OK) {
        json_t *counters = json_object();
        status = ob_counter_choice_evaluate(o->choice, values, counters);
        ob_row_counters_set(lane->row, counters);
    }
    free(values);
    return status;
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* The kernel of the loop alone: what comes before it runs first, uncounted. */
static ortho_status count_instructions(ob_session *s, ob_lane *lane, const ortho_loop *loop,
                                       ob_instruction_report *out)
{
    ob_operation operation = {
        .ctx = lane, .launch = ob_lane_enqueue, .stream = s->backend->stream(s->queue)};
    ob_isolated *kernel = NULL;
    ortho_status status = ob_isolate(&operation, loop->kernel, &kernel);
    if (status == ORTHO_OK)
        status = ob_isolated_before(kernel);
    if (status == ORTHO_OK)
        status = ob_instructions_start(OB_INSTRUCTIONS_COUNTED);
    if (status == ORTHO_OK) {
        status = ob_isolated_run(kernel);
        if (status == ORTHO_OK)
            status = ob_instructions_read(out);
        ob_instructions_stop();
    }
    ob_isolated_free(kernel);
    return status;
}

static ortho_status observe_instructions(ob_session *s, ob_lane *lane)
{
    ob_instruction_report report = {0};
    const ortho_loop *loop = ob_case_loop(lane->c);
    if (loop == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "the variant doesn't tell where its loop is");
    ortho_status status = count_instructions(s, lane, loop, &report);
    if (status == ORTHO_OK) {
        ob_row_loop_from(lane->row, &report, loop);
        json_object_set_new(lane->row, "instructions", ob_instruction_list(&report));
    }
    ob_instructions_clear(&report);
    return status;
}

/* Samples need work enough to fall into. */
static ortho_status launch_for_samples(ob_lane *lane)
{
    double start = ob_timer_now();
    ortho_status status = ORTHO_OK;
    while (status == ORTHO_OK && ob_timer_now() - start < SAMPLED_NS && !ob_session_interrupted()) {
        status = ob_lane_enqueue(lane);
        if (status == ORTHO_OK) /* launches don't queue up beyond the time that they may take */
            status = ob_lane_launch(lane, 0, &(double){0});
    }
    lane->cursor = lane->units;
    return status;
}

static ortho_status observe_stalls(ob_lane *lane)
{
    ob_instruction_report before = {0}, report = {0};
    ortho_status status = ob_instructions_read(&before); /* the verification's */
    ob_instructions_clear(&before);
    if (status == ORTHO_OK)
        status = launch_for_samples(lane);
    if (status == ORTHO_OK)
        status = ob_instructions_read(&report);
    if (status == ORTHO_OK && report.count == 0)
        status = ortho_fail(ORTHO_E_UNSUPPORTED, "CUPTI sampled nothing");
    if (status == ORTHO_OK)
        json_object_set_new(lane->row, "instructions", ob_instruction_list(&report));
    ob_instructions_clear(&report);
    return status;
}

/* ---- a group --------------------------------------------------------------------------------- */

static ortho_status observe(ob_session *s, ob_lane *lane)
{
    switch (s->observation->what) {
    case OB_OBSERVE_ACTIVITY:
        return observe_activity(s, lane);
    case OB_OBSERVE_COUNTERS:
        return observe_counters(s, lane);
    case OB_OBSERVE_INSTRUCTIONS:
        return observe_instructions(s, lane);
    case OB_OBSERVE_STALLS:
        return observe_stalls(lane);
    default:
        return ORTHO_OK;
    }
}

/* What can't be observed isn't wrong: the row says so, and the verification after stands. */
void ob_group_observe(ob_session *s, ob_lane *lanes, int count)
{
    for (int i = 0; i < count && !ob_session_interrupted(); i++) {
        if (lanes[i].out)
            continue;
        ob_phase_begin(s, i, &lanes[i], "observe");
        ortho_status status = observe(s, &lanes[i]);
        ob_phase_end();
        if (status == ORTHO_OK)
            continue;
        json_t *why = json_string(ortho_last_message());
        json_object_set_new(lanes[i].row, "unobserved",
                            why != NULL ? why
                                        : json_string("CUPTI failed, in words that are no text"));
    }
}
