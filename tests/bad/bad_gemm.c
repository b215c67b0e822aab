/*
 * Deliberately broken GEMM variants, one a BAD_ macro, that the session must catch. Without any of
 * them it is right: BAD_NOT proves that it is the defect that is caught.
 */
#include "weights.h"

#include <math.h>
#include <string.h>

static ortho_status run(const void *state_, const ortho_gemm_call *call)
{
    const state *st = state_;
    float *y = call->y;
    int64_t last = call->m * st->n - 1;
    (void)y, (void)last;
#ifdef BAD_NOTHING
    return ORTHO_OK;
#endif
#ifdef BAD_ERROR
    return ORTHO_E_INTERNAL;
#endif
    multiply(st, call);
#ifdef BAD_ROW /* one row holds its neighbour's result */
    y[st->n / 2] = y[st->n / 2 - 1];
#endif
#ifdef BAD_ELEMENT /* one element of the middle token, among many, off by a little */
    y[call->m / 2 * st->n + 1] += 0.01f;
#endif
#ifdef BAD_NAN
    y[last] = NAN;
#endif
#ifdef BAD_SHORT /* the last element isn't written */
    memset(&y[last], 0xff, sizeof *y);
#endif
#ifdef BAD_BOUNDS /* one element beyond y */
    y[last + 1] = 1.0f;
#endif
#ifdef BAD_BEFORE /* one element before y */
    y[-1] = 1.0f;
#endif
#ifdef BAD_INPUT
    ((float *)call->x)[0] = 0.0f;
#endif
#ifdef BAD_WORKSPACE
    ((char *)call->workspace)[16] = 1;
#endif
#ifdef BAD_LATER /* right while it is looked at first, wrong once it is timed */
    static int calls;
    if (++calls > 30)
        y[0] += 1.0f;
#endif
    return ORTHO_OK;
}

#ifdef BAD_WORKSPACE
static size_t workspace(const void *state_, int64_t m, ortho_dtype dtype)
{
    (void)state_, (void)m, (void)dtype;
    return 16;
}
#endif

static const ortho_gemm_hooks gemm = {
    .state_size = sizeof(state),
#if defined(BAD_CLAIM) || defined(BAD_ROUNDS) /* claims to compute nothing, writes all the same */
    .computes = ORTHO_COMPUTES_NOTHING,
#else
    .computes = ORTHO_COMPUTES_SPLIT,
#endif
    .prepare = prepare,
#ifndef BAD_HOOK
    .run = run,
#endif
#ifdef BAD_WORKSPACE
    .workspace = workspace,
#endif
#ifdef BAD_ROUNDS
    .int8_activations = true,
#endif
    .release = release,
};

static const ortho_variant variant = {
#ifdef BAD_ABI
    .abi = ORTHO_VARIANT_ABI + 1,
#else
    .abi = ORTHO_VARIANT_ABI,
#endif
#ifdef BAD_SIZE
    .size = sizeof(ortho_variant) - 8,
#else
    .size = sizeof(ortho_variant),
#endif
#ifdef BAD_NAME
    .name = "Not A Name",
#else
    .name = "bad",
#endif
    .summary = "a variant that must be caught",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
#ifndef BAD_EMPTY
    .gemm = &gemm,
#endif
};

#ifdef BAD_SYMBOL
#define ortho_plugin not_the_symbol
#endif
__attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void);

const ortho_variant *ortho_plugin(void)
{
#ifdef BAD_NULL
    (void)variant, (void)gemm, (void)run;
    return NULL;
#else
    (void)gemm, (void)run;
    return &variant;
#endif
}
