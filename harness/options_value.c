/*
 * Values as they are typed. Every number is checked by its characters before the C library sees
 * it: strtod would take "nan", "0x1p3", " 1" and a locale's comma.
 */
#define _GNU_SOURCE
#include "harness/options_value.h"

#include "common/error.h"
#include "harness/baseline.h"
#include "harness/counter_choice.h"
#include "harness/options_suggest.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 256

_Static_assert(sizeof(ob_backend_choice) == sizeof(int) && sizeof(ortho_rule) == sizeof(int) &&
                   sizeof(ortho_dtype) == sizeof(int),
               "choices are stored as int");

typedef struct ob_string {
    struct ob_string *next;
    char text[];
} ob_string;

const char *ob_options_keep(ob_options *options, const char *text, size_t length)
{
    ob_string *s = malloc(sizeof *s + length + 1);
    if (s == NULL)
        return NULL;
    memcpy(s->text, text, length);
    s->text[length] = '\0';
    s->next = options->strings;
    options->strings = s;
    return s->text;
}

void ob_options_clear(ob_options *options)
{
    for (ob_string *s = options->strings; s != NULL;) {
        ob_string *next = s->next;
        free(s);
        s = next;
    }
    options->strings = NULL;
}

static void *field(const ob_option *option, ob_options *options)
{
    return (char *)options + option->offset;
}

static ortho_status out_of_range(const char *text, double min, double max)
{
    return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is out of range (%.10g to %.10g)", text, min, max);
}

ortho_status ob_parse_number(const char *text, double min, double max, double *out)
{
    size_t shaped = strspn(text, "0123456789.eE+-");
    if (text[0] == '\0' || text[0] == '+' || text[shaped] != '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is not a number", text);
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is not a number", text);
    if (errno == ERANGE || !isfinite(value) || value < min || value > max)
        return out_of_range(text, min, max);
    *out = value == 0 ? 0 : value; /* -0 would make another case key of the same case */
    return ORTHO_OK;
}

ortho_status ob_parse_whole(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (text[0] == '-' && strspn(text + 1, "0123456789") == strlen(text) - 1 && text[1] != '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is out of range: it can't be negative", text);
    if (digits == 0 || text[digits] != '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is not a whole number", text);
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (errno == ERANGE || value < min || value > max)
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is out of range (%llu to %llu)", text,
                          (unsigned long long)min, (unsigned long long)max);
    *out = value;
    return ORTHO_OK;
}

/* ---- words ---------------------------------------------------------------------------------- */

static ortho_status unknown_word(const char *text, const char **words, size_t count)
{
    char known[512] = "";
    for (size_t i = 0, used = 0; i < count && used < sizeof known; i++)
        used +=
            (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", words[i]);
    const char *near = ob_suggest(text, words, count);
    if (near != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is unknown: did you mean '%s'? (known: %s)", text,
                          near, known);
    return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is unknown (known: %s)", text, known);
}

/* Variants are checked after every layer was read: a plug-in may bring its own. */
static bool words_are_open(const ob_option *option)
{
    return option->from == OB_WORDS_VARIANTS;
}

static ortho_status check_word(const ob_option *option, const char *text)
{
    const char *words[WORDS_MAX];
    size_t count = ob_option_words(option, words, WORDS_MAX);
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], text) == 0)
            return ORTHO_OK;
    return unknown_word(text, words, count);
}

static ortho_status set_choice(const ob_option *option, const char *text, ob_options *out)
{
    for (const ob_word *w = option->words; w->word != NULL; w++)
        if (strcmp(w->word, text) == 0) {
            memcpy(field(option, out), &w->value, sizeof w->value);
            return ORTHO_OK;
        }
    return check_word(option, text);
}

/* "lognormal:SIGMA", with sigma in [0, max]. */
static ortho_status check_rows(const ob_option *option, const char *text)
{
    static const char lognormal[] = "lognormal:";
    double sigma;
    if (strncmp(text, lognormal, sizeof lognormal - 1) != 0)
        return check_word(option, text);
    return ob_parse_number(text + sizeof lognormal - 1, option->min, option->max, &sigma);
}

static ortho_status check_counters(const char *text)
{
    ob_counter_choice *choice = NULL;
    ortho_status status = ob_counter_choice_open(text, &choice);
    ob_counter_choice_close(choice);
    return status;
}

static ortho_status set_text(const ob_option *option, const char *text, ob_options *out)
{
    if (text[0] == '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "an empty value");
    if (option->type == OB_VALUE_NAME) {
        ortho_status status = check_word(option, text);
        if (status != ORTHO_OK)
            return status;
    }
    if (option->type == OB_VALUE_ROWS) {
        ortho_status status = check_rows(option, text);
        if (status != ORTHO_OK)
            return status;
    }
    if (option->from == OB_WORDS_COUNTERS) {
        ortho_status status = check_counters(text);
        if (status != ORTHO_OK)
            return status;
    }
    if (option->from == OB_WORDS_BASELINES) {
        ortho_status status = ob_baseline_check(text);
        if (status != ORTHO_OK)
            return status;
    }
    const char *kept = ob_options_keep(out, text, strlen(text));
    if (kept == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an option");
    memcpy(field(option, out), &kept, sizeof kept);
    return ORTHO_OK;
}

static ortho_status set_flag(const ob_option *option, const char *text, ob_options *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            bool value = text[0] == yes[i][0] && strcmp(text, yes[i]) == 0;
            memcpy(field(option, out), &value, sizeof value);
            return ORTHO_OK;
        }
    return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is neither true nor false", text);
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* The next item of a comma list, NUL-terminated in place; NULL at the end. */
static char *next_item(char **rest)
{
    if (*rest == NULL)
        return NULL;
    char *item = *rest, *comma = strchr(item, ',');
    *rest = comma != NULL ? comma + 1 : NULL;
    if (comma != NULL)
        *comma = '\0';
    return item;
}

static ortho_status add_name(const ob_option *option, const char *item, ob_words *list,
                             ob_options *out)
{
    if (item[0] == '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "an empty item in the list");
    if (option->type == OB_VALUE_WORDS && !words_are_open(option)) {
        ortho_status status = check_word(option, item);
        if (status != ORTHO_OK)
            return status;
    }
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->item[i], item) == 0)
            return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is in the list twice", item);
    if (list->count == OB_LIST_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "more than %d items", OB_LIST_MAX);
    list->item[list->count] = ob_options_keep(out, item, strlen(item));
    if (list->item[list->count] == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an option");
    list->count++;
    return ORTHO_OK;
}

static ortho_status set_names(const ob_option *option, char *copy, bool add, ob_options *out)
{
    ob_words list = {0};
    if (add && option->type == OB_VALUE_PATHS)
        memcpy(&list, field(option, out), sizeof list);
    ortho_status status = ORTHO_OK;
    bool all = option->type == OB_VALUE_WORDS && strcmp(copy, "all") == 0;
    char *rest = all ? NULL : copy;
    for (char *item; status == ORTHO_OK && (item = next_item(&rest)) != NULL;) {
        if (option->type == OB_VALUE_WORDS && strcmp(item, "all") == 0)
            return ortho_fail(ORTHO_E_ARGUMENT, "'all' stands alone, not in a list");
        status = add_name(option, item, &list, out);
    }
    if (status == ORTHO_OK)
        memcpy(field(option, out), &list, sizeof list);
    return status;
}

/* The bits of the words of a list; a bit twice is refused. */
static ortho_status read_bits(const ob_option *option, char *copy, int *out)
{
    int bits = 0;
    for (char *item, *rest = copy; (item = next_item(&rest)) != NULL;) {
        ortho_status status = check_word(option, item);
        if (status != ORTHO_OK)
            return status;
        for (const ob_word *w = option->words; w->word != NULL; w++)
            if (strcmp(w->word, item) == 0) {
                if (bits & w->value)
                    return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is in the list twice", item);
                bits |= w->value;
            }
    }
    *out = bits;
    return ORTHO_OK;
}

static ortho_status set_ops(const ob_option *option, char *copy, ob_options *out)
{
    int bits;
    ortho_status status = read_bits(option, copy, &bits);
    if (status != ORTHO_OK)
        return status;
    out->do_sieve = bits & 1;
    out->do_gemm = bits & 2;
    return ORTHO_OK;
}

static ortho_status set_bits(const ob_option *option, char *copy, ob_options *out)
{
    int bits;
    ortho_status status = read_bits(option, copy, &bits);
    if (status == ORTHO_OK)
        memcpy(field(option, out), &bits, sizeof bits);
    return status;
}

static ortho_status add_number(double value, ob_numbers *list)
{
    for (int i = 0; i < list->count; i++)
        if (list->item[i] == value)
            return ortho_fail(ORTHO_E_ARGUMENT, "%.10g is in the list twice", value);
    if (list->count == OB_LIST_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "more than %d numbers", OB_LIST_MAX);
    list->item[list->count++] = value;
    return ORTHO_OK;
}

static ortho_status add_range(const ob_option *option, char *item, ob_numbers *list)
{
    uint64_t first, last, min = (uint64_t)option->min, max = (uint64_t)option->max;
    char *dash = option->type == OB_VALUE_RANGES && item[0] != '-' ? strchr(item, '-') : NULL;
    if (dash != NULL && dash[1] == '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s' has no end", item);
    if (dash != NULL)
        *dash = '\0';
    ortho_status status = ob_parse_whole(item, min, max, &first);
    if (status == ORTHO_OK && dash != NULL)
        status = ob_parse_whole(dash + 1, min, max, &last);
    if (status != ORTHO_OK)
        return status;
    if (dash == NULL)
        last = first;
    if (last < first)
        return ortho_fail(ORTHO_E_ARGUMENT, "'%s-%s' runs backwards", item, dash + 1);
    for (uint64_t i = first; status == ORTHO_OK && i <= last; i++)
        status = add_number((double)i, list);
    return status;
}

static ortho_status set_numbers(const ob_option *option, char *copy, ob_options *out)
{
    ob_numbers list = {0};
    ortho_status status = ORTHO_OK;
    for (char *item, *rest = copy; status == ORTHO_OK && (item = next_item(&rest)) != NULL;) {
        if (item[0] == '\0') {
            status = ortho_fail(ORTHO_E_ARGUMENT, "an empty item in the list");
        } else if (option->type == OB_VALUE_NUMBERS) {
            double value;
            status = ob_parse_number(item, option->min, option->max, &value);
            if (status == ORTHO_OK)
                status = add_number(value, &list);
        } else {
            status = add_range(option, item, &list);
        }
    }
    if (status == ORTHO_OK)
        memcpy(field(option, out), &list, sizeof list);
    return status;
}

static ortho_status set_list(const ob_option *option, const char *text, bool add, ob_options *out)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an option");
    ortho_status status;
    if (option->type == OB_VALUE_OPS)
        status = set_ops(option, copy, out);
    else if (option->type == OB_VALUE_BITS)
        status = set_bits(option, copy, out);
    else if (option->type == OB_VALUE_WORDS || option->type == OB_VALUE_PATHS)
        status = set_names(option, copy, add, out);
    else
        status = set_numbers(option, copy, out);
    free(copy);
    return status;
}

/* 0.02, or 2% */
static ortho_status set_share(const ob_option *option, const char *text, ob_options *out)
{
    char number[32];
    double value = 0;
    size_t length = strlen(text);
    bool percent = length > 1 && text[length - 1] == '%';
    if (length >= sizeof number)
        return ortho_fail(ORTHO_E_ARGUMENT, "too long for a share");
    memcpy(number, text, length + 1);
    number[length - percent] = '\0';
    double unit = percent ? 100 : 1;
    ortho_status status = ob_parse_number(number, option->min * unit, option->max * unit, &value);
    if (status == ORTHO_OK)
        *(double *)field(option, out) = value / unit;
    return status;
}

/* 268435456, 256M, 1G: powers of 1024, as memory comes. */
static ortho_status set_bytes(const ob_option *option, const char *text, ob_options *out)
{
    static const char units[] = "KMGT";
    char number[32];
    uint64_t value = 0;
    size_t length = strlen(text);
    const char *unit = length > 1 ? strchr(units, text[length - 1]) : NULL;
    int shift = unit != NULL ? 10 * (int)(unit - units + 1) : 0;
    if (length >= sizeof number)
        return ortho_fail(ORTHO_E_ARGUMENT, "too long for a number of bytes");
    memcpy(number, text, length + 1);
    number[length - (unit != NULL)] = '\0';
    if (number[strspn(number, "0123456789")] != '\0')
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "'%s' is not a number of bytes: 268435456, 256M and 1G are", text);
    ortho_status status = ob_parse_whole(number, 0, UINT64_MAX >> shift, &value);
    if (status == ORTHO_OK &&
        ((double)(value << shift) < option->min || (double)(value << shift) > option->max))
        status = ortho_fail(ORTHO_E_ARGUMENT, "'%s' is out of range (%.0f to %.0f bytes)", text,
                            option->min, option->max);
    if (status == ORTHO_OK)
        *(uint64_t *)field(option, out) = value << shift;
    return status;
}

ortho_status ob_value_set(const ob_option *option, const char *text, bool add, ob_options *out)
{
    ortho_status status = ORTHO_OK;
    uint64_t whole = 0;
    double number = 0;
    switch (option->type) {
    case OB_VALUE_FLAG:
        return set_flag(option, text, out);
    case OB_VALUE_CHOICE:
        return set_choice(option, text, out);
    case OB_VALUE_NAME:
    case OB_VALUE_TEXT:
    case OB_VALUE_ROWS:
        return set_text(option, text, out);
    case OB_VALUE_WHOLE:
        status = ob_parse_whole(text, (uint64_t)option->min, (uint64_t)option->max, &whole);
        if (status == ORTHO_OK)
            *(int *)field(option, out) = (int)whole;
        return status;
    case OB_VALUE_SEED:
        status = ob_parse_whole(text, 0, INT64_MAX, &whole);
        if (status == ORTHO_OK)
            *(uint64_t *)field(option, out) = whole;
        return status;
    case OB_VALUE_NUMBER:
        status = ob_parse_number(text, option->min, option->max, &number);
        if (status == ORTHO_OK)
            *(double *)field(option, out) = number;
        return status;
    case OB_VALUE_SHARE:
        return set_share(option, text, out);
    case OB_VALUE_BYTES:
        return set_bytes(option, text, out);
    default:
        return set_list(option, text, add, out);
    }
}
