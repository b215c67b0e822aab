/* The head and the foot of a report for people: what ran, where, on what, the warnings, the tally.
 */
#include "reports/columns.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
                           {" · CUPTI ", "cupti.version", ""},
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

/* "No counters: another process is profiling; end it" */
static ortho_status put_cupti(const json_t *context, const ortho_line_sink *sink)
{
    static const word cure[] = {{"; ", "cupti.cure", ""}};
    static const word reason[] = {{"", "cupti.reason", ""}};
    const char *status = ortho_model_string(context, "cupti.status");
    const char *why = ortho_model_string(context, "cupti.reason");
    if (status == NULL || strcmp(status, "ok") == 0)
        return ORTHO_OK;
    char *line = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&line, &size);
    if (stream == NULL)
        return ORTHO_E_MEMORY;
    fputs("NO COUNTERS: ", stream);
    put_words(context, reason, 1, stream);
    fputs(why == NULL || *why == '\0' ? "no reason given" : "", stream);
    put_words(context, cure, 1, stream);
    bool whole = fclose(stream) == 0;
    if (whole)
        sink->line(sink->ctx, line, ORTHO_TONE_DOUBT);
    free(line);
    return whole ? ORTHO_OK : ORTHO_E_MEMORY;
}

/* How many processes the document tells of; of these, how many gave times. */
static size_t processes_told(const json_t *context, size_t *finished)
{
    size_t i;
    const json_t *process, *list = ortho_model_at(context, "processes");
    *finished = 0;
    json_array_foreach(list, i, process)
    {
        const char *status = ortho_model_string(process, "status");
        *finished += status != NULL && strcmp(status, "ok") == 0;
    }
    return json_array_size(list);
}

/* "times over 5 processes: medians of their medians"; and what became of those that are missing. */
static void put_processes(const json_t *results, const ortho_line_sink *sink)
{
    char line[192];
    size_t most = 0, finished, told = processes_told(ortho_model_at(results, "context"), &finished);
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        bool timed = row != NULL && ortho_model_timed(row);
        size_t its = timed ? json_array_size(ortho_model_at(row, "time_ns.processes")) : 0;
        most = its > most ? its : most;
    }
    if (most > 1) {
        snprintf(line, sizeof line,
                 "times of %zu processes: the median of their medians, and its interval", most);
        sink->line(sink->ctx, line, ORTHO_TONE_PLAIN);
    }
    if (finished > 0 && told > finished) {
        snprintf(line, sizeof line,
                 "PROCESSES MISSING: %zu of %zu didn't finish, their times are left out.",
                 told - finished, told);
        sink->line(sink->ctx, line, ORTHO_TONE_DOUBT);
    }
}

#define LINE(words) put_line(context, sink, words, sizeof words / sizeof *(words))

ortho_status ortho_context_lines(const json_t *results, const ortho_line_sink *sink)
{
    const json_t *context = ortho_model_at(results, "context");
    size_t finished;
    processes_told(context, &finished);
    ortho_status status = LINE(ran);
    if (status == ORTHO_OK)
        status = ortho_model_on_gpu(results) ? LINE(gpu) : LINE(machine);
    if (status == ORTHO_OK && ortho_model_on_gpu(results))
        status = LINE(host);
    if (status != ORTHO_OK || LINE(model) != ORTHO_OK || LINE(choice) != ORTHO_OK)
        return ORTHO_E_MEMORY;
    put_processes(results, sink);
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
    if (put_throttled(results, sink) != ORTHO_OK || put_cupti(context, sink) != ORTHO_OK)
        return ORTHO_E_MEMORY;
    if (ortho_model_true(context, "interrupted"))
        sink->line(sink->ctx,
                   finished > 0 ? "INTERRUPTED: processes are missing."
                                : "INTERRUPTED: cases are missing.",
                   ORTHO_TONE_DOUBT);
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
