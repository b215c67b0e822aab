#include "harness/spread.h"

#include "common/error.h"
#include "common/output.h"
#include "common/stats.h"
#include "harness/state.h"
#include "reports/model.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA      "ortho-bench-spread/1"
#define SPREAD_MOST 10.0 /* a larger one is no spread */

/* ---- finding it out -------------------------------------------------------------------------- */

/* The medians of a row's processes, at most `max`; how many, 0 where the lists don't fit. */
static size_t medians_of(const json_t *row, double *medians, size_t max)
{
    const json_t *samples = ortho_model_at(row, "time_ns.samples");
    const json_t *processes = ortho_model_at(row, "time_ns.processes");
    size_t count = json_array_size(processes), total = json_array_size(samples), from = 0;
    double *values = count >= 1 && count <= max ? malloc((total + 1) * sizeof *values) : NULL;
    if (values == NULL)
        return 0;
    for (size_t i = 0; i < total; i++)
        values[i] = json_number_value(json_array_get(samples, i));
    for (size_t i = 0; i < count; i++) {
        json_int_t its = json_integer_value(json_array_get(processes, i));
        if (its < 1 || (size_t)its > total - from) {
            count = 0;
            break;
        }
        medians[i] = ortho_median(values + from, (size_t)its);
        from += (size_t)its;
    }
    free(values);
    return count;
}

/* The sample standard deviation of the logarithms; NAN where there are too few, or one isn't a
 * time. */
static double deviation(const double *medians, size_t count)
{
    double mean = 0, squares = 0;
    if (count < 3)
        return NAN;
    for (size_t i = 0; i < count; i++)
        mean += log(medians[i]) / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (log(medians[i]) - mean) * (log(medians[i]) - mean);
    return sqrt(squares / (double)(count - 1));
}

/* The deviation of a row's processes; NAN where the row doesn't stand or can't tell it. */
static double deviation_of(const json_t *row)
{
    enum { MOST = 1024 }; /* processes of a document that we didn't write */
    double medians[MOST];
    if (row == NULL || !(ortho_model_time(row) >= OB_SPREAD_LEAST_NS))
        return NAN;
    return deviation(medians, medians_of(row, medians, MOST));
}

double ob_spread_of(const json_t *document, size_t *cases)
{
    size_t rows = ortho_model_count(document);
    double *found = malloc((rows + 1) * sizeof *found);
    *cases = 0;
    for (size_t i = 0; found != NULL && i < rows; i++) {
        double its = deviation_of(ortho_model_row(document, i));
        if (isfinite(its))
            found[(*cases)++] = its;
    }
    double share = ortho_quantile(found, *cases, 0.75);
    free(found);
    return share;
}

json_t *ob_spread_variants_of(const json_t *document)
{
    json_t *found = json_object();
    for (size_t i = 0; found != NULL && i < ortho_model_count(document); i++) {
        const json_t *row = ortho_model_row(document, i);
        const char *op = ortho_model_string(row, "op"),
                   *variant = ortho_model_string(row, "variant");
        const char *backend = ortho_model_string(row, "backend");
        char name[160];
        double its = deviation_of(row);
        if (!isfinite(its) || op == NULL || variant == NULL || backend == NULL ||
            snprintf(name, sizeof name, "%s/%s/%s", op, variant, backend) >= (int)sizeof name)
            continue;
        if (its > json_number_value(json_object_get(found, name)))
            json_object_set_new(found, name, json_real(its));
    }
    return found;
}

/* ---- keeping it ------------------------------------------------------------------------------ */

/* The file's machines; NULL when there are none, or when it can't be made out, which *damaged
 * tells. The caller owns a reference. */
static json_t *read_machines(const char *path, bool *damaged)
{
    json_error_t error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    json_t *machines = json_object_get(file, "machines");
    const char *schema = ortho_model_string(file, "schema");
    bool good = schema != NULL && strcmp(schema, SCHEMA) == 0 && json_is_object(machines);
    *damaged = !good && (file != NULL || json_error_code(&error) != json_error_cannot_open_file);
    machines = good ? json_incref(machines) : NULL;
    json_decref(file);
    return machines;
}

static ortho_status write_machines(const char *path, json_t *machines)
{
    ortho_output output = {0};
    json_t *file = json_pack("{s:s, s:O}", "schema", SCHEMA, "machines", machines);
    ortho_status status = file != NULL ? ortho_output_begin(path, &output)
                                       : ortho_fail(ORTHO_E_MEMORY, "no memory for %s", path);
    if (status == ORTHO_OK &&
        (json_dumpf(file, output.stream, JSON_INDENT(2)) != 0 || fputc('\n', output.stream) == EOF))
        status = ortho_fail(ORTHO_E_IO, "can't write %s", path);
    if (status == ORTHO_OK)
        status = ortho_output_commit(&output);
    else
        ortho_output_abort(&output);
    json_decref(file);
    return status;
}

/* How many processes the rows were timed in at most. */
static size_t processes_of(const json_t *document)
{
    size_t most = 0;
    for (size_t i = 0; i < ortho_model_count(document); i++) {
        size_t its =
            json_array_size(ortho_model_at(ortho_model_row(document, i), "time_ns.processes"));
        most = its > most ? its : most;
    }
    return most;
}

static json_t *entry_of(const json_t *document, double share, size_t cases)
{
    const char *date = ortho_model_string(document, "context.date");
    const char *binary = ortho_model_string(document, "context.binary");
    return json_pack("{s:f, s:I, s:I, s:s, s:s, s:o}", "share", share, "cases", (json_int_t)cases,
                     "processes", (json_int_t)processes_of(document), "date",
                     date != NULL ? date : "", "binary", binary != NULL ? binary : "", "variants",
                     ob_spread_variants_of(document));
}

ortho_status ob_spread_keep(const json_t *document, char told[256])
{
    char path[PATH_MAX];
    size_t cases;
    bool damaged = false;
    double share = ob_spread_of(document, &cases);
    const char *device = ortho_model_device(document);
    told[0] = '\0';
    if (cases < OB_SPREAD_CASES || device == NULL)
        return ORTHO_OK;
    ortho_status status = ob_state_path("spread.json", path);
    if (status == ORTHO_OK)
        status = ob_state_make(path);
    if (status != ORTHO_OK)
        return status;
    json_t *machines = read_machines(path, &damaged);
    if (machines == NULL)
        machines = json_object();
    json_object_set_new(machines, device, entry_of(document, share, cases));
    status = write_machines(path, machines);
    json_decref(machines);
    if (status == ORTHO_OK)
        snprintf(told, 256,
                 "processes of this machine are %.2g %% apart (%zu cases): kept in %.120s%s",
                 100 * share, cases, path, damaged ? ", which was damaged: it begins anew" : "");
    return status;
}

bool ob_spread_known(const char *device, double *share, char from[128])
{
    char path[PATH_MAX];
    bool damaged;
    if (device == NULL || ob_state_path("spread.json", path) != ORTHO_OK)
        return false;
    json_t *machines = read_machines(path, &damaged);
    const json_t *entry = json_object_get(machines, device);
    double its = ortho_model_number(entry, "share");
    double cases = ortho_model_number(entry, "cases");
    double processes = ortho_model_number(entry, "processes");
    const char *date = ortho_model_string(entry, "date");
    bool known = its >= 0 && its < SPREAD_MOST && cases >= 1 && processes >= 3;
    if (known) {
        *share = its;
        snprintf(from, 128, "%.0f cases in %.0f processes%s%.10s", cases, processes,
                 date != NULL && date[0] != '\0' ? ", " : "", date != NULL ? date : "");
    }
    json_decref(machines);
    return known;
}

json_t *ob_spread_variants(const char *device)
{
    char path[PATH_MAX];
    bool damaged;
    const char *name;
    json_t *value;
    if (device == NULL || ob_state_path("spread.json", path) != ORTHO_OK)
        return NULL;
    json_t *machines = read_machines(path, &damaged), *known = json_object();
    json_object_foreach((json_t *)ortho_model_at(json_object_get(machines, device), "variants"),
                        name, value)
    {
        double its = json_number_value(value);
        if (its > 0 && its < SPREAD_MOST)
            json_object_set_new(known, name, json_real(its));
    }
    json_decref(machines);
    return known;
}
