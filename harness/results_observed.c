/* The parts of a row that children find out (observe.h), and the prediction that stands beside. */
#include "harness/results.h"
#include "reports/json_set.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* ---- divergence ----------------------------------------------------------------------------- */

static void set_count(json_t *object, const char *key, double value)
{
    if (value >= 0 && value < 9e15)
        ortho_json_int(object, key, (int64_t)value);
}

static void set_histogram(json_t *object, const double histogram[33])
{
    json_t *list = json_array();
    for (int lanes = 0; lanes <= 32; lanes++)
        json_array_append_new(list, json_real(histogram[lanes]));
    json_object_set_new(object, "histogram", list);
}

/* True when figures may follow. */
static bool set_words(json_t *object, const ob_availability *is)
{
    const bool ok = strcmp(is->status, "ok") == 0;
    ortho_json_text(object, "status", is->status);
    if (!ok && is->reason != NULL && is->reason[0] != '\0')
        ortho_json_text(object, "reason", is->reason);
    return ok;
}

void ob_row_divergence_judge(json_t *row)
{
    const json_t *divergence = json_object_get(row, "divergence");
    json_t *measured = json_object_get(divergence, "measured");
    double value = json_number_value(json_object_get(measured, "value"));
    double predicted =
        json_number_value(json_object_get(json_object_get(divergence, "predicted"), "value"));
    if (json_object_get(measured, "value") != NULL && predicted > 0)
        ortho_json_real(measured, "difference", value / predicted - 1);
}

/* Nothing where nothing was issued: there is no ratio. */
static void set_lanes(json_t *row, const char *part, const ob_divergence *d)
{
    double ratio;
    if (!ob_divergence_ratio(d, &ratio))
        return;
    json_t *o = json_object();
    ortho_json_real(o, "value", ratio);
    set_histogram(o, d->histogram);
    json_object_set_new(ortho_json_part(row, "divergence"), part, o);
    ob_row_divergence_judge(row);
}

void ob_row_divergence_set(json_t *row, const ob_divergence *predicted)
{
    set_lanes(row, "predicted", predicted);
}

static json_t *loop_object(const ob_measured *m)
{
    json_t *o = json_object();
    if (!set_words(o, &m->loop.is))
        return o;
    ortho_json_real(o, "value", m->loop.value);
    if (m->loop.histogram != NULL)
        set_histogram(o, m->loop.histogram);
    set_count(o, "instructions", m->loop.instructions);
    set_count(o, "warp_instructions", m->loop.warp_instructions);
    return o;
}

static json_t *kernel_object(const ob_measured *m)
{
    json_t *o = json_object();
    if (!set_words(o, &m->kernel.is))
        return o;
    ortho_json_real(o, "value", m->kernel.value);
    ortho_json_real(o, "enabled", m->kernel.enabled);
    set_count(o, "divergent_branches", m->kernel.divergent_branches);
    ortho_json_real(o, "branch_efficiency", m->kernel.branch_efficiency);
    return o;
}

void ob_row_measured_set(json_t *row, const ob_measured *m)
{
    if (m->loop.is.status != NULL) {
        json_object_set_new(ortho_json_part(row, "divergence"), "measured", loop_object(m));
        ob_row_divergence_judge(row);
    }
    if (m->kernel.is.status != NULL)
        json_object_set_new(ortho_json_part(row, "divergence"), "kernel", kernel_object(m));
    if (m->exact != NULL)
        set_lanes(row, "exact", m->exact);
}

/* ---- activity and counters ------------------------------------------------------------------ */

static json_t *dimensions(const int of[3])
{
    return json_pack("[i, i, i]", of[0], of[1], of[2]);
}

static json_t *activity_kernels(const ob_activity_facts *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->kernel_count; i++) {
        const ob_activity_kernel *k = &a->kernels[i];
        json_t *o = json_object();
        ortho_json_text(o, "name", k->name);
        ortho_json_real(o, "ns", k->ns);
        json_object_set_new(o, "grid", dimensions(k->grid));
        json_object_set_new(o, "block", dimensions(k->block));
        ortho_json_int(o, "registers", k->registers);
        ortho_json_int(o, "static_shared", k->static_shared);
        ortho_json_int(o, "dynamic_shared", k->dynamic_shared);
        json_array_append_new(list, o);
    }
    return list;
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

/* Why durations and timing may differ; NULL where nothing explains it. A process has its own pages
 * and thereby its own speed, which is told from the rest by a timer beside the records. */
static const char *explanation(const json_t *activity, double ns, double time)
{
    const json_t *kernels = json_object_get(activity, "kernels");
    double nodes = fmax(1, (double)json_array_size(kernels));
    double timer = json_number_value(json_object_get(activity, "timer_ns"));
    if (fabs(ns - time) > nodes * OB_ACTIVITY_EDGE_NS && timer > 0)
        return fabs(ns / timer - 1) <= OB_ACTIVITY_TOLERANCE
                   ? "two processes: in the recording's own, the timer agrees"
                   : NULL;
    if (time > ns && time - ns <= nodes * OB_ACTIVITY_GAP_NS)
        return "the gaps between kernels, which durations leave out";
    if (ns > time && nodes > 1 && time >= longest(kernels) * (1 - OB_ACTIVITY_TOLERANCE))
        return "kernels that overlap when they are timed, which recording keeps apart";
    if (ns > time && ns - time <= nodes * OB_ACTIVITY_GAP_NS)
        return "what recording adds to each kernel";
    return NULL;
}

void ob_row_activity_judge(json_t *row)
{
    json_t *activity = json_object_get(row, "activity");
    double ns = json_number_value(json_object_get(activity, "ns"));
    double time = json_number_value(json_object_get(json_object_get(row, "time_ns"), "median"));
    if (!(time > 0) || !(ns > 0))
        return;
    bool agrees = fabs(ns / time - 1) <= OB_ACTIVITY_TOLERANCE;
    const char *why = agrees ? NULL : explanation(activity, ns, time);
    ortho_json_real(activity, "difference", ns / time - 1);
    if (time > OB_ACTIVITY_JUDGED_NS)
        json_object_set_new(activity, "agrees", json_boolean(agrees));
    if (why != NULL)
        ortho_json_text(activity, "why", why);
}

void ob_row_activity_set(json_t *row, const ob_activity_facts *a)
{
    if (a->is.status == NULL)
        return;
    json_t *o = json_object();
    if (set_words(o, &a->is)) {
        ortho_json_real(o, "ns", a->ns);
        if (a->timer_ns > 0)
            ortho_json_real(o, "timer_ns", a->timer_ns);
        ortho_json_int(o, "launches", (int64_t)a->launches);
        if (a->kernel_count > 0)
            json_object_set_new(o, "kernels", activity_kernels(a));
        set_count(o, "peak_device_bytes", a->peak_device_bytes);
        set_count(o, "allocator_bytes", a->allocator_bytes);
    }
    json_object_set_new(row, "activity", o);
    ob_row_activity_judge(row);
}

void ob_row_counters_set(json_t *row, json_t *counters)
{
    if (json_object_size(counters) > 0)
        json_object_set_new(row, "counters", counters);
    else
        json_decref(counters);
}
