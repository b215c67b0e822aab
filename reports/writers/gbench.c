/*
 * gbench: Google Benchmark's own JSON, so that its tools (compare.py) read our results unchanged.
 *
 * Names are the keys of the cases, stable across runs. Every sample is one repetition of run_type
 * "iteration", followed by the aggregates mean, median, stddev and cv; a case without a verified
 * time is one row with error_occurred, error_message and both times at 0, as the library writes it.
 * We measure wall time: cpu_time repeats real_time. compare.py's test wants 9 repetitions: fewer
 * are said in `label`.
 */
#include "common/error.h"
#include "reports/emit.h"
#include "reports/measured.h"
#include "reports/model.h"
#include "reports/reports.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPETITIONS_WANTED 9

typedef struct family {
    const json_t *row;
    const char *name;
    int index; /* of the case in this file */
    size_t repetitions;
    double *samples; /* ns, positive and finite */
    const char *label;
    char fewer[96]; /* what label points to when there are few */
    FILE *out;
    bool *first;
} family;

/* A key whose value is unknown is left out. */
static void set_number(json_t *row, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(row, key, json_real(value));
}

static void set_integer(json_t *row, const char *key, double value)
{
    if (isfinite(value) && fabs(value) < 9e15)
        json_object_set_new(row, key, json_integer((json_int_t)value));
}

static void set_string(json_t *row, const char *key, const char *value)
{
    if (value != NULL)
        json_object_set_new(row, key, json_string(value));
}

/* ---- context -------------------------------------------------------------------------------- */

static json_t *build_context(const json_t *results)
{
    const json_t *c = ortho_model_at(results, "context");
    json_t *out = json_object();
    double cores = ortho_model_number(c, "cpu.threads"), mhz = ortho_model_number(c, "cpu.mhz");
    const char *governor = ortho_model_string(c, "cpu.governor");
    const char *date = ortho_model_string(c, "date"), *host = ortho_model_string(c, "host");
    const char *binary = ortho_model_string(c, "binary");
    /* The library's readers demand these keys: what we don't know is an empty or neutral value. */
    set_string(out, "date", date != NULL ? date : "");
    set_string(out, "host_name", host != NULL ? host : "");
    set_string(out, "executable", binary != NULL ? binary : "ortho-bench");
    set_integer(out, "num_cpus", isnan(cores) ? 1 : cores);
    set_integer(out, "mhz_per_cpu", isnan(mhz) ? 0 : round(mhz));
    json_object_set_new(out, "cpu_scaling_enabled",
                        json_boolean(governor != NULL && strcmp(governor, "performance") != 0));
    json_object_set_new(out, "caches", json_array());
    json_object_set_new(out, "load_avg", json_array());
    set_string(out, "library_build_type", "release");
    set_integer(out, "json_schema_version", 1);
    set_string(out, "ortho_commit", ortho_model_string(c, "commit"));
    set_string(out, "ortho_cpu", ortho_model_string(c, "cpu.model"));
    set_string(out, "ortho_gpu", ortho_model_string(c, "gpu.name"));
    set_string(out, "ortho_driver", ortho_model_string(c, "gpu.driver"));
    set_string(out, "ortho_model", ortho_model_string(c, "model.name"));
    set_string(out, "ortho_weights",
               ortho_model_synthetic(results) ? "synthetic: made, not trained" : "trained");
    return out;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static json_t *build_row(const family *f, const char *suffix, const char *run_type)
{
    json_t *row = json_object();
    size_t length = strlen(f->name) + strlen(suffix) + 1;
    char *name = malloc(length);
    if (name == NULL || row == NULL) {
        free(name);
        json_decref(row);
        return NULL;
    }
    snprintf(name, length, "%s%s", f->name, suffix);
    set_string(row, "name", name);
    free(name);
    set_integer(row, "family_index", f->index);
    set_integer(row, "per_family_instance_index", 0);
    set_string(row, "run_name", f->name);
    set_string(row, "run_type", run_type);
    set_integer(row, "repetitions", (double)f->repetitions);
    return row;
}

static ortho_status emit_row(const family *f, json_t *row)
{
    if (row == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a Google Benchmark row");
    fputs(*f->first ? "\n    " : ",\n    ", f->out);
    *f->first = false;
    ortho_status status = ortho_json_emit(row, 2, f->out);
    json_decref(row);
    return status;
}

static void set_times(json_t *row, double iterations, double time)
{
    set_integer(row, "iterations", iterations);
    set_number(row, "real_time", time);
    set_number(row, "cpu_time", time);
    set_string(row, "time_unit", "ns");
}

static ortho_status emit_error(const family *f)
{
    json_t *row = build_row(f, "", "iteration");
    char message[512];
    snprintf(message, sizeof message, "%s: %.480s",
             ortho_model_status_name(ortho_model_status(f->row)), ortho_model_reason(f->row));
    set_integer(row, "repetition_index", 0);
    set_integer(row, "threads", 1);
    json_object_set_new(row, "error_occurred", json_true());
    json_t *text = json_string(message); /* NULL when the cut broke a sequence of UTF-8 */
    json_object_set_new(
        row, "error_message",
        text != NULL ? text : json_string(ortho_model_status_name(ortho_model_status(f->row))));
    set_times(row, 0, 0);
    return emit_row(f, row);
}

/* What only a GPU's row has, and only a pass's. */
static void set_more(json_t *row, const family *f, double time)
{
    ortho_kernel_view kernel;
    double tokens = ortho_model_number(f->row, "m");
    if (ortho_model_pass(f->row))
        set_number(row, "tokens_per_second", tokens / time * 1e9);
    set_number(row, "device_bytes", ortho_model_number(f->row, "peak_bytes.device"));
    set_number(row, "sm_mhz", ortho_model_number(f->row, "clocks.sm_mhz.median"));
    if (ortho_model_throttled(f->row) > 0)
        set_number(row, "throttled_samples", (double)ortho_model_throttled(f->row));
    if (!ortho_model_kernel(f->row, &kernel))
        return;
    set_number(row, "registers", kernel.registers);
    set_number(row, "shared_bytes", kernel.shared_bytes);
    set_number(row, "spilled_bytes", kernel.spilled_bytes);
}

static ortho_status emit_sample(const family *f, size_t index)
{
    json_t *row = build_row(f, "", "iteration");
    double time = f->samples[index];
    double launches = ortho_model_number(f->row, "time_ns.launches_per_sample");
    double bytes = ortho_model_number(f->row, "bytes"), flops = ortho_model_number(f->row, "flops");
    set_integer(row, "repetition_index", (double)index);
    set_integer(row, "threads", 1);
    set_times(row, launches >= 1 ? launches : 1, time);
    if (bytes > 0)
        set_number(row, "bytes_per_second", bytes / time * 1e9);
    if (flops > 0)
        set_number(row, "flops_per_second", flops / time * 1e9);
    set_number(row, "working_bytes", ortho_model_number(f->row, "peak_bytes.working"));
    set_number(row, "active_lanes_predicted", ortho_model_lanes(f->row));
    set_number(row, "active_lanes_measured", ortho_measured_lanes(f->row));
    set_more(row, f, time);
    set_string(row, "label", f->label);
    return emit_row(f, row);
}

typedef struct aggregate {
    const char *name, *unit;
    double value;
} aggregate;

static ortho_status emit_aggregate(const family *f, const aggregate *a)
{
    char suffix[16];
    snprintf(suffix, sizeof suffix, "_%s", a->name);
    json_t *row = build_row(f, suffix, "aggregate");
    set_integer(row, "threads", 1);
    set_string(row, "aggregate_name", a->name);
    set_string(row, "aggregate_unit", a->unit);
    set_times(row, (double)f->repetitions, a->value);
    set_string(row, "label", f->label);
    return emit_row(f, row);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the samples: called after they were written in their order. */
static ortho_status emit_aggregates(const family *f)
{
    double mean = 0, squares = 0;
    size_t n = f->repetitions;
    if (n < 2)
        return ORTHO_OK;
    for (size_t i = 0; i < n; i++)
        mean += f->samples[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (f->samples[i] - mean) * (f->samples[i] - mean);
    qsort(f->samples, n, sizeof *f->samples, by_value);
    double median = (f->samples[(n - 1) / 2] + f->samples[n / 2]) / 2;
    double stddev = sqrt(squares / (double)(n - 1));
    const aggregate all[] = {{"mean", "time", mean},
                             {"median", "time", median},
                             {"stddev", "time", stddev},
                             {"cv", "percentage", stddev / mean}};
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && status == ORTHO_OK; i++)
        status = emit_aggregate(f, &all[i]);
    return status;
}

/* The samples that are times; the median alone where none were kept. */
static ortho_status take_samples(family *f)
{
    const json_t *samples = ortho_model_at(f->row, "time_ns.samples");
    size_t count = json_array_size(samples);
    f->samples = malloc((count + 1) * sizeof *f->samples);
    if (f->samples == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu samples", count);
    for (size_t i = 0; i < count; i++) {
        double sample = json_number_value(json_array_get(samples, i));
        if (isfinite(sample) && sample > 0)
            f->samples[f->repetitions++] = sample;
    }
    if (f->repetitions == 0)
        f->samples[f->repetitions++] = ortho_model_time(f->row);
    if (ortho_model_status(f->row) == ORTHO_CASE_AMBIGUOUS) {
        f->label = ortho_model_reason(f->row);
    } else if (f->repetitions < REPETITIONS_WANTED) {
        snprintf(f->fewer, sizeof f->fewer, "only %zu of the %d samples that compare.py wants",
                 f->repetitions, REPETITIONS_WANTED);
        f->label = f->fewer;
    }
    return ORTHO_OK;
}

static ortho_status emit_family(family *f)
{
    if (!ortho_model_timed(f->row)) {
        f->repetitions = 1;
        return emit_error(f);
    }
    ortho_status status = take_samples(f);
    for (size_t i = 0; i < f->repetitions && status == ORTHO_OK; i++)
        status = emit_sample(f, i);
    if (status == ORTHO_OK)
        status = emit_aggregates(f);
    free(f->samples);
    return status;
}

static ortho_status write_gbench(const json_t *results, const ortho_writer_options *options,
                                 FILE *out)
{
    (void)options;
    json_t *context = build_context(results);
    fputs("{\n  \"context\": ", out);
    ortho_status status = context != NULL ? ortho_json_emit(context, 1, out)
                                          : ortho_fail(ORTHO_E_MEMORY, "no memory for a context");
    json_decref(context);
    fputs(",\n  \"benchmarks\": [", out);
    bool first = true;
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++) {
        const json_t *row = ortho_model_row(results, i);
        const char *key = ortho_model_string(row, "key");
        family f = {.row = row,
                    .name = key != NULL ? key : "?",
                    .index = (int)i,
                    .out = out,
                    .first = &first};
        if (row != NULL)
            status = emit_family(&f);
    }
    fputs("\n  ]\n}\n", out);
    return status;
}

const ortho_writer ortho_writer_gbench = {
    .abi = ORTHO_REPORT_ABI,
    .name = "gbench",
    .extension = "gbench.json",
    .summary = "Google Benchmark's JSON, one repetition a sample, for compare.py",
    .write = write_gbench,
};
