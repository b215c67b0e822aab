#include "harness/clocks.h"

#include "common/stats.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static bool push_clock(ob_clocks *c, double mhz)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity > 0 ? 2 * c->capacity : 64;
        double *grown = realloc(c->sm_mhz, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        c->sm_mhz = grown;
        c->capacity = capacity;
    }
    c->sm_mhz[c->count++] = mhz;
    return true;
}

static bool push_throttled(ob_clocks *c, size_t sample)
{
    if (c->throttled_count == c->throttled_capacity) {
        size_t capacity = c->throttled_capacity > 0 ? 2 * c->throttled_capacity : 64;
        size_t *grown = realloc(c->throttled, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        c->throttled = grown;
        c->throttled_capacity = capacity;
    }
    c->throttled[c->throttled_count++] = sample;
    return true;
}

/* Without memory a reading is lost, and no more than that. */
void ob_clocks_read(ob_clocks *c, ob_nvml *nvml, size_t sample)
{
    ob_nvml_state now;
    if (nvml == NULL || !ob_nvml_read(nvml, &now))
        return;
    if (!isnan(now.sm_mhz) && !push_clock(c, now.sm_mhz))
        return;
    c->power_w = fmax(c->power_w, now.power_w); /* fmax passes a NaN over */
    c->temp_c = fmax(c->temp_c, now.temp_c);
    uint64_t held = ob_nvml_throttled(now.throttle);
    c->throttle |= held;
    if (held != 0)
        (void)push_throttled(c, sample);
}

static json_t *reasons(uint64_t bits)
{
    json_t *words = json_array();
    for (int bit = 0; bit < 64; bit++)
        if (bits >> bit & 1)
            json_array_append_new(words, json_string(ob_nvml_reason(bit)));
    return words;
}

static json_t *spread(const ob_clocks *c)
{
    double least = c->sm_mhz[0], most = least;
    for (size_t i = 1; i < c->count; i++) {
        least = fmin(least, c->sm_mhz[i]);
        most = fmax(most, c->sm_mhz[i]);
    }
    return json_pack("{s:f, s:f, s:f}", "min", least, "median", ortho_median(c->sm_mhz, c->count),
                     "max", most);
}

void ob_row_clocks_set(json_t *row, const ob_clocks *c)
{
    json_t *o = json_object(), *time = json_object_get(row, "time_ns");
    if (c->count > 0)
        json_object_set_new(o, "sm_mhz", spread(c));
    if (c->power_w > 0)
        json_object_set_new(o, "power_w", json_real(c->power_w));
    if (c->temp_c > 0)
        json_object_set_new(o, "temp_c", json_real(c->temp_c));
    if (c->throttle != 0)
        json_object_set_new(o, "throttle", reasons(c->throttle));
    if (json_object_size(o) > 0)
        json_object_set(row, "clocks", o);
    json_decref(o);
    if (time == NULL || c->throttled_count == 0)
        return;
    json_t *samples = json_array();
    for (size_t i = 0; i < c->throttled_count; i++)
        json_array_append_new(samples, json_integer((json_int_t)c->throttled[i]));
    json_object_set_new(time, "throttled", samples);
}

void ob_clocks_clear(ob_clocks *c)
{
    free(c->sm_mhz);
    free(c->throttled);
    *c = (ob_clocks){0};
}
