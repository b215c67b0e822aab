#include "reports/clock_panels.h"

#include "reports/text.h"

#include <math.h>
#include <string.h>

void ortho_clock_panels_open(const json_t *results, ortho_clock_panels *out)
{
    static const char *const limits[ORTHO_CLOCK_PANELS] = {"context.gpu.clocks.sm_max_mhz",
                                                           "context.gpu.power_limit_w", NULL};
    *out = (ortho_clock_panels){.cases = 0};
    for (int i = 0; i < ORTHO_CLOCK_PANELS; i++) {
        out->lo[i] = INFINITY;
        out->hi[i] = -INFINITY;
        out->limit[i] = limits[i] != NULL ? ortho_clock_value(results, limits[i]) : NAN;
    }
}

double ortho_clock_value(const json_t *node, const char *path)
{
    double value = ortho_model_number(node, path);
    return value > 0 && value < 1e6 ? value : NAN;
}

bool ortho_clock_throttled(const json_t *row)
{
    return ortho_model_throttled(row) > 0 ||
           json_array_size(ortho_model_at(row, "clocks.throttle")) > 0;
}

static void note_reasons(ortho_clock_panels *p, const json_t *row)
{
    const json_t *list = ortho_model_at(row, "clocks.throttle");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *reason = json_string_value(json_array_get(list, i));
        bool known = reason == NULL;
        for (int r = 0; r < p->reason_count; r++)
            known = known || strcmp(p->reasons[r], reason) == 0;
        if (!known && p->reason_count < ORTHO_CLOCK_REASONS)
            p->reasons[p->reason_count++] = reason;
    }
}

void ortho_clock_panels_case(ortho_clock_panels *p, const json_t *row)
{
    p->cases++;
    if (!ortho_clock_throttled(row))
        return;
    p->throttled++;
    note_reasons(p, row);
}

void ortho_clock_panels_value(ortho_clock_panels *p, int panel, double value)
{
    p->lo[panel] = fmin(p->lo[panel], value);
    p->hi[panel] = fmax(p->hi[panel], value);
}

void ortho_clock_panels_held(const ortho_clock_panels *p, char *out, size_t size)
{
    if (p->throttled == 0) {
        snprintf(out, size, "none throttled");
        return;
    }
    int added = snprintf(out, size, "× %d throttled", p->throttled);
    size_t used = added > 0 ? (size_t)added : 0;
    for (int r = 0; r < p->reason_count && used < size; r++) {
        added = snprintf(out + used, size - used, "%s%.40s", r == 0 ? ": " : ", ", p->reasons[r]);
        used += added > 0 ? (size_t)added : 0;
    }
    ortho_text_trim(out);
}

const char *ortho_clock_color(int panel)
{
    static const char *const colors[ORTHO_CLOCK_PANELS] = {"#0072B2", "#D55E00", "#009E73"};
    return colors[panel];
}

/* ---- drawing -------------------------------------------------------------------------------- */

static bool has_panel(const ortho_clock_panels *p, int panel)
{
    return p->lo[panel] <= p->hi[panel];
}

/* 1, 2 or 5 of a decade, at least `least`. */
static double step_of(double least)
{
    double decade = pow(10, floor(log10(least)));
    return least <= decade       ? decade
           : least <= 2 * decade ? 2 * decade
           : least <= 5 * decade ? 5 * decade
                                 : 10 * decade;
}

/* The scale of a panel: what was told and, where it is near, the limit. */
static void put_scale(const ortho_clock_panels *p, int panel, FILE *gp)
{
    double lo = p->lo[panel], hi = p->hi[panel], limit = p->limit[panel];
    if (limit < 2 * hi)
        hi = fmax(hi, limit);
    double room = fmax(0.12 * (hi - lo), 0.02 * hi);
    fprintf(gp, "set yrange [%.6g:%.6g]\nset ytics %.6g\n", lo - room > 0 ? lo - room : 0,
            hi + room, step_of((hi - lo + 2 * room) / 4));
}

/* One above the other, on one axis. */
static void put_place(const ortho_clock_frame *frame, int panel, int place, int count, FILE *gp)
{
    double height = 0.70 / count, top = 0.865 - place * height;
    const char *title = frame->titles[panel];
    fprintf(gp,
            "if (tty) { set title '%s' } else {\n"
            "    set label 6 '%s' at graph 0, graph 1.0 left offset 0,%.2g font ',10' "
            "tc rgb '#222222'\n"
            "    set tmargin at screen %.3f; set bmargin at screen %.3f\n"
            "    set key at screen 0.815, %.3f left top\n"
            "    set ytics font ',10'; set xtics font ',10' }\n",
            title, title, 0.7 + (place == 0 ? frame->lift : 0), top - 0.035, top - height + 0.01,
            top - 0.03);
    fprintf(gp, "set xrange [%.9g:%.9g]\n", frame->lo, frame->hi);
    if (frame->whole)
        fputs("set xtics 1\n", gp);
    if (place + 1 < count)
        fputs("if (!tty) { set format x ''; unset xlabel }\n", gp);
    else
        fprintf(gp,
                "set format x '%%g'\n"
                "if (!tty) { set xlabel '%s' offset 0,0.4 }\n",
                frame->axis);
}

static void put_panel(const ortho_clock_panels *p, const ortho_clock_frame *frame, int panel,
                      FILE *gp)
{
    put_scale(p, panel, gp);
    fputs("plot ", gp);
    if (!isnan(p->limit[panel]))
        fprintf(gp, "%.9g with lines lc rgb '#000000' dt 2 lw 1.2 title 'limit', \\\n    ",
                p->limit[panel]);
    frame->curves(frame->ctx, panel, gp);
    fputs("\nunset label\n", gp);
}

void ortho_clock_panels_draw(const ortho_clock_panels *p, const ortho_clock_frame *frame, FILE *gp)
{
    int count = 0, place = 0;
    for (int i = 0; i < ORTHO_CLOCK_PANELS; i++)
        count += has_panel(p, i);
    if (count > 1)
        fputs("if (!tty) { set multiplot }\n", gp);
    for (int i = 0; i < ORTHO_CLOCK_PANELS; i++)
        if (has_panel(p, i)) {
            put_place(frame, i, place++, count, gp);
            put_panel(p, frame, i, gp);
        }
    if (count > 1)
        fputs("if (!tty) { unset multiplot }\n", gp);
}
