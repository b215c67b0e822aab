/* dataset.h: what the files that make up a dataset share. */
#ifndef ORTHO_DATASETS_DATASET_H
#define ORTHO_DATASETS_DATASET_H

#include "datasets/datasets.h"

#include <jansson.h>

struct ortho_dataset {
    const ortho_reader *reader;
    ortho_source *source;
    ortho_model_facts facts;
    ortho_slice *slices;
    int64_t slice_count;
};

/* Fills slices from the tensors' names. */
ortho_status ortho_dataset_find_slices(ortho_dataset *, const json_t *registry);

/* Fills facts. `model`: the known model that was asked for by name, or NULL. Needs the slices. */
ortho_status ortho_dataset_describe(ortho_dataset *, const json_t *registry, const json_t *model,
                                    const char *spec);

/* Index of the first NaN or Inf among `count` F32, F16 or BF16 values; -1: all are finite. */
int64_t ortho_find_nonfinite(ortho_dtype dtype, const void *data, int64_t count);

#endif
