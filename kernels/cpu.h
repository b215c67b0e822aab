/* cpu.h: which SIMD this processor has, decided once; ORTHO_CPU=portable|avx2|avx512 lowers it. */
#ifndef ORTHO_KERNELS_CPU_H
#define ORTHO_KERNELS_CPU_H

#include <stddef.h>

typedef enum ortho_cpu_level {
    ORTHO_CPU_PORTABLE = 0,
    ORTHO_CPU_AVX2,  /* AVX2, FMA, F16C */
    ORTHO_CPU_AVX512 /* F, BW, VL, DQ, VNNI besides */
} ortho_cpu_level;

ortho_cpu_level ortho_cpu_detect(void);
const char *ortho_cpu_level_name(ortho_cpu_level level);

/* "AMD EPYC 9654 96-Core Processor", as the kernel tells it, cut to `size`; "unknown" where it
 * doesn't. */
void ortho_cpu_model(char *name, size_t size);

/* "AMD EPYC 9654 96-Core Processor, avx512": with the level that ortho_cpu_detect gives. */
void ortho_cpu_device(char *name, size_t size);

#endif
