/*
 * bmf: Bencher Metric Format, {"case": {"measure": {"value", "lower_value", "upper_value"}}}. The
 * measures `latency` (ns) and `throughput` (operations a second) are Bencher's own; it makes the
 * others when it first sees them. lower and upper are the ends of the 95 % confidence interval.
 *
 * The format has no status and no words: a case without a verified time isn't listed, and one on
 * made-up weights has " (synthetic)" in its name, which keeps its history apart, too.
 */
#include "common/error.h"
#include "reports/emit.h"
#include "reports/export.h"
#include "reports/measured.h"
#include "reports/reports.h"

#include <math.h>
#include <stdlib.h>

typedef struct metric {
    double value, lower, upper; /* NAN: not told */
} metric;

/* A measure without a value is left out; so are bounds that don't hold it. */
static void set_metric(json_t *measures, const char *name, metric m)
{
    if (!isfinite(m.value))
        return;
    json_t *out = json_pack("{s:f}", "value", m.value);
    if (isfinite(m.lower) && m.lower <= m.value)
        json_object_set_new(out, "lower_value", json_real(m.lower));
    if (isfinite(m.upper) && m.upper >= m.value)
        json_object_set_new(out, "upper_value", json_real(m.upper));
    json_object_set_new(measures, name, out);
}

static metric alone(double value)
{
    return (metric){.value = value, .lower = NAN, .upper = NAN};
}

/* The time's interval; none where it was one sample. */
static metric latency(const json_t *row)
{
    metric m = alone(ortho_model_time(row));
    if (!isnan(ortho_model_half_width(row))) {
        m.lower = ortho_model_number(row, "time_ns.lo");
        m.upper = ortho_model_number(row, "time_ns.hi");
    }
    return m;
}

static metric per_second(metric time)
{
    return (metric){.value = 1e9 / time.value,
                    .lower = time.upper > 0 ? 1e9 / time.upper : NAN,
                    .upper = time.lower > 0 ? 1e9 / time.lower : NAN};
}

static json_t *build_measures(const json_t *row)
{
    json_t *out = json_object();
    metric time = latency(row);
    set_metric(out, "latency", time);
    set_metric(out, "throughput", per_second(time));
    set_metric(out, "tokens-per-second",
               (metric){.value = ortho_model_number(row, "tokens_per_s.value"),
                        .lower = ortho_model_number(row, "tokens_per_s.lo"),
                        .upper = ortho_model_number(row, "tokens_per_s.hi")});
    set_metric(out, "peak-working-bytes", alone(ortho_model_number(row, "peak_bytes.working")));
    set_metric(out, "weights-bytes", alone(ortho_model_number(row, "peak_bytes.weights")));
    set_metric(out, "active-lanes-predicted", alone(ortho_model_lanes(row)));
    set_metric(out, "active-lanes-measured", alone(ortho_measured_lanes(row)));
    return out;
}

/* NULL without memory. */
static json_t *build_document(const json_t *results)
{
    json_t *out = json_object();
    ortho_names names = {0};
    bool whole = out != NULL;
    for (size_t i = 0; i < ortho_model_count(results) && whole; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row == NULL || !ortho_model_timed(row))
            continue;
        char *name = ortho_names_take(&names, row,
                                      ortho_export_synthetic(results, row) ? " (synthetic)" : "");
        whole = name != NULL && json_object_set_new(out, name, build_measures(row)) == 0;
        free(name);
    }
    ortho_names_free(&names);
    if (whole)
        return out;
    json_decref(out);
    return NULL;
}

static ortho_status write_bmf(const json_t *results, const ortho_writer_options *options, FILE *out)
{
    (void)options;
    json_t *document = build_document(results);
    if (document == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for Bencher's metrics");
    ortho_status status = ortho_json_emit(document, 0, out);
    fputc('\n', out);
    json_decref(document);
    return status;
}

const ortho_writer ortho_writer_bmf = {
    .abi = ORTHO_REPORT_ABI,
    .name = "bmf",
    .extension = "bmf.json",
    .summary = "Bencher Metric Format, for `bencher run`; what failed isn't listed",
    .write = write_bmf,
};
