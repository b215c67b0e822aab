#define _GNU_SOURCE
#include "lib/stream.h"

#include "common/clock.h"
#include "common/error.h"
#include "lib/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* False: it wasn't taken. */
static bool submit(ortho_stream *s, ortho_io_request *request)
{
    ortho_status status = ortho_io_submit(s->io, &request, 1);
    s->busy += status == ORTHO_OK;
    check(s, status);
    return status == ORTHO_OK;
}

/* ---- a unit's way ---------------------------------------------------------------------------- */

/* The slot is done with its unit; a copy's keeps its memory. */
static void release(ortho_stream *s, ortho_slot *slot)
{
    slot->state = ORTHO_SLOT_FREE;
    if (slot < s->slots + ORTHO_LAYER_SLOTS)
        ortho_slot_give(s, slot);
}

static void start_write(ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    if (u->layer >= 0) { /* W's memory takes the next layer meanwhile */
        ortho_arena_give(&s->arena, slot->in);
        slot->in = NULL;
    }
    char *made = ortho_slot_place(s, slot);
    ortho_hash(made, u->to_bytes, slot->record.made);
    slot->state = ORTHO_SLOT_WRITING;
    slot->request = (ortho_io_request){.kind = ORTHO_IO_WRITE,
                                       .fd = s->target->fd[u->shard],
                                       .direct = &s->target->direct[u->shard],
                                       .offset = ortho_plan_offset(s->plan, u),
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
    slot->shift = 0;
    slot->request = (ortho_io_request){.kind = ORTHO_IO_READ, .path = "", .user = slot};
    if (u->file < 0) {
        ortho_stream_hand(s, slot);
        return;
    }
    slot->state = ORTHO_SLOT_READING;
    ortho_slot_aim(s, slot);
    submit(s, &slot->request);
}

static void read_is_done(ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    s->bytes_read += u->from_bytes;
    if (s->status != ORTHO_OK) { /* what isn't begun needn't be */
        release(s, slot);
        return;
    }
    if (needs_work(u))
        ortho_stream_hand(s, slot);
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
        release(s, slot);
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
    if (y->busy || y->lost || y->written == y->covered || (y->bytes < ORTHO_SYNC_BYTES && !last))
        return;
    y->bytes = 0;
    y->covered = y->written;
    y->request = (ortho_io_request){
        .kind = ORTHO_IO_SYNC, .fd = s->target->fd[shard], .path = s->plan->shards[shard].name};
    y->busy = submit(s, &y->request);
}

static void sync_is_done(ortho_stream *s, int32_t shard)
{
    ortho_shard_sync *y = &s->syncs[shard];
    ortho_status status = ortho_io_result(&y->request);
    y->busy = false;
    y->lost = status != ORTHO_OK;
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
    release(s, slot);
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
        release(s, slot);
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

static ortho_slot *free_slot(ortho_stream *s, bool layer)
{
    int first = layer ? 0 : ORTHO_LAYER_SLOTS, count = layer ? ORTHO_LAYER_SLOTS : s->copy_slots;
    for (int i = first; i < first + count; i++)
        if (s->slots[i].state == ORTHO_SLOT_FREE)
            return &s->slots[i];
    return NULL;
}

/* Begins the next unit of a kind. False: there is none, or no room for it now. */
static bool begin_next(ortho_stream *s, bool layer)
{
    int64_t unit = next_unit(s, layer);
    ortho_slot *slot = free_slot(s, layer);
    if (s->status != ORTHO_OK || slot == NULL || !may_begin(s, unit, layer))
        return false;
    const ortho_unit *u = &s->plan->units[unit];
    if (layer &&
        !ortho_slot_take(s, slot, ortho_plan_layer_in(s->plan, u), ortho_plan_layer_out(u)))
        return false;
    s->next[layer]++;
    slot->unit = unit;
    start_read(s, slot);
    return true;
}

static void fill_slots(ortho_stream *s)
{
    while (begin_next(s, true)) {
    }
    while (begin_next(s, false)) {
    }
}

/* After a failure, or when somebody wants to stop: what no worker has begun isn't. */
static void drop_line(ortho_stream *s)
{
    for (ortho_slot *slot = ortho_stream_take_back(s), *next; slot != NULL; slot = next) {
        next = slot->next;
        s->busy--;
        release(s, slot);
    }
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
    ortho_stream_open_direct(s);
    begin_syncs(s);
    for (;;) {
        fill_slots(s);
        if (s->status != ORTHO_OK)
            drop_line(s);
        for (int32_t i = 0; i < s->plan->shard_count; i++)
            maybe_sync(s, i);
        if (s->busy == 0)
            break;
        ortho_io_request *done = ortho_io_wait(s->io, TICK_MS);
        if (done != NULL)
            take_event(s, done);
        if (ortho_seconds() - ticked >= TICK_MS * 1e-3) {
            ortho_rss_sample(s->rss);
            if (tick != NULL && tick(ctx, s) != 0)
                fail(s, ORTHO_E_CANCELLED,
                     "stopped: what is finished is kept, and --resume goes on");
            ticked = ortho_seconds();
        }
    }
    ortho_rss_sample(s->rss);
    return s->status == ORTHO_OK ? ORTHO_OK : ortho_fail(s->status, "%s", s->message);
}
