/*
 * whole.h: the hub's own hash. For a file in its large storage the hub's ETag is the SHA-256 of all
 * its bytes, so that a shard of which every tensor is there can be held against it. (Of a part of a
 * file the hub gives no hash: there TLS, the exact range and the length are the guard.)
 */
#ifndef ORTHO_FETCH_WHOLE_H
#define ORTHO_FETCH_WHOLE_H

#include "datasets/fetch/transfer.h"

/* Checks each shard that has become whole and wasn't checked yet; the manifest keeps that it was.
 * One that isn't what the hub says is struck from the manifest, and is a FORMAT error. */
ortho_status ortho_shards_verify(ortho_transfer *);

#endif
