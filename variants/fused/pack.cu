/*
 * fused on CUDA: from the canonical split to the packed form and back, bit for bit. Done once a
 * layer, not timed. Base is permuted on the GPU, a thread a word; the entries are dealt and packed
 * on the host.
 */
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/status.h"
#include "variants/fused/plan.h"
#include "variants/fused/state.h"

#include <cuda_fp16.h>

namespace ortho_fused
{

namespace
{

/* ---- Base ------------------------------------------------------------------------------------ */

constexpr int THREADS = 256, BLOCKS = 1024;

/* Canonical arrays in device memory. */
struct canonical {
    uint8_t *q;
    __half *scale;
    int64_t group, groups;
};

__device__ __forceinline__ int64_t first_item()
{
    return blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
}

__device__ __forceinline__ int64_t item_stride()
{
    return gridDim.x * static_cast<int64_t>(blockDim.x);
}

__device__ __forceinline__ uint32_t nibble(const linear &w, const uint8_t *q, int64_t row,
                                           int64_t col)
{
    if (row >= w.s.n || col >= w.s.k)
        return 8; /* a weight of 0 */
    const uint32_t byte = q[row * ((w.s.k + 1) / 2) + col / 2];
    return ((col & 1 ? byte >> 4 : byte) & 15u) ^ 8u;
}

/* A thread a word of 8 nibbles: word i of [units][images][32 lanes][4]. */
__global__ void pack_q(const linear w, const canonical c, uint8_t *base)
{
    const int64_t words = static_cast<int64_t>(w.s.units) * w.s.images * 128;
    for (int64_t i = first_item(); i < words; i += item_stride()) {
        const int word = i % 4, lane = i / 4 % 32;
        const int image = static_cast<int>(i / 128 % w.s.images);
        const int unit = static_cast<int>(i / 128 / w.s.images);
        const int64_t row = static_cast<int64_t>(w.unit[unit]) * UNIT_ROWS + lane / 4;
        const int64_t col = static_cast<int64_t>(image) * IMAGE_COLUMNS + word / 2 * 64 +
                            lane % 4 * 8 + word % 2 * 4;
        uint32_t packed = 0;
        for (int j = 0; j < 8; j++) { /* side, pair, which of the pair */
            const int64_t at = col + j / 4 * 32 + j % 4;
            packed |= nibble(w, c.q, row, at) << (8 * (j / 4) + 4 * (j / 2 % 2) + 16 * (j % 2));
        }
        *reinterpret_cast<uint32_t *>(base + image_place(w.s, unit, image).nibbles + lane * 16 +
                                      word * 4) = packed;
    }
}

/* A thread a scale: i of [units][images][groups][8]. */
__global__ void pack_scale(const linear w, const canonical c, uint8_t *base)
{
    const int each = w.s.groups * UNIT_ROWS;
    const int64_t count = static_cast<int64_t>(w.s.units) * w.s.images * each;
    for (int64_t i = first_item(); i < count; i += item_stride()) {
        const int image = static_cast<int>(i / each % w.s.images);
        const int unit = static_cast<int>(i / each / w.s.images);
        const int64_t row = static_cast<int64_t>(w.unit[unit]) * UNIT_ROWS + i % UNIT_ROWS;
        const int64_t col = static_cast<int64_t>(image) * IMAGE_COLUMNS +
                            i / UNIT_ROWS % w.s.groups * (IMAGE_COLUMNS / w.s.groups);
        const int64_t g = col / c.group;
        *reinterpret_cast<__half *>(base + image_place(w.s, unit, image).scales + i % each * 2) =
            row < w.s.n && g < c.groups ? c.scale[row * c.groups + g] : __float2half_rn(0.0f);
    }
}

/* A thread a byte of the canonical q. */
__global__ void unpack_q(const linear w, uint8_t *q)
{
    const int64_t bytes = (w.s.k + 1) / 2;
    for (int64_t i = first_item(); i < w.s.n * bytes; i += item_stride()) {
        const int64_t row = i / bytes, col = i % bytes * 2;
        const place at = image_place(w.s, static_cast<int>(w.where[row / UNIT_ROWS]),
                                     static_cast<int>(col / IMAGE_COLUMNS));
        const nibble_place p = nibble_of(static_cast<int>(col % IMAGE_COLUMNS));
        const int lane = static_cast<int>(row % UNIT_ROWS) * 4 + p.quad;
        const uint32_t word =
            *reinterpret_cast<const uint32_t *>(w.base + at.nibbles + lane * 16 + p.word * 4);
        const uint32_t low = ((word >> p.shift) & 15u) ^ 8u;
        const uint32_t high = ((word >> (p.shift + 16)) & 15u) ^ 8u; /* 0 beyond an odd k */
        q[i] = static_cast<uint8_t>(low | high << 4);
    }
}

__global__ void unpack_scale(const linear w, const canonical c)
{
    for (int64_t i = first_item(); i < w.s.n * c.groups; i += item_stride()) {
        const int64_t row = i / c.groups, col = i % c.groups * c.group;
        const place at = image_place(w.s, static_cast<int>(w.where[row / UNIT_ROWS]),
                                     static_cast<int>(col / IMAGE_COLUMNS));
        const int64_t g = col % IMAGE_COLUMNS / (IMAGE_COLUMNS / w.s.groups);
        c.scale[i] = *reinterpret_cast<const __half *>(w.base + at.scales +
                                                       (g * UNIT_ROWS + row % UNIT_ROWS) * 2);
    }
}

/* ---- device memory --------------------------------------------------------------------------- */

void *device_bytes(size_t bytes, ortho_purpose purpose, const ortho_services *s)
{
    return s->alloc(s->ctx, bytes, ORTHO_DEVICE, purpose);
}

cudaStream_t stream_of(const ortho_services *s)
{
    return static_cast<cudaStream_t>(s->stream);
}

ortho_status wait(const ortho_services *s, const char *what)
{
    return ortho_cuda_status(cudaStreamSynchronize(stream_of(s)), what);
}

/* Canonical arrays of the device, filled from a split or to be filled. */
ortho_status open_canonical(const state *st, const ortho_services *s, canonical *c)
{
    const size_t q = static_cast<size_t>(st->w.s.n * ((st->w.s.k + 1) / 2));
    c->group = st->group;
    c->groups = st->groups;
    c->q = static_cast<uint8_t *>(device_bytes(q, ORTHO_WORKING, s));
    c->scale = static_cast<__half *>(
        device_bytes(static_cast<size_t>(st->w.s.n * st->groups) * 2, ORTHO_WORKING, s));
    return c->q != nullptr && c->scale != nullptr ? ORTHO_OK : ORTHO_E_MEMORY;
}

void close_canonical(const canonical *c, const ortho_services *s)
{
    s->free(s->ctx, c->scale);
    s->free(s->ctx, c->q);
}

ortho_status copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                  const ortho_services *s)
{
    return ortho_cuda_status(cudaMemcpyAsync(to, from, bytes, kind, stream_of(s)),
                             kind == cudaMemcpyHostToDevice ? "upload of a layer"
                                                            : "reading a layer back");
}

ortho_status pack_base(state *st, const ortho_split *split, const ortho_services *s)
{
    canonical c = {};
    const size_t q = static_cast<size_t>(split->n * ((split->k + 1) / 2));
    ortho_status status = open_canonical(st, s, &c);
    if (status == ORTHO_OK)
        status = copy(c.q, split->q, q, cudaMemcpyHostToDevice, s);
    if (status == ORTHO_OK)
        status = copy(c.scale, split->scale, static_cast<size_t>(split->n * st->groups) * 2,
                      cudaMemcpyHostToDevice, s);
    if (status == ORTHO_OK) {
        pack_q<<<BLOCKS, THREADS, 0, stream_of(s)>>>(st->w, c, const_cast<uint8_t *>(st->w.base));
        status = ortho_cuda_launched("pack_q");
    }
    if (status == ORTHO_OK) {
        pack_scale<<<BLOCKS, THREADS, 0, stream_of(s)>>>(st->w, c,
                                                         const_cast<uint8_t *>(st->w.base));
        status = ortho_cuda_launched("pack_scale");
    }
    if (status == ORTHO_OK)
        status = wait(s, "packing Base");
    close_canonical(&c, s);
    return status;
}

/* The plan's arrays to the device. They stay until the stream was waited for. */
ortho_status keep_plan(state *st, const plan &p, const ortho_services *s)
{
    void *ortho = nullptr, *begin = nullptr, *unit = nullptr, *where = nullptr, *first = nullptr,
         *count = nullptr;
    ortho_status status = ortho_cuda_keep(p.steps, p.step_bytes, s, &ortho);
    st->w.ortho = static_cast<const uint8_t *>(ortho);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(p.begin, p.begin_bytes, s, &begin);
    st->w.begin = static_cast<const uint32_t *>(begin);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(p.unit, p.unit_bytes, s, &unit);
    st->w.unit = static_cast<const uint32_t *>(unit);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(p.where, p.unit_bytes, s, &where);
    st->w.where = static_cast<const uint32_t *>(where);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(p.first, p.first_bytes, s, &first);
    st->w.first = static_cast<const uint32_t *>(first);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(p.count, p.count_bytes, s, &count);
    st->w.count = static_cast<const uint8_t *>(count);
    st->indexed = p.count_bytes > 0;
    st->index_bytes = p.unit_bytes + p.first_bytes + p.count_bytes;
    st->bytes += p.step_bytes + p.begin_bytes + p.unit_bytes + st->index_bytes;
    return status;
}

/* Of the current device; `otherwise` where that can't be asked. */
int device_attribute(cudaDeviceAttr attribute, int otherwise)
{
    int device = 0, value = 0;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess)
        return otherwise;
    return value;
}

void release_state(state *st, const ortho_services *s)
{
    ortho_cublas_close(st->blas);
    close_sets(st->sets, s);
    free_mended(&st->mended, s);
    s->free(s->ctx, const_cast<uint8_t *>(st->w.count));
    s->free(s->ctx, const_cast<uint32_t *>(st->w.first));
    s->free(s->ctx, const_cast<uint32_t *>(st->w.where));
    s->free(s->ctx, const_cast<uint32_t *>(st->w.unit));
    s->free(s->ctx, const_cast<uint32_t *>(st->w.begin));
    s->free(s->ctx, const_cast<uint8_t *>(st->w.ortho));
    s->free(s->ctx, const_cast<uint8_t *>(st->w.base));
    *st = state{};
}

ortho_status fill(state *st, const ortho_split *split, const ortho_services *s)
{
    plan p = {};
    ortho_status status = plan_make(st->w.s, split, s, &p);
    if (status == ORTHO_OK)
        status = keep_plan(st, p, s);
    if (status == ORTHO_OK) {
        st->bytes += static_cast<size_t>(st->w.s.base_bytes());
        st->w.base = static_cast<const uint8_t *>(
            device_bytes(static_cast<size_t>(st->w.s.base_bytes()), ORTHO_WEIGHTS, s));
        status = st->w.base != nullptr ? pack_base(st, split, s) : ORTHO_E_MEMORY;
    }
    const ortho_status waited = wait(s, "upload of a layer"); /* also where something failed */
    plan_free(&p, s);
    return status != ORTHO_OK ? status : waited;
}

/* What kernels that round weights need, where calls may be theirs. cuBLAS may be missing. */
ortho_status open_rounded(state *st, const ortho_gemm_problem *problem, const ortho_services *s)
{
    const bool may = may_round(st->rounded, 0) || may_round(st->rounded, MENDED_ALPHA);
    if (!may || !st->bulk || problem->m < ROUNDED_TOKENS_LEAST)
        return ORTHO_OK;
    ortho_status status = keep_mended(st->rounded, problem->split, s, &st->mended);
    st->bytes += st->mended.bytes;
    st->index_bytes += st->mended.bytes;
    if (status == ORTHO_OK && st->hopper)
        status = open_sets(*st, s, &st->sets);
    if (status == ORTHO_OK)
        (void)ortho_cublas_open(s, &st->blas);
    return status;
}

} // namespace

ortho_status supports(const ortho_gemm_problem *p, const ortho_services *s)
{
    const bool known = p->group >= p->k || p->group == 32 || p->group == 64 || p->group % 128 == 0;
    if (!known)
        return s->fail(ORTHO_E_UNSUPPORTED,
                       "fused takes groups of 32, 64, multiples of 128 and the whole row, not %lld",
                       static_cast<long long>(p->group));
    if (p->n > INT32_MAX || p->k > INT32_MAX)
        return s->fail(ORTHO_E_UNSUPPORTED, "fused counts rows and columns in 31 bits");
    if (device_attribute(cudaDevAttrComputeCapabilityMajor, 0) < 8)
        return s->fail(ORTHO_E_UNSUPPORTED, "fused needs compute capability 8.0");
    return ORTHO_OK;
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem, const ortho_services *s)
{
    const ortho_split *split = problem->split;
    state made = {};
    ortho_status status = supports(problem, s);
    if (status != ORTHO_OK)
        return status;
    made.nnz = split->nnz;
    made.group = split->group;
    made.groups = (split->k + split->group - 1) / split->group;
    made.dtype = problem->dtype;
    made.multiprocessors = device_attribute(cudaDevAttrMultiProcessorCount, 1);
    made.w.s = shape_of(split->n, split->k, split->group, made.multiprocessors);
    made.bulk = has_bulk_copies();
    made.hopper = made.bulk && device_attribute(cudaDevAttrComputeCapabilityMajor, 0) == 9;
    made.tuned = find_tuned(split);
    made.rounded = rounding_of(split);
    status = fill(&made, split, s);
    if (status == ORTHO_OK)
        status = open_rounded(&made, problem, s);
    if (status != ORTHO_OK)
        release_state(&made, s);
    else
        *static_cast<state *>(opaque) = made;
    return status;
}

void release(void *opaque, const ortho_services *s)
{
    release_state(static_cast<state *>(opaque), s);
}

namespace
{

ortho_status unpack_base(const state *st, ortho_split *out, const ortho_services *s)
{
    canonical c = {};
    ortho_status status = open_canonical(st, s, &c);
    if (status == ORTHO_OK) {
        unpack_q<<<BLOCKS, THREADS, 0, stream_of(s)>>>(st->w, c.q);
        unpack_scale<<<BLOCKS, THREADS, 0, stream_of(s)>>>(st->w, c);
        status = ortho_cuda_launched("unpack_q, unpack_scale");
    }
    if (status == ORTHO_OK)
        status = copy(out->q, c.q, static_cast<size_t>(out->n * ((out->k + 1) / 2)),
                      cudaMemcpyDeviceToHost, s);
    if (status == ORTHO_OK)
        status = copy(out->scale, c.scale, static_cast<size_t>(out->n * st->groups) * 2,
                      cudaMemcpyDeviceToHost, s);
    const ortho_status waited = wait(s, "reading a layer back");
    close_canonical(&c, s);
    return status != ORTHO_OK ? status : waited;
}

ortho_status read_plan(const state *st, const plan &p, const ortho_services *s)
{
    ortho_status status = ortho_cuda_fetch(p.steps, st->w.ortho, p.step_bytes, s);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(p.begin, st->w.begin, p.begin_bytes, s);
    return status == ORTHO_OK ? ortho_cuda_fetch(p.unit, st->w.unit, p.unit_bytes, s) : status;
}

} // namespace

ortho_status export_split(const void *opaque, ortho_split *out, const ortho_services *s)
{
    const state *st = static_cast<const state *>(opaque);
    plan p = {};
    uint32_t steps = 0;
    ortho_status status = ortho_cuda_fetch(&steps, st->w.begin + st->w.s.sections(), 4, s);
    if (status == ORTHO_OK)
        status = plan_alloc(st->w.s, steps, s, &p);
    if (status == ORTHO_OK)
        status = read_plan(st, p, s);
    if (status == ORTHO_OK)
        status = plan_export(st->w.s, p, s, out);
    if (status == ORTHO_OK)
        status = unpack_base(st, out, s);
    plan_free(&p, s);
    return status;
}

void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *st = static_cast<const state *>(opaque);
    ortho_cuda_base sizes = {};
    sizes.n = st->w.s.n;
    sizes.k = st->w.s.k;
    sizes.dtype = st->dtype;
    const int way = usual_way(*st, m);
    const size_t unread = way >= WAY_CUBLAS   ? 0
                          : way >= WAY_NARROW ? st->mended.bytes
                                              : st->index_bytes;
    ortho_cuda_base_cost(&sizes, m, st->nnz, st->bytes - unread, out);
}

} // namespace ortho_fused
