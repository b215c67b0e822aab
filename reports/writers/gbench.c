/*
 * gbench: Google Benchmark's own JSON, so that its tools (compare.py) read our results unchanged.
 *
 * Names are the keys of the cases, stable across runs. Every sample is one repetition of run_type
 * "iteration", followed by the aggregates mean, median, stddev and cv; a case without a verified
 * time is one row with error_occurred, error_message and both times at 0, as the library writes it.
 * We measure wall time: cpu_time repeats real_time. compare.py's test wants 9 repetitions: fewer
 * are said in `label`.
 */
#include "reports/gbench.h"

#include "common/error.h"
#include "reports/reports.h"

#include <math.h>
#include <stdlib.h>

#define REPETITIONS_WANTED 9

typedef struct family {
    ortho_gbench_case *c;
    double *samples; /* ns, positive and finite */
    char fewer[96];  /* what label points to when there are few */
} family;

static ortho_status emit_sample(const family *f, size_t index)
{
    json_t *row = ortho_gbench_row(f->c, "", "iteration");
    double launches = ortho_model_number(f->c->row, "time_ns.launches_per_sample");
    ortho_gbench_integer(row, "repetition_index", (double)index);
    ortho_gbench_integer(row, "threads", 1);
    ortho_gbench_times(row, launches >= 1 ? launches : 1, f->samples[index]);
    ortho_gbench_counters(row, f->c, f->samples[index]);
    return ortho_gbench_emit(f->c, row);
}

typedef struct aggregate {
    const char *name, *unit;
    double value;
} aggregate;

static ortho_status emit_aggregate(const family *f, const aggregate *a)
{
    char suffix[16];
    snprintf(suffix, sizeof suffix, "_%s", a->name);
    json_t *row = ortho_gbench_row(f->c, suffix, "aggregate");
    ortho_gbench_integer(row, "threads", 1);
    ortho_gbench_string(row, "aggregate_name", a->name);
    ortho_gbench_string(row, "aggregate_unit", a->unit);
    ortho_gbench_times(row, (double)f->c->repetitions, a->value);
    ortho_gbench_string(row, "label", f->c->label);
    return ortho_gbench_emit(f->c, row);
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
    size_t n = f->c->repetitions;
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
    const json_t *samples = ortho_model_at(f->c->row, "time_ns.samples");
    size_t count = json_array_size(samples);
    f->c->repetitions = 0;
    f->samples = malloc((count + 1) * sizeof *f->samples);
    if (f->samples == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu samples", count);
    for (size_t i = 0; i < count; i++) {
        double sample = json_number_value(json_array_get(samples, i));
        if (isfinite(sample) && sample > 0)
            f->samples[f->c->repetitions++] = sample;
    }
    if (f->c->repetitions == 0)
        f->samples[f->c->repetitions++] = ortho_model_time(f->c->row);
    if (ortho_model_status(f->c->row) == ORTHO_CASE_AMBIGUOUS) {
        f->c->label = ortho_model_reason(f->c->row);
    } else if (f->c->repetitions < REPETITIONS_WANTED) {
        snprintf(f->fewer, sizeof f->fewer, "only %zu of the %d samples that compare.py wants",
                 f->c->repetitions, REPETITIONS_WANTED);
        f->c->label = f->fewer;
    }
    return ORTHO_OK;
}

static ortho_status emit_family(ortho_gbench_case *c)
{
    family f = {.c = c};
    ortho_status status = take_samples(&f);
    for (size_t i = 0; i < c->repetitions && status == ORTHO_OK; i++)
        status = emit_sample(&f, i);
    if (status == ORTHO_OK)
        status = emit_aggregates(&f);
    free(f.samples);
    return status;
}

static ortho_status write_gbench(const json_t *results, const ortho_writer_options *options,
                                 FILE *out)
{
    (void)options;
    return ortho_gbench_write(results, emit_family, out);
}

const ortho_writer ortho_writer_gbench = {
    .abi = ORTHO_REPORT_ABI,
    .name = "gbench",
    .extension = "gbench.json",
    .summary = "Google Benchmark's JSON, one repetition a sample, for compare.py",
    .write = write_gbench,
};
