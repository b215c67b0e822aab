#include "harness/results.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* JSON has no NaN and no infinity: such a figure is absent. */
static void set_real(json_t *object, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(object, key, json_real(value));
}

static void set_int(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
}

/* A pass is of all its linears: it has no layer, and no one shape. */
static void set_where(json_t *row, const ob_case *c, const ob_options *o)
{
    int64_t group = c->group;
    if (c->pass) {
        set_int(row, "linears", c->linears);
        group = o->rule == ORTHO_RULE_LEGACY ? 0 : o->group;
    } else {
        set_int(row, "layer", c->slice->layer);
        set_text(row, "proj", c->slice->proj);
        set_text(row, "tensor", c->slice->tensor->name);
        set_int(row, "n", c->slice->n);
        set_int(row, "k", c->slice->k);
        group = o->rule == ORTHO_RULE_LEGACY ? c->slice->k : c->group;
    }
    set_real(row, "density", c->density);
    set_int(row, "nnz", c->nnz);
    set_text(row, "rule", ob_rule_name(o->rule));
    if (group > 0) /* whole rows of several lengths have no number */
        set_int(row, "group", group);
}

json_t *ob_row_new(const ob_case *c, const ob_options *o, bool synthetic)
{
    json_t *row = json_object();
    set_text(row, "key", c->key);
    set_text(row, "op", c->sieve ? "sieve" : "gemm");
    set_text(row, "variant", c->variant->name);
    set_text(row, "role", ob_role_name(c->variant->role));
    set_text(row, "backend", ob_backend_name(c->variant->backend));
    set_where(row, c, o);
    if (!c->sieve) {
        set_int(row, "m", c->m);
        set_text(row, "dtype", ob_dtype_word(c->dtype));
        set_real(row, "alpha", o->alpha);
        set_text(row, "ortho_rows", o->ortho_rows);
    }
    set_text(row, "l2", c->pass ? "pass" : ob_l2_name(o->l2));
    json_object_set_new(row, "synthetic", json_boolean(synthetic));
    return row;
}

void ob_row_status(json_t *row, const char *status, const char *reason)
{
    set_text(row, "status", status);
    if (reason != NULL && reason[0] != '\0')
        set_text(row, "reason", reason);
}

void ob_row_verified_set(json_t *row, const ob_row_verified *v)
{
    json_t *o = json_object();
    if (v->before != NULL)
        set_text(o, "before", v->before);
    if (v->after != NULL)
        set_text(o, "after", v->after);
    if (v->verdict != NULL && v->verdict->tolerance > 0) {
        set_real(o, "rel_error", v->verdict->rel_error);
        set_real(o, "tolerance", v->verdict->tolerance);
    }
    if (v->verdict != NULL && v->verdict->checked[0] != '\0') {
        char text[256];
        snprintf(text, sizeof text, "%s%s%.0d%s", v->verdict->checked,
                 v->copies > 1 ? ", of each of " : "", v->copies > 1 ? v->copies : 0,
                 v->copies > 1 ? " copies" : "");
        set_text(o, "checked", text);
    }
    json_object_set_new(row, "verified", o);
}

void ob_row_time_set(json_t *row, const ob_row_time *t, ob_interval *ci)
{
    const ob_sampler_lane *lane = t->lane;
    *ci = ob_bootstrap_median(lane->samples, lane->count, 0.95, 2000, t->seed);
    json_t *o = json_object(), *samples = json_array();
    set_real(o, "median", ob_median(lane->samples, lane->count));
    set_real(o, "lo", ci->lo);
    set_real(o, "hi", ci->hi);
    set_real(o, "mad", ob_mad(lane->samples, lane->count));
    set_int(o, "outliers", (int64_t)ob_outliers(lane->samples, lane->count));
    set_text(o, "stop",
             lane->stop == OB_STOP_CONVERGED ? "converged"
             : lane->stop == OB_STOP_TIMEOUT ? "timeout"
                                             : "interrupted");
    set_int(o, "launches_per_sample", t->launches);
    set_int(o, "copies", t->copies);
    if (t->flushed)
        json_object_set_new(o, "flushed", json_true());
    for (size_t i = 0; i < lane->count; i++)
        json_array_append_new(samples, json_real(lane->samples[i]));
    json_object_set_new(o, "samples", samples);
    json_object_set_new(row, "time_ns", o);
}

void ob_row_cost_set(json_t *row, const ortho_cost *cost)
{
    set_real(row, "bytes", cost->bytes);
    set_real(row, "flops", cost->flops);
}

void ob_row_floor_set(json_t *row, double floor_ns, const char *of)
{
    set_real(row, "floor_ns", floor_ns);
    set_text(row, "floor_of", of);
}

void ob_row_speedup_set(json_t *row, const char *over, const ob_sampler_lane *baseline,
                        const ob_sampler_lane *lane, uint64_t seed)
{
    ob_interval ci = ob_bootstrap_ratio(baseline->samples, baseline->count, lane->samples,
                                        lane->count, 0.95, 2000, seed);
    double median = ob_median(lane->samples, lane->count);
    if (!(median > 0))
        return;
    json_t *o = json_object();
    set_text(o, "over", over);
    set_real(o, "ratio", ob_median(baseline->samples, baseline->count) / median);
    set_real(o, "lo", ci.lo);
    set_real(o, "hi", ci.hi);
    json_object_set_new(row, "speedup", o);
}

void ob_row_tokens_set(json_t *row, int64_t m)
{
    const json_t *time = json_object_get(row, "time_ns");
    double median = json_real_value(json_object_get(time, "median"));
    double lo = json_real_value(json_object_get(time, "lo"));
    double hi = json_real_value(json_object_get(time, "hi"));
    if (!(median > 0) || !(lo > 0) || !(hi > 0))
        return;
    json_t *o = json_object();
    set_real(o, "value", 1e9 * (double)m / median);
    set_real(o, "lo", 1e9 * (double)m / hi);
    set_real(o, "hi", 1e9 * (double)m / lo);
    json_object_set_new(row, "tokens_per_s", o);
}

static void add_kernel(void *ctx, const ortho_kernel_facts *k)
{
    json_t *o = json_object();
    set_text(o, "name", k->name);
    set_int(o, "threads", k->threads);
    set_int(o, "registers", k->registers);
    set_int(o, "shared_bytes", (int64_t)k->shared_bytes);
    set_int(o, "spilled_bytes", (int64_t)k->spilled_bytes);
    json_array_append_new(ctx, o);
}

ortho_kernel_sink ob_row_kernels(json_t *row)
{
    json_t *list = json_object_get(row, "kernels");
    if (list == NULL) {
        list = json_array();
        json_object_set_new(row, "kernels", list);
    }
    return (ortho_kernel_sink){.ctx = list, .kernel = add_kernel};
}

void ob_row_peaks_set(json_t *row, const size_t peak[3], size_t host, size_t device)
{
    json_t *o = json_object();
    set_int(o, "working", (int64_t)peak[ORTHO_WORKING]);
    set_int(o, "weights", (int64_t)peak[ORTHO_WEIGHTS]);
    set_int(o, "output", (int64_t)peak[ORTHO_OUTPUT]);
    if (host > 0)
        set_int(o, "host", (int64_t)host);
    if (device > 0)
        set_int(o, "device", (int64_t)device);
    json_object_set_new(row, "peak_bytes", o);
}

/* ---- divergence ----------------------------------------------------------------------------- */

static json_t *part_of(json_t *row, const char *name)
{
    json_t *part = json_object_get(row, name);
    if (part == NULL) {
        part = json_object();
        json_object_set_new(row, name, part);
    }
    return part;
}

static void set_count(json_t *object, const char *key, double value)
{
    if (value >= 0 && value < 9e15)
        set_int(object, key, (int64_t)value);
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
    bool ok = strcmp(is->status, "ok") == 0;
    set_text(object, "status", is->status);
    if (!ok && is->reason != NULL && is->reason[0] != '\0')
        set_text(object, "reason", is->reason);
    return ok;
}

/* Whichever of the two was set last. */
static void set_difference(json_t *divergence)
{
    json_t *measured = json_object_get(divergence, "measured");
    double value = json_real_value(json_object_get(measured, "value"));
    double predicted =
        json_real_value(json_object_get(json_object_get(divergence, "predicted"), "value"));
    if (json_object_get(measured, "value") != NULL && predicted > 0)
        set_real(measured, "difference", value / predicted - 1);
}

/* Nothing where nothing was issued: there is no ratio. */
static void set_lanes(json_t *row, const char *part, const ob_divergence *d)
{
    double ratio;
    if (!ob_divergence_ratio(d, &ratio))
        return;
    json_t *divergence = part_of(row, "divergence"), *o = json_object();
    set_real(o, "value", ratio);
    set_histogram(o, d->histogram);
    json_object_set_new(divergence, part, o);
    set_difference(divergence);
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
    set_real(o, "value", m->loop.value);
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
    set_real(o, "value", m->kernel.value);
    set_real(o, "enabled", m->kernel.enabled);
    set_count(o, "divergent_branches", m->kernel.divergent_branches);
    set_real(o, "branch_efficiency", m->kernel.branch_efficiency);
    return o;
}

void ob_row_measured_set(json_t *row, const ob_measured *m)
{
    if (m->loop.is.status != NULL) {
        json_t *divergence = part_of(row, "divergence");
        json_object_set_new(divergence, "measured", loop_object(m));
        set_difference(divergence);
    }
    if (m->kernel.is.status != NULL)
        json_object_set_new(part_of(row, "divergence"), "kernel", kernel_object(m));
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
        set_text(o, "name", k->name);
        set_real(o, "ns", k->ns);
        json_object_set_new(o, "grid", dimensions(k->grid));
        json_object_set_new(o, "block", dimensions(k->block));
        set_int(o, "registers", k->registers);
        set_int(o, "static_shared", k->static_shared);
        set_int(o, "dynamic_shared", k->dynamic_shared);
        json_array_append_new(list, o);
    }
    return list;
}

/* Beside the row's own time. */
static void set_agreement(json_t *o, const json_t *row, double ns)
{
    double time = json_number_value(json_object_get(json_object_get(row, "time_ns"), "median"));
    if (!(time > 0) || !isfinite(ns))
        return;
    set_real(o, "difference", ns / time - 1);
    if (time > OB_ACTIVITY_JUDGED_NS)
        json_object_set_new(o, "agrees",
                            json_boolean(fabs(ns / time - 1) <= OB_ACTIVITY_TOLERANCE));
}

void ob_row_activity_set(json_t *row, const ob_activity_facts *a)
{
    if (a->is.status == NULL)
        return;
    json_t *o = json_object();
    if (set_words(o, &a->is)) {
        set_real(o, "ns", a->ns);
        set_int(o, "launches", (int64_t)a->launches);
        set_agreement(o, row, a->ns);
        if (a->kernel_count > 0)
            json_object_set_new(o, "kernels", activity_kernels(a));
        set_count(o, "peak_device_bytes", a->peak_device_bytes);
        set_count(o, "allocator_bytes", a->allocator_bytes);
    }
    json_object_set_new(row, "activity", o);
}

void ob_row_counters_set(json_t *row, json_t *counters)
{
    if (json_object_size(counters) > 0)
        json_object_set_new(row, "counters", counters);
    else
        json_decref(counters);
}

/* ---- quality -------------------------------------------------------------------------------- */

void ob_row_quality_set(json_t *row, const ortho_quality *q, bool four_bit)
{
    json_t *o = json_object();
    if (four_bit) {
        set_text(o, "status", "n/a (4-bit source)");
    } else {
        set_real(o, "rel_frobenius", q->rel_frobenius);
        set_real(o, "h_weighted", q->h_weighted);
        set_real(o, "snr_db", q->snr_db);
        set_real(o, "cosine", q->cosine);
        set_real(o, "max_abs", q->max_abs);
        set_real(o, "clip_rate", q->clip_rate);
    }
    set_real(o, "bits_per_weight", q->bits_per_weight);
    set_int(o, "nnz", q->nnz);
    set_real(o, "row_cv", q->row_cv);
    set_int(o, "row_max", q->row_max);
    set_real(o, "empty_rows", q->empty_rows);
    json_object_set_new(row, "quality", o);
}
