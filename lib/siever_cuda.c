/*
 * siever_cuda.c: layers on the GPU. A worker has one piece of device memory for its whole life, W
 * in front and what the sieve asks for behind it: cudaMalloc would wait for every other worker's
 * stream. Its stream doesn't synchronise with the default one.
 */
#include "lib/siever.h"

#include "common/account.h"
#include "common/dtype.h"
#include "common/error.h"
#include "lib/choice.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 256
#define SLACK     (2u << 20) /* of a sieve's working memory beyond its share of W */

typedef struct worker {
    ortho_siever *siever;
    cudaStream_t stream;
    char *arena;
    size_t used;
    ortho_services services;
} worker;

struct ortho_siever {
    const ortho_variant *variant;
    int device;
    size_t arena_bytes, free_before, least_free, allocated, most;
    pthread_mutex_t lock; /* of the four above */
    int count;
    worker *workers;
};

static ortho_status check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return ORTHO_OK;
    (void)cudaGetLastError();
    return ortho_fail(error == cudaErrorMemoryAllocation ? ORTHO_E_MEMORY : ORTHO_E_DEVICE,
                      "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

static size_t padded(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* W, the split, what a sieve keeps beside them (at most 2 % of W), and alignment. */
static size_t worker_bytes(const ortho_siever_options *o)
{
    return padded(o->in) + padded(o->out) + padded(o->in / 50) + SLACK;
}

static int count_workers(int slots, int threads)
{
    (void)threads;
    return slots;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void look_at_memory(ortho_siever *s)
{
    size_t available, total;
    if (cudaMemGetInfo(&available, &total) == cudaSuccess && available < s->least_free)
        s->least_free = available;
}

static ortho_status take_device(ortho_siever *s, size_t bytes, void **out)
{
    ortho_status status = check(cudaMalloc(out, bytes), "device memory for the sieve");
    if (status != ORTHO_OK)
        return status;
    pthread_mutex_lock(&s->lock);
    s->allocated += bytes;
    s->most = s->allocated > s->most ? s->allocated : s->most;
    look_at_memory(s);
    pthread_mutex_unlock(&s->lock);
    return ORTHO_OK;
}

/* Whatever the arena has no room for fails: a budget is a budget. */
static void *arena_alloc(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    worker *w = ctx;
    (void)purpose;
    if (space == ORTHO_HOST) {
        void *memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
        if (memory == NULL)
            ortho_fail(ORTHO_E_MEMORY, "no memory for %zu bytes", bytes);
        return memory;
    }
    size_t room = w->siever->arena_bytes - w->used;
    if (padded(bytes + 1) > room) {
        ortho_fail(ORTHO_E_MEMORY,
                   "the sieve asks for %zu bytes of device memory where its budget leaves %zu",
                   bytes, room);
        return NULL;
    }
    void *memory = w->arena + w->used;
    w->used += padded(bytes + 1);
    return memory;
}

static void arena_free(void *ctx, void *memory)
{
    const worker *w = ctx;
    const char *at = memory;
    if (memory != NULL && (at < w->arena || at >= w->arena + w->siever->arena_bytes))
        free(memory);
}

/* ---- one layer ------------------------------------------------------------------------------- */

static ortho_status run_sieve(worker *w, const ortho_sieve_problem *p, ortho_split *out)
{
    const ortho_sieve_hooks *hooks = w->siever->variant->sieve;
    size_t bytes = (hooks->state_size + 64) / 64 * 64;
    void *state = aligned_alloc(64, bytes);
    if (state == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a sieve");
    memset(state, 0, bytes);
    ortho_status status = hooks->prepare(state, p, &w->services);
    if (status == ORTHO_OK) {
        status = hooks->run(state, p, &w->services);
        if (status == ORTHO_OK)
            status = hooks->export_split(state, out, &w->services);
        else
            (void)cudaStreamSynchronize(w->stream); /* what was launched still uses the arena */
        hooks->release(state, &w->services);
    }
    free(state);
    return status;
}

static ortho_status sieve(ortho_siever *s, int number, const ortho_sieve_problem *p,
                          ortho_split *out)
{
    worker *w = &s->workers[number];
    ortho_status status = check(cudaSetDevice(s->device), "choosing the GPU");
    if (status != ORTHO_OK)
        return status;
    ortho_matrix on_device = *p->w;
    ortho_sieve_problem problem = *p;
    size_t bytes = (size_t)(p->w->rows * p->w->stride) * ortho_dtype_bytes(p->w->dtype);
    w->used = 0;
    on_device.data = arena_alloc(w, bytes, ORTHO_DEVICE, ORTHO_WORKING);
    problem.w = &on_device;
    if (on_device.data == NULL)
        return ORTHO_E_MEMORY;
    status = check(cudaMemcpyAsync((void *)on_device.data, p->w->data, bytes,
                                   cudaMemcpyHostToDevice, w->stream),
                   "copying weights to the GPU");
    return status == ORTHO_OK ? run_sieve(w, &problem, out) : status;
}

static ortho_status time_copy(ortho_siever *s, const void *from, size_t bytes, int times,
                              double *seconds)
{
    cudaEvent_t start = NULL, stop = NULL;
    worker *w = &s->workers[0];
    float milliseconds = 0;
    ortho_status status = check(cudaEventCreate(&start), "an event");
    if (status == ORTHO_OK)
        status = check(cudaEventCreate(&stop), "an event");
    if (status == ORTHO_OK)
        status = check(cudaEventRecord(start, w->stream), "an event");
    for (int i = 0; i < times && status == ORTHO_OK; i++)
        status = check(cudaMemcpyAsync(w->arena, from, bytes, cudaMemcpyHostToDevice, w->stream),
                       "a copy");
    if (status == ORTHO_OK)
        status = check(cudaEventRecord(stop, w->stream), "an event");
    if (status == ORTHO_OK)
        status = check(cudaEventSynchronize(stop), "a copy");
    if (status == ORTHO_OK)
        status = check(cudaEventElapsedTime(&milliseconds, start, stop), "an event");
    if (start != NULL)
        (void)cudaEventDestroy(start);
    if (stop != NULL)
        (void)cudaEventDestroy(stop);
    if (status == ORTHO_OK)
        *seconds = (double)milliseconds * 1e-3;
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void close_siever(ortho_siever *s)
{
    if (s == NULL)
        return;
    (void)cudaSetDevice(s->device);
    for (int i = 0; i < s->count; i++) {
        (void)cudaFree(s->workers[i].arena);
        if (s->workers[i].stream != NULL)
            (void)cudaStreamDestroy(s->workers[i].stream);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->workers);
    free(s);
}

static ortho_status open_worker(ortho_siever *s, worker *w, int threads)
{
    void *arena = NULL;
    w->siever = s;
    w->services = (ortho_services){
        .ctx = w, .alloc = arena_alloc, .free = arena_free, .fail = ortho_fail, .threads = threads};
    ortho_status status =
        check(cudaStreamCreateWithFlags(&w->stream, cudaStreamNonBlocking), "a stream");
    if (status == ORTHO_OK)
        status = take_device(s, s->arena_bytes, &arena);
    w->arena = arena;
    w->services.stream = w->stream;
    return status;
}

static ortho_status open_siever(const ortho_siever_options *o, ortho_siever **out)
{
    size_t total;
    ortho_siever *s = calloc(1, sizeof *s);
    worker *workers = calloc((size_t)o->workers, sizeof *workers);
    if (s == NULL || workers == NULL) {
        free(s);
        free(workers);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a sieve");
    }
    s->workers = workers;
    s->count = o->workers;
    s->arena_bytes = worker_bytes(o);
    pthread_mutex_init(&s->lock, NULL);
    ortho_status status = ortho_choose_sieve(ORTHO_CUDA, &s->variant);
    if (status == ORTHO_OK)
        status = check(cudaGetDevice(&s->device), "the current GPU");
    if (status == ORTHO_OK)
        status = check(cudaMemGetInfo(&s->free_before, &total), "the GPU's memory");
    s->least_free = s->free_before;
    for (int i = 0; i < o->workers && status == ORTHO_OK; i++)
        status = open_worker(s, &s->workers[i], o->threads);
    if (status == ORTHO_OK)
        *out = s;
    else
        close_siever(s);
    return status;
}

static void *alloc(size_t bytes)
{
    void *memory = NULL;
    return check(cudaHostAlloc(&memory, bytes + 4096, cudaHostAllocPortable),
                 "pinned memory for a buffer") == ORTHO_OK
               ? memory
               : NULL;
}

static void free_host(void *memory)
{
    if (memory != NULL)
        (void)cudaFreeHost(memory);
}

static void peaks(ortho_siever *s, uint64_t *allocated, uint64_t *seen)
{
    pthread_mutex_lock(&s->lock);
    look_at_memory(s);
    *allocated = s->most;
    *seen = s->free_before - s->least_free;
    pthread_mutex_unlock(&s->lock);
}

static const ortho_siever_ops cuda = {
    .device = ORTHO_DEVICE_CUDA,
    .workers = count_workers,
    .worker_bytes = worker_bytes,
    .open = open_siever,
    .close = close_siever,
    .alloc = alloc,
    .free = free_host,
    .sieve = sieve,
    .peaks = peaks,
    .time_copy = time_copy,
};

const ortho_siever_ops *ortho_siever_cuda(void)
{
    int devices = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);
    if (error == cudaSuccess && devices > 0)
        error = cudaFree(NULL); /* the context */
    const ortho_variant *variant = NULL;
    if (error == cudaSuccess && devices > 0)
        return ortho_choose_sieve(ORTHO_CUDA, &variant) == ORTHO_OK ? &cuda : NULL;
    (void)cudaGetLastError();
    ortho_fail(ORTHO_E_UNSUPPORTED, "no GPU can be used here: %s",
               error == cudaSuccess ? "there is none" : cudaGetErrorString(error));
    return NULL;
}
