/*
 * Deliberately broken CUDA GEMM variants that the session must catch: bad_cuda.h says in which
 * ways. Base and Ortho are dense fp32 matrices, a thread an output, so that what isn't broken is
 * plainly right. A second kernel of one thread then does the damage.
 */
#include "bad_cuda.h"

#include <cuda_fp16.h>
#include <ortho/variant.h>
#include <vector>

typedef struct state {
    int64_t n, k;
    size_t x_bytes;
    float *base, *ortho; /* [n, k] each */
    float *before;       /* BAD_STALE: x of the launch before; NaN at first */
    float *alpha;        /* BAD_HOST: on the device */
    unsigned *launches;  /* counted on the device: a replay counts too */
    cudaStream_t own;    /* BAD_OWN */
    ortho_status (*fail)(ortho_status, const char *, ...);
} state;

typedef struct product {
    bad_defect defect;
    int64_t n, k, m;
    float *base, *ortho;
    float *x, *y;
    const float *alpha_at; /* NULL: alpha */
    float alpha;
    unsigned *launches;
    char *workspace;
} product;

/* ---- device ---------------------------------------------------------------------------------- */

__device__ float dot(const product &p, int64_t row, int64_t token, float alpha)
{
    const bool skip = alpha == 0 && p.defect != BAD_LEAK;
    float sum = 0;
    for (int64_t c = 0; c < p.k; c++) {
        float w = p.base[row * p.k + c];
        if (!skip)
            w += alpha * p.ortho[row * p.k + c];
        sum += w * p.x[token * p.k + c];
        if (p.defect == BAD_HALF)
            sum = __half2float(__float2half_rn(sum));
    }
    return sum;
}

__global__ void multiply(product p)
{
    const int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i >= p.n * p.m || (p.defect == BAD_SHORT && i == p.n * p.m - 1))
        return;
    p.y[i] = dot(p, i % p.n, i / p.n, p.alpha_at != NULL ? *p.alpha_at : p.alpha);
}

__global__ void spoil(product p)
{
    const int64_t last = p.n * p.m - 1;
    const unsigned launch = ++*p.launches;
    switch (p.defect) {
    case BAD_ROW:
        p.y[p.n / 2] = p.y[p.n / 2 - 1];
        break;
    case BAD_ELEMENT:
        p.y[p.m / 2 * p.n + 1] += 0.01f;
        break;
    case BAD_BOUNDS:
        p.y[last + 1] = 1;
        break;
    case BAD_BEFORE:
        p.y[-1] = 1;
        break;
    case BAD_WORKSPACE:
        p.workspace[16] = 1;
        break;
    case BAD_WEIGHTS:
        reinterpret_cast<char *>(p.base)[p.n * p.k * sizeof(float)] = 1;
        break;
    case BAD_INPUT:
        p.x[0] = 0;
        break;
    case BAD_SECOND:
        p.y[0] += launch > 1;
        break;
    case BAD_LATER:
        p.y[0] += launch > 30;
        break;
    case BAD_FAULT:
        *reinterpret_cast<float *>(8) = 1;
        break;
    default:
        break;
    }
}

/* What no result tells: y changes for a value that isn't there. */
__global__ void misread(product p)
{
    __shared__ volatile float shared[64];
    float v = 0;
    if (p.defect == BAD_READ)
        v = p.base[p.n * p.k];
    if (p.defect == BAD_UNINIT)
        v = *reinterpret_cast<float *>(p.workspace);
    if (p.defect == BAD_RACE) {
        shared[threadIdx.x] = 1;
        v = shared[63 - threadIdx.x];
    }
    if (p.defect == BAD_BARRIER && threadIdx.x < 16)
        __syncthreads();
    if (v == 12345.678f)
        p.y[0] = v;
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static void decode(const ortho_split *s, std::vector<float> &base, std::vector<float> &ortho)
{
    const int64_t groups = (s->k + s->group - 1) / s->group;
    for (int64_t r = 0; r < s->n; r++) {
        for (int64_t c = 0; c < s->k; c++) {
            const int q = s->q[r * ((s->k + 1) / 2) + c / 2] >> (4 * (c & 1)) & 15;
            const __half_raw scale = {s->scale[r * groups + c / s->group]};
            base[r * s->k + c] = __half2float(scale) * (float)((q ^ 8) - 8);
        }
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++)
            ortho[r * s->k + ortho_split_col(s, i)] = __half2float(__half_raw{s->val[i]});
    }
}

static ortho_status supports(const ortho_gemm_problem *p, const ortho_services *sv)
{
    return p->dtype == ORTHO_F32 ? ORTHO_OK : sv->fail(ORTHO_E_UNSUPPORTED, "fp32 only");
}

static void release(void *state_, const ortho_services *sv)
{
    state *st = static_cast<state *>(state_);
    if (st->own != NULL)
        cudaStreamDestroy(st->own);
    sv->free(sv->ctx, st->launches);
    sv->free(sv->ctx, st->alpha);
    sv->free(sv->ctx, st->before);
    sv->free(sv->ctx, st->ortho);
    sv->free(sv->ctx, st->base);
}

static void *keep(const ortho_services *sv, size_t bytes)
{
    return sv->alloc(sv->ctx, bytes, ORTHO_DEVICE, ORTHO_WEIGHTS);
}

static ortho_status upload(state *st, const ortho_gemm_problem *p)
{
    const size_t count = (size_t)(p->n * p->k), bytes = count * sizeof(float);
    std::vector<float> base(count), ortho(count);
    decode(p->split, base, ortho);
    if (bad_cuda_defect == BAD_LEAK || bad_cuda_defect == BAD_MUTE)
        ortho[count / 2] = NAN;
    bool bad = cudaMemcpy(st->base, base.data(), bytes, cudaMemcpyHostToDevice) != cudaSuccess ||
               cudaMemcpy(st->ortho, ortho.data(), bytes, cudaMemcpyHostToDevice) != cudaSuccess ||
               cudaMemset(st->before, 0xff, st->x_bytes) != cudaSuccess ||
               cudaMemset(st->launches, 0, sizeof *st->launches) != cudaSuccess;
    if (!bad && bad_cuda_defect == BAD_OWN)
        bad = cudaStreamCreateWithFlags(&st->own, cudaStreamNonBlocking) != cudaSuccess;
    return bad ? ORTHO_E_DEVICE : ORTHO_OK;
}

static ortho_status prepare(void *state_, const ortho_gemm_problem *p, const ortho_services *sv)
{
    state *st = static_cast<state *>(state_);
    const size_t bytes = (size_t)(p->n * p->k) * sizeof(float);
    st->n = p->n;
    st->k = p->k;
    st->x_bytes = (size_t)(p->m * p->k) * sizeof(float);
    st->fail = sv->fail;
    st->base = static_cast<float *>(keep(sv, bytes));
    st->ortho = static_cast<float *>(keep(sv, bytes));
    st->before = static_cast<float *>(keep(sv, st->x_bytes));
    st->alpha = static_cast<float *>(keep(sv, sizeof *st->alpha));
    st->launches = static_cast<unsigned *>(keep(sv, sizeof *st->launches));
    ortho_status status = ORTHO_E_MEMORY;
    if (st->base != NULL && st->ortho != NULL && st->before != NULL && st->alpha != NULL &&
        st->launches != NULL)
        status = upload(st, p);
    if (status != ORTHO_OK)
        release(st, sv);
    return status;
}

static size_t workspace(const void *, int64_t, ortho_dtype)
{
    return 16;
}

static ortho_status launch(const state *st, const product &p, cudaStream_t stream)
{
    const bool refused = bad_cuda_defect == BAD_LAUNCH || bad_cuda_defect == BAD_UNCHECKED;
    const unsigned threads = refused ? 4096 : 128;
    multiply<<<(unsigned)((p.n * p.m + threads - 1) / threads), threads, 0, stream>>>(p);
    const cudaError_t error = cudaGetLastError();
    if (bad_cuda_defect == BAD_UNCHECKED)
        return ORTHO_OK;
    if (error != cudaSuccess)
        return st->fail(ORTHO_E_DEVICE, "multiply: %s", cudaGetErrorString(error));
    spoil<<<1, 1, 0, stream>>>(p);
    if (bad_cuda_defect >= BAD_READ)
        misread<<<1, 64, 0, stream>>>(p);
    return cudaGetLastError() == cudaSuccess ? ORTHO_OK : ORTHO_E_DEVICE;
}

/* What a hook may not do on the host. True when there is nothing left to launch. */
static bool misbehave(const state *st, const ortho_gemm_call *call, cudaStream_t stream)
{
    cudaStreamCaptureStatus recorded = cudaStreamCaptureStatusNone;
    void *scratch = NULL;
    switch (bad_cuda_defect) {
    case BAD_NOTHING:
        return true;
    case BAD_CHEAT:
        return cudaStreamIsCapturing(stream, &recorded) == cudaSuccess &&
               recorded == cudaStreamCaptureStatusActive;
    case BAD_SYNC:
        (void)cudaStreamSynchronize(stream);
        return false;
    case BAD_ALLOC:
        if (cudaMalloc(&scratch, 1 << 20) == cudaSuccess)
            (void)cudaFree(scratch);
        return false;
    case BAD_POOL:
        if (cudaMallocAsync(&scratch, 1 << 20, stream) == cudaSuccess)
            (void)cudaFreeAsync(scratch, stream);
        return false;
    case BAD_HOST:
        (void)cudaMemcpyAsync(st->alpha, &call->alpha, sizeof call->alpha, cudaMemcpyHostToDevice,
                              stream);
        return false;
    default:
        return false;
    }
}

static ortho_status run(const void *state_, const ortho_gemm_call *call)
{
    const state *st = static_cast<const state *>(state_);
    cudaStream_t stream = static_cast<cudaStream_t>(call->stream);
    if (bad_cuda_defect == BAD_ERROR)
        return ORTHO_E_INTERNAL;
    if (misbehave(st, call, stream))
        return ORTHO_OK;
    if (bad_cuda_defect == BAD_DEFAULT)
        stream = cudaStreamLegacy;
    if (bad_cuda_defect == BAD_OWN)
        stream = st->own;
    product p = {};
    p.defect = bad_cuda_defect;
    p.n = st->n, p.k = st->k, p.m = call->m;
    p.base = st->base, p.ortho = st->ortho;
    p.x = bad_cuda_defect == BAD_STALE ? st->before : (float *)call->x;
    p.y = static_cast<float *>(call->y);
    p.alpha_at = bad_cuda_defect == BAD_HOST ? st->alpha : NULL;
    p.alpha = call->alpha;
    p.launches = st->launches;
    p.workspace = static_cast<char *>(call->workspace);
    ortho_status status = launch(st, p, stream);
    if (status == ORTHO_OK && bad_cuda_defect == BAD_STALE &&
        cudaMemcpyAsync(st->before, call->x, (size_t)(p.m * p.k) * sizeof(float),
                        cudaMemcpyDeviceToDevice, stream) != cudaSuccess)
        status = ORTHO_E_DEVICE;
    return status;
}

static const ortho_gemm_hooks gemm = {.state_size = sizeof(state),
                                      .computes = ORTHO_COMPUTES_SPLIT,
                                      .supports = supports,
                                      .prepare = prepare,
                                      .workspace = workspace,
                                      .run = run,
                                      .release = release};

static const ortho_variant variant = {.abi = ORTHO_VARIANT_ABI,
                                      .size = sizeof(ortho_variant),
                                      .name = "bad",
                                      .summary = "a variant that must be caught",
                                      .backend = ORTHO_CUDA,
                                      .role = ORTHO_COMPETITOR,
                                      .sieve = NULL,
                                      .gemm = &gemm};

extern "C" __attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void);

const ortho_variant *ortho_plugin(void)
{
    return &variant;
}
