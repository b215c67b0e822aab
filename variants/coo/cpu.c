/* coo: the original: materialised sieve, a thread a row scanning the COO list. */
#include <ortho/variant.h>

extern const ortho_gemm_hooks ortho_coo_gemm_cpu;
extern const ortho_sieve_hooks ortho_coo_sieve_cpu;

const ortho_variant ortho_variant_coo_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "coo",
    .summary = "the original: materialised sieve, a thread a row scanning the COO list",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .sieve = &ortho_coo_sieve_cpu,
    .gemm = &ortho_coo_gemm_cpu,
};
