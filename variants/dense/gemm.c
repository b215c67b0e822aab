/*
 * dense, dual GEMM: no split at all. OpenBLAS over the unsplit W in fp32, as a user would call it:
 * sgemv for one token, sgemm for more. W takes 4 bytes a weight, 8 times Base: memory-bound for few
 * tokens, and the baseline that every speed-up is over. fp16 and bf16 activations are converted to
 * fp32 in the workspace and back; W is rounded to their type first, as a user would store it.
 *
 * The library is opened at run time, with the four prototypes that are needed, so that a machine
 * without it still builds and runs everything else.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "kernels/base_gemm.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#define LIBRARY   "libopenblas.so.0"
#define ROW_MAJOR 101
#define NO_TRANS  111
#define TRANS     112

extern const ortho_gemm_hooks ortho_dense_gemm_cpu;

typedef void sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                      const float *a, int lda, const float *b, int ldb, float beta, float *c,
                      int ldc);
typedef void sgemv_fn(int order, int trans, int m, int n, float alpha, const float *a, int lda,
                      const float *x, int incx, float beta, float *y, int incy);
typedef void threads_fn(int threads);

typedef struct blas {
    void *library;
    sgemm_fn *sgemm;
    sgemv_fn *sgemv;
    threads_fn *set_threads;
} blas;

typedef struct state {
    blas blas;
    int64_t n, k;
    ortho_dtype dtype;
    float *w; /* [n, k] */
} state;

/* ISO C has no conversion from void * to a function pointer; POSIX promises that the bits fit. */
static bool find(void *library, const char *symbol, void *function)
{
    void *address = dlsym(library, symbol);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static ortho_status open_blas(blas *out, const ortho_services *services)
{
    /* NODELETE: its worker threads don't survive an unloading. */
    blas b = {.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
    if (b.library == NULL)
        return services->fail(ORTHO_E_UNSUPPORTED,
                              LIBRARY " can't be loaded (%s): install libopenblas0-openmp",
                              dlerror());
    if (!find(b.library, "cblas_sgemm", &b.sgemm) || !find(b.library, "cblas_sgemv", &b.sgemv) ||
        !find(b.library, "openblas_set_num_threads", &b.set_threads)) {
        dlclose(b.library);
        return services->fail(ORTHO_E_UNSUPPORTED, LIBRARY " lacks CBLAS or its thread control");
    }
    *out = b;
    return ORTHO_OK;
}

static ortho_status supports(const ortho_gemm_problem *problem, const ortho_services *services)
{
    blas b;
    if (problem->n > INT_MAX || problem->k > INT_MAX || problem->m > INT_MAX)
        return services->fail(ORTHO_E_UNSUPPORTED, "OpenBLAS counts in 32 bits");
    ortho_status status = open_blas(&b, services);
    if (status == ORTHO_OK)
        dlclose(b.library);
    return status;
}

/* As it is stored beside activations of this dtype. */
static float rounded(ortho_dtype dtype, float v)
{
    return dtype == ORTHO_F16 ? ortho_fp16_to_float(ortho_float_to_fp16(v))
                              : ortho_bf16_to_float(ortho_float_to_bf16(v));
}

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    state *st = opaque;
    const ortho_matrix *w = problem->w;
    if (w == NULL)
        return services->fail(ORTHO_E_UNSUPPORTED, "dense needs the unsplit weights");
    state made = {.n = w->rows, .k = w->cols, .dtype = problem->dtype};
    ortho_status status = open_blas(&made.blas, services);
    if (status != ORTHO_OK)
        return status;
    made.w = services->alloc(services->ctx, (size_t)(w->rows * w->cols) * sizeof(float), ORTHO_HOST,
                             ORTHO_WEIGHTS);
    if (made.w == NULL) {
        dlclose(made.blas.library);
        return ORTHO_E_MEMORY;
    }
    size_t row_bytes = (size_t)w->stride * (w->dtype == ORTHO_F32 ? 4 : 2);
    for (int64_t r = 0; r < w->rows; r++)
        ortho_base_load(w->dtype, (const char *)w->data + (size_t)r * row_bytes, w->cols,
                        made.w + r * w->cols);
    if (made.dtype != ORTHO_F32 && made.dtype != w->dtype)
        for (int64_t i = 0; i < w->rows * w->cols; i++)
            made.w[i] = rounded(made.dtype, made.w[i]);
    *st = made;
    return ORTHO_OK;
}

static void release(void *opaque, const ortho_services *services)
{
    state *st = opaque;
    services->free(services->ctx, st->w);
    dlclose(st->blas.library);
    *st = (state){0};
}

/* x and y in fp32, where the call's aren't. */
static size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype)
{
    const state *st = opaque;
    return dtype == ORTHO_F32 ? 0 : (size_t)(m * (st->n + st->k)) * sizeof(float);
}

static ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = opaque;
    const float *x = call->x;
    float *y = call->y;
    int n = (int)st->n, k = (int)st->k;
    if (call->dtype != st->dtype) /* W was rounded to the problem's */
        return ortho_fail(ORTHO_E_UNSUPPORTED, "dense was prepared for %s",
                          ortho_dtype_name(st->dtype));
    if (st->dtype != ORTHO_F32) {
        float *copy = call->workspace;
        ortho_base_load(st->dtype, call->x, call->m * st->k, copy);
        x = copy;
        y = copy + call->m * st->k;
    }
    st->blas.set_threads(call->threads);
    if (call->m == 1)
        st->blas.sgemv(ROW_MAJOR, NO_TRANS, n, k, 1, st->w, k, x, 1, 0, y, 1);
    else
        st->blas.sgemm(ROW_MAJOR, NO_TRANS, TRANS, (int)call->m, n, k, 1, x, k, st->w, k, 0, y, n);
    if (st->dtype != ORTHO_F32)
        ortho_base_store(st->dtype, y, call->m * st->n, call->y);
    return ORTHO_OK;
}

static void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *st = opaque;
    double n = (double)st->n, k = (double)st->k, element = st->dtype == ORTHO_F32 ? 4 : 2;
    out->bytes = 4 * n * k + (double)m * (n + k) * element;
    out->flops = 2 * (double)m * n * k;
}

const ortho_gemm_hooks ortho_dense_gemm_cpu = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_UNSPLIT,
    .supports = supports,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
};
