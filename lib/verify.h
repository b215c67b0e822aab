/* verify.h: is what the journal says is there, there? */
#ifndef ORTHO_LIB_VERIFY_H
#define ORTHO_LIB_VERIFY_H

#include "lib/target.h"

/* Reads every unit of the journal back; one whose bytes differ is forgotten, to be done again.
 * tick: called now and then with the bytes (of the artifact) looked at; not 0: CANCELLED. IO: a
 * finished shard was changed. */
ortho_status ortho_target_verify(ortho_target *target, int (*tick)(void *ctx, uint64_t bytes),
                                 void *ctx);

#endif
