#include "reports/export.h"

#include "reports/columns.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 1000 /* Bencher takes 1024 with the suffix; the others set no limit */

/* ---- names ---------------------------------------------------------------------------------- */

static char *join(const char *key, const char *suffix, json_int_t number)
{
    char *name = malloc(NAME_BYTES + 1), end[64] = "";
    if (name == NULL)
        return NULL;
    if (number > 1)
        snprintf(end, sizeof end, " #%" JSON_INTEGER_FORMAT, number);
    size_t room = NAME_BYTES - strlen(end) - strlen(suffix);
    snprintf(name, room + 1, "%s", key);
    ortho_text_trim(name);
    strcat(strcat(name, suffix), end); /* room was left for both */
    return name;
}

/* github-action-benchmark puts names between backticks into a table of its comments. */
static void disarm(char *key)
{
    for (; key != NULL && *key != '\0'; key++)
        *key = *key == '`' ? '\'' : *key == '|' ? '/' : *key;
}

char *ortho_names_take(ortho_names *names, const json_t *row, const char *suffix)
{
    const char *told = ortho_model_string(row, "key");
    char *key = ortho_text_clean(told != NULL && *told != '\0' ? told : "?");
    disarm(key);
    char *base = key != NULL ? join(key, suffix, 1) : NULL, *name = NULL;
    if (names->taken == NULL)
        names->taken = json_object();
    json_int_t number = 1;
    if (base != NULL && json_object_get(names->taken, base) != NULL)
        number = json_integer_value(json_object_get(names->taken, base));
    for (; base != NULL; number++) {
        free(name);
        name = join(key, suffix, number);
        if (name == NULL || json_object_get(names->taken, name) == NULL)
            break;
    }
    bool whole = name != NULL && json_object_set_new(names->taken, name, json_integer(2)) == 0;
    if (whole && number > 1) /* the next that repeats it starts from here */
        whole = json_object_set_new(names->taken, base, json_integer(number + 1)) == 0;
    free(base);
    free(key);
    if (whole)
        return name;
    free(name);
    return NULL;
}

void ortho_names_free(ortho_names *names)
{
    json_decref(names->taken);
    *names = (ortho_names){0};
}

/* ---- words ---------------------------------------------------------------------------------- */

bool ortho_export_synthetic(const json_t *results, const json_t *row)
{
    return ortho_model_true(row, "synthetic") ||
           ortho_model_true(results, "context.model.synthetic");
}

/* "before, text, after" on a line of its own, cleaned; nothing for a text that is absent. */
static void put_line(const char *before, const char *text, FILE *out)
{
    char *clean = text != NULL && *text != '\0' ? ortho_text_clean(text) : NULL;
    if (clean != NULL)
        fprintf(out, "%s%s\n", before, clean);
    free(clean);
}

static void put_warnings(const json_t *results, const json_t *row, FILE *out)
{
    size_t throttled = ortho_model_throttled(row);
    if (ortho_export_synthetic(results, row))
        fputs("SYNTHETIC weights: made, not trained\n", out);
    if (ortho_model_status(row) != ORTHO_CASE_OK) {
        fputs(ortho_model_status_name(ortho_model_status(row)), out);
        put_line(": ", ortho_model_reason(row), out);
    }
    if (throttled > 0)
        fprintf(out, "throttled: %zu samples fell while something held the GPU's clock down\n",
                throttled);
    if (ortho_model_true(results, "context.interrupted"))
        fputs("interrupted: cases of this run are missing\n", out);
}

static void put_verdict(const json_t *row, FILE *out)
{
    const char *before = ortho_model_string(row, "verified.before");
    double error = ortho_model_number(row, "verified.rel_error");
    double tolerance = ortho_model_number(row, "verified.tolerance");
    char text[2][32];
    ortho_text_three(error, text[0], sizeof text[0]);
    ortho_text_three(tolerance, text[1], sizeof text[1]);
    if (before == NULL || strcmp(before, "pass") != 0) {
        fputs("verified: n/a, it computes nothing\n", out);
        return;
    }
    fputs("verified: before and after timing", out);
    if (!isnan(error))
        fprintf(out, ", relative error %s", text[0]);
    if (!isnan(tolerance))
        fprintf(out, " (tolerance %s)", text[1]);
    fputc('\n', out);
}

static void put_samples(const json_t *row, FILE *out)
{
    size_t samples = json_array_size(ortho_model_at(row, "time_ns.samples"));
    size_t processes = ortho_model_processes(row);
    if (samples > 0 && processes > 1)
        fprintf(out, "samples: %zu of %zu processes\n", samples, processes);
    else if (samples > 0)
        fprintf(out, "samples: %zu\n", samples);
}

char *ortho_export_words(const json_t *results, const json_t *row, const char *tally)
{
    const json_t *context = ortho_model_at(results, "context");
    const char *backend = ortho_model_string(row, "backend");
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    put_warnings(results, row, out);
    put_verdict(row, out);
    if (backend != NULL && strcmp(backend, "cuda") == 0) {
        put_line("GPU: ", ortho_model_string(context, "gpu.name"), out);
        put_line("driver: ", ortho_model_string(context, "gpu.driver"), out);
    } else {
        put_line("CPU: ", ortho_model_string(context, "cpu.model"), out);
    }
    put_line("commit: ", ortho_model_string(context, "commit"), out);
    put_line("model: ", ortho_model_string(context, "model.name"), out);
    put_samples(row, out);
    fprintf(out, "run: %s", tally);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
