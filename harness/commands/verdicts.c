#include "harness/commands/verdicts.h"

#include "harness/log.h"

#include <jansson.h>
#include <stdio.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "-";
}

static void print_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value))
        printf(" %10.1e", json_number_value(value));
    else
        printf(" %10s", "-");
}

/* Of a build that counts them. */
static void print_lanes(const json_t *divergence)
{
    const json_t *exact = json_object_get(json_object_get(divergence, "exact"), "value");
    const json_t *predicted = json_object_get(json_object_get(divergence, "predicted"), "value");
    if (exact != NULL && predicted != NULL)
        printf("  lanes: predicted %.4f, counted %.4f", json_number_value(predicted),
               json_number_value(exact));
}

static void print_verdict(const json_t *row, bool verbose)
{
    const json_t *verified = json_object_get(row, "verified");
    printf("%-8s %-7s", text_of(row, "status"), text_of(verified, "before"));
    print_number(verified, "rel_error");
    print_number(verified, "tolerance");
    fputs("  ", stdout);
    ob_print_safe(stdout, text_of(row, "key"));
    const char *more[] = {"reason", verbose ? "checked" : NULL};
    const json_t *from[] = {row, verified};
    for (int i = 0; i < 2; i++)
        if (more[i] != NULL && json_object_get(from[i], more[i]) != NULL) {
            fputs(": ", stdout);
            ob_print_safe(stdout, text_of(from[i], more[i]));
        }
    print_lanes(json_object_get(row, "divergence"));
    fputc('\n', stdout);
}

void ob_verdicts_print(const json_t *results, bool verbose)
{
    size_t i;
    const json_t *row;
    printf("%-8s %-7s %10s %10s  %s\n", "status", "verdict", "rel_error", "tolerance", "case");
    json_array_foreach(json_object_get(results, "results"), i, row) print_verdict(row, verbose);
}
