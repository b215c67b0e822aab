#include "reports/compare/measures.h"

#include "reports/json_set.h"
#include "reports/measured.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

typedef enum direction { LESS_IS_BETTER = 0, MORE_IS_BETTER, NEITHER } direction;

typedef struct measure {
    const char *name, *unit;
    double (*read)(const json_t *row, const char *path);
    const char *path;
    direction better;
    double slack;    /* a share of a that is no change; 0: the comparison's threshold */
    double absolute; /* nor is a difference of at most this */
    bool gates;
} measure;

static double kernel(const json_t *row, const char *path)
{
    ortho_kernel_view view;
    if (!ortho_model_kernel(row, &view))
        return NAN;
    return strcmp(path, "registers") == 0 ? view.registers : view.spilled_bytes;
}

static double measured_lanes(const json_t *row, const char *path)
{
    (void)path;
    return ortho_measured_lanes(row);
}

/* A booked byte is counted, not measured: from a page on it is a change. What the driver and the
 * system tell comes in large steps. An error within a factor of two is a matter of rounding. */
static const measure measures[] = {
    {"peak_bytes.working", "bytes", ortho_model_number, "peak_bytes.working", LESS_IS_BETTER, 0,
     4096, true},
    {"peak_bytes.weights", "bytes", ortho_model_number, "peak_bytes.weights", LESS_IS_BETTER, 0,
     4096, true},
    {"peak_bytes.output", "bytes", ortho_model_number, "peak_bytes.output", LESS_IS_BETTER, 0, 4096,
     true},
    {"peak_bytes.device", "bytes", ortho_model_number, "peak_bytes.device", LESS_IS_BETTER, 0.1,
     1 << 22, false},
    {"peak_bytes.host", "bytes", ortho_model_number, "peak_bytes.host", LESS_IS_BETTER, 0.1,
     1 << 22, false},
    {"divergence.predicted", NULL, ortho_model_number, "divergence.predicted.value", MORE_IS_BETTER,
     0, 0.005, false},
    {"divergence.measured", NULL, measured_lanes, NULL, MORE_IS_BETTER, 0, 0.005, false},
    {"rel_error", NULL, ortho_model_number, "verified.rel_error", LESS_IS_BETTER, 1, 1e-9, false},
    {"quality.snr_db", "dB", ortho_model_number, "quality.snr_db", MORE_IS_BETTER, 1e-6, 0.05,
     false},
    {"quality.bits_per_weight", "bits", ortho_model_number, "quality.bits_per_weight",
     LESS_IS_BETTER, 1e-6, 0.005, false},
    {"kernel.registers", NULL, kernel, "registers", NEITHER, 1e-6, 0, false},
    {"kernel.spilled_bytes", "bytes", kernel, "spilled_bytes", LESS_IS_BETTER, 1e-6, 0, false},
};
enum { MEASURES = sizeof measures / sizeof *measures };

/* The worst of a side's rows, or the largest where neither way is worse; NAN where none tells. */
static double worst(const json_t *rows, const measure *m)
{
    size_t i;
    const json_t *row;
    double found = NAN;
    json_array_foreach(rows, i, row)
    {
        double value = m->read(row, m->path);
        found = m->better == MORE_IS_BETTER ? fmin(found, value) : fmax(found, value);
    }
    return found;
}

static const char *judge(double a, double b, const measure *m, double threshold)
{
    double slack = m->slack > 0 ? m->slack : threshold;
    double change = fabs(b - a);
    if (change <= m->absolute || change <= slack * fabs(a))
        return "same";
    if (m->better == NEITHER)
        return "changed";
    return (b < a) == (m->better == LESS_IS_BETTER) ? "better" : "worse";
}

static void add(json_t *list, const char *name, const char *unit, double a, double b,
                const char *verdict)
{
    json_t *one = json_object();
    ortho_json_text(one, "name", name);
    if (unit != NULL && *unit != '\0')
        ortho_json_text(one, "unit", unit);
    ortho_json_real(one, "a", a);
    ortho_json_real(one, "b", b);
    if (a != 0)
        ortho_json_real(one, "ratio", b / a);
    ortho_json_text(one, "verdict", verdict);
    json_array_append_new(list, one);
}

/* Counters are facts, neither good nor bad by themselves. */
static void add_counters(json_t *list, const json_t *a, const json_t *b, double threshold)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)ortho_counters_of(a), name, value)
    {
        static const measure fact = {.better = NEITHER};
        ortho_counter left, right;
        char full[160];
        if (!ortho_counter_read(a, name, &left) || !ortho_counter_read(b, name, &right) ||
            isnan(left.value) || isnan(right.value))
            continue;
        snprintf(full, sizeof full, "counters.%s", name);
        add(list, full, left.unit, left.value, right.value,
            judge(left.value, right.value, &fact, threshold));
    }
}

void ortho_compare_measures(const json_t *a_rows, const json_t *b_rows, double threshold,
                            json_t *one)
{
    json_t *list = json_array();
    for (size_t i = 0; i < MEASURES; i++) {
        double a = worst(a_rows, &measures[i]), b = worst(b_rows, &measures[i]);
        if (!isnan(a) && !isnan(b))
            add(list, measures[i].name, measures[i].unit, a, b,
                judge(a, b, &measures[i], threshold));
    }
    add_counters(list, json_array_get(a_rows, 0), json_array_get(b_rows, 0), threshold);
    json_object_set_new(one, "measures", list);
}

/* ---- flags ----------------------------------------------------------------------------------- */

static const json_t *measure_of(const json_t *one, const char *name)
{
    size_t i;
    const json_t *m;
    json_array_foreach(ortho_model_at(one, "measures"), i, m)
    {
        const char *here = ortho_model_string(m, "name");
        if (here != NULL && strcmp(here, name) == 0)
            return m;
    }
    return NULL;
}

static bool is_worse(const json_t *m)
{
    const char *verdict = ortho_model_string(m, "verdict");
    return verdict != NULL && strcmp(verdict, "worse") == 0;
}

static void flag(json_t *flags, json_t *words)
{
    json_array_append_new(flags, words);
}

static void flag_exactness(const json_t *one, json_t *flags)
{
    const char *verdict = ortho_model_string(one, "verdict");
    const char *before =
        verdict != NULL && strcmp(verdict, "FASTER") == 0 ? "faster, but less exact" : "less exact";
    const json_t *error = measure_of(one, "rel_error"), *snr = measure_of(one, "quality.snr_db");
    if (is_worse(error))
        flag(flags, json_sprintf("%s: relative error %.2g where it was %.2g", before,
                                 ortho_model_number(error, "b"), ortho_model_number(error, "a")));
    if (is_worse(snr))
        flag(flags, json_sprintf("%s: SNR %.2f dB where it was %.2f dB", before,
                                 ortho_model_number(snr, "b"), ortho_model_number(snr, "a")));
}

static void flag_bytes(const json_t *one, json_t *flags)
{
    static const char *const what[][2] = {{"peak_bytes.working", "takes more temporaries"},
                                          {"peak_bytes.weights", "keeps more bytes"},
                                          {"peak_bytes.output", "gives more bytes"},
                                          {"kernel.spilled_bytes", "spills more"}};
    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        const json_t *m = measure_of(one, what[i][0]);
        char a[32], b[32];
        if (!is_worse(m))
            continue;
        ortho_text_bytes(ortho_model_number(m, "a"), a, sizeof a);
        ortho_text_bytes(ortho_model_number(m, "b"), b, sizeof b);
        flag(flags, json_sprintf("%s: %s where it was %s", what[i][1], b, a));
    }
}

/* Rows whose clock was held down, or whose interval stayed wide: of several processes the
 * comparison's own interval tells that. */
static void flag_side(const json_t *rows, const char *side, json_t *flags)
{
    size_t i, throttled = 0;
    bool wide = false;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        throttled += ortho_model_throttled(row);
        wide = wide || (ortho_model_status(row) == ORTHO_CASE_AMBIGUOUS &&
                        json_array_size(ortho_model_at(row, "time_ns.processes")) < 2);
    }
    if (throttled > 0)
        flag(flags, json_sprintf("something held the GPU's clock down during %d samples of %s",
                                 (int)throttled, side));
    if (wide)
        flag(flags,
             json_sprintf("the interval of %s alone stayed wider than its run asked for", side));
}

static void flag_clocks(const json_t *a, const json_t *b, json_t *flags)
{
    double left = ortho_model_number(a, "clocks.sm_mhz.median");
    double right = ortho_model_number(b, "clocks.sm_mhz.median");
    if (fabs(left - right) > 0.01 * left)
        flag(flags, json_sprintf("the SM clock was %.0f MHz in a and %.0f MHz in b", left, right));
}

void ortho_compare_flags(const json_t *a_rows, const json_t *b_rows, json_t *one)
{
    json_t *flags = json_array();
    flag_exactness(one, flags);
    flag_bytes(one, flags);
    flag_side(a_rows, "a", flags);
    flag_side(b_rows, "b", flags);
    flag_clocks(json_array_get(a_rows, 0), json_array_get(b_rows, 0), flags);
    if (json_array_size(flags) > 0)
        json_object_set(one, "flags", flags);
    json_decref(flags);
}

bool ortho_compare_worse(const json_t *one)
{
    for (size_t i = 0; i < MEASURES; i++)
        if (measures[i].gates && is_worse(measure_of(one, measures[i].name)))
            return true;
    return false;
}
