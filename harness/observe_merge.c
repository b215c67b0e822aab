/* What a child found, into the parent's row of the same case. */
#include "harness/observe.h"
#include "harness/observe_facts.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* Durations of kernels shorter than this are judged by nothing: their overhead is as long. */
#define JUDGED_NS 5000.0
#define AGREES    0.05
/* From the end of a node of a graph to the start of the next at most: work that no kernel's
 * duration has, and the timing does. */
#define GAP_NS 1300.0

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

/* The longest kernel alone. */
static double longest(const json_t *kernels)
{
    size_t i;
    double most = 0;
    const json_t *kernel;
    json_array_foreach(kernels, i, kernel) most =
        fmax(most, json_number_value(json_object_get(kernel, "ns")));
    return most;
}

/* Why durations and timing may differ; NULL where nothing explains it. */
static const char *explanation(const json_t *activity, double ns, double time)
{
    const json_t *kernels = json_object_get(activity, "kernels");
    double nodes = fmax(1, (double)json_array_size(kernels));
    if (time > ns && time - ns <= nodes * GAP_NS)
        return "the gaps between kernels, which durations leave out";
    if (ns > time && nodes > 1 && time >= longest(kernels) * (1 - AGREES))
        return "kernels that overlap when they are timed, which recording keeps apart";
    if (ns > time && ns - time <= nodes * GAP_NS)
        return "what recording adds to each kernel";
    return NULL;
}

/* Against the median of the timing. */
static void judge_activity(json_t *row, json_t *activity)
{
    double ns = json_number_value(json_object_get(activity, "ns"));
    double time = json_number_value(json_object_get(json_object_get(row, "time_ns"), "median"));
    if (!(ns > 0) || !(time > 0))
        return;
    double difference = ns / time - 1;
    bool agrees = fabs(difference) <= AGREES;
    const char *why = agrees ? NULL : explanation(activity, ns, time);
    json_object_set_new(activity, "difference", json_real(difference));
    if (time > JUDGED_NS)
        json_object_set_new(activity, "agrees", json_boolean(agrees));
    if (why != NULL)
        json_object_set_new(activity, "why", json_string(why));
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

static void merge_measured(json_t *row, json_t *measured)
{
    json_t *divergence = child_of(row, "divergence");
    if (measured != NULL)
        json_object_set(divergence, "measured", measured);
    judge_lanes(divergence);
}

static void merge_counters(json_t *row, json_t *counters)
{
    json_object_set(row, "counters", counters);
    json_object_set_new(child_of(row, "divergence"), "kernel", ob_kernel_facts(counters));
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
        merge_counters(row, counters);
    if (what == OB_OBSERVE_INSTRUCTIONS)
        merge_measured(row, json_object_get(found, "measured"));
}

void ob_observe_absent(json_t *row, const char *reason, ob_observe what)
{
    if (!may_show(row))
        return;
    if (what == OB_OBSERVE_ACTIVITY && json_object_get(row, "activity") == NULL)
        json_object_set_new(row, "activity", absent(reason));
    if (what == OB_OBSERVE_COUNTERS && json_object_get(row, "counters") == NULL)
        json_object_set_new(
            row, "counters",
            json_pack("{s:{s:s, s:i, s:s}}", "all", "status", "n/a", "code", 0, "reason", reason));
    if (what != OB_OBSERVE_INSTRUCTIONS)
        return;
    json_t *divergence = json_object_get(row, "divergence");
    if (json_object_get(divergence, "predicted") != NULL &&
        json_object_get(divergence, "measured") == NULL)
        json_object_set_new(divergence, "measured", absent(reason));
}
