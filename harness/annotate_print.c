/* Sources with the sums of their lines beside them. */
#include "harness/annotate.h"

#include "common/error.h"
#include "reports/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AROUND = 2, TAB = 4, SOURCE_COLUMNS = 100, SOURCE_LEAST = 20 };

/* What the columns are printed with. */
typedef struct printer {
    const ob_annotation *a;
    const ob_annotation_view *view;
    FILE *out;
    int warps, divergent, number; /* columns */
} printer;

/* ---- columns --------------------------------------------------------------------------------- */

static int digits(uint64_t value)
{
    return snprintf(NULL, 0, "%" PRIu64, value);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static printer open_printer(const ob_annotation *a, const ob_annotation_view *view, FILE *out)
{
    int last = 0;
    for (size_t i = 0; i < a->file_count; i++)
        if (a->files[i].ours && a->files[i].count > 0)
            last = larger(last, a->files[i].lines[a->files[i].count - 1].line);
    return (printer){.a = a,
                     .view = view,
                     .out = out,
                     .warps = larger(digits(a->total.warps), (int)strlen("warp instr")),
                     .divergent = larger(digits(a->total.divergent), (int)strlen("div br")),
                     .number = larger(digits((uint64_t)last + AROUND), 4)};
}

/* Of a line up to its source. */
static int used_columns(const printer *p)
{
    return p->warps + 2 + 5 + 2 + 7 + 2 + p->divergent + 2 + 1 + p->number + 2;
}

static const char *color_of(ob_heat heat)
{
    static const char *const colors[] = {[OB_HEAT_NONE] = "",
                                         [OB_HEAT_FULL] = "\033[32m",
                                         [OB_HEAT_PART] = "\033[33m",
                                         [OB_HEAT_TORN] = "\033[31m"};
    return colors[heat];
}

static void print_lanes(const printer *p, double lanes, ob_heat heat)
{
    bool color = p->view->color && heat != OB_HEAT_NONE;
    fputs(color ? color_of(heat) : "", p->out);
    if (isnan(lanes))
        fprintf(p->out, "  %5s", "-");
    else
        fprintf(p->out, "  %5.1f", lanes);
    fputs(color ? "\033[0m" : "", p->out);
}

static void print_sum(const printer *p, const ob_annotation_sum *sum)
{
    double share = ob_annotation_share(sum->stalls, p->a->total.stalls);
    if (p->a->counted)
        fprintf(p->out, "%*" PRIu64, p->warps, sum->warps);
    else
        fprintf(p->out, "%*s", p->warps, "-");
    print_lanes(p, ob_annotation_lanes(sum), ob_annotation_heat(sum));
    if (!p->a->sampled || isnan(share))
        fprintf(p->out, "  %7s", "-");
    else
        fprintf(p->out, "  %5.1f %%", 100 * share);
    if (p->a->counted && sum->warps > 0)
        fprintf(p->out, "  %*" PRIu64, p->divergent, sum->divergent);
    else
        fprintf(p->out, "  %*s", p->divergent, "-");
}

static void print_blank(const printer *p)
{
    fprintf(p->out, "%*s  %5s  %7s  %*s", p->warps, "", "", "", p->divergent, "");
}

static void print_header(const printer *p)
{
    fprintf(p->out, "%*s  %5s  %7s  %*s  %c%*s\n", p->warps, "warp instr", "lanes", "stalls",
            p->divergent, "div br", ' ', p->number, "line");
}

/* Text of a file: cut, and without what would drive a terminal. */
static ortho_status print_text(const printer *p, const char *text, int columns)
{
    char *clean = ortho_text_cut(text, columns);
    if (clean == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a line of text");
    fputs(clean, p->out);
    free(clean);
    return ORTHO_OK;
}

/* ---- one file -------------------------------------------------------------------------------- */

static bool in_loop(const printer *p, const ob_annotated_file *file, int line)
{
    const ortho_loop *loop = p->view->loop;
    return loop != NULL && line >= loop->first && line <= loop->last &&
           strcmp(ob_path_tail(file->path, 3), ob_path_tail(loop->file, 3)) == 0;
}

static ortho_status print_source(const printer *p, const char *text)
{
    int left = p->view->width > 0 ? p->view->width - used_columns(p) : SOURCE_COLUMNS;
    size_t tabs = 0, length = strlen(text);
    for (const char *c = text; *c != '\0'; c++)
        tabs += *c == '\t';
    char *spaced = malloc(length + tabs * TAB + 1), *to = spaced;
    if (spaced == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a line of source");
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '\t')
            to = (char *)memset(to, ' ', TAB) + TAB;
        else if (*c != '\r' || c[1] != '\0')
            *to++ = *c;
    *to = '\0';
    ortho_status status = print_text(p, spaced, larger(left, SOURCE_LEAST));
    free(spaced);
    return status;
}

static ortho_status print_line(const printer *p, const ob_annotated_file *file, int line,
                               const ob_annotation_sum *sum, const char *text)
{
    if (sum != NULL)
        print_sum(p, sum);
    else
        print_blank(p);
    fprintf(p->out, "  %c%*d", in_loop(p, file, line) ? '|' : ' ', p->number, line);
    ortho_status status = ORTHO_OK;
    if (text != NULL && text[0] != '\0') {
        fputs("  ", p->out);
        status = print_source(p, text);
    }
    fputc('\n', p->out);
    return status;
}

/* Lines with counts and those around them; "…" where some are left out. */
static ortho_status print_lines(const printer *p, const ob_annotated_file *file,
                                const ob_source *source)
{
    int around = source->count > 0 ? AROUND : 0, last = 0;
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; status == ORTHO_OK && i < file->count; i++) {
        int line = file->lines[i].line;
        int next = i + 1 < file->count ? file->lines[i + 1].line : 0;
        int from = line - around > last ? line - around : last + 1;
        if (last > 0 && from > last + 1)
            fprintf(p->out, "%*s…\n", used_columns(p) - p->number - 2, "");
        for (int l = from < 1 ? 1 : from; status == ORTHO_OK && l < line; l++)
            status = print_line(p, file, l, NULL, ob_source_line(source, l));
        if (status == ORTHO_OK)
            status = print_line(p, file, line, &file->lines[i].sum, ob_source_line(source, line));
        last = line;
        for (int k = 1; status == ORTHO_OK && k <= around && (next == 0 || line + k < next); k++) {
            const char *text = ob_source_line(source, line + k);
            if (text == NULL)
                break;
            status = print_line(p, file, line + k, NULL, text);
            last = line + k;
        }
    }
    return status;
}

static ortho_status print_file(const printer *p, const ob_annotated_file *file)
{
    ob_source source = {0};
    ortho_status status = ob_source_open(file->path, p->view->places, &source);
    bool missing = status == ORTHO_E_NOT_FOUND;
    if (status != ORTHO_OK && !missing)
        return status;
    fputc('\n', p->out);
    status = print_text(p, file->path, 4096);
    if (missing)
        fputs(": not found here, so its lines' numbers alone; ORTHO_SOURCE names the project's "
              "folder",
              p->out);
    else if (source.newer)
        fputs(": changed after this binary was built, so lines may have moved", p->out);
    fputc('\n', p->out);
    print_header(p);
    if (status == ORTHO_OK)
        status = print_lines(p, file, &source);
    ob_source_clear(&source);
    return status;
}

/* ---- below the files ------------------------------------------------------------------------- */

static void print_rest_line(const printer *p, const ob_annotation_sum *sum)
{
    print_sum(p, sum);
    fputs("   ", p->out);
}

static ortho_status print_outside(const printer *p)
{
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; status == ORTHO_OK && i < p->a->file_count; i++) {
        const ob_annotated_file *file = &p->a->files[i];
        if (file->ours)
            continue;
        print_rest_line(p, &file->sum);
        status = print_text(p, file->path, 4096);
        fprintf(p->out, ", %zu line%s\n", file->count, file->count == 1 ? "" : "s");
    }
    if (p->a->unplaced.instructions > 0 || p->a->unplaced.stalls > 0) {
        print_rest_line(p, &p->a->unplaced);
        fputs("without a line\n", p->out);
    }
    return status;
}

/* The loop's instructions are known with what was inlined into it, which its lines don't tell. */
static void print_loop(const printer *p)
{
    const json_t *value = json_object_get(p->view->measured, "value");
    const json_t *warps = json_object_get(p->view->measured, "warp_instructions");
    const json_t *many = json_object_get(p->view->measured, "instructions");
    if (!json_is_number(value) || !json_is_number(warps))
        return;
    double lanes = 32 * json_number_value(value);
    ob_heat heat = ob_annotation_heat(
        &(ob_annotation_sum){.warps = 1000, .threads = (uint64_t)(1000 * fmax(lanes, 0))});
    fprintf(p->out, "%*.0f", p->warps, json_number_value(warps));
    print_lanes(p, lanes, heat);
    fprintf(p->out,
            "  %7s  %*s   the Ortho loop, marked |, with what was inlined into it: "
            "%" JSON_INTEGER_FORMAT " SASS instructions\n",
            "", p->divergent, "", json_integer_value(many));
}

static ortho_status print_total(const printer *p)
{
    const ob_annotation *a = p->a;
    print_rest_line(p, &a->total);
    fprintf(p->out, "the kernel: %" PRIu64 " SASS instructions, %" PRIu64 " stall samples",
            a->total.instructions, a->total.stalls);
    double share = ob_annotation_share(a->total.stalls, a->samples);
    if (a->other_count > 0 && !isnan(share))
        fprintf(p->out, " (%.1f %% of the operation's)", 100 * share);
    fputc('\n', p->out);
    print_loop(p);
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; status == ORTHO_OK && i < a->other_count; i++) {
        fprintf(p->out, "%s%5.1f %% ", i == 0 ? "other kernels' share of the samples:" : ",",
                100 * ob_annotation_share(a->others[i].stalls, a->samples));
        status = print_text(p, a->others[i].name, 80);
    }
    if (a->other_count > 0)
        fputc('\n', p->out);
    return status;
}

ortho_status ob_annotation_print(const ob_annotation *a, const ob_annotation_view *view, FILE *out)
{
    const printer p = open_printer(a, view, out);
    ortho_status status = print_text(&p, view->key, 200);
    fputs("\nkernel: ", out);
    if (status == ORTHO_OK)
        status = print_text(&p, a->kernel, 200);
    fputc('\n', out);
    if (view->no_stalls != NULL) {
        fputs("no stall samples: ", out);
        status = status == ORTHO_OK ? print_text(&p, view->no_stalls, 400) : status;
        fputc('\n', out);
    }
    for (size_t i = 0; status == ORTHO_OK && i < a->file_count; i++)
        if (a->files[i].ours)
            status = print_file(&p, &a->files[i]);
    fputc('\n', out);
    if (status == ORTHO_OK)
        status = print_outside(&p);
    return status == ORTHO_OK ? print_total(&p) : status;
}
