/*
 * CUDA through its runtime, which is linked statically and finds the driver by itself: without one
 * everything here says so.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include "common/error.h"
#include "lib/device.h"
#include "lib/device_pool.h"

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ortho_status ortho_gpu_check(int error, const char *what)
{
    if (error == cudaSuccess)
        return ORTHO_OK;
    (void)cudaGetLastError(); /* or the next launch would be blamed for it */
    return ortho_fail(error == cudaErrorMemoryAllocation ? ORTHO_E_MEMORY : ORTHO_E_DEVICE,
                      "%s: %s (%s)", what, cudaGetErrorString((cudaError_t)error),
                      cudaGetErrorName((cudaError_t)error));
}

bool ortho_gpu_available(char why[256])
{
    int devices = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);
    if (error == cudaSuccess && devices > 0)
        return true;
    (void)cudaGetLastError();
    snprintf(why, 256, "no NVIDIA driver or GPU here (%s)",
             error == cudaSuccess ? "no device" : cudaGetErrorName(error));
    return false;
}

/* ---- memory of others ------------------------------------------------------------------------ */

typedef CUresult attributes_fn(unsigned, CUpointer_attribute *, void **, CUdeviceptr);

static int note_loads(struct dl_phdr_info *info, size_t size, void *loads)
{
    (void)size;
    *(unsigned long long *)loads = info->dlpi_adds;
    return 1; /* the first object tells it as well as any other */
}

/* The driver's, where something in this process has loaded it: who hasn't can have no pointer of
 * it. The runtime's own question would make a context, and that takes time and memory. A search
 * reads files, a forward on the CPU asks twice: so what is found is kept, and what isn't is looked
 * for again only when this process has loaded something since. */
static attributes_fn *find_attributes(void)
{
    static _Atomic(attributes_fn *) kept;
    static _Atomic unsigned long long searched; /* as many libraries had been loaded, in vain */
    attributes_fn *found = atomic_load(&kept);
    unsigned long long loads = 0; /* counted before the search: one that comes late counts again */
    if (found != NULL)
        return found;
    (void)dl_iterate_phdr(note_loads, &loads);
    if (loads == atomic_load(&searched))
        return NULL;
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    void *symbol = driver != NULL ? dlsym(driver, "cuPointerGetAttributes") : NULL;
    memcpy(&found, &symbol, sizeof found);
    if (found != NULL) {
        atomic_store(&kept, found); /* with the driver, which stays open */
        return found;
    }
    if (driver != NULL)
        dlclose(driver); /* whoever loaded it keeps it */
    atomic_store(&searched, loads);
    return NULL;
}

/* The runtime's answer, for a driver that wants a context to give one. */
static ortho_memory ask_runtime(const void *pointer, int *ordinal)
{
    struct cudaPointerAttributes a = {0};
    if (cudaPointerGetAttributes(&a, pointer) != cudaSuccess) {
        (void)cudaGetLastError();
        return ORTHO_MEMORY_HOST;
    }
    if (a.type == cudaMemoryTypeDevice && ordinal != NULL)
        *ordinal = a.device;
    return a.type == cudaMemoryTypeDevice    ? ORTHO_MEMORY_DEVICE
           : a.type == cudaMemoryTypeManaged ? ORTHO_MEMORY_MANAGED
           : a.type == cudaMemoryTypeHost    ? ORTHO_MEMORY_PINNED
                                             : ORTHO_MEMORY_HOST;
}

ortho_memory ortho_gpu_memory(const void *pointer, int *ordinal)
{
    attributes_fn *ask = find_attributes();
    unsigned type = 0;
    int managed = 0, device = 0;
    CUpointer_attribute wanted[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                    CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
    void *answers[] = {&type, &managed, &device};
    CUresult answer = ask == NULL ? CUDA_ERROR_NOT_INITIALIZED
                                  : ask(3, wanted, answers, (CUdeviceptr)(uintptr_t)pointer);
    if (answer == CUDA_ERROR_INVALID_CONTEXT)
        return ask_runtime(pointer, ordinal);
    if (answer != CUDA_SUCCESS)
        return ORTHO_MEMORY_HOST;
    if (managed != 0)
        return ORTHO_MEMORY_MANAGED;
    if (type == CU_MEMORYTYPE_HOST)
        return ORTHO_MEMORY_PINNED;
    if (type != CU_MEMORYTYPE_DEVICE)
        return ORTHO_MEMORY_HOST;
    if (ordinal != NULL)
        *ordinal = device;
    return ORTHO_MEMORY_DEVICE;
}

bool ortho_gpu_reaches(const ortho_gpu *gpu, const void *pointer)
{
    struct cudaPointerAttributes a = {0};
    if (cudaPointerGetAttributes(&a, pointer) != cudaSuccess) {
        (void)cudaGetLastError();
        return false;
    }
    switch (a.type) {
    case cudaMemoryTypeDevice:
        return a.device == gpu->ordinal;
    case cudaMemoryTypeManaged:
        return true;
    case cudaMemoryTypeHost:
        return a.devicePointer == pointer;
    default:
        return false;
    }
}

ortho_status ortho_gpu_gather(const ortho_matrix *from, void *to)
{
    size_t element = from->dtype == ORTHO_F32 ? 4 : 2, row = (size_t)from->cols * element;
    ortho_status status = ortho_gpu_wait();
    if (status != ORTHO_OK)
        return status;
    return ortho_gpu_check(cudaMemcpy2D(to, row, from->data, (size_t)from->stride * element, row,
                                        (size_t)from->rows, cudaMemcpyDefault),
                           "copy of W");
}

ortho_status ortho_gpu_wait(void)
{
    return ortho_gpu_check(cudaDeviceSynchronize(), "waiting for the GPU");
}

/* ---- the object ------------------------------------------------------------------------------ */

static void discard(ortho_gpu *gpu)
{
    pthread_mutex_destroy(&gpu->lock);
    free(gpu);
}

ortho_status ortho_gpu_open(ortho_account *account, ortho_gpu **out)
{
    char why[256];
    int ordinal = 0;
    if (!ortho_gpu_available(why))
        return ortho_fail(ORTHO_E_UNSUPPORTED, "%s", why);
    ortho_status status = ortho_gpu_check(cudaGetDevice(&ordinal), "the current GPU");
    if (status != ORTHO_OK)
        return status;
    ortho_gpu *gpu = calloc(1, sizeof *gpu);
    if (gpu == NULL || pthread_mutex_init(&gpu->lock, NULL) != 0) {
        free(gpu);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a GPU's bookkeeping");
    }
    gpu->ordinal = ordinal;
    gpu->account = account;
    status = ortho_gpu_join_pool(gpu);
    if (status != ORTHO_OK)
        discard(gpu);
    else
        *out = gpu;
    return status;
}

void ortho_gpu_close(ortho_gpu *gpu)
{
    ortho_gpu_scope scope;
    if (gpu == NULL)
        return;
    const bool entered = ortho_gpu_enter(gpu, &scope) == ORTHO_OK;
    ortho_gpu_leave_pool(gpu);
    if (entered)
        ortho_gpu_leave(&scope);
    discard(gpu);
}

int ortho_gpu_ordinal(const ortho_gpu *gpu)
{
    return gpu->ordinal;
}

ortho_status ortho_gpu_enter(const ortho_gpu *gpu, ortho_gpu_scope *scope)
{
    enum cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    ortho_status status = ortho_gpu_check(cudaGetDevice(&scope->device), "the current GPU");
    if (status == ORTHO_OK && scope->device != gpu->ordinal)
        status = ortho_gpu_check(cudaSetDevice(gpu->ordinal), "the layer's GPU");
    if (status != ORTHO_OK)
        return status;
    (void)cudaThreadExchangeStreamCaptureMode(&mode);
    scope->capture_mode = (int)mode;
    return ORTHO_OK;
}

void ortho_gpu_leave(const ortho_gpu_scope *scope)
{
    enum cudaStreamCaptureMode mode = (enum cudaStreamCaptureMode)scope->capture_mode;
    int device = scope->device;
    (void)cudaThreadExchangeStreamCaptureMode(&mode);
    if (cudaGetDevice(&device) == cudaSuccess && device != scope->device)
        (void)cudaSetDevice(scope->device);
}

/* ---- services -------------------------------------------------------------------------------- */

static ortho_gpu_record **find_record(ortho_gpu *gpu, const void *ptr)
{
    ortho_gpu_record **at = &gpu->records;
    while (*at != NULL && (*at)->ptr != ptr)
        at = &(*at)->next;
    return at;
}

static void *gpu_alloc(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    ortho_gpu *gpu = ctx;
    ortho_services host = ortho_account_services(gpu->account, 1);
    if (space == ORTHO_HOST)
        return host.alloc(host.ctx, bytes, space, purpose);
    ortho_gpu_record *record = malloc(sizeof *record);
    if (record == NULL) {
        ortho_fail(ORTHO_E_MEMORY, "no memory for a GPU's bookkeeping");
        return NULL;
    }
    *record = (ortho_gpu_record){.bytes = bytes, .purpose = purpose};
    cudaError_t error = cudaMalloc(&record->ptr, bytes > 0 ? bytes : 1);
    if (error != cudaSuccess) {
        (void)cudaGetLastError();
        ortho_fail(ORTHO_E_MEMORY, "no device memory for %zu bytes: %s", bytes,
                   cudaGetErrorString(error));
        free(record);
        return NULL;
    }
    ortho_account_book(gpu->account, purpose, bytes);
    pthread_mutex_lock(&gpu->lock);
    record->next = gpu->records;
    gpu->records = record;
    pthread_mutex_unlock(&gpu->lock);
    return record->ptr;
}

static void gpu_free(void *ctx, void *ptr)
{
    ortho_gpu *gpu = ctx;
    ortho_services host = ortho_account_services(gpu->account, 1);
    if (ptr == NULL)
        return;
    pthread_mutex_lock(&gpu->lock);
    ortho_gpu_record **at = find_record(gpu, ptr), *record = *at;
    if (record != NULL)
        *at = record->next;
    pthread_mutex_unlock(&gpu->lock);
    if (record == NULL) {
        host.free(host.ctx, ptr);
        return;
    }
    (void)cudaFree(ptr); /* a device in error was reported by what put it there */
    ortho_account_unbook(gpu->account, record->purpose, record->bytes);
    free(record);
}

ortho_services ortho_gpu_services(ortho_gpu *gpu, int threads)
{
    return (ortho_services){
        .ctx = gpu,
        .alloc = gpu_alloc,
        .free = gpu_free,
        .fail = ortho_fail,
        .threads = threads > 0 ? threads : 1,
    };
}
