/*
 * Workspaces on a GPU. A slot is memory with the stream that used it last and an event behind that
 * use. The same stream takes it again without asking: its launches are in order. Another takes it
 * once the event has passed; where there are SLOTS of them already, its stream waits for the event,
 * on the GPU. Streams are told apart by their numbers, which the driver never gives twice, and not
 * by their handles, which it does.
 */
#include "common/error.h"
#include "lib/device_pool.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>

#define SLOTS 16

struct ortho_gpu_slot {
    void *memory;
    size_t bytes;
    unsigned long long stream;
    cudaEvent_t done; /* recorded by `give` */
    bool out;
    ortho_gpu_slot *next;
};

static void drop(ortho_gpu_slot *slot)
{
    if (slot->memory != NULL)
        (void)cudaFree(slot->memory);
    if (slot->done != NULL)
        (void)cudaEventDestroy(slot->done);
    free(slot);
}

void ortho_gpu_drop_slots(ortho_gpu *gpu)
{
    while (gpu->slots != NULL) {
        ortho_gpu_slot *slot = gpu->slots;
        gpu->slots = slot->next;
        drop(slot);
    }
    gpu->slot_count = 0;
}

/* Slots aren't dropped before the end, and whoever is at the end is alone with the layer. */
void ortho_gpu_settle(ortho_gpu *gpu)
{
    for (ortho_gpu_slot *s = gpu->slots; s != NULL; s = s->next)
        if (cudaEventSynchronize(s->done) != cudaSuccess)
            (void)cudaGetLastError();
}

/* Whose idle memory a search accepts. */
typedef enum whose { MINE, FINISHED, ANYBODYS } whose;

/* The smallest that is large enough. Under the lock. */
static ortho_gpu_slot *find(const ortho_gpu *gpu, size_t bytes, unsigned long long stream, whose w)
{
    ortho_gpu_slot *best = NULL;
    for (ortho_gpu_slot *s = gpu->slots; s != NULL; s = s->next) {
        if (s->out || s->bytes < bytes || (best != NULL && best->bytes <= s->bytes))
            continue;
        if (w == MINE ? s->stream == stream
                      : w == ANYBODYS || cudaEventQuery(s->done) == cudaSuccess)
            best = s;
    }
    (void)cudaGetLastError(); /* a query's "not ready" is no error */
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

static ortho_gpu_slot *choose(ortho_gpu *gpu, size_t bytes, unsigned long long id, void *stream)
{
    ortho_gpu_slot *slot = find(gpu, bytes, id, MINE);
    if (slot == NULL)
        slot = find(gpu, bytes, id, FINISHED);
    if (slot == NULL && gpu->slot_count >= SLOTS) {
        slot = find(gpu, bytes, id, ANYBODYS);
        if (slot != NULL && cudaStreamWaitEvent(stream, slot->done, 0) != cudaSuccess) {
            (void)cudaGetLastError();
            slot = NULL;
        }
    }
    return slot;
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

ortho_status ortho_gpu_take(ortho_gpu *gpu, size_t bytes, void *stream, ortho_gpu_lease *out)
{
    enum cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    unsigned long long id = 0;
    ortho_status status = ortho_gpu_check(cudaStreamIsCapturing(stream, &capture), "the stream");
    if (status == ORTHO_OK && capture != cudaStreamCaptureStatusNone)
        return take_of_graph(bytes, stream, out);
    if (status == ORTHO_OK)
        status = ortho_gpu_check(cudaStreamGetId(stream, &id), "the stream");
    if (status != ORTHO_OK)
        return status;
    pthread_mutex_lock(&gpu->lock);
    ortho_gpu_slot *slot = choose(gpu, bytes, id, stream);
    if (slot != NULL)
        slot->out = true;
    pthread_mutex_unlock(&gpu->lock);
    if (slot == NULL) {
        status = make(rounded(bytes), &slot);
        if (status != ORTHO_OK)
            return status;
        slot->out = true;
        pthread_mutex_lock(&gpu->lock);
        slot->next = gpu->slots;
        gpu->slots = slot;
        gpu->slot_count++;
        pthread_mutex_unlock(&gpu->lock);
    }
    slot->stream = id;
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
    pthread_mutex_lock(&gpu->lock);
    lease->slot->out = false;
    pthread_mutex_unlock(&gpu->lock);
    return status;
}
