#include "harness/annotate.h"

#include "common/error.h"
#include "harness/trace_internal.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One entry of a list; strings are the list's. */
typedef struct record {
    const char *function, *file;
    int line; /* 0: unknown */
    ob_annotation_sum sum;
} record;

typedef struct function {
    const char *name;
    bool annotated;
    uint64_t warps, stalls;
} function;

typedef struct gathered {
    record *records;
    size_t count;
    function *functions;
    size_t function_count;
    const ortho_loop *loop;
} gathered;

/* ---- sums ------------------------------------------------------------------------------------ */

static void add(uint64_t *to, uint64_t value)
{
    *to = value > UINT64_MAX - *to ? UINT64_MAX : *to + value;
}

static void add_sum(ob_annotation_sum *to, const ob_annotation_sum *value)
{
    add(&to->instructions, value->instructions);
    add(&to->warps, value->warps);
    add(&to->threads, value->threads);
    add(&to->enabled, value->enabled);
    add(&to->divergent, value->divergent);
    add(&to->stalls, value->stalls);
}

double ob_annotation_lanes(const ob_annotation_sum *sum)
{
    return ob_annotation_share(sum->threads, sum->warps);
}

double ob_annotation_share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : NAN;
}

ob_heat ob_annotation_heat(const ob_annotation_sum *sum)
{
    double lanes = ob_annotation_lanes(sum);
    return isnan(lanes)  ? OB_HEAT_NONE
           : lanes >= 30 ? OB_HEAT_FULL
           : lanes >= 16 ? OB_HEAT_PART
                         : OB_HEAT_TORN;
}

/* ---- reading the lists ----------------------------------------------------------------------- */

static uint64_t count_of(const json_t *entry, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(entry, key));
    return value > 0 ? (uint64_t)value : 0;
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text != NULL ? text : "";
}

/* Files and lines as the line table has them; what lacks one lacks both. */
static record read_entry(const json_t *entry, bool counted)
{
    uint64_t line = count_of(entry, "line");
    record r = {.function = text_of(entry, "function"), .file = text_of(entry, "file")};
    r.line = r.file[0] != '\0' && line <= INT_MAX ? (int)line : 0;
    if (!counted) {
        r.sum.stalls = count_of(entry, "stalls");
        return r;
    }
    r.sum = (ob_annotation_sum){.warps = count_of(entry, "warps"),
                                .threads = count_of(entry, "threads"),
                                .enabled = count_of(entry, "enabled"),
                                .divergent = count_of(entry, "divergent")};
    r.sum.instructions = r.sum.warps > 0;
    return r;
}

static function *function_of(gathered *g, const char *name)
{
    for (size_t i = 0; i < g->function_count; i++)
        if (strcmp(g->functions[i].name, name) == 0)
            return &g->functions[i];
    g->functions[g->function_count] = (function){.name = name};
    return &g->functions[g->function_count++];
}

static void gather(gathered *g, const json_t *list, bool counted)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(list, i, entry)
    {
        record r = read_entry(entry, counted);
        function *f = function_of(g, r.function);
        add(&f->warps, r.sum.warps);
        add(&f->stalls, r.sum.stalls);
        g->records[g->count++] = r;
    }
}

/* The kernel is what was counted; without counts, what has the loop's name. */
static void choose(gathered *g)
{
    bool any = false;
    for (size_t i = 0; i < g->function_count; i++)
        any = (g->functions[i].annotated = g->functions[i].warps > 0) || any;
    for (size_t i = 0; !any && g->loop != NULL && i < g->function_count; i++)
        g->functions[i].annotated = strstr(g->functions[i].name, g->loop->kernel) != NULL;
}

/* ---- names ----------------------------------------------------------------------------------- */

static char *name_of(const char *mangled)
{
    char *plain = ob_trace_plain(mangled);
    return plain != NULL ? plain : strdup(mangled);
}

static int by_stalls(const void *pa, const void *pb)
{
    const function *a = pa, *b = pb;
    if (a->stalls != b->stalls)
        return a->stalls > b->stalls ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool heavier(const function *a, const function *b)
{
    return a->warps != b->warps ? a->warps > b->warps : a->stalls > b->stalls;
}

/* Sorts the functions. */
static bool name_kernels(gathered *g, ob_annotation *out)
{
    const function *first = NULL;
    bool whole = true;
    if (g->function_count > 0)
        qsort(g->functions, g->function_count, sizeof *g->functions, by_stalls);
    out->others = calloc(g->function_count + 1, sizeof *out->others);
    for (size_t i = 0; out->others != NULL && i < g->function_count; i++) {
        const function *f = &g->functions[i];
        if (f->annotated) {
            first = first == NULL || heavier(f, first) ? f : first;
            continue;
        }
        if (f->stalls == 0)
            continue;
        char *name = name_of(f->name);
        whole = whole && name != NULL;
        out->others[out->other_count++] = (ob_annotated_kernel){name, f->stalls};
    }
    const char *hint = g->loop != NULL ? g->loop->kernel : "";
    out->kernel = name_of(first != NULL ? first->name : hint);
    return whole && out->others != NULL && out->kernel != NULL;
}

/* ---- whose file ------------------------------------------------------------------------------ */

static bool starts(const char *path, const char *folder, size_t length)
{
    return length > 0 && strncmp(path, folder, length) == 0;
}

static bool in_project(const char *path)
{
    const char *tail = ob_path_tail(path, 3);
    return strncmp(tail, "variants/", 9) == 0 || strncmp(tail, "kernels/", 8) == 0;
}

/* Ours is what stands under the project that the loop's file is of, or beside it in a plug-in's
 * folder: headers of the compiler's are elsewhere. */
static bool is_ours(const char *path, const ortho_loop *loop)
{
    if (in_project(path))
        return true;
    if (loop == NULL)
        return false;
    const char *tail = ob_path_tail(loop->file, in_project(loop->file) ? 3 : 1);
    return starts(path, loop->file, (size_t)(tail - loop->file)) ||
           strcmp(ob_path_tail(path, 3), ob_path_tail(loop->file, 3)) == 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int by_place(const void *pa, const void *pb)
{
    const record *a = pa, *b = pb;
    int order = strcmp(a->file, b->file);
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static int by_path(const void *pa, const void *pb)
{
    const ob_annotated_file *a = pa, *b = pb;
    if (a->ours != b->ours)
        return a->ours ? -1 : 1;
    return strcmp(a->path, b->path);
}

static const function *annotated(gathered *g, const record *r)
{
    const function *f = function_of(g, r->function);
    return f->annotated ? f : NULL;
}

/* The next file of the list begins here. */
static bool open_file(ob_annotation *out, const char *path, const ortho_loop *loop, size_t line)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return false;
    out->files[out->file_count++] =
        (ob_annotated_file){.path = copy, .ours = is_ours(path, loop), .lines = &out->lines[line]};
    return true;
}

static void sort_files(ob_annotation *out, const ortho_loop *loop)
{
    if (out->file_count > 0)
        qsort(out->files, out->file_count, sizeof *out->files, by_path);
    for (size_t i = 0; loop != NULL && i < out->file_count; i++)
        if (strcmp(ob_path_tail(out->files[i].path, 3), ob_path_tail(loop->file, 3)) == 0) {
            ob_annotated_file first = out->files[i];
            memmove(out->files + 1, out->files, i * sizeof first);
            out->files[0] = first;
            return;
        }
}

/* Sorts the records. */
static bool sum_lines(gathered *g, ob_annotation *out)
{
    size_t used = 0;
    out->lines = calloc(g->count + 1, sizeof *out->lines);
    out->files = calloc(g->count + 1, sizeof *out->files);
    if (out->lines == NULL || out->files == NULL)
        return false;
    if (g->count > 0)
        qsort(g->records, g->count, sizeof *g->records, by_place);
    for (size_t i = 0; i < g->count; i++) {
        const record *r = &g->records[i];
        add(&out->samples, r->sum.stalls);
        if (!annotated(g, r))
            continue;
        add_sum(&out->total, &r->sum);
        if (r->line == 0) {
            add_sum(&out->unplaced, &r->sum);
            continue;
        }
        ob_annotated_file *file = out->file_count > 0 ? &out->files[out->file_count - 1] : NULL;
        if (file == NULL || strcmp(file->path, r->file) != 0) {
            if (!open_file(out, r->file, g->loop, used))
                return false;
            file = &out->files[out->file_count - 1];
        }
        if (file->count == 0 || out->lines[used - 1].line != r->line) {
            out->lines[used++].line = r->line;
            file->count++;
        }
        add_sum(&out->lines[used - 1].sum, &r->sum);
        add_sum(&file->sum, &r->sum);
    }
    sort_files(out, g->loop);
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

ortho_status ob_annotation_make(const json_t *counted, const json_t *sampled,
                                const ortho_loop *loop, ob_annotation *out)
{
    size_t entries = json_array_size(counted) + json_array_size(sampled) + 1;
    gathered g = {.records = calloc(entries, sizeof *g.records),
                  .functions = calloc(entries, sizeof *g.functions),
                  .loop = loop};
    ob_annotation made = {.counted = counted != NULL, .sampled = sampled != NULL};
    bool whole = g.records != NULL && g.functions != NULL;
    if (whole) {
        gather(&g, counted, true);
        gather(&g, sampled, false);
        choose(&g);
        whole = sum_lines(&g, &made) && name_kernels(&g, &made);
    }
    free(g.functions);
    free(g.records);
    if (!whole) {
        ob_annotation_clear(&made);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the sums of %zu instructions", entries);
    }
    *out = made;
    return ORTHO_OK;
}

void ob_annotation_clear(ob_annotation *a)
{
    for (size_t i = 0; i < a->file_count; i++)
        free(a->files[i].path);
    for (size_t i = 0; i < a->other_count; i++)
        free(a->others[i].name);
    free(a->files);
    free(a->others);
    free(a->lines);
    free(a->kernel);
    *a = (ob_annotation){0};
}
