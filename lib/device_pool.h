/* device_pool.h: the inside of an ortho_gpu, for device_cuda.c and device_pool_cuda.c. */
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

typedef struct ortho_gpu_slot ortho_gpu_slot;

struct ortho_gpu {
    int ordinal;
    ortho_account *account;
    pthread_mutex_t lock; /* of what follows */
    ortho_gpu_record *records;
    ortho_gpu_slot *slots;
    int slot_count;
};

/* A cudaError_t as ours: MEMORY where the device is full, DEVICE otherwise. */
ortho_status ortho_gpu_check(int error, const char *what);

/* Frees the pool of a device that is idle. */
void ortho_gpu_drop_slots(ortho_gpu *gpu);

#endif
