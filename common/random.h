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

/* Here, since a bootstrap draws a billion of them. */
static inline uint64_t ortho_random_next(ortho_random *g)
{
    uint64_t five = g->s[1] * 5, t = g->s[1] << 17, result = ((five << 7) | (five >> 57)) * 9;
    g->s[2] ^= g->s[0];
    g->s[3] ^= g->s[1];
    g->s[1] ^= g->s[2];
    g->s[0] ^= g->s[3];
    g->s[2] ^= t;
    g->s[3] = (g->s[3] << 45) | (g->s[3] >> 19);
    return result;
}

/* Uniform in 0 .. n-1, 0 < n < 2^32; the bias, n / 2^32, is far below the noise of a bootstrap. */
static inline size_t ortho_random_below(ortho_random *g, size_t n)
{
    return (size_t)(((ortho_random_next(g) >> 32) * (uint64_t)n) >> 32);
}

#endif
