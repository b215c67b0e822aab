/*
 * device.h: the GPU, as the library needs it. device_cuda.c is it; device_none.c stands in where
 * the build has no CUDA.
 *
 * A layer on a GPU owns an ortho_gpu: which device it is and what the layer has allocated there.
 * Workspaces come from a pool that all ortho_gpus of one device share. Whatever touches the device
 * happens between enter and leave, which set the thread's device and put back what it was.
 */
#ifndef ORTHO_LIB_DEVICE_H
#define ORTHO_LIB_DEVICE_H

#include "common/account.h"

/* Is there a GPU to compute on? False with the reason in words. */
bool ortho_gpu_available(char why[256]);

/* What kind of memory lies at a pointer. */
typedef enum ortho_memory {
    ORTHO_MEMORY_HOST = 0, /* the process's own; what nobody registered counts as this */
    ORTHO_MEMORY_PINNED,   /* the process's, and the GPUs reach it */
    ORTHO_MEMORY_MANAGED,  /* migrates between them */
    ORTHO_MEMORY_DEVICE    /* a GPU's */
} ortho_memory;

/* Makes no context: a process that never used a GPU doesn't begin to here. `ordinal` may be NULL;
 * set where memory is a GPU's. */
ortho_memory ortho_gpu_memory(const void *pointer, int *ordinal);

typedef struct ortho_gpu ortho_gpu;

/* On the calling thread's current device. Device memory is booked on `account`, which must outlive
 * it. UNSUPPORTED with the reason when there is none. */
ortho_status ortho_gpu_open(ortho_account *account, ortho_gpu **out);

/* The last of a device waits for every launch there between a take and a give, and frees the pool.
 * Services' memory must have been freed. NULL is allowed. */
void ortho_gpu_close(ortho_gpu *gpu);

/* Waits for every launch between a take and a give of this ortho_gpu, graphs' excepted; for others'
 * too that had the same workspace later. Not for the device: that may not be waited for while
 * anybody captures. */
void ortho_gpu_settle(ortho_gpu *gpu);

int ortho_gpu_ordinal(const ortho_gpu *gpu);

typedef struct ortho_gpu_scope {
    int device, capture_mode; /* the thread's, before */
} ortho_gpu_scope;

/* In a scope calls that may wait for the device (an allocation) don't break a capture that another
 * thread has under way. */
ortho_status ortho_gpu_enter(const ortho_gpu *gpu, ortho_gpu_scope *scope);
void ortho_gpu_leave(const ortho_gpu_scope *scope);

/* Services over the legacy default stream; ORTHO_HOST memory comes from the host, booked alike. */
ortho_services ortho_gpu_services(ortho_gpu *gpu, int threads);

/* May a kernel on this GPU read and write there? */
bool ortho_gpu_reaches(const ortho_gpu *gpu, const void *pointer);

/* Copies a matrix without the gaps of its stride, from any memory to any, after everything on the
 * device that was enqueued before, on whatever stream; waits for it. */
ortho_status ortho_gpu_gather(const ortho_matrix *from, void *to);

/* Waits for all that was enqueued on the device. */
ortho_status ortho_gpu_wait(void);

/*
 * A workspace, from take to give, for launches on one stream. Nobody waits on the host: the next
 * taker, of whichever ortho_gpu, gets memory that its stream is ordered behind, or that is known to
 * be idle, or new memory; only where there is no room for that, idle memory is freed, which may
 * wait for the device. What is taken and not given yet is nobody else's.
 * While the stream is being captured the memory belongs to the graph: allocated and freed by nodes
 * of it, so that a graph may be launched at any time, on any stream, beside ordinary calls.
 */
typedef struct ortho_gpu_lease {
    void *memory; /* 256-byte aligned; NULL where a graph wanted no bytes */
    void *stream;
    struct ortho_gpu_slot *slot; /* NULL: the graph's */
} ortho_gpu_lease;

ortho_status ortho_gpu_take(ortho_gpu *gpu, size_t bytes, void *stream, ortho_gpu_lease *out);
ortho_status ortho_gpu_give(ortho_gpu *gpu, ortho_gpu_lease *lease);

#endif
