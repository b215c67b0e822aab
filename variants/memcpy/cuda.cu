/* memcpy on CUDA: moves the same bytes and computes nothing: the bandwidth ceiling. */
#include <ortho/variant.h>

extern "C" const ortho_gemm_hooks ortho_memcpy_gemm_cuda;
extern "C" const ortho_sieve_hooks ortho_memcpy_sieve_cuda;

extern "C" const ortho_variant ortho_variant_memcpy_cuda;
const ortho_variant ortho_variant_memcpy_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "memcpy",
    .summary = "moves the same bytes and computes nothing: the bandwidth ceiling",
    .backend = ORTHO_CUDA,
    .role = ORTHO_CEILING,
    .sieve = &ortho_memcpy_sieve_cuda,
    .gemm = &ortho_memcpy_gemm_cuda,
};
