/*
 * gbench-median: Google Benchmark's JSON with one row a case, whose real_time is the median: for
 * tools that take every row for a benchmark of its own, as github-action-benchmark's `googlecpp`
 * and Bencher's `cpp_google` do. A case without a verified time is a row with an error, as in
 * gbench (tools that ignore error_occurred are better served by gha and bmf, which don't list it);
 * `label` tells that a case is ambiguous.
 */
#include "reports/gbench.h"
#include "reports/reports.h"

static ortho_status emit_median(ortho_gbench_case *c)
{
    double median = ortho_model_time(c->row);
    double launches = ortho_model_number(c->row, "time_ns.launches_per_sample");
    size_t samples = json_array_size(ortho_model_at(c->row, "time_ns.samples"));
    if (ortho_model_status(c->row) == ORTHO_CASE_AMBIGUOUS)
        c->label = ortho_model_reason(c->row);
    json_t *row = ortho_gbench_row(c, "", "iteration");
    ortho_gbench_integer(row, "repetition_index", 0);
    ortho_gbench_integer(row, "threads", 1);
    ortho_gbench_times(row, (launches >= 1 ? launches : 1) * (double)(samples > 0 ? samples : 1),
                       median);
    if (samples > 0)
        ortho_gbench_number(row, "samples", (double)samples);
    ortho_gbench_number(row, "time_lo_ns", ortho_model_number(c->row, "time_ns.lo"));
    ortho_gbench_number(row, "time_hi_ns", ortho_model_number(c->row, "time_ns.hi"));
    ortho_gbench_counters(row, c, median);
    return ortho_gbench_emit(c, row);
}

static ortho_status write_gbench_median(const json_t *results, const ortho_writer_options *options,
                                        FILE *out)
{
    (void)options;
    return ortho_gbench_write(results, emit_median, out);
}

const ortho_writer ortho_writer_gbench_median = {
    .abi = ORTHO_REPORT_ABI,
    .name = "gbench-median",
    .extension = "gbench-median.json",
    .summary = "Google Benchmark's JSON, one row a case at its median, no repetitions",
    .write = write_gbench_median,
};
