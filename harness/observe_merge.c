/* What a child found, into the parent's row of the same case. */
#include "harness/observe.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* Durations of kernels shorter than this are judged by nothing: their overhead is as long. */
#define JUDGED_NS 5000.0
#define AGREES    0.05

static bool may_show(const json_t *row)
{
    const char *status = json_string_value(json_object_get(row, "status"));
    return status != NULL && (strcmp(status, "ok") == 0 || strcmp(status, "ambiguous") == 0);
}

static json_t *child_of(json_t *parent, const char *key)
{
    json_t *child = json_object_get(parent, key);
    if (child == NULL) {
        child = json_object();
        json_object_set_new(parent, key, child);
    }
    return child;
}

static json_t *absent(const char *reason)
{
    return json_pack("{s:s, s:s}", "status", "n/a", "reason", reason);
}

/* Against the median of the timing. */
static void judge_activity(json_t *row, json_t *activity)
{
    double ns = json_number_value(json_object_get(activity, "ns"));
    double time =
        json_number_value(json_object_get(json_object_get(row, "time_ns"), "median"));
    if (!(ns > 0) || !(time > 0))
        return;
    double difference = ns / time - 1;
    json_object_set_new(activity, "difference", json_real(difference));
    if (time > JUDGED_NS)
        json_object_set_new(activity, "agrees", json_boolean(fabs(difference) <= AGREES));
}

/* Against the lane model. */
static void judge_lanes(json_t *divergence)
{
    json_t *measured = json_object_get(divergence, "measured");
    double value = json_number_value(json_object_get(measured, "value"));
    double predicted =
        json_number_value(json_object_get(json_object_get(divergence, "predicted"), "value"));
    if (value > 0 && predicted > 0)
        json_object_set_new(measured, "difference", json_real(value / predicted - 1));
}

static void merge_divergence(json_t *row, const json_t *found)
{
    static const char *const parts[] = {"measured", "kernel", "exact"};
    json_t *ours = child_of(row, "divergence");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        json_t *part = json_object_get(found, parts[i]);
        if (part != NULL)
            json_object_set(ours, parts[i], part);
    }
    judge_lanes(ours);
}

/* What a child verified otherwise than its parent isn't the same thing. */
static const char *objection(const json_t *found)
{
    const char *reason = json_string_value(json_object_get(found, "unobserved"));
    if (reason == NULL && !may_show(found))
        reason = json_string_value(json_object_get(found, "reason"));
    return reason != NULL ? reason : may_show(found) ? NULL : "not verified where it was observed";
}

void ob_observe_merge(json_t *row, const json_t *found, ob_observe what)
{
    const char *reason = objection(found);
    if (!may_show(row))
        return;
    if (reason != NULL) {
        ob_observe_absent(row, reason, what);
        return;
    }
    json_t *activity = json_object_get(found, "activity");
    json_t *counters = json_object_get(found, "counters");
    if (what == OB_OBSERVE_ACTIVITY && activity != NULL) {
        json_object_set(row, "activity", activity);
        judge_activity(row, activity);
    }
    if (what == OB_OBSERVE_COUNTERS && counters != NULL)
        json_object_set(row, "counters", counters);
    if (what == OB_OBSERVE_INSTRUCTIONS)
        merge_divergence(row, json_object_get(found, "divergence"));
}

void ob_observe_absent(json_t *row, const char *reason, ob_observe what)
{
    if (!may_show(row))
        return;
    if (what == OB_OBSERVE_ACTIVITY && json_object_get(row, "activity") == NULL)
        json_object_set_new(row, "activity", absent(reason));
    if (what == OB_OBSERVE_COUNTERS && json_object_get(row, "counters") == NULL)
        json_object_set_new(row, "counters", json_pack("{s:{s:s, s:i, s:s}}", "all", "status",
                                                       "n/a", "code", 0, "reason", reason));
    if (what != OB_OBSERVE_INSTRUCTIONS)
        return;
    json_t *divergence = child_of(row, "divergence");
    if (json_object_get(divergence, "measured") == NULL)
        json_object_set_new(divergence, "measured", absent(reason));
    if (json_object_get(divergence, "kernel") == NULL)
        json_object_set_new(divergence, "kernel", absent(reason));
}
