#include "reports/model.h"

#include "common/error.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- getters -------------------------------------------------------------------------------- */

const json_t *ortho_model_at(const json_t *node, const char *path)
{
    while (node != NULL && *path != '\0') {
        char step[64];
        size_t length = strcspn(path, ".");
        if (length >= sizeof step)
            return NULL;
        memcpy(step, path, length);
        step[length] = '\0';
        node = json_object_get(node, step); /* NULL when node is no object */
        path += length + (path[length] == '.');
    }
    return node;
}

double ortho_model_number(const json_t *node, const char *path)
{
    const json_t *value = ortho_model_at(node, path);
    if (!json_is_number(value))
        return NAN;
    double number = json_number_value(value);
    return isfinite(number) ? number : NAN;
}

const char *ortho_model_string(const json_t *node, const char *path)
{
    return json_string_value(ortho_model_at(node, path));
}

bool ortho_model_true(const json_t *node, const char *path)
{
    return json_is_true(ortho_model_at(node, path));
}

size_t ortho_model_count(const json_t *results)
{
    return json_array_size(ortho_model_at(results, "results"));
}

const json_t *ortho_model_row(const json_t *results, size_t index)
{
    const json_t *row = json_array_get(ortho_model_at(results, "results"), index);
    return json_is_object(row) ? row : NULL;
}

/* ---- status --------------------------------------------------------------------------------- */

static const char *const status_names[ORTHO_CASE_STATUSES] = {
    [ORTHO_CASE_OK] = "ok",           [ORTHO_CASE_AMBIGUOUS] = "ambiguous",
    [ORTHO_CASE_FAILED] = "failed",   [ORTHO_CASE_SKIPPED] = "skipped",
    [ORTHO_CASE_UNKNOWN] = "unknown",
};

const char *ortho_model_status_name(ortho_case_status status)
{
    return (unsigned)status < ORTHO_CASE_STATUSES ? status_names[status] : "unknown";
}

static ortho_case_status claimed_status(const json_t *row)
{
    const char *claimed = ortho_model_string(row, "status");
    for (int s = 0; claimed != NULL && s < ORTHO_CASE_STATUSES; s++)
        if (strcmp(claimed, status_names[s]) == 0)
            return (ortho_case_status)s;
    return ORTHO_CASE_UNKNOWN;
}

static bool is_verdict(const json_t *row, const char *path)
{
    const char *verdict = ortho_model_string(row, path);
    return verdict != NULL && (strcmp(verdict, "pass") == 0 || strcmp(verdict, "n/a") == 0);
}

static bool is_verified(const json_t *row)
{
    return is_verdict(row, "verified.before") && is_verdict(row, "verified.after");
}

static bool has_time(const json_t *row)
{
    return ortho_model_number(row, "time_ns.median") > 0;
}

ortho_case_status ortho_model_status(const json_t *row)
{
    ortho_case_status claimed = claimed_status(row);
    bool timed = claimed == ORTHO_CASE_OK || claimed == ORTHO_CASE_AMBIGUOUS;
    return timed && !(is_verified(row) && has_time(row)) ? ORTHO_CASE_FAILED : claimed;
}

const char *ortho_model_reason(const json_t *row)
{
    ortho_case_status claimed = claimed_status(row), shown = ortho_model_status(row);
    if (shown == ORTHO_CASE_OK)
        return "";
    if (shown != claimed)
        return is_verified(row) ? "it calls itself timed and has no time above 0"
                                : "it has a time and was not verified before and after";
    const char *reason = ortho_model_string(row, "reason");
    return reason != NULL ? reason : "no reason given";
}

bool ortho_model_timed(const json_t *row)
{
    ortho_case_status status = ortho_model_status(row);
    return status == ORTHO_CASE_OK || status == ORTHO_CASE_AMBIGUOUS;
}

/* ---- derived columns ------------------------------------------------------------------------ */

double ortho_model_time(const json_t *row)
{
    return ortho_model_timed(row) ? ortho_model_number(row, "time_ns.median") : NAN;
}

double ortho_model_half_width(const json_t *row)
{
    if (json_array_size(ortho_model_at(row, "time_ns.samples")) == 1)
        return NAN; /* one sample has no interval, and "± 0" would claim one */
    return (ortho_model_number(row, "time_ns.hi") - ortho_model_number(row, "time_ns.lo")) / 2 /
           ortho_model_time(row);
}

/* Nothing moved or computed has no rate: 0 would read as a slow one. */
static double rate(const json_t *row, const char *path)
{
    double amount = ortho_model_number(row, path);
    return amount > 0 ? amount / ortho_model_time(row) : NAN;
}

double ortho_model_gbps(const json_t *row)
{
    return rate(row, "bytes");
}

double ortho_model_gflops(const json_t *row)
{
    return rate(row, "flops");
}

double ortho_model_floor_share(const json_t *row)
{
    double floor_ns = ortho_model_number(row, "floor_ns");
    return floor_ns > 0 ? floor_ns / ortho_model_time(row) : NAN;
}

double ortho_model_lanes(const json_t *row)
{
    return ortho_model_number(row, "divergence.predicted.value");
}

size_t ortho_model_throttled(const json_t *row)
{
    return json_array_size(ortho_model_at(row, "time_ns.throttled"));
}

size_t ortho_model_processes(const json_t *row)
{
    const json_t *list = ortho_model_at(row, "time_ns.processes");
    size_t samples = json_array_size(ortho_model_at(row, "time_ns.samples")), told = 0;
    if (list == NULL)
        return samples > 0 ? 1 : 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t count = json_integer_value(json_array_get(list, i)); /* 0 when it is none */
        if (count < 1 || (size_t)count > samples - told)
            return 0;
        told += (size_t)count;
    }
    return told == samples ? json_array_size(list) : 0;
}

bool ortho_model_kernel(const json_t *row, ortho_kernel_view *out)
{
    const json_t *list = ortho_model_at(row, "kernels");
    *out = (ortho_kernel_view){.registers = NAN, .spilled_bytes = NAN};
    bool any = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *kernel = json_array_get(list, i);
        double registers = ortho_model_number(kernel, "registers");
        double spilled = fmax(out->spilled_bytes, ortho_model_number(kernel, "spilled_bytes"));
        if (registers > 0 && !(registers <= out->registers)) {
            *out = (ortho_kernel_view){.name = ortho_model_string(kernel, "name"),
                                       .threads = ortho_model_number(kernel, "threads"),
                                       .registers = registers,
                                       .shared_bytes = ortho_model_number(kernel, "shared_bytes")};
            any = true;
        }
        out->spilled_bytes = spilled;
    }
    return any;
}

bool ortho_model_on_gpu(const json_t *results)
{
    if (ortho_model_string(results, "context.gpu.name") == NULL)
        return false;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const char *backend = ortho_model_string(ortho_model_row(results, i), "backend");
        if (backend != NULL && strcmp(backend, "cuda") == 0)
            return true;
    }
    return false;
}

const char *ortho_model_device(const json_t *results)
{
    return ortho_model_string(results, ortho_model_on_gpu(results) ? "context.gpu.name"
                                                                   : "context.cpu.model");
}

bool ortho_model_pass(const json_t *row)
{
    return ortho_model_number(row, "linears") > 0;
}

const char *ortho_model_form(const json_t *row)
{
    const char *form = ortho_model_string(row, "form");
    return !ortho_model_pass(row) ? NULL : form != NULL ? form : "single";
}

/* A row of int8 activations never looks like an exact one. */
static bool is_exact(const json_t *row)
{
    const char *activations = ortho_model_string(row, "activations");
    return activations == NULL || strcmp(activations, "exact") == 0;
}

void ortho_model_variant(const json_t *row, char out[ORTHO_LABEL_BYTES])
{
    const char *variant = ortho_model_string(row, "variant");
    char *clean = is_exact(row) ? NULL : ortho_text_cut(ortho_model_string(row, "activations"), 8);
    snprintf(out, ORTHO_LABEL_BYTES, "%.64s%s%.12s%s", variant != NULL ? variant : "?",
             clean != NULL ? " (" : "", clean != NULL ? clean : "",
             clean != NULL ? " activations)" : "");
    ortho_text_trim(out);
    free(clean);
}

void ortho_model_label(const json_t *row, char out[ORTHO_LABEL_BYTES])
{
    const char *form = ortho_model_form(row);
    bool formed = form != NULL && strcmp(form, "single") != 0;
    ortho_model_variant(row, out);
    size_t used = strlen(out);
    snprintf(out + used, ORTHO_LABEL_BYTES - used, "%s%.16s", formed ? " " : "",
             formed ? form : "");
    ortho_text_trim(out);
}

bool ortho_model_synthetic(const json_t *results)
{
    if (ortho_model_true(results, "context.model.synthetic"))
        return true;
    for (size_t i = 0; i < ortho_model_count(results); i++)
        if (ortho_model_true(ortho_model_row(results, i), "synthetic"))
            return true;
    return false;
}

void ortho_model_slice(const json_t *row, char *out, size_t size)
{
    double layer = ortho_model_number(row, "layer");
    layer = layer >= 0 ? layer : NAN;
    if (ortho_model_pass(row)) {
        snprintf(out, size, "pass");
        return;
    }
    const char *proj = ortho_model_string(row, "proj");
    const char *tensor = ortho_model_string(row, "tensor");
    char name[192], *clean = ortho_text_clean(proj != NULL ? proj : tensor != NULL ? tensor : "");
    snprintf(name, sizeof name, "%s", clean != NULL ? clean : "");
    free(clean);
    if (!isnan(layer) && proj != NULL)
        snprintf(out, size, "L%.0f.%s", layer, name);
    else if (!isnan(layer) && tensor == NULL)
        snprintf(out, size, "L%.0f", layer);
    else
        snprintf(out, size, "%s", *name != '\0' ? name : "?");
    ortho_text_trim(out);
}

/* ---- groups --------------------------------------------------------------------------------- */

static const char *const group_keys[] = {
    "op",      "backend", "layer", "proj",  "tensor", "linears", "n",          "k",        "m",
    "density", "rule",    "group", "dtype", "alpha",  "l2",      "ortho_rows", "synthetic"};

char *ortho_model_group_id(const json_t *row, const char *but)
{
    char *id = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&id, &size);
    if (stream == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof group_keys / sizeof *group_keys; i++) {
        const json_t *value = json_object_get(row, group_keys[i]);
        fputc('|', stream);
        if (value != NULL && (but == NULL || strcmp(group_keys[i], but) != 0))
            json_dumpf(value, stream, JSON_ENCODE_ANY | JSON_COMPACT);
    }
    if (fclose(stream) == 0)
        return id;
    free(id);
    return NULL;
}

static int role_rank(const json_t *row)
{
    static const char *const last[] = {"ceiling", "harness", "oracle"};
    const char *role = ortho_model_string(row, "role");
    for (int i = 0; role != NULL && i < 3; i++)
        if (strcmp(role, last[i]) == 0)
            return i + 1;
    return 0;
}

static ortho_status group_append(ortho_group *group, const json_t *row)
{
    if ((group->count & (group->count - 1)) == 0) { /* grows at powers of two */
        size_t room = group->count == 0 ? 1 : 2 * group->count;
        const json_t **rows = realloc(group->rows, room * sizeof *rows);
        if (rows == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory to group the results");
        group->rows = rows;
    }
    size_t at = group->count;
    for (; at > 0 && role_rank(group->rows[at - 1]) > role_rank(row); at--)
        group->rows[at] = group->rows[at - 1];
    group->rows[at] = row;
    group->count++;
    return ORTHO_OK;
}

static ortho_status place(const json_t *row, json_t *index, ortho_groups *groups)
{
    char *id = ortho_model_group_id(row, NULL);
    if (id == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to group the results");
    ortho_status status = ORTHO_OK;
    json_t *known = json_object_get(index, id);
    size_t at = known != NULL ? (size_t)json_integer_value(known) : groups->count;
    if (known == NULL) {
        groups->group[groups->count++] = (ortho_group){0};
        if (json_object_set_new_nocheck(index, id, json_integer((json_int_t)at)) != 0)
            status = ortho_fail(ORTHO_E_MEMORY, "no memory to group the results");
    }
    free(id);
    return status == ORTHO_OK ? group_append(&groups->group[at], row) : status;
}

ortho_status ortho_model_groups(const json_t *results, ortho_groups *out)
{
    size_t rows = ortho_model_count(results);
    ortho_groups groups = {.group = calloc(rows + 1, sizeof *groups.group)};
    json_t *index = json_object();
    ortho_status status = ORTHO_OK;
    if (groups.group == NULL || index == NULL)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory to group the results");
    for (size_t i = 0; i < rows && status == ORTHO_OK; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row != NULL)
            status = place(row, index, &groups);
    }
    json_decref(index);
    if (status == ORTHO_OK)
        *out = groups;
    else
        ortho_groups_free(&groups);
    return status;
}

void ortho_groups_free(ortho_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        free(groups->group[i].rows);
    free(groups->group);
    *groups = (ortho_groups){0};
}

/* ---- heading -------------------------------------------------------------------------------- */

static void put_number(FILE *out, const char *before, const json_t *row, const char *key)
{
    double value = ortho_model_number(row, key);
    char text[32];
    if (!isnan(value))
        fprintf(out, "%s%s", before, ortho_text_number(value, text));
}

static void put_string(FILE *out, const char *before, const json_t *row, const char *key)
{
    const char *value = ortho_model_string(row, key);
    char *clean = value != NULL ? ortho_text_clean(value) : NULL;
    if (clean != NULL)
        fprintf(out, "%s%s", before, clean);
    free(clean);
}

/* The first row of a group that knows its nnz: dense references have none. */
static void put_entries(FILE *out, const ortho_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        double nnz = ortho_model_number(group->rows[i], "nnz");
        if (!isnan(nnz)) {
            fprintf(out, " (%.0f entries)", nnz);
            return;
        }
    }
}

/* What ran, on what. */
static void put_subject(FILE *out, const json_t *row)
{
    char slice[256];
    if (ortho_model_pass(row)) {
        put_number(out, "pass · ", row, "linears");
        fputs(" linears", out);
        return;
    }
    ortho_model_slice(row, slice, sizeof slice);
    put_string(out, "", row, "op");
    fprintf(out, " · %s", slice);
    put_number(out, " · ", row, "n");
    put_number(out, "×", row, "k");
}

void ortho_model_heading(const ortho_group *group, FILE *out)
{
    const json_t *row = group->rows[0];
    put_subject(out, row);
    put_number(out, " · m ", row, "m");
    put_number(out, " · density ", row, "density");
    put_entries(out, group);
    put_string(out, " · ", row, "rule");
    put_number(out, " · group ", row, "group");
    put_string(out, " · ", row, "dtype");
    double alpha = ortho_model_number(row, "alpha");
    if (!isnan(alpha) && alpha != 1)
        put_number(out, " · alpha ", row, "alpha");
    const char *rows = ortho_model_string(row, "ortho_rows");
    if (rows != NULL && strcmp(rows, "sieve") != 0)
        put_string(out, " · ortho rows ", row, "ortho_rows");
    if (!ortho_model_pass(row)) /* "pass" was said */
        put_string(out, " · ", row, "l2");
    put_string(out, " · ", row, "backend");
    if (ortho_model_true(row, "synthetic"))
        fputs(" · SYNTHETIC", out);
}
