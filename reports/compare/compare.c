#include "reports/compare/compare.h"

#include "common/error.h"
#include "common/ranks.h"
#include "reports/compare/measures.h"
#include "reports/compare/pair.h"
#include "reports/compare/summary.h"
#include "reports/compare/timed.h"
#include "reports/json_set.h"
#include "reports/model.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct comparison {
    const ortho_compare_options *options;
    json_t *out;   /* the document */
    json_t *a, *b; /* {"key": [row, ...]} */
    ortho_timed *timed;
    size_t count; /* of them that are filled */
} comparison;

/* The options for one variant: it may be known to move by more than the machine's others. */
static ortho_effect_options effect_options(const ortho_compare_options *o, const json_t *one)
{
    char name[160];
    const char *op = ortho_model_string(one, "op"), *variant = ortho_model_string(one, "variant");
    const char *backend = ortho_model_string(one, "backend");
    double known = NAN;
    if (op != NULL && variant != NULL && backend != NULL &&
        snprintf(name, sizeof name, "%s/%s/%s", op, variant, backend) < (int)sizeof name)
        known = json_number_value(json_object_get(o->spreads, name));
    return (ortho_effect_options){.spread = fmax(o->spread, known),
                                  .confidence = o->confidence,
                                  .resamples = o->resamples,
                                  .seed = o->seed};
}

/* ---- the context ----------------------------------------------------------------------------- */

static size_t processes_of(const json_t *cases)
{
    const char *key;
    json_t *rows;
    size_t most = 0;
    json_object_foreach((json_t *)cases, key, rows)
    {
        size_t i, sum = 0;
        json_t *row;
        json_array_foreach(rows, i, row)
        {
            size_t told = ortho_model_processes(row); /* 0 for a row without samples */
            sum += told > 0 ? told : 1;
        }
        most = sum > most ? sum : most;
    }
    return most;
}

/* "head-1.json and 4 more" */
static json_t *side_name(const ortho_compare_side *side)
{
    const char *slash = strrchr(side->files[0], '/');
    const char *first = slash != NULL ? slash + 1 : side->files[0];
    json_t *name = side->count > 1 ? json_sprintf("%s and %d more", first, (int)side->count - 1)
                                   : json_string(first);
    return name != NULL ? name : json_string("?");
}

static json_t *describe_side(const ortho_compare_side *side, const json_t *cases)
{
    static const char *const copied[][2] = {{"commit", "context.commit"},
                                            {"date", "context.date"},
                                            {"driver", "context.gpu.driver"},
                                            {"model", "context.model.name"}};
    json_t *document = side->documents[0], *told = json_object(), *files = json_array();
    json_object_set_new(told, "name", side_name(side));
    for (size_t i = 0; i < side->count; i++)
        json_array_append_new(files, json_string(side->files[i]));
    json_object_set_new(told, "files", files);
    ortho_json_int(told, "processes", (int64_t)processes_of(cases));
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const char *text = ortho_model_string(document, copied[i][1]);
        if (text != NULL)
            ortho_json_text(told, copied[i][0], text);
    }
    const char *device = ortho_model_device(document);
    if (device != NULL)
        ortho_json_text(told, "device", device);
    json_object_set_new(told, "synthetic", json_boolean(ortho_model_synthetic(document)));
    return told;
}

/* A side is told by its first document; where the others are of other commits, that is no side. */
static void note_commits(json_t *notes, const char *name, const ortho_compare_side *side)
{
    const char *first = ortho_model_string(side->documents[0], "context.commit");
    for (size_t i = 1; i < side->count && first != NULL; i++) {
        const char *its = ortho_model_string(side->documents[i], "context.commit");
        if (its == NULL || strcmp(its, first) == 0)
            continue;
        json_array_append_new(notes,
                              json_sprintf("%s holds more than one commit: %.40s in %.80s, "
                                           "%.40s in %.80s",
                                           name, first, side->files[0], its, side->files[i]));
        return;
    }
}

static json_t *describe(const comparison *c, const ortho_compare_side *a,
                        const ortho_compare_side *b)
{
    const ortho_compare_options *o = c->options;
    char date[32];
    time_t now = time(NULL);
    struct tm tm;
    json_t *context = json_object();
    if (gmtime_r(&now, &tm) != NULL && strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        ortho_json_text(context, "date", date);
    ortho_json_real(context, "threshold", o->threshold);
    ortho_json_real(context, "alpha", o->alpha);
    ortho_json_real(context, "confidence", o->confidence);
    ortho_json_int(context, "seed", (int64_t)o->seed);
    ortho_json_int(context, "resamples", o->resamples);
    json_object_set_new(context, "a", describe_side(a, c->a));
    json_object_set_new(context, "b", describe_side(b, c->b));
    json_object_set_new(context, "spread",
                        json_pack("{s:f, s:s}", "share", o->spread, "from", o->spread_from));
    json_t *notes = ortho_compare_notes(a->documents[0], b->documents[0]);
    note_commits(notes, "a", a);
    note_commits(notes, "b", b);
    json_object_set_new(context, "notes", notes);
    return context;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static json_t *new_case(const char *key, const json_t *row)
{
    static const char *const copied[] = {"op", "variant", "backend", "role", "activations"};
    char slice[64];
    json_t *one = json_object();
    ortho_json_text(one, "key", key);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        if (ortho_model_string(row, copied[i]) != NULL)
            json_object_set(one, copied[i], json_object_get(row, copied[i]));
    ortho_model_slice(row, slice, sizeof slice);
    ortho_json_text(one, "slice", slice);
    json_object_set_new(one, "synthetic", json_boolean(ortho_model_true(row, "synthetic")));
    return one;
}

/* The first row of a side that shows no time; NULL when all do. */
static const json_t *untimed(const json_t *rows)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) if (!ortho_model_timed(row)) return row;
    return NULL;
}

static void set_verdict(json_t *one, const char *verdict, const char *reason)
{
    ortho_json_text(one, "verdict", verdict);
    if (reason != NULL && *reason != '\0')
        ortho_json_text(one, "reason", reason);
}

/* The first row of a side that failed; NULL when none did. */
static const json_t *failed(const json_t *rows)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) if (ortho_model_status(row) == ORTHO_CASE_FAILED) return row;
    return NULL;
}

/* Whether a side shows a time in one file at least. */
static bool any_timed(const json_t *rows)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) if (ortho_model_timed(row)) return true;
    return false;
}

/* A case of which a file of either side has no time: wrong where b failed and a passed, else
 * nothing can be said. */
static void judge_untimed(json_t *one, const json_t *a_rows, const json_t *b_rows)
{
    const json_t *broken = failed(b_rows), *b = broken != NULL ? broken : untimed(b_rows);
    const json_t *first = b != NULL ? b : untimed(a_rows);
    bool wrong = broken != NULL && failed(a_rows) == NULL && any_timed(a_rows);
    char reason[256];
    snprintf(reason, sizeof reason, "%s in %s: %.160s",
             ortho_model_status_name(ortho_model_status(first)), b != NULL ? "b" : "a",
             ortho_model_reason(first));
    ortho_text_trim(reason);
    set_verdict(one, wrong ? "WRONG" : "UNTIMED", reason);
}

static ortho_status compare_times(comparison *c, json_t *one, const json_t *a_rows,
                                  const json_t *b_rows)
{
    ortho_timed *timed = &c->timed[c->count];
    ortho_effect_options options = effect_options(c->options, one);
    ortho_status status = ortho_timed_take(a_rows, b_rows, timed);
    if (status == ORTHO_OK)
        status = ortho_effect_measure(&timed->side[0], &timed->side[1], &options, &timed->effect);
    if (status == ORTHO_E_FORMAT || status == ORTHO_E_ARGUMENT) {
        set_verdict(one, "UNTIMED", ortho_last_message());
        ortho_timed_free(timed);
        return ORTHO_OK;
    }
    if (status != ORTHO_OK)
        return status;
    timed->one = one;
    timed->options = options;
    c->count++;
    return ORTHO_OK;
}

static ortho_status add_case(comparison *c, const char *key, const json_t *a_rows,
                             const json_t *b_rows)
{
    if (ortho_refuse_rows(key, a_rows, b_rows, json_object_get(c->out, "refused")))
        return ORTHO_OK;
    json_t *one = new_case(key, json_array_get(b_rows, 0));
    if (json_array_append_new(json_object_get(c->out, "cases"), one) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a comparison");
    if (untimed(a_rows) != NULL || untimed(b_rows) != NULL) {
        judge_untimed(one, a_rows, b_rows);
        return ORTHO_OK;
    }
    ortho_compare_measures(a_rows, b_rows, c->options->threshold, one);
    return compare_times(c, one, a_rows, b_rows);
}

static ortho_status add_cases(comparison *c)
{
    const char *key;
    json_t *a_rows;
    ortho_status status = ORTHO_OK;
    c->timed = calloc(json_object_size(c->a) + 1, sizeof *c->timed);
    if (c->timed == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a comparison");
    json_object_foreach(c->a, key, a_rows)
    {
        const json_t *b_rows = json_object_get(c->b, key);
        if (status == ORTHO_OK && b_rows != NULL)
            status = add_case(c, key, a_rows, b_rows);
    }
    return status == ORTHO_OK ? ortho_refuse_alone(c->a, c->b, c->out) : status;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static void describe_time(const ortho_timed *t, double corrected, double rank_corrected)
{
    const ortho_effect *e = &t->effect;
    json_t *time = json_object(), *ranks = json_object();
    ortho_json_real(time, "a_ns", e->a);
    ortho_json_real(time, "b_ns", e->b);
    ortho_json_real(time, "ratio", e->ratio);
    ortho_json_real(time, "lo", e->interval.lo);
    ortho_json_real(time, "hi", e->interval.hi);
    ortho_json_real(time, "p", e->p);
    ortho_json_real(time, "p_corrected", corrected);
    ortho_json_real(ranks, "p", e->rank_p);
    ortho_json_real(ranks, "p_corrected", rank_corrected);
    ortho_json_text(ranks, "over", e->over_processes ? "processes" : "samples");
    json_object_set_new(time, "mann_whitney", ranks);
    size_t samples[2] = {0, 0};
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < t->side[s].processes; i++)
            samples[s] += t->side[s].counts[i];
    json_object_set_new(time, "processes",
                        json_pack("[i, i]", (int)t->side[0].processes, (int)t->side[1].processes));
    json_object_set_new(time, "samples", json_pack("[i, i]", (int)samples[0], (int)samples[1]));
    if (e->widened) {
        json_object_set_new(time, "widened", json_true());
        ortho_json_real(time, "spread", t->options.spread);
    }
    json_object_set_new(t->one, "time", time);
}

/* Many cases are many chances to be wrong: references and competitors are corrected apart, since a
 * machine that moved must not hide a kernel that did. */
static ortho_status judge(comparison *c)
{
    size_t n = c->count;
    double *p = malloc((4 * n + 1) * sizeof *p);
    if (p == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for verdicts");
    for (size_t i = 0; i < n; i++) {
        bool competitor = ortho_comparison_competes(c->timed[i].one);
        const ortho_effect *e = &c->timed[i].effect;
        p[i] = competitor ? e->p : NAN;
        p[n + i] = competitor ? NAN : e->p;
        p[2 * n + i] = competitor ? e->rank_p : NAN;
        p[3 * n + i] = competitor ? NAN : e->rank_p;
    }
    bool ok = true;
    for (int family = 0; family < 4; family++)
        ok = ortho_false_discovery(p + (size_t)family * n, n) && ok;
    for (size_t i = 0; ok && i < n; i++) {
        size_t family = ortho_comparison_competes(c->timed[i].one) ? 0 : 1;
        double corrected = p[family * n + i];
        ortho_verdict_rule rule = {c->options->threshold, c->options->alpha};
        describe_time(&c->timed[i], corrected, p[(2 + family) * n + i]);
        set_verdict(c->timed[i].one,
                    ortho_verdict_name(ortho_effect_verdict(&c->timed[i].effect, corrected, &rule)),
                    NULL);
    }
    free(p);
    return ok ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory for verdicts");
}

static void flag(const comparison *c)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(c->out, "cases"), i, one)
    {
        const char *key = ortho_model_string(one, "key");
        if (json_object_get(one, "time") != NULL)
            ortho_compare_flags(json_object_get(c->a, key), json_object_get(c->b, key), one);
    }
}

/* References run the same code on both sides, as far as anyone knows: where they moved, so did the
 * machine. */
static void note_references(const comparison *c)
{
    json_t *notes = json_object_get(json_object_get(c->out, "context"), "notes");
    for (size_t i = 0; i < c->count; i++) {
        const json_t *one = c->timed[i].one;
        const char *verdict = ortho_model_string(one, "verdict");
        if (ortho_comparison_competes(one) || verdict == NULL ||
            (strcmp(verdict, "FASTER") != 0 && strcmp(verdict, "SLOWER") != 0))
            continue;
        json_array_append_new(
            notes, json_sprintf("the reference %s is %s too (%.3f at %s): the machine differs, or "
                                "the library that the reference calls",
                                ortho_model_string(one, "variant"),
                                strcmp(verdict, "FASTER") == 0 ? "faster" : "slower",
                                c->timed[i].effect.ratio, ortho_model_string(one, "slice")));
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static ortho_status fill(comparison *c, const ortho_compare_side *a, const ortho_compare_side *b)
{
    json_t *groups = NULL;
    ortho_status status = ORTHO_OK;
    json_object_set_new(c->out, "context", describe(c, a, b));
    if (ortho_refuse_documents(a->documents[0], b->documents[0],
                               json_object_get(c->out, "refused")) == 0)
        status = add_cases(c);
    if (status == ORTHO_OK)
        status = judge(c);
    if (status == ORTHO_OK)
        status = ortho_timed_groups(c->timed, c->count, &groups);
    if (status != ORTHO_OK)
        return status;
    json_object_set_new(c->out, "groups", groups);
    flag(c);
    note_references(c);
    ortho_comparison_summarise(c->out);
    return ORTHO_OK;
}

ortho_status ortho_compare(const ortho_compare_side *a, const ortho_compare_side *b,
                           const ortho_compare_options *options, json_t **out)
{
    comparison c = {.options = options};
    ortho_status status = ortho_side_check(a);
    if (status == ORTHO_OK)
        status = ortho_side_check(b);
    if (status == ORTHO_OK)
        status = ortho_side_cases(a, &c.a);
    if (status == ORTHO_OK)
        status = ortho_side_cases(b, &c.b);
    if (status == ORTHO_OK) {
        c.out = json_pack("{s:s, s:{}, s:{}, s:[], s:[], s:[], s:[], s:[]}", "schema",
                          ORTHO_COMPARE_SCHEMA, "context", "summary", "groups", "cases", "refused",
                          "only_a", "only_b");
        status = c.out != NULL ? fill(&c, a, b)
                               : ortho_fail(ORTHO_E_MEMORY, "no memory for a comparison");
    }
    for (size_t i = 0; i < c.count; i++)
        ortho_timed_free(&c.timed[i]);
    free(c.timed);
    json_decref(c.a);
    json_decref(c.b);
    if (status == ORTHO_OK)
        *out = c.out;
    else
        json_decref(c.out);
    return status;
}
