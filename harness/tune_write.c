/* The table's text: what cmake/OrthoTuned.cmake reads, which says what may stand in it. */
#include "common/error.h"
#include "common/output.h"
#include "harness/tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A file's name for a device: lower case, a dash for whatever is neither letter nor digit. */
static void normalise(const char *text, char *out, size_t size)
{
    size_t used = 0;
    for (; *text != '\0' && used + 1 < size; text++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out[used++] = c;
        else if (used > 0 && out[used - 1] != '-')
            out[used++] = '-';
    }
    if (used > 0 && out[used - 1] == '-')
        used--;
    out[used] = '\0';
}

void ob_tune_place(const ob_tune *tune, const char *device, char path[512])
{
    char name[160];
    normalise(device, name, sizeof name);
    snprintf(path, 512, "variants/%.64s/tuned/%s.tsv", tune->variant != NULL ? tune->variant : "?",
             name);
}

/* What the build wouldn't take becomes '_'. */
static void put_head(FILE *out, const char *key, const char *value)
{
    fprintf(out, "# %s\t", key);
    if (value == NULL || value[0] == '\0')
        value = "-";
    for (; *value != '\0'; value++)
        fputc(*value < ' ' || *value > '~' || strchr("[];\"\\$", *value) != NULL ? '_' : *value,
              out);
    fputc('\n', out);
}

static void put_heads(FILE *out, const ob_tune *t, const json_t *results,
                      const ob_tune_origin *origin)
{
    char threads[16];
    snprintf(threads, sizeof threads, "%d", origin->threads);
    put_head(out, "format", "ortho-tuned/1");
    put_head(out, "device", origin->device);
    put_head(out, "backend", t->backend);
    put_head(out, "variant", t->variant);
    put_head(out, "version", ortho_model_string(results, "context.binary"));
    put_head(out, "commit", ortho_model_string(results, "context.commit"));
    put_head(out, "date", ortho_model_string(results, "context.date"));
    put_head(out, "driver", ortho_model_string(results, "context.gpu.driver"));
    put_head(out, "threads", threads);
    put_head(out, "model", ortho_model_string(results, "context.model.name"));
    put_head(out, "rows", ortho_model_string(results, "context.options.ortho-rows"));
    put_head(out, "verified", "every row"); /* ORTHO_CASE_OK and AMBIGUOUS are, before and after */
    fputs("n\tk\tgroup\tm\tdensity\tdtype\tway\ttime_ns\tsecond\tratio\n", out);
}

static void put_case(FILE *out, const ob_tune_case *c)
{
    if (c->best < 0)
        return;
    const ob_tune_way *best = &c->way[c->best];
    fprintf(out, "%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%.9g\t%s\t%s\t%.1f\t", c->n,
            c->k, c->group, c->m, c->density, c->dtype, best->name, best->ns);
    if (c->second >= 0)
        fprintf(out, "%s\t%.3f\n", c->way[c->second].name, c->way[c->second].ns / best->ns);
    else
        fputs("-\t-\n", out);
}

static void put_table(FILE *out, const ob_tune *t, const json_t *results,
                      const ob_tune_origin *origin)
{
    put_heads(out, t, results, origin);
    for (size_t i = 0; i < t->count; i++)
        put_case(out, &t->cases[i]);
}

ortho_status ob_tune_write(const ob_tune *tune, const json_t *results, const ob_tune_origin *origin,
                           const char *path)
{
    if (strcmp(path, "-") == 0) {
        put_table(stdout, tune, results, origin);
        return fflush(stdout) == 0 ? ORTHO_OK : ortho_fail(ORTHO_E_IO, "stdout can't be written");
    }
    ortho_output out;
    ortho_status status = ortho_output_begin(path, &out);
    if (status != ORTHO_OK)
        return status;
    put_table(out.stream, tune, results, origin);
    return ortho_output_commit(&out);
}
