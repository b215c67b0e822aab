/* memcpy: moves the same bytes and computes nothing: the bandwidth ceiling. */
#include <ortho/variant.h>

extern const ortho_gemm_hooks ortho_memcpy_gemm_cpu;
extern const ortho_sieve_hooks ortho_memcpy_sieve_cpu;

const ortho_variant ortho_variant_memcpy_cpu = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "memcpy",
    .summary = "moves the same bytes and computes nothing: the bandwidth ceiling",
    .backend = ORTHO_CPU,
    .role = ORTHO_CEILING,
    .sieve = &ortho_memcpy_sieve_cpu,
    .gemm = &ortho_memcpy_gemm_cpu,
};
