/*
 * noting_variants.h: variants with and without hooks for groups and chains. Each computes as the
 * real csr does, notes what it was asked, and fails where it is told to. Their table stands in the
 * place of the build's: the linker takes it and leaves the archive's.
 */
#ifndef ORTHO_TESTS_LIB_NOTING_VARIANTS_H
#define ORTHO_TESTS_LIB_NOTING_VARIANTS_H

#include "common/error.h"
#include "testing.h"
#include "variants/table.h"

extern const ortho_gemm_hooks ortho_csr_gemm_cpu;

/* What was asked, and what is to go wrong. */
static struct notes {
    int runs, group_runs, prepares, releases, chain_runs;
    ortho_gemm_call call[4][ORTHO_GROUP_MAX]; /* of the first run_groups */
    int count[4];
    ortho_dtype dtype; /* of the last run */
    ortho_dtype asked; /* of the last workspace */
    int fail_run, fail_group, fail_chain, starve;
    ortho_status prepare_chain;
    float alpha[ORTHO_PASS_MAX];
    const void *x, *y;
    int threads, steps;
} notes;

static bool aligned(const void *p)
{
    return p != NULL && (uintptr_t)p % 64 == 0;
}

/* ---- the variants ---------------------------------------------------------------------------- */

static ortho_status run(const void *state, const ortho_gemm_call *call)
{
    notes.runs++;
    notes.dtype = call->dtype;
    assert_true(aligned(call->workspace));
    assert_int_equal(notes.asked, call->dtype);
    if (notes.fail_run == notes.runs)
        return ortho_fail(ORTHO_E_DEVICE, "run %d is to fail", notes.runs);
    return ortho_csr_gemm_cpu.run(state, call);
}

static size_t workspace(const void *state, int64_t m, ortho_dtype dtype)
{
    notes.starve--;
    notes.asked = dtype;
    return notes.starve == 0 ? SIZE_MAX / 2 : ortho_csr_gemm_cpu.workspace(state, m, dtype) + 1;
}

static ortho_status run_group(const void *const *states, const ortho_gemm_call *calls, int count)
{
    ortho_status status = ORTHO_OK;
    if (notes.group_runs < 4) {
        notes.count[notes.group_runs] = count;
        memcpy(notes.call[notes.group_runs], calls, (size_t)count * sizeof *calls);
    }
    notes.group_runs++;
    if (notes.fail_group == notes.group_runs)
        return ortho_fail(ORTHO_E_DEVICE, "this group is to fail");
    for (int i = 0; i < count && status == ORTHO_OK; i++)
        status = ortho_csr_gemm_cpu.run(states[i], &calls[i]);
    return status;
}

typedef struct chain {
    int count;
    ortho_chain_step *steps;
} chain;

static ortho_status chain_prepare(void *state, const ortho_chain_problem *p,
                                  const ortho_services *services)
{
    chain *c = state;
    const size_t bytes = (size_t)p->count * sizeof *c->steps;
    notes.prepares++;
    notes.threads = services->threads;
    assert_int_equal(p->dtype, ORTHO_F32);
    assert_true(c->count == 0 && c->steps == NULL); /* zeroed */
    if (notes.prepare_chain != ORTHO_OK)
        return ortho_fail(notes.prepare_chain, "no chain of these");
    c->steps = services->alloc(services->ctx, bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    if (c->steps == NULL)
        return ORTHO_E_MEMORY;
    memcpy(c->steps, p->steps, bytes);
    c->count = p->count;
    return ORTHO_OK;
}

/* Room for the workspace of each linear here. */
static size_t chain_workspace(const void *state)
{
    const chain *c = state;
    return ortho_csr_gemm_cpu.workspace(c->steps[0].state, 1, ORTHO_F32);
}

static ortho_status chain_run(const void *state, const ortho_chain_call *call)
{
    const chain *c = state;
    float *y = call->y, *to = y;
    ortho_status status = ORTHO_OK;
    notes.chain_runs++;
    notes.x = call->x, notes.y = call->y, notes.steps = c->count;
    memcpy(notes.alpha, call->alpha, (size_t)c->count * sizeof *notes.alpha);
    assert_true(aligned(call->workspace) && call->stream == NULL);
    if (notes.fail_chain == notes.chain_runs)
        return ortho_fail(ORTHO_E_DEVICE, "this chain is to fail");
    for (int i = 0; i < c->count && status == ORTHO_OK; i++) {
        const ortho_chain_step *s = &c->steps[i];
        const ortho_gemm_call one = {.x = s->x_at < 0 ? call->x : y + s->x_at,
                                     .y = to,
                                     .dtype = ORTHO_F32,
                                     .m = 1,
                                     .alpha = call->alpha[i],
                                     .workspace = call->workspace,
                                     .threads = 1};
        status = ortho_csr_gemm_cpu.run(s->state, &one);
        for (int64_t j = 0; j < s->n; j++)
            to[j] *= s->scale;
        to += s->n;
    }
    return status;
}

static void chain_release(void *state, const ortho_services *services)
{
    chain *c = state;
    notes.releases++;
    services->free(services->ctx, c->steps);
}

static ortho_status refuse(const ortho_gemm_problem *p, const ortho_services *services)
{
    (void)services;
    return p->dtype == ORTHO_BF16 ? ortho_fail(ORTHO_E_UNSUPPORTED, "no BF16 here") : ORTHO_OK;
}

static const ortho_chain_hooks chains = {
    .state_size = sizeof(chain),
    .prepare = chain_prepare,
    .workspace = chain_workspace,
    .run = chain_run,
    .release = chain_release,
};

/* Filled in by fill_variants: csr's hooks, and more. Their names are those that the library's table
 * of preferences has, so that by its choice csr serves few tokens and block-csr many. */
static ortho_gemm_hooks together_hooks, alone_hooks, refusing_hooks;
static ortho_variant together = {.name = "csr", .gemm = &together_hooks};
static ortho_variant another = {.name = "another", .gemm = &together_hooks};
static ortho_variant alone = {.name = "block-csr", .gemm = &alone_hooks};
static ortho_variant refusing = {.name = "refusing", .gemm = &refusing_hooks};
static ortho_variant oracle = {.name = "trusted", .gemm = &alone_hooks, .role = ORTHO_ORACLE};

const ortho_variant *const ortho_variant_table[] = {&another, &alone,    &together,
                                                    &oracle,  &refusing, NULL};

static void fill_variants(void)
{
    alone_hooks = ortho_csr_gemm_cpu;
    alone_hooks.run = run;
    alone_hooks.workspace = workspace;
    refusing_hooks = alone_hooks;
    refusing_hooks.supports = refuse;
    together_hooks = alone_hooks;
    together_hooks.run_group = run_group;
    together_hooks.chain = &chains;
}

#endif
