/* What is said below a group's table: measurements that couldn't be had, and clocks that disagree.
 */
#include "common/error.h"
#include "reports/columns.h"
#include "reports/measured.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Builds a line in memory; `line_say` gives it to the sink, cleaned. */
static ortho_status line_say(const ortho_line_sink *sink, FILE *stream, char **text)
{
    bool whole = fclose(stream) == 0;
    char *clean = whole ? ortho_text_clean(*text) : NULL;
    if (clean != NULL)
        sink->line(sink->ctx, clean, ORTHO_TONE_DOUBT);
    free(*text);
    free(clean);
    return clean != NULL ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory for a note");
}

static ortho_status say_activity(const json_t *row, const ortho_line_sink *sink)
{
    ortho_activity activity;
    char *text = NULL, ns[32], time[32], name[ORTHO_LABEL_BYTES];
    size_t size = 0;
    if (!ortho_activity_disagrees(row, &activity))
        return ORTHO_OK;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a note");
    ortho_model_label(row, name);
    ortho_text_time(activity.ns, ns, sizeof ns);
    ortho_text_time(activity.time, time, sizeof time);
    fprintf(stream, "%s: activity says %s, timing %s (%+.*f %%)", name, ns, time,
            fabs(activity.difference) < 0.0995 ? 1 : 0, 100 * activity.difference);
    const char *why = ortho_model_string(row, "activity.why");
    fprintf(stream, ": %s", why != NULL ? why : "nothing explains it");
    return line_say(sink, stream, &text);
}

/* Reason to the list of the variants that have it. */
static ortho_status gather_reasons(const ortho_group *group, json_t *reasons)
{
    for (size_t i = 0; i < group->count; i++) {
        const char *reason = ortho_measured_reason(group->rows[i]);
        if (reason == NULL)
            continue;
        json_t *variants = json_object_get(reasons, reason);
        if (variants == NULL) {
            variants = json_array();
            if (json_object_set_new(reasons, reason, variants) != 0)
                return ortho_fail(ORTHO_E_MEMORY, "no memory for a note");
        }
        char name[ORTHO_LABEL_BYTES];
        ortho_model_label(group->rows[i], name);
        json_array_append_new(variants, json_string(name));
    }
    return ORTHO_OK;
}

static ortho_status say_reason(const char *reason, const json_t *variants, const char *cure,
                               const ortho_line_sink *sink)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a note");
    fputs("lanes not measured for", stream);
    for (size_t i = 0; i < json_array_size(variants); i++)
        fprintf(stream, "%s %s", i > 0 ? "," : "", json_string_value(json_array_get(variants, i)));
    fprintf(stream, ": %s%s%s", reason, cure != NULL ? "; " : "", cure != NULL ? cure : "");
    return line_say(sink, stream, &text);
}

static ortho_status say_unmeasured(const json_t *results, const ortho_group *group,
                                   const ortho_line_sink *sink)
{
    json_t *reasons = json_object(), *variants;
    const char *reason, *cure = ortho_model_string(results, "context.cupti.cure");
    ortho_status status = reasons != NULL ? gather_reasons(group, reasons)
                                          : ortho_fail(ORTHO_E_MEMORY, "no memory for a note");
    if (status == ORTHO_OK)
        json_object_foreach(reasons, reason, variants)
        {
            status = say_reason(reason, variants, cure, sink);
            if (status != ORTHO_OK)
                break;
        }
    json_decref(reasons);
    return status;
}

ortho_status ortho_group_notes(const json_t *results, const ortho_group *group,
                               const ortho_line_sink *sink)
{
    ortho_status status = say_unmeasured(results, group, sink);
    for (size_t i = 0; i < group->count && status == ORTHO_OK; i++)
        status = say_activity(group->rows[i], sink);
    return status;
}
