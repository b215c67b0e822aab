/* reference: fp64, straight from the definition; shares no code with the others. */
#include <ortho/variant.h>

extern const ortho_gemm_hooks ortho_reference_gemm_cpu;
extern const ortho_sieve_hooks ortho_reference_sieve_cpu;

const ortho_variant ortho_variant_reference_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "reference",
    .summary = "fp64, straight from the definition; shares no code with the others",
    .backend = ORTHO_CPU,
    .role = ORTHO_ORACLE,
    .sieve = &ortho_reference_sieve_cpu,
    .gemm = &ortho_reference_gemm_cpu,
};
