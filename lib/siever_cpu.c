#define _GNU_SOURCE /* madvise */
#include "lib/siever.h"

#include "common/account.h"
#include "common/error.h"
#include "kernels/sieve_csr.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE      ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20)

struct ortho_siever {
    ortho_account account;
    int threads; /* of a worker */
};

/* One slot is for what is read and written meanwhile. */
static int workers(int slots, int threads)
{
    int most = slots > 1 ? slots - 1 : 1;
    return most < threads ? most : threads;
}

static size_t worker_bytes(const ortho_siever_options *options)
{
    (void)options;
    return 0;
}

static ortho_status open_siever(const ortho_siever_options *options, ortho_siever **out)
{
    ortho_siever *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a sieve");
    s->threads = (options->threads + options->workers - 1) / options->workers;
    *out = s;
    return ORTHO_OK;
}

static void close_siever(ortho_siever *s)
{
    free(s);
}

/* In huge pages as far as whole ones go, where the kernel gives them: a pass over W meets fewer
 * ends of pages, and a direct read pins few of them. */
static void *alloc(size_t bytes)
{
    void *memory = NULL;
    size_t padded = (bytes + PAGE - 1) / PAGE * PAGE, whole = padded / HUGE_PAGE * HUGE_PAGE;
    int error = posix_memalign(&memory, whole > 0 ? HUGE_PAGE : PAGE, padded > 0 ? padded : PAGE);
    if (error != 0) {
        ortho_fail(ORTHO_E_MEMORY, "no memory for a buffer of %zu bytes", bytes);
        return NULL;
    }
    if (whole > 0)
        (void)madvise(memory, whole, MADV_HUGEPAGE);
    return memory;
}

static ortho_status sieve(ortho_siever *s, int worker, const ortho_sieve_problem *p,
                          ortho_split *out)
{
    (void)worker;
    ortho_services services = ortho_account_services(&s->account, s->threads);
    ortho_sieve_csr state = {.split = *out};
    memset(out->row_ptr, 0, (size_t)(out->n + 1) * sizeof *out->row_ptr); /* as prepare leaves it */
    return ortho_sieve_csr_run(&state, p, ORTHO_WALK_VECTOR, &services);
}

static void peaks(ortho_siever *s, uint64_t *allocated, uint64_t *seen)
{
    (void)s;
    *allocated = *seen = 0;
}

static ortho_status time_copy(ortho_siever *s, const void *from, size_t bytes, int times,
                              double *seconds)
{
    (void)s, (void)from, (void)bytes, (void)times;
    *seconds = -1;
    return ORTHO_OK;
}

const ortho_siever_ops ortho_siever_cpu = {
    .device = ORTHO_DEVICE_CPU,
    .workers = workers,
    .worker_bytes = worker_bytes,
    .open = open_siever,
    .close = close_siever,
    .alloc = alloc,
    .free = free,
    .sieve = sieve,
    .peaks = peaks,
    .time_copy = time_copy,
};
