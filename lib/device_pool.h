/* device_pool.h: the inside of an ortho_gpu and of a device's pool of workspaces, for device_cuda.c
 * and device_pool_cuda.c. */
#ifndef ORTHO_LIB_DEVICE_POOL_H
#define ORTHO_LIB_DEVICE_POOL_H

#include "lib/device.h"

#include <pthread.h>

/* Device memory that was allocated through the services. */
typedef struct ortho_gpu_record {
    void *ptr;
    size_t bytes;
    ortho_purpose purpose;
    struct ortho_gpu_record *next;
} ortho_gpu_record;

typedef struct ortho_gpu_pool ortho_gpu_pool;

struct ortho_gpu {
    int ordinal;
    ortho_account *account;
    ortho_gpu_pool *pool; /* the device's */
    uint64_t used;        /* slots' bits, of those that were taken; under the pool's lock */
    pthread_mutex_t lock; /* of what follows */
    ortho_gpu_record *records;
};

/* A cudaError_t as ours: MEMORY where the device is full, DEVICE otherwise. */
ortho_status ortho_gpu_check(int error, const char *what);

/* Makes gpu->pool that of its device, and an end of that; the last one who leaves, in the scope of
 * the device, waits for what is under way and frees it. */
ortho_status ortho_gpu_join_pool(ortho_gpu *gpu);
void ortho_gpu_leave_pool(ortho_gpu *gpu);

#endif
