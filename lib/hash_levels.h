/* hash_levels.h: the same hash by wider vectors, for processors that have them: what a stream
 * hashes takes its time from the sieve's. */
#ifndef ORTHO_LIB_HASH_LEVELS_H
#define ORTHO_LIB_HASH_LEVELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ortho_hash_pair {
    uint64_t low, high;
} ortho_hash_pair;

ortho_hash_pair ortho_hash_avx2(const void *data, size_t bytes);
ortho_hash_pair ortho_hash_avx512(const void *data, size_t bytes);

#endif
