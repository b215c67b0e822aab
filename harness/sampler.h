/*
 * sampler.h: takes samples of several lanes in turn, so that a drift of the machine (clocks, a busy
 * neighbour) reaches all of them alike. A lane leaves the round when its stop rule is satisfied.
 * Mechanism only: a lane is a function that returns nanoseconds.
 */
#ifndef ORTHO_HARNESS_SAMPLER_H
#define ORTHO_HARNESS_SAMPLER_H

#include "harness/stop.h"

#include <ortho/ortho.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct ob_sampler_lane {
    void *ctx;
    /* Takes one sample. *ns: per operation; *spent: nanoseconds that the sample took in all. */
    ortho_status (*sample)(void *ctx, double *ns, double *spent);
    ob_stop_rule rule;

    /* Results. samples is malloc'd: the caller frees it. */
    double *samples;
    size_t count, capacity;
    double elapsed; /* seconds of samples */
    ob_stop stop;
    ortho_status status; /* of the first sample that failed; its message in `message` */
    char message[256];
} ob_sampler_lane;

/* Samples every lane until its rule stops it, round-robin. Returns true when *interrupt became
 * non-zero: what was sampled until then stays. A lane always has one sample before a timeout. */
bool ob_sampler_run(ob_sampler_lane *lanes, size_t count, const atomic_int *interrupt);

/* Adds a sample taken elsewhere (by Google Benchmark); false without memory. */
bool ob_sampler_push(ob_sampler_lane *lane, double ns, double spent);

void ob_sampler_clear(ob_sampler_lane *lane);

#endif
