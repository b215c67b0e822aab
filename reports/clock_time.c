#include "reports/clock_time.h"

#include "common/error.h"
#include "reports/clock_panels.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEW         1500 /* readings up to which each has its mark */
#define BANDS       400  /* more of them would be a grey wall */
#define COLUMNS     130  /* of small letters beside each other */
#define FIRST_TAG   100  /* of labels; the engine's are below */
#define COLUMNS_CUT 8    /* from here on a name that was cut still says something */

typedef struct point {
    double s, value[ORTHO_CLOCK_PANELS]; /* NAN: not told */
    bool throttled;
    size_t of; /* its case */
} point;

typedef struct stretch {
    double lo, hi; /* seconds */
    const json_t *row;
    size_t place, band; /* in the order of the results, from 1 on; the band that it lies on */
} stretch;

typedef struct band {
    double lo, hi;
    size_t first, count; /* of the cases */
} band;

typedef struct picture {
    ortho_clock_panels panels;
    point *points;  /* owned; by band, then time */
    stretch *cases; /* owned; by their beginning */
    band *bands;    /* owned; by time */
    size_t point_count, case_count, band_count, without;
    double lo, hi;             /* of the axis of time */
    bool processes, throttled; /* several made the rows; a reading is marked */
} picture;

static const char *const paths[ORTHO_CLOCK_PANELS] = {"sm_mhz", "power_w", "temp_c"};

/* False where it has no time, or tells nothing. */
static bool take_reading(const json_t *node, point *out)
{
    point p = {.s = ortho_model_number(node, "s"),
               .throttled = ortho_model_true(node, "throttled")};
    bool told = false;
    for (int i = 0; i < ORTHO_CLOCK_PANELS; i++) {
        p.value[i] = ortho_clock_value(node, paths[i]);
        told = told || !isnan(p.value[i]);
    }
    if (!told || !(p.s >= 0 && p.s < 1e9))
        return false;
    *out = p;
    return true;
}

static const json_t *readings_of(const json_t *row)
{
    return row != NULL && ortho_model_timed(row) ? ortho_model_at(row, "clocks.readings") : NULL;
}

bool ortho_clock_time_told(const json_t *results)
{
    point p;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *list = readings_of(ortho_model_row(results, i));
        for (size_t r = 0; r < json_array_size(list); r++)
            if (take_reading(json_array_get(list, r), &p))
                return true;
    }
    return false;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void close_picture(picture *p)
{
    free(p->points);
    free(p->cases);
    free(p->bands);
    *p = (picture){.points = NULL};
}

static ortho_status make_room(const json_t *results, picture *p)
{
    size_t rows = ortho_model_count(results), readings = 0;
    for (size_t i = 0; i < rows; i++)
        readings += json_array_size(readings_of(ortho_model_row(results, i)));
    p->points = calloc(readings + 1, sizeof *p->points);
    p->cases = calloc(rows + 1, sizeof *p->cases);
    p->bands = calloc(rows + 1, sizeof *p->bands);
    return p->points != NULL && p->cases != NULL && p->bands != NULL
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_MEMORY, "no memory for %zu readings", readings);
}

static void take_point(picture *p, const point *taken)
{
    p->points[p->point_count++] = *taken;
    p->throttled = p->throttled || taken->throttled;
    for (int i = 0; i < ORTHO_CLOCK_PANELS; i++)
        ortho_clock_panels_value(&p->panels, i, taken->value[i]);
}

static void take_row(picture *p, const json_t *row)
{
    const json_t *list = readings_of(row);
    stretch its = {.lo = INFINITY, .hi = -INFINITY, .row = row, .place = p->case_count + 1};
    for (size_t r = 0; r < json_array_size(list); r++) {
        point taken;
        if (!take_reading(json_array_get(list, r), &taken))
            continue;
        taken.of = p->case_count;
        its.lo = fmin(its.lo, taken.s);
        its.hi = fmax(its.hi, taken.s);
        take_point(p, &taken);
    }
    if (its.lo > its.hi) {
        p->without += ortho_model_at(row, "clocks") != NULL && ortho_model_timed(row);
        return;
    }
    p->cases[p->case_count++] = its;
    p->processes = p->processes || ortho_model_processes(row) > 1;
    ortho_clock_panels_case(&p->panels, row);
}

static int by_beginning(const void *a, const void *b)
{
    const stretch *x = a, *y = b;
    return x->lo != y->lo ? (x->lo > y->lo) - (x->lo < y->lo)
                          : (x->place > y->place) - (x->place < y->place);
}

static int by_time(const void *a, const void *b)
{
    const point *x = a, *y = b;
    return x->s != y->s ? (x->s > y->s) - (x->s < y->s) : (x->of > y->of) - (x->of < y->of);
}

/* Cases that overlap took turns. Bands don't overlap, so points by time are by band too. */
static void find_bands(picture *p)
{
    for (size_t i = 0; i < p->case_count; i++) {
        stretch *its = &p->cases[i];
        if (p->band_count == 0 || its->lo > p->bands[p->band_count - 1].hi)
            p->bands[p->band_count++] = (band){.lo = its->lo, .hi = its->hi, .first = i};
        band *last = &p->bands[p->band_count - 1];
        last->hi = fmax(last->hi, its->hi);
        last->count++;
        its->band = p->band_count - 1;
    }
    double first = p->bands[0].lo, last = p->bands[p->band_count - 1].hi;
    double room = fmax(0.01 * (last - first), fmax(1e-3, 1e-6 * last)); /* of one moment too */
    p->lo = first - room;
    p->hi = last + room;
}

/* Sorting the cases leaves the points with their old numbers. */
static ortho_status sort_cases(picture *p)
{
    size_t *now = calloc(p->case_count + 1, sizeof *now);
    if (now == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu cases", p->case_count);
    qsort(p->cases, p->case_count, sizeof *p->cases, by_beginning);
    for (size_t i = 0; i < p->case_count; i++)
        now[p->cases[i].place - 1] = i;
    for (size_t i = 0; i < p->point_count; i++)
        p->points[i].of = now[p->points[i].of];
    free(now);
    qsort(p->points, p->point_count, sizeof *p->points, by_time);
    return ORTHO_OK;
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    picture p = {.points = NULL};
    ortho_clock_panels_open(results, &p.panels);
    ortho_status status = make_room(results, &p);
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++)
        if (ortho_model_row(results, i) != NULL)
            take_row(&p, ortho_model_row(results, i));
    if (status == ORTHO_OK)
        status = sort_cases(&p);
    if (status == ORTHO_OK && p.point_count == 0)
        status = ortho_fail(ORTHO_E_UNSUPPORTED, "no verified case holds a reading of its clocks");
    if (status != ORTHO_OK) {
        close_picture(&p);
        return status;
    }
    find_bands(&p);
    *out = p;
    return ORTHO_OK;
}

/* ---- data ----------------------------------------------------------------------------------- */

/* seconds, MHz, W, degrees Celsius, throttled (1; NaN: not), case, key, variant, slice */
static void put_point(const picture *p, const point *shown, FILE *tsv)
{
    const stretch *its = &p->cases[shown->of];
    const double values[] = {shown->s,
                             shown->value[0],
                             shown->value[1],
                             shown->value[2],
                             shown->throttled ? 1 : NAN,
                             (double)its->place};
    char slice[160], name[ORTHO_LABEL_BYTES];
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        ortho_plot_number(values[v], tsv);
        fputc('\t', tsv);
    }
    ortho_model_slice(its->row, slice, sizeof slice);
    ortho_plot_field(ortho_model_string(its->row, "key"), tsv);
    fputc('\t', tsv);
    ortho_model_label(its->row, name);
    ortho_plot_field(name, tsv);
    fputc('\t', tsv);
    ortho_plot_field(slice, tsv);
    fputc('\n', tsv);
}

ortho_status ortho_clock_time_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    for (size_t i = 0; i < p.point_count; i++) {
        if (i > 0 && p.cases[p.points[i].of].band != p.cases[p.points[i - 1].of].band)
            fputc('\n', tsv); /* breaks the curve */
        put_point(&p, &p.points[i], tsv);
    }
    close_picture(&p);
    return ORTHO_OK;
}

/* ---- body ----------------------------------------------------------------------------------- */

static bool named_before(const picture *p, const band *b, size_t until)
{
    char name[ORTHO_LABEL_BYTES], other[ORTHO_LABEL_BYTES];
    ortho_model_label(p->cases[until].row, name);
    for (size_t i = b->first; i < until; i++) {
        ortho_model_label(p->cases[i].row, other);
        if (strcmp(name, other) == 0)
            return true;
    }
    return ortho_model_string(p->cases[until].row, "variant") == NULL;
}

/* The slice that a band's cases share; "" where they don't. */
static void name_slice(const picture *p, const band *b, char *out, size_t size)
{
    char other[160];
    ortho_model_slice(p->cases[b->first].row, out, size);
    for (size_t i = b->first; i < b->first + b->count && out[0] != '\0'; i++) {
        ortho_model_slice(p->cases[i].row, other, sizeof other);
        if (strcmp(out, other) != 0)
            out[0] = '\0';
    }
}

/* "csr, dense" */
static void name_variants(const picture *p, const band *b, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = b->first; i < b->first + b->count && used < size; i++) {
        if (named_before(p, b, i))
            continue;
        char name[ORTHO_LABEL_BYTES];
        ortho_model_label(p->cases[i].row, name);
        int added = snprintf(out + used, size - used, "%s%.60s", used > 0 ? ", " : "", name);
        used += added > 0 ? (size_t)added : 0;
    }
    ortho_text_trim(out);
}

/* Columns from a band's beginning to the next one's, less one between two names. */
static int room_of(const picture *p, size_t index)
{
    bool last = index + 1 == p->band_count;
    double end = last ? p->hi : p->bands[index + 1].lo;
    return (int)(COLUMNS * (end - p->bands[index].lo) / (p->hi - p->lo)) - !last;
}

/* From a band's beginning on, in one of two lines above the panels. */
static void put_name(const picture *p, size_t index, int line, const char *name, FILE *gp)
{
    fprintf(gp, "    set label %zu ", FIRST_TAG + 2 * index + (size_t)line);
    ortho_plot_quote(name, room_of(p, index), gp);
    fprintf(gp, " at first %.9g, graph 1 left offset 0,%.2g font ',8' tc rgb '#555555'\n",
            p->bands[index].lo, line == 0 ? 0.85 : 0.3);
}

/* Above a band and the gap behind it, where there is room: its slice, whole, and the variants. */
static void put_names(const picture *p, size_t index, FILE *gp)
{
    char slice[160], variants[256];
    int columns = room_of(p, index);
    name_slice(p, &p->bands[index], slice, sizeof slice);
    name_variants(p, &p->bands[index], variants, sizeof variants);
    if (slice[0] != '\0' && ortho_text_width(slice) <= columns)
        put_name(p, index, 0, slice, gp);
    if (ortho_text_width(variants) <= columns || columns >= COLUMNS_CUT)
        put_name(p, index, 1, variants, gp);
}

static void put_bands(const picture *p, FILE *gp)
{
    if (p->band_count > BANDS)
        return;
    fputs("if (!tty) {\n", gp);
    for (size_t i = 0; i < p->band_count; i++) {
        fprintf(gp,
                "    set object %zu rectangle from first %.9g, graph 0 to first %.9g, graph 1 "
                "behind fc rgb '#eeeeee' fs solid noborder\n",
                i + 1, p->bands[i].lo, p->bands[i].hi);
        put_names(p, i, gp);
    }
    fputs("}\n", gp);
}

static void put_headings(const picture *p, FILE *gp)
{
    char held[232], of[32] = "", subtitle[400];
    double seconds = p->bands[p->band_count - 1].hi - p->bands[0].lo;
    ortho_clock_panels_held(&p->panels, held, sizeof held);
    if (p->without > 0)
        snprintf(of, sizeof of, " of %zu", p->case_count + p->without);
    snprintf(subtitle, sizeof subtitle,
             "%zu%s case%s, %.3g s; those on one grey band took turns · %s%s", p->case_count, of,
             p->case_count == 1 && p->without == 0 ? "" : "s", seconds, held,
             p->processes ? " · the first process’s readings" : "");
    ortho_plot_title(gp, "Clocks, power and temperature over the run", subtitle);
}

static void put_curves(const void *ctx, int panel, FILE *gp)
{
    const picture *p = ctx;
    fprintf(gp, "$data using 1:%d with %s lc rgb '%s' title 'one reading'", panel + 2,
            p->point_count <= FEW ? "linespoints pt 7 ps 0.3 lw 1.1" : "lines lw 1.1",
            ortho_clock_color(panel));
    if (p->throttled)
        fprintf(gp,
                ", \\\n    $data using ($5 == 1 ? $1 : NaN):%d with points pt 2 ps 0.9 lw 2 "
                "lc rgb '#B00000' title 'throttled'",
                panel + 2);
}

ortho_status ortho_clock_time_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# seconds, MHz, W, degrees Celsius, throttled, case, key, variant, slice\n", gp);
    put_headings(&p, gp);
    put_bands(&p, gp);
    const ortho_clock_frame frame = {.titles = {"SM clock, MHz", "power, W", "temperature, °C"},
                                     .axis = "seconds since the first reading of the run",
                                     .lo = p.lo,
                                     .hi = p.hi,
                                     .lift = 0.95,
                                     .curves = put_curves,
                                     .ctx = &p};
    ortho_clock_panels_draw(&p.panels, &frame, gp);
    close_picture(&p);
    return ORTHO_OK;
}
