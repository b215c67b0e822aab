/* transfer_save.h: what is done, into the manifest. */
#ifndef ORTHO_FETCH_TRANSFER_SAVE_H
#define ORTHO_FETCH_TRANSFER_SAVE_H

#include "datasets/fetch/transfer.h"

/* Enters what is done into the manifest in memory. No thread may change the tensors meanwhile. */
ortho_status ortho_transfer_note(ortho_transfer *);

/* Syncs the shards' data, then writes the manifest whole. */
ortho_status ortho_transfer_save(const ortho_transfer *);

/* Reads which pieces of this tensor an earlier fetch left, into `pieces` and `left`. */
void ortho_transfer_recall(const ortho_slice_store *, uint64_t piece_bytes, ortho_fetch_tensor *);

#endif
