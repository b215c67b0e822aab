#include "harness/clocks.h"

#include "common/stats.h"
#include "harness/timer.h"
#include "reports/json_set.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static bool push_reading(ob_clocks *c, ob_clock_reading reading)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity > 0 ? 2 * c->capacity : 64;
        ob_clock_reading *grown = realloc(c->readings, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        c->readings = grown;
        c->capacity = capacity;
    }
    c->readings[c->count++] = reading;
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
void ob_clocks_read(ob_clocks *c, ob_nvml *nvml, size_t sample, double *first_ns)
{
    ob_nvml_state now;
    if (nvml == NULL || !ob_nvml_read(nvml, &now))
        return;
    double at = ob_timer_now();
    if (*first_ns == 0)
        *first_ns = at;
    uint64_t held = ob_nvml_throttled(now.throttle);
    ob_clock_reading reading = {.s = (at - *first_ns) * 1e-9,
                                .sm_mhz = now.sm_mhz,
                                .power_w = now.power_w > 0 ? now.power_w : NAN,
                                .temp_c = now.temp_c > 0 ? now.temp_c : NAN,
                                .throttled = held != 0};
    bool told = !isnan(reading.sm_mhz) || !isnan(reading.power_w) || !isnan(reading.temp_c);
    if (told && !push_reading(c, reading))
        return;
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

/* NULL where no clock was told, or without memory. */
static json_t *spread(const ob_clocks *c)
{
    size_t told = 0;
    double least = INFINITY, most = -INFINITY;
    double *mhz = malloc((c->count + 1) * sizeof *mhz);
    for (size_t i = 0; mhz != NULL && i < c->count; i++) {
        if (isnan(c->readings[i].sm_mhz))
            continue;
        mhz[told++] = c->readings[i].sm_mhz;
        least = fmin(least, mhz[told - 1]);
        most = fmax(most, mhz[told - 1]);
    }
    json_t *o = told > 0 ? json_pack("{s:f, s:f, s:f}", "min", least, "median",
                                     ortho_median(mhz, told), "max", most)
                         : NULL;
    free(mhz);
    return o;
}

/* ---- readings ------------------------------------------------------------------------------- */

static json_t *reading_json(const ob_clock_reading *r)
{
    json_t *o = json_object();
    ortho_json_real(o, "s", round(r->s * 1e3) / 1e3);
    ortho_json_real(o, "sm_mhz", r->sm_mhz);
    ortho_json_real(o, "power_w", r->power_w);
    ortho_json_real(o, "temp_c", r->temp_c);
    if (r->throttled)
        json_object_set_new(o, "throttled", json_true());
    return o;
}

/* The one that stands for the readings from `first` to before `end`. What held the clock down may
 * have fallen on one of many: a picture that lacks it would say that nothing did. */
static const ob_clock_reading *stand_in(const ob_clocks *c, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        if (c->readings[i].throttled)
            return &c->readings[i];
    return &c->readings[first + (end - first) / 2];
}

static json_t *thinned(const ob_clocks *c)
{
    json_t *list = json_array();
    bool all = c->count <= OB_READINGS_MAX;
    size_t slots = all ? c->count : OB_READINGS_MAX, inner = c->count - 2;
    for (size_t k = 0; k < slots; k++) {
        const ob_clock_reading *r = &c->readings[k];
        if (!all && k + 1 == slots)
            r = &c->readings[c->count - 1];
        else if (!all && k > 0)
            r = stand_in(c, 1 + (k - 1) * inner / (slots - 2), 1 + k * inner / (slots - 2));
        json_array_append_new(list, reading_json(r));
    }
    return list;
}

/* ---- row ------------------------------------------------------------------------------------ */

void ob_row_clocks_set(json_t *row, const ob_clocks *c)
{
    json_t *o = json_object(), *time = json_object_get(row, "time_ns"), *mhz = spread(c);
    double power_w = NAN, temp_c = NAN; /* fmax passes a NaN over */
    for (size_t i = 0; i < c->count; i++) {
        power_w = fmax(power_w, c->readings[i].power_w);
        temp_c = fmax(temp_c, c->readings[i].temp_c);
    }
    if (mhz != NULL)
        json_object_set_new(o, "sm_mhz", mhz);
    ortho_json_real(o, "power_w", power_w);
    ortho_json_real(o, "temp_c", temp_c);
    if (c->count > 0)
        json_object_set_new(o, "readings", thinned(c));
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
    free(c->readings);
    free(c->throttled);
    *c = (ob_clocks){0};
}
