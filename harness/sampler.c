#include "harness/sampler.h"

#include <stdio.h>
#include <stdlib.h>

/* No stop rule asks for more: the median of 20,000 samples moves no more. */
enum { SAMPLES_MAX = 20000 };

bool ob_sampler_push(ob_sampler_lane *lane, double ns, double spent)
{
    if (lane->count == lane->capacity) {
        size_t capacity = lane->capacity > 0 ? 2 * lane->capacity : 64;
        double *grown = realloc(lane->samples, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        lane->samples = grown;
        lane->capacity = capacity;
    }
    lane->samples[lane->count++] = ns;
    lane->elapsed += spent * 1e-9;
    return true;
}

static void fail(ob_sampler_lane *lane, ortho_status status)
{
    lane->status = status;
    snprintf(lane->message, sizeof lane->message, "%s", ortho_last_message());
}

static bool finished(const ob_sampler_lane *lane)
{
    return lane->status != ORTHO_OK || lane->stop != OB_STOP_NO;
}

static void take(ob_sampler_lane *lane)
{
    double ns = 0, spent = 0;
    ortho_status status = lane->sample(lane->ctx, &ns, &spent);
    if (status == ORTHO_OK && !ob_sampler_push(lane, ns, spent)) {
        lane->status = ORTHO_E_MEMORY;
        snprintf(lane->message, sizeof lane->message, "no memory for samples");
        return;
    }
    if (status != ORTHO_OK) {
        fail(lane, status);
        return;
    }
    ob_stop_rule rule = lane->rule;
    if (lane->count >=
        SAMPLES_MAX) { /* enough of them: time no longer matters, the interval does */
        rule.min_time = 0;
        rule.timeout = 0;
    }
    lane->stop = ob_should_stop(&rule, lane->samples, lane->count, lane->elapsed);
}

bool ob_sampler_run(ob_sampler_lane *lanes, size_t count, const atomic_int *interrupt)
{
    for (bool busy = true; busy;) {
        busy = false;
        for (size_t i = 0; i < count; i++) {
            if (atomic_load(interrupt) != 0)
                return true;
            if (finished(&lanes[i]))
                continue;
            take(&lanes[i]);
            busy = busy || !finished(&lanes[i]);
        }
    }
    return atomic_load(interrupt) != 0;
}

void ob_sampler_clear(ob_sampler_lane *lane)
{
    free(lane->samples);
    lane->samples = NULL;
    lane->count = lane->capacity = 0;
}
