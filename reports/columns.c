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

static void cell_throttled(const json_t *row, ortho_cell *out)
{
    size_t throttled = ortho_model_throttled(row);
    size_t samples = json_array_size(ortho_model_at(row, "time_ns.samples"));
    if (throttled == 0)
        return;
    snprintf(out->text, sizeof out->text, "%zu of %zu", throttled, samples);
    out->tone = ORTHO_TONE_DOUBT;
}

/* "40 r, 8.20 KiB", and in red what is spilled. */
static void cell_registers(const json_t *row, ortho_cell *out)
{
    ortho_kernel_view kernel;
    char shared[24], spilled[24];
    if (!ortho_model_kernel(row, &kernel))
        return;
    bool shares = kernel.shared_bytes > 0, spills = kernel.spilled_bytes > 0;
    ortho_text_bytes(kernel.shared_bytes, shared, sizeof shared);
    ortho_text_bytes(kernel.spilled_bytes, spilled, sizeof spilled);
    snprintf(out->text, sizeof out->text, "%.0f r%s%s%s%s%s", kernel.registers, shares ? ", " : "",
             shares ? shared : "", spills ? ", " : "", spills ? spilled : "",
             spills ? " spilled" : "");
    out->tone = spills ? ORTHO_TONE_BAD : ORTHO_TONE_PLAIN;
}

static void cell_clock(const json_t *row, ortho_cell *out)
{
    double mhz = ortho_model_number(row, "clocks.sm_mhz.median");
    if (mhz > 0)
        snprintf(out->text, sizeof out->text, "%.0f MHz", mhz);
}

static void cell_device(const json_t *row, ortho_cell *out)
{
    ortho_text_bytes(ortho_model_number(row, "peak_bytes.device"), out->text, sizeof out->text);
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

/* Columns of one backend or one kind of row stand only where a row of the group fills them. */
const ortho_column ortho_columns[] = {
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
    {.title = "throttled",
     .meaning = "samples that fell while something held the GPU's clock down; they stay in the "
                "median, and † marks their row",
     .keep = 4,
     .cell = cell_throttled},
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
     .cell = cell_device},
    {.title = "lanes*",
     .meaning = "active lanes of a 32-lane warp, predicted by the lane model, not measured",
     .keep = 5,
     .cell = cell_lanes},
    {.title = "regs",
     .meaning = "registers of a thread and shared memory of a block, of the kernel with the most "
                "registers, and the most that any kernel spills",
     .keep = 8,
     .cell = cell_registers},
    {.title = "clock",
     .meaning = "median of the SM clock beside the samples",
     .keep = 12,
     .cell = cell_clock},
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

/* One `before value` per entry whose value the context has: strings, numbers, and the words alone
 * of what is true. */
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
        else if (ortho_model_true(context, words[i].path))
            fprintf(out, "%s%s", words[i].before, words[i].after);
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
                               {" · reads ", "ceilings.read_gbps", " GB/s"},
                               {", copies ", "ceilings.copy_gbps", " GB/s"},
                               {", multiplies ", "ceilings.tensor_tflops", " TFLOP/s"}};
/* The ceilings are the GPU's where it did the work. */
static const word gpu[] = {{"on ", "gpu.name", ""},
                           {" · ", "gpu.sms", " SMs"},
                           {" · driver ", "gpu.driver", ""},
                           {" · CUDA ", "gpu.cuda_runtime", ""},
                           {" · up to ", "gpu.clocks.sm_max_mhz", " MHz"},
                           {" · limit ", "gpu.power_limit_w", " W"},
                           {" · MIG", "gpu.mig", ""},
                           {" · reads ", "ceilings.read_gbps", " GB/s"},
                           {", copies ", "ceilings.copy_gbps", " GB/s"},
                           {", multiplies ", "ceilings.tensor_tflops", " TFLOP/s"}};
static const word host[] = {{"host ", "cpu.model", ""},
                            {" · ", "cpu.cores", " cores"},
                            {" · governor ", "cpu.governor", ""}};
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

/* Adds the reasons of a row that `out` hasn't got yet. */
static void add_reasons(const json_t *row, char *out, size_t size)
{
    const json_t *reasons = ortho_model_at(row, "clocks.throttle");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const char *reason = json_string_value(json_array_get(reasons, i));
        size_t used = strlen(out);
        if (reason != NULL && strstr(out, reason) == NULL && used < size - 1)
            snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", reason);
    }
    ortho_text_trim(out);
}

static ortho_status put_throttled(const json_t *results, const ortho_line_sink *sink)
{
    char reasons[96] = "", line[256];
    size_t throttled = 0, timed = 0;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row == NULL || !ortho_model_timed(row))
            continue;
        timed++;
        if (ortho_model_throttled(row) == 0)
            continue;
        throttled++;
        add_reasons(row, reasons, sizeof reasons);
    }
    if (throttled == 0)
        return ORTHO_OK;
    char *clean = ortho_text_clean(reasons);
    if (clean == NULL)
        return ORTHO_E_MEMORY;
    snprintf(line, sizeof line,
             "THROTTLED: something held the GPU's clock down during samples of %zu of %zu cases, "
             "marked †%s%s%s.",
             throttled, timed, *clean != '\0' ? " (" : "", clean, *clean != '\0' ? ")" : "");
    free(clean);
    sink->line(sink->ctx, line, ORTHO_TONE_DOUBT);
    return ORTHO_OK;
}

#define LINE(words) put_line(context, sink, words, sizeof words / sizeof *(words))

ortho_status ortho_context_lines(const json_t *results, const ortho_line_sink *sink)
{
    const json_t *context = ortho_model_at(results, "context");
    ortho_status status = LINE(ran);
    if (status == ORTHO_OK)
        status = ortho_model_on_gpu(results) ? LINE(gpu) : LINE(machine);
    if (status == ORTHO_OK && ortho_model_on_gpu(results))
        status = LINE(host);
    if (status != ORTHO_OK || LINE(model) != ORTHO_OK || LINE(choice) != ORTHO_OK)
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
    if (put_throttled(results, sink) != ORTHO_OK)
        return ORTHO_E_MEMORY;
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
