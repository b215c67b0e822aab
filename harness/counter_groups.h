/*
 * counter_groups.h: which hardware metrics answer a question, and what to make of them. A group is
 * one text file of harness/groups, embedded when the harness is built; docs/COUNTERS.md has its
 * format. Nothing here counts: counter_choice.h picks groups for a run, counters.h counts.
 */
#ifndef ORTHO_HARNESS_COUNTER_GROUPS_H
#define ORTHO_HARNESS_COUNTER_GROUPS_H

#include <ortho/ortho.h>
#include <stdbool.h>

#define OB_GROUP_ITEMS        24         /* metrics of a group, and derived values */
#define OB_GROUP_ALTERNATIVES 3          /* names of one metric */
#define OB_GROUP_TEXT         (16 << 10) /* bytes of a group's file, exclusive */

/* A group as it was written. */
typedef struct ob_group_text {
    const char *name; /* of the file, without .txt */
    const char *text;
} ob_group_text;

extern const ob_group_text ob_group_texts[]; /* generated, by name; a NULL name ends it */

/* What is counted. Chips that renamed a metric know one of the names: the first that has a value
 * counts. */
typedef struct ob_group_metric {
    const char *alias; /* in formulas */
    const char *unit;
    int name_count;
    const char *names[OB_GROUP_ALTERNATIVES]; /* as CUPTI has them */
    const char *absent; /* "GA10B, GB10B": chips that have none of the names; NULL: none */
} ob_group_metric;

typedef struct ob_group_derived {
    const char *name;    /* the row's key is "group.name" */
    const char *formula; /* over aliases of the group's metrics (formula.h) */
    const char *unit, *label;
} ob_group_derived;

typedef struct ob_group {
    const char *name, *title;
    const char *about; /* one paragraph */
    bool instructions; /* wants the counts of each SASS instruction too (instructions.h) */
    int metric_count, derived_count;
    ob_group_metric metrics[OB_GROUP_ITEMS];
    ob_group_derived derived[OB_GROUP_ITEMS];
} ob_group;

typedef struct ob_groups {
    int count;
    ob_group *group;           /* [count] */
    struct ob_string *strings; /* owns what the groups point to */
} ob_groups;

/* Reads group texts; a NULL name ends them. ARGUMENT names group and line of what is wrong: an
 * unknown key or section, a name twice, a formula that doesn't read or names no metric. The caller
 * closes *out; nothing of it points into the texts. */
ortho_status ob_groups_parse(const ob_group_text *texts, ob_groups **out);
void ob_groups_close(ob_groups *groups); /* NULL is allowed */

/* NULL when there is none. */
const ob_group *ob_groups_find(const ob_groups *groups, const char *name);

/* Whether a word looks like a metric's name: "__" in it, and only letters, digits, _ and dots. */
bool ob_metric_looks(const char *word);

#endif
