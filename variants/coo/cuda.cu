/* coo: the original: materialised sieve, a thread a row scanning the COO list. */
#include <ortho/variant.h>

extern "C" const ortho_gemm_hooks ortho_coo_gemm_cuda;
extern "C" const ortho_sieve_hooks ortho_coo_sieve_cuda;

extern "C" const ortho_variant ortho_variant_coo_cuda;
const ortho_variant ortho_variant_coo_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "coo",
    .summary = "the original: materialised sieve, a thread a row scanning the COO list",
    .backend = ORTHO_CUDA,
    .role = ORTHO_COMPETITOR,
    .sieve = &ortho_coo_sieve_cuda,
    .gemm = &ortho_coo_gemm_cuda,
};
