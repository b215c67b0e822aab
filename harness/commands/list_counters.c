/* list --counters: the groups as they were written, and what the vendor's library knows of them. */
#include "harness/commands/list_counters.h"

#include "common/error.h"
#include "harness/counter_groups.h"
#include "harness/help.h"
#include "harness/metrics.h"

#include <string.h>

#define CHIPS  4
#define INDENT 4
#define WORDS  512 /* bytes of a description */

/* What libcupti says of the chips that stand for their generations. */
typedef struct vendor {
    char why[256]; /* why there is nothing; "": there is something */
    int count;
    const char *chip[CHIPS];
    ob_metrics *metrics[CHIPS];
} vendor;

static void add_chip(vendor *v, const char *chip)
{
    for (int i = 0; i < v->count; i++)
        if (strcmp(v->chip[i], chip) == 0)
            return;
    if (v->count < CHIPS && ob_metrics_open(chip, &v->metrics[v->count]) == ORTHO_OK)
        v->chip[v->count++] = chip;
}

static void open_vendor(vendor *v)
{
    const char *const *known = NULL, *newest = NULL;
    memset(v, 0, sizeof *v);
    if (ob_metrics_chips(&known) == ORTHO_OK) {
        add_chip(v, "GH100");
        add_chip(v, "GA100");
        add_chip(v, "AD102");
        for (; *known != NULL; known++)
            newest = *known;
        if (newest != NULL)
            add_chip(v, newest);
    }
    if (v->count == 0)
        snprintf(v->why, sizeof v->why, "%s", ortho_last_message());
}

static void close_vendor(vendor *v)
{
    for (int i = 0; i < v->count; i++)
        ob_metrics_close(v->metrics[i]);
}

/* ---- one group ------------------------------------------------------------------------------- */

static void print_derived(FILE *out, const ob_group *group)
{
    for (int i = 0; i < group->derived_count; i++) {
        const ob_group_derived *d = &group->derived[i];
        int used = fprintf(out, "  %s.%s", group->name, d->name);
        used += fprintf(out, "%*s = %s  [%s]", used < 33 ? 33 - used : 0, "", d->formula, d->unit);
        fprintf(out, "\n%*s", INDENT + 2, "");
        ob_help_wrap(out, d->label, INDENT + 2, INDENT + 2);
    }
}

/* The unit, then the vendor's words for the first of a metric's names that one of the chips has. */
static void print_words(FILE *out, const ob_group_metric *metric, const vendor *v)
{
    char words[WORDS];
    int used = fprintf(out, "%*s[%s]", INDENT + 2, "", metric->unit);
    for (int i = 0; i < v->count; i++)
        for (int j = 0; j < metric->name_count; j++)
            if (ob_metrics_describe(v->metrics[i], metric->names[j], words, sizeof words) ==
                    ORTHO_OK &&
                words[0] != '\0') {
                ob_help_wrap(out, words, used, INDENT + 2);
                return;
            }
    fputc('\n', out);
}

static void print_metrics(FILE *out, const ob_group *group, const vendor *v)
{
    for (int i = 0; i < group->metric_count; i++) {
        const ob_group_metric *m = &group->metrics[i];
        fprintf(out, "  %-16s %s\n", m->alias, m->names[0]);
        for (int j = 1; j < m->name_count; j++)
            fprintf(out, "  %-16s or %s\n", "", m->names[j]);
        if (m->absent != NULL)
            fprintf(out, "  %-16s not on %s\n", "", m->absent);
        print_words(out, m, v);
    }
}

/* The names of a group that this chip has; returns how many. */
static int names_on(const ob_group *group, const ob_metrics *metrics, const char **names)
{
    int count = 0;
    for (int i = 0; i < group->metric_count; i++)
        for (int j = 0; j < group->metrics[i].name_count; j++)
            if (ob_metrics_check(metrics, group->metrics[i].names[j]) == ORTHO_OK)
                names[count++] = group->metrics[i].names[j];
    return count;
}

static void print_passes(FILE *out, const ob_group *group, const vendor *v)
{
    const char *names[OB_GROUP_ITEMS * OB_GROUP_ALTERNATIVES];
    fputs("  passes: ", out);
    if (v->count == 0)
        fprintf(out, "n/a (%s)", v->why);
    for (int i = 0; i < v->count; i++) {
        size_t passes = 0;
        int count = names_on(group, v->metrics[i], names);
        fprintf(out, "%s%s ", i ? ", " : "", v->chip[i]);
        if (count > 0 && ob_metrics_passes(v->metrics[i], names, count, &passes) == ORTHO_OK)
            fprintf(out, "%zu", passes);
        else
            fprintf(out, "n/a (%s)",
                    count > 0 ? ortho_last_message() : "it has no metric of these");
    }
    fputs("\n", out);
}

static void print_group(FILE *out, const ob_group *group, const vendor *v)
{
    fprintf(out, "%s: %s\n", group->name, group->title);
    fprintf(out, "%*s", INDENT, "");
    ob_help_wrap(out, group->about, INDENT, INDENT);
    print_derived(out, group);
    fputs("  metrics:\n", out);
    print_metrics(out, group, v);
    if (group->instructions)
        fputs("  and the counts of each SASS instruction\n", out);
    print_passes(out, group, v);
}

int ob_list_counters(FILE *out, const ob_log *log)
{
    ob_groups *groups = NULL;
    vendor v;
    if (ob_groups_parse(ob_group_texts, &groups) != ORTHO_OK) {
        ob_log_error(log, "%s", ortho_last_message());
        return OB_EXIT_RUNTIME;
    }
    open_vendor(&v);
    for (int i = 0; i < groups->count; i++) {
        if (i > 0)
            fputc('\n', out);
        print_group(out, &groups->group[i], &v);
    }
    close_vendor(&v);
    ob_groups_close(groups);
    return OB_EXIT_OK;
}
