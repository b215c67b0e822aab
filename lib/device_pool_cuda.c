/*
 * Workspaces on a GPU, which all its layers share: a model has hundreds of layers and runs one at a
 * time. A slot is memory with the stream that used it last and an event behind that use, and so
 * behind all uses before it. The same stream takes it again without asking, for whichever layer:
 * its launches are in order. Another takes it once the event has passed; where there are SLOTS of
 * them already, its stream waits for the event, on the GPU. Streams are told apart by their
 * numbers, which the driver never gives twice, and not by their handles, which it does.
 *
 * A slot stays until the last layer of the device goes, or until there is no room for a larger one.
 * Sizes are powers of two, so those that a stream has outgrown are together smaller than the one
 * that it uses; to free them in a forward would be to wait for the device there.
 */
#include "common/error.h"
#include "lib/device_pool.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>

#define SLOTS 16

typedef struct ortho_gpu_slot ortho_gpu_slot;

struct ortho_gpu_slot {
    void *memory;
    size_t bytes;
    unsigned long long stream;
    cudaEvent_t done; /* recorded by `give` */
    uint64_t bit;     /* by which an ortho_gpu remembers it; 64 slots on, another's too */
    int waiting;      /* threads, for `done` */
    bool out;
    ortho_gpu_slot *next;
};

struct ortho_gpu_pool {
    int ordinal;
    int members; /* under the lock of all pools, as next */
    ortho_gpu_pool *next;
    pthread_mutex_t lock; /* of what follows */
    ortho_gpu_slot *slots;
    int slot_count, made;
};

/* The pools of this process's GPUs, those that have layers. */
static struct {
    pthread_mutex_t lock;
    ortho_gpu_pool *first;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- slots ----------------------------------------------------------------------------------- */

static void drop(ortho_gpu_slot *slot)
{
    if (slot->memory != NULL)
        (void)cudaFree(slot->memory);
    if (slot->done != NULL)
        (void)cudaEventDestroy(slot->done);
    free(slot);
}

static void drop_all(ortho_gpu_slot *slots)
{
    while (slots != NULL) {
        ortho_gpu_slot *slot = slots;
        slots = slot->next;
        drop(slot);
    }
}

static bool has_passed(const ortho_gpu_slot *slot)
{
    const bool passed = cudaEventQuery(slot->done) == cudaSuccess;
    (void)cudaGetLastError(); /* a query's "not ready" is no error */
    return passed;
}

/* Whose idle memory a search accepts. */
typedef enum whose { MINE, FINISHED, ANYBODYS } whose;

/* The smallest that is large enough. Under the lock. */
static ortho_gpu_slot *find(const ortho_gpu_pool *pool, size_t bytes, unsigned long long stream,
                            whose w)
{
    ortho_gpu_slot *best = NULL;
    for (ortho_gpu_slot *s = pool->slots; s != NULL; s = s->next) {
        if (s->out || s->bytes < bytes || (best != NULL && best->bytes <= s->bytes))
            continue;
        if (w == MINE ? s->stream == stream : w == ANYBODYS || has_passed(s))
            best = s;
    }
    return best;
}

static ortho_status make(size_t bytes, ortho_gpu_slot **out)
{
    ortho_gpu_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a GPU's bookkeeping");
    slot->bytes = bytes;
    ortho_status status = ortho_gpu_check(cudaMalloc(&slot->memory, bytes), "a workspace");
    if (status == ORTHO_OK)
        status = ortho_gpu_check(cudaEventCreateWithFlags(&slot->done, cudaEventDisableTiming),
                                 "a workspace's event");
    if (status != ORTHO_OK)
        drop(slot);
    else
        *out = slot;
    return status;
}

/* Powers of two, so that growing batches don't each leave one behind. */
static size_t rounded(size_t bytes)
{
    size_t size = 4096;
    while (size < bytes)
        size *= 2;
    return size;
}

/* Under the lock. */
static ortho_gpu_slot *choose(ortho_gpu_pool *pool, size_t bytes, unsigned long long id,
                              void *stream)
{
    ortho_gpu_slot *slot = find(pool, bytes, id, MINE);
    if (slot == NULL)
        slot = find(pool, bytes, id, FINISHED);
    if (slot == NULL && pool->slot_count >= SLOTS) {
        slot = find(pool, bytes, id, ANYBODYS);
        if (slot != NULL && cudaStreamWaitEvent(stream, slot->done, 0) != cudaSuccess) {
            (void)cudaGetLastError();
            slot = NULL;
        }
    }
    return slot;
}

/* Frees the slots that are idle and smaller than that. */
static void drop_smaller(ortho_gpu_pool *pool, size_t bytes)
{
    ortho_gpu_slot *dropped = NULL;
    pthread_mutex_lock(&pool->lock);
    for (ortho_gpu_slot **at = &pool->slots; *at != NULL;) {
        ortho_gpu_slot *s = *at;
        if (s->out || s->waiting > 0 || s->bytes >= bytes || !has_passed(s)) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        s->next = dropped;
        dropped = s;
        pool->slot_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    drop_all(dropped);
}

static ortho_status make_with_room(ortho_gpu_pool *pool, size_t bytes, ortho_gpu_slot **out)
{
    ortho_status status = make(bytes, out);
    if (status != ORTHO_E_MEMORY)
        return status;
    drop_smaller(pool, bytes);
    return make(bytes, out);
}

/* Memory that is a node of the graph under capture; no node where none is wanted. */
static ortho_status take_of_graph(size_t bytes, void *stream, ortho_gpu_lease *out)
{
    void *memory = NULL;
    ortho_status status = ORTHO_OK;
    if (bytes > 0)
        status = ortho_gpu_check(cudaMallocAsync(&memory, bytes, stream), "a workspace");
    if (status == ORTHO_OK)
        *out = (ortho_gpu_lease){.memory = memory, .stream = stream};
    return status;
}

static void hand_out(ortho_gpu *gpu, ortho_gpu_slot *slot, unsigned long long id)
{
    slot->out = true;
    slot->stream = id;
    gpu->used |= slot->bit;
}

static void add(ortho_gpu_pool *pool, ortho_gpu_slot *slot)
{
    slot->bit = (uint64_t)1 << (pool->made++ % 64);
    slot->next = pool->slots;
    pool->slots = slot;
    pool->slot_count++;
}

/* One that is there, or a new one, which is made without the lock: that may take its time. */
static ortho_status take_slot(ortho_gpu *gpu, size_t bytes, unsigned long long id, void *stream,
                              ortho_gpu_slot **out)
{
    ortho_gpu_pool *pool = gpu->pool;
    pthread_mutex_lock(&pool->lock);
    ortho_gpu_slot *slot = choose(pool, bytes, id, stream);
    if (slot != NULL)
        hand_out(gpu, slot, id);
    pthread_mutex_unlock(&pool->lock);
    if (slot == NULL) {
        ortho_status status = make_with_room(pool, rounded(bytes), &slot);
        if (status != ORTHO_OK)
            return status;
        pthread_mutex_lock(&pool->lock);
        add(pool, slot);
        hand_out(gpu, slot, id);
        pthread_mutex_unlock(&pool->lock);
    }
    *out = slot;
    return ORTHO_OK;
}

ortho_status ortho_gpu_take(ortho_gpu *gpu, size_t bytes, void *stream, ortho_gpu_lease *out)
{
    enum cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    unsigned long long id = 0;
    ortho_gpu_slot *slot = NULL;
    ortho_status status = ortho_gpu_check(cudaStreamIsCapturing(stream, &capture), "the stream");
    if (status == ORTHO_OK && capture != cudaStreamCaptureStatusNone)
        return take_of_graph(bytes, stream, out);
    if (status == ORTHO_OK)
        status = ortho_gpu_check(cudaStreamGetId(stream, &id), "the stream");
    if (status != ORTHO_OK)
        return status;
    status = take_slot(gpu, bytes, id, stream, &slot);
    if (status != ORTHO_OK)
        return status;
    *out = (ortho_gpu_lease){.memory = slot->memory, .stream = stream, .slot = slot};
    return ORTHO_OK;
}

ortho_status ortho_gpu_give(ortho_gpu *gpu, ortho_gpu_lease *lease)
{
    ortho_status status;
    if (lease->slot == NULL && lease->memory == NULL)
        return ORTHO_OK;
    if (lease->slot == NULL)
        return ortho_gpu_check(cudaFreeAsync(lease->memory, lease->stream), "a workspace's end");
    status = ortho_gpu_check(cudaEventRecord(lease->slot->done, lease->stream), "an event");
    if (status != ORTHO_OK) /* its end can't be told any more: wait for it */
        (void)cudaStreamSynchronize(lease->stream);
    pthread_mutex_lock(&gpu->pool->lock);
    lease->slot->out = false;
    pthread_mutex_unlock(&gpu->pool->lock);
    return status;
}

/* ---- pools ----------------------------------------------------------------------------------- */

/* Without the lock while it waits, so that others' forwards go on. */
static void wait_for(ortho_gpu_pool *pool, uint64_t bits)
{
    pthread_mutex_lock(&pool->lock);
    for (ortho_gpu_slot *s = pool->slots; s != NULL; s = s->next) {
        if ((s->bit & bits) == 0)
            continue;
        s->waiting++; /* so it isn't dropped */
        pthread_mutex_unlock(&pool->lock);
        if (cudaEventSynchronize(s->done) != cudaSuccess)
            (void)cudaGetLastError();
        pthread_mutex_lock(&pool->lock);
        s->waiting--;
    }
    pthread_mutex_unlock(&pool->lock);
}

/* Who settles is alone with the layer: what it took, it gave. */
void ortho_gpu_settle(ortho_gpu *gpu)
{
    wait_for(gpu->pool, gpu->used);
}

static ortho_gpu_pool **find_pool(int ordinal)
{
    ortho_gpu_pool **at = &all.first;
    while (*at != NULL && (*at)->ordinal != ordinal)
        at = &(*at)->next;
    return at;
}

static ortho_gpu_pool *new_pool(int ordinal)
{
    ortho_gpu_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL || pthread_mutex_init(&pool->lock, NULL) != 0) {
        free(pool);
        return NULL;
    }
    pool->ordinal = ordinal;
    return pool;
}

ortho_status ortho_gpu_join_pool(ortho_gpu *gpu)
{
    pthread_mutex_lock(&all.lock);
    ortho_gpu_pool **at = find_pool(gpu->ordinal);
    if (*at == NULL)
        *at = new_pool(gpu->ordinal);
    gpu->pool = *at;
    if (gpu->pool != NULL)
        gpu->pool->members++;
    pthread_mutex_unlock(&all.lock);
    return gpu->pool != NULL ? ORTHO_OK
                             : ortho_fail(ORTHO_E_MEMORY, "no memory for a GPU's bookkeeping");
}

void ortho_gpu_leave_pool(ortho_gpu *gpu)
{
    ortho_gpu_pool *pool = gpu->pool;
    pthread_mutex_lock(&all.lock);
    const bool last = --pool->members == 0;
    if (last)
        *find_pool(pool->ordinal) = pool->next;
    pthread_mutex_unlock(&all.lock);
    if (!last)
        return;
    wait_for(pool, UINT64_MAX);
    drop_all(pool->slots);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
