#include <ortho/variant.h>
extern const ortho_gemm_hooks ortho_dense_gemm_cpu;
const ortho_gemm_hooks ortho_dense_gemm_cpu = {.computes = ORTHO_COMPUTES_NOTHING};
