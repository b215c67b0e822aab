/*
 * Times of several processes. What is told of them is the median over the processes' medians, so
 * that a process that happened to give more samples weighs no more; its interval resamples
 * processes first and samples second. A ratio is formed within each process, where what slows the
 * whole process cancels, and then the median over processes is taken.
 */
#include "common/stats.h"
#include "harness/processes_merge.h"
#include "harness/results.h"
#include "reports/json_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESAMPLES = 2000 };

/* The samples of all processes, one after the other. */
typedef struct pool {
    double *samples;
    size_t counts[OB_PROCESSES_MAX];
    size_t processes, total;
} pool;

static bool pool_open(const ob_process_rows *rows, pool *out)
{
    *out = (pool){.processes = rows->count};
    const json_t *list[OB_PROCESSES_MAX];
    for (size_t i = 0; i < rows->count; i++) {
        list[i] = json_object_get(json_object_get(rows->row[i], "time_ns"), "samples");
        out->counts[i] = json_array_size(list[i]);
        out->total += out->counts[i];
        if (out->counts[i] == 0)
            return false;
    }
    out->samples = malloc(out->total * sizeof *out->samples);
    if (out->samples == NULL)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < rows->count; i++)
        for (size_t j = 0; j < out->counts[i]; j++)
            out->samples[n++] = json_number_value(json_array_get(list[i], j));
    return true;
}

static ortho_processes of_pool(const pool *p)
{
    return (ortho_processes){.samples = p->samples, .counts = p->counts, .count = p->processes};
}

/* ---- time_ns --------------------------------------------------------------------------------- */

static const char *stop_of(const json_t *row)
{
    const char *stop = json_string_value(json_object_get(json_object_get(row, "time_ns"), "stop"));
    return stop != NULL ? stop : "";
}

/* The worst: one process that was cut short makes the whole less than it should be. */
static const char *worst_stop(const ob_process_rows *rows)
{
    static const char *const worse[] = {"interrupted", "timeout"};
    for (size_t w = 0; w < sizeof worse / sizeof *worse; w++)
        for (size_t i = 0; i < rows->count; i++)
            if (strcmp(stop_of(rows->row[i]), worse[w]) == 0)
                return worse[w];
    return stop_of(rows->row[0]);
}

/* The least of a whole number: what holds for every process. */
static void set_least(json_t *time, const ob_process_rows *rows, const char *key)
{
    json_int_t least = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const json_t *value = json_object_get(json_object_get(rows->row[i], "time_ns"), key);
        json_int_t its = json_integer_value(value);
        if (its > 0 && (least == 0 || its < least))
            least = its;
    }
    if (least > 0)
        ortho_json_int(time, key, least);
}

/* Indices of throttled samples, moved to where the samples are now. */
static void set_throttled(json_t *time, const ob_process_rows *rows, const pool *p)
{
    json_t *list = json_array();
    size_t from = 0;
    for (size_t i = 0; i < rows->count; from += p->counts[i++]) {
        const json_t *its = json_object_get(json_object_get(rows->row[i], "time_ns"), "throttled");
        for (size_t j = 0; j < json_array_size(its); j++) {
            json_int_t at = json_integer_value(json_array_get(its, j));
            if (at >= 0 && (size_t)at < p->counts[i])
                json_array_append_new(list, json_integer(at + (json_int_t)from));
        }
    }
    if (json_array_size(list) > 0)
        json_object_set(time, "throttled", list);
    json_decref(list);
}

static void set_flushed(json_t *time, const ob_process_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (json_is_true(json_object_get(json_object_get(rows->row[i], "time_ns"), "flushed")))
            json_object_set_new(time, "flushed", json_true());
}

/* An outlier is one among its own process's samples: a slow process isn't made of them. */
static size_t outliers_of(const pool *p)
{
    size_t count = 0, from = 0;
    for (size_t i = 0; i < p->processes; from += p->counts[i++])
        count += ortho_outliers(p->samples + from, p->counts[i]);
    return count;
}

static void set_samples(json_t *time, const pool *p)
{
    json_t *samples = json_array(), *processes = json_array();
    for (size_t i = 0; i < p->processes; i++)
        json_array_append_new(processes, json_integer((json_int_t)p->counts[i]));
    for (size_t i = 0; i < p->total; i++)
        json_array_append_new(samples, json_real(p->samples[i]));
    json_object_set_new(time, "processes", processes);
    json_object_set_new(time, "samples", samples);
}

static void set_time(json_t *row, const ob_process_rows *rows, const pool *p, uint64_t seed)
{
    ortho_processes all = of_pool(p);
    ortho_interval ci = ortho_bootstrap_processes(&all, 0.95, RESAMPLES, seed);
    json_t *time = json_object();
    ortho_json_real(time, "median", ortho_processes_median(&all));
    ortho_json_real(time, "lo", ci.lo);
    ortho_json_real(time, "hi", ci.hi);
    ortho_json_real(time, "mad", ortho_mad(p->samples, p->total));
    ortho_json_int(time, "outliers", (int64_t)outliers_of(p));
    ortho_json_text(time, "stop", worst_stop(rows));
    set_least(time, rows, "launches_per_sample");
    set_least(time, rows, "copies");
    set_flushed(time, rows);
    set_samples(time, p);
    set_throttled(time, rows, p);
    json_object_set_new(row, "time_ns", time);
}

/* ---- what the time decides ------------------------------------------------------------------- */

static double time_of(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(json_object_get(row, "time_ns"), key));
}

static void judge(json_t *row, const pool *p, double target)
{
    char reason[192];
    double share = (time_of(row, "hi") - time_of(row, "lo")) / time_of(row, "median");
    json_object_del(row, "reason");
    if (p->total >= ORTHO_ORDER_SAMPLES && share <= target) {
        ob_row_status(row, "ok", NULL);
        return;
    }
    if (p->total < ORTHO_ORDER_SAMPLES)
        snprintf(reason, sizeof reason, "only %zu samples in %zu processes", p->total,
                 p->processes);
    else
        snprintf(reason, sizeof reason,
                 "over %zu processes the interval is %.2g %% of the median, %.2g %% was asked",
                 p->processes, 100 * share, 100 * target);
    ob_row_status(row, "ambiguous", reason);
}

/* The ceiling is the highest that any process reached, so the floor is the lowest; a time below it
 * is as wrong as it is in one process (ob_lane_floor). */
static void set_floor(json_t *row, const ob_process_rows *rows)
{
    double least = json_number_value(json_object_get(row, "floor_ns"));
    for (size_t i = 1; i < rows->count; i++) {
        double its = json_number_value(json_object_get(rows->row[i], "floor_ns"));
        json_t *of = json_object_get(rows->row[i], "floor_of");
        if (!(its > 0) || its >= least)
            continue;
        least = its;
        ortho_json_real(row, "floor_ns", its);
        if (of != NULL)
            json_object_set(row, "floor_of", of);
    }
    double median = time_of(row, "median");
    if (!(least > 0) || median >= 0.98 * least)
        return;
    char reason[256];
    snprintf(
        reason, sizeof reason,
        "below the physical floor: %.0f ns over %zu processes, yet at least %.0f ns are needed",
        median, rows->count, least);
    ob_processes_fail(row, "failed", reason);
}

void ob_processes_time(json_t *row, const ob_process_rows *rows, const ob_options *options)
{
    pool p;
    const char *key = json_string_value(json_object_get(row, "key"));
    if (!pool_open(rows, &p)) {
        ob_processes_fail(row, "failed", "its samples could not be merged");
        return;
    }
    set_time(row, rows, &p, ob_row_seed(options->seed, key));
    judge(row, &p, options->ci_target);
    if (json_object_get(row, "tokens_per_s") != NULL)
        ob_row_tokens_set(row, json_integer_value(json_object_get(row, "m")));
    set_floor(row, rows);
    free(p.samples);
}

/* ---- speedup --------------------------------------------------------------------------------- */

void ob_processes_speedup(json_t *row, const char *name, const ob_process_rows *base,
                          const ob_process_rows *rows, const ob_options *options)
{
    pool top = {0}, bottom = {0};
    json_t *speedup = json_object_get(row, name);
    const char *key = json_string_value(json_object_get(row, "key"));
    if (pool_open(base, &top) && pool_open(rows, &bottom)) {
        ortho_processes a = of_pool(&top), b = of_pool(&bottom);
        ortho_interval ci = ortho_bootstrap_processes_ratio(&a, &b, 0.95, RESAMPLES,
                                                            ob_row_seed(options->seed, key) + 1);
        ortho_json_real(speedup, "ratio", ortho_processes_ratio(&a, &b));
        ortho_json_real(speedup, "lo", ci.lo);
        ortho_json_real(speedup, "hi", ci.hi);
    } else {
        json_object_del(row, name);
    }
    free(top.samples);
    free(bottom.samples);
}
