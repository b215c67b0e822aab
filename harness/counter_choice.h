/*
 * counter_choice.h: what --counters asks for: groups and single metrics, as one flat list for the
 * counters, and the results row's `counters` from what was counted.
 */
#ifndef ORTHO_HARNESS_COUNTER_CHOICE_H
#define ORTHO_HARNESS_COUNTER_CHOICE_H

#include "harness/counter_groups.h"
#include "harness/counters.h"

struct json_t;

/* To read only. */
typedef struct ob_counter_choice {
    int count;
    const char *const *names; /* [count]: metrics, each once, for ob_counters_open */
    int group_count;
    const ob_group *const *groups; /* [group_count] that are in, in their order */
    bool instructions;             /* a group wants the counts of each instruction too */
    struct ob_choice_own *own;
} ob_counter_choice;

/* "GROUP,...", "all" for every group, and single metrics by their CUPTI names (with "__" in them).
 * ARGUMENT with a message that doesn't name the option, and suggests the nearest group, for any
 * other word. Whether a chip has a metric is known only to the library (metrics.h). */
ortho_status ob_counter_choice_open(const char *text, ob_counter_choice **out);
void ob_counter_choice_close(ob_counter_choice *choice); /* NULL is allowed */

/*
 * Adds to a row's counters, which is an object: every metric under its name, then every derived
 * value as "group.name", each {"status", "code", "value" or "reason", "unit", "group"}. values is
 * [count], as ob_counters_measure gives it for one range. A metric that isn't there, or isn't
 * finite, is n/a with its reason, and so is all that is derived from it. Of a metric with several
 * names only the one that counts is told.
 */
ortho_status ob_counter_choice_evaluate(const ob_counter_choice *choice,
                                        const ob_counter_value *values, struct json_t *counters);

#endif
