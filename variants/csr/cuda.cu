/* csr: streaming sieve; a thread a row over row_ptr. */
#include <ortho/variant.h>

extern "C" const ortho_gemm_hooks ortho_csr_gemm_cuda;
extern "C" const ortho_sieve_hooks ortho_csr_sieve_cuda;

extern "C" const ortho_variant ortho_variant_csr_cuda;
const ortho_variant ortho_variant_csr_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "csr",
    .summary = "streaming sieve; a thread a row over row_ptr",
    .backend = ORTHO_CUDA,
    .role = ORTHO_COMPETITOR,
    .sieve = &ortho_csr_sieve_cuda,
    .gemm = &ortho_csr_gemm_cuda,
};
