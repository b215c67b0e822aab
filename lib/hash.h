/* hash.h: xxh3-128, in hex: fast enough to hash all that goes by, no defence against an enemy. */
#ifndef ORTHO_LIB_HASH_H
#define ORTHO_LIB_HASH_H

#include "lib/artifact.h"

void ortho_hash(const void *data, size_t bytes, char hex[ORTHO_HASH_LENGTH + 1]);

/* Of a file's bytes. */
ortho_status ortho_hash_file(const char *path, char hex[ORTHO_HASH_LENGTH + 1]);

#endif
