#include "reports/counters.h"

#include "common/error.h"
#include "reports/measured.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values --------------------------------------------------------------------------------- */

#define UNIT_COLUMNS 20
#define BEYOND       1e15 /* from here on no unit of ours reads well */

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* In steps of 1000, but for percent: 1200 % is no "1.20 k %". */
static void put_plain(double value, const char *unit, char *out, size_t size)
{
    static const char *const steps[] = {"", " k", " M", " G", " T"};
    char digits[32];
    int step = 0;
    while (fabs(value) >= 999.5 && step < 4 && strcmp(unit, "%") != 0) {
        value /= 1000;
        step++;
    }
    ortho_text_three(value, digits, sizeof digits);
    bool bare = *unit == '\0' || strcmp(unit, "1") == 0; /* a ratio has no unit to print */
    snprintf(out, size, "%s%s%s%s", value == 0 ? "0" : digits, steps[step], bare ? "" : " ",
             bare ? "" : unit);
}

void ortho_counter_value(double value, const char *unit, char *out, size_t size)
{
    static const char *const bytes[] = {"B", "byte", "bytes", NULL}, *const ns[] = {"ns", NULL};
    char *clean = ortho_text_clean(unit);
    out[0] = '\0';
    if (clean == NULL || !isfinite(value)) {
        free(clean);
        return;
    }
    clean[ortho_text_fit(clean, UNIT_COLUMNS)] = '\0';
    if (fabs(value) >= BEYOND)
        snprintf(out, size, "%.2e%s%s", value, *clean != '\0' ? " " : "", clean);
    else if (is_one_of(clean, bytes))
        ortho_text_bytes(value, out, size);
    else if (is_one_of(clean, ns))
        ortho_text_time(value, out, size);
    else
        put_plain(value, clean, out, size);
    ortho_text_trim(out);
    free(clean);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static ortho_status no_memory(void)
{
    return ortho_fail(ORTHO_E_MEMORY, "no memory for a table of counters");
}

/* The groups of which the row derived something. */
static ortho_status gather_derived(const json_t *row, json_t *groups)
{
    const char *name;
    json_t *counter;
    json_object_foreach((json_t *)ortho_counters_of(row), name, counter)
    {
        const char *group = ortho_model_string(counter, "group");
        if (ortho_counter_derived(name, counter) &&
            json_object_set_new(groups, group, json_true()) != 0)
            return no_memory();
    }
    return ORTHO_OK;
}

static bool is_shown(const char *name, const json_t *counter, const json_t *derived)
{
    const char *group = ortho_model_string(counter, "group");
    return group == NULL || ortho_counter_derived(name, counter) ||
           json_object_get(derived, group) == NULL;
}

#define REASON 512 /* bytes; a longer one is cut */

static void put_reason(const ortho_counter *counter, char out[REASON])
{
    snprintf(out, REASON - 40, "%s", counter->reason);
    ortho_text_trim(out);
    if (counter->code != 0)
        snprintf(out + strlen(out), 40, " (CUPTI code %d)", counter->code);
}

static ortho_status gather_reason(ortho_counter_table *t, const json_t *row, const char *name)
{
    ortho_counter counter;
    char reason[REASON];
    if (!ortho_counter_read(row, name, &counter) || counter.reason == NULL)
        return ORTHO_OK;
    put_reason(&counter, reason);
    if (json_object_get(t->reasons, reason) != NULL)
        return ORTHO_OK;
    json_t *index = json_integer((json_int_t)json_object_size(t->reasons));
    return json_object_set_new(t->reasons, reason, index) == 0 ? ORTHO_OK : no_memory();
}

static ortho_status gather_row(ortho_counter_table *t, const json_t *row, const json_t *derived)
{
    const char *name;
    json_t *counter;
    ortho_status status = ORTHO_OK;
    json_object_foreach((json_t *)ortho_counters_of(row), name, counter)
    {
        if (!is_shown(name, counter, derived))
            continue;
        bool known = json_object_get(t->names, name) != NULL;
        if (!known && (json_object_set_new(t->names, name, json_true()) != 0 ||
                       json_array_append_new(t->list, json_string(name)) != 0))
            status = no_memory();
        if (status == ORTHO_OK)
            status = gather_reason(t, row, name);
        if (status != ORTHO_OK)
            break;
    }
    return status;
}

static ortho_status gather(ortho_counter_table *t)
{
    json_t *derived = json_object();
    if (t->names == NULL || t->list == NULL || t->reasons == NULL || derived == NULL) {
        json_decref(derived);
        return no_memory();
    }
    ortho_status status = ORTHO_OK;
    for (size_t c = 0; c < t->columns && status == ORTHO_OK; c++)
        status = gather_derived(t->rows[c], derived);
    for (size_t c = 0; c < t->columns && status == ORTHO_OK; c++)
        status = gather_row(t, t->rows[c], derived);
    t->lines = json_array_size(t->list);
    json_decref(derived);
    return status;
}

ortho_status ortho_counter_table_make(const ortho_group *group, ortho_counter_table *out)
{
    ortho_counter_table t = {.rows = calloc(group->count + 1, sizeof(json_t *)),
                             .names = json_object(),
                             .list = json_array(),
                             .reasons = json_object()};
    for (size_t i = 0; t.rows != NULL && i < group->count; i++)
        if (ortho_counters_of(group->rows[i]) != NULL)
            t.rows[t.columns++] = group->rows[i];
    ortho_status status = t.rows != NULL ? gather(&t) : no_memory();
    if (status == ORTHO_OK)
        *out = t;
    else
        ortho_counter_table_free(&t);
    return status;
}

void ortho_counter_table_free(ortho_counter_table *table)
{
    free(table->rows);
    json_decref(table->names);
    json_decref(table->list);
    json_decref(table->reasons);
    *table = (ortho_counter_table){0};
}

/* ---- cells ---------------------------------------------------------------------------------- */

const char *ortho_counter_table_name(const ortho_counter_table *table, size_t line)
{
    const char *name = json_string_value(json_array_get(table->list, line));
    return name != NULL ? name : "?";
}

/* a to z, then aa to zz, as far as anybody reads. */
static void put_letter(json_int_t index, char out[4])
{
    int used = 0;
    if (index >= 26)
        out[used++] = (char)('a' + (index / 26 - 1) % 26);
    out[used++] = (char)('a' + index % 26);
    out[used] = '\0';
}

void ortho_counter_table_cell(const ortho_counter_table *table, size_t line, size_t column,
                              ortho_cell *out)
{
    const json_t *row = table->rows[column];
    ortho_counter counter;
    char reason[REASON], letter[4];
    *out = (ortho_cell){.text = ""};
    if (!ortho_counter_read(row, ortho_counter_table_name(table, line), &counter))
        return;
    if (counter.reason == NULL) {
        ortho_counter_value(counter.value, counter.unit, out->text, sizeof out->text);
        return;
    }
    put_reason(&counter, reason);
    put_letter(json_integer_value(json_object_get(table->reasons, reason)), letter);
    snprintf(out->text, sizeof out->text, "n/a (%s)", letter);
    out->tone = ORTHO_TONE_DOUBT;
}

void ortho_counter_table_notes(const ortho_counter_table *table, const ortho_line_sink *sink)
{
    const char *reason;
    json_t *index;
    json_object_foreach(table->reasons, reason, index)
    {
        char note[4 * REASON], letter[4];
        char *clean = ortho_text_clean(reason); /* grows three times at most */
        put_letter(json_integer_value(index), letter);
        snprintf(note, sizeof note, "(%s) n/a: %s", letter, clean != NULL ? clean : "?");
        free(clean);
        sink->line(sink->ctx, note, ORTHO_TONE_QUIET);
    }
}
