#include "harness/commands/list_baselines.h"

#include "common/error.h"
#include "harness/baseline.h"
#include "harness/grid.h"
#include "reports/model.h"

#include <jansson.h>
#include <math.h>

static const ob_grid_column columns[] = {
    {"baseline", false, 0}, {"date", false, 0}, {"commit", false, 0}, {"device", false, 40},
    {"model", false, 40},   {"cases", true, 0}, {"", false, 0}};

static void add(ob_grid *grid, const json_t *b)
{
    char cases[32] = "";
    double count = ortho_model_number(b, "cases");
    if (!isnan(count))
        snprintf(cases, sizeof cases, "%.0f", count);
    const char *error = ortho_model_string(b, "error");
    const char *cells[] = {ortho_model_string(b, "name"),
                           ortho_model_string(b, "date"),
                           ortho_model_string(b, "commit"),
                           ortho_model_string(b, "device"),
                           ortho_model_string(b, "model"),
                           cases,
                           error                              ? error
                           : ortho_model_true(b, "synthetic") ? "SYNTHETIC"
                                                              : ""};
    ob_grid_add(grid, cells);
}

int ob_list_baselines(FILE *out, const ob_log *log)
{
    json_t *list = NULL;
    ob_grid grid = {.column = columns, .columns = sizeof columns / sizeof *columns};
    ortho_status status = ob_baseline_list(&list);
    if (status == ORTHO_OK && json_array_size(list) == 0)
        ob_log_note(log, "no baseline yet: `ortho-bench run --save-baseline NAME` makes one");
    for (size_t i = 0; i < json_array_size(list); i++)
        add(&grid, json_array_get(list, i));
    if (status == ORTHO_OK && grid.rows > 0)
        status = ob_grid_print(&grid, out);
    ob_grid_clear(&grid);
    json_decref(list);
    if (status == ORTHO_OK)
        return OB_EXIT_OK;
    ob_log_error(log, "%s", ortho_last_message());
    return OB_EXIT_RUNTIME;
}
