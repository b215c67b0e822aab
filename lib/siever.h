/*
 * siever.h: what sieves the layers of a stream: the CPU, one layer at a time with all its threads,
 * or the GPU, several workers with a stream each, so that one's copies run beside another's
 * kernels.
 */
#ifndef ORTHO_LIB_SIEVER_H
#define ORTHO_LIB_SIEVER_H

#include <ortho/variant.h>

typedef struct ortho_siever ortho_siever;

typedef struct ortho_siever_options {
    int workers;    /* that will call sieve at once */
    int threads;    /* of the CPU, for all of them together; >= 1 */
    size_t in, out; /* bytes of the largest W, and of the largest split */
} ortho_siever_options;

typedef struct ortho_siever_ops {
    int device;                             /* ORTHO_DEVICE_CPU or ORTHO_DEVICE_CUDA */
    int (*workers)(int slots, int threads); /* that so many slots keep busy; >= 1 */
    /* Device bytes that a worker needs; 0 on the CPU. */
    size_t (*worker_bytes)(const ortho_siever_options *options);
    ortho_status (*open)(const ortho_siever_options *options, ortho_siever **out);
    void (*close)(ortho_siever *);
    /* Host memory that the device copies from and to at full speed, aligned to 4096; NULL with the
     * message left. */
    void *(*alloc)(size_t bytes);
    void (*free)(void *);
    /* p->w->data and out's arrays are host memory of alloc. One call a worker at a time. */
    ortho_status (*sieve)(ortho_siever *, int worker, const ortho_sieve_problem *p,
                          ortho_split *out);
    /* Device bytes allocated at most, and as the driver saw them; 0 on the CPU. */
    void (*peaks)(ortho_siever *, uint64_t *allocated, uint64_t *seen);
    /* Copies the worker's largest W from host to device `times` times; seconds, < 0: no device. */
    ortho_status (*time_copy)(ortho_siever *, const void *from, size_t bytes, int times,
                              double *seconds);
} ortho_siever_ops;

extern const ortho_siever_ops ortho_siever_cpu;

/* The GPU's, when this build has it and there is one; NULL with the message left: why not. Makes
 * the device's context, so that what that costs isn't counted as the run's. */
const ortho_siever_ops *ortho_siever_cuda(void);

#endif
