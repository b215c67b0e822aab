#include "reports/compare/timed.h"

#include "common/error.h"
#include "reports/json_set.h"
#include "reports/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t sample_count(const json_t *row)
{
    return json_array_size(ortho_model_at(row, "time_ns.samples"));
}

static ortho_status refuse(const json_t *row, const char *what)
{
    const char *key = ortho_model_string(row, "key");
    return ortho_fail(ORTHO_E_FORMAT, "%.120s: time_ns.%s", key != NULL ? key : "?", what);
}

/* How many samples each of a row's processes gave, into counts. */
static ortho_status take_counts(const json_t *row, size_t *counts)
{
    const json_t *told = ortho_model_at(row, "time_ns.processes");
    if (sample_count(row) == 0)
        return refuse(row, "samples: none: without raw samples nothing can be compared");
    if (ortho_model_processes(row) == 0)
        return refuse(row, "processes: they don't add up to the samples");
    counts[0] = sample_count(row);
    for (size_t i = 0; i < json_array_size(told); i++)
        counts[i] = (size_t)json_integer_value(json_array_get(told, i));
    return ORTHO_OK;
}

static ortho_status take_samples(const json_t *row, double *out)
{
    const json_t *samples = ortho_model_at(row, "time_ns.samples");
    for (size_t i = 0; i < json_array_size(samples); i++) {
        out[i] = json_number_value(json_array_get(samples, i));
        if (!(out[i] > 0) || !isfinite(out[i]))
            return refuse(row, "samples: not all are times");
    }
    return ORTHO_OK;
}

static ortho_status take_side(const json_t *rows, int s, ortho_timed *out)
{
    size_t i, samples = 0, processes = 0, at = 0, process = 0;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        samples += sample_count(row);
        processes += ortho_model_processes(row);
    }
    out->samples[s] = malloc((samples + 1) * sizeof(double));
    out->counts[s] = malloc((processes + 1) * sizeof(size_t));
    if (out->samples[s] == NULL || out->counts[s] == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for samples");
    json_array_foreach(rows, i, row)
    {
        ortho_status status = take_counts(row, out->counts[s] + process);
        if (status == ORTHO_OK)
            status = take_samples(row, out->samples[s] + at);
        if (status != ORTHO_OK)
            return status;
        process += ortho_model_processes(row);
        at += sample_count(row);
    }
    out->side[s] = (ortho_effect_side){out->samples[s], out->counts[s], processes};
    return ORTHO_OK;
}

ortho_status ortho_timed_take(const json_t *a_rows, const json_t *b_rows, ortho_timed *out)
{
    ortho_timed made = {0};
    ortho_status status = take_side(a_rows, 0, &made);
    if (status == ORTHO_OK)
        status = take_side(b_rows, 1, &made);
    if (status == ORTHO_OK)
        *out = made;
    else
        ortho_timed_free(&made);
    return status;
}

void ortho_timed_free(ortho_timed *timed)
{
    for (int s = 0; s < 2; s++) {
        free(timed->samples[s]);
        free(timed->counts[s]);
    }
    *timed = (ortho_timed){0};
}

/* ---- geometric means ------------------------------------------------------------------------- */

/* The cases of one group, in their order. */
typedef struct members {
    const ortho_timed *const *list;
    size_t count;
} members;

/* What both lack is the same, too: a case belongs to a group, at least to its own. */
static int by_text(const json_t *a, const json_t *b, const char *key)
{
    const char *left = ortho_model_string(a, key), *right = ortho_model_string(b, key);
    if (left == NULL || right == NULL)
        return (left != NULL) - (right != NULL);
    return strcmp(left, right);
}

static int by_group(const ortho_timed *a, const ortho_timed *b)
{
    static const char *const names[] = {"op", "variant", "backend", "activations"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int order = by_text(a->one, b->one, names[i]);
        if (order != 0)
            return order;
    }
    for (int s = 0; s < 2; s++)
        if (a->side[s].processes != b->side[s].processes)
            return a->side[s].processes < b->side[s].processes ? -1 : 1;
    return 0;
}

static int by_group_and_place(const void *pa, const void *pb)
{
    const ortho_timed *a = *(const ortho_timed *const *)pa, *b = *(const ortho_timed *const *)pb;
    int order = by_group(a, b);
    return order != 0 ? order : (a > b) - (a < b); /* both of one array */
}

static int by_first_case(const void *pa, const void *pb)
{
    const members *a = pa, *b = pb;
    return (a->list[0] > b->list[0]) - (a->list[0] < b->list[0]);
}

/* The mean over the group of the logarithms of each process's medians. Returns how many cases. */
static size_t gather(const members *m, int s, double *logs, double *room, ortho_effect_centers *out)
{
    size_t cases = 0, processes = m->list[0]->side[s].processes;
    double within = 0;
    memset(logs, 0, processes * sizeof *logs);
    for (size_t i = 0; i < m->count; i++) {
        const ortho_timed *t = m->list[i];
        if (!ortho_effect_logs(&t->side[s], room))
            continue;
        for (size_t p = 0; p < processes; p++)
            logs[p] += room[p];
        within += s == 0 ? t->effect.within_a : t->effect.within_b;
        cases++;
    }
    for (size_t p = 0; p < processes; p++)
        logs[p] /= (double)cases;
    *out = (ortho_effect_centers){logs, processes, within / ((double)cases * (double)cases)};
    return cases;
}

static ortho_status add_group(const members *m, json_t *list)
{
    const ortho_timed *first = m->list[0];
    size_t pa = first->side[0].processes, pb = first->side[1].processes;
    double *logs = malloc(2 * (pa + pb) * sizeof *logs);
    if (logs == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for geometric means");
    ortho_effect_centers a, b;
    ortho_effect mean;
    double *room = logs + pa + pb;
    size_t cases = gather(m, 0, logs, room, &a);
    gather(m, 1, logs + pa, room, &b);
    ortho_effect_of_centers(&a, &b, &first->options, &mean);
    json_t *one = json_object();
    static const char *const names[] = {"op", "variant", "backend", "activations"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set(one, names[i], json_object_get(first->one, names[i]));
    ortho_json_int(one, "cases", (int64_t)cases);
    ortho_json_real(one, "ratio", mean.ratio);
    ortho_json_real(one, "lo", mean.interval.lo);
    ortho_json_real(one, "hi", mean.interval.hi);
    json_array_append_new(list, one);
    free(logs);
    return ORTHO_OK;
}

/* Sorted, so that as many groups as cases take no longer; told in the order of their first cases.
 * `groups` has room for as many as there are cases. Returns how many there are. */
static size_t split(const ortho_timed *all, size_t count, const ortho_timed **sorted,
                    members *groups)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &all[i];
    qsort(sorted, count, sizeof *sorted, by_group_and_place);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || by_group(sorted[i - 1], sorted[i]) != 0)
            groups[n++] = (members){.list = sorted + i};
        groups[n - 1].count++;
    }
    qsort(groups, n, sizeof *groups, by_first_case);
    return n;
}

ortho_status ortho_timed_groups(const ortho_timed *all, size_t count, json_t **out)
{
    json_t *list = json_array();
    const ortho_timed **sorted = malloc((count + 1) * sizeof *sorted);
    members *groups = malloc((count + 1) * sizeof *groups);
    ortho_status status = list != NULL && sorted != NULL && groups != NULL
                              ? ORTHO_OK
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for geometric means");
    size_t n = status == ORTHO_OK ? split(all, count, sorted, groups) : 0;
    for (size_t i = 0; i < n && status == ORTHO_OK; i++)
        status = add_group(&groups[i], list);
    free(sorted);
    free(groups);
    if (status == ORTHO_OK)
        *out = list;
    else
        json_decref(list);
    return status;
}
