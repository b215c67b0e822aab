/* stream_open.c: what a stream holds while it runs: slots within its budget, lists, workers. */
#include "common/error.h"
#include "lib/stream.h"

#include <omp.h>
#include <stdlib.h>

/* ---- opening --------------------------------------------------------------------------------- */

static void *take_buffer(ortho_stream *s, size_t bytes)
{
    void *memory = s->ops->alloc(bytes);
    if (memory != NULL)
        s->buffer_bytes += bytes;
    return memory;
}

bool ortho_slot_take(ortho_stream *s, ortho_slot *slot, size_t in, size_t out)
{
    slot->in = ortho_arena_take(&s->arena, in);
    slot->out = slot->in != NULL ? ortho_arena_take(&s->arena, out) : NULL;
    if (slot->out != NULL)
        return true;
    ortho_slot_give(s, slot);
    return false;
}

void ortho_slot_give(ortho_stream *s, ortho_slot *slot)
{
    ortho_arena_give(&s->arena, slot->in);
    ortho_arena_give(&s->arena, slot->out);
    slot->in = slot->out = NULL;
}

/* What a layer takes of the arena. */
static uint64_t largest_layer(const ortho_plan *plan)
{
    return ortho_arena_padded(plan->largest_in) + ortho_arena_padded(plan->largest_out);
}

static uint64_t copy_bytes(const ortho_plan *plan)
{
    return plan->largest_copy > 0 ? ORTHO_COPY_SLOTS * (plan->largest_copy + plan->largest_decoded)
                                  : 0;
}

/* All that copies leave of the budget, but no more than the model can fill; never less than `held`
 * of the largest layer. */
static uint64_t arena_bytes(const ortho_stream *s, uint64_t budget)
{
    const ortho_plan *plan = s->plan;
    uint64_t all = 0, room = budget - copy_bytes(plan), largest = largest_layer(plan);
    uint64_t least = (uint64_t)s->held * largest, most = ORTHO_LAYER_SLOTS * largest;
    for (int64_t i = 0; i < plan->unit_count; i++)
        if (plan->units[i].layer >= 0)
            all += ortho_arena_padded(ortho_plan_layer_in(plan, &plan->units[i])) +
                   ortho_arena_padded(ortho_plan_layer_out(&plan->units[i]));
    all = all < most ? all : most;
    all = all < room ? all : room;
    return all > least ? all : least;
}

static ortho_status open_slots(ortho_stream *s, uint64_t budget)
{
    const ortho_plan *plan = s->plan;
    s->arena.bytes = arena_bytes(s, budget);
    s->arena.base = take_buffer(s, s->arena.bytes);
    if (s->arena.base == NULL)
        return ORTHO_E_MEMORY;
    for (int i = 0; i < s->copy_slots; i++) {
        ortho_slot *slot = &s->slots[ORTHO_LAYER_SLOTS + i];
        if ((slot->in = take_buffer(s, plan->largest_copy)) == NULL)
            return ORTHO_E_MEMORY;
        if (plan->largest_decoded > 0 &&
            (slot->out = take_buffer(s, plan->largest_decoded)) == NULL)
            return ORTHO_E_MEMORY;
    }
    return ORTHO_OK;
}

/* How many of the largest layer the budget holds at once, after what copies need. */
static ortho_status count_held(ortho_stream *s, uint64_t budget)
{
    const ortho_plan *plan = s->plan;
    ortho_siever_options o = {.in = plan->largest_in, .out = plan->largest_out};
    uint64_t copies = copy_bytes(plan), host = largest_layer(plan),
             device = s->ops->worker_bytes(&o);
    uint64_t more = host > device ? host : device; /* roughly: copies take no device memory */
    s->copy_slots = copies > 0 ? ORTHO_COPY_SLOTS : 0;
    s->held = 0;
    while (s->held < ORTHO_MOST_WORKERS && s->held < plan->layer_count &&
           copies + (uint64_t)(s->held + 1) * host <= budget &&
           (uint64_t)(s->held + 1) * device <= budget)
        s->held++;
    if (s->held == 0)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "a memory budget of %llu MiB doesn't hold the largest layer: %llu MiB "
                          "would, and %llu MiB would let it be read and written beside its sieve",
                          (unsigned long long)(budget >> 20),
                          (unsigned long long)((copies + more) >> 20) + 1,
                          (unsigned long long)((copies + 3 * more) >> 20) + 1);
    return ORTHO_OK;
}

ortho_status ortho_stream_fits(const ortho_plan *plan, const ortho_siever_ops *ops, uint64_t budget)
{
    return count_held(&(ortho_stream){.plan = plan, .ops = ops}, budget);
}

static ortho_status open_lists(ortho_stream *s)
{
    const ortho_plan *plan = s->plan;
    s->syncs = calloc((size_t)plan->shard_count, sizeof *s->syncs);
    s->records = calloc((size_t)plan->unit_count + 1, sizeof *s->records);
    s->direct = malloc(((size_t)plan->file_count + 1) * sizeof *s->direct);
    for (int32_t i = 0; s->direct != NULL && i < plan->file_count; i++)
        s->direct[i] = -1;
    for (int32_t i = 0; s->syncs != NULL && i < plan->shard_count; i++) {
        s->syncs[i].units = calloc((size_t)plan->shards[i].units + 1, sizeof(int64_t));
        if (s->syncs[i].units == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a stream");
    }
    return s->syncs != NULL && s->records != NULL && s->direct != NULL
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_MEMORY, "no memory for a stream");
}

static ortho_status open_parts(ortho_stream *s, uint64_t budget)
{
    int asked = s->plan->options.sieve.threads, threads = asked > 0 ? asked : omp_get_max_threads();
    int workers = s->ops->workers(s->held, threads);
    ortho_siever_options o = {.workers = workers,
                              .threads = threads,
                              .in = s->plan->largest_in,
                              .out = s->plan->largest_out};
    ortho_status status = s->ops->open(&o, &s->siever);
    if (status == ORTHO_OK)
        status = open_lists(s);
    if (status == ORTHO_OK)
        status = open_slots(s, budget);
    if (status == ORTHO_OK)
        status = ortho_io_open(NULL, &s->io);
    for (int i = 0; i < workers && status == ORTHO_OK; i++)
        status = ortho_stream_start_worker(s);
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
    ortho_status status = count_held(s, budget);
    if (status == ORTHO_OK)
        status = open_parts(s, budget);
    if (status != ORTHO_OK)
        ortho_stream_close(s);
    return status;
}

void ortho_stream_close(ortho_stream *s)
{
    if (s->plan == NULL)
        return;
    ortho_stream_stop_workers(s);
    ortho_io_close(s->io);
    s->ops->free(s->arena.base);
    for (int i = 0; i < s->copy_slots; i++) {
        s->ops->free(s->slots[ORTHO_LAYER_SLOTS + i].in);
        s->ops->free(s->slots[ORTHO_LAYER_SLOTS + i].out);
    }
    for (int32_t i = 0; s->syncs != NULL && i < s->plan->shard_count; i++)
        free(s->syncs[i].units);
    ortho_stream_close_direct(s);
    free(s->direct);
    free(s->syncs);
    free(s->records);
    if (s->siever != NULL)
        s->ops->close(s->siever);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->source_lock);
    pthread_cond_destroy(&s->wake);
    s->plan = NULL;
}
