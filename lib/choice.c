/*
 * The choice of a variant is data: names in order of preference. One that this build doesn't have
 * or that refuses the problem is passed over, so that a variant may come or go without a change
 * here.
 *
 * Why these, measured on one core (AVX-512), 576 to 3072 columns, 0.5 to 5 % of entries:
 * warp-per-row was the fastest up to 64 tokens at every size; beyond, block-csr tied with it. Two
 * classes that agree share one copy of the weights, and a tie is not worth a second.
 */
#include "lib/choice.h"

#include "common/error.h"
#include "variants/table.h"

#define PREFERENCES 3

static const int64_t class_tokens[ORTHO_BATCH_CLASSES] = {64, INT64_MAX};

static const char *const preferred[ORTHO_BATCH_CLASSES][PREFERENCES] = {
    {"warp-per-row", "csr", "block-csr"},
    {"warp-per-row", "block-csr", "csr"},
};

int64_t ortho_batch_class_tokens(int batch_class)
{
    return class_tokens[batch_class];
}

/* Can it serve at all, and this problem in particular? */
static bool serves(const ortho_variant *v, const ortho_gemm_problem *problem,
                   const ortho_services *services)
{
    return v != NULL && v->role == ORTHO_COMPETITOR && v->backend == ORTHO_CPU && v->gemm != NULL &&
           v->gemm->computes == ORTHO_COMPUTES_SPLIT && v->gemm->prepare != NULL &&
           v->gemm->run != NULL &&
           (v->gemm->supports == NULL || v->gemm->supports(problem, services) == ORTHO_OK);
}

ortho_status ortho_choose(const ortho_gemm_problem *problem, int batch_class,
                          const ortho_services *services, const ortho_variant **out)
{
    for (int i = 0; i < PREFERENCES; i++) {
        const ortho_variant *v = ortho_variant_find(preferred[batch_class][i], ORTHO_CPU);
        if (serves(v, problem, services)) {
            *out = v;
            return ORTHO_OK;
        }
    }
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
        if (serves(*v, problem, services)) {
            *out = *v;
            return ORTHO_OK;
        }
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "no variant of this build serves a layer of %lld x %lld on the CPU",
                      (long long)problem->n, (long long)problem->k);
}
