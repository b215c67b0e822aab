#include "reports/compare/view.h"

#include "common/error.h"
#include "reports/compare/measures.h"
#include "reports/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A line of printf, cleaned. */
__attribute__((format(printf, 3, 4))) static ortho_status
say(const ortho_line_sink *sink, ortho_tone tone, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ortho_text_trim(text);
    char *clean = ortho_text_clean(text);
    if (clean == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a comparison's words");
    sink->line(sink->ctx, clean, tone);
    free(clean);
    return ORTHO_OK;
}

static const char *text(const json_t *node, const char *path)
{
    const char *found = ortho_model_string(node, path);
    return found != NULL ? found : "?";
}

static int whole(const json_t *node, const char *path)
{
    double value = ortho_model_number(node, path);
    return value > 0 && value < 1e9 ? (int)value : 0;
}

/* ---- as a whole ------------------------------------------------------------------------------ */

void ortho_comparison_headline(const json_t *document, char *out, size_t size)
{
    static const char *const words[][2] = {{"wrong", "wrong"},         {"slower", "slower"},
                                           {"larger", "larger"},       {"faster", "faster"},
                                           {"same", "the same"},       {"ambiguous", "ambiguous"},
                                           {"untimed", "without time"}};
    const json_t *summary = ortho_model_at(document, "summary");
    int used = snprintf(out, size, "%s", text(summary, "verdict"));
    const char *before = ": ";
    for (size_t i = 0; i < sizeof words / sizeof *words && used > 0 && (size_t)used < size; i++) {
        int n = whole(summary, words[i][0]);
        if (n == 0)
            continue;
        used += snprintf(out + used, size - (size_t)used, "%s%d %s", before, n, words[i][1]);
        before = ", ";
    }
    if (ortho_comparison_read(document) == ORTHO_COMPARISON_NOTHING)
        snprintf(out, size, "NOTHING: no case could be compared");
}

static ortho_status say_side(const json_t *document, const char *side, const ortho_line_sink *sink)
{
    char path[32];
    snprintf(path, sizeof path, "context.%s", side);
    const json_t *s = ortho_model_at(document, path);
    int processes = whole(s, "processes");
    return say(sink, ORTHO_TONE_PLAIN, "%s: %.80s · commit %.40s · %.40s · %d process%s", side,
               text(s, "name"), text(s, "commit"), text(s, "date"), processes,
               processes == 1 ? "" : "es");
}

static bool any_widened(const json_t *document)
{
    size_t i;
    const json_t *one;
    json_array_foreach(ortho_model_at(document, "cases"), i,
                       one) if (ortho_model_true(one, "time.widened")) return true;
    return false;
}

static ortho_status say_method(const json_t *document, const ortho_line_sink *sink)
{
    const json_t *c = ortho_model_at(document, "context");
    ortho_status status = say(
        sink, ORTHO_TONE_PLAIN,
        "a ratio above 1 is slower; intervals %g %%, over processes first and samples second; a "
        "verdict takes %g %% of change and a false discovery rate of %g",
        100 * ortho_model_number(c, "confidence"), 100 * ortho_model_number(c, "threshold"),
        ortho_model_number(c, "alpha"));
    if (status == ORTHO_OK && any_widened(document))
        status =
            say(sink, ORTHO_TONE_DOUBT,
                "fewer than three processes on a side: intervals are widened by %.2g %% between "
                "processes (%.120s), and by more where a variant is known to move by more; `run "
                "--processes 5` proves more",
                100 * ortho_model_number(c, "spread.share"), text(c, "spread.from"));
    return status;
}

ortho_status ortho_comparison_lines(const json_t *document, const ortho_line_sink *sink)
{
    const json_t *context = ortho_model_at(document, "context"), *note;
    size_t i;
    ortho_status status = say_side(document, "a", sink);
    if (status == ORTHO_OK)
        status = say_side(document, "b", sink);
    if (status == ORTHO_OK)
        status = say(sink, ORTHO_TONE_PLAIN, "on %.80s · model %.80s", text(context, "b.device"),
                     text(context, "b.model"));
    if (status == ORTHO_OK &&
        (ortho_model_true(context, "a.synthetic") || ortho_model_true(context, "b.synthetic")))
        status = say(sink, ORTHO_TONE_DOUBT,
                     "SYNTHETIC weights: made, not trained. Times are real; quality says nothing "
                     "about a trained model.");
    if (status == ORTHO_OK)
        status = say_method(document, sink);
    json_array_foreach(ortho_model_at(context, "notes"), i,
                       note) if (status == ORTHO_OK && json_is_string(note)) status =
        say(sink, ORTHO_TONE_DOUBT, "%.400s", json_string_value(note));
    return status;
}

ortho_status ortho_comparison_told(const json_t *document, const ortho_line_sink *sink)
{
    char headline[256];
    const char *verdict = ortho_model_string(document, "summary.verdict");
    ortho_comparison_headline(document, headline, sizeof headline);
    ortho_status status = say(sink, ortho_comparison_tone(verdict), "%s", headline);
    return status == ORTHO_OK ? ortho_comparison_lines(document, sink) : status;
}

static ortho_status say_alone(const json_t *document, const char *list, const char *side,
                              const ortho_line_sink *sink)
{
    size_t i;
    const json_t *key;
    ortho_status status = ORTHO_OK;
    json_array_foreach(ortho_model_at(document, list), i,
                       key) if (status == ORTHO_OK && json_is_string(key)) status =
        say(sink, ORTHO_TONE_PLAIN, "only in %s: %.300s", side, json_string_value(key));
    return status;
}

ortho_status ortho_comparison_rest(const json_t *document, const ortho_line_sink *sink)
{
    size_t i;
    const json_t *one;
    ortho_status status = ORTHO_OK;
    json_array_foreach(ortho_model_at(document, "refused"), i, one)
    {
        const char *key = text(one, "key");
        bool all = strcmp(key, "*") == 0;
        if (status == ORTHO_OK)
            status =
                say(sink, ORTHO_TONE_DOUBT, "refused: %.300s: %.40s is %.120s in a, %.120s in b",
                    all ? "every case" : key, text(one, "what"), text(one, "a"), text(one, "b"));
    }
    if (status == ORTHO_OK)
        status = say_alone(document, "only_a", "a", sink);
    return status == ORTHO_OK ? say_alone(document, "only_b", "b", sink) : status;
}

ortho_status ortho_comparison_means(const json_t *document, const ortho_line_sink *sink)
{
    size_t i;
    const json_t *one;
    ortho_status status = ORTHO_OK;
    json_array_foreach(ortho_model_at(document, "groups"), i, one) if (status == ORTHO_OK)
    {
        int cases = whole(one, "cases");
        char variant[ORTHO_LABEL_BYTES];
        ortho_model_variant(one, variant);
        status =
            say(sink, ORTHO_TONE_PLAIN, "%.64s %.40s on %.20s: %.3f [%.3f, %.3f] over %d case%s",
                variant, text(one, "op"), text(one, "backend"), ortho_model_number(one, "ratio"),
                ortho_model_number(one, "lo"), ortho_model_number(one, "hi"), cases,
                cases == 1 ? "" : "s");
    }
    return status;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static int weight(const json_t *one)
{
    static const char *const order[] = {"WRONG", "SLOWER", "", "AMBIGUOUS", "FASTER", "SAME"};
    enum { ORDER = sizeof order / sizeof *order, LARGER = 2 };
    int place = ORDER;
    for (int i = 0; i < ORDER; i++)
        if (strcmp(text(one, "verdict"), order[i]) == 0)
            place = i;
    if (place > LARGER && ortho_compare_worse(one))
        place = LARGER;
    return ortho_comparison_competes(one) ? place : ORDER + 1 + place;
}

typedef struct placed {
    const json_t *one;
    int weight;
    size_t order;
} placed;

static int by_weight(const void *pa, const void *pb)
{
    const placed *a = pa, *b = pb;
    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

ortho_status ortho_comparison_cases(const json_t *document, const json_t ***out, size_t *count)
{
    const json_t *cases = ortho_model_at(document, "cases");
    size_t n = json_array_size(cases);
    placed *all = malloc((n + 1) * sizeof *all);
    const json_t **list = malloc((n + 1) * sizeof *list);
    if (all == NULL || list == NULL) {
        free(all);
        free((void *)list);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a comparison's cases");
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(cases, i);
        all[i] = (placed){one, weight(one), i};
    }
    qsort(all, n, sizeof *all, by_weight);
    for (size_t i = 0; i < n; i++)
        list[i] = all[i].one;
    free(all);
    *out = list;
    *count = n;
    return ORTHO_OK;
}

static void cell_verdict(const json_t *one, ortho_cell *out)
{
    static const struct {
        const char *verdict;
        ortho_tone tone;
    } tones[] = {{"WRONG", ORTHO_TONE_BAD},
                 {"SLOWER", ORTHO_TONE_BAD},
                 {"AMBIGUOUS", ORTHO_TONE_DOUBT},
                 {"FASTER", ORTHO_TONE_GOOD},
                 {"UNTIMED", ORTHO_TONE_QUIET}};
    const char *verdict = text(one, "verdict");
    char *word = ortho_text_cut(verdict, 12); /* any text of a file read back */
    snprintf(out->text, sizeof out->text, "%s%s", word != NULL ? word : "?",
             ortho_compare_worse(one) ? ", LARGER" : "");
    free(word);
    for (size_t i = 0; i < sizeof tones / sizeof *tones; i++)
        if (strcmp(verdict, tones[i].verdict) == 0)
            out->tone = tones[i].tone;
    if (ortho_compare_worse(one))
        out->tone = ORTHO_TONE_BAD;
}

/* A case that is wrong has no numbers, whatever the document holds. */
static double time_of(const json_t *one, const char *path)
{
    return ortho_comparison_timed(one) ? ortho_model_number(one, path) : NAN;
}

static void cell_ratio(const json_t *one, ortho_cell *out)
{
    double ratio = time_of(one, "time.ratio");
    if (!isnan(ratio))
        snprintf(out->text, sizeof out->text, "%.3f", ratio);
}

static void cell_interval(const json_t *one, ortho_cell *out)
{
    double lo = time_of(one, "time.lo"), hi = time_of(one, "time.hi");
    if (!isnan(lo) && !isnan(hi))
        snprintf(out->text, sizeof out->text, "[%.3f, %.3f]%s", lo, hi,
                 ortho_model_true(one, "time.widened") ? "~" : "");
}

static void cell_a(const json_t *one, ortho_cell *out)
{
    ortho_text_time(time_of(one, "time.a_ns"), out->text, sizeof out->text);
}

static void cell_b(const json_t *one, ortho_cell *out)
{
    ortho_text_time(time_of(one, "time.b_ns"), out->text, sizeof out->text);
}

static void put_p(double p, ortho_cell *out)
{
    if (!isnan(p))
        snprintf(out->text, sizeof out->text, p < 0.0001 ? "<.0001" : "%.4f", p);
}

static void cell_p(const json_t *one, ortho_cell *out)
{
    put_p(time_of(one, "time.p_corrected"), out);
}

static void cell_ranks(const json_t *one, ortho_cell *out)
{
    put_p(time_of(one, "time.mann_whitney.p_corrected"), out);
}

static void cell_processes(const json_t *one, ortho_cell *out)
{
    const json_t *processes = ortho_model_at(one, "time.processes");
    const json_t *samples = ortho_model_at(one, "time.samples");
    if (json_array_size(processes) == 2 && json_array_size(samples) == 2)
        snprintf(out->text, sizeof out->text, "%d/%d (%d/%d)",
                 (int)json_integer_value(json_array_get(processes, 0)),
                 (int)json_integer_value(json_array_get(processes, 1)),
                 (int)json_integer_value(json_array_get(samples, 0)),
                 (int)json_integer_value(json_array_get(samples, 1)));
}

const ortho_comparison_column ortho_comparison_columns[] = {
    {"verdict", "against the threshold; LARGER: it takes or keeps more bytes", cell_verdict},
    {"ratio", "b's time over a's, geometric means of the processes' medians", cell_ratio},
    {"interval", "of the ratio; ~ widened, since a side has fewer than three processes",
     cell_interval},
    {"a", "time in a", cell_a},
    {"b", "time in b", cell_b},
    {"p", "that chance alone makes so large a ratio, corrected for the number of cases", cell_p},
    {"ranks",
     "Mann and Whitney's p, corrected; over processes where both sides have three, else "
     "over samples, which proves nothing of processes",
     cell_ranks},
    {"processes", "processes (samples) of a and b", cell_processes},
};
const size_t ortho_comparison_column_count =
    sizeof ortho_comparison_columns / sizeof *ortho_comparison_columns;

static ortho_status say_measure(const json_t *m, const ortho_line_sink *sink)
{
    double a = ortho_model_number(m, "a"), b = ortho_model_number(m, "b");
    const char *verdict = text(m, "verdict"), *unit = ortho_model_string(m, "unit");
    char left[32], right[32];
    if (strcmp(verdict, "same") == 0 || isnan(a) || isnan(b))
        return ORTHO_OK;
    if (unit != NULL && strcmp(unit, "bytes") == 0) {
        ortho_text_bytes(a, left, sizeof left);
        ortho_text_bytes(b, right, sizeof right);
        unit = NULL;
    } else {
        snprintf(left, sizeof left, "%.4g", a);
        snprintf(right, sizeof right, "%.4g", b);
    }
    return say(sink, ORTHO_TONE_QUIET, "%.120s %.20s: %s to %s%s%.20s", text(m, "name"), verdict,
               left, right, unit != NULL ? " " : "", unit != NULL ? unit : "");
}

ortho_status ortho_comparison_details(const json_t *one, const ortho_line_sink *sink)
{
    size_t i;
    const json_t *item;
    ortho_status status = ORTHO_OK;
    const char *reason = ortho_model_string(one, "reason");
    if (reason != NULL)
        status = say(sink, ORTHO_TONE_DOUBT, "%.300s", reason);
    json_array_foreach(ortho_model_at(one, "flags"), i,
                       item) if (status == ORTHO_OK && json_is_string(item)) status =
        say(sink, ORTHO_TONE_DOUBT, "%.300s", json_string_value(item));
    json_array_foreach(ortho_model_at(one, "measures"), i, item) if (status == ORTHO_OK) status =
        say_measure(item, sink);
    return status;
}
