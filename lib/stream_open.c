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

static ortho_status open_slot(ortho_stream *s, ortho_slot *slot, size_t in, size_t out)
{
    if (in > 0 && (slot->in = take_buffer(s, in)) == NULL)
        return ORTHO_E_MEMORY;
    if (out > 0 && (slot->out = take_buffer(s, out)) == NULL)
        return ORTHO_E_MEMORY;
    return ORTHO_OK;
}

static ortho_status open_slots(ortho_stream *s)
{
    const ortho_plan *plan = s->plan;
    ortho_slot *slot = s->slots;
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < s->layer_slots && status == ORTHO_OK; i++)
        status = open_slot(s, slot++, plan->largest_in, plan->largest_out);
    for (int i = 0; i < s->copy_slots && status == ORTHO_OK; i++)
        status = open_slot(s, slot++, plan->largest_copy, plan->largest_decoded);
    for (int i = 0; i < s->write_slots && status == ORTHO_OK; i++)
        status = open_slot(s, slot++, 0, plan->largest_out);
    return status;
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
    while (s->write_slots < ORTHO_WRITE_SLOTS &&
           copies + (uint64_t)slots * host + (uint64_t)(s->write_slots + 1) * plan->largest_out <=
               budget)
        s->write_slots++;
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
    int asked = s->plan->options.sieve.threads, threads = asked > 0 ? asked : omp_get_max_threads();
    int workers = s->ops->workers(s->layer_slots, threads);
    ortho_siever_options o = {.workers = workers,
                              .threads = threads,
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
    ortho_stream_stop_workers(s);
    ortho_io_close(s->io);
    for (int i = 0; i < s->layer_slots + s->copy_slots + s->write_slots; i++) {
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
