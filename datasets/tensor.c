#include "datasets/tensor.h"

#include "common/dtype.h"
#include "common/error.h"

bool ortho_tensor_size(const ortho_tensor *tensor, int64_t *elements, uint64_t *bytes)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++) /* a zero anywhere makes it empty, whatever the rest */
        if (tensor->shape[i] == 0)
            count = 0;
    for (int i = 0; i < tensor->rank && count != 0; i++)
        if (tensor->shape[i] > INT64_MAX / count)
            return false;
        else
            count *= tensor->shape[i];
    int64_t block = ortho_dtype_block(tensor->dtype), unit = ortho_dtype_block_bytes(tensor->dtype);
    if (count % block != 0 || (unit > 0 && count / block > INT64_MAX / unit))
        return false;
    *elements = count;
    *bytes = (uint64_t)(count / block * unit);
    return true;
}

ortho_status ortho_tensor_check_rows(const ortho_tensor *t, int64_t row, int64_t rows)
{
    if (!t)
        return ortho_fail(ORTHO_E_ARGUMENT, "no tensor has this index");
    if (t->rank != 2)
        return ortho_fail(ORTHO_E_ARGUMENT, "tensor \"%s\" has rank %d: only a matrix has rows",
                          t->name, t->rank);
    if (row < 0 || rows < 0 || row > t->shape[0] || rows > t->shape[0] - row)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "tensor \"%s\" has %lld rows: no %lld of them begin at row %lld", t->name,
                          (long long)t->shape[0], (long long)rows, (long long)row);
    return ORTHO_OK;
}
