#define _GNU_SOURCE
#include "lib/stream.h"

#include "common/error.h"
#include "lib/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS 100

/* ---- failures -------------------------------------------------------------------------------- */

/* Remembers the first; nothing is begun after it. */
static void fail(ortho_stream *s, ortho_status status, const char *message)
{
    if (s->status != ORTHO_OK)
        return;
    s->status = status;
    snprintf(s->message, sizeof s->message, "%s", message);
}

static void check(ortho_stream *s, ortho_status status)
{
    if (status != ORTHO_OK)
        fail(s, status, ortho_last_message());
}

static void submit(ortho_stream *s, ortho_io_request *request)
{
    ortho_status status = ortho_io_submit(s->io, &request, 1);
    if (status == ORTHO_OK)
        s->busy++;
    check(s, status);
}

/* ---- workers --------------------------------------------------------------------------------- */

/* The next slot in line; NULL when the stream closes. */
static ortho_slot *next_in_line(ortho_stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->line == NULL && !s->closing)
        pthread_cond_wait(&s->wake, &s->lock);
    ortho_slot *slot = s->line;
    if (slot != NULL)
        s->line = slot->next;
    pthread_mutex_unlock(&s->lock);
    return slot;
}

typedef struct worker_start {
    ortho_stream *stream;
    int number;
} worker_start;

/* A worker tells that it is done by a request without bytes: the one queue of the stream's thread
 * has all events. */
static void *work_along(void *ctx)
{
    worker_start start = *(worker_start *)ctx;
    free(ctx);
    for (ortho_slot *slot; (slot = next_in_line(start.stream)) != NULL;) {
        ortho_stream_work(start.stream, start.number, slot);
        ortho_io_request *request = &slot->request;
        request->bytes = 0;
        (void)ortho_io_submit(start.stream->io, &request, 1); /* its arguments are right */
    }
    return NULL;
}

static void hand_to_worker(ortho_stream *s, ortho_slot *slot)
{
    slot->state = ORTHO_SLOT_WORKING;
    slot->next = NULL;
    s->busy++;
    pthread_mutex_lock(&s->lock);
    ortho_slot **end = &s->line;
    while (*end != NULL)
        end = &(*end)->next;
    *end = slot;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

static ortho_status start_worker(ortho_stream *s)
{
    worker_start *start = malloc(sizeof *start);
    if (start == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a worker");
    *start = (worker_start){s, s->thread_count};
    if (pthread_create(&s->threads[s->thread_count], NULL, work_along, start) != 0) {
        free(start);
        return ortho_fail(ORTHO_E_MEMORY, "a worker's thread can't be started");
    }
    s->thread_count++;
    return ORTHO_OK;
}

static void stop_workers(ortho_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    s->thread_count = 0;
}

/* ---- a unit's way ---------------------------------------------------------------------------- */

static void start_write(ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    char *made = ortho_slot_made(s, slot);
    ortho_hash(made, u->to_bytes, slot->record.made);
    slot->state = ORTHO_SLOT_WRITING;
    slot->request = (ortho_io_request){.kind = ORTHO_IO_WRITE,
                                       .fd = s->target->fd[u->shard],
                                       .offset = ortho_target_offset(s->target, u),
                                       .data = made,
                                       .bytes = u->to_bytes,
                                       .path = s->plan->shards[u->shard].name,
                                       .user = slot};
    submit(s, &slot->request);
}

static bool needs_work(const ortho_unit *u)
{
    return u->layer >= 0 || u->decode || u->file < 0;
}

static void start_read(ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    memcpy(slot->record.source, ORTHO_NO_HASH, sizeof ORTHO_NO_HASH);
    slot->request = (ortho_io_request){.kind = ORTHO_IO_READ, .path = "", .user = slot};
    if (u->file < 0) {
        hand_to_worker(s, slot);
        return;
    }
    slot->state = ORTHO_SLOT_READING;
    slot->request.fd = s->plan->source_fds[u->file];
    slot->request.offset = u->from;
    slot->request.data = ortho_slot_raw(s, slot);
    slot->request.bytes = u->from_bytes;
    slot->request.path = s->plan->files[u->file];
    submit(s, &slot->request);
}

static void read_is_done(ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    s->bytes_read += u->from_bytes;
    if (s->status != ORTHO_OK) { /* what isn't begun needn't be */
        slot->state = ORTHO_SLOT_FREE;
        return;
    }
    if (needs_work(u))
        hand_to_worker(s, slot);
    if (u->layer >= 0) /* while the worker begins: it only reads those bytes, too */
        ortho_hash(ortho_slot_raw(s, slot), u->from_bytes, slot->record.source);
    if (!needs_work(u))
        start_write(s, slot);
}

static void work_is_done(ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    if (slot->status != ORTHO_OK) {
        fail(s, slot->status, slot->message);
        slot->state = ORTHO_SLOT_FREE;
        return;
    }
    if (u->layer >= 0 && u->file < 0)
        ortho_hash(slot->in, u->from_bytes, slot->record.source);
    if (u->layer >= 0)
        s->bytes_sieved += u->from_bytes;
    start_write(s, slot);
}

/* ---- syncs ----------------------------------------------------------------------------------- */

/* Submits a sync where enough is written, or nothing more will be. */
static void maybe_sync(ortho_stream *s, int32_t shard)
{
    ortho_shard_sync *y = &s->syncs[shard];
    bool last = y->unwritten == 0 || s->status != ORTHO_OK;
    if (y->busy || y->written == y->covered || (y->bytes < ORTHO_SYNC_BYTES && !last))
        return;
    y->busy = true;
    y->bytes = 0;
    y->covered = y->written;
    y->request = (ortho_io_request){
        .kind = ORTHO_IO_SYNC, .fd = s->target->fd[shard], .path = s->plan->shards[shard].name};
    ortho_io_request *request = &y->request;
    ortho_status status = ortho_io_submit(s->io, &request, 1);
    if (status == ORTHO_OK)
        s->busy++;
    else
        y->busy = false;
    check(s, status);
}

static void sync_is_done(ortho_stream *s, int32_t shard)
{
    ortho_shard_sync *y = &s->syncs[shard];
    ortho_status status = ortho_io_result(&y->request);
    y->busy = false;
    check(s, status);
    for (int64_t i = 0; i < y->covered && status == ORTHO_OK; i++) {
        status = ortho_target_add(s->target, y->units[i], &s->records[y->units[i]]);
        check(s, status);
    }
    y->written -= y->covered;
    memmove(y->units, y->units + y->covered, (size_t)y->written * sizeof *y->units);
    y->covered = 0;
}

static void write_is_done(ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    ortho_shard_sync *y = &s->syncs[u->shard];
    s->records[slot->unit] = slot->record;
    y->units[y->written++] = slot->unit;
    y->bytes += u->to_bytes;
    y->unwritten--;
    s->bytes_written += u->to_bytes;
    s->bytes_done += u->from_bytes;
    s->units_done++;
    *(u->layer >= 0 ? &s->layers_done : &s->copies_done) += 1;
    s->last_unit = slot->unit;
    slot->state = ORTHO_SLOT_FREE;
    maybe_sync(s, u->shard);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void slot_event(ortho_stream *s, ortho_slot *slot)
{
    ortho_status status =
        slot->state == ORTHO_SLOT_WORKING ? ORTHO_OK : ortho_io_result(&slot->request);
    ortho_slot_state was = slot->state;
    if (status != ORTHO_OK) {
        check(s, status);
        slot->state = ORTHO_SLOT_FREE;
    } else if (was == ORTHO_SLOT_READING) {
        read_is_done(s, slot);
    } else if (was == ORTHO_SLOT_WORKING) {
        work_is_done(s, slot);
    } else {
        write_is_done(s, slot);
    }
}

static void take_event(ortho_stream *s, ortho_io_request *request)
{
    s->busy--;
    if (request->user != NULL) {
        slot_event(s, request->user);
        return;
    }
    for (int32_t i = 0; i < s->plan->shard_count; i++)
        if (request == &s->syncs[i].request)
            sync_is_done(s, i);
}

/* ---- what comes next ------------------------------------------------------------------------- */

static bool is_open(const ortho_stream *s, int64_t unit, bool layer)
{
    return (s->plan->units[unit].layer >= 0) == layer && !s->target->journal.records[unit].there;
}

/* The next unit of a kind; unit_count when there is none. */
static int64_t next_unit(ortho_stream *s, bool layer)
{
    int64_t *at = &s->next[layer];
    while (*at < s->plan->unit_count && !is_open(s, *at, layer))
        ++*at;
    return *at;
}

/* Copies don't run ahead of the layers beside which the plan put them. */
static bool may_begin(ortho_stream *s, int64_t unit, bool layer)
{
    int64_t layers = layer ? 0 : next_unit(s, true);
    return unit < s->plan->unit_count &&
           (layer || layers == s->plan->unit_count || unit < layers + ORTHO_COPY_SLOTS);
}

static void fill_slots(ortho_stream *s)
{
    for (int i = 0; i < s->layer_slots + s->copy_slots && s->status == ORTHO_OK; i++) {
        ortho_slot *slot = &s->slots[i];
        bool layer = i < s->layer_slots;
        if (slot->state != ORTHO_SLOT_FREE)
            continue;
        int64_t unit = next_unit(s, layer);
        if (!may_begin(s, unit, layer))
            continue;
        s->next[layer]++;
        slot->unit = unit;
        start_read(s, slot);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void begin_syncs(ortho_stream *s)
{
    for (int64_t i = 0; i < s->plan->unit_count; i++) {
        const ortho_unit *u = &s->plan->units[i];
        if (!s->target->journal.records[i].there) {
            s->syncs[u->shard].unwritten++;
            continue;
        }
        s->bytes_done += u->from_bytes;
        s->bytes_resumed += u->from_bytes;
        s->units_done++;
    }
}

ortho_status ortho_stream_run(ortho_stream *s, ortho_target *target, ortho_stream_tick *tick,
                              void *ctx)
{
    double ticked = 0;
    s->target = target;
    begin_syncs(s);
    for (;;) {
        fill_slots(s);
        for (int32_t i = 0; i < s->plan->shard_count; i++)
            maybe_sync(s, i);
        if (s->busy == 0)
            break;
        ortho_io_request *done = ortho_io_wait(s->io, TICK_MS);
        if (done != NULL)
            take_event(s, done);
        if (now() - ticked >= TICK_MS * 1e-3) {
            ortho_rss_sample(s->rss);
            if (tick != NULL && tick(ctx, s) != 0)
                fail(s, ORTHO_E_CANCELLED,
                     "stopped: what is finished is kept, and --resume goes on");
            ticked = now();
        }
    }
    ortho_rss_sample(s->rss);
    return s->status == ORTHO_OK ? ORTHO_OK : ortho_fail(s->status, "%s", s->message);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void *take_buffer(ortho_stream *s, size_t bytes)
{
    void *memory = s->ops->alloc(bytes);
    if (memory != NULL)
        s->buffer_bytes += bytes;
    return memory;
}

static ortho_status open_slots(ortho_stream *s)
{
    const ortho_plan *plan = s->plan;
    for (int i = 0; i < s->layer_slots + s->copy_slots; i++) {
        bool layer = i < s->layer_slots;
        size_t out = layer ? plan->largest_out : plan->largest_decoded;
        s->slots[i].in = take_buffer(s, layer ? plan->largest_in : plan->largest_copy);
        if (out > 0)
            s->slots[i].out = take_buffer(s, out);
        if (s->slots[i].in == NULL || (out > 0 && s->slots[i].out == NULL))
            return ORTHO_E_MEMORY;
    }
    return ORTHO_OK;
}

/* How many layers the budget holds at once, after what copies need. */
static ortho_status count_slots(ortho_stream *s, uint64_t budget)
{
    const ortho_plan *plan = s->plan;
    ortho_siever_options o = {.in = plan->largest_in, .out = plan->largest_out};
    uint64_t copies = ORTHO_COPY_SLOTS * (plan->largest_copy + plan->largest_decoded);
    uint64_t host = plan->largest_in + plan->largest_out, device = s->ops->worker_bytes(&o);
    uint64_t more = host > device ? host : device; /* roughly: copies take no device memory */
    int slots = 0;
    s->copy_slots = plan->largest_copy > 0 ? ORTHO_COPY_SLOTS : 0;
    while (slots < ORTHO_MOST_SLOTS && slots < plan->layer_count &&
           copies + (uint64_t)(slots + 1) * host <= budget &&
           (uint64_t)(slots + 1) * device <= budget)
        slots++;
    if (slots == 0)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "a memory budget of %llu MiB doesn't hold the largest layer: %llu MiB "
                          "would, and %llu MiB would let it be read and written beside its sieve",
                          (unsigned long long)(budget >> 20),
                          (unsigned long long)((copies + more) >> 20) + 1,
                          (unsigned long long)((copies + 3 * more) >> 20) + 1);
    s->layer_slots = slots;
    return ORTHO_OK;
}

ortho_status ortho_stream_fits(const ortho_plan *plan, const ortho_siever_ops *ops, uint64_t budget)
{
    return count_slots(&(ortho_stream){.plan = plan, .ops = ops}, budget);
}

static ortho_status open_lists(ortho_stream *s)
{
    const ortho_plan *plan = s->plan;
    s->syncs = calloc((size_t)plan->shard_count, sizeof *s->syncs);
    s->records = calloc((size_t)plan->unit_count + 1, sizeof *s->records);
    for (int32_t i = 0; s->syncs != NULL && i < plan->shard_count; i++) {
        s->syncs[i].units = calloc((size_t)plan->shards[i].units + 1, sizeof(int64_t));
        if (s->syncs[i].units == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a stream");
    }
    return s->syncs != NULL && s->records != NULL
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_MEMORY, "no memory for a stream");
}

static ortho_status open_parts(ortho_stream *s)
{
    int workers = s->layer_slots < s->ops->most_workers ? s->layer_slots : s->ops->most_workers;
    ortho_siever_options o = {.workers = workers,
                              .threads = s->plan->options.sieve.threads,
                              .in = s->plan->largest_in,
                              .out = s->plan->largest_out};
    ortho_status status = s->ops->open(&o, &s->siever);
    if (status == ORTHO_OK)
        status = open_lists(s);
    if (status == ORTHO_OK)
        status = open_slots(s);
    if (status == ORTHO_OK)
        status = ortho_io_open(NULL, &s->io);
    for (int i = 0; i < workers && status == ORTHO_OK; i++)
        status = start_worker(s);
    return status;
}

ortho_status ortho_stream_open(ortho_stream *s, const ortho_plan *plan, const ortho_siever_ops *ops,
                               uint64_t budget)
{
    ortho_rss *rss = s->rss;
    *s = (ortho_stream){.plan = plan, .ops = ops, .rss = rss, .last_unit = -1};
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->source_lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    ortho_status status = count_slots(s, budget);
    if (status == ORTHO_OK)
        status = open_parts(s);
    if (status != ORTHO_OK)
        ortho_stream_close(s);
    return status;
}

void ortho_stream_close(ortho_stream *s)
{
    if (s->plan == NULL)
        return;
    stop_workers(s);
    ortho_io_close(s->io);
    for (int i = 0; i < s->layer_slots + s->copy_slots; i++) {
        s->ops->free(s->slots[i].in);
        s->ops->free(s->slots[i].out);
    }
    for (int32_t i = 0; s->syncs != NULL && i < s->plan->shard_count; i++)
        free(s->syncs[i].units);
    free(s->syncs);
    free(s->records);
    if (s->siever != NULL)
        s->ops->close(s->siever);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->source_lock);
    pthread_cond_destroy(&s->wake);
    s->plan = NULL;
}
