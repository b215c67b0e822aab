/* The host's side of the streaming sieve: checks, memory, the order of the launches, what comes
 * back. */
#include "kernels/cuda/sieve.h"

#include "common/dtype.h"
#include "kernels/cuda/sieve_block.cuh"
#include "kernels/cuda/sieve_kernels.h"
#include "kernels/sieve.h"

#include <math.h>
#include <stdlib.h>

using namespace ortho_sieve;

namespace
{

/* What a sieve may keep beside its outputs: 2 % of W, or this. */
constexpr size_t LEAST_MEMORY = 1u << 20;

ortho_status check_problem(const ortho_sieve_problem *p, const ortho_services *s)
{
    const ortho_matrix *w = p->w;
    long long group = ortho_sieve_group(p), rows = w->rows, cols = w->cols, nnz = p->nnz;
    if (rows < 1 || cols < 1 || w->stride < cols || rows > UINT32_MAX / cols || cols > INT32_MAX)
        return s->fail(ORTHO_E_ARGUMENT,
                       "the sieve takes up to 2^32 weights, 2^31 a row, not %lld x %lld", rows,
                       cols);
    if (w->dtype != ORTHO_F32 && w->dtype != ORTHO_F16 && w->dtype != ORTHO_BF16)
        return s->fail(ORTHO_E_UNSUPPORTED, "the sieve reads F32, F16 and BF16, not %s",
                       ortho_dtype_name(w->dtype));
    if (group != cols && group != 32 && group != 64 && group != 128)
        return s->fail(ORTHO_E_UNSUPPORTED, "group %lld on CUDA: 32, 64, 128 or the whole row",
                       group);
    if (nnz < 0 || nnz > rows * cols || nnz > INT32_MAX)
        return s->fail(ORTHO_E_ARGUMENT, "%lld entries of %lld x %lld weights: not possible", nnz,
                       rows, cols);
    for (int64_t k = 0; p->hessian != nullptr && k < cols; k++)
        if (!(p->hessian[k] >= 0) || isinf(p->hessian[k]))
            return s->fail(ORTHO_E_ARGUMENT,
                           "the Hessian's diagonal is %g at column %lld: it must be finite and not "
                           "negative",
                           static_cast<double>(p->hessian[k]), static_cast<long long>(k));
    return ORTHO_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct arena {
    size_t used;
    char *base;
    template <typename T> void take(T **out, size_t count)
    {
        *out = base != nullptr ? reinterpret_cast<T *>(base + used) : nullptr;
        used += (count * sizeof(T) + 255) / 256 * 256;
    }
};

/* What lives only until the selections begin shares memory with what they find: the sums with the
 * magnitudes' list, those and the rows' squares with the stage and the scores' list. */
void lay_out_scratch(view *v, arena *a, size_t width, bool excludes)
{
    arena before = *a, after = *a;
    if (excludes)
        before.take(&v->row_squares, static_cast<size_t>(v->n) * static_cast<size_t>(v->tiles));
    arena lists = before;
    before.take(&v->column_sums, static_cast<size_t>(v->stripes) * width);
    lists.take(&v->list[MAGNITUDES], excludes ? v->list_size : 0);
    after.take(&v->stage, v->stage_size);
    after.take(&v->list[SCORES], v->list_size);
    a->used = before.used > lists.used ? before.used : lists.used;
    a->used = after.used > a->used ? after.used : a->used;
}

size_t lay_out(view *v, char *base)
{
    const size_t width = static_cast<size_t>(v->tiles) * TILE, n = static_cast<size_t>(v->n);
    const bool excludes = v->rule == ORTHO_RULE_OUTLIER && v->nnz >= 2;
    arena a = {0, base};
    a.take(&v->selection, 2);
    a.take(&v->counters, SLOTS + static_cast<size_t>(v->tiles));
    a.take(&v->bad_row, 1);
    a.take(&v->weight, width);
    a.take(&v->root, width);
    a.take(&v->reach, width);
    a.take(&v->bracket, BRACKET_BINS);
    a.take(&v->finalists, FINALISTS);
    a.take(&v->staged, v->stage_size != 0 ? n : 0);
    if (excludes)
        a.take(&v->inverse_rms, n);
    lay_out_scratch(v, &a, width, excludes);
    return a.used;
}

/* The list and the stage, as large as fair samples make them and the limit allows; without a stage
 * emission reads W again. */
void size_up(view *v, ortho_dtype dtype)
{
    const size_t element = dtype == ORTHO_F32 ? 4 : 2;
    size_t most = static_cast<size_t>(v->n * v->k) * element / 50;
    most = most > LEAST_MEMORY ? most : LEAST_MEMORY;
    const double listed = 1.2 * ortho_sieve_listed(*v, v->nnz) + 256;
    const double room = static_cast<double>(most) / 3 / sizeof(uint64_t);
    /* It holds the sampling blocks' reports first. */
    constexpr double least = SAMPLING_BLOCKS * REPORT_BYTES / sizeof(uint64_t);
    v->list_size = static_cast<uint32_t>(fmax(fmin(listed, room), least));
    if (!ortho_sieve_is_sampled(*v, v->nnz)) {
        v->list_size = 0;
        return;
    }
    v->stage_size = static_cast<uint32_t>(v->nnz) + v->list_size / 2 + v->list_size / 8 + 512;
    if (lay_out(v, nullptr) > most)
        v->stage_size = 0;
}

ortho_status allocate(ortho_cuda_sieve *sieve, const ortho_services *s)
{
    view *v = &sieve->view;
    size_up(v, sieve->dtype);
    const size_t bytes = lay_out(v, nullptr);
    sieve->working = s->alloc(s->ctx, bytes, ORTHO_DEVICE, ORTHO_WORKING);
    v->q = static_cast<uint8_t *>(
        s->alloc(s->ctx, static_cast<size_t>(v->n * ((v->k + 1) / 2)), ORTHO_DEVICE, ORTHO_OUTPUT));
    v->scale = static_cast<uint16_t *>(
        s->alloc(s->ctx, static_cast<size_t>(v->n * v->groups) * 2, ORTHO_DEVICE, ORTHO_OUTPUT));
    v->row_ptr = static_cast<int32_t *>(s->alloc(
        s->ctx, (static_cast<size_t>(v->n) + 1) * sizeof(int32_t), ORTHO_DEVICE, ORTHO_OUTPUT));
    if (sieve->working == nullptr || v->q == nullptr || v->scale == nullptr ||
        v->row_ptr == nullptr)
        return ORTHO_E_MEMORY;
    lay_out(v, static_cast<char *>(sieve->working));
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    ortho_status status =
        ortho_cuda_status(cudaMemsetAsync(sieve->working, 0, bytes, stream), "clearing");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaMemsetAsync(v->bad_row, 0xff, sizeof *v->bad_row, stream),
                                   "clearing");
    return status;
}

/* A given H, or its reciprocal under LEGACY, as the CPU has it. */
ortho_status upload_weight(const view *v, const float *hessian, const ortho_services *s)
{
    size_t width = static_cast<size_t>(v->tiles) * TILE;
    float *h = static_cast<float *>(calloc(2 * width, sizeof *h)), *root = h + width;
    if (h == nullptr)
        return s->fail(ORTHO_E_MEMORY, "no memory for a Hessian");
    for (int64_t k = 0; k < v->k; k++) {
        h[k] = hessian[k];
        if (v->rule == ORTHO_RULE_LEGACY)
            h[k] = h[k] > 0 ? fminf(1.0f / h[k], 0x1.fffffep127f) : 0;
        root[k] = ortho_sieve_root(h[k]);
    }
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    ortho_status status = ortho_cuda_status(
        cudaMemcpyAsync(v->weight, h, width * sizeof *h, cudaMemcpyHostToDevice, stream),
        "upload of the Hessian");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(
            cudaMemcpyAsync(v->root, root, width * sizeof *h, cudaMemcpyHostToDevice, stream),
            "upload of the Hessian");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaStreamSynchronize(stream), "upload of the Hessian");
    free(h);
    return status;
}

bool is_whole(const ortho_matrix *w)
{
    const size_t element = w->dtype == ORTHO_F32 ? 4 : 2;
    return w->cols % EIGHT == 0 && reinterpret_cast<uintptr_t>(w->data) % 16 == 0 &&
           static_cast<size_t>(w->stride) * element % 16 == 0;
}

/* So that each thread of a sampling kernel has one eight; more for matrices beyond 32 times that.
 */
uint32_t sample_step_of(const view &v)
{
    const int64_t step = v.n * ((v.k + EIGHT - 1) / EIGHT) / (SAMPLING_BLOCKS * SETTLERS);
    return static_cast<uint32_t>(step < 8 ? 8 : step > 32 ? 32 : step);
}

view view_of(const ortho_sieve_problem *p)
{
    view v = {};
    v.n = p->w->rows;
    v.k = p->w->cols;
    v.stride = p->w->stride;
    v.group = ortho_sieve_group(p);
    v.groups = (v.k + v.group - 1) / v.group;
    v.nnz = p->nnz;
    v.cols = static_cast<uint32_t>(v.k);
    v.q_stride = static_cast<uint32_t>((v.k + 1) / 2);
    v.tiles = static_cast<int32_t>((v.k + TILE - 1) / TILE);
    /* Blocks a multiprocessor of an H100: five fit, but their sums take memory, and the rows'
     * squares need it too. */
    const int64_t blocks = 132 * (p->rule == ORTHO_RULE_OUTLIER ? 3 : 5);
    int64_t stripes = (v.n + WARPS - 1) / WARPS, most_stripes = blocks / v.tiles;
    most_stripes = most_stripes > 1 ? most_stripes : 1;
    v.stripes = static_cast<int32_t>(stripes < most_stripes ? stripes : most_stripes);
    v.group_shift = v.groups == 1 ? 31 : v.group == 32 ? 5 : v.group == 64 ? 6 : 7;
    v.group_lanes = v.groups == 1 ? 32 : static_cast<int32_t>(v.group) / EIGHT;
    v.sample_step = sample_step_of(v);
    v.rule = p->rule;
    v.has_weight = p->hessian != nullptr;
    v.whole = is_whole(p->w);
    return v;
}

ortho_status select(const view &v, bool scores, int64_t need, ortho_dtype dtype,
                    cudaStream_t stream)
{
    ortho_status status = ORTHO_OK;
    if (ortho_sieve_is_sampled(v, need)) {
        status = ortho_sieve_launch_sample(v, scores, need, dtype, stream);
        if (status == ORTHO_OK)
            status = ortho_sieve_launch_gather(v, scores, dtype, stream);
    }
    return status == ORTHO_OK ? ortho_sieve_launch_settle(v, scores, need, dtype, stream) : status;
}

/* ---- what comes back ------------------------------------------------------------------------- */

ortho_status fetch(void *to, const void *from, size_t bytes)
{
    return ortho_cuda_status(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost),
                             "reading the result");
}

} // namespace

extern "C" ortho_status ortho_cuda_sieve_prepare(ortho_cuda_sieve *sieve,
                                                 const ortho_sieve_problem *problem,
                                                 const ortho_services *services)
{
    ortho_cuda_sieve made = {};
    ortho_status status = check_problem(problem, services);
    if (status != ORTHO_OK)
        return status;
    made.view = view_of(problem);
    made.dtype = problem->w->dtype;
    status = allocate(&made, services);
    if (status == ORTHO_OK && problem->hessian != nullptr)
        status = upload_weight(&made.view, problem->hessian, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(
            cudaStreamSynchronize(static_cast<cudaStream_t>(services->stream)), "preparing");
    if (status != ORTHO_OK)
        ortho_cuda_sieve_release(&made, services);
    else
        *sieve = made;
    return status;
}

extern "C" void ortho_cuda_sieve_release(ortho_cuda_sieve *sieve, const ortho_services *services)
{
    services->free(services->ctx, sieve->view.row_ptr);
    services->free(services->ctx, sieve->view.scale);
    services->free(services->ctx, sieve->view.q);
    services->free(services->ctx, sieve->working);
    *sieve = ortho_cuda_sieve{};
}

extern "C" ortho_status ortho_cuda_sieve_run(ortho_cuda_sieve *sieve,
                                             const ortho_sieve_problem *problem,
                                             const ortho_services *services)
{
    cudaStream_t stream = static_cast<cudaStream_t>(services->stream);
    view *v = &sieve->view;
    v->w = sieve->last_w = problem->w->data;
    v->whole = is_whole(problem->w);
    ortho_status status = ortho_sieve_launch_statistics(*v, sieve->dtype, stream);
    if (status == ORTHO_OK && v->row_squares != nullptr)
        status = select(*v, false, v->nnz / 2, sieve->dtype, stream);
    if (status == ORTHO_OK)
        status = ortho_sieve_launch_fit(*v, sieve->dtype, stream);
    return status == ORTHO_OK ? select(*v, true, v->nnz, sieve->dtype, stream) : status;
}

extern "C" ortho_status ortho_cuda_sieve_explain(const ortho_matrix *w, int64_t row,
                                                 const ortho_services *services)
{
    size_t element = w->dtype == ORTHO_F32 ? 4 : 2, bytes = static_cast<size_t>(w->cols) * element;
    char *data = static_cast<char *>(malloc(bytes));
    if (data == nullptr)
        return services->fail(ORTHO_E_MEMORY, "no memory for a row");
    ortho_status status = fetch(
        data, static_cast<const char *>(w->data) + static_cast<size_t>(row * w->stride) * element,
        bytes);
    int64_t largest = 0, bad = -1;
    float most = 0;
    for (int64_t col = 0; status == ORTHO_OK && bad < 0 && col < w->cols; col++) {
        float v = ortho_dtype_load(w->dtype, data, col);
        if (!isfinite(v))
            bad = col;
        if (fabsf(v) > most) {
            most = fabsf(v);
            largest = col;
        }
    }
    if (status == ORTHO_OK && bad >= 0)
        status = services->fail(ORTHO_E_NONFINITE, "row %lld, column %lld: the weight is %s",
                                static_cast<long long>(row), static_cast<long long>(bad),
                                isnan(ortho_dtype_load(w->dtype, data, bad)) ? "NaN" : "Inf");
    else if (status == ORTHO_OK)
        status = services->fail(ORTHO_E_NONFINITE,
                                "row %lld, column %lld: the weight %g needs a scale or a residual "
                                "beyond fp16's 65504",
                                static_cast<long long>(row), static_cast<long long>(largest),
                                static_cast<double>(most));
    free(data);
    return status;
}

extern "C" ortho_status ortho_cuda_sieve_export(const ortho_cuda_sieve *sieve, ortho_split *out,
                                                const ortho_services *services)
{
    const view *v = &sieve->view;
    uint32_t bad = UINT32_MAX;
    if (out->n != v->n || out->k != v->k || out->group != v->group || out->nnz != v->nnz)
        return services->fail(ORTHO_E_ARGUMENT, "the split to fill has another shape");
    ortho_status status = ortho_cuda_status(
        cudaStreamSynchronize(static_cast<cudaStream_t>(services->stream)), "the sieve");
    if (status == ORTHO_OK)
        status = fetch(&bad, v->bad_row, sizeof bad);
    if (status == ORTHO_OK && bad != UINT32_MAX) {
        status = ortho_cuda_status(cudaMemset(v->bad_row, 0xff, sizeof bad), "clearing");
        const ortho_matrix w = {v->n, v->k, v->stride, sieve->dtype, sieve->last_w};
        return status == ORTHO_OK ? ortho_cuda_sieve_explain(&w, bad, services) : status;
    }
    if (status == ORTHO_OK)
        status = fetch(out->q, v->q, static_cast<size_t>(v->n * ((v->k + 1) / 2)));
    if (status == ORTHO_OK)
        status = fetch(out->scale, v->scale, static_cast<size_t>(v->n * v->groups) * 2);
    return status == ORTHO_OK
               ? fetch(out->row_ptr, v->row_ptr, (static_cast<size_t>(v->n) + 1) * sizeof(int32_t))
               : status;
}

extern "C" void ortho_cuda_sieve_kernels(const ortho_cuda_sieve *sieve,
                                         const ortho_kernel_sink *sink)
{
    ortho_sieve_report_statistics(sieve->view, sieve->dtype, sink);
    ortho_sieve_report_fit(sieve->view, sieve->dtype, sink);
    if (ortho_sieve_is_sampled(sieve->view, sieve->view.nnz)) {
        ortho_sieve_report_sample(sieve->view, sieve->dtype, sink);
        ortho_sieve_report_gather(sieve->view, sieve->dtype, sink);
    }
    ortho_sieve_report_settle(sieve->view, sieve->dtype, sink);
}
