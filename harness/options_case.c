/*
 * A case's key holds the options that select it: `--case KEY` alone (and --model, where it isn't
 * the default one) runs the row again. The parts are those of docs/RESULTS.md.
 */
#define _GNU_SOURCE
#include "harness/options_load.h"

#include "common/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 16

typedef struct part {
    const char *option; /* that it sets; NULL: layer and projection, L0.gate; "": none */
    const char *prefix; /* before the value */
} part;

static const part gemm_parts[] = {
    {"op", ""},       {"variant", ""}, {"backend", ""}, {NULL, "L"},   {"batch", "m"},
    {"density", "d"}, {"rule", ""},    {"group", "g"},  {"dtype", ""}, {"l2", ""},
};
static const part sieve_parts[] = {
    {"op", ""},       {"variant", ""}, {"backend", ""}, {NULL, "L"},
    {"density", "d"}, {"rule", ""},    {"group", "g"},  {"l2", ""},
};

static const part pass_parts[] = {
    {"", "pass"},     {"variant", ""}, {"backend", ""}, {"pass", ""},  {"batch", "m"},
    {"density", "d"}, {"rule", ""},    {"group", "g"},  {"dtype", ""},
};

static ortho_status set(ob_loading *loading, const char *option, const char *text)
{
    return ob_loading_set(loading, ob_option_find(option), text, "--case");
}

/* Keys print six digits: a finer density that was asked for beside the key stays as it is. */
static bool is_there_already(const ob_options *options, const part *p, const char *text)
{
    char mine[32];
    if (p->option == NULL || p->prefix[0] != 'd')
        return false;
    for (int i = 0; i < options->densities.count; i++) {
        snprintf(mine, sizeof mine, "%g", options->densities.item[i]);
        if (strcmp(mine, text) == 0)
            return true;
    }
    return false;
}

static ortho_status set_slice(ob_loading *loading, char *text)
{
    char *dot = strchr(text, '.');
    if (dot == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "--case: 'L%s' is no layer and projection (L0.gate)",
                          text);
    *dot = '\0';
    ortho_status status = set(loading, "layers", text);
    return status == ORTHO_OK ? set(loading, "proj", dot + 1) : status;
}

/* "decode", or with a form other than single: "decode-grouped". */
static ortho_status set_pass(ob_loading *loading, char *text)
{
    char *dash = strchr(text, '-');
    if (dash != NULL)
        *dash = '\0';
    ortho_status status = set(loading, "pass", text);
    return status == ORTHO_OK ? set(loading, "form", dash != NULL ? dash + 1 : "single") : status;
}

static ortho_status set_part(ob_loading *loading, const part *p, char *text)
{
    size_t prefix = strlen(p->prefix);
    if (strncmp(text, p->prefix, prefix) != 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "--case: '%s' stands where '%s...' should", text,
                          p->prefix);
    text += prefix;
    if (p->option != NULL && p->option[0] == '\0')
        return ORTHO_OK;
    if (p->option == NULL)
        return set_slice(loading, text);
    if (strcmp(p->option, "pass") == 0)
        return set_pass(loading, text);
    return is_there_already(loading->out, p, text) ? ORTHO_OK : set(loading, p->option, text);
}

/* What stands behind the last fixed part of a GEMM: /int8, /a0.5 and the imposed rows, each only
 * where it isn't the default. */
static ortho_status set_extras(ob_loading *loading, char **text, int count)
{
    const char *activations = "exact", *alpha = "1", *rows = "sieve";
    for (int i = 0; i < count; i++)
        if (strcmp(text[i], "int8") == 0)
            activations = text[i];
        else if (text[i][0] == 'a')
            alpha = text[i] + 1;
        else
            rows = text[i];
    ortho_status status = set(loading, "activations", activations);
    if (status == ORTHO_OK)
        status = set(loading, "alpha", alpha);
    return status == ORTHO_OK ? set(loading, "ortho-rows", rows) : status;
}

static ortho_status set_parts(ob_loading *loading, char **text, int count)
{
    bool pass = strcmp(text[0], "pass") == 0, gemm = pass || strcmp(text[0], "gemm") == 0;
    const part *parts = pass ? pass_parts : gemm ? gemm_parts : sieve_parts;
    int fixed = pass   ? (int)(sizeof pass_parts / sizeof *pass_parts)
                : gemm ? (int)(sizeof gemm_parts / sizeof *gemm_parts)
                       : (int)(sizeof sieve_parts / sizeof *sieve_parts);
    if (count < fixed || count > fixed + (gemm ? 3 : 0))
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "--case: '%s' is not a key; --dry-run and the results print them",
                          loading->out->case_key);
    ortho_status status = ORTHO_OK;
    for (int i = 0; status == ORTHO_OK && i < fixed; i++)
        status = set_part(loading, &parts[i], text[i]);
    if (status == ORTHO_OK && gemm)
        status = set_extras(loading, text + fixed, count - fixed);
    return status;
}

ortho_status ob_case_key_apply(ob_loading *loading)
{
    if (loading->out->case_key == NULL)
        return ORTHO_OK;
    char *copy = strdup(loading->out->case_key), *text[PARTS_MAX];
    if (copy == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a key");
    int count = 0;
    for (char *p = copy; p != NULL && count < PARTS_MAX;) {
        text[count++] = p;
        p = strchr(p, '/');
        if (p != NULL)
            *p++ = '\0';
    }
    ortho_status status = set_parts(loading, text, count);
    free(copy);
    return status;
}
