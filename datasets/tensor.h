/* tensor.h: sizes of a tensor, without overflow. */
#ifndef ORTHO_DATASETS_TENSOR_H
#define ORTHO_DATASETS_TENSOR_H

#include <ortho/reader.h>

/* Multiplies a shape out: elements, and bytes as stored. False when either overflows or the
 * elements don't fill whole blocks. */
bool ortho_tensor_size(const ortho_tensor *, int64_t *elements, uint64_t *bytes);

/* Is [row, row + rows) a range of rows of this rank-2 tensor? ARGUMENT otherwise, and for NULL. */
ortho_status ortho_tensor_check_rows(const ortho_tensor *, int64_t row, int64_t rows);

#endif
