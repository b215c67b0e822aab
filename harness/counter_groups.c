/*
 * The texts of counter groups. inih splits the lines, which our reader feeds it, so that line
 * numbers are exact; everything that a file says is checked here, once, whatever a run asks for.
 */
#define _GNU_SOURCE
#include "harness/counter_groups.h"

#include "common/error.h"
#include "harness/formula.h"

#include <ctype.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIAS_LETTERS "abcdefghijklmnopqrstuvwxyz_0123456789"

typedef struct ob_string {
    struct ob_string *next;
    char text[];
} ob_string;

typedef struct parsing {
    ob_groups *groups; /* for its strings */
    ob_group *group;
    const char *rest; /* of the text */
    int line;
    bool continued;      /* this line is indented: more of the last value */
    bool instructions;   /* that key was there */
    ortho_status status; /* the first error: nothing after it is looked at */
} parsing;

static ortho_status refuse(parsing *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static ortho_status refuse(parsing *p, const char *format, ...)
{
    char why[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    p->status = ortho_fail(ORTHO_E_ARGUMENT, "counter group '%s', line %d: %s", p->group->name,
                           p->line, why);
    return p->status;
}

static const char *keep(parsing *p, const char *text, size_t length)
{
    ob_string *s = malloc(sizeof *s + length + 1);
    if (s == NULL) {
        p->status = ortho_fail(ORTHO_E_MEMORY, "no memory for counter groups");
        return NULL;
    }
    memcpy(s->text, text, length);
    s->text[length] = '\0';
    s->next = p->groups->strings;
    p->groups->strings = s;
    return s->text;
}

bool ob_metric_looks(const char *word)
{
    size_t length = strspn(word, ALIAS_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ.");
    return word[length] == '\0' && strstr(word, "__") != NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The next part of a value that `separator` splits, without blanks around it; NULL at the end. */
static const char *next_part(parsing *p, const char **rest, char separator)
{
    if (*rest == NULL)
        return NULL;
    const char *at = *rest + strspn(*rest, " "), *end = strchr(at, separator);
    *rest = end != NULL ? end + 1 : NULL;
    size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
    while (length > 0 && at[length - 1] == ' ')
        length--;
    return keep(p, at, length);
}

/* Splits "a | b | c" into exactly `count` parts that aren't empty. */
static ortho_status split(parsing *p, const char *value, const char *form, const char **part,
                          int count)
{
    const char *rest = value;
    for (int i = 0; i < count; i++) {
        part[i] = next_part(p, &rest, '|');
        if (p->status == ORTHO_OK && (part[i] == NULL || part[i][0] == '\0'))
            return refuse(p, "not of the form %s", form);
    }
    if (p->status == ORTHO_OK && rest != NULL)
        return refuse(p, "not of the form %s", form);
    return p->status;
}

static ob_group_metric *metric_of(ob_group *group, const char *alias)
{
    for (int i = 0; i < group->metric_count; i++)
        if (strcmp(group->metrics[i].alias, alias) == 0)
            return &group->metrics[i];
    return NULL;
}

/* A name of the file's own: short, and what formulas can hold. */
static ortho_status check_name(parsing *p, const char *name)
{
    if (!islower((unsigned char)name[0]) || name[strspn(name, ALIAS_LETTERS)] != '\0')
        return refuse(p, "'%s': a name has small letters, digits and _", name);
    if (strlen(name) >= OB_FORMULA_NAME)
        return refuse(p, "'%s': a name has at most %d letters", name, OB_FORMULA_NAME - 1);
    return ORTHO_OK;
}

/* ---- sections -------------------------------------------------------------------------------- */

static ortho_status take_text(parsing *p, const char **field, const char *name, const char *value)
{
    if (*field != NULL)
        return refuse(p, "'%s' is there twice", name);
    *field = keep(p, value, strlen(value));
    return p->status;
}

static ortho_status continue_about(parsing *p, const char *value)
{
    char *joined = NULL;
    int length = asprintf(&joined, "%s %s", p->group->about, value);
    if (length < 0)
        return p->status = ortho_fail(ORTHO_E_MEMORY, "no memory for counter groups");
    p->group->about = keep(p, joined, (size_t)length);
    free(joined);
    return p->status;
}

static ortho_status take_group(parsing *p, const char *name, const char *value)
{
    if (strcmp(name, "title") == 0)
        return take_text(p, &p->group->title, name, value);
    if (strcmp(name, "about") == 0)
        return take_text(p, &p->group->about, name, value);
    if (strcmp(name, "instructions") != 0)
        return refuse(p, "unknown key '%s': title, about or instructions", name);
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return refuse(p, "instructions is yes or no, not '%s'", value);
    if (p->instructions)
        return refuse(p, "'instructions' is there twice");
    p->instructions = true;
    p->group->instructions = value[0] == 'y';
    return ORTHO_OK;
}

static ortho_status take_metric(parsing *p, const char *name, const char *value)
{
    const char *part[2], *one;
    ob_group_metric metric = {0};
    if (check_name(p, name) != ORTHO_OK ||
        split(p, value, "alias = metric, ... | unit", part, 2) != ORTHO_OK)
        return p->status;
    if (metric_of(p->group, name) != NULL)
        return refuse(p, "'%s' is there twice", name);
    if (p->group->metric_count == OB_GROUP_ITEMS)
        return refuse(p, "more than %d metrics", OB_GROUP_ITEMS);
    for (const char *rest = part[0]; (one = next_part(p, &rest, ',')) != NULL;) {
        if (!ob_metric_looks(one))
            return refuse(p, "'%s' is no metric's name", one);
        if (metric.name_count == OB_GROUP_ALTERNATIVES)
            return refuse(p, "more than %d names of a metric", OB_GROUP_ALTERNATIVES);
        for (int i = 0; i < metric.name_count; i++)
            if (strcmp(metric.names[i], one) == 0)
                return refuse(p, "'%s' is there twice", one);
        metric.names[metric.name_count++] = one;
    }
    metric.alias = keep(p, name, strlen(name));
    metric.unit = part[1];
    if (p->status == ORTHO_OK)
        p->group->metrics[p->group->metric_count++] = metric;
    return p->status;
}

static ortho_status known_alias(void *ctx, const char *name, ob_formula_value *out)
{
    ob_group *group = ctx;
    *out = (ob_formula_value){.value = 1};
    if (metric_of(group, name) != NULL)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_ARGUMENT, "'%s' is no metric of this group", name);
}

static ortho_status take_derived(parsing *p, const char *name, const char *value)
{
    const char *part[3];
    ob_formula_value ignored;
    if (check_name(p, name) != ORTHO_OK ||
        split(p, value, "name = formula | unit | label", part, 3) != ORTHO_OK)
        return p->status;
    for (int i = 0; i < p->group->derived_count; i++)
        if (strcmp(p->group->derived[i].name, name) == 0)
            return refuse(p, "'%s' is there twice", name);
    if (p->group->derived_count == OB_GROUP_ITEMS)
        return refuse(p, "more than %d derived values", OB_GROUP_ITEMS);
    if (ob_formula_evaluate(part[0], known_alias, p->group, &ignored) != ORTHO_OK) {
        char why[200];
        snprintf(why, sizeof why, "%s", ortho_last_message());
        return refuse(p, "the formula of '%s': %s", name, why);
    }
    const char *kept = keep(p, name, strlen(name));
    if (kept != NULL)
        p->group->derived[p->group->derived_count++] =
            (ob_group_derived){.name = kept, .formula = part[0], .unit = part[1], .label = part[2]};
    return p->status;
}

static ortho_status take_absent(parsing *p, const char *name, const char *value)
{
    ob_group_metric *metric = metric_of(p->group, name);
    if (metric == NULL)
        return refuse(p, "'%s' is no metric of this group", name);
    return take_text(p, &metric->absent, name, value);
}

static const struct section {
    const char *header, *name;
    ortho_status (*take)(parsing *p, const char *name, const char *value);
} sections[] = {{"[group]\n", "group", take_group},
                {"[metrics]\n", "metrics", take_metric},
                {"[derived]\n", "derived", take_derived},
                {"[absent]\n", "absent", take_absent}};

#define SECTIONS (sizeof sections / sizeof *sections)

static int take_entry(void *ctx, const char *section, const char *name, const char *value)
{
    parsing *p = ctx;
    if (p->status != ORTHO_OK)
        return 0;
    if (p->continued) {
        if (strcmp(section, "group") == 0 && strcmp(name, "about") == 0 && p->group->about != NULL)
            return continue_about(p, value) == ORTHO_OK;
        return refuse(p, "an indented line, and only `about` has several"), 0;
    }
    if (value[0] == '\0')
        return refuse(p, "'%s' is empty", name), 0;
    for (size_t i = 0; i < SECTIONS; i++)
        if (strcmp(sections[i].name, section) == 0)
            return sections[i].take(p, name, value) == ORTHO_OK;
    return refuse(p, "'%s' stands before the first section", name), 0;
}

/* ---- the text -------------------------------------------------------------------------------- */

static bool is_section(const char *line)
{
    for (size_t i = 0; i < SECTIONS; i++)
        if (strcmp(sections[i].header, line) == 0)
            return true;
    return false;
}

static char *feed_line(char *line, int room, void *ctx)
{
    parsing *p = ctx;
    if (p->status != ORTHO_OK || *p->rest == '\0')
        return NULL;
    p->line++;
    size_t length = strcspn(p->rest, "\n");
    if (length + 2 > (size_t)room)
        return refuse(p, "this line is too long"), NULL;
    memcpy(line, p->rest, length);
    memcpy(line + length, "\n", 2);
    p->rest += length + (p->rest[length] == '\n');
    if (strstr(line, " ;") != NULL)
        return refuse(p, "a ; within a line would cut it"), NULL;
    p->continued = line[0] == ' ' || line[0] == '\t';
    if (line[0] == '[' && !is_section(line))
        return refuse(p, "no section but [group], [metrics], [derived] and [absent]"), NULL;
    return line;
}

static ortho_status check_whole(parsing *p)
{
    p->line++; /* what is missing is missing at the end */
    if (p->group->title == NULL || p->group->about == NULL)
        return refuse(p, "%s is missing", p->group->title == NULL ? "title" : "about");
    if (p->group->metric_count == 0)
        return refuse(p, "there is no metric");
    return ORTHO_OK;
}

static ortho_status parse(const ob_group_text *text, ob_groups *groups)
{
    ob_group *group = &groups->group[groups->count++];
    parsing p = {.groups = groups, .group = group, .rest = text->text};
    group->name = keep(&p, text->name, strlen(text->name));
    if (p.status != ORTHO_OK)
        return p.status;
    if (strlen(text->text) >= OB_GROUP_TEXT)
        return refuse(&p, "the text is longer than %d bytes", OB_GROUP_TEXT);
    int bad_line = ini_parse_stream(feed_line, &p, take_entry, &p);
    if (p.status == ORTHO_OK && bad_line > 0) {
        p.line = bad_line; /* inih reads on after it */
        return refuse(&p, "not of the form name = value");
    }
    if (p.status == ORTHO_OK && bad_line < 0)
        p.status = ortho_fail(ORTHO_E_MEMORY, "no memory for counter groups");
    return p.status == ORTHO_OK ? check_whole(&p) : p.status;
}

ortho_status ob_groups_parse(const ob_group_text *texts, ob_groups **out)
{
    size_t count = 0;
    while (texts[count].name != NULL)
        count++;
    ob_groups *groups = calloc(1, sizeof *groups);
    if (groups != NULL)
        groups->group = calloc(count + 1, sizeof *groups->group);
    ortho_status status = ORTHO_OK;
    if (groups == NULL || groups->group == NULL)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for counter groups");
    for (size_t i = 0; status == ORTHO_OK && i < count; i++)
        status = parse(&texts[i], groups);
    if (status == ORTHO_OK)
        *out = groups;
    else
        ob_groups_close(groups);
    return status;
}

void ob_groups_close(ob_groups *groups)
{
    if (groups == NULL)
        return;
    for (ob_string *s = groups->strings; s != NULL;) {
        ob_string *next = s->next;
        free(s);
        s = next;
    }
    free(groups->group);
    free(groups);
}

const ob_group *ob_groups_find(const ob_groups *groups, const char *name)
{
    for (int i = 0; i < groups->count; i++)
        if (strcmp(groups->group[i].name, name) == 0)
            return &groups->group[i];
    return NULL;
}
