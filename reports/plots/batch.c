/*
 * batch: time against the batch M (tokens multiplied at once), one line a variant with its 95 %
 * confidence band, for one slice (reports/sweep.h). The baseline, cuBLAS on a GPU, is the thick
 * line; a ring marks the batch at which a variant stops or begins to be faster.
 */
#include "reports/sweep.h"

static void put_title(const json_t *row, char *out, size_t size)
{
    snprintf(out, size, "Time against the batch%s",
             ortho_model_pass(row) ? ", one pass over all linears" : "");
}

static const ortho_sweep sweep = {
    .key = "m",
    .axis = "batch M: tokens multiplied at once",
    .lack = "it needs two batches of one slice, as from --batch 1,16,256",
    .title = put_title,
};

static ortho_status write_data(const json_t *results, FILE *tsv)
{
    return ortho_sweep_data(results, &sweep, tsv);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    return ortho_sweep_body(results, &sweep, gp);
}

const ortho_plot ortho_plot_batch = {
    .abi = ORTHO_REPORT_ABI,
    .name = "batch",
    .summary = "up to which batch does each variant win over the baseline?",
    .data = write_data,
    .body = write_body,
};
