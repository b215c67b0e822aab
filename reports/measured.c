#include "reports/measured.h"

#include <math.h>
#include <string.h>

static bool is_ok(const json_t *object)
{
    const char *status = ortho_model_string(object, "status");
    return status != NULL && strcmp(status, "ok") == 0;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

double ortho_measured_number(const json_t *row, const char *part, const char *key)
{
    const json_t *object = ortho_model_at(row, part);
    return ortho_model_timed(row) && is_ok(object) ? ortho_model_number(object, key) : NAN;
}

static double share(double value)
{
    return value >= 0 && value <= 1 ? value : NAN; /* else it is no share, whatever it is */
}

double ortho_measured_lanes(const json_t *row)
{
    return share(ortho_measured_number(row, "divergence.measured", "value"));
}

/* It carries no status: where it stands, it was counted. */
double ortho_exact_lanes(const json_t *row)
{
    return ortho_model_timed(row) ? share(ortho_model_number(row, "divergence.exact.value")) : NAN;
}

double ortho_measured_difference(const json_t *row)
{
    double predicted = ortho_model_lanes(row);
    return predicted > 0 ? ortho_measured_lanes(row) / predicted - 1 : NAN;
}

const char *ortho_measured_reason(const json_t *row)
{
    const json_t *measured = ortho_model_at(row, "divergence.measured");
    if (!json_is_object(measured) || !ortho_model_timed(row) || !isnan(ortho_measured_lanes(row)))
        return NULL;
    const char *reason = ortho_model_string(measured, "reason");
    return reason != NULL && *reason != '\0' ? reason : "no reason given";
}

bool ortho_lanes_histogram(const json_t *row, const char *path, double out[ORTHO_LANES])
{
    const json_t *list = ortho_model_at(row, path);
    double sum = 0;
    if (json_array_size(list) != ORTHO_LANES)
        return false;
    for (int i = 0; i < ORTHO_LANES; i++) {
        const json_t *number = json_array_get(list, (size_t)i);
        out[i] = json_is_number(number) ? json_number_value(number) : -1;
        if (!(out[i] >= 0))
            return false;
        sum += out[i];
    }
    return sum > 0 && isfinite(sum);
}

bool ortho_measured_histogram(const json_t *row, double out[ORTHO_LANES])
{
    return ortho_model_timed(row) && is_ok(ortho_model_at(row, "divergence.measured")) &&
           ortho_lanes_histogram(row, "divergence.measured.histogram", out);
}

bool ortho_exact_histogram(const json_t *row, double out[ORTHO_LANES])
{
    return ortho_model_timed(row) && ortho_lanes_histogram(row, "divergence.exact.histogram", out);
}

/* ---- activity ------------------------------------------------------------------------------- */

bool ortho_activity_disagrees(const json_t *row, ortho_activity *out)
{
    *out = (ortho_activity){.ns = ortho_measured_number(row, "activity", "ns"),
                            .time = ortho_model_time(row)};
    out->difference = out->ns / out->time - 1;
    return json_is_false(ortho_model_at(row, "activity.agrees")) && isfinite(out->difference);
}

/* ---- counters ------------------------------------------------------------------------------- */

const json_t *ortho_counters_of(const json_t *row)
{
    const json_t *counters = json_object_get(row, "counters");
    return json_object_size(counters) > 0 && ortho_model_timed(row) ? counters : NULL;
}

bool ortho_counter_read(const json_t *row, const char *name, ortho_counter *out)
{
    const json_t *counter = json_object_get(ortho_counters_of(row), name);
    if (counter == NULL)
        return false;
    const char *unit = ortho_model_string(counter, "unit");
    const char *reason = ortho_model_string(counter, "reason");
    double code = ortho_model_number(counter, "code");
    *out = (ortho_counter){.value = is_ok(counter) ? ortho_model_number(counter, "value") : NAN,
                           .unit = unit != NULL ? unit : ""};
    if (!isnan(out->value))
        return true;
    out->code = fabs(code) < 1e6 ? (int)code : 0;
    out->reason = is_ok(counter)                        ? "it calls itself ok and has no value"
                  : reason != NULL && reason[0] != '\0' ? reason
                                                        : "no reason given";
    return true;
}

bool ortho_counter_derived(const char *name, const json_t *counter)
{
    const char *group = ortho_model_string(counter, "group");
    size_t length = group != NULL ? strlen(group) : 0;
    return length > 0 && strncmp(name, group, length) == 0 && name[length] == '.';
}
