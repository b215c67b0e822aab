/* stream_work.c: what is done with a unit between its read and its write, and by whom. */
#include "common/dtype.h"
#include "common/error.h"
#include "datasets/decode.h"
#include "lib/direct.h"
#include "lib/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a read begins in the slot: in front, or, in whole pages, behind the W that it is decoded
 * to. */
static char *read_place(const ortho_stream *s, const ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    return u->layer >= 0 && u->decode
               ? slot->in + ortho_arena_padded(ortho_plan_w_bytes(&s->plan->layers[u->layer]))
               : slot->in;
}

char *ortho_slot_raw(const ortho_stream *s, const ortho_slot *slot)
{
    return read_place(s, slot) + slot->shift;
}

/* Where bytes of the file's `offset` lie in a page of memory: as in the file's, for moves past the
 * page cache, where that leaves elements aligned. */
static size_t shift_of(uint64_t offset, size_t element)
{
    size_t shift = (size_t)(offset % ORTHO_DIRECT_UNIT);
    return shift % element == 0 ? shift : 0;
}

/* What a worker makes of a unit. The widest elements are a layer's row_ptr and decoded F32. */
static char *made_place(const ortho_stream *s, const ortho_slot *slot)
{
    uint64_t offset = ortho_plan_offset(s->plan, &s->plan->units[slot->unit]);
    return slot->out + shift_of(offset, sizeof(int32_t));
}

char *ortho_slot_place(const ortho_stream *s, const ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    char *raw = ortho_slot_raw(s, slot);
    if (u->layer >= 0 || u->decode)
        return made_place(s, slot);
    if (s->target->direct[u->shard] < 0)
        return raw;
    return memmove(slot->in + shift_of(ortho_plan_offset(s->plan, u), 1), raw, u->to_bytes);
}

void ortho_slot_aim(const ortho_stream *s, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    const ortho_plan_file *file = &s->plan->files[u->file];
    size_t element =
        u->layer >= 0 && !u->decode ? ortho_dtype_bytes(s->plan->layers[u->layer].dtype) : 1;
    slot->shift = s->direct[u->file] >= 0 ? shift_of(u->from, element) : 0;
    slot->request = (ortho_io_request){.kind = ORTHO_IO_READ,
                                       .fd = file->fd,
                                       .direct = &s->direct[u->file],
                                       .offset = u->from,
                                       .data = ortho_slot_raw(s, slot),
                                       .bytes = u->from_bytes,
                                       .path = file->path,
                                       .user = slot};
}

void ortho_stream_close_direct(ortho_stream *s)
{
    for (int32_t i = 0; s->direct != NULL && i < s->plan->file_count; i++) {
        if (s->direct[i] >= 0)
            close(s->direct[i]);
        s->direct[i] = -1;
    }
}

void ortho_stream_open_direct(ortho_stream *s)
{
    ortho_stream_close_direct(s);
    for (int32_t i = 0; i < s->plan->file_count; i++)
        s->direct[i] = ortho_direct_open(s->plan->files[i].fd, s->plan->files[i].bytes);
}

/* A generated tensor's rows. */
static ortho_status generate(ortho_stream *s, const ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    ortho_dataset *d = s->plan->dataset;
    pthread_mutex_lock(&s->source_lock);
    ortho_status status = d->reader->read_raw(d->source, u->tensor, u->row, u->rows, slot->in);
    pthread_mutex_unlock(&s->source_lock);
    return status;
}

static ortho_status read_hessian(ortho_stream *s, const ortho_plan_layer *layer, float **out)
{
    bool given;
    float *h = malloc((size_t)layer->facts.k * sizeof *h);
    if (h == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a Hessian");
    pthread_mutex_lock(&s->source_lock);
    ortho_status status = ortho_plan_hessian(s->plan, layer, h, &given);
    pthread_mutex_unlock(&s->source_lock);
    if (status != ORTHO_OK || !given) {
        free(h);
        h = NULL;
    }
    *out = h;
    return status;
}

/* W, as read or decoded. */
static const void *w_place(const ortho_stream *s, const ortho_slot *slot)
{
    return s->plan->units[slot->unit].decode ? slot->in : ortho_slot_raw(s, slot);
}

static ortho_status sieve_layer(ortho_stream *s, int worker, ortho_slot *slot)
{
    const ortho_plan_layer *layer = &s->plan->layers[s->plan->units[slot->unit].layer];
    const ortho_layer_facts *f = &layer->facts;
    float *hessian = NULL;
    ortho_split out;
    ortho_status status = read_hessian(s, layer, &hessian);
    if (status != ORTHO_OK)
        return status;
    ortho_matrix w = {.rows = f->n,
                      .cols = f->k,
                      .stride = f->k,
                      .dtype = layer->dtype,
                      .data = w_place(s, slot)};
    ortho_sieve_problem p = {.w = &w,
                             .hessian = hessian,
                             .density = f->density,
                             .nnz = f->nnz,
                             .rule = f->rule,
                             .group = f->group};
    ortho_layer_view(f, made_place(s, slot), &out);
    status = s->ops->sieve(s->siever, worker, &p, &out);
    free(hessian);
    return status;
}

static ortho_status work(ortho_stream *s, int worker, ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    ortho_status status = u->file < 0 ? generate(s, slot) : ORTHO_OK;
    if (status == ORTHO_OK && u->decode) {
        const ortho_tensor *t = ortho_dataset_tensor(s->plan->dataset, u->tensor);
        void *to = u->layer >= 0 ? slot->in : made_place(s, slot);
        uint64_t unit = (uint64_t)ortho_dtype_block_bytes(t->dtype);
        ortho_decode(t->dtype, ortho_slot_raw(s, slot), (int64_t)(u->from_bytes / unit), to);
    }
    if (status == ORTHO_OK && u->layer >= 0)
        status = sieve_layer(s, worker, slot);
    return status;
}

void ortho_stream_work(ortho_stream *s, int worker, ortho_slot *slot)
{
    slot->status = work(s, worker, slot);
    if (slot->status != ORTHO_OK)
        snprintf(slot->message, sizeof slot->message, "tensor \"%s\": %s",
                 ortho_plan_unit_name(s->plan, &s->plan->units[slot->unit]), ortho_last_message());
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

void ortho_stream_hand(ortho_stream *s, ortho_slot *slot)
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

ortho_slot *ortho_stream_take_back(ortho_stream *s)
{
    pthread_mutex_lock(&s->lock);
    ortho_slot *line = s->line;
    s->line = NULL;
    pthread_mutex_unlock(&s->lock);
    return line;
}

ortho_status ortho_stream_work_all(ortho_stream *s)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < s->thread_count; i++) {
        s->slots[i].request = (ortho_io_request){.kind = ORTHO_IO_READ, .path = ""};
        ortho_stream_hand(s, &s->slots[i]);
    }
    for (int i = 0; i < s->thread_count; i++) {
        (void)ortho_io_wait(s->io, -1);
        s->busy--;
    }
    for (int i = 0; i < s->thread_count; i++) {
        s->slots[i].state = ORTHO_SLOT_FREE;
        if (s->slots[i].status != ORTHO_OK && status == ORTHO_OK)
            status = ortho_fail(s->slots[i].status, "%s", s->slots[i].message);
    }
    return status;
}

ortho_status ortho_stream_start_worker(ortho_stream *s)
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

void ortho_stream_stop_workers(ortho_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    s->thread_count = 0;
}
