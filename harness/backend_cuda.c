/*
 * CUDA: device memory, and launches that are recorded once as a graph and replayed. A graph's
 * kernels start a microsecond apart where launches from the host take five, so that a kernel of 4
 * us is timed and not its launch. A sample is [lead graph] [event] [graph] [event], all enqueued at
 * once: while the GPU works on the lead the host has long enqueued the rest.
 *
 * The stream is a blocking one: copies and fills on the default stream are ordered with it.
 */
#include "harness/backend.h"

#include "common/error.h"
#include "harness/evict.h"

#include <cuda_profiler_api.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>

struct ob_queue {
    cudaStream_t stream;
    cudaEvent_t start, stop;
};

/* A graph of `count` launches from copy 0 on; count 0: none yet. */
typedef struct recording {
    cudaGraphExec_t graph;
    int64_t count;
} recording;

struct ob_capture {
    recording lead, body;
};

static ortho_status check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return ORTHO_OK;
    (void)cudaGetLastError(); /* or the next variant's launch would be blamed for it */
    return ortho_fail(error == cudaErrorMemoryAllocation ? ORTHO_E_MEMORY : ORTHO_E_DEVICE,
                      "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

/* ---- the device ------------------------------------------------------------------------------ */

static bool cuda_available(char why[256])
{
    int devices = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);
    if (error == cudaSuccess && devices > 0)
        return true;
    (void)cudaGetLastError();
    if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice || devices == 0)
        snprintf(why, 256, "no NVIDIA driver or GPU here (%s)",
                 error == cudaSuccess ? "no device" : cudaGetErrorName(error));
    else
        snprintf(why, 256, "the GPU can't be used: %s (%s)", cudaGetErrorString(error),
                 cudaGetErrorName(error));
    return false;
}

static size_t cuda_cache_bytes(void)
{
    int device = 0, bytes = 0;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device) != cudaSuccess)
        return 0;
    return bytes > 0 ? (size_t)bytes : 0;
}

static void cuda_device_memory(size_t *used, size_t *total)
{
    size_t available = 0;
    *used = *total = 0;
    if (cudaMemGetInfo(&available, total) == cudaSuccess)
        *used = *total - available;
}

static size_t cuda_pool_high(void)
{
    int device = 0;
    cudaMemPool_t pool;
    uint64_t high = 0, zero = 0;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetDefaultMemPool(&pool, device) != cudaSuccess ||
        cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemHigh, &high) != cudaSuccess ||
        cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReservedMemHigh, &zero) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    return (size_t)high;
}

static void *cuda_alloc(size_t bytes, ortho_space space)
{
    void *ptr = NULL;
    if (space == ORTHO_HOST)
        return ob_backend_cpu.alloc(bytes, ORTHO_HOST);
    cudaError_t error = cudaMalloc(&ptr, bytes > 0 ? bytes : 1);
    if (error == cudaSuccess)
        return ptr;
    (void)cudaGetLastError();
    ortho_fail(ORTHO_E_MEMORY, "no device memory for %zu bytes: %s", bytes,
               cudaGetErrorString(error));
    return NULL;
}

static void cuda_free(void *ptr, ortho_space space)
{
    if (space == ORTHO_HOST)
        ob_backend_cpu.free(ptr, ORTHO_HOST);
    else
        (void)cudaFree(ptr); /* a device in error was reported by what put it there */
}

static ortho_status cuda_upload(void *dst, const void *src, size_t bytes)
{
    return check(cudaMemcpy(dst, src, bytes, cudaMemcpyHostToDevice), "copy to the device");
}

static ortho_status cuda_download(void *dst, const void *src, size_t bytes)
{
    return check(cudaMemcpy(dst, src, bytes, cudaMemcpyDeviceToHost), "copy from the device");
}

static ortho_status cuda_fill(void *dst, int byte, size_t bytes)
{
    return bytes > 0 ? check(cudaMemset(dst, byte, bytes), "fill of device memory") : ORTHO_OK;
}

/* ---- the queue ------------------------------------------------------------------------------- */

static void cuda_close(ob_queue *q)
{
    if (q == NULL)
        return;
    if (q->stop != NULL)
        (void)cudaEventDestroy(q->stop);
    if (q->start != NULL)
        (void)cudaEventDestroy(q->start);
    if (q->stream != NULL)
        (void)cudaStreamDestroy(q->stream);
    free(q);
}

static ortho_status cuda_open(ob_queue **out)
{
    ob_queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a stream's bookkeeping");
    ortho_status status = check(cudaStreamCreate(&q->stream), "a stream");
    if (status == ORTHO_OK)
        status = check(cudaEventCreate(&q->start), "an event");
    if (status == ORTHO_OK)
        status = check(cudaEventCreate(&q->stop), "an event");
    /* Nobody may keep operands in the L2 past what its replacement would: no set-aside. */
    if (status == ORTHO_OK && cudaDeviceSetLimit(cudaLimitPersistingL2CacheSize, 0) != cudaSuccess)
        (void)cudaGetLastError(); /* a GPU without persisting accesses has none to forbid */
    if (status != ORTHO_OK) {
        cuda_close(q);
        return status;
    }
    *out = q;
    return ORTHO_OK;
}

static void *cuda_stream(const ob_queue *queue)
{
    return queue->stream;
}

static ortho_status cuda_flush(ob_queue *queue, void *scratch, size_t bytes, int threads)
{
    (void)threads;
    return check(cudaMemsetAsync(scratch, 0x5a, bytes, queue->stream), "flush of the L2");
}

static ortho_status cuda_wait(ob_queue *queue)
{
    return check(cudaStreamSynchronize(queue->stream), "waiting for launches");
}

static bool cuda_profile(bool start)
{
    return (start ? cudaProfilerStart() : cudaProfilerStop()) == cudaSuccess;
}

static ortho_status cuda_evict(ob_queue *queue, const void *scratch, size_t bytes)
{
    return check((cudaError_t)ob_evict_launch(scratch, bytes, queue->stream),
                 "reading the L2 full");
}

/* ---- recording ------------------------------------------------------------------------------- */

static void drop(recording *r)
{
    if (r->graph != NULL)
        (void)cudaGraphExecDestroy(r->graph);
    *r = (recording){0};
}

static void cuda_forget(ob_launches *launches)
{
    if (launches->capture == NULL)
        return;
    drop(&launches->capture->lead);
    drop(&launches->capture->body);
    free(launches->capture);
    launches->capture = NULL;
}

static ortho_status enqueue(const ob_launches *launches, int64_t first, int64_t count)
{
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; status == ORTHO_OK && i < count; i++)
        status = launches->launch(launches->ctx, first + i);
    return status;
}

/* Whether a copy has host memory at either end. */
static bool leaves_device(cudaGraphNode_t node)
{
    struct cudaMemcpy3DParms p = {0};
    if (cudaGraphMemcpyNodeGetParams(node, &p) != cudaSuccess)
        return false; /* an array's copy, which no variant makes */
    const void *ends[] = {p.srcPtr.ptr, p.dstPtr.ptr};
    for (int i = 0; i < 2; i++) {
        struct cudaPointerAttributes a = {0};
        if (ends[i] != NULL && (cudaPointerGetAttributes(&a, ends[i]) != cudaSuccess ||
                                a.type != cudaMemoryTypeDevice))
            return true;
    }
    return false;
}

/* What a run hook may not put on its stream, in words; NULL when this may be. */
static const char *objection(cudaGraphNode_t node)
{
    enum cudaGraphNodeType type;
    if (cudaGraphNodeGetType(node, &type) != cudaSuccess)
        return NULL;
    switch (type) {
    case cudaGraphNodeTypeMemAlloc:
    case cudaGraphNodeTypeMemFree:
        return "allocates or frees device memory";
    case cudaGraphNodeTypeHost:
        return "calls the host";
    case cudaGraphNodeTypeMemcpy:
        return leaves_device(node) ? "copies from or to host memory" : NULL;
    default:
        return NULL;
    }
}

/* That a recording holds something, and nothing that a run hook may not do. */
static ortho_status audit(cudaGraph_t graph)
{
    size_t count = 0;
    ortho_status status = check(cudaGraphGetNodes(graph, NULL, &count), "reading a recording");
    if (status != ORTHO_OK)
        return status;
    if (count == 0)
        return ortho_fail(ORTHO_E_WRONG, "a run hook put nothing on the stream it was given");
    cudaGraphNode_t *nodes = calloc(count, sizeof *nodes);
    if (nodes == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a recording's nodes");
    status = check(cudaGraphGetNodes(graph, nodes, &count), "reading a recording");
    for (size_t i = 0; status == ORTHO_OK && i < count; i++) {
        const char *what = objection(nodes[i]);
        if (what != NULL)
            status = ortho_fail(ORTHO_E_WRONG, "a run hook %s", what);
    }
    (void)cudaGetLastError();
    free(nodes);
    return status;
}

/* Records launches 0 .. count - 1. A hook that waits or allocates is found out here. */
static ortho_status record(ob_queue *q, const ob_launches *launches, int64_t count, recording *out)
{
    cudaGraph_t graph = NULL;
    if (out->count == count)
        return ORTHO_OK;
    drop(out);
    ortho_status status =
        check(cudaStreamBeginCapture(q->stream, cudaStreamCaptureModeThreadLocal), "begin capture");
    if (status != ORTHO_OK)
        return status;
    ortho_status launched = enqueue(launches, 0, count);
    status = check(cudaStreamEndCapture(q->stream, &graph),
                   "recording launches (does a run hook wait, or allocate?)");
    if (launched != ORTHO_OK) { /* its own message was overwritten: launch again to have it */
        (void)cudaGetLastError();
        ortho_status again = enqueue(launches, 0, 1);
        status = again != ORTHO_OK ? again : status != ORTHO_OK ? status : launched;
    }
    if (status == ORTHO_OK)
        status = audit(graph);
    if (status == ORTHO_OK)
        status = check(cudaGraphInstantiate(&out->graph, graph, 0), "instantiating a graph");
    if (status == ORTHO_OK)
        status = check(cudaGraphUpload(out->graph, q->stream), "uploading a graph");
    if (graph != NULL)
        (void)cudaGraphDestroy(graph);
    if (status == ORTHO_OK)
        out->count = count;
    return status;
}

/* How many nodes a recording of these launches would have; 0 when it fails. */
static size_t cuda_nodes(ob_queue *q, const ob_launches *launches, int64_t count)
{
    cudaGraph_t graph = NULL;
    size_t nodes = 0;
    if (cudaStreamBeginCapture(q->stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess) {
        ortho_status launched = enqueue(launches, 0, count);
        cudaError_t error = cudaStreamEndCapture(q->stream, &graph);
        if (launched != ORTHO_OK || error != cudaSuccess ||
            cudaGraphGetNodes(graph, NULL, &nodes) != cudaSuccess)
            nodes = 0;
    }
    if (graph != NULL)
        (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    return nodes;
}

static ortho_status prepare_graphs(ob_queue *q, ob_launches *launches, const ob_span *span)
{
    if (launches->capture == NULL)
        launches->capture = calloc(1, sizeof *launches->capture);
    if (launches->capture == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a recording");
    ortho_status status = ORTHO_OK;
    if (span->lead > 0)
        status = record(q, launches, span->lead, &launches->capture->lead);
    return status == ORTHO_OK ? record(q, launches, span->count, &launches->capture->body) : status;
}

/* ---- timing ---------------------------------------------------------------------------------- */

static ortho_status run_graphs(ob_queue *q, const ob_launches *launches, const ob_span *span)
{
    const ob_capture *c = launches->capture;
    ortho_status status = ORTHO_OK;
    if (span->lead > 0)
        status = check(cudaGraphLaunch(c->lead.graph, q->stream), "launching the lead");
    if (status == ORTHO_OK)
        status = check(cudaEventRecord(q->start, q->stream), "an event");
    if (status == ORTHO_OK)
        status = check(cudaGraphLaunch(c->body.graph, q->stream), "launching the sample");
    return status;
}

static ortho_status run_plainly(ob_queue *q, const ob_launches *launches, const ob_span *span)
{
    ortho_status status = enqueue(launches, span->first, span->lead);
    if (status == ORTHO_OK)
        status = check(cudaEventRecord(q->start, q->stream), "an event");
    return status == ORTHO_OK ? enqueue(launches, span->first + span->lead, span->count) : status;
}

/* One launch goes as it is: it is long, or nobody wants its time to the microsecond. */
static ortho_status cuda_time(ob_queue *q, const ob_timer *timer, ob_launches *launches,
                              const ob_span *span, double *ns)
{
    (void)timer; /* events have their own clock, on the GPU */
    float ms = 0;
    bool graphs = span->count > 1;
    ortho_status status = graphs ? prepare_graphs(q, launches, span) : ORTHO_OK;
    if (status == ORTHO_OK && cudaCtxResetPersistingL2Cache() != cudaSuccess)
        (void)cudaGetLastError();
    if (status == ORTHO_OK)
        status = graphs ? run_graphs(q, launches, span) : run_plainly(q, launches, span);
    if (status != ORTHO_OK)
        return status;
    status = check(cudaEventRecord(q->stop, q->stream), "an event");
    if (status == ORTHO_OK)
        status = check(cudaStreamSynchronize(q->stream), "waiting for the launches");
    if (status == ORTHO_OK)
        status = check(cudaEventElapsedTime(&ms, q->start, q->stop), "reading the events");
    *ns = (double)ms * 1e6;
    return status;
}

const ob_backend ob_backend_cuda = {
    .kind = ORTHO_CUDA,
    .name = "cuda",
    .cold_factor = 2.2,
    .replays = true,
    .available = cuda_available,
    .open = cuda_open,
    .close = cuda_close,
    .stream = cuda_stream,
    .cache_bytes = cuda_cache_bytes,
    .device_memory = cuda_device_memory,
    .pool_high = cuda_pool_high,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .space = ORTHO_DEVICE,
    .upload = cuda_upload,
    .download = cuda_download,
    .fill = cuda_fill,
    .flush = cuda_flush,
    .evict = cuda_evict,
    .nodes = cuda_nodes,
    .wait = cuda_wait,
    .profile = cuda_profile,
    .time = cuda_time,
    .forget = cuda_forget,
};
