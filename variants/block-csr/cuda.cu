/* block-csr: buckets of row block x column tile, 16-bit local coordinates. */
#include <ortho/variant.h>

extern "C" const ortho_gemm_hooks ortho_block_csr_gemm_cuda;
extern "C" const ortho_sieve_hooks ortho_block_csr_sieve_cuda;

extern "C" const ortho_variant ortho_variant_block_csr_cuda;
const ortho_variant ortho_variant_block_csr_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "block-csr",
    .summary = "buckets of row block x column tile, 16-bit local coordinates",
    .backend = ORTHO_CUDA,
    .role = ORTHO_COMPETITOR,
    .sieve = &ortho_block_csr_sieve_cuda,
    .gemm = &ortho_block_csr_gemm_cuda,
};
