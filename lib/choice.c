/*
 * The choice of a variant is data: names in order of preference. One that this build doesn't have
 * or that refuses the problem is passed over, so that a variant may come or go without a change
 * here. A variant that isn't named serves nobody: coo, the patient, is slow by factors of a
 * thousand and holds 10 bytes an entry where an artifact has 4.
 *
 * The CPU, measured on one core (AVX-512), 576 to 3072 columns, 0.5 to 5 % of entries: warp-per-row
 * was the fastest up to 64 tokens at every size; beyond, block-csr tied with it. Two classes that
 * agree share one copy of the weights, and a tie is not worth a second. fused, which is faster from
 * 16-bit activations at few tokens and slower from fp32 ones (docs/KERNELS.md), is for those that
 * the others don't take: int8.
 *
 * CUDA, on an H100 (reports/results/h100). fused, gate, 1 %, fp16, against warp-per-row
 * (fused/batch.json): 5.2 against 14.2 us at one token, 6.4 / 19.2 at two, 11.4 / 23.2 at
 * eight, 22.3 / 42.7 at 16, 88 / 130 at 64, 180 / 233 at 128: 3.0 times to 1.3. It wins all seven
 * linears of a layer at one token (fused/singles.json). Beyond 128 tokens nobody measured it. There
 * both grow in proportion to the tokens: warp-per-row by 1.7 us each at 256 and at 2048
 * (gemm-m256-2048.json), fused by 1.4 from 8 to 128. Neither is what a long batch wants (dense: 24
 * us at 256), and a second variant would be a second copy of the weights: one for every batch.
 * Before compute capability 9.0 fused has one way, which was never measured there (mma16-direct).
 * warp-per-row is for groups that fused doesn't take, and where it would hold too much (layer.c).
 * Both give the same results every time. block-csr, whose sums' last bits differ from run to run
 * and which has 6 bytes an entry, isn't named.
 */
#include "lib/choice.h"

#include "common/error.h"
#include "variants/table.h"

#define PREFERENCES 4

static const int64_t class_tokens[ORTHO_BATCH_CLASSES] = {64, INT64_MAX};

static const char *const preferred[2][ORTHO_BATCH_CLASSES][PREFERENCES] = {
    [ORTHO_CPU] = {{"warp-per-row", "csr", "block-csr", "fused"},
                   {"warp-per-row", "block-csr", "csr", "fused"}},
    [ORTHO_CUDA] = {{"fused", "warp-per-row", "csr"}, {"fused", "warp-per-row", "csr"}},
};

int64_t ortho_batch_class_tokens(int batch_class)
{
    return class_tokens[batch_class];
}

ortho_status ortho_choose(const ortho_choice *choice, const ortho_variant **out)
{
    const ortho_gemm_problem *problem = choice->problem;
    for (int i = 0; i < PREFERENCES; i++) {
        const char *name = preferred[choice->backend][choice->batch_class][i];
        const ortho_variant *v = name != NULL ? ortho_variant_find(name, choice->backend) : NULL;
        if (v != choice->without && ortho_variant_serves(v, problem, choice->services)) {
            *out = v;
            return ORTHO_OK;
        }
    }
    return ortho_fail(
        ORTHO_E_UNSUPPORTED, "no variant of this build serves a layer of %lld x %lld on the %s%s",
        (long long)problem->n, (long long)problem->k, ortho_backend_name(choice->backend),
        problem->activations == ORTHO_ACTIVATIONS_EXACT
            ? ""
            : " with int8 activations, which are had on the CPU only");
}
