/*
 * A CUDA variant built outside the tree, to copy from: a warp a row. Lane l takes the weights l,
 * l + 32, ... of its row, unpacks INT4 as it goes, then the row's entries of Ortho likewise; a
 * shuffle tree adds the lanes; one rounding at the end. Several tokens share what was unpacked.
 *
 * Layout: the canonical split as it comes, columns widened to 32 bits. Bottleneck: instructions,
 * since every weight costs a byte load, a scale load and a conversion. It is simple, not fast.
 */
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <ortho/variant.h>
#include <vector>

namespace
{

constexpr int WARPS = 4, TOKENS = 4; // rows of a block; tokens that share an unpacked weight

// What the kernel gets, by value: pointers to device memory. It is the state as well.
struct split {
    int64_t n, k, group, groups;
    ortho_dtype dtype;
    uint8_t *q;
    __half *scale;
    int32_t *row_ptr;
    uint32_t *col;
    __half *val;
    decltype(ortho_services::fail) fail; // host only: run has no services to tell a failure with
};

__device__ float weight(const split &s, int64_t row, int64_t c)
{
    const int nibble = s.q[row * ((s.k + 1) / 2) + c / 2] >> (4 * (c & 1)) & 15;
    return __half2float(s.scale[row * s.groups + c / s.group]) * ((nibble ^ 8) - 8);
}

// Adds w times each token's x, which are k apart. A token beyond the last repeats it, unused.
template <typename T>
__device__ void add(float sum[TOKENS], float w, const T *x, int64_t k, int tokens)
{
    for (int t = 0; t < TOKENS; t++)
        sum[t] += w * static_cast<float>(x[min(t, tokens - 1) * k]);
}

template <typename T> __global__ void multiply(split s, const T *x, T *y, int64_t m, float alpha)
{
    const int lane = threadIdx.x % 32;
    const int64_t row = blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / 32;
    if (row >= s.n)
        return; // a whole warp: those that stay still shuffle with all of theirs
    for (int64_t first = 0; first < m; first += TOKENS) {
        const int tokens = static_cast<int>(m - first < TOKENS ? m - first : TOKENS);
        const T *at = x + first * s.k;
        float sum[TOKENS] = {};
        for (int64_t c = lane; c < s.k; c += 32)
            add(sum, weight(s, row, c), at + c, s.k, tokens);
        if (alpha != 0) // else Ortho isn't read: a NaN in it can't leak
            for (int32_t i = s.row_ptr[row] + lane; i < s.row_ptr[row + 1]; i += 32)
                add(sum, alpha * __half2float(s.val[i]), at + s.col[i], s.k, tokens);
        for (int t = 0; t < TOKENS; t++) {
            for (int distance = 16; distance > 0; distance /= 2)
                sum[t] += __shfl_xor_sync(0xffffffffu, sum[t], distance);
            if (lane == 0 && t < tokens)
                y[(first + t) * s.n + row] = static_cast<T>(sum[t]);
        }
    }
}

// ---- hooks: variant.h says what each owes ------------------------------------------------------

ortho_status supports(const ortho_gemm_problem *p, const ortho_services *sv)
{
    if (p->dtype == ORTHO_F32 || p->dtype == ORTHO_F16 || p->dtype == ORTHO_BF16)
        return ORTHO_OK;
    return sv->fail(ORTHO_E_UNSUPPORTED, "example-cuda knows fp32, fp16 and bf16");
}

void release(void *state, const ortho_services *sv)
{
    split *s = static_cast<split *>(state);
    sv->free(sv->ctx, s->val);
    sv->free(sv->ctx, s->col);
    sv->free(sv->ctx, s->row_ptr);
    sv->free(sv->ctx, s->scale);
    sv->free(sv->ctx, s->q);
}

// Device memory through the services, so that it is booked and fenced, filled from the host.
template <typename T, typename H>
cudaError_t upload(T **out, const H *from, int64_t count, const ortho_services *sv)
{
    static_assert(sizeof(T) == sizeof(H), "copied as it is");
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    *out = static_cast<T *>(sv->alloc(sv->ctx, bytes, ORTHO_DEVICE, ORTHO_WEIGHTS));
    if (*out == nullptr)
        return cudaErrorMemoryAllocation;
    return cudaMemcpyAsync(*out, from, bytes, cudaMemcpyHostToDevice,
                           static_cast<cudaStream_t>(sv->stream));
}

ortho_status prepare(void *state, const ortho_gemm_problem *p, const ortho_services *sv)
{
    split *s = static_cast<split *>(state);
    const ortho_split *from = p->split;
    s->n = from->n, s->k = from->k, s->group = from->group;
    s->groups = (from->k + from->group - 1) / from->group;
    s->dtype = p->dtype;
    s->fail = sv->fail;
    std::vector<uint32_t> col(static_cast<size_t>(from->nnz));
    for (int64_t i = 0; i < from->nnz; i++)
        col[i] = static_cast<uint32_t>(ortho_split_col(from, i));
    cudaError_t error = upload(&s->q, from->q, s->n * ((s->k + 1) / 2), sv);
    if (error == cudaSuccess)
        error = upload(&s->scale, from->scale, s->n * s->groups, sv);
    if (error == cudaSuccess)
        error = upload(&s->row_ptr, from->row_ptr, s->n + 1, sv);
    if (error == cudaSuccess)
        error = upload(&s->col, col.data(), from->nnz, sv);
    if (error == cudaSuccess)
        error = upload(&s->val, from->val, from->nnz, sv);
    if (error == cudaSuccess) // prepare may wait, and must: what it copies from ends with it
        error = cudaStreamSynchronize(static_cast<cudaStream_t>(sv->stream));
    if (error == cudaSuccess)
        return ORTHO_OK;
    release(state, sv); // a hook that fails leaves nothing behind
    return sv->fail(error == cudaErrorMemoryAllocation ? ORTHO_E_MEMORY : ORTHO_E_DEVICE,
                    "example-cuda: preparing: %s", cudaGetErrorString(error));
}

template <typename T> ortho_status launch(const split *s, const ortho_gemm_call *call)
{
    const unsigned blocks = static_cast<unsigned>((s->n + WARPS - 1) / WARPS);
    multiply<T><<<blocks, WARPS * 32, 0, static_cast<cudaStream_t>(call->stream)>>>(
        *s, static_cast<const T *>(call->x), static_cast<T *>(call->y), call->m, call->alpha);
    const cudaError_t error = cudaGetLastError();
    return error == cudaSuccess
               ? ORTHO_OK
               : s->fail(ORTHO_E_DEVICE, "example-cuda: multiply: %s", cudaGetErrorString(error));
}

// Only enqueues, on the stream of the call: it is recorded into a CUDA graph and replayed.
ortho_status run(const void *state, const ortho_gemm_call *call)
{
    const split *s = static_cast<const split *>(state);
    return call->dtype == ORTHO_F16    ? launch<__half>(s, call)
           : call->dtype == ORTHO_BF16 ? launch<__nv_bfloat16>(s, call)
                                       : launch<float>(s, call);
}

// A warp a row: lane l makes a trip for each of the entries l, l + 32, ... of its row.
void lanes(const ortho_split *s, int64_t m, const ortho_lane_sink *sink)
{
    for (int64_t row = 0; row < s->n; row++) {
        const int64_t length = s->row_ptr[row + 1] - s->row_ptr[row];
        int64_t trips[32];
        for (int lane = 0; lane < 32; lane++)
            trips[lane] = length > lane ? (length - lane + 31) / 32 : 0;
        ortho_lanes_loop(sink, trips, static_cast<double>((m + TOKENS - 1) / TOKENS));
    }
}

// Registers, shared memory and spills, as the compiler left them: the results keep them.
void kernels(const void *state, int64_t, const ortho_kernel_sink *sink)
{
    const ortho_dtype dtype = static_cast<const split *>(state)->dtype;
    const void *kernel = dtype == ORTHO_F16    ? (const void *)multiply<__half>
                         : dtype == ORTHO_BF16 ? (const void *)multiply<__nv_bfloat16>
                                               : (const void *)multiply<float>;
    cudaFuncAttributes a;
    if (cudaFuncGetAttributes(&a, kernel) != cudaSuccess)
        return;
    const ortho_kernel_facts facts = {.name = "multiply",
                                      .threads = WARPS * 32,
                                      .registers = a.numRegs,
                                      .shared_bytes = a.sharedSizeBytes,
                                      .spilled_bytes = a.localSizeBytes};
    sink->kernel(sink->ctx, &facts);
}

const ortho_gemm_hooks gemm = {.state_size = sizeof(split),
                               .computes = ORTHO_COMPUTES_SPLIT,
                               .supports = supports,
                               .prepare = prepare,
                               .workspace = nullptr,
                               .run = run,
                               .release = release,
                               .cost = nullptr,
                               .lanes = lanes,
                               .kernels = kernels};

const ortho_variant variant = {.abi = ORTHO_VARIANT_ABI,
                               .size = sizeof(ortho_variant),
                               .name = "example-cuda",
                               .summary = "out of the tree: a warp a row, INT4 unpacked on the fly",
                               .backend = ORTHO_CUDA,
                               .role = ORTHO_COMPETITOR,
                               .sieve = nullptr,
                               .gemm = &gemm};

} // namespace

extern "C" __attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void)
{
    return &variant;
}
