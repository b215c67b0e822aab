/* What a child found, into the parent's row of the same case. */
#include "harness/observe.h"

#include "harness/observe_facts.h"
#include "harness/results.h"
#include "reports/json_set.h"

#include <jansson.h>
#include <string.h>

static json_t *absent(const char *reason)
{
    return json_pack("{s:s, s:s}", "status", "n/a", "reason", reason);
}

static void merge_measured(json_t *row, json_t *measured)
{
    json_t *divergence = ortho_json_part(row, "divergence");
    if (measured != NULL)
        json_object_set(divergence, "measured", measured);
    ob_row_divergence_judge(row);
}

static void merge_counters(json_t *row, json_t *counters)
{
    json_object_set(row, "counters", counters);
    ob_row_kernel_from(row);
}

/* What a child verified otherwise than its parent isn't the same thing. */
static const char *objection(const json_t *found)
{
    const char *reason = json_string_value(json_object_get(found, "unobserved"));
    if (reason == NULL && !ob_row_stands(found))
        reason = json_string_value(json_object_get(found, "reason"));
    return reason != NULL         ? reason
           : ob_row_stands(found) ? NULL
                                  : "not verified where it was observed";
}

void ob_observe_merge(json_t *row, const json_t *found, ob_observe what)
{
    const char *reason = objection(found);
    if (!ob_row_stands(row))
        return;
    if (reason != NULL) {
        ob_observe_absent(row, reason, what);
        return;
    }
    json_t *activity = json_object_get(found, "activity");
    json_t *counters = json_object_get(found, "counters");
    if (what == OB_OBSERVE_ACTIVITY && activity != NULL) {
        json_object_set(row, "activity", activity);
        ob_row_activity_judge(row);
    }
    if (what == OB_OBSERVE_COUNTERS && counters != NULL)
        merge_counters(row, counters);
    if (what == OB_OBSERVE_INSTRUCTIONS)
        merge_measured(row, json_object_get(json_object_get(found, "divergence"), "measured"));
}

void ob_observe_absent(json_t *row, const char *reason, ob_observe what)
{
    if (!ob_row_stands(row))
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
