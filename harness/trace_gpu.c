/*
 * The GPU's half of a timeline. A stream's work runs in order, but records of one stream can still
 * overlap (the branches of a graph, a launch that may begin before its predecessor ends): the
 * stream gets as many tracks as it needs, so that the stretches of a track are disjoint.
 */
#include "harness/trace_internal.h"

#include "common/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- work, on tracks ------------------------------------------------------------------------- */

/* One of the two is set. */
typedef struct work {
    uint64_t start, end;
    uint32_t stream;
    const ob_kernel_record *kernel;
    const ob_transfer_record *transfer;
} work;

typedef struct track {
    uint32_t stream;
    uint64_t end; /* of its last stretch */
    int thread;
} track;

typedef struct tracks {
    track *items;
    size_t count, capacity;
} tracks;

static int by_start(const void *pa, const void *pb)
{
    const work *a = pa, *b = pb;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

static size_t collect(const ob_activity_log *log, work *out)
{
    size_t n = 0;
    for (size_t i = 0; i < log->kernel_count; i++) {
        const ob_kernel_record *k = &log->kernels[i];
        if (ob_trace_timed(k->start, k->end))
            out[n++] = (work){k->start, k->end, k->stream, .kernel = k};
    }
    for (size_t i = 0; i < log->transfer_count; i++) {
        const ob_transfer_record *t = &log->transfers[i];
        if (ob_trace_timed(t->start, t->end))
            out[n++] = (work){t->start, t->end, t->stream, .transfer = t};
    }
    qsort(out, n, sizeof *out, by_start);
    return n;
}

static track *add_track(ob_trace *trace, tracks *all, uint32_t stream, int lane)
{
    if (all->count == all->capacity) {
        size_t capacity = all->capacity > 0 ? 2 * all->capacity : 16;
        track *grown = realloc(all->items, capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        all->items = grown;
        all->capacity = capacity;
    }
    char name[64];
    snprintf(name, sizeof name, lane > 0 ? "stream %u (%d)" : "stream %u", (unsigned)stream,
             lane + 1);
    ob_trace_name(trace, OB_TRACE_GPU, ++trace->thread, name);
    all->items[all->count] = (track){.stream = stream, .thread = trace->thread};
    return &all->items[all->count++];
}

/* The stream's first track that is free by then; a new one where none is. NULL without memory. */
static track *track_for(ob_trace *trace, tracks *all, const work *w)
{
    int lane = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].stream != w->stream)
            continue;
        if (all->items[i].end <= w->start)
            return &all->items[i];
        lane++;
    }
    return add_track(trace, all, w->stream, lane);
}

static void write_kernel(ob_trace *trace, const work *w, const char *name, int thread)
{
    const ob_kernel_record *k = w->kernel;
    ob_trace_open(
        trace, &(ob_span_event){name, "kernel", w->start, w->end, OB_TRACE_GPU, .thread = thread});
    fprintf(trace->out,
            "\"grid\":[%d,%d,%d],\"block\":[%d,%d,%d],\"registers\":%d,\"static_shared\":%d,"
            "\"dynamic_shared\":%d,\"correlation\":%u",
            k->grid[0], k->grid[1], k->grid[2], k->block[0], k->block[1], k->block[2], k->registers,
            k->static_shared, k->dynamic_shared, (unsigned)k->correlation);
    ob_trace_close(trace);
}

static void write_transfer(ob_trace *trace, const work *w, int thread)
{
    static const char *const names[] = {[OB_TRANSFER_HOST_TO_DEVICE] = "copy host to device",
                                        [OB_TRANSFER_DEVICE_TO_HOST] = "copy device to host",
                                        [OB_TRANSFER_DEVICE_TO_DEVICE] = "copy device to device",
                                        [OB_TRANSFER_FILL] = "fill",
                                        [OB_TRANSFER_OTHER] = "copy"};
    const ob_transfer_record *t = w->transfer;
    bool known = (unsigned)t->kind < sizeof names / sizeof *names;
    ob_trace_open(trace, &(ob_span_event){.name = known ? names[t->kind] : "copy",
                                          .category = t->kind == OB_TRANSFER_FILL ? "fill" : "copy",
                                          .start = w->start,
                                          .end = w->end,
                                          .process = OB_TRACE_GPU,
                                          .thread = thread});
    fprintf(trace->out, "\"bytes\":%" PRIu64 ",\"correlation\":%u", t->bytes,
            (unsigned)t->correlation);
    if (w->end > w->start) /* bytes a nanosecond are GB a second */
        fprintf(trace->out, ",\"gb_per_s\":%.3f", (double)t->bytes / (double)(w->end - w->start));
    ob_trace_close(trace);
}

static ortho_status write_work(ob_trace *trace, const ob_trace_names *names, const work *all,
                               size_t count)
{
    tracks used = {0};
    for (size_t i = 0; i < count; i++) {
        track *t = track_for(trace, &used, &all[i]);
        if (t == NULL) {
            free(used.items);
            return ortho_fail(ORTHO_E_MEMORY, "no memory for the timeline's streams");
        }
        t->end = all[i].end;
        if (all[i].kernel != NULL)
            write_kernel(trace, &all[i], ob_trace_names_find(names, all[i].kernel->name),
                         t->thread);
        else
            write_transfer(trace, &all[i], t->thread);
    }
    free(used.items);
    return ORTHO_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct step {
    const ob_memory_record *record;
    size_t order;
    int64_t change; /* of the bytes in use */
} step;

static int by_address(const void *pa, const void *pb)
{
    const step *a = pa, *b = pb;
    if (a->record->address != b->record->address)
        return a->record->address < b->record->address ? -1 : 1;
    if (a->record->at != b->record->at)
        return a->record->at < b->record->at ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int by_time(const void *pa, const void *pb)
{
    const step *a = pa, *b = pb;
    if (a->record->at != b->record->at)
        return a->record->at < b->record->at ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* What was there before the recording began isn't counted, nor is its release. An address that is
 * given out twice was given back in between, whatever the records say. */
static void match(step *steps, size_t count)
{
    qsort(steps, count, sizeof *steps, by_address);
    for (size_t i = 0; i < count; i++) {
        const ob_memory_record *r = steps[i].record;
        const ob_memory_record *before = i > 0 ? steps[i - 1].record : NULL;
        bool held = before != NULL && before->address == r->address && !before->release;
        steps[i].change =
            (r->release ? 0 : (int64_t)r->bytes) - (held ? (int64_t)before->bytes : 0);
    }
    qsort(steps, count, sizeof *steps, by_time);
}

static ortho_status write_memory(ob_trace *trace, const ob_activity_log *log)
{
    step *steps = calloc(log->memory_count + 1, sizeof *steps);
    if (steps == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the timeline's allocations");
    size_t count = 0;
    for (size_t i = 0; i < log->memory_count; i++)
        if (log->memory[i].at != 0)
            steps[count++] = (step){.record = &log->memory[i], .order = i};
    match(steps, count);
    int64_t in_use = 0;
    for (size_t i = 0; i < count; i++) {
        in_use += steps[i].change;
        if (steps[i].change != 0)
            ob_trace_count(trace, "device memory", steps[i].record->at, (uint64_t)in_use);
    }
    free(steps);
    return ORTHO_OK;
}

ortho_status ob_trace_gpu(ob_trace *trace, const ob_activity_log *log, const ob_trace_names *names)
{
    work *all = calloc(log->kernel_count + log->transfer_count + 1, sizeof *all);
    if (all == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a timeline of %zu kernels",
                          log->kernel_count);
    ob_trace_name(trace, OB_TRACE_GPU, 0, "GPU");
    ortho_status status = write_work(trace, names, all, collect(log, all));
    free(all);
    return status == ORTHO_OK ? write_memory(trace, log) : status;
}
