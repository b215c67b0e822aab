/* fuzz_tensors.h: whatever can be read of a dataset is read. */
#ifndef ORTHO_TEST_FUZZ_TENSORS_H
#define ORTHO_TEST_FUZZ_TENSORS_H

#include "datasets/datasets.h"

#include <stdlib.h>

static void fuzz_read_row(ortho_dataset *dataset, const ortho_slice *slice, int64_t row)
{
    ortho_dtype dtype;
    void *dst = malloc((size_t)slice->k * 4); /* a row lies in the file, so that this is bounded */
    if (!dst)
        abort();
    if (ortho_dataset_read(dataset, slice, row, 1, dst, &dtype) != ORTHO_OK &&
        !ortho_last_message()[0])
        abort(); /* refused without a word */
    free(dst);
}

/* First and last row of a matrix, whether its name is known or not. size: of its file. */
static void fuzz_read_tensor(ortho_dataset *dataset, int64_t index, uint64_t size)
{
    const ortho_tensor *t = ortho_dataset_tensor(dataset, index);
    if (t->end < t->begin || t->end > size)
        abort(); /* a range outside of the file was let through */
    if (t->rank != 2 || t->shape[0] < 1 || t->shape[1] < 1)
        return;
    if ((uint64_t)t->shape[1] > 2 * size)
        abort(); /* a row that the file can't hold: F4 packs two to a byte */
    ortho_slice slice = {.index = index, .n = t->shape[0], .k = t->shape[1], .tensor = t};
    fuzz_read_row(dataset, &slice, 0);
    fuzz_read_row(dataset, &slice, t->shape[0] - 1);
}

static void fuzz_check_slices(ortho_dataset *dataset)
{
    for (int64_t i = 0; i < ortho_dataset_slices(dataset); i++)
        if (!ortho_dataset_slice(dataset, i)->proj[0])
            abort();
}

#endif
