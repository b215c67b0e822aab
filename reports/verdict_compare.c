/* A comparison of two sets of results, in lines. */
#include "common/error.h"
#include "reports/text.h"
#include "reports/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool ortho_is_comparison(const json_t *document)
{
    const char *schema = ortho_model_string(document, "schema");
    return schema != NULL && strcmp(schema, ORTHO_COMPARE_SCHEMA) == 0;
}

static bool is_word(const char *a, const char *b)
{
    return a != NULL && strcasecmp(a, b) == 0;
}

ortho_tone ortho_compare_tone(const char *verdict)
{
    if (is_word(verdict, "slower") || is_word(verdict, "wrong") || is_word(verdict, "worse"))
        return ORTHO_TONE_BAD;
    if (is_word(verdict, "faster") || is_word(verdict, "better"))
        return ORTHO_TONE_GOOD;
    return is_word(verdict, "same") ? ORTHO_TONE_PLAIN : ORTHO_TONE_DOUBT;
}

bool ortho_compare_timed(const json_t *compared)
{
    static const char *const words[] = {"slower", "faster", "same", "ambiguous"};
    const char *verdict = ortho_model_string(compared, "verdict");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(verdict, words[i]))
            return true;
    return false;
}

/* ---- cases ---------------------------------------------------------------------------------- */

/* How far from no change: 2× slower and 2× faster are equally far. NAN is nearest. */
static double distance(const json_t *compared)
{
    double ratio = ortho_model_number(compared, "time.ratio");
    return ratio > 0 ? fabs(log(ratio)) : -1;
}

static int by_distance(const void *a, const void *b)
{
    double x = distance(*(const json_t *const *)a), y = distance(*(const json_t *const *)b);
    return (x < y) - (x > y);
}

const json_t **ortho_compare_cases(const json_t *comparison, const char *verdict, size_t *count)
{
    const json_t *list = ortho_model_at(comparison, "cases");
    const json_t **found = calloc(json_array_size(list) + 1, sizeof *found);
    size_t n = 0;
    for (size_t i = 0; found != NULL && i < json_array_size(list); i++) {
        const json_t *compared = json_array_get(list, i);
        if (json_is_object(compared) &&
            (verdict == NULL || is_word(ortho_model_string(compared, "verdict"), verdict)))
            found[n++] = compared;
    }
    if (found != NULL && verdict != NULL)
        qsort(found, n, sizeof *found, by_distance);
    *count = n;
    return found;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static void say(const ortho_line_sink *sink, const char *text, ortho_tone tone)
{
    char *clean = ortho_text_clean(text);
    if (clean != NULL)
        sink->line(sink->ctx, clean, tone);
    free(clean);
}

/* "SLOWER: 2 cases slower, 1 faster, 30 same, 3 ambiguous, 1 refused" */
static void say_headline(const json_t *comparison, const ortho_line_sink *sink)
{
    static const struct {
        const char *key, *word;
    } counts[] = {{"summary.wrong", "wrong"},         {"summary.slower", "slower"},
                  {"summary.faster", "faster"},       {"summary.same", "same"},
                  {"summary.ambiguous", "ambiguous"}, {"summary.refused", "refused"},
                  {"summary.flagged", "flagged"},     {"summary.only_a", "only in A"},
                  {"summary.only_b", "only in B"}};
    const char *verdict = ortho_model_string(comparison, "summary.verdict"), *comma = "";
    char line[512], digits[32];
    int used = snprintf(line, sizeof line,
                        "%.40s: B against A: ", verdict != NULL ? verdict : "NO VERDICT");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double number = ortho_model_number(comparison, counts[i].key);
        if (!(number > 0))
            continue;
        used += snprintf(line + used, sizeof line - (size_t)used, "%s%s %s", comma,
                         ortho_text_number(number, digits), counts[i].word);
        comma = ", ";
    }
    if (*comma == '\0')
        snprintf(line + used, sizeof line - (size_t)used, "no case could be compared");
    say(sink, line, ortho_compare_tone(verdict));
}

/* "B: after.json · commit 1a2b3c4 · 2026-11-24 · NVIDIA H100 · smollm2-135m · SYNTHETIC" */
static void say_side(const json_t *comparison, const char *letter, const ortho_line_sink *sink)
{
    static const struct {
        const char *key, *before;
    } words[] = {{"name", ""},      {"commit", " · commit "}, {"date", " · "},
                 {"device", " · "}, {"driver", " · driver "}, {"model", " · weights "}};
    const json_t *side = ortho_model_at(comparison, letter[0] == 'A' ? "context.a" : "context.b");
    char line[1024];
    int used = snprintf(line, sizeof line, "%s: ", letter);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *word = ortho_model_string(side, words[i].key);
        if (word != NULL && (size_t)used < sizeof line)
            used += snprintf(line + used, sizeof line - (size_t)used, "%s%.150s", words[i].before,
                             word);
    }
    double processes = ortho_model_number(side, "processes");
    if (!isnan(processes) && (size_t)used < sizeof line)
        used += snprintf(line + used, sizeof line - (size_t)used, " · %.0f process%s", processes,
                         processes == 1 ? "" : "es");
    ortho_text_trim(line);
    say(sink, line, ORTHO_TONE_PLAIN);
    if (ortho_model_true(side, "synthetic")) {
        snprintf(line, sizeof line,
                 "SYNTHETIC weights in %s: made, not trained. Times are real; quality says nothing "
                 "about a trained model.",
                 letter);
        say(sink, line, ORTHO_TONE_DOUBT);
    }
}

/* What it takes to be called slower. */
static void say_rule(const json_t *comparison, const ortho_line_sink *sink)
{
    double threshold = ortho_model_number(comparison, "context.threshold");
    double alpha = ortho_model_number(comparison, "context.alpha");
    double spread = ortho_model_number(comparison, "context.spread.share");
    const char *from = ortho_model_string(comparison, "context.spread.from");
    char line[400], digits[3][32];
    ortho_text_three(100 * threshold, digits[0], sizeof digits[0]);
    ortho_text_three(100 * spread, digits[1], sizeof digits[1]);
    if (!isnan(threshold) && !isnan(alpha)) {
        snprintf(line, sizeof line,
                 "A case counts as slower or faster when it changes by more than %s %% and chance "
                 "explains that with p below %s, corrected for the number of cases.",
                 digits[0], ortho_text_number(alpha, digits[2]));
        say(sink, line, ORTHO_TONE_QUIET);
    }
    if (!isnan(spread)) {
        snprintf(line, sizeof line, "Spread between processes: %s %%%s%.200s.", digits[1],
                 from != NULL ? ", " : "", from != NULL ? from : "");
        ortho_text_trim(line);
        say(sink, line, ORTHO_TONE_QUIET);
    }
}

ortho_status ortho_compare_lines(const json_t *comparison, const ortho_line_sink *sink)
{
    say_headline(comparison, sink);
    say_side(comparison, "A", sink);
    say_side(comparison, "B", sink);
    say_rule(comparison, sink);
    return ORTHO_OK;
}
