/* The host's half of a timeline: phases on one track, the NVTX ranges of each thread on another. */
#include "harness/trace_internal.h"

#include "common/error.h"

#include <stdlib.h>
#include <string.h>

#define NO_INDEX SIZE_MAX

typedef struct host_span {
    const char *name, *category;
    uint64_t start, end;
    uint32_t thread;
    uint32_t nvtx_category;
    size_t order;    /* in the list it comes from */
    size_t parent;   /* what is open around it */
    bool unfinished; /* had no end of its own */
    bool cut;        /* outlasted what it began in */
} host_span;

/* By thread, then what begins first; of two that begin together the longer is around the other. */
static int compare(const void *pa, const void *pb)
{
    const host_span *a = pa, *b = pb;
    if (a->thread != b->thread)
        return a->thread < b->thread ? -1 : 1;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Parents, and no span beyond its own: viewers draw what overlaps wrongly, and don't say so. */
static void nest(host_span *spans, size_t count)
{
    size_t around = NO_INDEX;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || spans[i].thread != spans[i - 1].thread)
            around = NO_INDEX;
        while (around != NO_INDEX && spans[around].end <= spans[i].start)
            around = spans[around].parent;
        spans[i].parent = around;
        if (around != NO_INDEX && spans[i].end > spans[around].end) {
            spans[i].end = spans[around].end;
            spans[i].cut = !spans[i].unfinished;
        }
        around = i;
    }
}

static void write_span(ob_trace *trace, const host_span *s, int thread)
{
    ob_trace_open(trace, &(ob_span_event){.name = s->name,
                                          .category = s->category,
                                          .start = s->start,
                                          .end = s->end,
                                          .process = OB_TRACE_HOST,
                                          .thread = thread});
    const char *comma = "";
    if (s->nvtx_category != 0) {
        fprintf(trace->out, "\"category\":%u", (unsigned)s->nvtx_category);
        comma = ",";
    }
    if (s->unfinished || s->cut)
        fprintf(trace->out, "%s\"%s\":true", comma, s->unfinished ? "unfinished" : "cut");
    ob_trace_close(trace);
}

/* A track a thread, whose number stands behind the title; phases have no thread. */
static void write_tracks(ob_trace *trace, host_span *spans, size_t count, const char *title)
{
    char name[64];
    qsort(spans, count, sizeof *spans, compare);
    nest(spans, count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || spans[i].thread != spans[i - 1].thread) {
            snprintf(name, sizeof name, spans[i].thread != 0 ? "%s %u" : "%s", title,
                     (unsigned)spans[i].thread);
            ob_trace_name(trace, OB_TRACE_HOST, ++trace->thread, name);
        }
        write_span(trace, &spans[i], trace->thread);
    }
}

/* What never ended is drawn to the end of the timeline. */
static host_span span_of(const ob_trace *trace, const char *name, uint64_t start, uint64_t end)
{
    return (host_span){
        .name = name, .start = start, .end = end != 0 ? end : trace->last, .unfinished = end == 0};
}

static size_t take_phases(const ob_trace *trace, const ob_phases *phases, host_span *spans)
{
    size_t n = 0;
    for (size_t i = 0; phases != NULL && i < phases->count; i++) {
        const ob_phase *p = &phases->items[i];
        if (!ob_trace_begun(p->start, p->end))
            continue;
        spans[n] = span_of(trace, p->name, p->start, p->end);
        spans[n].category = p->category;
        spans[n].order = i;
        n++;
    }
    return n;
}

static size_t take_markers(const ob_trace *trace, const ob_activity_log *log, host_span *spans)
{
    size_t n = 0;
    for (size_t i = 0; i < log->marker_count; i++) {
        const ob_marker_record *m = &log->markers[i];
        if (!ob_trace_shown(m))
            continue;
        spans[n] = span_of(trace, m->name, m->start, m->end);
        spans[n].category = "nvtx";
        spans[n].thread = m->thread;
        spans[n].nvtx_category = m->category;
        spans[n].order = i;
        n++;
    }
    return n;
}

ortho_status ob_trace_host(ob_trace *trace, const ob_activity_log *log, const ob_phases *phases)
{
    size_t phase_count = phases != NULL ? phases->count : 0;
    size_t most = phase_count > log->marker_count ? phase_count : log->marker_count;
    host_span *spans = calloc(most + 1, sizeof *spans);
    if (spans == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a timeline of %zu ranges", most);
    ob_trace_name(trace, OB_TRACE_HOST, 0, "host");
    write_tracks(trace, spans, take_phases(trace, phases, spans), "phases");
    write_tracks(trace, spans, take_markers(trace, log, spans), "NVTX of thread");
    free(spans);
    return ORTHO_OK;
}
