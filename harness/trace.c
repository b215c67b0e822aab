/* The timeline's file: what goes where, and what it says of itself. */
#include "harness/trace_internal.h"

#include "common/error.h"
#include "common/output.h"

#include <jansson.h>

/* ---- from when to when ----------------------------------------------------------------------- */

static void reach(ob_trace *trace, uint64_t start, uint64_t end)
{
    trace->origin = start < trace->origin ? start : trace->origin;
    trace->last = end > trace->last ? end : trace->last;
    trace->last = start > trace->last ? start : trace->last;
}

static void find_bounds(ob_trace *trace, const ob_activity_log *log, const ob_phases *phases)
{
    trace->origin = UINT64_MAX;
    for (size_t i = 0; phases != NULL && i < phases->count; i++)
        if (ob_trace_begun(phases->items[i].start, phases->items[i].end))
            reach(trace, phases->items[i].start, phases->items[i].end);
    for (size_t i = 0; i < log->marker_count; i++)
        if (ob_trace_shown(&log->markers[i]))
            reach(trace, log->markers[i].start, log->markers[i].end);
    for (size_t i = 0; i < log->kernel_count; i++)
        if (ob_trace_timed(log->kernels[i].start, log->kernels[i].end))
            reach(trace, log->kernels[i].start, log->kernels[i].end);
    for (size_t i = 0; i < log->transfer_count; i++)
        if (ob_trace_timed(log->transfers[i].start, log->transfers[i].end))
            reach(trace, log->transfers[i].start, log->transfers[i].end);
    for (size_t i = 0; i < log->memory_count; i++)
        if (log->memory[i].at != 0)
            reach(trace, log->memory[i].at, log->memory[i].at);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void put_fact(FILE *out, const char *key, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text == NULL)
        return;
    fprintf(out, "\"%s\":", key);
    ob_trace_text(out, text);
    fputs(",\n", out);
}

static ortho_status write_about(FILE *out, const ob_activity_log *log, const json_t *context,
                                const ob_trace_names *names)
{
    fputs("\n],\n\"otherData\":{\n", out);
    put_fact(out, "binary", json_object_get(context, "binary"));
    put_fact(out, "commit", json_object_get(context, "commit"));
    put_fact(out, "gpu", json_object_get(json_object_get(context, "gpu"), "name"));
    ortho_status status = ob_trace_summary(out, names);
    size_t others = 0;
    for (size_t i = 0; i < log->marker_count; i++)
        others += !ob_trace_shown(&log->markers[i]);
    if (others > 0)
        fprintf(out, ",\"other_markers\":%zu", others);
    fprintf(out, ",\"dropped_records\":%zu\n}}\n", log->dropped);
    return status;
}

static ortho_status write_all(ob_trace *trace, const ob_activity_log *log, const ob_phases *phases,
                              const json_t *context)
{
    ob_trace_names names = {0};
    ortho_status status = ob_trace_names_make(log, &names);
    if (status != ORTHO_OK)
        return status;
    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", trace->out);
    status = ob_trace_host(trace, log, phases);
    if (status == ORTHO_OK)
        status = ob_trace_gpu(trace, log, &names);
    if (status == ORTHO_OK)
        status = write_about(trace->out, log, context, &names);
    ob_trace_names_clear(&names);
    return status;
}

ortho_status ob_trace_write(const ob_activity_log *log, ob_phases *phases,
                            const struct json_t *context, const char *path)
{
    ortho_output file = {0};
    if (phases != NULL)
        (void)ob_phases_now(phases); /* so that its times are the records' */
    ortho_status status = ortho_output_begin(path, &file);
    if (status != ORTHO_OK)
        return status;
    ob_trace trace = {.out = file.stream, .thread = OB_TRACE_THREADS};
    find_bounds(&trace, log, phases);
    status = write_all(&trace, log, phases, context);
    if (status == ORTHO_OK)
        return ortho_output_commit(&file);
    ortho_output_abort(&file);
    return status;
}
