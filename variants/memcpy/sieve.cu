/* memcpy's sieve on CUDA: copies W's rows and nothing else, by the driver's own copy. */
#include "kernels/cuda/status.h"

#include <ortho/variant.h>

namespace
{

struct copy {
    void *bytes; /* [rows, cols] of W's dtype, contiguous */
};

size_t element_bytes(const ortho_matrix *w)
{
    return w->dtype == ORTHO_F32 ? 4 : 2;
}

ortho_status prepare(void *state, const ortho_sieve_problem *p, const ortho_services *s)
{
    size_t bytes = static_cast<size_t>(p->w->rows * p->w->cols) * element_bytes(p->w);
    static_cast<copy *>(state)->bytes = s->alloc(s->ctx, bytes, ORTHO_DEVICE, ORTHO_OUTPUT);
    return static_cast<copy *>(state)->bytes != nullptr ? ORTHO_OK : ORTHO_E_MEMORY;
}

ortho_status run(void *state, const ortho_sieve_problem *p, const ortho_services *s)
{
    size_t row = static_cast<size_t>(p->w->cols) * element_bytes(p->w);
    size_t stride = static_cast<size_t>(p->w->stride) * element_bytes(p->w);
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    void *to = static_cast<copy *>(state)->bytes;
    if (row == stride)
        return ortho_cuda_status(cudaMemcpyAsync(to, p->w->data,
                                                 row * static_cast<size_t>(p->w->rows),
                                                 cudaMemcpyDeviceToDevice, stream),
                                 "copy of W");
    return ortho_cuda_status(cudaMemcpy2DAsync(to, row, p->w->data, stride, row,
                                               static_cast<size_t>(p->w->rows),
                                               cudaMemcpyDeviceToDevice, stream),
                             "copy of W");
}

ortho_status export_split(const void *, ortho_split *, const ortho_services *s)
{
    return s->fail(ORTHO_E_UNSUPPORTED, "memcpy copies W: there is no split to export");
}

void release(void *state, const ortho_services *s)
{
    s->free(s->ctx, static_cast<copy *>(state)->bytes);
}

} // namespace

extern "C" const ortho_sieve_hooks ortho_memcpy_sieve_cuda;
const ortho_sieve_hooks ortho_memcpy_sieve_cuda = {
    .state_size = sizeof(copy),
    .prepare = prepare,
    .run = run,
    .export_split = export_split,
    .release = release,
    .w_reads = {1, 1, 1},
};
