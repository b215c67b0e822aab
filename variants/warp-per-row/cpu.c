/* warp-per-row: a warp a row: coalesced loads, shuffle reduction. */
#include <ortho/variant.h>

extern const ortho_gemm_hooks ortho_warp_per_row_gemm_cpu;
extern const ortho_sieve_hooks ortho_warp_per_row_sieve_cpu;

const ortho_variant ortho_variant_warp_per_row_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "warp-per-row",
    .summary = "a warp a row: coalesced loads, shuffle reduction",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .sieve = &ortho_warp_per_row_sieve_cpu,
    .gemm = &ortho_warp_per_row_gemm_cpu,
};
