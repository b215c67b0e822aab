/*
 * Base on tensor cores: y = x * Base^T, weights as exact small integers, sums in fp32.
 *
 * mma.m16n8k16 with A = 16 tokens of x and B = 8 rows of W: 1 to 16 tokens cost nearly the same. A
 * unit is 8 rows x 128 columns, 512 bytes, one 16-byte load a lane. The order of columns within a
 * product is free as long as x and W agree: word w of a lane holds eight consecutive columns (see
 * column_of) of two k-steps, so that x comes in 16-byte loads too; pair j of the word stands at
 * bits 4j and 16 + 4j, as q + 8: one LOP3 makes a pair 1024 + (q + 8) in fp16 (128 + (q + 8) in
 * bf16), a subtraction makes it q, exactly. The fp16 scale multiplies a group's fp32 sum, so that
 * no product is rounded. Units are ordered [row block][column block]; a unit's scales are
 * [128/group][8 rows] fp16.
 *
 * A block owns 8 rows and up to 16 tokens; its warps share K, a unit at a time, and add their sums
 * in shared memory at the end. There are as many warps as fit the chip at once, AHEAD units of each
 * in flight. fp32 activations are split into three bf16 that add up to them exactly.
 *
 * Floor at one token: the packed bytes, 4.125 bits a weight at group 128. What limits: latency,
 * where a matrix is small; unpacking (2 instructions a weight) where it is not.
 */
#include "kernels/cuda/base_fragments.cuh"
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/base_layout.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/status.h"

namespace
{

constexpr int TOKENS = 16;
constexpr int64_t RESIDENT_WARPS = 132 * 28; /* of an H100 at the kernel's registers */

/* Warps of a block at most: the heavier forms need more registers. */
constexpr int warps_most(int planes, bool whole)
{
    return planes == 3 || !whole ? WARPS_MAX / 2 : WARPS_MAX;
}

struct problem {
    const uint4 *q;
    const __half *scale;
    const void *x;
    void *y;
    const float *addend;
    int64_t n, k, m;
    int units; /* of a row block */
};

__device__ __forceinline__ row_of_x token_row(const problem &p, int64_t token, int element)
{
    return {static_cast<const char *>(p.x) + token * p.k * element, token < p.m};
}

/* ---- one unit -------------------------------------------------------------------------------- */

/* A unit on its way from memory: a lane's weights, and its two rows' scales of each group. */
template <int GROUPS> struct flight {
    uint4 q;
    __half2 scale[GROUPS];
};

template <int GROUPS>
__device__ __forceinline__ void fetch(const uint4 *q, const __half2 *scale, int unit,
                                      flight<GROUPS> *out)
{
    out->q = __ldcs(q + unit * 32);
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
        out->scale[g] = __ldcs(scale + (unit * GROUPS + g) * (ROWS / 2));
}

/* sum += scale * (x * q), a group at a time. SECOND: tokens 8 to 15 are there too. */
template <typename T, int PLANES, bool SECOND, bool WHOLE, int GROUPS>
__device__ __forceinline__ void multiply_unit(const flight<GROUPS> &f, const row_of_x x[2], int col,
                                              int k, int quad, float sum[4])
{
    const uint32_t words[4] = {f.q.x, f.q.y, f.q.z, f.q.w};
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        float part[4] = {0, 0, 0, 0};
#pragma unroll
        for (int w = g * (4 / GROUPS); w < (g + 1) * (4 / GROUPS); w++) {
            uint32_t low[PLANES][4], high[PLANES][4] = {}, b[4];
            int at = col + column_of(w, quad, GROUPS);
            load_eight<WHOLE>(x[0], at, k, low, planes<PLANES>{});
            if (SECOND)
                load_eight<WHOLE>(x[1], at, k, high, planes<PLANES>{});
            unpack(words[w], b, static_cast<const T *>(nullptr));
#pragma unroll
            for (int step = 0; step < 4; step += 2)
#pragma unroll
                for (int plane = PLANES; plane-- > 0;) {
                    uint32_t a[4] = {low[plane][step], high[plane][step], low[plane][step + 1],
                                     high[plane][step + 1]};
                    mma(part, a, b[step], b[step + 1], static_cast<const T *>(nullptr));
                }
        }
        float2 s = __half22float2(f.scale[g]);
        sum[0] += s.x * part[0];
        sum[1] += s.y * part[1];
        if (SECOND) {
            sum[2] += s.x * part[2];
            sum[3] += s.y * part[3];
        }
    }
}

__device__ __forceinline__ void store(const problem &p, int64_t at, float v, const float *)
{
    static_cast<float *>(p.y)[at] = v;
}
__device__ __forceinline__ void store(const problem &p, int64_t at, float v, const __half *)
{
    static_cast<__half *>(p.y)[at] = __float2half_rn(v);
}
__device__ __forceinline__ void store(const problem &p, int64_t at, float v, const __nv_bfloat16 *)
{
    static_cast<__nv_bfloat16 *>(p.y)[at] = __float2bfloat16_rn(v);
}

/* The warps' sums of a tile, added in the order of the warps; then Ortho, one rounding, y. */
template <typename X>
__device__ __forceinline__ void finish(const problem &p, const float (*sums)[TOKENS * ROWS],
                                       int warps, int64_t row, int64_t token)
{
    for (int i = threadIdx.x; i < TOKENS * ROWS; i += blockDim.x) {
        int64_t t = token + i / ROWS, r = row + i % ROWS;
        if (t >= p.m || r >= p.n)
            continue;
        float v = 0;
        for (int w = 0; w < warps; w++)
            v += sums[w][i];
        if (p.addend != nullptr)
            v += p.addend[t * p.n + r];
        store(p, t * p.n + r, v, static_cast<const X *>(nullptr));
    }
}

/* A warp's share of K for one tile of tokens: units warp, warp + warps, ..., some in flight. */
template <typename T, int PLANES, bool SECOND, bool WHOLE, int GROUPS>
__device__ __forceinline__ void multiply_tile(const problem &p, int64_t tile, float sum[4])
{
    constexpr int AHEAD = SECOND || GROUPS > 1 ? 2 : 4;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * p.units;
    const uint4 *q = p.q + first * 32 + lane;
    const __half2 *scale =
        reinterpret_cast<const __half2 *>(p.scale + first * (GROUPS * ROWS)) + lane % 4;
    const int64_t token = tile * TOKENS + lane / 4;
    const int element = PLANES == 3 ? 4 : 2, k = static_cast<int>(p.k);
    const row_of_x x[2] = {token_row(p, token, element), token_row(p, token + 8, element)};
    flight<GROUPS> ahead[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++)
        if (warp + i * warps < p.units)
            fetch(q, scale, warp + i * warps, &ahead[i]);
    for (int begin = warp; begin < p.units; begin += AHEAD * warps) {
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const int unit = begin + i * warps;
            if (unit < p.units)
                multiply_unit<T, PLANES, SECOND, WHOLE>(ahead[i], x, unit * COLUMNS, k, lane % 4,
                                                        sum);
            if (unit + AHEAD * warps < p.units)
                fetch(q, scale, unit + AHEAD * warps, &ahead[i]);
        }
    }
}

template <typename T, typename X, int PLANES, bool SECOND, bool WHOLE, int GROUPS>
__global__ void __launch_bounds__(warps_most(PLANES, WHOLE) * 32, SECOND || PLANES == 3 ? 1 : 0)
    base_kernel(const problem p)
{
    __shared__ float sums[WARPS_MAX][TOKENS * ROWS];
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const int64_t block = blockIdx.x, tiles = (p.m + TOKENS - 1) / TOKENS;
    bool waited = p.addend == nullptr;
    for (int64_t tile = blockIdx.y; tile < tiles; tile += gridDim.y) {
        float sum[4] = {0, 0, 0, 0};
        multiply_tile<T, PLANES, SECOND, WHOLE, GROUPS>(p, tile, sum);
        float *mine = &sums[threadIdx.x / 32][lane / 4 * ROWS + 2 * (lane % 4)];
        mine[0] = sum[0];
        mine[1] = sum[1];
        mine[8 * ROWS] = sum[2];
        mine[8 * ROWS + 1] = sum[3];
        if (!waited) {
            ortho_cuda_wait_for_previous();
            waited = true;
        }
        __syncthreads();
        finish<X>(p, sums, warps, block * ROWS, tile * TOKENS);
        __syncthreads();
    }
}

/* ---- launching ------------------------------------------------------------------------------- */

typedef void kernel_fn(const problem);

template <typename T, typename X, int PLANES, bool SECOND, bool WHOLE>
kernel_fn *pick_groups(int groups)
{
    return groups == 1   ? base_kernel<T, X, PLANES, SECOND, WHOLE, 1>
           : groups == 2 ? base_kernel<T, X, PLANES, SECOND, WHOLE, 2>
                         : base_kernel<T, X, PLANES, SECOND, WHOLE, 4>;
}

/* Three forms: up to 8 tokens, up to 16, and ragged rows of any number. */
template <typename T, typename X, int PLANES>
kernel_fn *pick_form(int groups, int64_t m, bool whole)
{
    return !whole   ? pick_groups<T, X, PLANES, true, false>(groups)
           : m <= 8 ? pick_groups<T, X, PLANES, false, true>(groups)
                    : pick_groups<T, X, PLANES, true, true>(groups);
}

/* `whole`: K is a number of units, and x may be read 16 bytes at a time. */
kernel_fn *pick(const ortho_cuda_base *b, ortho_dtype dtype, int64_t m, bool whole)
{
    int groups = groups_of_unit(b->group, b->k);
    if (dtype == ORTHO_F16)
        return pick_form<__half, __half, 1>(groups, m, whole);
    if (dtype == ORTHO_BF16)
        return pick_form<__nv_bfloat16, __nv_bfloat16, 1>(groups, m, whole);
    return pick_form<__nv_bfloat16, float, 3>(groups, m, whole);
}

bool is_whole(const ortho_cuda_base *b, const void *x)
{
    return b->k % COLUMNS == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0;
}

/* As many warps a block as let all blocks be on the chip at once, and none without a unit. */
int warps_for(const ortho_cuda_base *b, ortho_dtype dtype, int64_t tiles, bool whole)
{
    int64_t blocks = (b->n + ROWS - 1) / ROWS * tiles, warps = RESIDENT_WARPS / blocks;
    int64_t most = warps_most(dtype == ORTHO_F32 ? 3 : 1, whole);
    warps = warps > units_of(b) ? units_of(b) : warps;
    return static_cast<int>(warps < 1 ? 1 : warps > most ? most : warps);
}

} // namespace

extern "C" bool ortho_cuda_has_programmatic_launch(void)
{
    int device = 0, major = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) ==
               cudaSuccess &&
           major >= 9;
}

extern "C" size_t ortho_cuda_base_workspace(const ortho_cuda_base *, int64_t)
{
    return 0;
}

extern "C" ortho_status ortho_cuda_base_run(const ortho_cuda_base *b, const ortho_gemm_call *call,
                                            const float *addend, void *)
{
    problem p = {static_cast<const uint4 *>(b->q),
                 static_cast<const __half *>(b->scale),
                 call->x,
                 call->y,
                 addend,
                 b->n,
                 b->k,
                 call->m,
                 units_of(b)};
    int64_t tiles = (call->m + TOKENS - 1) / TOKENS;
    bool whole = is_whole(b, call->x);
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>((b->n + ROWS - 1) / ROWS),
                          static_cast<unsigned>(tiles < 65535 ? tiles : 65535));
    config.blockDim = dim3(static_cast<unsigned>(32 * warps_for(b, call->dtype, tiles, whole)));
    config.stream = static_cast<cudaStream_t>(call->stream);
    config.attrs = &attribute;
    config.numAttrs = addend != nullptr && ortho_cuda_has_programmatic_launch() ? 1 : 0;
    return ortho_cuda_status(cudaLaunchKernelEx(&config, pick(b, call->dtype, call->m, whole), p),
                             "base_kernel");
}

extern "C" void ortho_cuda_base_cost(const ortho_cuda_base *b, int64_t m, int64_t nnz,
                                     size_t ortho_bytes, ortho_cost *cost)
{
    double element = b->dtype == ORTHO_F32 ? 4 : 2, n = static_cast<double>(b->n),
           k = static_cast<double>(b->k), tokens = static_cast<double>(m);
    cost->bytes = static_cast<double>(b->bytes + ortho_bytes) + tokens * (n + k) * element;
    cost->flops = 2 * tokens * (n * k + static_cast<double>(nnz));
}

extern "C" void ortho_cuda_kernel_report(const char *name, const void *function, int threads,
                                         size_t dynamic_shared, const ortho_kernel_sink *sink)
{
    cudaFuncAttributes a;
    if (cudaFuncGetAttributes(&a, function) != cudaSuccess) {
        (void)cudaGetLastError();
        return;
    }
    ortho_kernel_facts facts = {name, threads, a.numRegs, a.sharedSizeBytes + dynamic_shared,
                                a.localSizeBytes};
    sink->kernel(sink->ctx, &facts);
}

extern "C" void ortho_cuda_base_kernels(const ortho_cuda_base *b, int64_t m,
                                        const ortho_kernel_sink *sink)
{
    bool whole = is_whole(b, nullptr); /* x of the harness is aligned */
    ortho_cuda_kernel_report(
        "base_kernel", reinterpret_cast<const void *>(pick(b, b->dtype, m, whole)),
        32 * warps_for(b, b->dtype, (m + TOKENS - 1) / TOKENS, whole), 0, sink);
}
