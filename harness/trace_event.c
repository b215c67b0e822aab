/* The events of a timeline, as JSON. */
#include "harness/trace_internal.h"

#include <inttypes.h>
#include <string.h>

/* Bytes of the UTF-8 character at p; 0 when there is none: cut off, overlong, a surrogate, or
 * beyond U+10FFFF. */
static int utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    int n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    for (int i = 1; i < n; i++) /* a string's end is no continuation */
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool wrong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
                 (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return wrong ? 0 : n;
}

void ob_trace_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        int n = utf8_length(p);
        if (n == 0)
            fputs("\\ufffd", out);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(out, "\\u%04x", *p);
        else if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else
            fwrite(p, 1, (size_t)n, out);
        p += n > 0 ? n : 1;
    }
    fputc('"', out);
}

/* Nanoseconds as microseconds, to the last digit. */
static void put_time(FILE *out, const char *key, uint64_t ns)
{
    fprintf(out, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

static void begin_event(ob_trace *trace, const char *kind, const char *name, int process)
{
    fputs(trace->any ? ",\n{\"name\":" : "\n{\"name\":", trace->out);
    trace->any = true;
    ob_trace_text(trace->out, name);
    fprintf(trace->out, ",\"ph\":\"%s\",\"pid\":%d", kind, process);
}

void ob_trace_open(ob_trace *trace, const ob_span_event *span)
{
    begin_event(trace, "X", span->name, span->process);
    fprintf(trace->out, ",\"tid\":%d,\"cat\":", span->thread);
    ob_trace_text(trace->out, span->category);
    put_time(trace->out, "ts", span->start - trace->origin);
    put_time(trace->out, "dur", span->end - span->start);
    fputs(",\"args\":{", trace->out);
}

void ob_trace_close(ob_trace *trace)
{
    fputs("}}", trace->out);
}

void ob_trace_count(ob_trace *trace, const char *graph, uint64_t at, uint64_t bytes)
{
    begin_event(trace, "C", graph, OB_TRACE_GPU);
    put_time(trace->out, "ts", at - trace->origin);
    fprintf(trace->out, ",\"args\":{\"bytes\":%" PRIu64 "}}", bytes);
}

void ob_trace_name(ob_trace *trace, int process, int thread, const char *name)
{
    const char *of = thread > 0 ? "thread" : "process";
    char what[32];
    for (int order = 0; order < 2; order++) {
        snprintf(what, sizeof what, "%s_%s", of, order ? "sort_index" : "name");
        begin_event(trace, "M", what, process);
        if (thread > 0)
            fprintf(trace->out, ",\"tid\":%d", thread);
        fputs(order ? ",\"args\":{\"sort_index\":" : ",\"args\":{\"name\":", trace->out);
        if (order)
            fprintf(trace->out, "%d", thread > 0 ? thread : process);
        else
            ob_trace_text(trace->out, name);
        fputs("}}", trace->out);
    }
}
