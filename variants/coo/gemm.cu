/*
 * coo, dual GEMM on CUDA: the review's loop, written anew with 32-bit indices. A thread a row (and
 * a token): it scans the sorted list from its start until an entry's row has passed its own, and
 * multiplies where the row is its own. O(n * nnz) loads of row indices, all from cache: 8192 rows x
 * 251,658 entries / 2 = 1.0e9 iterations at 1 %, where csr makes 2.5e5. It is the patient.
 */
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/status.h"
#include "kernels/split.h"

extern "C" void ortho_coo_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

namespace
{

constexpr int THREADS = 256;

struct coo_state {
    ortho_cuda_base base;
    int64_t nnz;
    void *row, *col, *val;
};

struct list {
    const int32_t *rows, *cols;
    const __half *vals;
    int64_t nnz;
};

constexpr int LOOP_FIRST = __LINE__;
/* The Ortho loop: row r scans the list, and multiplies with the x of a token. */
template <typename X>
__device__ __forceinline__ float scan_list(const list &l, int64_t r, const X *xt)
{
    float sum = 0;
    for (int64_t i = 0; i < l.nnz; i++) {
        ORTHO_COUNT_LANES_HERE(9);
        if (l.rows[i] > r)
            break;
        ORTHO_COUNT_LANES_HERE(9);
        if (l.rows[i] == r) {
            ORTHO_COUNT_LANES_HERE(17);
            sum += __half2float(l.vals[i]) * ortho_cuda_float(xt[l.cols[i]]);
        }
    }
    return sum;
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"coo_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

template <typename X>
__global__ void __launch_bounds__(THREADS)
    coo_kernel(const int32_t *rows, const int32_t *cols, const __half *vals, int64_t nnz,
               const X *x, int64_t n, int64_t k, int64_t m, float alpha, float *addend)
{
    ortho_cuda_release_dependents();
    int64_t r = blockIdx.x * static_cast<int64_t>(THREADS) + threadIdx.x;
    if (r >= n)
        return;
    for (int64_t token = blockIdx.y; token < m; token += gridDim.y) {
        const float sum = scan_list({rows, cols, vals, nnz}, r, x + token * k);
        addend[token * n + r] = alpha * sum;
    }
}

template <typename X> void launch(const coo_state *s, const ortho_gemm_call *call, float *addend)
{
    dim3 grid(static_cast<unsigned>((s->base.n + THREADS - 1) / THREADS),
              static_cast<unsigned>(call->m < 65535 ? call->m : 65535));
    coo_kernel<X><<<grid, THREADS, 0, static_cast<cudaStream_t>(call->stream)>>>(
        static_cast<const int32_t *>(s->row), static_cast<const int32_t *>(s->col),
        static_cast<const __half *>(s->val), s->nnz, static_cast<const X *>(call->x), s->base.n,
        s->base.k, call->m, call->alpha, addend);
}

ortho_status scan(const void *opaque, const ortho_gemm_call *call, float *addend)
{
    const coo_state *s = static_cast<const coo_state *>(opaque);
    if (call->dtype == ORTHO_F16)
        launch<__half>(s, call, addend);
    else if (call->dtype == ORTHO_BF16)
        launch<__nv_bfloat16>(s, call, addend);
    else
        launch<float>(s, call, addend);
    return ortho_cuda_launched("coo_kernel");
}

void release(void *opaque, const ortho_services *services)
{
    coo_state *s = static_cast<coo_state *>(opaque);
    services->free(services->ctx, s->val);
    services->free(services->ctx, s->col);
    services->free(services->ctx, s->row);
    ortho_cuda_base_release(&s->base, services);
    *s = coo_state{};
}

ortho_status upload(coo_state *s, const ortho_split *split, const ortho_services *services)
{
    ortho_coo coo;
    size_t entries = static_cast<size_t>(split->nnz);
    ortho_status status = ortho_coo_from_csr(split, services, ORTHO_WORKING, &coo);
    if (status != ORTHO_OK)
        return status;
    status = ortho_cuda_keep(coo.row, entries * sizeof(int32_t), services, &s->row);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(coo.col, entries * sizeof(int32_t), services, &s->col);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(coo.val, entries * sizeof(uint16_t), services, &s->val);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(
            cudaStreamSynchronize(static_cast<cudaStream_t>(services->stream)), "upload of Ortho");
    ortho_coo_free(&coo, services);
    return status;
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    coo_state made = {};
    made.nnz = problem->split->nnz;
    ortho_status status = ortho_cuda_base_prepare(&made.base, problem, services);
    if (status != ORTHO_OK)
        return status;
    status = upload(&made, problem->split, services);
    if (status != ORTHO_OK)
        release(&made, services);
    else
        *static_cast<coo_state *>(opaque) = made;
    return status;
}

size_t workspace(const void *opaque, int64_t m, ortho_dtype)
{
    return ortho_cuda_dual_workspace(&static_cast<const coo_state *>(opaque)->base, m);
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const coo_state *s = static_cast<const coo_state *>(opaque);
    return ortho_cuda_dual_run(&s->base, s->nnz, call, s, scan);
}

ortho_status export_split(const void *opaque, ortho_split *out, const ortho_services *services)
{
    const coo_state *s = static_cast<const coo_state *>(opaque);
    const size_t entries = static_cast<size_t>(s->nnz);
    ortho_coo coo = {s->base.n, s->base.k, s->nnz, nullptr, nullptr, nullptr};
    char *host = static_cast<char *>(
        services->alloc(services->ctx, entries * 10, ORTHO_HOST, ORTHO_WORKING));
    if (host == nullptr)
        return ORTHO_E_MEMORY;
    coo.row = reinterpret_cast<int32_t *>(host);
    coo.col = coo.row + entries;
    coo.val = reinterpret_cast<uint16_t *>(coo.col + entries);
    ortho_status status = ortho_cuda_base_export(&s->base, out, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(coo.row, s->row, entries * sizeof(int32_t), services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(coo.col, s->col, entries * sizeof(int32_t), services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(coo.val, s->val, entries * sizeof(uint16_t), services);
    if (status == ORTHO_OK)
        status = ortho_csr_from_coo(&coo, out);
    services->free(services->ctx, host);
    return status;
}

/* Each entry once: row and col i32, val fp16. What the scan reads again nobody needs to. */
void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const coo_state *s = static_cast<const coo_state *>(opaque);
    ortho_cuda_base_cost(&s->base, m, s->nnz, static_cast<size_t>(s->nnz) * 10, out);
}

void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    const coo_state *s = static_cast<const coo_state *>(opaque);
    const void *kernel = s->base.dtype == ORTHO_F16    ? (const void *)coo_kernel<__half>
                         : s->base.dtype == ORTHO_BF16 ? (const void *)coo_kernel<__nv_bfloat16>
                                                       : (const void *)coo_kernel<float>;
    if (s->nnz > 0)
        ortho_cuda_kernel_report("coo_kernel", kernel, THREADS, 0, sink);
    ortho_cuda_base_kernels(&s->base, m, sink);
}

} // namespace

extern "C" const ortho_gemm_hooks ortho_coo_gemm_cuda;
const ortho_gemm_hooks ortho_coo_gemm_cuda = {
    .state_size = sizeof(coo_state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .lanes = ortho_coo_lanes,
    .loop = &loop,
    .kernels = kernels,
    .export_split = export_split,
};
