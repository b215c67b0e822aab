/*
 * A GEMM variant with ways, one of them broken by a BAD_ macro: `tune` must catch it. With BAD_NOT
 * all are right: the usual way does the work eight times, `quick` once, `even` twice, and that
 * takes an even number of tokens alone.
 */
#include "weights.h"

enum { SLOW = 1, QUICK, EVEN };

static int way_of(const void *state_, const ortho_gemm_call *call)
{
    (void)state_;
    if (call->way == 0)
        return SLOW;
    return call->way > EVEN || (call->way == EVEN && call->m % 2 != 0) ? 0 : call->way;
}

static ortho_status run(const void *state_, const ortho_gemm_call *call)
{
    int way = way_of(state_, call), times = way == SLOW ? 8 : way == EVEN ? 2 : 1;
    if (way == 0)
        return ORTHO_E_UNSUPPORTED;
    for (int i = 0; i < times; i++)
        multiply(state_, call);
#ifdef BAD_ROW /* one element, of one way */
    if (way == QUICK)
        ((float *)call->y)[0] += 1.0f;
#endif
#ifdef BAD_LATER /* right while it is looked at first, wrong once it is timed */
    static int calls;
    if (way == QUICK && ++calls > 30)
        ((float *)call->y)[0] += 1.0f;
#endif
    return ORTHO_OK;
}

#ifdef BAD_WORD
static const char *const ways[] = {"slow", "Quick", "even", NULL};
#else
static const char *const ways[] = {"slow", "quick", "even", NULL};
#endif

static const ortho_gemm_hooks gemm = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .run = run,
    .release = release,
    .ways = ways,
#ifndef BAD_HALF
    .way = way_of,
#endif
};

static const ortho_variant variant = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "bad-ways",
    .summary = "a variant one of whose ways must be caught",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .gemm = &gemm,
};

__attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void);

const ortho_variant *ortho_plugin(void)
{
    return &variant;
}
