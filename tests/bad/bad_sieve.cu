/*
 * Deliberately broken CUDA sieves: bad_cuda.h says in which ways. run copies W on the device;
 * export_split, which may wait, brings that copy to the host and sieves it there with the CPU's
 * building blocks. So the split is right if and only if run did its part on the stream it was
 * given.
 */
#include "bad_cuda.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <ortho/variant.h>
#include <string.h>
#include <vector>

extern "C" {
#include "kernels/sieve.h"
}

typedef struct state {
    ortho_matrix w; /* data: the copy, on the device */
    ortho_sieve_problem problem;
    std::vector<float> *hessian; /* the problem's outlives prepare only by ours */
    size_t bytes;
    unsigned *launches;
    cudaStream_t stream;
} state;

__global__ void spoil(bad_defect defect, float *copy, size_t bytes, float *w, unsigned *launches)
{
    const unsigned launch = ++*launches;
    if (defect == BAD_BOUNDS)
        reinterpret_cast<char *>(copy)[bytes] = 1;
    if (defect == BAD_INPUT)
        w[3] += 1;
    if (defect == BAD_LATER && launch > 30)
        copy[0] = 100;
}

static ortho_status supports(const ortho_sieve_problem *p, const ortho_services *sv)
{
    return p->w->dtype == ORTHO_F32 ? ORTHO_OK : sv->fail(ORTHO_E_UNSUPPORTED, "fp32 only");
}

static void release(void *state_, const ortho_services *sv)
{
    state *st = static_cast<state *>(state_);
    delete st->hessian;
    sv->free(sv->ctx, st->launches);
    sv->free(sv->ctx, const_cast<void *>(st->w.data));
}

static ortho_status prepare(void *state_, const ortho_sieve_problem *p, const ortho_services *sv)
{
    state *st = static_cast<state *>(state_);
    st->w = *p->w;
    st->problem = *p;
    st->bytes = (size_t)(p->w->rows * p->w->cols) * sizeof(float);
    st->stream = static_cast<cudaStream_t>(sv->stream);
    st->w.data = sv->alloc(sv->ctx, st->bytes, ORTHO_DEVICE, ORTHO_OUTPUT);
    st->launches =
        static_cast<unsigned *>(sv->alloc(sv->ctx, sizeof(unsigned), ORTHO_DEVICE, ORTHO_WORKING));
    if (p->hessian != NULL)
        st->hessian = new std::vector<float>(p->hessian, p->hessian + p->w->cols);
    if (st->w.data != NULL && st->launches != NULL &&
        cudaMemset(st->launches, 0, sizeof *st->launches) == cudaSuccess)
        return ORTHO_OK;
    release(st, sv);
    return ORTHO_E_MEMORY;
}

static ortho_status run(void *state_, const ortho_sieve_problem *p, const ortho_services *sv)
{
    state *st = static_cast<state *>(state_);
    cudaStream_t stream = static_cast<cudaStream_t>(sv->stream);
    void *copy = const_cast<void *>(st->w.data), *scratch = NULL;
    if (bad_cuda_defect == BAD_NOTHING)
        return ORTHO_OK;
    if (bad_cuda_defect == BAD_SYNC)
        (void)cudaStreamSynchronize(stream);
    if (bad_cuda_defect == BAD_ALLOC && cudaMalloc(&scratch, 1 << 20) == cudaSuccess)
        (void)cudaFree(scratch);
    if (bad_cuda_defect == BAD_DEFAULT)
        stream = cudaStreamLegacy;
    if (cudaMemcpyAsync(copy, p->w->data, st->bytes, cudaMemcpyDeviceToDevice, stream) !=
        cudaSuccess)
        return sv->fail(ORTHO_E_DEVICE, "copying W failed");
    spoil<<<1, 1, 0, stream>>>(bad_cuda_defect, static_cast<float *>(copy), st->bytes,
                               static_cast<float *>(const_cast<void *>(p->w->data)), st->launches);
    return cudaGetLastError() == cudaSuccess ? ORTHO_OK : ORTHO_E_DEVICE;
}

/* ---- export ---------------------------------------------------------------------------------- */

static void take_row(void *ctx, int64_t, int64_t first, int64_t count, const uint32_t *col,
                     const uint16_t *val)
{
    ortho_split *s = static_cast<ortho_split *>(ctx);
    for (int64_t i = 0; i < count; i++) {
        static_cast<uint16_t *>(s->col)[first + i] = (uint16_t)col[i];
        s->val[first + i] = val[i];
    }
}

static ortho_status export_split(const void *state_, ortho_split *out, const ortho_services *sv)
{
    const state *st = static_cast<const state *>(state_);
    std::vector<float> host(st->bytes / sizeof(float));
    ortho_matrix w = st->w;
    ortho_sieve_problem p = st->problem;
    if (cudaStreamSynchronize(st->stream) != cudaSuccess ||
        cudaMemcpy(host.data(), w.data, st->bytes, cudaMemcpyDeviceToHost) != cudaSuccess)
        return sv->fail(ORTHO_E_DEVICE, "no copy of W");
    for (float &v : host)
        if (bad_cuda_defect == BAD_NAN && isnan(v))
            v = 0;
    w.data = host.data();
    w.stride = w.cols;
    p.w = &w;
    p.hessian = st->hessian != NULL ? st->hessian->data() : NULL;
    ortho_sieve_emit emit = {.ctx = out, .rows = NULL, .row = take_row};
    ortho_status status =
        ortho_sieve_stream(&p, ORTHO_WALK_SCALAR, out->q, out->scale, out->row_ptr, &emit, sv);
    if (bad_cuda_defect == BAD_FEW)
        out->row_ptr[out->n]--;
    if (bad_cuda_defect == BAD_ENTRY)
        out->val[out->nnz / 2] ^= 1;
    return status;
}

static const ortho_sieve_hooks sieve = {.state_size = sizeof(state),
                                        .supports = supports,
                                        .prepare = prepare,
                                        .run = run,
                                        .export_split = export_split,
                                        .release = release};

static const ortho_variant variant = {.abi = ORTHO_VARIANT_ABI,
                                      .size = sizeof(ortho_variant),
                                      .name = "bad",
                                      .summary = "a sieve that must be caught",
                                      .backend = ORTHO_CUDA,
                                      .role = ORTHO_COMPETITOR,
                                      .sieve = &sieve,
                                      .gemm = NULL};

extern "C" __attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void);

const ortho_variant *ortho_plugin(void)
{
    return &variant;
}
