/* --counters into metrics, and counted metrics into the row. */
#include "harness/counter_choice.h"

#include "common/error.h"
#include "harness/formula.h"
#include "harness/options_suggest.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 128
#define KEY_MAX   160

typedef struct ob_choice_own {
    ob_groups *library;
    char *words;         /* the option's text, cut at its commas */
    const char **names;  /* what the choice shows */
    const char **units;  /* [count]; NULL where no group tells */
    const char **owner;  /* [count]: the group that brought it; NULL: a metric asked for by name */
    bool *asked;         /* [count]: by name */
    const ob_group **in; /* [group_count] */
} ob_choice_own;

/* ---- resolving ------------------------------------------------------------------------------- */

static int find_name(const ob_counter_choice *choice, const char *name)
{
    for (int i = 0; i < choice->count; i++)
        if (strcmp(choice->names[i], name) == 0)
            return i;
    return -1;
}

/* Where the metric stands in the flat list, which it joins if need be. */
static int add_name(ob_counter_choice *choice, const char *name)
{
    int at = find_name(choice, name);
    if (at < 0) {
        at = choice->count++;
        choice->own->names[at] = name;
    }
    return at;
}

static void add_group(ob_counter_choice *choice, const ob_group *group)
{
    ob_choice_own *own = choice->own;
    for (int i = 0; i < choice->group_count; i++)
        if (own->in[i] == group)
            return;
    own->in[choice->group_count++] = group;
    choice->instructions |= group->instructions;
    for (int i = 0; i < group->metric_count; i++)
        for (int j = 0; j < group->metrics[i].name_count; j++) {
            int at = add_name(choice, group->metrics[i].names[j]);
            if (own->owner[at] == NULL)
                own->owner[at] = group->name;
            if (own->units[at] == NULL)
                own->units[at] = group->metrics[i].unit;
        }
}

static ortho_status unknown_word(const ob_groups *library, const char *word)
{
    const char *known[WORDS_MAX];
    char list[512] = "";
    size_t n = 0, used = 0;
    for (int i = 0; i < library->count && n < WORDS_MAX - 1; i++)
        known[n++] = library->group[i].name;
    for (size_t i = 0; i < n && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s, ", known[i]);
    known[n++] = "all";
    const char *near = ob_suggest(word, known, n);
    return ortho_fail(
        ORTHO_E_ARGUMENT,
        "'%.80s' is neither a group nor a metric%s%s%s (groups: %sall; a metric has __ "
        "in its name)",
        word, near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "", list);
}

static ortho_status add_word(ob_counter_choice *choice, const char *word)
{
    const ob_groups *library = choice->own->library;
    const ob_group *group = ob_groups_find(library, word);
    if (group != NULL) {
        add_group(choice, group);
        return ORTHO_OK;
    }
    if (strcmp(word, "all") == 0) {
        for (int i = 0; i < library->count; i++)
            add_group(choice, &library->group[i]);
        return ORTHO_OK;
    }
    if (word[0] == '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "an empty item in the list");
    if (!ob_metric_looks(word))
        return unknown_word(library, word);
    choice->own->asked[add_name(choice, word)] = true;
    return ORTHO_OK;
}

static ortho_status resolve(ob_counter_choice *choice)
{
    ortho_status status = ORTHO_OK;
    for (char *word = choice->own->words; status == ORTHO_OK && word != NULL;) {
        char *comma = strchr(word, ',');
        if (comma != NULL)
            *comma++ = '\0';
        status = add_word(choice, word);
        word = comma;
    }
    return status;
}

/* Room for every metric of every group, and for as many more as there are words. */
static ortho_status allocate(ob_counter_choice *choice, const char *text)
{
    ob_choice_own *own = choice->own = calloc(1, sizeof *own);
    ortho_status status =
        own != NULL ? ob_groups_parse(ob_group_texts, &own->library) : ORTHO_E_MEMORY;
    if (own == NULL)
        return ortho_fail(status, "no memory for counters");
    if (status != ORTHO_OK)
        return status;
    size_t room = strlen(text) / 2 + 2; /* a word and its comma are two bytes at least */
    for (int i = 0; i < own->library->count; i++)
        room += (size_t)own->library->group[i].metric_count * OB_GROUP_ALTERNATIVES;
    own->words = strdup(text);
    own->names = calloc(room, sizeof *own->names);
    own->units = calloc(room, sizeof *own->units);
    own->owner = calloc(room, sizeof *own->owner);
    own->asked = calloc(room, sizeof *own->asked);
    own->in = calloc((size_t)own->library->count + 1, sizeof *own->in);
    if (!own->words || !own->names || !own->units || !own->owner || !own->asked || !own->in)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
    choice->names = own->names;
    choice->groups = own->in;
    return ORTHO_OK;
}

ortho_status ob_counter_choice_open(const char *text, ob_counter_choice **out)
{
    ob_counter_choice *choice = calloc(1, sizeof *choice);
    if (choice == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
    ortho_status status = allocate(choice, text);
    if (status == ORTHO_OK)
        status = resolve(choice);
    if (status == ORTHO_OK)
        *out = choice;
    else
        ob_counter_choice_close(choice);
    return status;
}

void ob_counter_choice_close(ob_counter_choice *choice)
{
    if (choice == NULL)
        return;
    ob_choice_own *own = choice->own;
    if (own != NULL) {
        ob_groups_close(own->library);
        free(own->words);
        free(own->names);
        free(own->units);
        free(own->owner);
        free(own->asked);
        free(own->in);
        free(own);
    }
    free(choice);
}

/* ---- evaluating ------------------------------------------------------------------------------ */

typedef struct evaluation {
    const ob_counter_choice *choice;
    const ob_counter_value *values;
    const ob_group *group; /* whose aliases are looked up */
    int code;              /* CUPTI's, of the first input without a value; 0: there was none */
} evaluation;

/* A counted value that stands, or why it doesn't. */
static ob_formula_value judge(const ob_counter_value *v)
{
    if (v->reason != NULL || v->code != 0)
        return (ob_formula_value){.why = v->reason != NULL ? v->reason : "CUPTI gave no value"};
    if (!isfinite(v->value))
        return (ob_formula_value){.why = "not a finite number: nothing to divide by was counted"};
    return (ob_formula_value){.value = v->value};
}

/* Of a metric's names the first with a value; else the first. */
static int chosen(const evaluation *e, const ob_group_metric *metric)
{
    for (int i = 0; i < metric->name_count; i++) {
        int at = find_name(e->choice, metric->names[i]);
        if (judge(&e->values[at]).why == NULL)
            return at;
    }
    return find_name(e->choice, metric->names[0]);
}

static ortho_status look_up(void *ctx, const char *name, ob_formula_value *out)
{
    evaluation *e = ctx;
    for (int i = 0; i < e->group->metric_count; i++)
        if (strcmp(e->group->metrics[i].alias, name) == 0) {
            int at = chosen(e, &e->group->metrics[i]);
            *out = judge(&e->values[at]);
            if (out->why != NULL && e->code == 0)
                e->code = e->values[at].code;
            return ORTHO_OK;
        }
    return ortho_fail(ORTHO_E_INTERNAL, "counter group '%s' has no '%s'", e->group->name, name);
}

typedef struct entry {
    const char *key, *unit, *group; /* unit, group may be NULL */
    ob_formula_value value;
    int code;
} entry;

static ortho_status add_entry(json_t *counters, const entry *e)
{
    json_t *object = json_object();
    int failed = object == NULL;
    if (!failed && e->value.why == NULL)
        failed |= json_object_set_new(object, "value", json_real(e->value.value));
    if (!failed && e->unit != NULL)
        failed |= json_object_set_new(object, "unit", json_string(e->unit));
    if (!failed) {
        failed |= json_object_set_new(object, "status", json_string(e->value.why ? "n/a" : "ok"));
        failed |= json_object_set_new(object, "code", json_integer(e->code));
    }
    if (!failed && e->value.why != NULL)
        failed |= json_object_set_new(object, "reason", json_string(e->value.why));
    if (!failed && e->group != NULL)
        failed |= json_object_set_new(object, "group", json_string(e->group));
    if (failed) {
        json_decref(object);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %s", e->key);
    }
    if (json_object_set_new(counters, e->key, object) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %s", e->key);
    return ORTHO_OK;
}

/* Which metrics are told: those asked for by name, and of each alias the one that counts. */
static void mark(evaluation *e, bool *told)
{
    for (int i = 0; i < e->choice->count; i++)
        told[i] = e->choice->own->asked[i];
    for (int g = 0; g < e->choice->group_count; g++)
        for (int i = 0; i < e->choice->groups[g]->metric_count; i++)
            told[chosen(e, &e->choice->groups[g]->metrics[i])] = true;
}

static ortho_status add_metrics(evaluation *e, json_t *counters)
{
    const ob_choice_own *own = e->choice->own;
    ortho_status status = ORTHO_OK;
    bool *told = calloc((size_t)e->choice->count + 1, sizeof *told);
    if (told == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
    mark(e, told);
    for (int i = 0; status == ORTHO_OK && i < e->choice->count; i++) {
        entry metric = {own->names[i], own->units[i], own->owner[i], judge(&e->values[i]),
                        e->values[i].code};
        if (told[i])
            status = add_entry(counters, &metric);
    }
    free(told);
    return status;
}

static ortho_status add_derived(evaluation *e, const ob_group *group, json_t *counters)
{
    e->group = group;
    for (int i = 0; i < group->derived_count; i++) {
        const ob_group_derived *d = &group->derived[i];
        char key[KEY_MAX];
        snprintf(key, sizeof key, "%s.%s", group->name, d->name);
        entry derived = {.key = key, .unit = d->unit, .group = group->name};
        e->code = 0;
        ortho_status status = ob_formula_evaluate(d->formula, look_up, e, &derived.value);
        derived.code = derived.value.why != NULL ? e->code : 0;
        if (status == ORTHO_OK)
            status = add_entry(counters, &derived);
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

ortho_status ob_counter_choice_evaluate(const ob_counter_choice *choice,
                                        const ob_counter_value *values, struct json_t *counters)
{
    evaluation e = {.choice = choice, .values = values};
    ortho_status status = add_metrics(&e, counters);
    for (int i = 0; status == ORTHO_OK && i < choice->group_count; i++)
        status = add_derived(&e, choice->groups[i], counters);
    return status;
}
