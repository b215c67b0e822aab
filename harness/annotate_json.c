/* Sums by line for programs: all of them as JSON, and the lines that a heat map shows. */
#include "harness/annotate.h"

#include "reports/heat.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- all of them ----------------------------------------------------------------------------- */

/* JSON integers are signed. */
static json_t *integer(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

/* What wasn't observed is absent. */
static json_t *sum_to_json(const ob_annotation *a, const ob_annotation_sum *s)
{
    json_t *out = json_object();
    if (a->counted) {
        json_object_set_new(out, "instructions", integer(s->instructions));
        json_object_set_new(out, "warps", integer(s->warps));
        json_object_set_new(out, "threads", integer(s->threads));
        json_object_set_new(out, "enabled", integer(s->enabled));
        json_object_set_new(out, "divergent", integer(s->divergent));
    }
    if (a->counted && s->warps > 0)
        json_object_set_new(out, "lanes", json_real(ob_annotation_lanes(s)));
    if (a->sampled)
        json_object_set_new(out, "stalls", integer(s->stalls));
    return out;
}

static json_t *file_to_json(const ob_annotation *a, const ob_annotated_file *file)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < file->count; i++) {
        json_t *line = sum_to_json(a, &file->lines[i].sum);
        json_object_set_new(line, "line", json_integer(file->lines[i].line));
        json_array_append_new(lines, line);
    }
    return json_pack("{s:s, s:b, s:o, s:o}", "path", file->path, "ours", (int)file->ours, "sum",
                     sum_to_json(a, &file->sum), "lines", lines);
}

json_t *ob_annotation_json(const ob_annotation *a, const ob_annotation_view *view)
{
    json_t *files = json_array(), *others = json_array();
    for (size_t i = 0; i < a->file_count; i++)
        json_array_append_new(files, file_to_json(a, &a->files[i]));
    for (size_t i = 0; i < a->other_count; i++)
        json_array_append_new(others, json_pack("{s:s, s:o}", "kernel", a->others[i].name, "stalls",
                                                integer(a->others[i].stalls)));
    json_t *out = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "key", view->key, "kernel", a->kernel,
                            "total", sum_to_json(a, &a->total), "without_line",
                            sum_to_json(a, &a->unplaced), "files", files, "other_kernels", others);
    if (out != NULL && view->loop != NULL)
        json_object_set_new(out, "loop",
                            json_pack("{s:s, s:i, s:i}", "file", view->loop->file, "first",
                                      view->loop->first, "last", view->loop->last));
    if (out != NULL && view->measured != NULL)
        json_object_set(out, "measured", (json_t *)view->measured);
    if (out != NULL && view->no_stalls != NULL)
        json_object_set_new(out, "no_stalls", json_string(view->no_stalls));
    return out;
}

/* ---- the heat map ---------------------------------------------------------------------------- */

/* A line and how much of the picture it deserves. */
typedef struct candidate {
    size_t file, line; /* indices */
    double weight;
} candidate;

static double or_zero(double value)
{
    return isnan(value) ? 0 : value;
}

static int by_weight(const void *pa, const void *pb)
{
    const candidate *a = pa, *b = pb;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return a->file != b->file ? (a->file > b->file) - (a->file < b->file)
                              : (a->line > b->line) - (a->line < b->line);
}

static int by_order(const void *pa, const void *pb)
{
    const candidate *a = pa, *b = pb;
    return a->file != b->file ? (a->file > b->file) - (a->file < b->file)
                              : (a->line > b->line) - (a->line < b->line);
}

static size_t collect(const ob_annotation *a, candidate *out)
{
    size_t count = 0;
    for (size_t f = 0; f < a->file_count; f++)
        for (size_t i = 0; a->files[f].ours && i < a->files[f].count; i++) {
            const ob_annotation_sum *s = &a->files[f].lines[i].sum;
            out[count++] =
                (candidate){f, i,
                            or_zero(ob_annotation_share(s->warps, a->total.warps)) +
                                or_zero(ob_annotation_share(s->stalls, a->total.stalls))};
        }
    return count;
}

static void set_number(json_t *object, const char *key, double value)
{
    if (!isnan(value))
        json_object_set_new(object, key, json_real(value));
}

static json_t *line_to_json(const ob_annotation *a, const ob_annotated_line *line, const char *text)
{
    json_t *shown = json_string(text != NULL ? text : "");
    json_t *out = json_pack("{s:i, s:o}", "line", line->line, "text",
                            shown != NULL ? shown : json_string("(not UTF-8)"));
    set_number(out, "lanes", ob_annotation_lanes(&line->sum));
    if (a->counted)
        set_number(out, "warps", ob_annotation_share(line->sum.warps, a->total.warps));
    if (a->sampled)
        set_number(out, "stalls", ob_annotation_share(line->sum.stalls, a->total.stalls));
    return out;
}

/* Lines of one file after the other; where there is no source, its file's name stands for a line.
 */
static json_t *chosen_lines(const ob_annotation *a, const ob_annotation_view *view,
                            const candidate *chosen, size_t count)
{
    json_t *lines = json_array();
    ob_source source = {0};
    for (size_t i = 0; i < count; i++) {
        const ob_annotated_file *file = &a->files[chosen[i].file];
        if (i == 0 || chosen[i].file != chosen[i - 1].file) {
            ob_source_clear(&source);
            (void)ob_source_open(file->path, view->places, &source);
        }
        const ob_annotated_line *line = &file->lines[chosen[i].line];
        const char *text = ob_source_line(&source, line->line);
        json_array_append_new(
            lines, line_to_json(a, line, text != NULL ? text : ob_path_tail(file->path, 1)));
    }
    ob_source_clear(&source);
    return lines;
}

json_t *ob_annotation_heat_map(const ob_annotation *a, const ob_annotation_view *view)
{
    size_t room = 1;
    char subtitle[320];
    for (size_t f = 0; f < a->file_count; f++)
        room += a->files[f].count;
    candidate *all = calloc(room, sizeof *all);
    if (all == NULL)
        return NULL;
    size_t count = collect(a, all), kept = count < ORTHO_HEAT_LINES ? count : ORTHO_HEAT_LINES;
    qsort(all, count, sizeof *all, by_weight);
    qsort(all, kept, sizeof *all, by_order);
    if (kept < count)
        snprintf(subtitle, sizeof subtitle, "%.200s · the %zu heaviest of %zu lines", view->key,
                 kept, count);
    else
        snprintf(subtitle, sizeof subtitle, "%.200s · every line", view->key);
    json_t *map = json_pack("{s:s, s:s, s:o}", "title",
                            "Active lanes, warp instructions and stalls by source line", "subtitle",
                            subtitle, "lines", chosen_lines(a, view, all, kept));
    free(all);
    return map;
}
