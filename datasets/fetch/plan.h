/* plan.h: from chosen names to shards that are open and tensors with their pieces. */
#ifndef ORTHO_FETCH_PLAN_H
#define ORTHO_FETCH_PLAN_H

#include "datasets/fetch/remote.h"
#include "datasets/fetch/transfer.h"

/* Gets the headers that are missing, opens each shard of `wanted` (name -> shard), and lists the
 * tensors in the order of their bytes, with the pieces that an earlier fetch left. Fills shards,
 * tensors and total of *x, whose request and store are set; ortho_transfer_close frees them. */
ortho_status ortho_transfer_plan(ortho_remote *, json_t *wanted, ortho_transfer *x);
void ortho_transfer_close(ortho_transfer *);

#endif
