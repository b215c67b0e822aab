/*
 * quant.h: the sieve's arithmetic on a chunk of one row: at most 128 weights, as floats, in L1.
 *
 * Every level computes the same bits: no fused operation changes a rounding (s * q is exact, having
 * at most 11 + 4 bits), sums run in 16 lanes, lane j taking elements j, j + 16, ..., and the lanes
 * are added as a fixed tree (j with j + 8, then 4, 2, 1).
 *
 * A key orders entries: the float bits of a score >= 0, plus 1, so that 0 means "never chosen"
 * (padding) and unsigned order is the scores' order.
 */
#ifndef ORTHO_KERNELS_QUANT_H
#define ORTHO_KERNELS_QUANT_H

#include "kernels/cpu.h"

#include <ortho/ortho.h>

#define ORTHO_CHUNK      128
#define ORTHO_LANES      16
#define ORTHO_CANDIDATES 16
#define ORTHO_KEY_TOP    0x7fffffffu /* above every score: an entry that is always chosen */

/* Scales |w| before 1 / (rms * 2^60), so that neither is subnormal for any row of floats. */
#define ORTHO_RMS_SHIFT 0x1p60f

/* Which weights of a chunk the outlier rule keeps out of the fit: those whose magnitude key is
 * >= bound for elements before `split`, > bound from there on (the cut goes through this chunk
 * when split < count). bound = ORTHO_KEY_TOP: none. */
typedef struct ortho_outliers {
    float inverse_rms; /* 1 / (rms of the row * 2^60); 0 for a row of zeros */
    uint32_t bound;
    int split;
} ortho_outliers;

/* One chunk: w zero-padded to a multiple of 16 elements; h readable that far. Scales, one for every
 * 16 elements, are what fp16 holds; inverse = 1/scale, 0 where scale is 0. */
typedef struct ortho_chunk {
    const float *w, *h;
    int count;
    float scale[ORTHO_CHUNK / ORTHO_LANES], inverse[ORTHO_CHUNK / ORTHO_LANES];
    ortho_outliers out;
} ortho_chunk;

/* Scales to try on a group, the first best. */
typedef struct ortho_candidates {
    uint16_t half[ORTHO_CANDIDATES];
    float scale[ORTHO_CANDIDATES], inverse[ORTHO_CANDIDATES];
} ortho_candidates;

typedef struct ortho_quant_ops {
    /* count elements of F32, F16 or BF16 from index first on, zero-padded to a multiple of 16. */
    void (*load)(ortho_dtype dtype, const void *data, int64_t first, int count, float *w);
    /* sums[i] += w[i]^2, i < count. */
    void (*squares_down)(const float *w, int count, double *sums);
    /* lanes[j] += sums of w^2 over the chunk's lane j. */
    void (*squares_along)(const float *w, int count, double lanes[ORTHO_LANES]);
    /* Bits of the largest |w|; a NaN is larger than anything. */
    uint32_t (*absmax)(const float *w, int count);
    /* kept = w with the outliers set to 0. */
    void (*keep)(const float *w, int count, const ortho_outliers *out, float *kept);
    /* Keys of |w| / rms. */
    void (*magnitudes)(const float *w, int count, float inverse_rms, uint32_t *keys);
    /* All candidates for a group whose largest kept |w| is absmax. */
    void (*candidates)(float absmax, ortho_candidates *out);
    /* sums[c] += sum over the chunk of (e * e) * h with candidate c; outliers must be 0 in w. */
    void (*search)(const float *w, const float *h, int count, const ortho_candidates *try,
                   double sums[ORTHO_CANDIDATES]);
    /* q = clamp(rint(w / scale)), packed: (count + 1) / 2 bytes. */
    void (*quantise)(const float *w, int count, float scale, uint8_t *nibbles);
    /* Keys of (e * e) * h, ORTHO_KEY_TOP for outliers. */
    void (*scores)(const ortho_chunk *chunk, uint32_t *keys);
    /* Indices of keys in [lo, hi), ascending; 1 <= lo <= hi <= 2^31. Returns how many. */
    int (*collect)(const uint32_t *keys, int count, uint32_t lo, uint32_t hi, uint8_t *index);
} ortho_quant_ops;

/* The kernels written for a level. */
const ortho_quant_ops *ortho_quant_ops_for(ortho_cpu_level level);

/* The plain loops as compiled for a level. */
const ortho_quant_ops *ortho_quant_ops_plain(ortho_cpu_level level);

/* fp16 of absmax / 7 * (32 - c) / 32, rounded once from the exact value. */
uint16_t ortho_quant_scale(float absmax, int c);

/* The first `count` candidates. */
void ortho_quant_candidates(float absmax, int count, ortho_candidates *out);

extern const ortho_quant_ops ortho_quant_portable, ortho_quant_plain_avx2, ortho_quant_avx2,
    ortho_quant_avx512;

#endif
