/* xxh3-128 by AVX-512: the header's own code, compiled for it. The library's runs by SSE2. */
#include "lib/hash_levels.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

ortho_hash_pair ortho_hash_avx512(const void *data, size_t bytes)
{
    XXH128_hash_t hash = XXH3_128bits(data, bytes);
    return (ortho_hash_pair){hash.low64, hash.high64};
}
