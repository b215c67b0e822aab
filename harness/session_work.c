/*
 * What is done between the two verifications of a group. `verify` replays: on a backend that
 * records launches and replays them, what a recording makes is as much to be checked as what plain
 * launches make. A hook that waits, allocates, or leaves its stream is found out here, without a
 * time being taken.
 */
#include "harness/session_observe.h"

#include "common/error.h"

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

void ob_group_replay(ob_session *s, ob_lane *lanes, int count)
{
    for (int i = 0; s->backend->replays && i < count && !ob_session_interrupted(); i++)
        if (!lanes[i].out) {
            ob_say_phase(s, i, &lanes[i], "replay");
            replay(s, &lanes[i]);
        }
}

bool ob_session_times(const ob_session *s)
{
    return !s->options->verify_only && s->options->observe == OB_OBSERVE_NOTHING;
}

bool ob_session_rotates(const ob_session *s)
{
    return ob_session_times(s) || s->options->observe == OB_OBSERVE_ACTIVITY;
}

void ob_group_work(ob_session *s, ob_lane *lanes, int count)
{
    if (s->observation != NULL)
        ob_group_observe(s, lanes, count);
    else if (s->options->verify_only)
        ob_group_replay(s, lanes, count);
    else
        ob_group_sample(s, lanes, count);
}
