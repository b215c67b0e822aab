/* target_look.h: what a run finds in the folder that it is to write into. */
#ifndef ORTHO_LIB_TARGET_LOOK_H
#define ORTHO_LIB_TARGET_LOOK_H

#include "lib/target.h"

#define ORTHO_INDEX_NAME "model.safetensors.index.json"

/* Finds which shards have their final names. ARGUMENT: one has it though this run doesn't resume,
 * or wasn't made as this run would; or an index is there before its shards. */
ortho_status ortho_target_look(ortho_target *target, bool resume);

bool ortho_target_all_finished(const ortho_target *target);

/* Of the whole file. */
uint64_t ortho_target_shard_bytes(const ortho_plan_shard *shard);

#endif
