/*
 * csv: RFC 4180 (CRLF, quotes doubled), a header, one row a case. What is absent is an empty field;
 * a case without a verified time has no number that depends on one. Raw samples stay in the JSON.
 * After the fixed columns come two for each counter that a case of the document has.
 */
#include "common/error.h"
#include "reports/measured.h"
#include "reports/model.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct field {
    const char *title, *path; /* of a string, number or boolean in the row */
    bool timed;               /* told only of rows with a verified time */
    const char *if_ok;        /* told only where the status of this object is ok */
    double (*derived)(const json_t *row);
    const char *(*words)(const json_t *row);
} field;

static const char *status_words(const json_t *row)
{
    return ortho_model_status_name(ortho_model_status(row));
}

static double sample_count(const json_t *row)
{
    size_t count = json_array_size(ortho_model_at(row, "time_ns.samples"));
    return count > 0 ? (double)count : NAN;
}

static double process_count(const json_t *row)
{
    size_t count = ortho_model_processes(row);
    return count > 0 ? (double)count : NAN;
}

static double throttled_count(const json_t *row)
{
    size_t count = ortho_model_throttled(row);
    return count > 0 ? (double)count : NAN;
}

static double kernel_registers(const json_t *row)
{
    ortho_kernel_view kernel;
    return ortho_model_kernel(row, &kernel) ? kernel.registers : NAN;
}

static double kernel_shared(const json_t *row)
{
    ortho_kernel_view kernel;
    return ortho_model_kernel(row, &kernel) ? kernel.shared_bytes : NAN;
}

static double kernel_spilled(const json_t *row)
{
    ortho_kernel_view kernel;
    return ortho_model_kernel(row, &kernel) ? kernel.spilled_bytes : NAN;
}

static double kernel_threads(const json_t *row)
{
    ortho_kernel_view kernel;
    return ortho_model_kernel(row, &kernel) ? kernel.threads : NAN;
}

static const char *kernel_name(const json_t *row)
{
    ortho_kernel_view kernel;
    return ortho_model_kernel(row, &kernel) && kernel.name != NULL ? kernel.name : "";
}

/* A figure whose object carries its status. */
#define FIGURE(name, object, key)                                                                  \
    {                                                                                              \
        .title = name, .path = object "." key, .if_ok = object, .timed = true                      \
    }

static const field fields[] = {
    {.title = "key", .path = "key"},
    {.title = "op", .path = "op"},
    {.title = "variant", .path = "variant"},
    {.title = "role", .path = "role"},
    {.title = "backend", .path = "backend"},
    {.title = "layer", .path = "layer"},
    {.title = "proj", .path = "proj"},
    {.title = "tensor", .path = "tensor"},
    {.title = "linears", .path = "linears"},
    {.title = "form", .path = "form"},
    {.title = "grouping", .path = "grouping"},
    {.title = "n", .path = "n"},
    {.title = "k", .path = "k"},
    {.title = "m", .path = "m"},
    {.title = "density", .path = "density"},
    {.title = "nnz", .path = "nnz"},
    {.title = "rule", .path = "rule"},
    {.title = "group", .path = "group"},
    {.title = "dtype", .path = "dtype"},
    {.title = "alpha", .path = "alpha"},
    {.title = "ortho_rows", .path = "ortho_rows"},
    {.title = "activations", .path = "activations"},
    {.title = "l2", .path = "l2"},
    {.title = "synthetic", .path = "synthetic"},
    {.title = "status", .words = status_words},
    {.title = "reason", .words = ortho_model_reason},
    {.title = "verified_before", .path = "verified.before"},
    {.title = "verified_after", .path = "verified.after"},
    {.title = "rel_error", .path = "verified.rel_error"},
    {.title = "tolerance", .path = "verified.tolerance"},
    {.title = "time_ns", .path = "time_ns.median", .timed = true},
    {.title = "time_lo_ns", .path = "time_ns.lo", .timed = true},
    {.title = "time_hi_ns", .path = "time_ns.hi", .timed = true},
    {.title = "time_mad_ns", .path = "time_ns.mad", .timed = true},
    {.title = "samples", .timed = true, .derived = sample_count},
    {.title = "processes", .timed = true, .derived = process_count},
    {.title = "outliers", .path = "time_ns.outliers", .timed = true},
    {.title = "stop", .path = "time_ns.stop", .timed = true},
    {.title = "launches_per_sample", .path = "time_ns.launches_per_sample", .timed = true},
    {.title = "copies", .path = "time_ns.copies", .timed = true},
    {.title = "throttled", .timed = true, .derived = throttled_count},
    {.title = "throttle", .path = "clocks.throttle", .timed = true},
    {.title = "sm_mhz_min", .path = "clocks.sm_mhz.min", .timed = true},
    {.title = "sm_mhz", .path = "clocks.sm_mhz.median", .timed = true},
    {.title = "sm_mhz_max", .path = "clocks.sm_mhz.max", .timed = true},
    {.title = "power_w", .path = "clocks.power_w", .timed = true},
    {.title = "temp_c", .path = "clocks.temp_c", .timed = true},
    {.title = "tokens_per_s", .path = "tokens_per_s.value", .timed = true},
    {.title = "tokens_per_s_lo", .path = "tokens_per_s.lo", .timed = true},
    {.title = "tokens_per_s_hi", .path = "tokens_per_s.hi", .timed = true},
    {.title = "floor_ns", .path = "floor_ns"},
    {.title = "floor_of", .path = "floor_of"},
    {.title = "floor_share", .timed = true, .derived = ortho_model_floor_share},
    {.title = "bytes", .path = "bytes"},
    {.title = "flops", .path = "flops"},
    {.title = "gb_per_s", .timed = true, .derived = ortho_model_gbps},
    {.title = "gflop_per_s", .timed = true, .derived = ortho_model_gflops},
    {.title = "speedup_over", .path = "speedup.over", .timed = true},
    {.title = "speedup", .path = "speedup.ratio", .timed = true},
    {.title = "speedup_lo", .path = "speedup.lo", .timed = true},
    {.title = "speedup_hi", .path = "speedup.hi", .timed = true},
    {.title = "speedup_grouped_over", .path = "speedup_grouped.over", .timed = true},
    {.title = "speedup_grouped", .path = "speedup_grouped.ratio", .timed = true},
    {.title = "speedup_grouped_lo", .path = "speedup_grouped.lo", .timed = true},
    {.title = "speedup_grouped_hi", .path = "speedup_grouped.hi", .timed = true},
    {.title = "working_bytes", .path = "peak_bytes.working", .timed = true},
    {.title = "weights_bytes", .path = "peak_bytes.weights", .timed = true},
    {.title = "output_bytes", .path = "peak_bytes.output", .timed = true},
    {.title = "host_bytes", .path = "peak_bytes.host", .timed = true},
    {.title = "device_bytes", .path = "peak_bytes.device", .timed = true},
    {.title = "kernel", .timed = true, .words = kernel_name},
    {.title = "threads", .timed = true, .derived = kernel_threads},
    {.title = "registers", .timed = true, .derived = kernel_registers},
    {.title = "shared_bytes", .timed = true, .derived = kernel_shared},
    {.title = "spilled_bytes", .timed = true, .derived = kernel_spilled},
    {.title = "lanes_predicted", .path = "divergence.predicted.value"},
    {.title = "lanes_measured", .timed = true, .derived = ortho_measured_lanes},
    {.title = "lanes_measured_status", .path = "divergence.measured.status", .timed = true},
    {.title = "lanes_measured_reason", .path = "divergence.measured.reason", .timed = true},
    {.title = "lanes_difference", .timed = true, .derived = ortho_measured_difference},
    FIGURE("loop_instructions", "divergence.measured", "instructions"),
    FIGURE("loop_warp_instructions", "divergence.measured", "warp_instructions"),
    FIGURE("lanes_kernel", "divergence.kernel", "value"),
    FIGURE("lanes_kernel_enabled", "divergence.kernel", "enabled"),
    FIGURE("divergent_branches", "divergence.kernel", "divergent_branches"),
    FIGURE("branch_efficiency", "divergence.kernel", "branch_efficiency"),
    {.title = "lanes_exact", .path = "divergence.exact.value", .timed = true},
    {.title = "activity_status", .path = "activity.status", .timed = true},
    {.title = "activity_reason", .path = "activity.reason", .timed = true},
    FIGURE("activity_ns", "activity", "ns"),
    FIGURE("activity_launches", "activity", "launches"),
    FIGURE("activity_difference", "activity", "difference"),
    FIGURE("activity_agrees", "activity", "agrees"),
    FIGURE("activity_peak_device_bytes", "activity", "peak_device_bytes"),
    FIGURE("activity_allocator_bytes", "activity", "allocator_bytes"),
    {.title = "quality_status", .path = "quality.status", .timed = true},
    {.title = "rel_frobenius", .path = "quality.rel_frobenius", .timed = true},
    {.title = "h_weighted", .path = "quality.h_weighted", .timed = true},
    {.title = "snr_db", .path = "quality.snr_db", .timed = true},
    {.title = "cosine", .path = "quality.cosine", .timed = true},
    {.title = "max_abs", .path = "quality.max_abs", .timed = true},
    {.title = "clip_rate", .path = "quality.clip_rate", .timed = true},
    {.title = "held_out_h_weighted", .path = "quality.held_out.h_weighted", .timed = true},
    {.title = "held_out_tokens", .path = "quality.held_out.tokens", .timed = true},
    {.title = "output_rel_mse", .path = "quality.held_out.output_rel_mse", .timed = true},
    {.title = "output_snr_db", .path = "quality.held_out.output_snr_db", .timed = true},
    {.title = "bits_per_weight", .path = "quality.bits_per_weight", .timed = true},
    {.title = "row_cv", .path = "quality.row_cv", .timed = true},
    {.title = "row_max", .path = "quality.row_max", .timed = true},
    {.title = "empty_rows", .path = "quality.empty_rows", .timed = true},
};

#define FIELDS (sizeof fields / sizeof *fields)

static void put_text(const char *text, FILE *out)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL || text[0] == ' ' ||
                  (text[0] != '\0' && text[strlen(text) - 1] == ' ');
    if (!quoted) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void put_number(double value, FILE *out)
{
    char text[32];
    if (isfinite(value))
        fputs(ortho_text_number(value, text), out);
}

/* The words of a list, a blank between them. */
static void put_list(const json_t *list, FILE *out)
{
    char words[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(list) && used < sizeof words; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (word != NULL)
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", used > 0 ? " " : "",
                                     word);
    }
    ortho_text_trim(words);
    put_text(words, out);
}

static void put_value(const json_t *value, FILE *out)
{
    if (json_is_string(value))
        put_text(json_string_value(value), out);
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "true" : "false", out);
    else if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        put_number(json_real_value(value), out);
    else if (json_is_array(value))
        put_list(value, out);
}

static bool is_ok(const json_t *object)
{
    const char *status = ortho_model_string(object, "status");
    return status != NULL && strcmp(status, "ok") == 0;
}

static void put_field(const field *f, const json_t *row, FILE *out)
{
    if (f->timed && !ortho_model_timed(row))
        return;
    if (f->if_ok != NULL && !is_ok(ortho_model_at(row, f->if_ok)))
        return;
    if (f->derived != NULL)
        put_number(f->derived(row), out);
    else if (f->words != NULL)
        put_text(f->words(row), out);
    else
        put_value(ortho_model_at(row, f->path), out);
}

/* The names of all counters in the document, as the keys of an object, in order; NULL without
 * memory. */
static json_t *counter_names(const json_t *results)
{
    json_t *names = json_object(), *counter;
    const char *name;
    bool whole = names != NULL;
    for (size_t i = 0; whole && i < ortho_model_count(results); i++)
        json_object_foreach((json_t *)ortho_counters_of(ortho_model_row(results, i)), name, counter)
            whole = json_object_set_new(names, name, json_true()) == 0 && whole;
    if (whole)
        return names;
    json_decref(names);
    return NULL;
}

/* ",counters.NAME,counters.NAME.status" */
static ortho_status put_counter_titles(json_t *names, FILE *out)
{
    const char *name;
    json_t *any;
    json_object_foreach(names, name, any)
    {
        static const char *const formats[] = {"counters.%s", "counters.%s.status"};
        size_t size = strlen(name) + sizeof "counters..status";
        char *title = malloc(size);
        if (title == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a column of a counter");
        for (int i = 0; i < 2; i++) {
            snprintf(title, size, formats[i], name);
            fputc(',', out);
            put_text(title, out);
        }
        free(title);
    }
    return ORTHO_OK;
}

static void put_counters(json_t *names, const json_t *row, FILE *out)
{
    const char *name;
    json_t *any;
    json_object_foreach(names, name, any)
    {
        ortho_counter counter;
        bool there = ortho_counter_read(row, name, &counter);
        fputc(',', out);
        if (there)
            put_number(counter.value, out);
        fputs(!there ? "," : counter.reason == NULL ? ",ok" : ",n/a", out);
    }
}

static void put_row(const json_t *row, json_t *names, FILE *out)
{
    for (size_t f = 0; f < FIELDS; f++) {
        if (f > 0)
            fputc(',', out);
        put_field(&fields[f], row, out);
    }
    put_counters(names, row, out);
    fputs("\r\n", out);
}

static ortho_status write_csv(const json_t *results, const ortho_writer_options *options, FILE *out)
{
    (void)options;
    json_t *names = counter_names(results);
    if (names == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the columns of counters");
    for (size_t f = 0; f < FIELDS; f++)
        fprintf(out, "%s%s", f > 0 ? "," : "", fields[f].title);
    ortho_status status = put_counter_titles(names, out);
    fputs("\r\n", out);
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++)
        if (ortho_model_row(results, i) != NULL)
            put_row(ortho_model_row(results, i), names, out);
    json_decref(names);
    return status;
}

const ortho_writer ortho_writer_csv = {
    .abi = ORTHO_REPORT_ABI,
    .name = "csv",
    .extension = "csv",
    .summary = "RFC 4180, one row a case, absent fields empty",
    .write = write_csv,
};
