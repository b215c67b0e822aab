#include "reports/markdown.h"

#include "common/error.h"
#include "reports/text.h"
#include "reports/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_COLUMNS 600  /* of a line of words: a longer one is cut ... */
#define LINE_BYTES   2400 /* ... whatever its characters take */

ortho_status ortho_markdown_text(const char *text, FILE *out)
{
    char *clean = ortho_text_clean(text);
    if (clean == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    for (const char *c = clean; *c != '\0'; c++) {
        if (*c == '<' || *c == '>' || *c == '&' || *c == '@')
            fprintf(out, "&#%d;", *c);
        else if (strchr("\\`*_[]#|~$", *c) != NULL)
            fprintf(out, "\\%c", *c);
        else
            fputc(*c, out);
    }
    free(clean);
    return ORTHO_OK;
}

/* The caller frees it; NULL without memory. */
static char *cut_text(const char *text, int columns, size_t bytes)
{
    char *cut = ortho_text_cut(text, columns);
    if (cut != NULL && strlen(cut) > bytes) { /* of characters without width */
        cut[bytes] = '\0';
        ortho_text_trim(cut);
    }
    return cut;
}

void ortho_markdown_line(void *ctx, const char *text, ortho_tone tone)
{
    FILE *out = ctx;
    char *cut = cut_text(text, LINE_COLUMNS, LINE_BYTES);
    bool loud = tone == ORTHO_TONE_DOUBT || tone == ORTHO_TONE_BAD;
    fputs(loud ? "- **" : "- ", out);
    ortho_markdown_text(cut != NULL ? cut : "?", out);
    fputs(loud ? "**\n" : "\n", out);
    free(cut);
}

void ortho_markdown_verdict(void *ctx, const char *text, ortho_tone tone)
{
    ortho_markdown_sink *s = ctx;
    if (s->told) {
        ortho_markdown_line(s->out, text, tone);
        return;
    }
    s->told = true;
    fputs("## ortho-bench: ", s->out);
    ortho_markdown_text(text, s->out);
    fputs("\n\n", s->out);
}

/* ---- comparisons
 * --------------------------------------------------------------------------------- */

/* A row takes less than 4000 bytes, and that is what is kept for it and for what ends a comment. */
#define CELL_COLUMNS 200
#define CELL_BYTES   800

/* `out` is in memory: it knows how long it is. */
static bool has_room(FILE *out)
{
    return ftell(out) < ORTHO_COMMENT_MAX - 4500;
}

static void put_cell(const char *text, FILE *out)
{
    char *cut = cut_text(text != NULL && *text != '\0' ? text : "–", CELL_COLUMNS, CELL_BYTES);
    fputs(" ", out);
    ortho_markdown_text(cut != NULL ? cut : "?", out);
    fputs(" |", out);
    free(cut);
}

static void put_three(double value, const char *after, FILE *out)
{
    char text[40], digits[32];
    ortho_text_three(value, digits, sizeof digits);
    snprintf(text, sizeof text, "%s%s", digits, isnan(value) ? "" : after);
    put_cell(text, out);
}

/* "1.0712× [1.05, 1.09]" */
static void put_ratio(const json_t *node, const char *path, FILE *out)
{
    const json_t *time = ortho_model_at(node, path);
    double ratio = ortho_model_number(time, "ratio"), lo = ortho_model_number(time, "lo");
    double hi = ortho_model_number(time, "hi");
    char text[120] = "";
    if (!isnan(ratio) && !isnan(lo) && !isnan(hi))
        snprintf(text, sizeof text, "%.4g× [%.4g, %.4g]", ratio, lo, hi);
    else if (!isnan(ratio))
        snprintf(text, sizeof text, "%.4g×", ratio);
    put_cell(text, out);
}

static void put_case(const json_t *compared, FILE *out)
{
    const json_t *flags = ortho_model_at(compared, "flags");
    bool timed = ortho_compare_timed(compared); /* one that is wrong has no numbers */
    const char *note = ortho_model_string(compared, "reason");
    const char *word = ortho_model_string(compared, "verdict");
    char verdict[128];
    if (json_array_size(flags) > 0)
        note = json_string_value(json_array_get(flags, 0));
    fputc('|', out);
    put_cell(ortho_model_string(compared, "key"), out);
    snprintf(verdict, sizeof verdict, "%.100s%s", word != NULL ? word : "no verdict",
             ortho_model_true(compared, "synthetic") ? ", SYNTHETIC" : "");
    put_cell(verdict, out);
    put_ratio(timed ? compared : NULL, "time", out);
    put_three(timed ? ortho_model_number(compared, "time.a_ns") / 1000 : NAN, " µs", out);
    put_three(timed ? ortho_model_number(compared, "time.b_ns") / 1000 : NAN, " µs", out);
    put_cell(note, out);
    fputc('\n', out);
}

#define CASES_HEAD                                                                                 \
    "| case | verdict | B/A | A | B | note |\n"                                                    \
    "| :-- | :-- | --: | --: | --: | :-- |\n"

/* The cases of one verdict (NULL: all), as many as the comment has room for. */
static ortho_status put_cases(const json_t *comparison, const char *verdict, FILE *out)
{
    size_t count = 0, i = 0;
    const json_t **cases = ortho_compare_cases(comparison, verdict, &count);
    if (cases == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    if (count > 0)
        fputs("\n" CASES_HEAD, out);
    for (; i < count && has_room(out); i++)
        put_case(cases[i], out);
    if (i < count)
        fprintf(out, "\n**%zu more are left out: a comment holds 65,536 characters.**\n",
                count - i);
    free(cases);
    return ORTHO_OK;
}

static void put_refused(const json_t *comparison, FILE *out)
{
    const json_t *list = ortho_model_at(comparison, "refused");
    size_t count = json_array_size(list);
    if (count == 0)
        return;
    fputs("\n| refused | differs in | A | B |\n| :-- | :-- | :-- | :-- |\n", out);
    for (size_t i = 0; i < count && i < 10 && has_room(out); i++) {
        static const char *const keys[] = {"key", "what", "a", "b"};
        fputc('|', out);
        for (int k = 0; k < 4; k++)
            put_cell(ortho_model_string(json_array_get(list, i), keys[k]), out);
        fputc('\n', out);
    }
    if (count > 10)
        fprintf(out, "\n%zu more were refused.\n", count - 10);
}

static void put_groups(const json_t *comparison, FILE *out)
{
    const json_t *list = ortho_model_at(comparison, "groups");
    if (json_array_size(list) == 0)
        return;
    fputs("\n| group | cases | B/A, geometric mean |\n| :-- | --: | --: |\n", out);
    for (size_t i = 0; i < json_array_size(list) && i < 40 && has_room(out); i++) {
        const json_t *group = json_array_get(list, i);
        const char *op = ortho_model_string(group, "op"), *variant;
        variant = ortho_model_string(group, "variant");
        char name[200], count[32] = "";
        snprintf(name, sizeof name, "%.90s %.90s", op != NULL ? op : "?",
                 variant != NULL ? variant : "?");
        if (!isnan(ortho_model_number(group, "cases")))
            ortho_text_number(ortho_model_number(group, "cases"), count);
        fputc('|', out);
        put_cell(name, out);
        put_cell(count, out);
        put_ratio(group, "", out);
        fputc('\n', out);
    }
}

static ortho_status put_comparison(const json_t *comparison, FILE *out)
{
    ortho_markdown_sink sink = {.out = out};
    ortho_status status = ortho_compare_lines(
        comparison, &(ortho_line_sink){.ctx = &sink, .line = ortho_markdown_verdict});
    if (status == ORTHO_OK)
        status = put_cases(comparison, "wrong", out);
    if (status == ORTHO_OK)
        status = put_cases(comparison, "slower", out);
    if (status != ORTHO_OK)
        return status;
    put_refused(comparison, out);
    put_groups(comparison, out);
    fputs("\n<details><summary>Every compared case</summary>\n", out);
    status = put_cases(comparison, NULL, out);
    fputs("\n</details>\n", out);
    return status;
}

ortho_status ortho_markdown_compare(const json_t *comparison, const ortho_writer_options *options,
                                    FILE *out)
{
    (void)options;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a comment");
    ortho_status status = put_comparison(comparison, stream);
    if (fclose(stream) != 0 && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a comment");
    if (status == ORTHO_OK)
        fputs(text, out);
    free(text);
    return status;
}
