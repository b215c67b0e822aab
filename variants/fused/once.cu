/*
 * fused on CUDA, many tokens in fp16, W unpacked once, while it is multiplied: for prompts so long
 * that wide.cu, which unpacks W once for each tile of tokens, spends more on that than on products.
 *
 * A kernel as those of a dense layer are, both operands by TMA, but that W comes from a workspace
 * that spare warps of all blocks fill, in the order in which it is wanted. In the workspace is as
 * much of W as a launch multiplies, 64 MiB at most.
 *
 * The same weights as wide.cu's, rounded in the same way (rounding.cu says where they may be).
 *
 * Expected to limit it: the tensor cores, and the beginning, when nothing is unpacked.
 */
#include "kernels/cuda/base_gemm.h"
#include "variants/fused/dependent.cuh"
#include "variants/fused/once.cuh"
#include "variants/fused/x_map.h"

#include <algorithm>

namespace ortho_fused
{

namespace
{

typedef void once_fn(const once_launch, const CUtensorMap);

/* A kernel for tiles of so many rows. */
struct form {
    int rows, bytes;
    float image_us; /* what 128 columns of a tile take */
    once_fn *(*pick)(int groups);
};

template <typename F> once_fn *pick_kernel(int groups)
{
    return groups == 1 ? once_kernel<F, 1> : once_kernel<F, IMAGE_STRIPS>;
}

template <int ROWS, int SLOTS> constexpr form form_of(float image_us)
{
    typedef once_form<ROWS, SLOTS> F;
    static_assert(F::BYTES <= BLOCK_MOST, "a block's memory");
    return {F::ROWS, F::BYTES, image_us, pick_kernel<F>};
}

constexpr form FORMS[] = {form_of<128, 6>(0.75f), form_of<192, 5>(1.05f), form_of<256, 4>(1.4f)};
static_assert(sizeof FORMS / sizeof *FORMS == ONCE_FORMS, "ways.cu names them");

constexpr int64_t ONCE_TOKENS_LEAST = 33, ONCE_TOKENS_MOST = INT32_MAX / ONCE_TOKENS;

/* Row tile number `tile` and those behind it. */
once_launch launch_of(const form &f, const state &s, const ortho_gemm_call &call, int tile)
{
    once_launch l = {};
    l.w = s.w;
    l.x = static_cast<const __half *>(call.x);
    l.y = call.y;
    l.alpha = is_patched(s, call.alpha) ? call.alpha : 0.0f;
    l.tokens = static_cast<int>(call.m);
    l.p = once_plan_of(s.w.s, f.rows, call.m, s.multiprocessors, tile);
    l.aligned = s.w.s.n % UNIT_ROWS == 0 && reinterpret_cast<uintptr_t>(call.y) % 16 == 0;
    l.mended = is_mended(s, call.alpha) ? s.mended : mended_rows{};
    l.tiles =
        static_cast<uint8_t *>(call.workspace) + once_counter_bytes(once_words(s.w.s, f.rows));
    l.counters = once_counters_of(s.sets, call.workspace);
    l.words = s.sets->words;
    return l;
}

/* Where no set is free: counters in the workspace, which a launch before clears. */
ortho_status open_counters(const form &f, const state &s, const ortho_gemm_call &call,
                           once_launch *l)
{
    l->counters = static_cast<once_counters *>(call.workspace);
    l->words = once_words(s.w.s, f.rows);
    return launch_dependent(once_open_kernel, dim3(1), 1, ONCE_OPEN_THREADS, 0, call.stream,
                            "once_open_kernel", static_cast<uint32_t *>(call.workspace),
                            static_cast<int>(once_counter_bytes(l->words) / 4));
}

ortho_status enqueue(const form &f, const state &s, const ortho_gemm_call &call, int tile,
                     const CUtensorMap &map)
{
    once_launch l = launch_of(f, s, call, tile);
    const int clusters = std::min(s.multiprocessors / ONCE_CLUSTER, l.p.tiles());
    const ortho_status status = l.counters == nullptr ? open_counters(f, s, call, &l) : ORTHO_OK;
    return status == ORTHO_OK
               ? launch_dependent(
                     f.pick(s.w.s.groups), dim3(static_cast<unsigned>(clusters * ONCE_CLUSTER)),
                     ONCE_CLUSTER, ONCE_THREADS, f.bytes, call.stream, "once_kernel", l, map)
               : status;
}

} // namespace

bool takes_once(const state &s, const ortho_gemm_call &call)
{
    return s.sets != nullptr && s.multiprocessors >= ONCE_CLUSTER &&
           s.multiprocessors * ONCE_UNPACKERS <= ONCE_CLAIMS * 32 && call.m >= ONCE_TOKENS_LEAST &&
           call.m <= ONCE_TOKENS_MOST && takes_rounded(s, call) && can_map_x();
}

size_t once_workspace(const state &s, int64_t m, ortho_dtype dtype)
{
    size_t most = 0;
    if (takes_at_any_alpha(s, m, dtype, takes_once))
        for (const form &f : FORMS)
            most = std::max(most, once_bytes(s.w.s, f.rows));
    return most;
}

/* As measured on an H100, roughly. */
float once_us(const state &s, int64_t m, int chosen)
{
    constexpr float LAUNCH_US = 6, TILE_US = 2;
    const form &f = FORMS[chosen];
    const int64_t tiles = once_row_tiles(s.w.s, f.rows), each = once_launch_tiles(s.w.s, f.rows),
                  clusters = std::max(s.multiprocessors / ONCE_CLUSTER, 1),
                  rounds = (tiles * once_token_pairs(m) + clusters - 1) / clusters;
    return LAUNCH_US * static_cast<float>((tiles + each - 1) / each) +
           static_cast<float>(rounds) * (TILE_US + f.image_us * static_cast<float>(s.w.s.images));
}

int once_form_of(const state &s, int64_t m)
{
    int best = 0;
    for (int i = 1; i < ONCE_FORMS; i++)
        if (once_us(s, m, i) < once_us(s, m, best))
            best = i;
    return best;
}

ortho_status open_sets(const state &s, const ortho_services *services, once_sets **out)
{
    once_sets *const sets = static_cast<once_sets *>(
        services->alloc(services->ctx, sizeof *sets, ORTHO_HOST, ORTHO_WEIGHTS));
    if (sets == nullptr)
        return ORTHO_E_MEMORY;
    new (sets) once_sets{};
    for (const form &f : FORMS)
        sets->words = std::max(sets->words, once_words(s.w.s, f.rows));
    sets->bytes = once_counter_bytes(sets->words);
    const size_t all = once_sets::SETS * sets->bytes;
    sets->memory =
        static_cast<uint8_t *>(services->alloc(services->ctx, all, ORTHO_DEVICE, ORTHO_WEIGHTS));
    *out = sets;
    if (sets->memory == nullptr)
        return ORTHO_E_MEMORY;
    return ortho_cuda_status(
        cudaMemsetAsync(sets->memory, 0, all, static_cast<cudaStream_t>(services->stream)),
        "counters of a layer");
}

void close_sets(once_sets *sets, const ortho_services *services)
{
    if (sets != nullptr)
        services->free(services->ctx, sets->memory);
    services->free(services->ctx, sets);
}

ortho_status run_once(const state &s, const ortho_gemm_call &call, int chosen)
{
    const form &f = FORMS[chosen];
    const int all = once_row_tiles(s.w.s, f.rows), each = once_launch_tiles(s.w.s, f.rows);
    CUtensorMap map;
    if (!map_x(call, s.w.s.k, call.m, ONCE_TOKENS, &map))
        return ortho_fail(ORTHO_E_DEVICE, "the driver refuses to describe x for TMA");
    ortho_status status = ORTHO_OK;
    for (int tile = 0; tile < all && status == ORTHO_OK; tile += each)
        status = enqueue(f, s, call, tile, map);
    return status;
}

void once_kernels(const state &s, int64_t, int chosen, const ortho_kernel_sink *sink)
{
    const form &f = FORMS[chosen];
    ortho_cuda_kernel_report("once_kernel", reinterpret_cast<const void *>(f.pick(s.w.s.groups)),
                             ONCE_THREADS, static_cast<size_t>(f.bytes), sink);
}

} // namespace ortho_fused
