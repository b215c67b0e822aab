/*
 * fused on CUDA, many tokens in fp16: y = x * (Base + alpha * Ortho)^T with wgmma, whose weights
 * are dequantised and patched in registers: nothing of the size of W is ever written.
 *
 * Weights are rounded to fp16 once, as those of a dense fp16 layer are. That is within what
 * verification allows where rows are long (the bound grows as k^1.5, the error as its root) and no
 * few weights outweigh the others: found out when a linear is packed (rounding.cu). Where rounding
 * might show, or fp16's range is left, batch.cu takes the call.
 *
 * Expected to limit it: up to some 100 tokens x, which each block reads whole from the L2; then the
 * tensor cores.
 */
#include "kernels/cuda/base_gemm.h"
#include "variants/fused/dependent.cuh"
#include "variants/fused/wide.cuh"

namespace ortho_fused
{

namespace
{

typedef void wide_fn(const wide_launch, const CUtensorMap);

/* A kernel for so many tokens and rows a block. */
struct form {
    int tokens, rows;
    float image_us; /* what an image takes, of 128 columns: measured on an H200 with 1 % entries */
    wide_fn *(*pick)(int groups, bool patched);
    int (*bytes)(bool patched, int slots);
    int sums_bytes, overlay_bytes, x_bytes; /* of y, of all overlays, of a slot */
};

template <int T, bool SHARED, bool PATCHED> wide_fn *pick_groups(int groups)
{
    return groups == 1   ? wide_kernel<T, SHARED, 1, PATCHED>
           : groups == 2 ? wide_kernel<T, SHARED, 2, PATCHED>
                         : wide_kernel<T, SHARED, 4, PATCHED>;
}

template <int T, bool SHARED> wide_fn *pick_kernel(int groups, bool patched)
{
    return patched ? pick_groups<T, SHARED, true>(groups) : pick_groups<T, SHARED, false>(groups);
}

template <int T, bool SHARED> int form_bytes(bool patched, int slots)
{
    typedef wide_sizes<T, SHARED> sizes;
    return sizes::fixed_bytes(patched) + slots * sizes::X_BYTES;
}

template <int T, bool SHARED> constexpr form form_of(float image_us)
{
    typedef wide_sizes<T, SHARED> sizes;
    return {T,
            sizes::ROWS,
            image_us,
            pick_kernel<T, SHARED>,
            form_bytes<T, SHARED>,
            sizes::SUMS_BYTES,
            sizes::OVERLAY_ALL,
            sizes::X_BYTES};
}

constexpr form FORMS[] = {form_of<64, true>(0.6f), form_of<128, true>(0.7f),
                          form_of<128, false>(1.3f)};
static_assert(sizeof FORMS / sizeof *FORMS == WIDE_FORMS, "ways.cu names them");
constexpr float BLOCK_US = 3; /* beside its images: until x and weights are there, and for y */
/* 4 KiB is static, and some barriers. */
constexpr int WIDE_MOST = BLOCK_MOST - (5 << 10);

dim3 grid_of(const form &f, const shape &s, int64_t m)
{
    return dim3(static_cast<unsigned>((s.units * UNIT_ROWS + f.rows - 1) / f.rows),
                static_cast<unsigned>((m + f.tokens - 1) / f.tokens));
}

/* A multiprocessor has a block at a time. */
float expected_us(const form &f, const state &s, int64_t m)
{
    const dim3 grid = grid_of(f, s.w.s, m);
    const int64_t blocks = static_cast<int64_t>(grid.x) * grid.y;
    const int64_t rounds = (blocks + s.multiprocessors - 1) / s.multiprocessors;
    return static_cast<float>(rounds) * (BLOCK_US + f.image_us * static_cast<float>(s.w.s.images));
}

int slots_of(const form &f, bool patched)
{
    int slots = 2;
    while (slots * f.x_bytes + (patched ? f.overlay_bytes : 0) < f.sums_bytes)
        slots++;
    while (slots < WIDE_SLOTS_MOST && f.bytes(patched, slots + 1) <= WIDE_MOST)
        slots++;
    return slots;
}

typedef CUresult encode_fn(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                           const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                           const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                           CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* The driver's, without linking it; NULL where it has none. */
encode_fn *encoder()
{
    static encode_fn *const found = [] {
        void *symbol = nullptr;
        cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
        const cudaError_t status = cudaGetDriverEntryPointByVersion(
            "cuTensorMapEncodeTiled", &symbol, 12000, cudaEnableDefault, &result);
        return status == cudaSuccess && result == cudaDriverEntryPointSuccess
                   ? reinterpret_cast<encode_fn *>(symbol)
                   : nullptr;
    }();
    return found;
}

/* x as boxes of 64 columns by a form's tokens; zeros beyond its ends. */
bool map_x(const ortho_gemm_call &call, int64_t k, int64_t tokens, int box, CUtensorMap *map)
{
    const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(k), static_cast<cuuint64_t>(tokens)};
    const cuuint64_t line = static_cast<cuuint64_t>(k) * 2;
    const cuuint32_t boxes[2] = {64, static_cast<cuuint32_t>(box)}, steps[2] = {1, 1};
    encode_fn *encode = encoder();
    return encode != nullptr &&
           encode(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, const_cast<void *>(call.x), sizes, &line,
                  boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                  CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

constexpr int64_t WIDE_TOKENS_LEAST = 17, WIDE_TOKENS_MOST = 65535 * 64; /* a grid's dimension */

bool is_patched(const state &s, float alpha)
{
    return s.nnz > 0 && alpha != 0;
}

} // namespace

bool takes_wide(const state &s, const ortho_gemm_call &call)
{
    return s.hopper && call.dtype == ORTHO_F16 && call.m >= WIDE_TOKENS_LEAST &&
           call.m <= WIDE_TOKENS_MOST && s.w.s.k % 8 == 0 &&
           reinterpret_cast<uintptr_t>(call.x) % 16 == 0 &&
           (!is_patched(s, call.alpha) || s.indexed) && may_round(s.rounded, call.alpha) &&
           encoder() != nullptr;
}

int wide_form(const state &s, int64_t m)
{
    int best = 0;
    for (int i = 1; i < WIDE_FORMS; i++)
        if (expected_us(FORMS[i], s, m) < expected_us(FORMS[best], s, m))
            best = i;
    return best;
}

ortho_status run_wide(const state &s, const ortho_gemm_call &call, int chosen)
{
    const form &f = FORMS[chosen];
    const int groups = s.w.s.groups;
    const bool patched = is_patched(s, call.alpha);
    wide_launch l = {s.w, call.y, call.alpha, static_cast<int>(call.m), slots_of(f, patched)};
    wide_fn *kernel = f.pick(groups, patched);
    const int memory = f.bytes(patched, l.slots);
    CUtensorMap map;
    if (!map_x(call, s.w.s.k, call.m, f.tokens, &map))
        return ortho_fail(ORTHO_E_DEVICE, "the driver refuses to describe x for TMA");
    return launch_dependent(kernel, grid_of(f, s.w.s, call.m), WIDE_THREADS, memory, call.stream,
                            "wide_kernel", l, map);
}

void wide_kernels(const state &s, int chosen, const ortho_kernel_sink *sink)
{
    const form &f = FORMS[chosen];
    const bool patched = s.nnz > 0;
    const int groups = s.w.s.groups;
    ortho_cuda_kernel_report("wide_kernel", reinterpret_cast<const void *>(f.pick(groups, patched)),
                             WIDE_THREADS,
                             static_cast<size_t>(f.bytes(patched, slots_of(f, patched))), sink);
}

} // namespace ortho_fused
