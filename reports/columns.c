#include "reports/columns.h"

#include "reports/columns_gpu.h"
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
    bool throttled = ortho_model_throttled(row) > 0;
    const char *mark = ambiguous && throttled ? "†~ " : ambiguous ? "~ " : throttled ? "† " : "";
    out->tone = ambiguous || throttled ? ORTHO_TONE_DOUBT : ORTHO_TONE_PLAIN;
    if (isnan(share))
        snprintf(out->text, sizeof out->text, "%s%s", mark, time);
    else
        snprintf(out->text, sizeof out->text, "%s%s ±%4s %%", mark, time, half);
}

static void cell_tokens(const json_t *row, ortho_cell *out)
{
    double value = ortho_model_number(row, "tokens_per_s.value");
    double lo = ortho_model_number(row, "tokens_per_s.lo");
    double hi = ortho_model_number(row, "tokens_per_s.hi");
    char text[3][16];
    ortho_text_three(value, text[0], sizeof text[0]);
    ortho_text_three(lo, text[1], sizeof text[1]);
    ortho_text_three(hi, text[2], sizeof text[2]);
    if (isnan(value) || isnan(lo) || isnan(hi))
        snprintf(out->text, sizeof out->text, "%s", text[0]);
    else
        snprintf(out->text, sizeof out->text, "%s [%s, %s]", text[0], text[1], text[2]);
}

static void cell_rate(const json_t *row, ortho_cell *out)
{
    double value = ortho_model_gflops(row);
    bool by_flops = ortho_model_number(row, "m") >= TOKENS_BY_FLOPS && !isnan(value);
    if (!by_flops)
        value = ortho_model_gbps(row);
    bool tera = by_flops && value >= 1000;
    char text[24];
    ortho_text_three(tera ? value / 1000 : value, text, sizeof text);
    if (!isnan(value))
        snprintf(out->text, sizeof out->text, "%s %s", text,
                 tera       ? "TFLOP/s"
                 : by_flops ? "GFLOP/s"
                            : "GB/s");
}

static void put_speedup(const json_t *speedup, ortho_cell *out)
{
    double ratio = ortho_model_number(speedup, "ratio");
    double lo = ortho_model_number(speedup, "lo"), hi = ortho_model_number(speedup, "hi");
    char text[3][16];
    if (isnan(ratio))
        return;
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

static void say_baseline(ortho_cell *out)
{
    snprintf(out->text, sizeof out->text, "baseline");
    out->tone = ORTHO_TONE_QUIET;
}

static bool is_baseline(const json_t *row)
{
    const char *role = ortho_model_string(row, "role");
    return role != NULL && strcmp(role, "baseline") == 0;
}

static bool has_form(const json_t *row, const char *form)
{
    const char *its = ortho_model_form(row);
    return its != NULL && strcmp(its, form) == 0;
}

/* A baseline without a ratio is what the others' is over, in every form but another one. */
static void cell_speedup(const json_t *row, ortho_cell *out)
{
    const json_t *speedup = ortho_model_at(row, "speedup");
    bool single = !ortho_model_pass(row) || has_form(row, "single");
    if (speedup != NULL)
        put_speedup(speedup, out);
    else if (is_baseline(row) && single)
        say_baseline(out);
}

static void cell_speedup_grouped(const json_t *row, ortho_cell *out)
{
    const json_t *speedup = ortho_model_at(row, "speedup_grouped");
    if (speedup != NULL)
        put_speedup(speedup, out);
    else if (is_baseline(row) && has_form(row, "grouped"))
        say_baseline(out);
}

static void cell_form(const json_t *row, ortho_cell *out)
{
    const char *form = ortho_model_form(row);
    char *clean = form != NULL ? ortho_text_cut(form, 16) : NULL;
    snprintf(out->text, sizeof out->text, "%.60s", clean != NULL ? clean : "");
    free(clean);
}

static bool forms_differ(const ortho_group *group)
{
    const char *first = ortho_model_form(group->rows[0]);
    for (size_t i = 1; first != NULL && i < group->count; i++)
        if (!has_form(group->rows[i], first))
            return true;
    return false;
}

void ortho_cell_percent(double share, ortho_cell *out)
{
    char text[32];
    ortho_text_three(100 * share, text, sizeof text);
    if (!isnan(share))
        snprintf(out->text, sizeof out->text, "%s %%", text);
}

static void cell_floor(const json_t *row, ortho_cell *out)
{
    ortho_cell_percent(ortho_model_floor_share(row), out);
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

/* One process is what everybody expects. */
static void cell_processes(const json_t *row, ortho_cell *out)
{
    size_t count = ortho_model_processes(row);
    if (count > 1)
        snprintf(out->text, sizeof out->text, "%zu", count);
}

/* Columns of one backend or one kind of row stand only where a row of the group fills them. */
const ortho_column ortho_columns[] = {
    {.title = "form",
     .meaning = "how the pass is launched: single, each linear alone; grouped, q, k and v as one "
                "and gate and up as one; persistent, one launch for all linears",
     .always = true,
     .stands = forms_differ,
     .cell = cell_form},
    {.title = "time",
     .meaning =
         "median of the samples, ± half of its 95 % confidence interval; ~ is ambiguous: the "
         "interval stayed wider than asked, so the row indicates and proves nothing",
     .cell = cell_time},
    {.title = "rate",
     .meaning = "bytes that must move ÷ time; from 16 tokens on, operations where there are any",
     .keep = 3,
     .cell = cell_rate},
    {.title = "tokens/s",
     .meaning =
         "tokens of the pass ÷ time, with its 95 % confidence interval: attention, norms and "
         "the head come on top, so it bounds a model's speed from above",
     .keep = 1,
     .cell = cell_tokens},
    {.title = "speed-up",
     .meaning = "baseline's median ÷ this median, with its 95 % confidence interval",
     .keep = 2,
     .cell = cell_speedup},
    {.title = "over grouped",
     .meaning = "the same over the baseline in form grouped: q, k and v concatenated, gate and up "
                "too",
     .keep = 2,
     .cell = cell_speedup_grouped},
    {.title = "processes",
     .meaning = "how many processes, one after the other, gave the samples: one each has its own "
                "placement in memory, which one process alone can't average out",
     .keep = 15,
     .cell = cell_processes},
    {.title = "throttled",
     .meaning = "samples that fell while something held the GPU's clock down; they stay in the "
                "median, and † marks their row",
     .keep = 4,
     .cell = ortho_cell_throttled},
    {.title = "of floor",
     .meaning = "the least time that the measured ceilings allow ÷ time",
     .keep = 7,
     .cell = cell_floor},
    {.title = "working",
     .meaning = "peak of temporaries booked by the allocator",
     .keep = 6,
     .cell = cell_working},
    {.title = "kept",
     .meaning = "packed weights and index that a GEMM holds, or what a sieve produced",
     .keep = 10,
     .cell = cell_kept},
    {.title = "device",
     .meaning = "what the driver saw the device's memory in use rise by",
     .keep = 11,
     .cell = ortho_cell_device},
    {.title = "lanes*",
     .meaning = "active lanes of a 32-lane warp, predicted by the lane model, not measured",
     .keep = 5,
     .stands = ortho_lanes_unmeasured,
     .cell = ortho_cell_predicted},
    {.title = "lanes",
     .meaning = "active lanes of a 32-lane warp in the Ortho loop, predicted by the lane model / "
                "measured by CUPTI; red where they differ by more than 10 %, n/a (why) where "
                "nothing could be measured",
     .keep = 5,
     .stands = ortho_lanes_measured,
     .cell = ortho_cell_lanes},
    {.title = "regs",
     .meaning = "registers of a thread and shared memory of a block, of the kernel with the most "
                "registers, and the most that any kernel spills",
     .keep = 8,
     .cell = ortho_cell_registers},
    {.title = "clock",
     .meaning = "median of the SM clock beside the samples",
     .keep = 12,
     .cell = ortho_cell_clock},
    {.title = "SNR",
     .meaning = "weight over error of Base + Ortho; n/a where the weights were 4-bit already",
     .keep = 13,
     .cell = cell_snr},
    {.title = "bits/w",
     .meaning = "bits stored for each weight, scales and Ortho included",
     .keep = 14,
     .cell = cell_bits},
    {.title = "verified",
     .meaning = "before and after timing, with the larger relative error; n/a computes nothing",
     .left = true,
     .keep = 9,
     .cell = cell_verified},
};

const size_t ortho_column_count = sizeof ortho_columns / sizeof *ortho_columns;

void ortho_column_cell(const ortho_column *column, const json_t *row, ortho_cell *out)
{
    ortho_case_status status = ortho_model_status(row);
    *out = (ortho_cell){.text = ""};
    if (column->always || status == ORTHO_CASE_OK || status == ORTHO_CASE_AMBIGUOUS)
        column->cell(row, out);
}

bool ortho_column_filled(const ortho_column *column, const ortho_group *group)
{
    if (column->stands != NULL && !column->stands(group))
        return false;
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
