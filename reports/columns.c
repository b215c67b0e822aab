#include "reports/columns.h"

#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* From this many tokens on a GEMM is judged by its arithmetic rather than by its traffic. */
#define TOKENS_BY_FLOPS 16

static void cell_time(const json_t *row, ortho_cell *out)
{
    char time[24], half[16];
    ortho_text_time(ortho_model_time(row), time, sizeof time);
    double share = ortho_model_half_width(row);
    snprintf(half, sizeof half, 100 * share < 9.95 ? "%.1f" : "%.0f", 100 * share);
    bool ambiguous = ortho_model_status(row) == ORTHO_CASE_AMBIGUOUS;
    const char *mark = ambiguous ? "~ " : "";
    out->tone = ambiguous ? ORTHO_TONE_DOUBT : ORTHO_TONE_PLAIN;
    if (isnan(share))
        snprintf(out->text, sizeof out->text, "%s%s", mark, time);
    else
        snprintf(out->text, sizeof out->text, "%s%s ±%4s %%", mark, time, half);
}

static void cell_rate(const json_t *row, ortho_cell *out)
{
    double value = ortho_model_gflops(row);
    bool by_flops = ortho_model_number(row, "m") >= TOKENS_BY_FLOPS && !isnan(value);
    if (!by_flops)
        value = ortho_model_gbps(row);
    char text[24];
    ortho_text_three(value, text, sizeof text);
    if (!isnan(value))
        snprintf(out->text, sizeof out->text, "%s %s", text, by_flops ? "GFLOP/s" : "GB/s");
}

static void cell_speedup(const json_t *row, ortho_cell *out)
{
    double ratio = ortho_model_number(row, "speedup.ratio");
    double lo = ortho_model_number(row, "speedup.lo"), hi = ortho_model_number(row, "speedup.hi");
    const char *role = ortho_model_string(row, "role");
    char text[3][16];
    if (isnan(ratio)) {
        if (role != NULL && strcmp(role, "baseline") == 0) {
            snprintf(out->text, sizeof out->text, "baseline");
            out->tone = ORTHO_TONE_QUIET;
        }
        return;
    }
    ortho_text_three(ratio, text[0], sizeof text[0]);
    ortho_text_three(lo, text[1], sizeof text[1]);
    ortho_text_three(hi, text[2], sizeof text[2]);
    if (isnan(lo) || isnan(hi)) {
        snprintf(out->text, sizeof out->text, "%s×", text[0]);
        return;
    }
    snprintf(out->text, sizeof out->text, "%s× [%s, %s]", text[0], text[1], text[2]);
    out->tone = lo > 1 ? ORTHO_TONE_GOOD : hi < 1 ? ORTHO_TONE_BAD : ORTHO_TONE_PLAIN;
}

static void percent(double share, ortho_cell *out)
{
    char text[32];
    ortho_text_three(100 * share, text, sizeof text);
    if (!isnan(share))
        snprintf(out->text, sizeof out->text, "%s %%", text);
}

static void cell_floor(const json_t *row, ortho_cell *out)
{
    percent(ortho_model_floor_share(row), out);
}

static void cell_lanes(const json_t *row, ortho_cell *out)
{
    percent(ortho_model_lanes(row), out);
}

static void cell_working(const json_t *row, ortho_cell *out)
{
    ortho_text_bytes(ortho_model_number(row, "peak_bytes.working"), out->text, sizeof out->text);
}

/* What is kept: a GEMM's packed weights, or what a sieve produced. */
static void cell_kept(const json_t *row, ortho_cell *out)
{
    double weights = ortho_model_number(row, "peak_bytes.weights");
    double output = ortho_model_number(row, "peak_bytes.output");
    double kept = weights > 0 ? weights : output > 0 ? output : weights;
    ortho_text_bytes(kept, out->text, sizeof out->text);
}

static void cell_snr(const json_t *row, ortho_cell *out)
{
    char text[32];
    double snr = ortho_model_number(row, "quality.snr_db");
    ortho_text_three(snr, text, sizeof text);
    if (!isnan(snr))
        snprintf(out->text, sizeof out->text, "%s dB", text);
    else if (ortho_model_string(row, "quality.status") != NULL)
        snprintf(out->text, sizeof out->text, "n/a");
}

static void cell_bits(const json_t *row, ortho_cell *out)
{
    ortho_text_three(ortho_model_number(row, "quality.bits_per_weight"), out->text,
                     sizeof out->text);
}

static void cell_verified(const json_t *row, ortho_cell *out)
{
    const char *before = ortho_model_string(row, "verified.before");
    double error = ortho_model_number(row, "verified.rel_error");
    bool checked = before != NULL && strcmp(before, "pass") == 0;
    out->tone = checked ? ORTHO_TONE_GOOD : ORTHO_TONE_QUIET;
    if (!checked)
        snprintf(out->text, sizeof out->text, "n/a");
    else if (isnan(error))
        snprintf(out->text, sizeof out->text, "pass");
    else
        snprintf(out->text, sizeof out->text, "pass %.0e", error);
}

const ortho_column ortho_columns[] = {
    {.title = "time",
     .meaning =
         "median of the samples, ± half of its 95 % confidence interval; ~ is ambiguous: the "
         "interval stayed wider than asked, so the row indicates and proves nothing",
     .cell = cell_time},
    {.title = "rate",
     .meaning = "bytes that must move ÷ time; from 16 tokens on, operations where there are any",
     .keep = 2,
     .cell = cell_rate},
    {.title = "speed-up",
     .meaning = "baseline's median ÷ this median, with its 95 % confidence interval",
     .keep = 1,
     .cell = cell_speedup},
    {.title = "of floor",
     .meaning = "the least time that the measured bandwidth allows for these bytes ÷ time",
     .keep = 5,
     .cell = cell_floor},
    {.title = "working",
     .meaning = "peak of temporaries booked by the allocator",
     .keep = 4,
     .cell = cell_working},
    {.title = "kept",
     .meaning = "packed weights and index that a GEMM holds, or what a sieve produced",
     .keep = 7,
     .cell = cell_kept},
    {.title = "lanes*",
     .meaning = "active lanes of a 32-lane warp, predicted by the lane model, not measured",
     .keep = 3,
     .cell = cell_lanes},
    {.title = "SNR",
     .meaning = "weight over error of Base + Ortho; n/a where the weights were 4-bit already",
     .keep = 8,
     .cell = cell_snr},
    {.title = "bits/w",
     .meaning = "bits stored for each weight, scales and Ortho included",
     .keep = 9,
     .cell = cell_bits},
    {.title = "verified",
     .meaning = "before and after timing, with the larger relative error; n/a computes nothing",
     .left = true,
     .keep = 6,
     .cell = cell_verified},
};

const size_t ortho_column_count = sizeof ortho_columns / sizeof *ortho_columns;

void ortho_column_cell(const ortho_column *column, const json_t *row, ortho_cell *out)
{
    ortho_case_status status = ortho_model_status(row);
    *out = (ortho_cell){.text = ""};
    if (status == ORTHO_CASE_OK || status == ORTHO_CASE_AMBIGUOUS)
        column->cell(row, out);
}

bool ortho_column_filled(const ortho_column *column, const ortho_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        ortho_cell cell;
        ortho_column_cell(column, group->rows[i], &cell);
        if (cell.text[0] != '\0')
            return true;
    }
    return false;
}

ortho_tone ortho_status_tone(ortho_case_status status)
{
    static const ortho_tone tones[ORTHO_CASE_STATUSES] = {
        [ORTHO_CASE_OK] = ORTHO_TONE_PLAIN,      [ORTHO_CASE_AMBIGUOUS] = ORTHO_TONE_DOUBT,
        [ORTHO_CASE_FAILED] = ORTHO_TONE_BAD,    [ORTHO_CASE_SKIPPED] = ORTHO_TONE_QUIET,
        [ORTHO_CASE_UNKNOWN] = ORTHO_TONE_DOUBT,
    };
    return (unsigned)status < ORTHO_CASE_STATUSES ? tones[status] : ORTHO_TONE_DOUBT;
}

/* ---- context -------------------------------------------------------------------------------- */

/* One `before value` per entry whose value the context has; integers and strings. */
typedef struct word {
    const char *before, *path, *after;
} word;

static void put_words(const json_t *context, const word *words, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = ortho_model_string(context, words[i].path);
        double number = ortho_model_number(context, words[i].path);
        char digits[32];
        char *clean = text != NULL ? ortho_text_clean(text) : NULL;
        if (clean != NULL && *clean != '\0')
            fprintf(out, "%s%s%s", words[i].before, clean, words[i].after);
        else if (!isnan(number)) {
            if (number == floor(number))
                ortho_text_number(number, digits);
            else
                ortho_text_three(number, digits, sizeof digits);
            fprintf(out, "%s%s%s", words[i].before, digits, words[i].after);
        }
        free(clean);
    }
}

static const word ran[] = {{"", "binary", ""}, {" (", "commit", ")"}, {" · ", "compiler", ""},
                           {" ", "flags", ""}, {" · ", "date", ""},   {" · seed ", "seed", ""}};
static const word machine[] = {{"on ", "cpu.model", ""},
                               {" · ", "cpu.cores", " cores"},
                               {" · ", "cpu.simd", ""},
                               {" · governor ", "cpu.governor", ""},
                               {" · ", "gpu.model", ""},
                               {" · driver ", "gpu.driver", ""},
                               {" · reads ", "ceilings.read_gbps", " GB/s"},
                               {", copies ", "ceilings.copy_gbps", " GB/s"}};
static const word model[] = {{"model ", "model.name", ""},
                             {" · ", "model.format", ""},
                             {" · ", "model.licence", ""},
                             {" · ", "model.attribution", ""}};
static const word choice[] = {{"chosen because ", "model_choice", ""}};

static ortho_status put_line(const json_t *context, const ortho_line_sink *sink, const word *words,
                             size_t count)
{
    char *line = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&line, &size);
    if (stream == NULL)
        return ORTHO_E_MEMORY;
    put_words(context, words, count, stream);
    if (fclose(stream) != 0) {
        free(line);
        return ORTHO_E_MEMORY;
    }
    if (*line != '\0')
        sink->line(sink->ctx, line, ORTHO_TONE_PLAIN);
    free(line);
    return ORTHO_OK;
}

#define LINE(words) put_line(context, sink, words, sizeof words / sizeof *(words))

ortho_status ortho_context_lines(const json_t *results, const ortho_line_sink *sink)
{
    const json_t *context = ortho_model_at(results, "context");
    if (LINE(ran) != ORTHO_OK || LINE(machine) != ORTHO_OK || LINE(model) != ORTHO_OK ||
        LINE(choice) != ORTHO_OK)
        return ORTHO_E_MEMORY;
    if (ortho_model_synthetic(results))
        sink->line(sink->ctx,
                   "SYNTHETIC weights: made, not trained. Times are real; quality and the lanes' "
                   "ratios say nothing about a trained model.",
                   ORTHO_TONE_DOUBT);
    if (ortho_model_true(context, "model.four_bit"))
        sink->line(
            sink->ctx,
            "These weights were 4-bit before the sieve, so its quality can't be judged here.",
            ORTHO_TONE_DOUBT);
    if (ortho_model_true(context, "interrupted"))
        sink->line(sink->ctx, "INTERRUPTED: cases are missing.", ORTHO_TONE_DOUBT);
    return ORTHO_OK;
}

void ortho_tally(const json_t *results, char *out, size_t size)
{
    size_t count[ORTHO_CASE_STATUSES] = {0}, total = 0;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        total += row != NULL;
        if (row != NULL)
            count[ortho_model_status(row)]++;
    }
    int used = snprintf(out, size, "%zu case%s", total, total == 1 ? "" : "s");
    const char *before = ": ";
    for (int s = 0; s < ORTHO_CASE_STATUSES; s++)
        if (count[s] > 0 && used > 0 && (size_t)used < size) {
            used += snprintf(out + used, size - (size_t)used, "%s%zu %s", before, count[s],
                             ortho_model_status_name((ortho_case_status)s));
            before = ", ";
        }
}
