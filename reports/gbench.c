#include "reports/gbench.h"

#include "common/error.h"
#include "reports/emit.h"
#include "reports/measured.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ortho_gbench_number(json_t *row, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(row, key, json_real(value));
}

void ortho_gbench_integer(json_t *row, const char *key, double value)
{
    if (isfinite(value) && fabs(value) < 9e15)
        json_object_set_new(row, key, json_integer((json_int_t)value));
}

void ortho_gbench_string(json_t *row, const char *key, const char *value)
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
    ortho_gbench_string(out, "date", date != NULL ? date : "");
    ortho_gbench_string(out, "host_name", host != NULL ? host : "");
    ortho_gbench_string(out, "executable", binary != NULL ? binary : "ortho-bench");
    ortho_gbench_integer(out, "num_cpus", isnan(cores) ? 1 : cores);
    ortho_gbench_integer(out, "mhz_per_cpu", isnan(mhz) ? 0 : round(mhz));
    json_object_set_new(out, "cpu_scaling_enabled",
                        json_boolean(governor != NULL && strcmp(governor, "performance") != 0));
    json_object_set_new(out, "caches", json_array());
    json_object_set_new(out, "load_avg", json_array());
    ortho_gbench_string(out, "library_build_type", "release");
    ortho_gbench_integer(out, "json_schema_version", 1);
    ortho_gbench_string(out, "ortho_commit", ortho_model_string(c, "commit"));
    ortho_gbench_string(out, "ortho_cpu", ortho_model_string(c, "cpu.model"));
    ortho_gbench_string(out, "ortho_gpu", ortho_model_string(c, "gpu.name"));
    ortho_gbench_string(out, "ortho_driver", ortho_model_string(c, "gpu.driver"));
    ortho_gbench_string(out, "ortho_model", ortho_model_string(c, "model.name"));
    ortho_gbench_string(out, "ortho_weights",
                        ortho_model_synthetic(results) ? "synthetic: made, not trained"
                                                       : "trained");
    return out;
}

/* ---- rows ----------------------------------------------------------------------------------- */

json_t *ortho_gbench_row(const ortho_gbench_case *c, const char *suffix, const char *run_type)
{
    json_t *row = json_object();
    size_t length = strlen(c->name) + strlen(suffix) + 1;
    char *name = malloc(length);
    if (name == NULL || row == NULL) {
        free(name);
        json_decref(row);
        return NULL;
    }
    snprintf(name, length, "%s%s", c->name, suffix);
    ortho_gbench_string(row, "name", name);
    free(name);
    ortho_gbench_integer(row, "family_index", c->index);
    ortho_gbench_integer(row, "per_family_instance_index", 0);
    ortho_gbench_string(row, "run_name", c->name);
    ortho_gbench_string(row, "run_type", run_type);
    ortho_gbench_integer(row, "repetitions", (double)c->repetitions);
    return row;
}

ortho_status ortho_gbench_emit(const ortho_gbench_case *c, json_t *row)
{
    if (row == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a Google Benchmark row");
    fputs(*c->first ? "\n    " : ",\n    ", c->out);
    *c->first = false;
    ortho_status status = ortho_json_emit(row, 2, c->out);
    json_decref(row);
    return status;
}

void ortho_gbench_times(json_t *row, double iterations, double time)
{
    ortho_gbench_integer(row, "iterations", iterations);
    ortho_gbench_number(row, "real_time", time);
    ortho_gbench_number(row, "cpu_time", time);
    ortho_gbench_string(row, "time_unit", "ns");
}

/* What only a GPU's row has, and only a pass's. */
static void set_more(json_t *row, const ortho_gbench_case *c, double time)
{
    ortho_kernel_view kernel;
    double tokens = ortho_model_number(c->row, "m");
    if (ortho_model_pass(c->row))
        ortho_gbench_number(row, "tokens_per_second", tokens / time * 1e9);
    ortho_gbench_number(row, "device_bytes", ortho_model_number(c->row, "peak_bytes.device"));
    ortho_gbench_number(row, "sm_mhz", ortho_model_number(c->row, "clocks.sm_mhz.median"));
    if (ortho_model_throttled(c->row) > 0)
        ortho_gbench_number(row, "throttled_samples", (double)ortho_model_throttled(c->row));
    if (!ortho_model_kernel(c->row, &kernel))
        return;
    ortho_gbench_number(row, "registers", kernel.registers);
    ortho_gbench_number(row, "shared_bytes", kernel.shared_bytes);
    ortho_gbench_number(row, "spilled_bytes", kernel.spilled_bytes);
}

void ortho_gbench_counters(json_t *row, const ortho_gbench_case *c, double time)
{
    double bytes = ortho_model_number(c->row, "bytes"), flops = ortho_model_number(c->row, "flops");
    if (bytes > 0)
        ortho_gbench_number(row, "bytes_per_second", bytes / time * 1e9);
    if (flops > 0)
        ortho_gbench_number(row, "flops_per_second", flops / time * 1e9);
    ortho_gbench_number(row, "working_bytes", ortho_model_number(c->row, "peak_bytes.working"));
    ortho_gbench_number(row, "active_lanes_predicted", ortho_model_lanes(c->row));
    ortho_gbench_number(row, "active_lanes_measured", ortho_measured_lanes(c->row));
    set_more(row, c, time);
    ortho_gbench_string(row, "label", c->label);
}

static ortho_status emit_error(const ortho_gbench_case *c)
{
    json_t *row = ortho_gbench_row(c, "", "iteration");
    char message[512];
    snprintf(message, sizeof message, "%s: %.480s",
             ortho_model_status_name(ortho_model_status(c->row)), ortho_model_reason(c->row));
    ortho_gbench_integer(row, "repetition_index", 0);
    ortho_gbench_integer(row, "threads", 1);
    json_object_set_new(row, "error_occurred", json_true());
    ortho_text_trim(message);
    ortho_gbench_string(row, "error_message", message);
    ortho_gbench_times(row, 0, 0);
    return ortho_gbench_emit(c, row);
}

ortho_status ortho_gbench_write(const json_t *results, ortho_status (*timed)(ortho_gbench_case *),
                                FILE *out)
{
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
        ortho_gbench_case c = {.row = row,
                               .name = key != NULL ? key : "?",
                               .index = (int)i,
                               .repetitions = 1,
                               .out = out,
                               .first = &first};
        if (row != NULL)
            status = ortho_model_timed(row) ? timed(&c) : emit_error(&c);
    }
    fputs("\n  ]\n}\n", out);
    return status;
}
