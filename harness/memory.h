/*
 * memory.h: the allocations of one case: booked by purpose, so that a peak is a count and not an
 * estimate, and fenced, so that a write beyond an allocation is seen. Beside it, the peak that only
 * the operating system knows: a child process that runs one operation alone.
 */
#ifndef ORTHO_HARNESS_MEMORY_H
#define ORTHO_HARNESS_MEMORY_H

#include "harness/backend.h"

#include <pthread.h>

#define OB_PURPOSES 3

typedef struct ob_block ob_block;

/* Device memory of several ob_memory together, fences included: what a driver must have seen. */
typedef struct ob_device_account {
    size_t current, peak;
    size_t base; /* what `current` was when `peak` was restarted */
} ob_device_account;

/* Must not move while blocks live: services point at it. */
typedef struct ob_memory {
    const ob_backend *backend;
    ob_device_account *account; /* NULL: none is kept */
    size_t fence;               /* bytes of guard on each side of every block, a multiple of 64 */
    size_t current[OB_PURPOSES], peak[OB_PURPOSES];
    ob_block *blocks;      /* live ones, doubly linked */
    char damage[192];      /* the first broken fence that a free found; "" when none */
    pthread_mutex_t mutex; /* a variant may allocate from its threads */
} ob_memory;

/* With ORTHO_EXACT_MEMORY in the environment there are no fences and no slack: each allocation ends
 * where its block does, so that compute-sanitizer sees what a fence can't, a read beyond it. */
void ob_memory_init(ob_memory *memory, const ob_backend *backend, size_t fence);

/* Frees the mutex. Every block must have been freed; returns how many were not (and frees them):
 * a variant that leaks is told so. */
size_t ob_memory_close(ob_memory *memory);

/* Services that allocate here. */
ortho_services ob_memory_services(ob_memory *memory, int threads);

void *ob_memory_alloc(ob_memory *memory, size_t bytes, ortho_space space, ortho_purpose purpose);
void ob_memory_free(ob_memory *memory, void *ptr);

/* Peaks restart from what is held now. */
void ob_memory_restart(ob_memory *memory);

/* WRONG when a fence is broken, now or at an earlier free: says which block of how many bytes, on
 * which side, how far away. */
ortho_status ob_memory_check(ob_memory *memory);

/* Fills every live block of a purpose with 0xff (NaN in every float format). */
ortho_status ob_memory_poison(ob_memory *memory, ortho_purpose purpose);

/* ---- the child ------------------------------------------------------------------------------- */

/* One operation to be run once in a process of its own. */
typedef struct ob_memory_job {
    bool sieve;
    const char *plugin;  /* NULL: a built-in variant */
    const char *variant; /* its name */
    ortho_backend backend;
    int64_t n, k, m, nnz, group, problem_group;
    ortho_dtype dtype, w_dtype;
    ortho_rule rule;
    double alpha, density;
    int threads;
    int blob; /* descriptor of ob_memory_blob */
    bool hessian;
    ortho_activation_mode activations;
} ob_memory_job;

/* The inputs of a job in a memory file, made once for all the jobs of a slice: W, then the
 * hessian ([k] floats or NULL), then the split's arrays where there is one. Returns a descriptor
 * that the caller closes, or -1 with the message left. */
int ob_memory_blob(const ortho_matrix *w, const float *hessian, const ortho_split *split);

/* Runs the job in a child (this very binary, "__memory ..."), and gives the high-water mark of its
 * resident memory in bytes while the operation ran. UNSUPPORTED or IO with the reason. */
ortho_status ob_memory_measure(const ob_memory_job *job, size_t *bytes);

/* main() of the child: argv[1] is "__memory". Returns the exit code. */
int ob_memory_child(int argc, char **argv);

#endif
