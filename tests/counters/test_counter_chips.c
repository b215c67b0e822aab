/*
 * Asks libcupti, offline, of every chip from Ampere on: has it the metrics of each group, but for
 * those that the group says are absent, and can they be counted? Prints the passes.
 */
#include "harness/counter_choice.h"
#include "harness/metrics.h"

#include <ortho/ortho.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED   77
#define NAMES_MAX 512

static int failures;

static void fail(const char *chip, const char *what, const char *words)
{
    printf("FAILED: %s: %s: %s\n", chip, what, words);
    failures++;
}

static void expect(bool holds, const char *what)
{
    if (!holds)
        fail("metrics", what, ortho_last_message());
}

/* Volta and Turing are older than what the harness supports. */
static bool is_judged(const char *chip)
{
    return strncmp(chip, "GV", 2) != 0 && strncmp(chip, "TU", 2) != 0;
}

static bool is_declared_absent(const ob_group_metric *metric, const char *chip)
{
    const char *at = metric->absent != NULL ? strstr(metric->absent, chip) : NULL;
    return at != NULL && (at[strlen(chip)] == '\0' || at[strlen(chip)] == ',');
}

/* Appends the names that the chip has. */
static void check_metric(const ob_metrics *m, const char *chip, const ob_group_metric *metric,
                         const char **names, int *count)
{
    int had = *count;
    for (int i = 0; i < metric->name_count; i++)
        if (ob_metrics_check(m, metric->names[i]) == ORTHO_OK)
            names[(*count)++] = metric->names[i];
    bool absent = is_declared_absent(metric, chip);
    if (*count == had && !absent)
        fail(chip, metric->names[0], "not on this chip, nor is another name of it");
    if (*count > had && absent)
        fail(chip, metric->names[0], "declared absent, and it is there");
}

static size_t count_passes(const ob_metrics *m, const char *chip, const char *what,
                           const char *const *names, int count)
{
    size_t passes = 0;
    if (ob_metrics_passes(m, names, count, &passes) != ORTHO_OK)
        fail(chip, what, ortho_last_message());
    else if (passes < 1)
        fail(chip, what, "no pass at all");
    return passes;
}

static void check_chip(const ob_counter_choice *all, const char *chip)
{
    ob_metrics *m = NULL;
    const char *together[NAMES_MAX];
    int total = 0;
    if (ob_metrics_open(chip, &m) != ORTHO_OK) {
        fail(chip, "the chip", ortho_last_message());
        return;
    }
    printf("%-6s", chip);
    for (int g = 0; g < all->group_count; g++) {
        const ob_group *group = all->groups[g];
        int first = total;
        for (int i = 0; i < group->metric_count; i++)
            check_metric(m, chip, &group->metrics[i], together, &total);
        printf(" %s %zu", group->name,
               count_passes(m, chip, group->name, together + first, total - first));
    }
    printf(", all %zu\n", count_passes(m, chip, "all groups", together, total));
    ob_metrics_close(m);
}

/* What the interface says of names that are wrong. */
static void check_errors(void)
{
    ob_metrics *m = NULL;
    size_t passes = 12345;
    char words[64] = "?";
    static const char *const bad[] = {"sm__cycles_active.avg", "sm__cycles_activ.avg",
                                      "gpu__nonsense.sum"};
    static const char *const good[] = {"sm__cycles_active.avg"};
    expect(ob_metrics_open("GX999", &m) == ORTHO_E_NOT_FOUND && m == NULL, "an unknown chip");
    if (ob_metrics_open("GH100", &m) != ORTHO_OK) {
        fail("GH100", "open", ortho_last_message());
        return;
    }
    expect(ob_metrics_passes(m, bad, 3, &passes) == ORTHO_E_ARGUMENT, "a wrong name");
    expect(strstr(ortho_last_message(), "GH100 has no metric 'sm__cycles_activ.avg'") != NULL,
           "the first wrong name is told");
    expect(passes == 12345, "passes untouched");
    expect(ob_metrics_check(m, "sm__cycles_active.nonsense") == ORTHO_E_ARGUMENT, "a wrong suffix");
    expect(ob_metrics_passes(m, good, 1, &passes) == ORTHO_OK && passes == 1, "right after wrong");
    expect(ob_metrics_describe(m, "sm__cycles_active.avg", words, sizeof words) == ORTHO_OK &&
               strstr(words, "cycles") != NULL,
           "a description");
    expect(ob_metrics_describe(m, "sm__nonsense", words, sizeof words) == ORTHO_E_ARGUMENT,
           "no description");
    ob_metrics_close(m);
    ob_metrics_close(NULL);
}

int main(void)
{
    static const char *const must[] = {"GA100", "AD102", "GH100"};
    const char *const *chips = NULL;
    ob_counter_choice *all = NULL;
    ortho_status status = ob_metrics_chips(&chips);
    if (status == ORTHO_E_UNSUPPORTED) {
        printf("skipped: %s\n", ortho_last_message());
        return SKIPPED;
    }
    if (status != ORTHO_OK || ob_counter_choice_open("all", &all) != ORTHO_OK) {
        printf("FAILED: %s\n", ortho_last_message());
        return 1;
    }
    check_errors();
    int seen = 0;
    for (int i = 0; chips[i] != NULL; i++)
        if (is_judged(chips[i])) {
            check_chip(all, chips[i]);
            for (size_t j = 0; j < sizeof must / sizeof *must; j++)
                seen += strcmp(chips[i], must[j]) == 0;
        }
    if (seen != (int)(sizeof must / sizeof *must))
        fail("libcupti", "its chips", "lack one of GA100, AD102, GH100");
    ob_counter_choice_close(all);
    return failures > 0;
}
