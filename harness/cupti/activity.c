/* activity.h over CUPTI's activity API: buffers that CUPTI fills, and one log that they go into. */
#include "harness/activity.h"
#include "harness/cupti/cupti.h"

#include "common/error.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES = 1 << 20 };

static const CUpti_ActivityKind kinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                           CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
                                           CUPTI_ACTIVITY_KIND_MEMORY2, CUPTI_ACTIVITY_KIND_MARKER};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* CUPTI's callbacks get no context of ours, so that a recording is the process's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const ob_cupti *cupti;
static ob_activity_log recorded;
static bool short_of_memory;
/* Ranges that were pushed and not popped yet, and CUPTI's ids of them. */
static struct {
    ob_marker_record *markers;
    uint32_t *ids;
    size_t count;
} unclosed;

/* Room for one more in an array that grows by doubling, counts being powers of two at growth. */
static void *grow(void *array, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    void *grown = realloc(array, (count != 0 ? 2 * count : 1) * size);
    short_of_memory = short_of_memory || grown == NULL;
    return grown;
}

static char *copy(const char *text)
{
    char *made = strdup(text != NULL ? text : "");
    short_of_memory = short_of_memory || made == NULL;
    return made;
}

/* ---- records --------------------------------------------------------------------------------- */

static void add_kernel(const CUpti_ActivityKernel10 *k)
{
    ob_kernel_record *grown =
        grow(recorded.kernels, recorded.kernel_count, sizeof *recorded.kernels);
    char *name = grown != NULL ? copy(k->name) : NULL;
    if (grown != NULL)
        recorded.kernels = grown;
    if (name == NULL)
        return;
    recorded.kernels[recorded.kernel_count++] =
        (ob_kernel_record){.name = name,
                           .start = k->start,
                           .end = k->end,
                           .stream = k->streamId,
                           .correlation = k->correlationId,
                           .grid = {k->gridX, k->gridY, k->gridZ},
                           .block = {k->blockX, k->blockY, k->blockZ},
                           .registers = k->registersPerThread,
                           .static_shared = k->staticSharedMemory,
                           .dynamic_shared = k->dynamicSharedMemory};
}

static void add_transfer(ob_transfer_record t)
{
    ob_transfer_record *grown =
        grow(recorded.transfers, recorded.transfer_count, sizeof *recorded.transfers);
    if (grown == NULL)
        return;
    recorded.transfers = grown;
    recorded.transfers[recorded.transfer_count++] = t;
}

static ob_transfer_kind kind_of(uint8_t copy_kind)
{
    switch (copy_kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
        return OB_TRANSFER_HOST_TO_DEVICE;
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
        return OB_TRANSFER_DEVICE_TO_HOST;
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
        return OB_TRANSFER_DEVICE_TO_DEVICE;
    default:
        return OB_TRANSFER_OTHER;
    }
}

static void add_copy(const CUpti_ActivityMemcpy6 *m)
{
    add_transfer((ob_transfer_record){.kind = kind_of(m->copyKind),
                                      .start = m->start,
                                      .end = m->end,
                                      .bytes = m->bytes,
                                      .stream = m->streamId,
                                      .correlation = m->correlationId});
}

static void add_fill(const CUpti_ActivityMemset4 *m)
{
    add_transfer((ob_transfer_record){.kind = OB_TRANSFER_FILL,
                                      .start = m->start,
                                      .end = m->end,
                                      .bytes = m->bytes,
                                      .stream = m->streamId,
                                      .correlation = m->correlationId});
}

static void add_memory(const CUpti_ActivityMemory4 *m)
{
    bool release = m->memoryOperationType == CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE;
    if (m->memoryKind != CUPTI_ACTIVITY_MEMORY_KIND_DEVICE ||
        (!release && m->memoryOperationType != CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION))
        return;
    ob_memory_record *grown = grow(recorded.memory, recorded.memory_count, sizeof *recorded.memory);
    if (grown == NULL)
        return;
    recorded.memory = grown;
    recorded.memory[recorded.memory_count++] =
        (ob_memory_record){.at = m->timestamp,
                           .address = m->address,
                           .bytes = m->bytes,
                           .release = release,
                           .pool = m->memoryPoolConfig.memoryPoolType != 0};
}

static void open_range(const CUpti_ActivityMarker2 *m)
{
    ob_marker_record *grown = grow(unclosed.markers, unclosed.count, sizeof *unclosed.markers);
    if (grown != NULL)
        unclosed.markers = grown;
    uint32_t *ids = grow(unclosed.ids, unclosed.count, sizeof *unclosed.ids);
    if (ids != NULL)
        unclosed.ids = ids;
    char *name = copy(m->name), *domain = copy(m->domain);
    if (grown == NULL || ids == NULL || name == NULL || domain == NULL) {
        free(name);
        free(domain);
        return;
    }
    unclosed.ids[unclosed.count] = m->id;
    unclosed.markers[unclosed.count++] = (ob_marker_record){
        .name = name,
        .domain = domain,
        .start = m->timestamp,
        .thread = m->objectKind == CUPTI_ACTIVITY_OBJECT_THREAD ? m->objectId.pt.threadId : 0};
}

static void close_range(const CUpti_ActivityMarker2 *m)
{
    size_t at = unclosed.count;
    while (at > 0 && unclosed.ids[at - 1] != m->id)
        at--;
    ob_marker_record *grown =
        grow(recorded.markers, recorded.marker_count, sizeof *recorded.markers);
    if (grown != NULL)
        recorded.markers = grown;
    if (at == 0 || grown == NULL)
        return;
    ob_marker_record closed = unclosed.markers[at - 1];
    closed.end = m->timestamp;
    unclosed.count--;
    unclosed.markers[at - 1] = unclosed.markers[unclosed.count];
    unclosed.ids[at - 1] = unclosed.ids[unclosed.count];
    recorded.markers[recorded.marker_count++] = closed;
}

static void add_record(const CUpti_Activity *r)
{
    const void *record = r;
    switch (r->kind) {
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
        add_kernel(record);
        break;
    case CUPTI_ACTIVITY_KIND_MEMCPY:
        add_copy(record);
        break;
    case CUPTI_ACTIVITY_KIND_MEMSET:
        add_fill(record);
        break;
    case CUPTI_ACTIVITY_KIND_MEMORY2:
        add_memory(record);
        break;
    case CUPTI_ACTIVITY_KIND_MARKER: {
        const CUpti_ActivityMarker2 *m = record;
        if ((m->flags & CUPTI_ACTIVITY_FLAG_MARKER_START) != 0)
            open_range(m);
        else if ((m->flags & CUPTI_ACTIVITY_FLAG_MARKER_END) != 0)
            close_range(m);
        break;
    }
    default:
        break;
    }
}

/* ---- buffers --------------------------------------------------------------------------------- */

static void CUPTIAPI on_request(uint8_t **buffer, size_t *size, size_t *records)
{
    *buffer = aligned_alloc(8, BUFFER_BYTES);
    *size = *buffer != NULL ? BUFFER_BYTES : 0;
    *records = 0;
}

static void CUPTIAPI on_complete(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size,
                                 size_t valid)
{
    CUpti_Activity *record = NULL;
    size_t dropped = 0;
    (void)size;
    pthread_mutex_lock(&lock);
    while (cupti->ActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS)
        add_record(record);
    if (cupti->ActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_SUCCESS)
        recorded.dropped += dropped;
    pthread_mutex_unlock(&lock);
    free(buffer);
}

/* ---- recording ------------------------------------------------------------------------------- */

ortho_status ob_activity_start(void)
{
    CUcontext context;
    ortho_status status = ob_cupti_alone();
    if (status == ORTHO_OK)
        status = ob_cupti_open(&cupti);
    if (status == ORTHO_OK)
        status = ob_cupti_context(&context);
    if (status == ORTHO_OK)
        status = ob_cupti_check(cupti, cupti->ActivityRegisterCallbacks(on_request, on_complete),
                                "recording activity");
    for (int i = 0; status == ORTHO_OK && i < KINDS; i++)
        status = ob_cupti_check(cupti, cupti->ActivityEnable(kinds[i]), "recording activity");
    return status;
}

static int by_time(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_kernel(const void *a, const void *b)
{
    return by_time(((const ob_kernel_record *)a)->start, ((const ob_kernel_record *)b)->start);
}

static int by_transfer(const void *a, const void *b)
{
    return by_time(((const ob_transfer_record *)a)->start, ((const ob_transfer_record *)b)->start);
}

static int by_memory(const void *a, const void *b)
{
    return by_time(((const ob_memory_record *)a)->at, ((const ob_memory_record *)b)->at);
}

static int by_marker(const void *a, const void *b)
{
    return by_time(((const ob_marker_record *)a)->start, ((const ob_marker_record *)b)->start);
}

static void sort(void *array, size_t count, size_t size, int (*order)(const void *, const void *))
{
    if (count > 1)
        qsort(array, count, size, order);
}

ortho_status ob_activity_take(ob_activity_log *out)
{
    cudaError_t error = cudaDeviceSynchronize();
    if (cupti == NULL)
        return ortho_fail(ORTHO_E_INTERNAL, "no activity is being recorded");
    ortho_status status =
        ob_cupti_check(cupti, cupti->ActivityFlushAll(0), "collecting the activity");
    if (status == ORTHO_OK && error != cudaSuccess)
        status = ortho_fail(ORTHO_E_DEVICE, "while activity was recorded: %s",
                            cudaGetErrorString(error));
    pthread_mutex_lock(&lock);
    ob_activity_log log = recorded;
    recorded = (ob_activity_log){0};
    pthread_mutex_unlock(&lock);
    if (status == ORTHO_OK && short_of_memory)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for all of the activity's records");
    sort(log.kernels, log.kernel_count, sizeof *log.kernels, by_kernel);
    sort(log.transfers, log.transfer_count, sizeof *log.transfers, by_transfer);
    sort(log.memory, log.memory_count, sizeof *log.memory, by_memory);
    sort(log.markers, log.marker_count, sizeof *log.markers, by_marker);
    if (status != ORTHO_OK)
        ob_activity_clear(&log);
    else
        *out = log;
    return status;
}

void ob_activity_stop(void)
{
    ob_activity_log rest = {0};
    for (int i = 0; cupti != NULL && i < KINDS; i++)
        (void)cupti->ActivityDisable(kinds[i]);
    if (cupti != NULL && ob_activity_take(&rest) == ORTHO_OK)
        ob_activity_clear(&rest);
    for (size_t i = 0; i < unclosed.count; i++) {
        free(unclosed.markers[i].name);
        free(unclosed.markers[i].domain);
    }
    free(unclosed.markers);
    free(unclosed.ids);
    memset(&unclosed, 0, sizeof unclosed);
}

uint64_t ob_activity_clock(void)
{
    uint64_t now = 0;
    const ob_cupti *c = NULL;
    if (ob_cupti_open(&c) != ORTHO_OK || c->GetTimestamp(&now) != CUPTI_SUCCESS)
        return 0;
    return now;
}

/* CUPTI takes part in NVTX as its injection, which NVTX looks for at its first call. */
void ob_activity_catch_nvtx(void)
{
    const ob_cupti *c = NULL;
    if (ob_cupti_open(&c) == ORTHO_OK && c->path[0] != '\0')
        (void)setenv("NVTX_INJECTION64_PATH", c->path, 0);
}
