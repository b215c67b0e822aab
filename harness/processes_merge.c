#include "harness/processes_merge.h"

#include "common/stats.h"
#include "harness/results.h"
#include "reports/json_set.h"
#include "reports/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef struct merge {
    const ob_process *processes;
    size_t count;
    const ob_options *options;
} merge;

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

const json_t *ob_processes_find(const json_t *document, const char *key, size_t hint)
{
    const json_t *rows = json_object_get(document, "results"), *row;
    size_t i;
    row = json_array_get(rows, hint);
    if (row != NULL && strcmp(text_of(row, "key"), key) == 0)
        return row;
    json_array_foreach(rows, i, row) if (strcmp(text_of(row, "key"), key) == 0) return row;
    return NULL;
}

void ob_processes_fail(json_t *row, const char *status, const char *reason)
{
    static const char *const timed[] = {"time_ns",         "tokens_per_s", "speedup",
                                        "speedup_grouped", "counters",     "activity"};
    static const char *const seen[] = {"measured", "kernel", "exact"};
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++)
        json_object_del(row, timed[i]);
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        json_object_del(json_object_get(row, "divergence"), seen[i]);
    ob_row_status(row, status, reason);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* The row of a process that has this status, with a reason that names the process; NULL: none has.
 * Where all of them have it, the reason stands as it is. */
static json_t *row_with(const merge *m, const ob_process_rows *rows, const char *status)
{
    size_t count = 0, first = 0;
    for (size_t i = rows->count; i-- > 0;)
        if (strcmp(text_of(rows->row[i], "status"), status) == 0) {
            count++;
            first = i;
        }
    if (count == 0)
        return NULL;
    json_t *row = json_deep_copy(rows->row[first]);
    char reason[512];
    snprintf(reason, sizeof reason, "process %d of %d: %.400s", m->processes[first].number,
             m->options->processes, text_of(row, "reason"));
    ortho_text_trim(reason);
    ob_processes_fail(row, status, count < rows->count ? reason : text_of(row, "reason"));
    return row;
}

/* The first thing that the processes don't agree on, of what must not differ, and in which; NULL:
 * they agree. */
static const char *disagreement(const ob_process_rows *rows, size_t *where)
{
    static const char *const facts[] = {"nnz", "bytes", "flops", "quality"};
    for (size_t f = 0; f < sizeof facts / sizeof *facts; f++) {
        const json_t *first = json_object_get(rows->row[0], facts[f]);
        for (*where = 1; *where < rows->count; ++*where) {
            const json_t *its = json_object_get(rows->row[*where], facts[f]);
            if (first == NULL ? its != NULL : its == NULL || !json_equal(first, its))
                return facts[f];
        }
    }
    return NULL;
}

static void largest_error(json_t *row, const ob_process_rows *rows)
{
    json_t *verified = json_object_get(row, "verified");
    double most = -1;
    for (size_t i = 0; i < rows->count; i++) {
        const json_t *its = json_object_get(json_object_get(rows->row[i], "verified"), "rel_error");
        if (json_is_number(its))
            most = fmax(most, json_number_value(its));
    }
    if (most >= 0)
        ortho_json_real(verified, "rel_error", most);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static void largest_peaks(json_t *row, const ob_process_rows *rows)
{
    const char *name;
    json_t *value, *peaks = json_object_get(row, "peak_bytes");
    for (size_t i = 1; i < rows->count; i++)
        json_object_foreach(json_object_get(rows->row[i], "peak_bytes"), name, value)
        {
            const json_t *ours = json_object_get(peaks, name);
            if (ours == NULL || json_integer_value(value) > json_integer_value(ours))
                json_object_set(ortho_json_part(row, "peak_bytes"), name, value);
            peaks = json_object_get(row, "peak_bytes");
        }
}

/* A figure of each process's clocks, folded: the least (-1) or the most (1) of them. */
static void fold(json_t *object, const ob_process_rows *rows, const char *part, const char *name,
                 int sense)
{
    double best = NAN;
    for (size_t i = 0; i < rows->count; i++) {
        const json_t *clocks = json_object_get(rows->row[i], "clocks");
        const json_t *value =
            json_object_get(part != NULL ? json_object_get(clocks, part) : clocks, name);
        if (json_is_number(value))
            best = sense < 0 ? fmin(best, json_number_value(value))
                             : fmax(best, json_number_value(value));
    }
    ortho_json_real(object, name, best);
}

static double middle_clock(const ob_process_rows *rows)
{
    double values[OB_PROCESSES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const json_t *mhz = json_object_get(json_object_get(rows->row[i], "clocks"), "sm_mhz");
        const json_t *median = json_object_get(mhz, "median");
        if (json_is_number(median))
            values[n++] = json_number_value(median);
    }
    return ortho_median(values, n);
}

static void add_throttle(json_t *clocks, const ob_process_rows *rows)
{
    json_t *all = json_array();
    for (size_t i = 0; i < rows->count; i++) {
        const json_t *its = json_object_get(json_object_get(rows->row[i], "clocks"), "throttle");
        for (size_t j = 0; j < json_array_size(its); j++) {
            bool known = false;
            for (size_t k = 0; k < json_array_size(all); k++)
                known = known || json_equal(json_array_get(all, k), json_array_get(its, j));
            if (!known)
                json_array_append(all, json_array_get(its, j));
        }
    }
    if (json_array_size(all) > 0)
        json_object_set(clocks, "throttle", all);
    json_decref(all);
}

/* Readings are timed from their own process's first one: those of several don't belong together. */
static void first_readings(json_t *clocks, const ob_process_rows *rows)
{
    json_t *its = json_object_get(json_object_get(rows->row[0], "clocks"), "readings");
    if (json_array_size(its) > 0)
        json_object_set(clocks, "readings", its);
}

static void merge_clocks(json_t *row, const ob_process_rows *rows)
{
    json_t *clocks = json_object(), *mhz = json_object();
    fold(mhz, rows, "sm_mhz", "min", -1);
    ortho_json_real(mhz, "median", middle_clock(rows));
    fold(mhz, rows, "sm_mhz", "max", 1);
    if (json_object_size(mhz) == 3)
        json_object_set(clocks, "sm_mhz", mhz);
    fold(clocks, rows, NULL, "power_w", 1);
    fold(clocks, rows, NULL, "temp_c", 1);
    first_readings(clocks, rows);
    add_throttle(clocks, rows);
    if (json_object_size(clocks) > 0)
        json_object_set(row, "clocks", clocks);
    json_decref(mhz);
    json_decref(clocks);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* A process may give a cold rotation up (ob_lane_late), and label its row warm. Where some did, the
 * whole isn't cold, and no floor holds. */
static bool mix_caches(json_t *row, const ob_process_rows *rows)
{
    bool mixed = false;
    for (size_t i = 1; i < rows->count; i++)
        mixed = mixed || strcmp(text_of(rows->row[i], "l2"), text_of(row, "l2")) != 0;
    if (mixed) {
        ortho_json_text(row, "l2", ob_l2_name(OB_L2_WARM));
        json_object_del(row, "floor_ns");
        json_object_del(row, "floor_of");
    }
    return mixed;
}

static json_t *merge_standing(const merge *m, const ob_process_rows *rows)
{
    size_t where;
    json_t *row = json_deep_copy(rows->row[0]);
    const char *what = disagreement(rows, &where);
    if (what != NULL) {
        char reason[160];
        snprintf(reason, sizeof reason,
                 "not deterministic: its %s in process %d of %d is not that of process %d", what,
                 m->processes[where].number, m->options->processes, m->processes[0].number);
        ob_processes_fail(row, "failed", reason);
        return row;
    }
    bool mixed = mix_caches(row, rows);
    largest_error(row, rows);
    largest_peaks(row, rows);
    merge_clocks(row, rows);
    ob_processes_time(row, rows, m->options);
    if (mixed && ob_row_stands(row))
        ob_row_status(row, "ambiguous",
                      "cold in some processes and warm in others: its times don't belong together");
    return row;
}

/* Every process runs one plan, so a row that one of them lacks is nothing to shrug off. */
static json_t *missing(const merge *m, const ob_process_rows *rows, size_t where)
{
    const json_t *any = NULL;
    for (size_t i = 0; any == NULL && i < rows->count; i++)
        any = rows->row[i];
    char reason[96];
    snprintf(reason, sizeof reason, "process %d of %d has no such case", m->processes[where].number,
             m->options->processes);
    json_t *row = json_deep_copy(any);
    ob_processes_fail(row, "failed", reason);
    return row;
}

static void collect(const merge *m, const char *key, size_t hint, ob_process_rows *rows)
{
    rows->count = m->count;
    for (size_t i = 0; i < m->count; i++)
        rows->row[i] = ob_processes_find(m->processes[i].document, key, hint);
}

static json_t *merge_row(const merge *m, const char *key, size_t hint)
{
    ob_process_rows rows;
    collect(m, key, hint, &rows);
    for (size_t i = 0; i < m->count; i++)
        if (rows.row[i] == NULL)
            return missing(m, &rows, i);
    json_t *row = row_with(m, &rows, "failed");
    if (row == NULL)
        row = row_with(m, &rows, "skipped");
    return row != NULL ? row : merge_standing(m, &rows);
}

static json_t *merge_rows(const merge *m)
{
    json_t *merged = json_array();
    for (size_t p = 0; p < m->count; p++) {
        size_t i;
        const json_t *row, *rows = json_object_get(m->processes[p].document, "results");
        json_array_foreach(rows, i, row)
        {
            bool earlier = false;
            for (size_t q = 0; !earlier && q < p; q++)
                earlier = ob_processes_find(m->processes[q].document, text_of(row, "key"), i);
            if (!earlier)
                json_array_append_new(merged, merge_row(m, text_of(row, "key"), i));
        }
    }
    return merged;
}

/* ---- speed-ups ------------------------------------------------------------------------------- */

/* A ratio of a row, and the form of the pass that it is over: "" is single. */
typedef struct ratio {
    const char *key, *form;
} ratio;

static const ratio ratios[] = {{"speedup", ""}, {"speedup_grouped", "-grouped"}};

/* Of what stands behind the variant in a pass's key, "/cuda/decode-grouped/m1/...": the part before
 * the form and the part behind it. Of other keys, all and nothing. */
static void cut_form(const json_t *row, const char *rest, size_t *before, size_t *behind)
{
    size_t part = strcspn(rest + 1, "/") + 1;
    *before = *behind = strlen(rest);
    if (json_object_get(row, "linears") == NULL || rest[0] != '/' || rest[part] != '/')
        return;
    *before = part + 1 + strcspn(rest + part + 1, "/-");
    *behind = *before + strcspn(rest + *before, "/");
}

/* What a competitor is over has exact activations whatever the competitor's are. */
static void cut_int8(const json_t *row, char *key)
{
    static const char part[] = "/int8";
    char *last = NULL;
    for (char *at = strstr(key, part); at != NULL; at = strstr(at + 1, part))
        last = at;
    if (last != NULL && strcmp(text_of(row, "activations"), "int8") == 0)
        memmove(last, last + strlen(part), strlen(last + strlen(part)) + 1);
}

/* "gemm/csr/cpu/..." and "dense" give "gemm/dense/cpu/..."; false where the key isn't made so. */
static bool base_key(const json_t *row, const ratio *r, char *out, size_t size)
{
    const char *key = text_of(row, "key"), *variant = text_of(row, "variant");
    const char *over = text_of(json_object_get(row, r->key), "over");
    size_t before = strcspn(key, "/") + 1, length = strlen(variant), cut, behind;
    if (before > strlen(key) || strncmp(key + before, variant, length) != 0 ||
        key[before + length] != '/')
        return false;
    const char *rest = key + before + length;
    cut_form(row, rest, &cut, &behind);
    if (snprintf(out, size, "%.*s%s%.*s%s%s", (int)before, key, over, (int)cut, rest, r->form,
                 rest + behind) >= (int)size)
        return false;
    cut_int8(row, out);
    return true;
}

/* What a process compared this row with, if that stands in all of them. */
static bool base_of(const merge *m, const json_t *document, const json_t *row, const ratio *r,
                    char *key, size_t size)
{
    if (m->count < 2 || !ob_row_stands(row) || !base_key(row, r, key, size))
        return false;
    const json_t *base = ob_processes_find(document, key, 0);
    return base != NULL && ob_row_stands(base);
}

static void merge_ratio(const merge *m, json_t *document, const ratio *r)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
    {
        char key[512];
        ob_process_rows base, rows;
        if (json_object_get(row, r->key) == NULL)
            continue;
        if (!base_of(m, document, row, r, key, sizeof key)) {
            json_object_del(row, r->key);
            continue;
        }
        collect(m, key, 0, &base);
        collect(m, text_of(row, "key"), i, &rows);
        ob_processes_speedup(row, r->key, &base, &rows, m->options);
    }
}

static void merge_speedups(const merge *m, json_t *document)
{
    for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++)
        merge_ratio(m, document, &ratios[r]);
}

/* ---- context --------------------------------------------------------------------------------- */

/* The largest of each number in a part of the context. */
static void largest_of(json_t *context, const merge *m, const char *part)
{
    const char *name;
    json_t *value;
    for (size_t i = 1; i < m->count; i++)
        json_object_foreach(
            json_object_get(json_object_get(m->processes[i].document, "context"), part), name,
            value)
        {
            json_t *ours = ortho_json_part(context, part);
            const json_t *its = json_object_get(ours, name);
            if (its == NULL || json_number_value(value) > json_number_value(its))
                json_object_set(ours, name, value);
        }
}

json_t *ob_processes_merge(const ob_process *processes, size_t count, const ob_options *options)
{
    const merge m = {.processes = processes, .count = count, .options = options};
    json_t *document = json_object();
    if (count == 1)
        json_object_update(document, (json_t *)processes[0].document);
    json_t *context = json_deep_copy(json_object_get(processes[0].document, "context"));
    if (document == NULL || context == NULL) {
        json_decref(document);
        json_decref(context);
        return NULL;
    }
    json_object_set(document, "schema", json_object_get(processes[0].document, "schema"));
    json_object_set_new(document, "context", context);
    if (count == 1)
        return document;
    json_object_set_new(document, "results", merge_rows(&m));
    merge_speedups(&m, document);
    largest_of(context, &m, "ceilings");
    largest_of(context, &m, "process");
    return document;
}
