/*
 * chain.c: a chain of linears for one token in one parallel region. Threads wait for each other
 * only where a linear's x holds what was computed since they last did: q, k and v, or gate and up,
 * run without a barrier between them and prepare x once.
 */
#include "variants/fused/pass.h"

#include <omp.h>
#include <string.h>

extern const ortho_chain_hooks ortho_fused_chain_cpu;

/* Linears that may run between two barriers: each has a workspace of its own. */
#define OPEN 4

typedef struct chain {
    ortho_chain_step *steps; /* our copy */
    int count, threads;
    ortho_dtype dtype;
    int64_t workspace; /* bytes of each of the OPEN */
} chain;

static ortho_status check_step(const ortho_chain_step *step, int i, int64_t outputs,
                               const ortho_services *services)
{
    const ortho_fused_state *st = step->state;
    if (st->packed.n != step->n || st->packed.k != step->k)
        return services->fail(ORTHO_E_ARGUMENT,
                              "step %d of the chain is said to be %lld x %lld, its weights are "
                              "%lld x %lld",
                              i, (long long)step->n, (long long)step->k, (long long)st->packed.n,
                              (long long)st->packed.k);
    if (step->x_at < -1 || (step->x_at >= 0 && step->k > outputs - step->x_at))
        return services->fail(ORTHO_E_ARGUMENT,
                              "step %d of the chain reads y from %lld on, %lld of them: the steps "
                              "before it give %lld",
                              i, (long long)step->x_at, (long long)step->k, (long long)outputs);
    return ORTHO_OK;
}

static ortho_status prepare(void *opaque, const ortho_chain_problem *problem,
                            const ortho_services *services)
{
    chain c = {.count = problem->count, .threads = services->threads, .dtype = problem->dtype};
    int64_t outputs = 0;
    if (c.count < 1 || c.count > ORTHO_CHAIN_MAX)
        return services->fail(ORTHO_E_ARGUMENT, "a chain of %d steps: 1 to %d", c.count,
                              ORTHO_CHAIN_MAX);
    for (int i = 0; i < c.count; i++) {
        const ortho_fused_state *st = problem->steps[i].state;
        ortho_status status = check_step(problem->steps + i, i, outputs, services);
        if (status != ORTHO_OK)
            return status;
        int64_t bytes = ortho_fused_workspace(st, 1);
        outputs += problem->steps[i].n;
        c.workspace = bytes > c.workspace ? bytes : c.workspace;
        c.threads = st->threads < c.threads ? st->threads : c.threads;
    }
    size_t bytes = (size_t)c.count * sizeof *c.steps;
    c.steps = services->alloc(services->ctx, bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    if (c.steps == NULL)
        return ORTHO_E_MEMORY;
    memcpy(c.steps, problem->steps, bytes);
    *(chain *)opaque = c;
    return ORTHO_OK;
}

static void release(void *opaque, const ortho_services *services)
{
    services->free(services->ctx, ((chain *)opaque)->steps);
}

static size_t workspace(const void *opaque)
{
    return (size_t)(OPEN * ((const chain *)opaque)->workspace);
}

/* Where a step's x and y lie. */
static ortho_gemm_call step_call(const chain *c, const ortho_chain_call *call, int i,
                                 int64_t outputs)
{
    int64_t element = c->dtype == ORTHO_F32 ? 4 : 2, x_at = c->steps[i].x_at;
    return (ortho_gemm_call){
        .x = x_at < 0 ? call->x : (const char *)call->y + x_at * element,
        .y = (char *)call->y + outputs * element,
        .dtype = c->dtype,
        .m = 1,
        .alpha = call->alpha[i],
        .threads = c->threads,
    };
}

/* One thread's share of all steps. */
static void run_steps(const chain *c, const ortho_chain_call *call)
{
    int64_t outputs = 0, safe = 0; /* of y: what steps gave so far; what every thread has done */
    int open = 0;
    ortho_fused_worker before = {0};
    for (int i = 0; i < c->count; i++) {
        const ortho_chain_step *step = c->steps + i;
        const ortho_fused_state *st = step->state;
        if (open == OPEN || (step->x_at >= 0 && step->x_at + step->k > safe)) {
#pragma omp barrier
            safe = outputs;
            open = 0;
        }
        ortho_gemm_call step_is = step_call(c, call, i, outputs);
        step_is.workspace = (char *)call->workspace + open * c->workspace;
        ortho_fused_worker w = ortho_fused_worker_begin(st, &step_is, omp_get_num_threads());
        w.scale = step->scale;
        if (open > 0 && c->steps[i - 1].x_at == step->x_at && ortho_fused_same_x(st, before.st))
            w.x[0] = before.x[0];
        else
            ortho_fused_load(&w, 0, 1);
        ortho_fused_run(&w, 0, 1);
        before = w;
        outputs += step->n;
        open++;
    }
}

static ortho_status run(const void *opaque, const ortho_chain_call *call)
{
    const chain *c = opaque;
#pragma omp parallel num_threads(c->threads)
    run_steps(c, call);
    return ORTHO_OK;
}

const ortho_chain_hooks ortho_fused_chain_cpu = {
    .state_size = sizeof(chain),
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
};
