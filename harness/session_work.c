/*
 * What is done between the two verifications of a group. `verify` replays: on a backend that
 * records launches and replays them, what a recording makes is as much to be checked as what plain
 * launches make. A hook that waits, allocates, or leaves its stream is found out here, without a
 * time being taken.
 */
#include "harness/session_observe.h"

#include "common/error.h"
#include "harness/results.h"

#include <stdio.h>

/* Two rounds of the copies, so that a replay meets what the round before it left. */
static void replay(ob_session *s, ob_lane *lane)
{
    double ns;
    ob_span span = {.count = 2 * lane->loop.copies};
    ob_expect_message();
    ortho_status status = s->backend->time(s->queue, &s->timer, &lane->loop, &span, &ns);
    lane->cursor = span.count;
    if (status == ORTHO_OK)
        return;
    lane->sampler.status = status;
    snprintf(lane->sampler.message, sizeof lane->sampler.message, "%s", ortho_last_message());
}

/* In a build that counts lanes: one operation's, beside the model's. */
static void count_lanes(ob_session *s, ob_lane *lane)
{
    ob_divergence exact;
    ortho_status status = s->backend->wait(s->queue);
    if (status == ORTHO_OK)
        status = ob_divergence_exact(true, &exact);
    if (status == ORTHO_OK)
        status = ob_lane_enqueue(lane);
    if (status == ORTHO_OK)
        status = s->backend->wait(s->queue);
    if (status == ORTHO_OK)
        status = ob_divergence_exact(true, &exact);
    if (status == ORTHO_OK)
        ob_row_measured_set(lane->row, &(ob_measured){.exact = &exact});
    else
        ob_say_note(s, "%s: lanes aren't counted: %s", lane->c->key, ortho_last_message());
}

void ob_group_replay(ob_session *s, ob_lane *lanes, int count)
{
    for (int i = 0; s->backend->replays && i < count && !ob_session_interrupted(); i++)
        if (!lanes[i].out) {
            ob_phase_begin(s, i, &lanes[i], "replay");
            replay(s, &lanes[i]);
            if (ob_divergence_counts())
                count_lanes(s, &lanes[i]);
            ob_phase_end();
        }
}

/* The whole operation within the lane's range, waited for: what a profiler counts to the range was
 * enqueued there, and ran there. */
static ortho_status launch_once(ob_session *s, ob_lane *lane, int offset)
{
    ortho_status status = s->options->l2 == OB_L2_COLD ? ob_session_evict(s) : ORTHO_OK;
    if (status == ORTHO_OK)
        status = s->backend->wait(s->queue);
    if (status == ORTHO_OK && !s->profiling)
        s->profiling = s->backend->profile(true);
    ob_phase_begin(s, offset, lane, "profile");
    if (status == ORTHO_OK)
        status = ob_lane_enqueue(lane);
    if (status == ORTHO_OK)
        status = s->backend->wait(s->queue);
    ob_phase_end();
    lane->cursor = lane->units;
    return status;
}

void ob_group_profile(ob_session *s, ob_lane *lanes, int count)
{
    for (int i = 0; i < count && !ob_session_interrupted(); i++) {
        ob_sampler_lane *l = &lanes[i].sampler;
        if (lanes[i].out)
            continue;
        ob_expect_message();
        l->status = launch_once(s, &lanes[i], i);
        if (l->status != ORTHO_OK)
            snprintf(l->message, sizeof l->message, "%s", ortho_last_message());
    }
}

bool ob_session_times(const ob_session *s)
{
    const ob_options *o = s->options;
    return !o->verify_only && !o->profile && o->observe == OB_OBSERVE_NOTHING;
}

bool ob_session_rotates(const ob_session *s)
{
    return ob_session_times(s) || s->options->observe == OB_OBSERVE_ACTIVITY;
}

void ob_group_work(ob_session *s, ob_lane *lanes, int count)
{
    if (s->observation != NULL)
        ob_group_observe(s, lanes, count);
    else if (s->options->profile)
        ob_group_profile(s, lanes, count);
    else if (s->options->verify_only)
        ob_group_replay(s, lanes, count);
    else
        ob_group_sample(s, lanes, count);
}
