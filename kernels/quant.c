/* The plain kernels for any machine, the scales, and the choice of a level. */
#include "kernels/quant_plain.h"

/* Rounding to odd in float first makes the second rounding, to fp16, the only one that counts; the
 * quotient's distance from an fp16 midpoint is 0 or > 2^-40 of it, so the double is exact enough.
 */
uint16_t ortho_quant_scale(float absmax_kept, int c)
{
    double exact = (double)absmax_kept * (double)(32 - c) / 224.0;
    if (exact < 0x1p-60)
        return 0;
    uint64_t bits;
    memcpy(&bits, &exact, sizeof bits);
    uint64_t rest = bits & 0x1fffffffu;
    bits = (bits - rest) | (rest != 0 ? (uint64_t)1 << 29 : 0);
    memcpy(&exact, &bits, sizeof exact);
    return ortho_float_to_fp16((float)exact);
}

void ortho_quant_candidates(float absmax_kept, int count, ortho_candidates *out)
{
    for (int c = 0; c < count; c++) {
        out->half[c] = ortho_quant_scale(absmax_kept, c);
        out->scale[c] = ortho_fp16_to_float(out->half[c]);
        out->inverse[c] = out->scale[c] > 0.0f ? 1.0f / out->scale[c] : 0.0f;
    }
}

const ortho_quant_ops ortho_quant_portable = ORTHO_QUANT_PLAIN_OPS;

const ortho_quant_ops *ortho_quant_ops_for(ortho_cpu_level level)
{
#if defined(__x86_64__)
    if (level == ORTHO_CPU_AVX512)
        return &ortho_quant_avx512;
    if (level == ORTHO_CPU_AVX2)
        return &ortho_quant_avx2;
#endif
    (void)level;
    return &ortho_quant_portable;
}

const ortho_quant_ops *ortho_quant_ops_plain(ortho_cpu_level level)
{
#if defined(__x86_64__)
    if (level >= ORTHO_CPU_AVX2)
        return &ortho_quant_plain_avx2;
#endif
    (void)level;
    return &ortho_quant_portable;
}
