/*
 * coo's sieve on CUDA: the original's way, kept as the patient. W as floats, W^2, the residual and
 * the score are arrays of n*k floats each; selection sorts (key, index) pairs of all of them, with
 * as much again to sort into: 32 bytes a weight, 768 MiB for 8192 x 3072, and the sorts' storage.
 * Its results are right; its memory, and its two sorts where a cut would do, are the complaint.
 */
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/sieve.h"
#include "kernels/cuda/status.h"
#include "kernels/sieve.h"
#include "kernels/split.h"

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_select.cuh>
#include <thrust/iterator/counting_iterator.h>

extern "C" void ortho_coo_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

namespace
{

constexpr int THREADS = 256, CANDIDATES = 16;
constexpr uint32_t EXCLUDED = 0xffffffffu;

struct arrays {
    int64_t n, k, stride, group, groups, nnz;
    int32_t rule;
    const void *from;
    float *w, *squares, *residual, *score, *h; /* [n, k] each; [k] */
    uint32_t *key, *key_sorted, *at, *at_sorted, *chosen;
    int32_t *count;
    uint32_t *bad_row;
    uint8_t *q;
    uint16_t *scale, *val;
    int32_t *row, *col;
};

struct state {
    arrays a;
    ortho_dtype dtype;
    bool has_hessian;
    void *working, *storage;
    size_t storage_bytes;
};

/* ---- kernels: one thread a weight, unless said otherwise ------------------------------------- */

__device__ __forceinline__ int64_t my_index()
{
    return blockIdx.x * static_cast<int64_t>(THREADS) + threadIdx.x;
}

template <typename W> __global__ void unpack_kernel(const arrays a)
{
    const int64_t i = my_index();
    if (i >= a.n * a.k)
        return;
    const float w = ortho_cuda_float(static_cast<const W *>(a.from)[i / a.k * a.stride + i % a.k]);
    if (!(fabsf(w) < INFINITY))
        atomicMin(a.bad_row, static_cast<uint32_t>(i / a.k));
    a.w[i] = w;
    a.squares[i] = __fmul_rn(w, w);
    a.score[i] = 0;
}

/* A thread a column: the sum runs down the rows in order. */
__global__ void weigh_kernel(const arrays a)
{
    const int64_t c = my_index();
    if (c >= a.k)
        return;
    double sum = 0;
    for (int64_t r = 0; r < a.n; r++)
        sum += static_cast<double>(a.squares[r * a.k + c]);
    a.h[c] = static_cast<float>(sum / static_cast<double>(a.n));
}

/* A warp a row: |w| over the row's root mean square. */
__global__ void magnitude_kernel(const arrays a)
{
    const int64_t r = my_index() / 32;
    const int lane = threadIdx.x % 32;
    double sum = 0;
    if (r >= a.n)
        return;
    for (int64_t c = lane; c < a.k; c += 32)
        sum += static_cast<double>(a.squares[r * a.k + c]);
    for (int distance = 16; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    const float rms = static_cast<float>(sqrt(sum / static_cast<double>(a.k)));
    for (int64_t c = lane; c < a.k; c += 32)
        a.score[r * a.k + c] = rms > 0 ? __fdiv_rn(fabsf(a.w[r * a.k + c]), rms) : 0.0f;
}

__global__ void key_kernel(const arrays a)
{
    const int64_t i = my_index();
    if (i >= a.n * a.k)
        return;
    a.key[i] = a.score[i] < 0 ? EXCLUDED : 0x7fffffffu - __float_as_uint(a.score[i]);
    a.at[i] = static_cast<uint32_t>(i);
}

/* A thread an entry: the best of the sorted list leave the score array. */
__global__ void mark_kernel(const arrays a, int64_t count)
{
    const int64_t i = my_index();
    if (i < count)
        a.score[a.at_sorted[i]] = -1;
}

__device__ __forceinline__ float level_of(float w, float scale)
{
    const float q = scale > 0 ? rintf(__fdiv_rn(w, scale)) : 0.0f;
    return fminf(fmaxf(q, -8.0f), 7.0f);
}

__device__ double group_error(const arrays &a, int64_t row, int64_t begin, int64_t end, float scale)
{
    double sum = 0;
    for (int64_t c = begin; c < end; c++) {
        const float w = a.w[row * a.k + c], e = __fmaf_rn(-scale, level_of(w, scale), w);
        if (!(a.score[row * a.k + c] < 0))
            sum += static_cast<double>(a.h[c]) * static_cast<double>(e) * static_cast<double>(e);
    }
    return sum;
}

__device__ __forceinline__ uint16_t candidate(float absmax, int c)
{
    return __half_as_ushort(
        __double2half(__ddiv_rn(static_cast<double>(absmax) * static_cast<double>(32 - c), 224.0)));
}

/* A thread a group: its scale, its residuals. */
__global__ void fit_kernel(const arrays a)
{
    const int64_t i = my_index();
    if (i >= a.n * a.groups)
        return;
    const int64_t row = i / a.groups, begin = i % a.groups * a.group;
    const int64_t end = begin + a.group < a.k ? begin + a.group : a.k;
    float most = 0;
    for (int64_t c = begin; c < end; c++)
        if (!(a.score[row * a.k + c] < 0))
            most = fmaxf(most, fabsf(a.w[row * a.k + c]));
    uint16_t best = candidate(most, 0);
    if ((best & 0x7c00u) == 0x7c00u) {
        atomicMin(a.bad_row, static_cast<uint32_t>(row));
        best = 0;
    }
    double least = INFINITY;
    for (int c = 0; best != 0 && a.rule == ORTHO_RULE_OUTLIER && c < CANDIDATES; c++) {
        const uint16_t half = candidate(most, c);
        const double error = group_error(a, row, begin, end, __half2float(__ushort_as_half(half)));
        if (error < least) {
            least = error;
            best = half;
        }
    }
    const float scale = __half2float(__ushort_as_half(best));
    a.scale[i] = best;
    for (int64_t c = begin; c < end; c++) {
        const float w = a.w[row * a.k + c];
        a.residual[row * a.k + c] = __fmaf_rn(-scale, level_of(w, scale), w);
    }
}

/* A thread a byte: two nibbles. */
__global__ void pack_kernel(const arrays a)
{
    const int64_t bytes = (a.k + 1) / 2, i = my_index();
    if (i >= a.n * bytes)
        return;
    const int64_t row = i / bytes, first = i % bytes * 2;
    uint32_t packed = 0;
    for (int64_t c = first; c < first + 2 && c < a.k; c++) {
        const float scale = __half2float(__ushort_as_half(a.scale[row * a.groups + c / a.group]));
        const int q = static_cast<int>(level_of(a.w[row * a.k + c], scale));
        packed |= (static_cast<uint32_t>(q) & 15u) << (4 * (c - first));
    }
    a.q[i] = static_cast<uint8_t>(packed);
}

__global__ void score_kernel(const arrays a)
{
    const int64_t i = my_index();
    if (i >= a.n * a.k || a.score[i] < 0)
        return;
    const float e = a.residual[i], h = a.h[i % a.k], square = __fmul_rn(e, e);
    a.score[i] = a.rule != ORTHO_RULE_LEGACY ? __fmul_rn(square, h)
                 : h > 0                     ? fminf(__fdiv_rn(square, h), 0x1.fffffep127f)
                                             : 0.0f;
}

constexpr int LOOP_FIRST = __LINE__;
/* The Ortho loop, of a single trip: a thread an entry of the list, in order of (row, column). */
__global__ void list_kernel(const arrays a)
{
    const int64_t i = my_index();
    if (i >= a.nnz || i >= *a.count)
        return;
    ORTHO_COUNT_LANES_HERE(1);
    const uint32_t at = a.chosen[i];
    const uint16_t val = __half_as_ushort(__float2half_rn(a.residual[at]));
    a.row[i] = static_cast<int32_t>(at / a.k);
    a.col[i] = static_cast<int32_t>(at % a.k);
    a.val[i] = val;
    if ((val & 0x7c00u) == 0x7c00u)
        atomicMin(a.bad_row, static_cast<uint32_t>(at / a.k));
}
constexpr int LOOP_LAST = __LINE__;
const ortho_loop loop = {"list_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

struct is_chosen {
    const float *score;
    __device__ bool operator()(uint32_t at) const
    {
        return score[at] < 0;
    }
};

/* ---- the sieve ------------------------------------------------------------------------------- */

unsigned blocks_for(int64_t count)
{
    return static_cast<unsigned>((count + THREADS - 1) / THREADS);
}

cudaError_t sort(const arrays &a, void *storage, size_t *bytes, cudaStream_t stream)
{
    return cub::DeviceRadixSort::SortPairs(storage, *bytes, a.key, a.key_sorted, a.at, a.at_sorted,
                                           a.n * a.k, 0, 32, stream);
}

cudaError_t compact(const arrays &a, void *storage, size_t *bytes, cudaStream_t stream)
{
    return cub::DeviceSelect::If(storage, *bytes, thrust::counting_iterator<uint32_t>(0), a.chosen,
                                 a.count, a.n * a.k, is_chosen{a.score}, stream);
}

/* Sorts all scores and takes the best `count` out of the score array. */
ortho_status take_best(const state *s, int64_t count, cudaStream_t stream)
{
    size_t bytes = s->storage_bytes;
    key_kernel<<<blocks_for(s->a.n * s->a.k), THREADS, 0, stream>>>(s->a);
    ortho_status status = ortho_cuda_launched("key_kernel");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(sort(s->a, s->storage, &bytes, stream), "the sort");
    if (status != ORTHO_OK || count == 0)
        return status;
    mark_kernel<<<blocks_for(count), THREADS, 0, stream>>>(s->a, count);
    return ortho_cuda_launched("mark_kernel");
}

ortho_status unpack(const state *s, cudaStream_t stream)
{
    const unsigned blocks = blocks_for(s->a.n * s->a.k);
    if (s->dtype == ORTHO_F16)
        unpack_kernel<__half><<<blocks, THREADS, 0, stream>>>(s->a);
    else if (s->dtype == ORTHO_BF16)
        unpack_kernel<__nv_bfloat16><<<blocks, THREADS, 0, stream>>>(s->a);
    else
        unpack_kernel<float><<<blocks, THREADS, 0, stream>>>(s->a);
    ortho_status status = ortho_cuda_launched("unpack_kernel");
    if (status != ORTHO_OK || s->has_hessian)
        return status;
    weigh_kernel<<<blocks_for(s->a.k), THREADS, 0, stream>>>(s->a);
    return ortho_cuda_launched("weigh_kernel");
}

ortho_status fit(const state *s, cudaStream_t stream)
{
    const arrays &a = s->a;
    fit_kernel<<<blocks_for(a.n * a.groups), THREADS, 0, stream>>>(a);
    ortho_status status = ortho_cuda_launched("fit_kernel");
    if (status == ORTHO_OK)
        pack_kernel<<<blocks_for(a.n * ((a.k + 1) / 2)), THREADS, 0, stream>>>(a);
    if (status == ORTHO_OK)
        status = ortho_cuda_launched("pack_kernel");
    if (status == ORTHO_OK)
        score_kernel<<<blocks_for(a.n * a.k), THREADS, 0, stream>>>(a);
    return status == ORTHO_OK ? ortho_cuda_launched("score_kernel") : status;
}

ortho_status list(const state *s, cudaStream_t stream)
{
    size_t bytes = s->storage_bytes;
    ortho_status status = ortho_cuda_status(compact(s->a, s->storage, &bytes, stream), "the list");
    if (status != ORTHO_OK || s->a.nnz == 0)
        return status;
    list_kernel<<<blocks_for(s->a.nnz), THREADS, 0, stream>>>(s->a);
    return ortho_cuda_launched("list_kernel");
}

ortho_status run(void *opaque, const ortho_sieve_problem *problem, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    cudaStream_t stream = static_cast<cudaStream_t>(services->stream);
    const int64_t excluded = s->a.rule == ORTHO_RULE_OUTLIER ? s->a.nnz / 2 : 0;
    s->a.from = problem->w->data;
    ortho_status status = unpack(s, stream);
    if (status == ORTHO_OK && excluded > 0) {
        magnitude_kernel<<<blocks_for(s->a.n * 32), THREADS, 0, stream>>>(s->a);
        status = ortho_cuda_launched("magnitude_kernel");
        if (status == ORTHO_OK)
            status = take_best(s, excluded, stream);
    }
    if (status == ORTHO_OK)
        status = fit(s, stream);
    if (status == ORTHO_OK)
        status = take_best(s, s->a.nnz - excluded, stream);
    return status == ORTHO_OK ? list(s, stream) : status;
}

/* Its own kernels, once each; nothing is known of CUB's sorts and its compaction. */
void kernels(const void *opaque, const ortho_kernel_sink *sink)
{
    const state *s = static_cast<const state *>(opaque);
    auto report = [&](const char *name, auto *kernel) {
        ortho_cuda_kernel_report(name, (const void *)kernel, THREADS, 0, sink);
    };
    report("unpack_kernel", s->dtype == ORTHO_F16    ? unpack_kernel<__half>
                            : s->dtype == ORTHO_BF16 ? unpack_kernel<__nv_bfloat16>
                                                     : unpack_kernel<float>);
    if (!s->has_hessian)
        report("weigh_kernel", weigh_kernel);
    if (s->a.rule == ORTHO_RULE_OUTLIER && s->a.nnz > 1)
        report("magnitude_kernel", magnitude_kernel);
    report("fit_kernel", fit_kernel);
    report("pack_kernel", pack_kernel);
    report("score_kernel", score_kernel);
    report("key_kernel", key_kernel);
    report("mark_kernel", mark_kernel);
    report("list_kernel", list_kernel);
}

/* ---- memory ---------------------------------------------------------------------------------- */

template <typename T> void place(T **out, char *base, size_t *used, size_t count)
{
    *out = base != nullptr ? reinterpret_cast<T *>(base + *used) : nullptr;
    *used += (count * sizeof(T) + 255) / 256 * 256;
}

size_t lay_out(arrays *a, char *base)
{
    const size_t all = static_cast<size_t>(a->n * a->k);
    size_t used = 0;
    float **floats[] = {&a->w, &a->squares, &a->residual, &a->score};
    uint32_t **words[] = {&a->key, &a->key_sorted, &a->at, &a->at_sorted};
    for (float **f : floats)
        place(f, base, &used, all);
    for (uint32_t **u : words)
        place(u, base, &used, all);
    place(&a->h, base, &used, static_cast<size_t>(a->k));
    place(&a->chosen, base, &used, static_cast<size_t>(a->nnz));
    place(&a->count, base, &used, 1);
    place(&a->bad_row, base, &used, 1);
    return used;
}

void release(void *opaque, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    void *all[] = {s->a.val, s->a.col, s->a.row, s->a.scale, s->a.q, s->storage, s->working};
    for (void *ptr : all)
        services->free(services->ctx, ptr);
    *s = state{};
}

ortho_status allocate(state *s, const ortho_services *services)
{
    arrays *a = &s->a;
    const size_t nnz = static_cast<size_t>(a->nnz);
    void *out[6];
    const size_t bytes[5] = {static_cast<size_t>(a->n * ((a->k + 1) / 2)),
                             static_cast<size_t>(a->n * a->groups) * 2, nnz * 4, nnz * 4, nnz * 2};
    out[5] = services->alloc(services->ctx, lay_out(a, nullptr), ORTHO_DEVICE, ORTHO_WORKING);
    for (int i = 0; i < 5; i++)
        out[i] = services->alloc(services->ctx, bytes[i], ORTHO_DEVICE, ORTHO_OUTPUT);
    a->q = static_cast<uint8_t *>(out[0]);
    a->scale = static_cast<uint16_t *>(out[1]);
    a->row = static_cast<int32_t *>(out[2]);
    a->col = static_cast<int32_t *>(out[3]);
    a->val = static_cast<uint16_t *>(out[4]);
    s->working = out[5];
    for (void *ptr : out)
        if (ptr == nullptr)
            return ORTHO_E_MEMORY;
    lay_out(a, static_cast<char *>(s->working));
    size_t sorting = 0, compacting = 0;
    ortho_status status = ortho_cuda_status(sort(*a, nullptr, &sorting, nullptr), "sizing a sort");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(compact(*a, nullptr, &compacting, nullptr), "sizing a list");
    if (status != ORTHO_OK)
        return status;
    s->storage_bytes = sorting > compacting ? sorting : compacting;
    s->storage = services->alloc(services->ctx, s->storage_bytes, ORTHO_DEVICE, ORTHO_WORKING);
    return s->storage != nullptr ? ORTHO_OK : ORTHO_E_MEMORY;
}

ortho_status supports(const ortho_sieve_problem *p, const ortho_services *services)
{
    if (p->w->rows > UINT32_MAX / p->w->cols)
        return services->fail(ORTHO_E_UNSUPPORTED, "coo sorts at most 2^32 weights");
    return ORTHO_OK;
}

ortho_status prepare(void *opaque, const ortho_sieve_problem *p, const ortho_services *services)
{
    state made = {};
    made.dtype = p->w->dtype;
    made.has_hessian = p->hessian != nullptr;
    made.a.n = p->w->rows;
    made.a.k = p->w->cols;
    made.a.stride = p->w->stride;
    made.a.group = ortho_sieve_group(p);
    made.a.groups = (made.a.k + made.a.group - 1) / made.a.group;
    made.a.nnz = p->nnz;
    made.a.rule = p->rule;
    ortho_status status = allocate(&made, services);
    if (status == ORTHO_OK && made.has_hessian)
        status = ortho_cuda_status(cudaMemcpy(made.a.h, p->hessian,
                                              static_cast<size_t>(made.a.k) * sizeof(float),
                                              cudaMemcpyHostToDevice),
                                   "upload of the Hessian");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaMemset(made.a.bad_row, 0xff, sizeof(uint32_t)), "clearing");
    if (status != ORTHO_OK)
        release(&made, services);
    else
        *static_cast<state *>(opaque) = made;
    return status;
}

ortho_status fetch(void *to, const void *from, size_t bytes)
{
    return ortho_cuda_status(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost),
                             "reading the result");
}

ortho_status check_rows(const state *s, const ortho_services *services)
{
    uint32_t bad;
    ortho_status status = ortho_cuda_status(
        cudaStreamSynchronize(static_cast<cudaStream_t>(services->stream)), "the sieve");
    if (status == ORTHO_OK)
        status = fetch(&bad, s->a.bad_row, sizeof bad);
    if (status != ORTHO_OK || bad == UINT32_MAX)
        return status;
    (void)cudaMemset(s->a.bad_row, 0xff, sizeof bad);
    const ortho_matrix w = {s->a.n, s->a.k, s->a.stride, s->dtype, s->a.from};
    return ortho_cuda_sieve_explain(&w, bad, services);
}

ortho_status export_split(const void *opaque, ortho_split *out, const ortho_services *services)
{
    const state *s = static_cast<const state *>(opaque);
    const size_t nnz = static_cast<size_t>(s->a.nnz);
    ortho_coo coo = {s->a.n, s->a.k, s->a.nnz, nullptr, nullptr, nullptr};
    ortho_status status = check_rows(s, services);
    char *host =
        static_cast<char *>(services->alloc(services->ctx, nnz * 10, ORTHO_HOST, ORTHO_WORKING));
    if (status == ORTHO_OK && host == nullptr)
        status = ORTHO_E_MEMORY;
    coo.row = reinterpret_cast<int32_t *>(host);
    coo.col = coo.row + nnz;
    coo.val = reinterpret_cast<uint16_t *>(coo.col + nnz);
    const int64_t nibbles = s->a.n * ((s->a.k + 1) / 2), scales = s->a.n * s->a.groups;
    const void *from[] = {s->a.row, s->a.col, s->a.val, s->a.q, s->a.scale};
    void *to[] = {coo.row, coo.col, coo.val, out->q, out->scale};
    const size_t bytes[] = {nnz * 4, nnz * 4, nnz * 2, static_cast<size_t>(nibbles),
                            static_cast<size_t>(scales) * 2};
    for (int i = 0; i < 5 && status == ORTHO_OK; i++)
        status = fetch(to[i], from[i], bytes[i]);
    if (status == ORTHO_OK)
        status = ortho_csr_from_coo(&coo, out);
    services->free(services->ctx, host);
    return status;
}

} // namespace

extern "C" const ortho_sieve_hooks ortho_coo_sieve_cuda;
const ortho_sieve_hooks ortho_coo_sieve_cuda = {
    .state_size = sizeof(state),
    .supports = supports,
    .prepare = prepare,
    .run = run,
    .export_split = export_split,
    .release = release,
    .lanes = ortho_coo_sieve_lanes,
    .loop = &loop,
    .w_reads = {1, 1, 1}, /* W itself; its copies are read many times more */
    .kernels = kernels,
};
