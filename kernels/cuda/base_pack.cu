/*
 * Base between its canonical form and the order in which the tensor cores want it
 * (base_layout.cuh), and back, bit for bit. Done once a layer; bound by memory, and not timed.
 */
#include "kernels/cuda/base_layout.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/status.h"

namespace
{

/* memcheck saw the guarded load of a unit's scale made all the same, for a unit behind the last
 * one; its value isn't used. It may reach as far as units are in flight. */
constexpr size_t SCALE_SLACK = 4 * WARPS_MAX * ROWS * 4 * sizeof(__half);

/* ---- packing --------------------------------------------------------------------------------- */

__global__ void pack_q(const uint8_t *q, int64_t n, int64_t k, int units, int a_unit, uint32_t *out)
{
    int64_t words = (n + ROWS - 1) / ROWS * units * 128;
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < words;
         i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        int word = i % 4, lane = i / 4 % 32;
        int64_t unit = i / 128, row = unit / units * ROWS + lane / 4;
        int64_t col = unit % units * COLUMNS + column_of(word, lane % 4, a_unit);
        uint32_t packed = 0;
        for (int j = 0; j < 4; j++)
            for (int half = 0; half < 2; half++) {
                int64_t c = col + 2 * j + half;
                uint32_t v = 8; /* q = 0 */
                if (row < n && c < k) {
                    uint32_t byte = q[row * ((k + 1) / 2) + c / 2];
                    v = ((c & 1 ? byte >> 4 : byte) & 15u) ^ 8u;
                }
                packed |= v << (4 * j + 16 * half);
            }
        out[i] = packed;
    }
}

__global__ void pack_scale(const __half *scale, int64_t n, int64_t groups, int64_t group, int units,
                           int a_unit, __half *out)
{
    int64_t count = (n + ROWS - 1) / ROWS * units * a_unit * ROWS;
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < count;
         i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        int64_t unit = i / (ROWS * a_unit), row = unit / units * ROWS + i % ROWS;
        int64_t col = unit % units * COLUMNS + i / ROWS % a_unit * (COLUMNS / a_unit);
        int64_t g = col / group;
        out[i] = row < n && g < groups ? scale[row * groups + g] : __float2half_rn(0.0f);
    }
}

/* ---- unpacking: the same permutation, read the other way ------------------------------------- */

/* Where the pair of columns that begins at the even `col` of a row lies: its word, and the shift of
 * its lower nibble; the upper one is 16 bits higher. The inverse of what pack_q does. */
struct word_place {
    int64_t word;
    int shift;
};

__device__ __forceinline__ word_place place_of(int64_t row, int64_t col, int units, int a_unit)
{
    const int words = 4 / a_unit, span = COLUMNS / a_unit; /* of a group */
    const int in_unit = static_cast<int>(col % COLUMNS), in_group = in_unit % span;
    const int quad = in_group / (8 * words), word = in_unit / span * words + in_group / 8 % words;
    const int64_t unit = row / ROWS * units + col / COLUMNS;
    return {unit * 128 + (row % ROWS * 4 + quad) * 4 + word, in_group % 8 / 2 * 4};
}

/* A thread a byte of the canonical q. */
__global__ void unpack_q(const uint32_t *packed, int64_t n, int64_t k, int units, int a_unit,
                         uint8_t *out)
{
    const int64_t bytes = (k + 1) / 2;
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < n * bytes;
         i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        const int64_t row = i / bytes, col = i % bytes * 2;
        const word_place at = place_of(row, col, units, a_unit);
        const uint32_t word = packed[at.word];
        const uint32_t low = ((word >> at.shift) & 15u) ^ 8u;
        const uint32_t high = ((word >> (at.shift + 16)) & 15u) ^ 8u; /* 0 beyond an odd k */
        out[i] = static_cast<uint8_t>(low | high << 4);
    }
}

__global__ void unpack_scale(const __half *packed, int64_t n, int64_t groups, int64_t group,
                             int units, int a_unit, __half *out)
{
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < n * groups;
         i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
        const int64_t row = i / groups, col = i % groups * group;
        const int64_t unit = row / ROWS * units + col / COLUMNS;
        const int64_t part = col % COLUMNS / (COLUMNS / a_unit);
        out[i] = packed[(unit * a_unit + part) * ROWS + row % ROWS];
    }
}

size_t padded_256(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

ortho_status download(void *to, const void *from, size_t bytes, cudaStream_t stream)
{
    return ortho_cuda_status(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream),
                             "reading Base back");
}

ortho_status upload(const ortho_services *s, const void *from, size_t bytes, void **out)
{
    *out = s->alloc(s->ctx, bytes, ORTHO_DEVICE, ORTHO_WORKING);
    if (*out == nullptr)
        return ORTHO_E_MEMORY;
    return ortho_cuda_status(cudaMemcpyAsync(*out, from, bytes, cudaMemcpyHostToDevice,
                                             static_cast<cudaStream_t>(s->stream)),
                             "upload of Base");
}

/* A thread an element, at most 1024 blocks of them. */
template <typename... P, typename... A>
ortho_status launch(const char *name, void (*kernel)(P...), int64_t elements, cudaStream_t stream,
                    A... arguments)
{
    const int64_t blocks = (elements + 255) / 256;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(blocks < 1 ? 1 : blocks > 1024 ? 1024 : blocks));
    config.blockDim = dim3(256);
    config.stream = stream;
    return ortho_cuda_status(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...),
                             name);
}

ortho_status pack(ortho_cuda_base *b, const void *q, const void *scale, const ortho_services *s)
{
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    const int units = units_of(b), a_unit = groups_of_unit(b->group, b->k);
    const int64_t count = (b->n + ROWS - 1) / ROWS * units;
    ortho_status status =
        launch("pack_q", pack_q, count * 128, stream, static_cast<const uint8_t *>(q), b->n, b->k,
               units, a_unit, static_cast<uint32_t *>(b->q));
    if (status == ORTHO_OK)
        status = launch("pack_scale", pack_scale, count * a_unit * ROWS, stream,
                        static_cast<const __half *>(scale), b->n, b->groups, b->group, units,
                        a_unit, static_cast<__half *>(b->scale));
    return status == ORTHO_OK ? ortho_cuda_status(cudaStreamSynchronize(stream), "packing Base")
                              : status;
}

} // namespace

extern "C" ortho_status ortho_cuda_base_prepare(ortho_cuda_base *base,
                                                const ortho_gemm_problem *problem,
                                                const ortho_services *services)
{
    const ortho_split *s = problem->split;
    ortho_cuda_base b = {s->n, s->k, s->group, (s->k + s->group - 1) / s->group, problem->dtype};
    size_t blocks = static_cast<size_t>((b.n + ROWS - 1) / ROWS), units = units_of(&b);
    size_t q_bytes = blocks * units * 512;
    size_t scale_bytes = blocks * units * ROWS * sizeof(__half) * groups_of_unit(b.group, b.k);
    void *q = nullptr, *scale = nullptr;
    if (b.k > (int64_t(1) << 24))
        return services->fail(ORTHO_E_UNSUPPORTED, "rows of more than 2^24 weights on CUDA");
    if (b.group < b.k && b.group != 32 && b.group != 64 && b.group % COLUMNS != 0)
        return services->fail(ORTHO_E_UNSUPPORTED, "groups of %lld on CUDA: 32, 64, 128 or the row",
                              static_cast<long long>(b.group));
    b.q = services->alloc(services->ctx, q_bytes, ORTHO_DEVICE, ORTHO_WEIGHTS);
    b.scale =
        services->alloc(services->ctx, scale_bytes + SCALE_SLACK, ORTHO_DEVICE, ORTHO_WEIGHTS);
    b.bytes = q_bytes + scale_bytes;
    ortho_status status = b.q != nullptr && b.scale != nullptr ? ORTHO_OK : ORTHO_E_MEMORY;
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaMemsetAsync(b.scale, 0, scale_bytes + SCALE_SLACK,
                                                   static_cast<cudaStream_t>(services->stream)),
                                   "clearing scales");
    if (status == ORTHO_OK)
        status = upload(services, s->q, static_cast<size_t>(b.n * ((b.k + 1) / 2)), &q);
    if (status == ORTHO_OK)
        status = upload(services, s->scale, static_cast<size_t>(b.n * b.groups) * 2, &scale);
    if (status == ORTHO_OK)
        status = pack(&b, q, scale, services);
    services->free(services->ctx, scale);
    services->free(services->ctx, q);
    if (status != ORTHO_OK)
        ortho_cuda_base_release(&b, services);
    else
        *base = b;
    return status;
}

extern "C" ortho_status ortho_cuda_base_export(const ortho_cuda_base *b, ortho_split *out,
                                               const ortho_services *services)
{
    cudaStream_t stream = static_cast<cudaStream_t>(services->stream);
    const size_t q_bytes = static_cast<size_t>(b->n * ((b->k + 1) / 2));
    const size_t scale_bytes = static_cast<size_t>(b->n * b->groups) * sizeof(__half);
    const int units = units_of(b), a_unit = groups_of_unit(b->group, b->k);
    char *plain = static_cast<char *>(services->alloc(
        services->ctx, padded_256(q_bytes) + scale_bytes, ORTHO_DEVICE, ORTHO_WORKING));
    if (plain == nullptr)
        return ORTHO_E_MEMORY;
    __half *scale = reinterpret_cast<__half *>(plain + padded_256(q_bytes));
    ortho_status status = launch("unpack_q", unpack_q, static_cast<int64_t>(q_bytes), stream,
                                 static_cast<const uint32_t *>(b->q), b->n, b->k, units, a_unit,
                                 reinterpret_cast<uint8_t *>(plain));
    if (status == ORTHO_OK)
        status = launch("unpack_scale", unpack_scale, b->n * b->groups, stream,
                        static_cast<const __half *>(b->scale), b->n, b->groups, b->group, units,
                        a_unit, scale);
    if (status == ORTHO_OK)
        status = download(out->q, plain, q_bytes, stream);
    if (status == ORTHO_OK)
        status = download(out->scale, scale, scale_bytes, stream);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaStreamSynchronize(stream), "unpacking Base");
    services->free(services->ctx, plain);
    return status;
}

extern "C" void ortho_cuda_base_release(ortho_cuda_base *base, const ortho_services *services)
{
    services->free(services->ctx, base->scale);
    services->free(services->ctx, base->q);
    *base = ortho_cuda_base{};
}
