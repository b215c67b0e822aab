/*
 * null: does nothing, so that what it costs is what the harness costs.
 *
 * It is also the annotated template of a variant: copy the folder, rename the descriptor after it
 * (variants/my-way/cpu.c defines ortho_variant_my_way_cpu), fill in the hooks. Nothing else is
 * edited: the build finds the file. include/ortho/variant.h is the contract.
 */
#include <ortho/variant.h>

/* prepare: build your own layout from problem->split (canonical, host memory), allocating through
 * services->alloc(..., ORTHO_WEIGHTS). It isn't timed. */
static ortho_status gemm_prepare(void *state, const ortho_gemm_problem *problem,
                                 const ortho_services *services)
{
    (void)state, (void)problem, (void)services;
    return ORTHO_OK;
}

/* run: the timed call. Allocates nothing; temporaries live in call->workspace. */
static ortho_status gemm_run(const void *state, const ortho_gemm_call *call)
{
    (void)state, (void)call;
    return ORTHO_OK;
}

/* release: gives back what prepare allocated. Never fails. */
static void gemm_release(void *state, const ortho_services *services)
{
    (void)state, (void)services;
}

static const ortho_gemm_hooks gemm = {
    .state_size = 0,
    .computes = ORTHO_COMPUTES_NOTHING,
    .prepare = gemm_prepare,
    .run = gemm_run,
    .release = gemm_release,
};

const ortho_variant ortho_variant_null_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "null",
    .summary = "does nothing: the price of the harness",
    .backend = ORTHO_CPU,
    .role = ORTHO_HARNESS,
    .gemm = &gemm,
};
