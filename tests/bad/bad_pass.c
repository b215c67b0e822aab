/*
 * Deliberately broken ways of running a pass, one a BAD_ macro: in a group of linears that share x,
 * or in a chain. Without any of them both are right: BAD_NOT proves that it is the defect that is
 * caught.
 */
#include "weights.h"

#include <string.h>

static ortho_status run(const void *state_, const ortho_gemm_call *call)
{
    multiply(state_, call);
    return ORTHO_OK;
}

static ortho_status run_group(const void *const *states, const ortho_gemm_call *calls, int count)
{
    for (int i = 0; i < count; i++) {
        ortho_gemm_call call = calls[i];
#ifdef BAD_SWAP /* the last two outputs change places */
        int other = i < count - 2 ? i : 2 * count - 3 - i;
        call.y = calls[other].y;
#endif
#ifdef BAD_LAST /* the last linear of a group is left out */
        if (i == count - 1)
            break;
#endif
        multiply(states[i], &call);
    }
    return ORTHO_OK;
}

/* ---- a chain --------------------------------------------------------------------------------- */

typedef struct chain {
    ortho_chain_step step[ORTHO_CHAIN_MAX];
    int64_t y_at[ORTHO_CHAIN_MAX];
    int count;
} chain;

static ortho_status prepare_chain(void *chain_, const ortho_chain_problem *p,
                                  const ortho_services *sv)
{
    chain *c = chain_;
    int64_t at = 0;
    (void)sv;
    c->count = p->count;
    for (int i = 0; i < p->count; i++) {
        c->step[i] = p->steps[i];
        c->y_at[i] = at;
        at += p->steps[i].n;
    }
    return ORTHO_OK;
}

static void run_step(const chain *c, const ortho_chain_call *call, int i)
{
    const ortho_chain_step *step = &c->step[i];
    float *y = (float *)call->y + c->y_at[i];
    int64_t x_at = step->x_at;
#ifdef BAD_LINK /* every step takes the chain's x, where that is as wide */
    x_at = step->k <= c->step[0].k ? -1 : x_at;
#endif
    ortho_gemm_call gemm = {
        .x = x_at < 0 ? (const float *)call->x : (const float *)call->y + x_at, .y = y, .m = 1};
    multiply(step->state, &gemm);
#ifndef BAD_SCALE
    for (int64_t row = 0; row < step->n; row++)
        y[row] *= step->scale;
#endif
#ifdef BAD_STEP /* one output of a step within a group is off by a little */
    if (i == 2)
        y[step->n / 2] += 0.01f;
#endif
}

static ortho_status run_chain(const void *chain_, const ortho_chain_call *call)
{
    const chain *c = chain_;
    static int calls;
    bool backwards = false;
    calls++;
#ifdef BAD_STALE /* a step reads what the call before left of the steps before it */
    backwards = true;
#endif
#ifdef BAD_RACE /* the same, once the first call has been looked at */
    backwards = calls > 1;
#endif
#ifdef BAD_INPUT
    ((float *)call->x)[1] = 0;
#endif
    for (int i = 0; i < c->count; i++)
        run_step(c, call, backwards ? c->count - 1 - i : i);
#ifdef BAD_LATER /* right while it is looked at first, wrong once it is timed */
    if (calls > 2)
        ((float *)call->y)[c->y_at[c->count - 1]] += 1.0f;
#endif
#ifdef BAD_BOUNDS
    ((float *)call->y)[c->y_at[c->count - 1] + c->step[c->count - 1].n] = 1.0f;
#endif
    return ORTHO_OK;
}

static void release_chain(void *chain_, const ortho_services *sv)
{
    (void)sv;
    memset(chain_, 0, sizeof(chain));
}

static const ortho_chain_hooks chain_hooks = {
    .state_size = sizeof(chain),
    .prepare = prepare_chain,
#ifndef BAD_HOOK
    .run = run_chain,
#endif
    .release = release_chain,
};

static const ortho_gemm_hooks gemm = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .run = run,
    .release = release,
    .run_group = run_group,
    .chain = &chain_hooks,
};

static const ortho_variant variant = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "bad",
    .summary = "a variant that must be caught",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .gemm = &gemm,
};

__attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void);

const ortho_variant *ortho_plugin(void)
{
    (void)run_chain;
    return &variant;
}
