/* stream_work.c: what is done with a unit between its read and its write. */
#include "common/dtype.h"
#include "common/error.h"
#include "datasets/decode.h"
#include "lib/hash.h"
#include "lib/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t w_bytes(const ortho_plan_layer *layer)
{
    return (size_t)(layer->facts.n * layer->facts.k) * ortho_dtype_bytes(layer->dtype);
}

char *ortho_slot_raw(const ortho_stream *s, const ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    if (u->layer >= 0 && u->decode) /* behind the W that it is decoded to */
        return slot->in + w_bytes(&s->plan->layers[u->layer]);
    return slot->in;
}

char *ortho_slot_made(const ortho_stream *s, const ortho_slot *slot)
{
    const ortho_unit *u = &s->plan->units[slot->unit];
    return u->layer >= 0 || u->decode ? slot->out : slot->in;
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

static ortho_status sieve_layer(ortho_stream *s, int worker, ortho_slot *slot)
{
    const ortho_plan_layer *layer = &s->plan->layers[s->plan->units[slot->unit].layer];
    const ortho_layer_facts *f = &layer->facts;
    float *hessian = NULL;
    ortho_split out;
    ortho_status status = read_hessian(s, layer, &hessian);
    if (status != ORTHO_OK)
        return status;
    ortho_matrix w = {
        .rows = f->n, .cols = f->k, .stride = f->k, .dtype = layer->dtype, .data = slot->in};
    ortho_sieve_problem p = {.w = &w,
                             .hessian = hessian,
                             .density = f->density,
                             .nnz = f->nnz,
                             .rule = f->rule,
                             .group = f->group};
    ortho_layer_view(f, slot->out, &out);
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
        void *to = u->layer >= 0 ? slot->in : slot->out;
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
