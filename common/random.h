/* random.h: numbers that a seed repeats, on every machine: xoshiro256** (Blackman and Vigna),
 * seeded through splitmix64 as its authors advise. */
#ifndef ORTHO_COMMON_RANDOM_H
#define ORTHO_COMMON_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct ortho_random {
    uint64_t s[4];
} ortho_random;

ortho_random ortho_random_seeded(uint64_t seed);
uint64_t ortho_random_next(ortho_random *g);

/* Uniform in 0 .. n-1, 0 < n < 2^32; the bias, n / 2^32, is far below the noise of a bootstrap. */
size_t ortho_random_below(ortho_random *g, size_t n);

#endif
