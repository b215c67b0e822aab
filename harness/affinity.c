#define _GNU_SOURCE /* sched_setaffinity, CPU_SET */
#include "harness/affinity.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>

struct ob_affinity {
    cpu_set_t allowed;
    int threads;
};

/* The index-th processor of a set; -1 when it has fewer. */
static int nth_processor(const cpu_set_t *set, int index)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, set) && index-- == 0)
            return cpu;
    return -1;
}

ob_affinity *ob_affinity_pin(int threads)
{
    ob_affinity *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    if (sched_getaffinity(0, sizeof a->allowed, &a->allowed) != 0 ||
        CPU_COUNT(&a->allowed) < threads) {
        free(a);
        return NULL;
    }
    a->threads = threads;
#pragma omp parallel num_threads(threads)
    {
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(nth_processor(&a->allowed, omp_get_thread_num()), &own);
        (void)sched_setaffinity(0, sizeof own, &own); /* refused: as it was, only slower */
    }
    return a;
}

void ob_affinity_release(ob_affinity *a)
{
    if (a == NULL)
        return;
#pragma omp parallel num_threads(a->threads)
    {
        (void)sched_setaffinity(0, sizeof a->allowed, &a->allowed);
    }
    free(a);
}
