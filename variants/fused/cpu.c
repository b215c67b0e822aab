/* fused: Base and Ortho in one pass over weights packed in the order of their use. */
#include <ortho/variant.h>

extern const ortho_gemm_hooks ortho_fused_gemm_cpu;

const ortho_variant ortho_variant_fused_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "fused",
    .summary = "one pass over Base and Ortho; exact integer products, or int8 activations",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .gemm = &ortho_fused_gemm_cpu,
};
