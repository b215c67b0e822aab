/* Options back into the text that would give them: for the results' context. */
#define _GNU_SOURCE
#include "harness/options_value.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* %g drops digits and %.17g adds noise: the shortest text from six digits on that reads back the
 * same. */
static void print_number(FILE *f, double value)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, f);
}

static void print_words(FILE *f, const ob_words *list)
{
    for (int i = 0; i < list->count; i++)
        fprintf(f, "%s%s", i ? "," : "", list->item[i]);
}

static void print_numbers(FILE *f, const ob_numbers *list)
{
    for (int i = 0; i < list->count; i++) {
        if (i > 0)
            fputc(',', f);
        print_number(f, list->item[i]);
    }
}

static void print_choice(FILE *f, const ob_option *option, int value)
{
    for (const ob_word *w = option->words; w->word != NULL; w++)
        if (w->value == value) {
            fputs(w->word, f);
            return;
        }
}

static void print_ops(FILE *f, const ob_options *options)
{
    fprintf(f, "%s%s%s", options->do_sieve ? "sieve" : "",
            options->do_sieve && options->do_gemm ? "," : "", options->do_gemm ? "gemm" : "");
}

/* The words of single bits: "all" is said by them. */
static void print_bits(FILE *f, const ob_option *option, int bits)
{
    const char *gap = "";
    for (const ob_word *w = option->words; w->word != NULL; w++)
        if ((bits & w->value) != 0 && (w->value & (w->value - 1)) == 0) {
            fprintf(f, "%s%s", gap, w->word);
            gap = ",";
        }
}

/* Prints nothing for a field that is not set. */
static void print_value(FILE *f, const ob_option *option, const ob_options *options)
{
    const void *at = (const char *)options + option->offset;
    const char *text = NULL;
    int value = 0;
    switch (option->type) {
    case OB_VALUE_FLAG:
        fputs(*(const bool *)at ? "true" : "", f);
        return;
    case OB_VALUE_CHOICE:
        memcpy(&value, at, sizeof value);
        print_choice(f, option, value);
        return;
    case OB_VALUE_NAME:
    case OB_VALUE_TEXT:
    case OB_VALUE_ROWS:
        memcpy(&text, at, sizeof text);
        fputs(text != NULL ? text : "", f);
        return;
    case OB_VALUE_BITS:
        memcpy(&value, at, sizeof value);
        print_bits(f, option, value);
        return;
    case OB_VALUE_OPS:
        print_ops(f, options);
        return;
    case OB_VALUE_WORDS:
        print_words(f, at);
        if (((const ob_words *)at)->count == 0)
            fputs("all", f);
        return;
    case OB_VALUE_PATHS:
        print_words(f, at);
        return;
    case OB_VALUE_RANGES:
    case OB_VALUE_WHOLES:
    case OB_VALUE_NUMBERS:
        print_numbers(f, at);
        return;
    case OB_VALUE_WHOLE:
        fprintf(f, "%d", *(const int *)at);
        return;
    case OB_VALUE_SEED:
    case OB_VALUE_BYTES:
        fprintf(f, "%" PRIu64, *(const uint64_t *)at);
        return;
    case OB_VALUE_NUMBER:
    case OB_VALUE_SHARE:
        /* a zero that can't be asked for is one that isn't set */
        if (option->fallback != NULL || *(const double *)at >= option->min)
            print_number(f, *(const double *)at);
        return;
    }
}

char *ob_value_text(const ob_option *option, const ob_options *options)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL)
        return NULL;
    print_value(f, option, options);
    if (fclose(f) != 0 || size == 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* A path may hold any bytes; JSON only UTF-8: what isn't becomes '?'. */
static json_t *text_to_json(char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(text);
}

struct json_t *ob_options_echo(const ob_options *options)
{
    json_t *echo = json_object();
    if (echo == NULL)
        return NULL;
    for (size_t i = 0; i < ob_option_count; i++) {
        const ob_option *option = &ob_option_table[i];
        if (!(option->commands & OB_FOR_RUN))
            continue;
        char *text = ob_value_text(option, options);
        if (text == NULL)
            continue;
        int failed = json_object_set_new(echo, option->name, text_to_json(text));
        free(text);
        if (failed) {
            json_decref(echo);
            return NULL;
        }
    }
    return echo;
}
