/*
 * The CPU: host memory, a synchronous call per launch. The cache flush writes and reads a scratch
 * buffer larger than the last-level cache from every thread, since private caches hold lines too.
 */
#define _DEFAULT_SOURCE /* madvise */
#include "harness/backend.h"

#include "common/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool cpu_available(char why[256])
{
    why[0] = '\0';
    return true;
}

/* sysfs knows caches that glibc's CPUID tables don't. */
static size_t sysfs_cache_bytes(void)
{
    size_t best = 0;
    for (int index = 0; index < 8; index++) {
        char path[96], unit = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
        FILE *f = fopen(path, "r");
        if (f == NULL)
            break;
        unsigned long long size = 0;
        int fields = fscanf(f, "%llu%c", &size, &unit);
        fclose(f);
        if (fields < 1)
            continue;
        size_t bytes = (size_t)size * (unit == 'K' ? 1024u : unit == 'M' ? 1024u * 1024u : 1u);
        best = bytes > best ? bytes : best;
    }
    return best;
}

static size_t cpu_cache_bytes(void)
{
    long size = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    size = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return size > 0 ? (size_t)size : sysfs_cache_bytes();
}

/* From this size on an allocation asks for huge pages: where 4 KiB pages happen to lie moved the
 * same kernel by 4 % from one set of copies to the next. */
#define HUGE_PAGE ((size_t)2 << 20)

static void *cpu_alloc(size_t bytes, ortho_space space)
{
    if (space != ORTHO_HOST) {
        ortho_fail(ORTHO_E_UNSUPPORTED, "device memory asked of the CPU backend");
        return NULL;
    }
    size_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    size_t padded = (bytes + unit - 1) / unit * unit;
    void *ptr = bytes <= SIZE_MAX / 2 ? aligned_alloc(unit, padded) : NULL;
    if (ptr == NULL)
        ortho_fail(ORTHO_E_MEMORY, "no memory for %zu bytes", bytes);
    else if (unit == HUGE_PAGE)
        (void)madvise(ptr, padded, MADV_HUGEPAGE); /* refused: small pages, more noise */
    return ptr;
}

static void cpu_free(void *ptr, ortho_space space)
{
    (void)space;
    free(ptr);
}

static ortho_status cpu_copy(void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
    return ORTHO_OK;
}

static ortho_status cpu_fill(void *dst, int byte, size_t bytes)
{
    memset(dst, byte, bytes);
    return ORTHO_OK;
}

static ortho_status cpu_flush(ob_queue *queue, void *scratch, size_t bytes, int threads)
{
    (void)queue;
    volatile unsigned char *p = scratch;
    int64_t lines = (int64_t)(bytes / 64);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < lines; i++)
        p[64 * i] = (unsigned char)(p[64 * i] + 1u);
    return ORTHO_OK;
}

/* Nothing counts here, so nothing asks for a cache of clean lines. */
static ortho_status cpu_evict(ob_queue *queue, const void *scratch, size_t bytes)
{
    (void)queue, (void)scratch, (void)bytes;
    return ORTHO_OK;
}

static ortho_status cpu_wait(ob_queue *queue)
{
    (void)queue;
    return ORTHO_OK;
}

static bool cpu_profile(bool start)
{
    (void)start;
    return false;
}

static size_t cpu_nodes(ob_queue *queue, const ob_launches *launches, int64_t count)
{
    (void)queue, (void)launches, (void)count;
    return 0;
}

static ortho_status launch_all(const ob_launches *launches, int64_t first, int64_t count)
{
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; status == ORTHO_OK && i < count; i++)
        status = launches->launch(launches->ctx, first + i);
    return status;
}

static ortho_status cpu_time(ob_queue *queue, const ob_timer *timer, ob_launches *launches,
                             const ob_span *span, double *ns)
{
    (void)queue;
    ortho_status status = launch_all(launches, span->first, span->lead);
    double start = ob_timer_now();
    if (status == ORTHO_OK)
        status = launch_all(launches, span->first + span->lead, span->count);
    if (status == ORTHO_OK)
        *ns = ob_timer_elapsed(timer, start, ob_timer_now());
    return status;
}

static ortho_status cpu_open(ob_queue **out)
{
    *out = NULL;
    return ORTHO_OK;
}

static void cpu_close(ob_queue *queue)
{
    (void)queue;
}

static void *cpu_stream(const ob_queue *queue)
{
    (void)queue;
    return NULL;
}

static void cpu_device_memory(size_t *used, size_t *total)
{
    *used = *total = 0;
}

static size_t cpu_pool_high(void)
{
    return 0;
}

static void cpu_forget(ob_launches *launches)
{
    (void)launches;
}

const ob_backend ob_backend_cpu = {
    .kind = ORTHO_CPU,
    .name = "cpu",
    .cold_factor = 1.25,
    .available = cpu_available,
    .open = cpu_open,
    .close = cpu_close,
    .stream = cpu_stream,
    .cache_bytes = cpu_cache_bytes,
    .device_memory = cpu_device_memory,
    .pool_high = cpu_pool_high,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .space = ORTHO_HOST,
    .upload = cpu_copy,
    .download = cpu_copy,
    .fill = cpu_fill,
    .flush = cpu_flush,
    .evict = cpu_evict,
    .nodes = cpu_nodes,
    .wait = cpu_wait,
    .profile = cpu_profile,
    .time = cpu_time,
    .forget = cpu_forget,
};

const ob_backend *ob_backend_find(ortho_backend kind)
{
    if (kind == ORTHO_CPU)
        return &ob_backend_cpu;
#ifdef ORTHO_HAVE_CUDA
    return &ob_backend_cuda;
#else
    return NULL;
#endif
}
