/* csr: streaming sieve; a thread a row over row_ptr. */
#include <ortho/variant.h>

extern const ortho_gemm_hooks ortho_csr_gemm_cpu;
extern const ortho_sieve_hooks ortho_csr_sieve_cpu;

const ortho_variant ortho_variant_csr_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "csr",
    .summary = "streaming sieve; a thread a row over row_ptr",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .sieve = &ortho_csr_sieve_cpu,
    .gemm = &ortho_csr_gemm_cpu,
};
