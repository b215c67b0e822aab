#include "harness/results.h"
#include "reports/json_set.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A pass is of all its linears: it has no layer, and no one shape. */
static void set_where(json_t *row, const ob_case *c, const ob_options *o)
{
    int64_t group = c->group;
    if (c->pass) {
        ortho_json_int(row, "linears", c->linears);
        ortho_json_text(row, "form", ob_form_name(c->form));
        group = o->rule == ORTHO_RULE_LEGACY ? 0 : o->group;
    } else {
        ortho_json_int(row, "layer", c->slice->layer);
        ortho_json_text(row, "proj", c->slice->proj);
        ortho_json_text(row, "tensor", c->slice->tensor->name);
        ortho_json_int(row, "n", c->slice->n);
        ortho_json_int(row, "k", c->slice->k);
        group = o->rule == ORTHO_RULE_LEGACY ? c->slice->k : c->group;
    }
    ortho_json_real(row, "density", c->density);
    ortho_json_int(row, "nnz", c->nnz);
    ortho_json_text(row, "rule", ob_rule_name(o->rule));
    if (group > 0) /* whole rows of several lengths have no number */
        ortho_json_int(row, "group", group);
}

json_t *ob_row_new(const ob_case *c, const ob_options *o, bool synthetic)
{
    json_t *row = json_object();
    ortho_json_text(row, "key", c->key);
    ortho_json_text(row, "op", c->sieve ? "sieve" : "gemm");
    ortho_json_text(row, "variant", c->variant->name);
    ortho_json_text(row, "role", ob_role_name(c->variant->role));
    ortho_json_text(row, "backend", ob_backend_name(c->variant->backend));
    set_where(row, c, o);
    if (!c->sieve) {
        ortho_json_int(row, "m", c->m);
        ortho_json_text(row, "dtype", ob_dtype_word(c->dtype));
        ortho_json_real(row, "alpha", o->alpha);
        ortho_json_text(row, "ortho_rows", o->ortho_rows);
        if (c->activations == ORTHO_ACTIVATIONS_INT8)
            ortho_json_text(row, "activations", "int8");
    }
    ortho_json_text(row, "l2", c->pass ? "pass" : ob_l2_name(o->l2));
    json_object_set_new(row, "synthetic", json_boolean(synthetic));
    return row;
}

uint64_t ob_row_seed(uint64_t seed, const char *key)
{
    uint64_t h = seed ^ 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *c = key; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    return h;
}

bool ob_row_stands(const json_t *row)
{
    const char *status = json_string_value(json_object_get(row, "status"));
    return status != NULL && (strcmp(status, "ok") == 0 || strcmp(status, "ambiguous") == 0);
}

void ob_row_status(json_t *row, const char *status, const char *reason)
{
    ortho_json_text(row, "status", status);
    if (reason != NULL && reason[0] != '\0')
        ortho_json_text(row, "reason", reason);
}

void ob_row_way_set(json_t *row, const char *way, bool usual)
{
    ortho_json_text(row, "way", way);
    json_object_set_new(row, "way_usual", json_boolean(usual));
}

void ob_row_verified_set(json_t *row, const ob_row_verified *v)
{
    json_t *o = json_object();
    if (v->before != NULL)
        ortho_json_text(o, "before", v->before);
    if (v->after != NULL)
        ortho_json_text(o, "after", v->after);
    if (v->verdict != NULL && v->verdict->tolerance > 0) {
        ortho_json_real(o, "rel_error", v->verdict->rel_error);
        ortho_json_real(o, "tolerance", v->verdict->tolerance);
    }
    if (v->verdict != NULL && v->verdict->checked[0] != '\0') {
        char text[256];
        snprintf(text, sizeof text, "%s%s%.0d%s", v->verdict->checked,
                 v->copies > 1 ? ", of each of " : "", v->copies > 1 ? v->copies : 0,
                 v->copies > 1 ? " copies" : "");
        ortho_json_text(o, "checked", text);
    }
    json_object_set_new(row, "verified", o);
}

void ob_row_time_set(json_t *row, const ob_row_time *t, ortho_interval *ci)
{
    const ob_sampler_lane *lane = t->lane;
    *ci = ortho_bootstrap_median(lane->samples, lane->count, 0.95, 2000, t->seed);
    json_t *o = json_object(), *samples = json_array();
    ortho_json_real(o, "median", ortho_median(lane->samples, lane->count));
    ortho_json_real(o, "lo", ci->lo);
    ortho_json_real(o, "hi", ci->hi);
    ortho_json_real(o, "mad", ortho_mad(lane->samples, lane->count));
    ortho_json_int(o, "outliers", (int64_t)ortho_outliers(lane->samples, lane->count));
    ortho_json_text(o, "stop",
                    lane->stop == OB_STOP_CONVERGED ? "converged"
                    : lane->stop == OB_STOP_TIMEOUT ? "timeout"
                                                    : "interrupted");
    ortho_json_int(o, "launches_per_sample", t->launches);
    ortho_json_int(o, "copies", t->copies);
    if (t->flushed)
        json_object_set_new(o, "flushed", json_true());
    for (size_t i = 0; i < lane->count; i++)
        json_array_append_new(samples, json_real(lane->samples[i]));
    json_object_set_new(o, "samples", samples);
    json_object_set_new(row, "time_ns", o);
}

void ob_row_cost_set(json_t *row, const ortho_cost *cost)
{
    ortho_json_real(row, "bytes", cost->bytes);
    ortho_json_real(row, "flops", cost->flops);
}

void ob_row_floor_set(json_t *row, double floor_ns, const char *of)
{
    ortho_json_real(row, "floor_ns", floor_ns);
    ortho_json_text(row, "floor_of", of);
}

void ob_row_speedup_set(json_t *row, const char *key, const ob_row_speedup *s)
{
    const ob_sampler_lane *baseline = s->baseline, *lane = s->lane;
    ortho_interval ci = ortho_bootstrap_ratio(baseline->samples, baseline->count, lane->samples,
                                              lane->count, 0.95, 2000, s->seed);
    double median = ortho_median(lane->samples, lane->count);
    if (!(median > 0))
        return;
    json_t *o = json_object();
    ortho_json_text(o, "over", s->over);
    ortho_json_real(o, "ratio", ortho_median(baseline->samples, baseline->count) / median);
    ortho_json_real(o, "lo", ci.lo);
    ortho_json_real(o, "hi", ci.hi);
    json_object_set_new(row, key, o);
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
    ortho_json_real(o, "value", 1e9 * (double)m / median);
    ortho_json_real(o, "lo", 1e9 * (double)m / hi);
    ortho_json_real(o, "hi", 1e9 * (double)m / lo);
    json_object_set_new(row, "tokens_per_s", o);
}

void ob_row_grouping_set(json_t *row, const char *how)
{
    ortho_json_text(row, "grouping", how);
}

static void add_kernel(void *ctx, const ortho_kernel_facts *k)
{
    json_t *o = json_object();
    ortho_json_text(o, "name", k->name);
    ortho_json_int(o, "threads", k->threads);
    ortho_json_int(o, "registers", k->registers);
    ortho_json_int(o, "shared_bytes", (int64_t)k->shared_bytes);
    ortho_json_int(o, "spilled_bytes", (int64_t)k->spilled_bytes);
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
    ortho_json_int(o, "working", (int64_t)peak[ORTHO_WORKING]);
    ortho_json_int(o, "weights", (int64_t)peak[ORTHO_WEIGHTS]);
    ortho_json_int(o, "output", (int64_t)peak[ORTHO_OUTPUT]);
    if (host > 0)
        ortho_json_int(o, "host", (int64_t)host);
    if (device > 0)
        ortho_json_int(o, "device", (int64_t)device);
    json_object_set_new(row, "peak_bytes", o);
}

/* ---- quality -------------------------------------------------------------------------------- */

static json_t *held_out_of(const ob_quality *quality)
{
    json_t *o = json_object();
    ortho_json_real(o, "h_weighted", quality->held_out_h_weighted);
    if (quality->tokens > 0) {
        ortho_json_int(o, "tokens", quality->tokens);
        ortho_json_real(o, "output_rel_mse", quality->output_rel_mse);
        ortho_json_real(o, "output_snr_db", -10 * log10(quality->output_rel_mse));
    }
    return o;
}

void ob_row_quality_set(json_t *row, const ob_quality *quality, bool four_bit)
{
    const ortho_quality *q = &quality->own;
    json_t *o = json_object();
    if (four_bit) {
        ortho_json_text(o, "status", "n/a (4-bit source)");
    } else {
        ortho_json_real(o, "rel_frobenius", q->rel_frobenius);
        ortho_json_real(o, "h_weighted", q->h_weighted);
        ortho_json_real(o, "snr_db", q->snr_db);
        ortho_json_real(o, "cosine", q->cosine);
        ortho_json_real(o, "max_abs", q->max_abs);
        ortho_json_real(o, "clip_rate", q->clip_rate);
        if (quality->held_out)
            json_object_set_new(o, "held_out", held_out_of(quality));
    }
    ortho_json_real(o, "bits_per_weight", q->bits_per_weight);
    ortho_json_int(o, "nnz", q->nnz);
    ortho_json_real(o, "row_cv", q->row_cv);
    ortho_json_int(o, "row_max", q->row_max);
    ortho_json_real(o, "empty_rows", q->empty_rows);
    json_object_set_new(row, "quality", o);
}
