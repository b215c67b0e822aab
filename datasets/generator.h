/*
 * generator.h: random numbers that depend only on (seed, tensor, row, column), so that rows can be
 * read in any order and by any number of threads, and distributions by table.
 *
 * Counter-based: a stream's key is a hash of its coordinates, its i-th number splitmix64's mix of
 * key + i * gamma. Quantiles come from a table with 64 linear pieces to each octave of the tail
 * probability, out to 2^-32: a few nanoseconds a draw, and the same everywhere.
 */
#ifndef ORTHO_DATASETS_GENERATOR_H
#define ORTHO_DATASETS_GENERATOR_H

#include <stdint.h>

#define ORTHO_GENERATOR_VERSION 1

#define ORTHO_OCTAVES 32
#define ORTHO_PIECES  64

/* The value that |x| exceeds with probability 2^-(octave + 1) * (1 + piece / 64). */
typedef struct ortho_quantiles {
    float at[ORTHO_OCTAVES][ORTHO_PIECES + 1];
} ortho_quantiles;

/* A standard normal, and Student's t with nu = 1, 2, ... degrees of freedom (not scaled to unit
 * variance). Milliseconds. */
void ortho_quantiles_normal(ortho_quantiles *out);
void ortho_quantiles_student(int nu, ortho_quantiles *out);

static inline uint64_t ortho_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The key of the stream number `index` below `key`. */
static inline uint64_t ortho_stream(uint64_t key, uint64_t index)
{
    return ortho_mix(key ^ ortho_mix(index * 0xd1342543de82ef95u + 0x632be59bd9b4e019u));
}

/* The i-th number of a stream: 64 random bits. */
static inline uint64_t ortho_random(uint64_t key, uint64_t i)
{
    return ortho_mix(key + (i + 1) * 0x9e3779b97f4a7c15u);
}

/* Uniform below `bound` > 0, from 64 random bits. */
static inline uint64_t ortho_random_below(uint64_t bits, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)bits * bound) >> 64);
}

/* 32 random bits to a draw: the top bit is the sign, the others the tail probability. */
static inline float ortho_draw(const ortho_quantiles *q, uint32_t bits)
{
    uint32_t tail = bits << 1 | 1u; /* (2p + 1) / 2^32 is in (0, 1) */
    int octave = __builtin_clz(tail);
    uint32_t mantissa = tail << octave;
    uint32_t piece = (mantissa >> 25) & (ORTHO_PIECES - 1);
    float fraction = (float)(mantissa & 0x1ffffffu) * 0x1p-25f;
    float lo = q->at[octave][piece], hi = q->at[octave][piece + 1];
    float x = lo + (hi - lo) * fraction;
    return bits >> 31 ? -x : x;
}

#endif
