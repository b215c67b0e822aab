#include "reports/verdict.h"

#include "common/error.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ortho_status no_memory(void)
{
    return ortho_fail(ORTHO_E_MEMORY, "no memory for a verdict");
}

/* ---- who is fastest ------------------------------------------------------------------------- */

static bool competes(const json_t *row)
{
    const char *role = ortho_model_string(row, "role");
    return ortho_model_status(row) == ORTHO_CASE_OK && role != NULL &&
           strcmp(role, "competitor") == 0 && ortho_model_number(row, "speedup.ratio") > 0;
}

const json_t *ortho_group_fastest(const ortho_group *group)
{
    const json_t *best = NULL;
    for (size_t i = 0; i < group->count; i++)
        if (competes(group->rows[i]) &&
            (best == NULL || ortho_model_time(group->rows[i]) < ortho_model_time(best)))
            best = group->rows[i];
    return best;
}

void ortho_speedup_words(const json_t *row, char *out, size_t size)
{
    double ratio = ortho_model_timed(row) ? ortho_model_number(row, "speedup.ratio") : NAN;
    double lo = ortho_model_number(row, "speedup.lo"), hi = ortho_model_number(row, "speedup.hi");
    char text[3][32];
    ortho_text_three(ratio, text[0], sizeof text[0]);
    ortho_text_three(lo, text[1], sizeof text[1]);
    ortho_text_three(hi, text[2], sizeof text[2]);
    out[0] = '\0';
    if (!isnan(ratio) && !isnan(lo) && !isnan(hi))
        snprintf(out, size, "%s× [%s, %s]", text[0], text[1], text[2]);
    else if (!isnan(ratio))
        snprintf(out, size, "%s×", text[0]);
}

/* One operation on one backend: how often each variant is the fastest, and the best case of all. */
typedef struct contest {
    const json_t *best; /* the row of the highest speed-up */
    size_t cases;
    json_t *wins; /* variant to how often, in the order of first wins */
} contest;

static const char *word_of(const json_t *row, const char *key)
{
    const char *word = ortho_model_string(row, key);
    return word != NULL ? word : "?";
}

static bool same_contest(const json_t *a, const json_t *b)
{
    return strcmp(word_of(a, "op"), word_of(b, "op")) == 0 &&
           strcmp(word_of(a, "backend"), word_of(b, "backend")) == 0;
}

static ortho_status add_win(contest *c, const json_t *row)
{
    char variant[ORTHO_LABEL_BYTES];
    ortho_model_label(row, variant);
    json_int_t before = json_integer_value(json_object_get(c->wins, variant));
    c->cases++;
    if (c->best == NULL ||
        ortho_model_number(row, "speedup.ratio") > ortho_model_number(c->best, "speedup.ratio"))
        c->best = row;
    return json_object_set_new(c->wins, variant, json_integer(before + 1)) == 0 ? ORTHO_OK
                                                                                : no_memory();
}

/* "fused is the fastest in 9 of 12 cases, csr in 3" */
static void put_wins(const contest *c, FILE *out)
{
    size_t told = 0;
    const char *variant;
    json_t *wins;
    json_object_foreach(c->wins, variant, wins)
    {
        if (told == 0)
            fprintf(out, "%s is the fastest in %lld of %zu", variant,
                    (long long)json_integer_value(wins), c->cases);
        else if (told < 6)
            fprintf(out, ", %s in %lld", variant, (long long)json_integer_value(wins));
        told++;
    }
    if (told > 6)
        fprintf(out, ", %zu others in the rest", told - 6);
}

static ortho_status say_contest(const contest *c, const ortho_line_sink *sink)
{
    char *text = NULL, speedup[96], slice[256], name[ORTHO_LABEL_BYTES];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return no_memory();
    ortho_speedup_words(c->best, speedup, sizeof speedup);
    ortho_model_slice(c->best, slice, sizeof slice);
    ortho_model_label(c->best, name);
    fprintf(out, "%s on %s: ", word_of(c->best, "op"), word_of(c->best, "backend"));
    put_wins(c, out);
    fprintf(out, "; at best %s over %s (%s, %s", speedup, word_of(c->best, "speedup.over"), name,
            slice);
    char digits[32];
    double m = ortho_model_number(c->best, "m"), density = ortho_model_number(c->best, "density");
    if (!isnan(m))
        fprintf(out, ", m %s", ortho_text_number(m, digits));
    if (!isnan(density))
        fprintf(out, ", density %s", ortho_text_number(density, digits));
    fputc(')', out);
    char *clean = fclose(out) == 0 ? ortho_text_clean(text) : NULL;
    bool faster = ortho_model_number(c->best, "speedup.lo") > 1;
    if (clean != NULL)
        sink->line(sink->ctx, clean, faster ? ORTHO_TONE_GOOD : ORTHO_TONE_PLAIN);
    free(text);
    free(clean);
    return clean != NULL ? ORTHO_OK : no_memory();
}

/* Marks the groups of one contest as told while it counts them. */
static ortho_status run_contest(const ortho_groups *groups, size_t first, bool *told,
                                const ortho_line_sink *sink)
{
    contest c = {.wins = json_object()};
    const json_t *leader = ortho_group_fastest(&groups->group[first]);
    ortho_status status = c.wins != NULL ? ORTHO_OK : no_memory();
    for (size_t g = first; g < groups->count && status == ORTHO_OK; g++) {
        const json_t *row = told[g] ? NULL : ortho_group_fastest(&groups->group[g]);
        if (row == NULL || !same_contest(row, leader))
            continue;
        told[g] = true;
        status = add_win(&c, row);
    }
    if (status == ORTHO_OK)
        status = say_contest(&c, sink);
    json_decref(c.wins);
    return status;
}

#define CONTESTS                                                                                   \
    8 /* operations that are told: nobody has more, but a document may hold anything               \
       */

static ortho_status say_contests(const json_t *results, const ortho_line_sink *sink)
{
    ortho_groups groups = {0};
    ortho_status status = ortho_model_groups(results, &groups);
    bool *told = calloc(groups.count + 1, sizeof *told);
    size_t said = 0;
    if (told == NULL && status == ORTHO_OK)
        status = no_memory();
    for (size_t g = 0; g < groups.count && status == ORTHO_OK && said < CONTESTS; g++)
        if (!told[g] && ortho_group_fastest(&groups.group[g]) != NULL) {
            status = run_contest(&groups, g, told, sink);
            said++;
        }
    free(told);
    ortho_groups_free(&groups);
    return status;
}

/* ---- is everything right -------------------------------------------------------------------- */

static void say_headline(const json_t *results, const ortho_line_sink *sink)
{
    size_t count[ORTHO_CASE_STATUSES] = {0}, total = 0;
    char line[240], tally[160];
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        total += row != NULL;
        if (row != NULL)
            count[ortho_model_status(row)]++;
    }
    size_t failed = count[ORTHO_CASE_FAILED] + count[ORTHO_CASE_UNKNOWN];
    size_t timed = count[ORTHO_CASE_OK] + count[ORTHO_CASE_AMBIGUOUS];
    const char *word = "PASSED: every case that ran is verified";
    ortho_tone tone = ORTHO_TONE_GOOD;
    if (failed > 0) {
        word = "FAILED: results are wrong, or were not verified";
        tone = ORTHO_TONE_BAD;
    } else if (timed == 0) {
        word = "NOTHING: no case was timed";
        tone = ORTHO_TONE_DOUBT;
    } else if (count[ORTHO_CASE_AMBIGUOUS] > 0) {
        word = "AMBIGUOUS: every case that ran is verified, but some intervals stayed wide";
        tone = ORTHO_TONE_DOUBT;
    }
    ortho_tally(results, tally, sizeof tally);
    snprintf(line, sizeof line, "%s (%s)", word, tally);
    sink->line(sink->ctx, line, tone);
}

ortho_status ortho_verdict_lines(const json_t *results, const ortho_line_sink *sink)
{
    say_headline(results, sink);
    return say_contests(results, sink);
}
