/*
 * density: time against the density of Ortho, one line a variant with its 95 % confidence band, for
 * one slice (reports/sweep.h). The density's axis is logarithmic, and the time's where the times
 * span 4 times or more: a cost in proportion to the entries is a straight line then. Rows that
 * weren't made by the sieve are named in the title. A ring marks the density at which a variant
 * costs what the baseline does.
 */
#include "reports/sweep.h"

#include <string.h>

static void put_title(const json_t *row, char *out, size_t size)
{
    const char *rows = ortho_model_string(row, "ortho_rows");
    bool skewed = rows != NULL && strcmp(rows, "sieve") != 0;
    snprintf(out, size, "Time against the density of Ortho%s%.40s",
             skewed         ? ", rows imposed: "
             : rows != NULL ? ", rows of the sieve"
                            : "",
             skewed ? rows : "");
}

static const ortho_sweep sweep = {
    .key = "density",
    .axis = "density: share of the weights in Ortho",
    .lack = "it needs two densities of one slice, as from --density 0.005,0.01,0.05",
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

const ortho_plot ortho_plot_density = {
    .abi = ORTHO_REPORT_ABI,
    .name = "density",
    .summary = "what does each further entry of Ortho cost?",
    .data = write_data,
    .body = write_body,
};
