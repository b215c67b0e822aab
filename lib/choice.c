/*
 * The choice of a variant is data: rows of bounds with variants in order of preference. Names that
 * this build doesn't have are passed over, so that a variant may come or go without a change here.
 */
#include "lib/choice.h"

#include "common/error.h"
#include "variants/table.h"

typedef struct choice_row {
    int batch_class;
    double max_density;
    const char *preferred[3]; /* best first, NULL-terminated when shorter */
} choice_row;

static const int64_t class_tokens[ORTHO_BATCH_CLASSES] = {8, INT64_MAX};

/* The first row that fits decides. */
static const choice_row choices[] = {
    {0, 1.0, {"warp-per-row", "csr", "block-csr"}},
    {1, 1.0, {"warp-per-row", "csr", "block-csr"}},
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

static const choice_row *row_for(const ortho_gemm_problem *problem, int batch_class)
{
    double density = (double)problem->nnz / ((double)problem->n * (double)problem->k);
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (choices[i].batch_class == batch_class && density <= choices[i].max_density)
            return &choices[i];
    return NULL;
}

ortho_status ortho_choose(const ortho_gemm_problem *problem, int batch_class,
                          const ortho_services *services, const ortho_variant **out)
{
    const choice_row *row = row_for(problem, batch_class);
    const int most = (int)(sizeof row->preferred / sizeof *row->preferred);
    for (int i = 0; row != NULL && i < most && row->preferred[i] != NULL; i++) {
        const ortho_variant *v = ortho_variant_find(row->preferred[i], ORTHO_CPU);
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
