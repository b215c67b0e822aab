#include "lib/hash.h"

#include "common/error.h"
#include "datasets/file.h"
#include "kernels/cpu.h"
#include "lib/hash_levels.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define PIECE (1u << 20)

static void to_hex(ortho_hash_pair hash, char hex[ORTHO_HASH_LENGTH + 1])
{
    snprintf(hex, ORTHO_HASH_LENGTH + 1, "%016llx%016llx", (unsigned long long)hash.high,
             (unsigned long long)hash.low);
}

static ortho_hash_pair pair_of(XXH128_hash_t hash)
{
    return (ortho_hash_pair){hash.low64, hash.high64};
}

static ortho_hash_pair hash_by_level(const void *data, size_t bytes)
{
    switch (ortho_cpu_detect()) {
    case ORTHO_CPU_AVX512:
        return ortho_hash_avx512(data, bytes);
    case ORTHO_CPU_AVX2:
        return ortho_hash_avx2(data, bytes);
    default:
        return pair_of(XXH3_128bits(data, bytes));
    }
}

void ortho_hash(const void *data, size_t bytes, char hex[ORTHO_HASH_LENGTH + 1])
{
    to_hex(hash_by_level(data, bytes), hex);
}

static ortho_status hash_open(const ortho_file *file, XXH3_state_t *state, char *piece)
{
    for (uint64_t at = 0; at < file->size; at += PIECE) {
        size_t bytes = file->size - at < PIECE ? (size_t)(file->size - at) : PIECE;
        ortho_status status = ortho_file_read(file, at, piece, bytes);
        if (status != ORTHO_OK)
            return status;
        XXH3_128bits_update(state, piece, bytes);
    }
    return ORTHO_OK;
}

ortho_status ortho_hash_file(const char *path, char hex[ORTHO_HASH_LENGTH + 1])
{
    ortho_file file = {0};
    ortho_status status = ortho_file_open(path, &file);
    if (status != ORTHO_OK)
        return status;
    XXH3_state_t *state = XXH3_createState();
    char *piece = malloc(PIECE);
    if (state == NULL || piece == NULL) {
        status = ortho_fail(ORTHO_E_MEMORY, "%s: no memory to hash it", path);
    } else {
        XXH3_128bits_reset(state);
        status = hash_open(&file, state, piece);
    }
    if (status == ORTHO_OK)
        to_hex(pair_of(XXH3_128bits_digest(state)), hex);
    free(piece);
    XXH3_freeState(state);
    ortho_file_close(&file);
    return status;
}
