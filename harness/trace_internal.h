/* trace_internal.h: what the parts of the timeline's writer share. */
#ifndef ORTHO_HARNESS_TRACE_INTERNAL_H
#define ORTHO_HARNESS_TRACE_INTERNAL_H

#include "harness/trace.h"

#include <stdio.h>
#include <string.h>

/* Numbers of the two processes of a timeline. Threads are numbered on over both, since Perfetto
 * takes equal numbers in two processes for one thread. */
enum { OB_TRACE_HOST = 1, OB_TRACE_GPU = 2, OB_TRACE_THREADS = 100 };

/* The writer: an array of events, written one by one. */
typedef struct ob_trace {
    FILE *out;
    uint64_t origin; /* the first event's time */
    uint64_t last;   /* the last event's */
    bool any;        /* an event was written */
    int thread;      /* the last number given to one */
} ob_trace;

/* A stretch of time on one track. */
typedef struct ob_span_event {
    const char *name, *category;
    uint64_t start, end;
    int process, thread;
} ob_span_event;

/* The stretch's event, up to its arguments: what follows is `"key":value,...` and ob_trace_close.
 */
void ob_trace_open(ob_trace *trace, const ob_span_event *span);
void ob_trace_close(ob_trace *trace);

/* One value of a graph over time. */
void ob_trace_count(ob_trace *trace, const char *graph, uint64_t at, uint64_t bytes);
/* Names a process (thread 0) or a thread. */
void ob_trace_name(ob_trace *trace, int process, int thread, const char *name);

/* A JSON string: control characters escaped, each byte that isn't UTF-8 replaced by U+FFFD. */
void ob_trace_text(FILE *out, const char *text);

/* The name as the source has it, which the caller frees; NULL for what is no mangled name. */
char *ob_trace_plain(const char *name);

/* A kernel's name, and what its launches took. */
typedef struct ob_trace_kernel {
    const char *mangled; /* of the log */
    char *plain;         /* as the source has it; NULL: `mangled` is no mangled name */
    uint64_t ns;
    size_t launches;
} ob_trace_kernel;

typedef struct ob_trace_names {
    ob_trace_kernel *items; /* by name */
    size_t count;
    uint64_t ns;     /* of all */
    size_t launches; /* of all that have times */
    size_t untimed;  /* that have none */
} ob_trace_names;

/* The names in a log, which must outlive them. MEMORY with words. */
ortho_status ob_trace_names_make(const ob_activity_log *log, ob_trace_names *out);
void ob_trace_names_clear(ob_trace_names *names);
const char *ob_trace_names_find(const ob_trace_names *names, const char *mangled);
/* Members of a JSON object: how often each kernel ran and for how long, the longest first. */
ortho_status ob_trace_summary(FILE *out, const ob_trace_names *names);

/* Everything of the host: phases, and NVTX ranges of the domain "ortho", a track a thread. MEMORY
 * with words. */
ortho_status ob_trace_host(ob_trace *trace, const ob_activity_log *log, const ob_phases *phases);

/* Everything of the GPU: kernels, copies, fills, memory. MEMORY with words. */
ortho_status ob_trace_gpu(ob_trace *trace, const ob_activity_log *log, const ob_trace_names *names);

/* Whether a record's times can be shown: CUPTI says 0 for a time that it didn't get. */
static inline bool ob_trace_timed(uint64_t start, uint64_t end)
{
    return start != 0 && end >= start;
}

/* The same of a range, which may still be open. */
static inline bool ob_trace_begun(uint64_t start, uint64_t end)
{
    return start != 0 && (end == 0 || end >= start);
}

/* Ranges of libraries that the program calls are left out. */
static inline bool ob_trace_shown(const ob_marker_record *m)
{
    return strcmp(m->domain, "ortho") == 0 && ob_trace_begun(m->start, m->end);
}

/* Now, in the list's time. */
uint64_t ob_phases_now(ob_phases *phases);

#endif
