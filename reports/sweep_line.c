#include "reports/sweep_line.h"

#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ortho_line_takes(const json_t *row, const char *key)
{
    double value = ortho_model_number(row, key);
    return row != NULL && ortho_plot_compared(row) && value > 1e-12 && value < 1e12;
}

/* Adds a timed row to the lines: for each its first row and the values that it has. */
static ortho_status note_row(json_t *lines, const json_t *results, size_t index, const char *key)
{
    char value[32];
    const json_t *row = ortho_model_row(results, index);
    char *id = ortho_model_group_id(row, key);
    json_t *line = id != NULL ? json_object_get(lines, id) : NULL;
    if (id != NULL && line == NULL) {
        line = json_pack("{s:I, s:{}}", "first", (json_int_t)index, "values");
        if (json_object_set_new(lines, id, line) != 0)
            line = NULL;
    }
    free(id);
    ortho_text_number(ortho_model_number(row, key), value);
    if (line == NULL ||
        json_object_set_new(json_object_get(line, "values"), value, json_true()) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to sort the results into lines");
    return ORTHO_OK;
}

static bool is_op(const json_t *row, const char *op)
{
    const char *its = ortho_model_string(row, "op");
    return its != NULL && strcmp(its, op) == 0;
}

static double weights_of(const json_t *row)
{
    double weights = ortho_model_number(row, "n") * ortho_model_number(row, "k");
    return isnan(weights) ? 0 : weights;
}

/* The row that begins the best line of an operation: the most values, then the most weights. NULL
 * when none has two values. */
static const json_t *best_line(const json_t *results, const json_t *lines, const char *op)
{
    const json_t *best = NULL;
    size_t most = 0;
    const char *id;
    json_t *line;
    json_object_foreach((json_t *)lines, id, line)
    {
        size_t index = (size_t)json_integer_value(json_object_get(line, "first"));
        size_t count = json_object_size(json_object_get(line, "values"));
        const json_t *row = ortho_model_row(results, index);
        if (is_op(row, op) && count >= 2 &&
            (count > most || (count == most && weights_of(row) > weights_of(best)))) {
            most = count;
            best = row;
        }
    }
    return best;
}

ortho_status ortho_line_best(const json_t *results, const char *key, const json_t **out)
{
    ortho_status status = ORTHO_OK;
    json_t *lines = json_object();
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (ortho_line_takes(row, key) && ortho_model_timed(row))
            status = note_row(lines, results, i, key);
    }
    if (status == ORTHO_OK) {
        const json_t *gemm = best_line(results, lines, "gemm");
        *out = gemm != NULL ? gemm : best_line(results, lines, "sieve");
    }
    json_decref(lines);
    return status;
}
