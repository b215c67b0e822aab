/*
 * The choice of a variant is data: names in order of preference. One that this build doesn't have
 * or that refuses the problem is passed over, so that a variant may come or go without a change
 * here. A variant that isn't named serves nobody: coo, the patient, is slow by factors of a
 * thousand and holds 10 bytes an entry where an artifact has 4.
 *
 * The CPU, measured on one core (AVX-512), 576 to 3072 columns, 0.5 to 5 % of entries: warp-per-row
 * was the fastest up to 64 tokens at every size; beyond, block-csr tied with it. Two classes that
 * agree share one copy of the weights, and a tie is not worth a second.
 *
 * CUDA, on an H100 (reports/results/h100): a pass over all layers of Llama-3.2-3B at one token and
 * 1 % takes 2.01 ms with warp-per-row, 2.35 with block-csr, 4.94 with csr. block-csr wins gate and
 * up at up to 2 % and 8 tokens (by 8 % at one token, 20 at two), and q and k at 16; it loses down
 * by a third, everything at 5 %, where its 6 bytes an entry would also exceed the artifact by a
 * seventh, and batches from 32 on. Its sums differ in their last bit from run to run. One copy for
 * every batch, the same results every time: warp-per-row.
 */
#include "lib/choice.h"

#include "common/error.h"
#include "variants/table.h"

#define PREFERENCES 3

static const int64_t class_tokens[ORTHO_BATCH_CLASSES] = {64, INT64_MAX};

static const char *const preferred[2][ORTHO_BATCH_CLASSES][PREFERENCES] = {
    [ORTHO_CPU] = {{"warp-per-row", "csr", "block-csr"}, {"warp-per-row", "block-csr", "csr"}},
    [ORTHO_CUDA] = {{"warp-per-row", "csr"}, {"warp-per-row", "csr"}},
};

int64_t ortho_batch_class_tokens(int batch_class)
{
    return class_tokens[batch_class];
}

ortho_status ortho_choose(const ortho_gemm_problem *problem, ortho_backend backend, int batch_class,
                          const ortho_services *services, const ortho_variant **out)
{
    for (int i = 0; i < PREFERENCES; i++) {
        const char *name = preferred[backend][batch_class][i];
        const ortho_variant *v = name != NULL ? ortho_variant_find(name, backend) : NULL;
        if (ortho_variant_serves(v, problem, services)) {
            *out = v;
            return ORTHO_OK;
        }
    }
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "no variant of this build serves a layer of %lld x %lld on the %s",
                      (long long)problem->n, (long long)problem->k, ortho_backend_name(backend));
}
