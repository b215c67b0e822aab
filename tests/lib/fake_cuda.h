/*
 * fake_cuda.h: the calls of CUDA's runtime that lib/device*_cuda.c make, over devices that compute
 * nothing (the linker takes these and leaves the runtime's). Time stands still: work is over when a
 * test says so, or when somebody waits for it. Every launch tells the memory that it uses, and it
 * is a fault if memory has two users that nothing puts in order, or is freed under one.
 */
#ifndef ORTHO_TESTS_LIB_FAKE_CUDA_H
#define ORTHO_TESTS_LIB_FAKE_CUDA_H

#include "testing.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdbool.h>

enum { STREAMS = 24, MOST_USES = 4096 };

/* What lies behind a place in the work: so many launches of each stream. */
typedef struct moment {
    int of[STREAMS];
} moment;

struct CUstream_st {
    moment enqueued; /* of itself, and of those that it waits for */
    bool capturing;
};

struct CUevent_st {
    moment at;
};

/* A launch, and the memory that it has from its begin to its end. */
typedef struct use {
    const void *memory, *owner;
    int stream, number;
} use;

static struct fake {
    pthread_mutex_t lock;
    struct CUstream_st stream[STREAMS];
    moment over;
    use uses[MOST_USES];
    int use_count;
    size_t room, held; /* bytes of all devices */
    int device, allocations, frees, graph_nodes, waits_of_host, waits_of_streams;
    void (*meanwhile)(void); /* happens once, while the host waits for an event */
    const char *fault;       /* in words, and nothing is asserted in a thread */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* In front of what was allocated. */
typedef union header {
    struct {
        size_t bytes;
        int device;
    } is;
    char space[256];
} header;

static void fake_reset(void)
{
    static const struct fake new = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = SIZE_MAX};
    fake = new;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void advance(moment *to, const moment *by)
{
    for (int i = 0; i < STREAMS; i++)
        to->of[i] = by->of[i] > to->of[i] ? by->of[i] : to->of[i];
}

static bool includes(const moment *m, const moment *other)
{
    for (int i = 0; i < STREAMS; i++)
        if (other->of[i] > m->of[i])
            return false;
    return true;
}

static bool is_over(const use *u)
{
    return fake.over.of[u->stream] >= u->number;
}

/* All work of a stream that was enqueued. */
static void finish(cudaStream_t stream)
{
    pthread_mutex_lock(&fake.lock);
    advance(&fake.over, &stream->enqueued);
    pthread_mutex_unlock(&fake.lock);
}

static bool is_busy(cudaStream_t stream)
{
    return !includes(&fake.over, &stream->enqueued);
}

static void forget_what_is_over(void)
{
    int kept = 0;
    for (int i = 0; i < fake.use_count; i++)
        if (!is_over(&fake.uses[i]))
            fake.uses[kept++] = fake.uses[i];
    fake.use_count = kept;
}

static void launch(const void *owner, cudaStream_t stream, const void *memory)
{
    const int s = (int)(stream - fake.stream);
    pthread_mutex_lock(&fake.lock);
    forget_what_is_over();
    for (int i = 0; i < fake.use_count; i++)
        if (fake.uses[i].memory == memory &&
            stream->enqueued.of[fake.uses[i].stream] < fake.uses[i].number)
            fake.fault = "two launches have one memory";
    if (fake.use_count == MOST_USES)
        fake.fault = "more launches under way than this test can note";
    else
        fake.uses[fake.use_count++] = (use){memory, owner, s, ++stream->enqueued.of[s]};
    pthread_mutex_unlock(&fake.lock);
}

/* Has this owner launches under way? */
static bool has_work(const void *owner)
{
    bool found = false;
    for (int i = 0; i < fake.use_count; i++)
        found = found || (fake.uses[i].owner == owner && !is_over(&fake.uses[i]));
    return found;
}

static void wait_of_host(const moment *until)
{
    pthread_mutex_lock(&fake.lock);
    fake.waits_of_host += !includes(&fake.over, until);
    advance(&fake.over, until);
    pthread_mutex_unlock(&fake.lock);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int device_of(const void *memory)
{
    return ((const header *)memory - 1)->is.device;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    header *h = NULL;
    pthread_mutex_lock(&fake.lock);
    if (bytes <= fake.room && fake.held <= fake.room - bytes && (h = malloc(sizeof *h)) != NULL) {
        h->is.bytes = bytes;
        h->is.device = fake.device;
        fake.held += bytes;
        fake.allocations++;
        *out = h + 1;
    }
    pthread_mutex_unlock(&fake.lock);
    return h != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *memory)
{
    header *h = (header *)memory - 1;
    pthread_mutex_lock(&fake.lock);
    for (int i = 0; i < fake.use_count; i++)
        if (fake.uses[i].memory == memory && !is_over(&fake.uses[i]))
            fake.fault = "memory is freed under a launch";
    forget_what_is_over();
    fake.held -= h->is.bytes;
    fake.frees++;
    pthread_mutex_unlock(&fake.lock);
    free(h);
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream)
{
    assert_true(stream->capturing);
    fake.graph_nodes++;
    return cudaMalloc(out, bytes);
}

cudaError_t cudaFreeAsync(void *memory, cudaStream_t stream)
{
    (void)memory;
    assert_true(stream->capturing);
    fake.graph_nodes++;
    return cudaSuccess;
}

/* ---- streams and events ---------------------------------------------------------------------- */

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *out)
{
    *out = stream->capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long *out)
{
    *out = (unsigned long long)(stream - fake.stream) + 1;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    wait_of_host(&stream->enqueued);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    pthread_mutex_lock(&fake.lock);
    fake.waits_of_streams++;
    advance(&stream->enqueued, &event->at);
    pthread_mutex_unlock(&fake.lock);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    assert_int_equal(flags, cudaEventDisableTiming);
    *out = calloc(1, sizeof **out);
    return *out != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    pthread_mutex_lock(&fake.lock);
    event->at = stream->enqueued;
    pthread_mutex_unlock(&fake.lock);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    pthread_mutex_lock(&fake.lock);
    const bool passed = includes(&fake.over, &event->at);
    pthread_mutex_unlock(&fake.lock);
    return passed ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    pthread_mutex_lock(&fake.lock);
    const moment until = event->at;
    void (*meanwhile)(void) = fake.meanwhile;
    fake.meanwhile = NULL;
    pthread_mutex_unlock(&fake.lock);
    if (meanwhile != NULL)
        meanwhile();
    wait_of_host(&until);
    return cudaSuccess;
}

/* ---- devices --------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *out)
{
    *out = 2;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *out)
{
    *out = fake.device;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    fake.device = device;
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    (void)mode;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaErrorMemoryAllocation ? "out of memory" : "a fake's error";
}

const char *cudaGetErrorName(cudaError_t error)
{
    return cudaGetErrorString(error);
}

/* Of the objects that are linked, and called by no test of a pool. */

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *pointer)
{
    (void)out, (void)pointer;
    return cudaErrorNotSupported;
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                         size_t width, size_t height, enum cudaMemcpyKind kind)
{
    (void)to, (void)to_pitch, (void)from, (void)from_pitch, (void)width, (void)height, (void)kind;
    return cudaErrorNotSupported;
}

cudaError_t cudaDeviceSynchronize(void)
{
    return cudaErrorNotSupported;
}

#endif
