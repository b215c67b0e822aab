/*
 * fused on CUDA, many tokens in fp16, of one linear or of several that share x:
 * y = x * (Base + alpha * Ortho)^T with wgmma, whose weights are dequantised and patched on their
 * way into shared memory: nothing of the size of W is ever written.
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
#include "variants/fused/x_map.h"

namespace ortho_fused
{

namespace
{

template <typename L> using wide_fn = void(const L, const CUtensorMap);

/* A kernel for so many tokens and rows a block. */
struct form {
    int tokens, rows, sharers, cluster, threads, slots_least;
    bool one_tile;            /* a block */
    float image_us, block_us; /* what an image of 128 columns takes, and what is beside images */
    wide_fn<wide_single> *(*pick)(int groups);
    wide_fn<wide_group> *(*pick_several)(int groups);
    int (*bytes)(int slots, int sorted);
};

template <typename F, typename L> wide_fn<L> *pick_kernel(int groups)
{
    return groups == 1 ? wide_kernel<F, 1, L> : wide_kernel<F, IMAGE_STRIPS, L>;
}

template <typename F> int form_bytes(int slots, int sorted)
{
    return F::bytes(slots, sorted);
}

/* Entries that a tile has room for at least: many images' at 1 %. */
constexpr int SORTED_LEAST = 1024;

template <int T, int R, int X, int S, int SETS>
constexpr form form_of(float image_us, float block_us)
{
    typedef wide_form<T, R, X, S, SETS> F;
    /* Each set has a slot, and one is multiplied; a set's first slot of the next tile is at most
     * once round. */
    constexpr int SLOTS_LEAST = SETS > 1 ? 2 * SETS - 1 : SETS + 1;
    static_assert(F::bytes(SLOTS_LEAST, SORTED_LEAST) <= BLOCK_MOST, "a block's memory");
    return {T,
            F::ROWS,
            X,
            F::CLUSTER,
            F::THREADS,
            SLOTS_LEAST,
            S > 1,
            image_us,
            block_us,
            pick_kernel<F, wide_single>,
            pick_kernel<F, wide_group>,
            form_bytes<F>};
}

constexpr form FORMS[] = {
    form_of<32, 1, 1, 1, 3>(0.4f, 4),     form_of<32, 1, 1, 2, 3>(0.4f, 5),
    form_of<32, 1, 1, 4, 3>(0.4f, 5.5f),  form_of<64, 1, 1, 1, 2>(0.52f, 5),
    form_of<64, 1, 1, 2, 2>(0.52f, 6),    form_of<64, 1, 1, 4, 2>(0.52f, 6.5f),
    form_of<128, 1, 2, 1, 2>(0.75f, 5),   form_of<128, 1, 1, 2, 2>(0.8f, 6),
    form_of<128, 1, 1, 4, 2>(0.8f, 6.5f), form_of<256, 1, 2, 1, 1>(1.0f, 6),
    form_of<256, 2, 2, 1, 1>(1.9f, 6)};
static_assert(sizeof FORMS / sizeof *FORMS == WIDE_FORMS, "ways.cu names them");

int64_t token_tiles_of(const form &f, int64_t m)
{
    return (m + f.tokens - 1) / f.tokens;
}

/* Tiles of y that a form cuts it into, a cluster's each. */
int64_t tiles_of(const form &f, const state &s, int64_t m)
{
    const int64_t rows = static_cast<int64_t>(f.rows) * f.sharers;
    return (static_cast<int64_t>(s.w.s.units) * UNIT_ROWS + rows - 1) / rows * token_tiles_of(f, m);
}

/* A multiprocessor has a block at a time, and the 18 or less of a GPC share their clusters. */
float expected_us(const form &f, const state &s, int64_t tiles)
{
    constexpr int GPC = 18;
    const int64_t fit = f.cluster <= 2 ? s.multiprocessors / f.cluster
                                       : s.multiprocessors / GPC * (GPC / f.cluster),
                  most = fit > 0 ? fit : 1, rounds = (tiles + most - 1) / most;
    const float images =
        static_cast<float>(s.w.s.images) / static_cast<float>(f.one_tile ? f.cluster : 1);
    return static_cast<float>(rounds) * (f.block_us + f.image_us * images);
}

/* What a block's memory is used for. */
struct dealt {
    int slots, sorted;
};

/* Room for all entries that a tile is likely to have, so that they are sorted once, as far as there
 * is some beside the least number of slots; then slots, as many as are of use where there are
 * entries; what is left is for tiles that have more. */
dealt memory_of(const form &f, const state &s, bool patched)
{
    constexpr float LIKELY = 1.25f; /* times as many as tiles have on average */
    const int split = f.one_tile ? f.cluster : 1,
              images = smaller((s.w.s.images + split - 1) / split, WINDOW_IMAGES);
    const float density =
        static_cast<float>(s.nnz) / static_cast<float>(s.w.s.n) / static_cast<float>(s.w.s.k);
    const int likely = static_cast<int>(LIKELY * density *
                                        static_cast<float>(f.rows * images * IMAGE_COLUMNS)),
              most = (BLOCK_MOST - f.bytes(f.slots_least, 0)) / 16 * 4;
    dealt d = {f.slots_least, 0};
    if (patched)
        d.sorted = smaller(likely < SORTED_LEAST ? SORTED_LEAST : likely / 4 * 4, most);
    constexpr int OF_USE = 5;
    const int slots = patched ? OF_USE : WIDE_SLOTS_MOST;
    while (d.slots < slots && f.bytes(d.slots + 1, d.sorted) <= BLOCK_MOST)
        d.slots++;
    if (patched)
        d.sorted = (BLOCK_MOST - f.bytes(d.slots, 0)) / 16 * 4;
    return d;
}

/* Outputs that the kernel mends itself: more are better dealt to blocks of their own. */
constexpr int64_t MENDED_INSIDE = 4096;

bool mends_itself(const state &s, int64_t m)
{
    return s.mended.count * m <= MENDED_INSIDE;
}

bool is_mended_inside(const state &s, const ortho_gemm_call &call)
{
    return is_mended(s, call.alpha) && mends_itself(s, call.m);
}

wide_launch launch_of(const form &f, const state &s, const ortho_gemm_call &call)
{
    wide_launch l = {};
    l.w = s.w;
    l.x = static_cast<const __half *>(call.x);
    l.y = call.y;
    l.alpha = is_patched(s, call.alpha) ? call.alpha : 0.0f;
    l.tokens = static_cast<int>(call.m);
    const dealt memory = memory_of(f, s, l.alpha != 0);
    l.slots = memory.slots;
    l.sorted = memory.sorted;
    l.tiles = static_cast<int>(tiles_of(f, s, call.m));
    l.token_tiles = static_cast<int>(token_tiles_of(f, call.m));
    l.aligned = s.w.s.n % UNIT_ROWS == 0 && reinterpret_cast<uintptr_t>(call.y) % 16 == 0;
    if (is_mended_inside(s, call))
        l.mended = s.mended;
    return l;
}

/* A cluster a tile; where there are more tiles than clusters at once, and a cluster may take
 * several in turn, each linear has its part of those. */
void add_launches(const form &f, const void *const *states, const ortho_gemm_call *calls, int count,
                  wide_group *g)
{
    const int most = state_of(states, 0).multiprocessors / f.cluster;
    int64_t tiles = 0, before = 0;
    int next = 0;
    g->count = count;
    for (int i = 0; i < count; i++) {
        g->of[i] = launch_of(f, state_of(states, i), calls[i]);
        tiles += g->of[i].tiles;
    }
    for (int i = 0; i < count; i++) {
        wide_launch &l = g->of[i];
        l.mine = {next, f.one_tile || tiles <= most ? l.tiles
                                                    : part_of_group(most, before, l.tiles, tiles)};
        next += l.mine.count;
        before += l.tiles;
    }
}

constexpr int64_t WIDE_TOKENS_MOST = 65535 * 64; /* a grid's dimension */

} // namespace

bool takes_rounded(const state &s, const ortho_gemm_call &call)
{
    return call.dtype == ORTHO_F16 && s.w.s.k % 8 == 0 &&
           reinterpret_cast<uintptr_t>(call.x) % 16 == 0 &&
           (!is_patched(s, call.alpha) || s.indexed) && may_round(s.rounded, call.alpha);
}

bool takes_at_any_alpha(const state &s, int64_t m, ortho_dtype dtype,
                        bool (*takes)(const state &, const ortho_gemm_call &))
{
    ortho_gemm_call call = {};
    call.m = m;
    call.dtype = dtype;
    bool any = false;
    for (float alpha : ROUNDED_ALPHAS) {
        call.alpha = alpha;
        any = any || takes(s, call);
    }
    return any;
}

bool takes_wide(const state &s, const ortho_gemm_call &call)
{
    return s.hopper && call.m >= ROUNDED_TOKENS_LEAST && call.m <= WIDE_TOKENS_MOST &&
           takes_rounded(s, call) && can_map_x();
}

float wide_us(const state &s, int64_t m, int form)
{
    return expected_us(FORMS[form], s, tiles_of(FORMS[form], s, m));
}

int wide_form(const state &s, int64_t m)
{
    int best = 0;
    float least = wide_us(s, m, 0);
    for (int i = 1; i < WIDE_FORMS; i++) {
        const float us = wide_us(s, m, i);
        if (us < least) {
            best = i;
            least = us;
        }
    }
    return best;
}

int wide_group_form(const void *const *states, const ortho_gemm_call *calls, int count)
{
    const int64_t m = calls[0].m;
    int best = -1;
    float least = 0;
    for (int i = 0; i < count; i++)
        least += wide_us(state_of(states, i), m, ortho_fused::wide_form(state_of(states, i), m));
    for (int i = 0; i < WIDE_FORMS; i++) {
        int64_t tiles = 0;
        for (int j = 0; j < count; j++)
            tiles += tiles_of(FORMS[i], state_of(states, j), m);
        const float us = expected_us(FORMS[i], state_of(states, 0), tiles);
        if (us < least) {
            best = i;
            least = us;
        }
    }
    return best;
}

ortho_status run_wide(const void *const *states, const ortho_gemm_call *calls, int count,
                      int chosen)
{
    const form &f = FORMS[chosen];
    const state &first = state_of(states, 0);
    wide_group g = {};
    CUtensorMap map;
    if (!map_x(calls[0], first.w.s.k, calls[0].m, f.tokens / f.sharers, &map))
        return ortho_fail(ORTHO_E_DEVICE, "the driver refuses to describe x for TMA");
    add_launches(f, states, calls, count, &g);
    int memory = 0;
    for (int i = 0; i < count; i++) {
        const int bytes = f.bytes(g.of[i].slots, g.of[i].sorted);
        memory = bytes > memory ? bytes : memory;
    }
    const auto launch = [&](auto *kernel, const auto &what) {
        return launch_dependent(kernel, dim3(static_cast<unsigned>(g.clusters() * f.cluster)),
                                f.cluster, f.threads, memory, calls[0].stream, "wide_kernel", what,
                                map);
    };
    ortho_status status = count == 1 ? launch(f.pick(first.w.s.groups), wide_single{{g.of[0]}, 1})
                                     : launch(f.pick_several(first.w.s.groups), g);
    for (int i = 0; i < count && status == ORTHO_OK; i++)
        if (!is_mended_inside(state_of(states, i), calls[i]))
            status = mend(state_of(states, i), calls[i]);
    return status;
}

void wide_kernels(const state &s, int64_t m, int chosen, const ortho_kernel_sink *sink)
{
    const form &f = FORMS[chosen];
    const dealt memory = memory_of(f, s, is_patched(s, 1));
    ortho_cuda_kernel_report("wide_kernel", reinterpret_cast<const void *>(f.pick(s.w.s.groups)),
                             f.threads, static_cast<size_t>(f.bytes(memory.slots, memory.sorted)),
                             sink);
    if (!mends_itself(s, m))
        mend_kernels(s, m, sink);
}

} // namespace ortho_fused
