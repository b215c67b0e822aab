/*
 * Within a shard the tensors follow their source's order, but for alignment: safetensors has no
 * holes, so that whatever isn't a multiple of 4 bytes long comes last, and elements of 8 bytes
 * first. Work follows the source's order, too, with layers and copies interleaved by their shares:
 * while the one is computed the other keeps the disk busy. Large and small layers take turns.
 */
#include "lib/plan_order.h"

#include "common/dtype.h"
#include "common/error.h"
#include "datasets/decode.h"
#include "datasets/tensor.h"

#include <stdlib.h>
#include <string.h>

#define MIXED 7 /* layers among which large and small ones take turns: a transformer block's */

/* A tensor of the source and what becomes of it. */
typedef struct item {
    int64_t tensor, layer;
    int32_t file, shard, rank; /* rank: of its alignment; 0 comes first */
    uint64_t begin, bytes;     /* in the source; in the artifact */
    ortho_tensor made;         /* a copy's tensor in the artifact */
} item;

static int by_place(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

/* A copy as the artifact has it: GGUF's blocks are no dtype of safetensors. */
static ortho_status make_copy(const ortho_tensor *t, item *it)
{
    int64_t elements;
    it->made = *t;
    if (t->dtype >= ORTHO_Q4_0) {
        if (!ortho_dtype_decodable(t->dtype))
            return ortho_fail(ORTHO_E_UNSUPPORTED,
                              "tensor \"%s\" is of dtype %s, which can't be "
                              "decoded",
                              t->name, ortho_dtype_name(t->dtype));
        it->made.dtype = ORTHO_F32;
    }
    if (!ortho_tensor_size(&it->made, &elements, &it->bytes))
        return ortho_fail(ORTHO_E_UNSUPPORTED, "tensor \"%s\" is too large", t->name);
    it->made.begin = 0;
    it->made.end = it->bytes;
    return ORTHO_OK;
}

static ortho_status make_item(const ortho_plan *plan, int64_t tensor, item *it)
{
    const ortho_tensor *t = ortho_dataset_tensor(plan->dataset, tensor);
    it->tensor = tensor;
    it->begin = t->begin;
    if (it->layer >= 0) {
        it->bytes = ortho_layer_bytes(&plan->layers[it->layer].facts);
    } else {
        ortho_status status = make_copy(t, it);
        if (status != ORTHO_OK)
            return status;
    }
    bool wide = it->layer < 0 && ortho_dtype_bytes(it->made.dtype) == 8;
    it->rank = wide ? 0 : it->bytes % 4 == 0 ? 1 : 2;
    return ORTHO_OK;
}

/* Units of a copy hold whole elements, and whole blocks where they are decoded. */
static void add_copies(ortho_plan *plan, const item *it, uint64_t to)
{
    const ortho_tensor *t = ortho_dataset_tensor(plan->dataset, it->tensor);
    bool decode = t->dtype != it->made.dtype;
    bool rows = it->file < 0; /* generated: by rows, which are plain */
    uint64_t unit_from = decode ? (uint64_t)ortho_dtype_block_bytes(t->dtype) : 1;
    uint64_t unit_to = decode ? (uint64_t)ortho_dtype_block(t->dtype) * sizeof(float) : 1;
    if (rows)
        unit_from = unit_to = it->bytes / (uint64_t)t->shape[0];
    uint64_t all = it->bytes / unit_to, step = ORTHO_COPY_BYTES / unit_to;
    step = step > 0 ? step : 1;
    for (uint64_t at = 0; at < all; at += step) {
        uint64_t count = all - at < step ? all - at : step;
        plan->units[plan->unit_count++] = (ortho_unit){
            .tensor = it->tensor,
            .layer = -1,
            .file = it->file,
            .shard = it->shard,
            .from = it->begin + at * unit_from,
            .from_bytes = count * unit_from,
            .row = rows ? (int64_t)at : 0,
            .rows = rows ? (int64_t)count : 0,
            .to = to + at * unit_to,
            .to_bytes = count * unit_to,
            .decode = decode,
        };
    }
}

uint64_t ortho_plan_w_bytes(const ortho_plan_layer *layer)
{
    return (uint64_t)(layer->facts.n * layer->facts.k) * ortho_dtype_bytes(layer->dtype);
}

static void add_sieve(ortho_plan *plan, const item *it, uint64_t to)
{
    const ortho_tensor *t = ortho_dataset_tensor(plan->dataset, it->tensor);
    const ortho_plan_layer *layer = &plan->layers[it->layer];
    plan->units[plan->unit_count++] = (ortho_unit){
        .tensor = it->tensor,
        .layer = it->layer,
        .file = it->file,
        .shard = it->shard,
        .from = it->begin,
        .from_bytes = it->file < 0 ? ortho_plan_w_bytes(layer) : t->end - t->begin,
        .rows = layer->facts.n,
        .to = to,
        .to_bytes = it->bytes,
        .decode = t->dtype != layer->dtype,
    };
}

uint64_t ortho_plan_layer_in(const ortho_plan *plan, const ortho_unit *u)
{
    uint64_t w = ortho_plan_w_bytes(&plan->layers[u->layer]);
    return ORTHO_READ_ROOM + (u->decode ? w + u->from_bytes : w);
}

uint64_t ortho_plan_layer_out(const ortho_unit *u)
{
    return ORTHO_WRITE_ROOM + u->to_bytes;
}

uint64_t ortho_plan_offset(const ortho_plan *plan, const ortho_unit *u)
{
    return plan->shards[u->shard].header_bytes + u->to;
}

/* ---- the order of work ----------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const ortho_unit *x = a, *y = b;
    if (x->from_bytes != y->from_bytes)
        return x->from_bytes < y->from_bytes ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

/* A small one, a large one, and so on. */
static void mix(ortho_unit *units, const int64_t *at, int count)
{
    ortho_unit sorted[MIXED];
    for (int i = 0; i < count; i++)
        sorted[i] = units[at[i]];
    qsort(sorted, (size_t)count, sizeof *sorted, by_size);
    for (int i = 0; i < count; i++)
        units[at[i]] = sorted[i % 2 == 0 ? i / 2 : (count + 1) / 2 + i / 2];
}

/* The largest layers stand together in most models. Side by side they fill the budget, and none is
 * read ahead: workers would wait. */
static void mix_layers(ortho_plan *plan)
{
    int64_t at[MIXED];
    int count = 0;
    for (int64_t i = 0; i < plan->unit_count; i++) {
        if (count == MIXED || (count > 0 && plan->units[i].shard != plan->units[at[0]].shard)) {
            mix(plan->units, at, count);
            count = 0;
        }
        if (plan->units[i].layer >= 0)
            at[count++] = i;
    }
    mix(plan->units, at, count);
}

/* How far into its kind, sieves or copies of its shard, each unit stands, 0 to 1. */
typedef struct ordered {
    ortho_unit unit;
    double share;
} ordered;

static int by_share(const void *a, const void *b)
{
    const ordered *x = a, *y = b;
    if (x->unit.shard != y->unit.shard)
        return x->unit.shard < y->unit.shard ? -1 : 1;
    if (x->share < y->share || x->share > y->share)
        return x->share < y->share ? -1 : 1;
    if (x->unit.from != y->unit.from)
        return x->unit.from < y->unit.from ? -1 : 1;
    return (x->unit.to > y->unit.to) - (x->unit.to < y->unit.to);
}

static int by_source(const void *a, const void *b)
{
    const ortho_unit *x = a, *y = b;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static void measure_shares(const ortho_plan *plan, ordered *all)
{
    for (int64_t begin = 0; begin < plan->unit_count;) {
        int64_t end = begin;
        double sum[2] = {0, 0}, so_far[2] = {0, 0};
        for (; end < plan->unit_count && plan->units[end].shard == plan->units[begin].shard; end++)
            sum[plan->units[end].layer >= 0] += (double)plan->units[end].from_bytes;
        for (int64_t i = begin; i < end; i++) {
            int kind = plan->units[i].layer >= 0;
            all[i] = (ordered){plan->units[i], so_far[kind] / sum[kind]};
            so_far[kind] += (double)plan->units[i].from_bytes;
        }
        begin = end;
    }
}

static ortho_status order_work(ortho_plan *plan)
{
    ordered *all = malloc(((size_t)plan->unit_count + 1) * sizeof *all);
    if (all == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a plan");
    qsort(plan->units, (size_t)plan->unit_count, sizeof *plan->units, by_source);
    mix_layers(plan);
    measure_shares(plan, all);
    qsort(all, (size_t)plan->unit_count, sizeof *all, by_share);
    for (int64_t i = 0; i < plan->unit_count; i++)
        plan->units[i] = all[i].unit;
    free(all);
    return ORTHO_OK;
}

/* ---- headers --------------------------------------------------------------------------------- */

static ortho_status place_items(ortho_plan *plan, item *items, int64_t count)
{
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; i < count && status == ORTHO_OK; i++) {
        ortho_header *header = &plan->shards[items[i].shard].header;
        uint64_t to = header->data_bytes;
        if (items[i].layer >= 0) {
            status = ortho_header_add_layer(header, &plan->layers[items[i].layer].facts);
            add_sieve(plan, &items[i], to);
        } else {
            status = ortho_header_add(header, &items[i].made);
            add_copies(plan, &items[i], to);
        }
    }
    return status;
}

static ortho_status size_headers(ortho_plan *plan)
{
    for (int32_t i = 0; i < plan->shard_count; i++) {
        char *text;
        ortho_status status =
            ortho_header_render(&plan->shards[i].header, &text, &plan->shards[i].header_bytes);
        if (status != ORTHO_OK)
            return status;
        free(text);
    }
    return ORTHO_OK;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add_up(ortho_plan *plan)
{
    for (int64_t i = 0; i < plan->unit_count; i++) {
        const ortho_unit *u = &plan->units[i];
        plan->from_bytes += u->from_bytes;
        plan->to_bytes += u->to_bytes;
        plan->shards[u->shard].units++;
        if (u->layer < 0) {
            plan->largest_copy = larger(plan->largest_copy, ORTHO_READ_ROOM + u->from_bytes);
            plan->largest_decoded =
                larger(plan->largest_decoded, u->decode ? ORTHO_WRITE_ROOM + u->to_bytes : 0);
            continue;
        }
        plan->sieved_bytes += u->from_bytes;
        plan->largest_in = larger(plan->largest_in, ortho_plan_layer_in(plan, u));
        plan->largest_out = larger(plan->largest_out, ortho_plan_layer_out(u));
    }
}

static ortho_status collect(ortho_plan *plan, item *items,
                            int32_t (*file_of)(const ortho_plan *, const ortho_tensor *),
                            uint64_t *units)
{
    int64_t count = ortho_dataset_tensors(plan->dataset);
    for (int64_t i = 0; i < count; i++)
        items[i].layer = -1;
    for (int64_t l = 0; l < plan->layer_count; l++)
        items[ortho_dataset_slice(plan->dataset, plan->layers[l].slice)->index].layer = l;
    for (int64_t i = 0; i < count; i++) {
        ortho_status status = make_item(plan, i, &items[i]);
        if (status != ORTHO_OK)
            return status;
        items[i].file = file_of(plan, ortho_dataset_tensor(plan->dataset, i));
        items[i].shard = items[i].file < 0 ? 0 : items[i].file;
        /* A generated tensor's rows may each be more than half of a piece. */
        *units += items[i].bytes / (ORTHO_COPY_BYTES / 2) + 2;
    }
    qsort(items, (size_t)count, sizeof *items, by_place);
    return ORTHO_OK;
}

ortho_status ortho_plan_lay_out(ortho_plan *plan,
                                int32_t (*file_of)(const ortho_plan *, const ortho_tensor *))
{
    int64_t count = ortho_dataset_tensors(plan->dataset);
    uint64_t units = 0;
    item *items = calloc((size_t)count + 1, sizeof *items);
    ortho_status status =
        items != NULL ? collect(plan, items, file_of, &units)
                      : ortho_fail(ORTHO_E_MEMORY, "no memory for %lld tensors", (long long)count);
    if (status == ORTHO_OK) {
        plan->units = calloc(units + 1, sizeof *plan->units);
        if (plan->units == NULL)
            status =
                ortho_fail(ORTHO_E_MEMORY, "no memory for %llu units", (unsigned long long)units);
    }
    if (status == ORTHO_OK)
        status = place_items(plan, items, count);
    free(items);
    if (status == ORTHO_OK)
        status = size_headers(plan);
    if (status == ORTHO_OK)
        status = order_work(plan);
    if (status == ORTHO_OK)
        add_up(plan);
    return status;
}
