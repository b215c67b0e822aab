/* dense: BLAS over the unsplit weights: what a user would otherwise call. */
#include <ortho/variant.h>

extern const ortho_gemm_hooks ortho_dense_gemm_cpu;

const ortho_variant ortho_variant_dense_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "dense",
    .summary = "BLAS over the unsplit weights: what a user would otherwise call",
    .backend = ORTHO_CPU,
    .role = ORTHO_BASELINE,
    .gemm = &ortho_dense_gemm_cpu,
};
