/* The plain kernels as a compiler vectorises them for AVX2; the build forbids fusing x * y + z. */
#include "kernels/quant_plain.h"

#if defined(__x86_64__)
const ortho_quant_ops ortho_quant_plain_avx2 = ORTHO_QUANT_PLAIN_OPS;
#endif
