/* warp-per-row: a warp a row: coalesced loads, shuffle reduction. */
#include <ortho/variant.h>

extern "C" const ortho_gemm_hooks ortho_warp_per_row_gemm_cuda;
extern "C" const ortho_sieve_hooks ortho_warp_per_row_sieve_cuda;

extern "C" const ortho_variant ortho_variant_warp_per_row_cuda;
const ortho_variant ortho_variant_warp_per_row_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "warp-per-row",
    .summary = "a warp a row: coalesced loads, shuffle reduction",
    .backend = ORTHO_CUDA,
    .role = ORTHO_COMPETITOR,
    .sieve = &ortho_warp_per_row_sieve_cuda,
    .gemm = &ortho_warp_per_row_gemm_cuda,
};
