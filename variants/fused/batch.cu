/*
 * fused on CUDA, 9 tokens and more: y = x * (Base + alpha * Ortho)^T, of one linear or of several
 * that share x, over the packed form that one token is served from.
 *
 * A block a multiprocessor and 16 tokens; block i has part i of each linear. A block owns all
 * of its rows' columns, so that nothing is added across blocks. Like the kernel of few tokens it is
 * a programmatic dependent of the launch before it.
 *
 * Expected to limit it: up to 16 tokens the memory, and the time that x takes from the L2 into
 * every multiprocessor; beyond, mma.
 */
#include "common/dtype.h"
#include "kernels/cuda/base_gemm.h"
#include "variants/fused/batch.cuh"
#include "variants/fused/dependent.cuh"

namespace ortho_fused
{

namespace
{

typedef void batch_fn(const launch, const batch_plan);

template <typename A> batch_fn *pick_groups(int groups)
{
    return groups == 1 ? batch_kernel<A, 1> : groups == 2 ? batch_kernel<A, 2> : batch_kernel<A, 4>;
}

/* The units of the round with the most of them, in the largest part. */
int round_most(const launch &l)
{
    int most = 0;
    for (int i = 0; i < l.count; i += l.jobs[i].round) {
        int units = 0;
        for (int j = 0; j < l.jobs[i].round; j++)
            units += l.jobs[i + j].w.s.units_of(0);
        most = units > most ? units : most;
    }
    return smaller(most, BATCH_UNITS);
}

int batch_bytes(const launch &l, const batch_plan &p)
{
    return BATCH_ORTHO * l.bundle_slots * BUNDLE_BYTES + p.x_bytes + p.units * UNIT_SUMS_BYTES +
           ring_bytes(l.slots, l.slot_bytes);
}

/* 1 KiB is static. */
constexpr int BATCH_MOST = BLOCK_MOST - 1024, BATCH_SLOTS_LEAST = 2, BATCH_SLOTS_MOST = 8;

/* As many columns of x as there is room for beside a short ring; the rest is the ring's. */
batch_plan make_plan(launch *l)
{
    const shape &s = l->jobs[0].w.s;
    bool patched = false;
    for (int i = 0; i < l->count; i++)
        patched = patched || l->jobs[i].alpha != 0;
    batch_plan p = {smaller(s.panel_images(0, 0), BATCH_IMAGES * SET_WARPS), round_most(*l), 0,
                    false, patched};
    l->bundle_slots = BUNDLE_SLOTS_FEW;
    l->slots = BATCH_SLOTS_LEAST;
    for (;; p.chunk = (p.chunk - 1) / SET_WARPS * SET_WARPS) {
        p.x_bytes = p.chunk * IMAGE_TILE_BYTES;
        l->slot_bytes = (p.chunk * s.image_bytes() + 127) / 128 * 128;
        if (p.chunk <= SET_WARPS || batch_bytes(*l, p) <= BATCH_MOST)
            break;
    }
    p.all = p.chunk >= s.images;
    const int room = BATCH_MOST - batch_bytes(*l, p);
    l->slots += smaller(room / ring_bytes(1, l->slot_bytes), BATCH_SLOTS_MOST - BATCH_SLOTS_LEAST);
    l->flight = smaller(l->slots, 3);
    return p;
}

/* Linears of a round have their sums side by side, which leaves less room for x. Where it then
 * comes in several chunks, whose entries are each time gone through, and else in one, they are
 * taken one after the other. */
batch_plan plan_rounds(launch *l)
{
    const batch_plan together = make_plan(l);
    if (together.all || l->jobs[0].w.s.images > BATCH_IMAGES * SET_WARPS)
        return together;
    int rounds[ORTHO_GROUP_MAX];
    for (int i = 0; i < l->count; i++) {
        rounds[i] = l->jobs[i].round;
        l->jobs[i].round = 1;
    }
    const batch_plan apart = make_plan(l);
    if (apart.all)
        return apart;
    for (int i = 0; i < l->count; i++)
        l->jobs[i].round = rounds[i];
    return make_plan(l);
}

struct choice {
    batch_plan plan;
    batch_fn *kernel;
    int memory;
};

choice choose(launch *l, ortho_dtype dtype)
{
    const int groups = l->jobs[0].w.s.groups;
    choice c = {plan_rounds(l),
                dtype == ORTHO_F16 ? pick_groups<half_activations>(groups)
                                   : pick_groups<bfloat_activations>(groups),
                0};
    c.memory = batch_bytes(*l, c.plan);
    return c;
}

ortho_status enqueue(launch *l, ortho_dtype dtype, void *stream)
{
    const choice c = choose(l, dtype);
    const dim3 grid(static_cast<unsigned>(l->blocks),
                    static_cast<unsigned>((l->tokens + TILE_TOKENS - 1) / TILE_TOKENS));
    return launch_dependent(c.kernel, grid, 1, BATCH_THREADS, c.memory, stream, "batch_kernel", *l,
                            c.plan);
}

constexpr int64_t TOKENS_LEAST = 9, TOKENS_A_LAUNCH = 32768; /* a grid dimension ends at 65,535 */

} // namespace

bool takes_batch(ortho_dtype dtype, int64_t m)
{
    return m >= TOKENS_LEAST && (dtype == ORTHO_F16 || dtype == ORTHO_BF16);
}

ortho_status run_batch(const void *const *states, const ortho_gemm_call *calls, int count)
{
    const ortho_dtype dtype = calls[0].dtype;
    const size_t element = ortho_dtype_bytes(dtype);
    const int64_t k = static_cast<const state *>(states[0])->w.s.k, m = calls[0].m;
    launch l = {};
    add_jobs(&l, states, calls, count);
    ortho_status status = ORTHO_OK;
    for (int64_t t = 0; t < m && status == ORTHO_OK; t += TOKENS_A_LAUNCH) {
        l.x = static_cast<const char *>(calls[0].x) + static_cast<size_t>(t * k) * element;
        l.tokens = static_cast<int>(m - t < TOKENS_A_LAUNCH ? m - t : TOKENS_A_LAUNCH);
        for (int i = 0; i < count; i++)
            l.jobs[i].y = static_cast<char *>(calls[i].y) +
                          static_cast<size_t>(t * l.jobs[i].w.s.n) * element;
        status = enqueue(&l, dtype, calls[0].stream);
    }
    return status;
}

void batch_kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    const state *s = static_cast<const state *>(opaque);
    ortho_gemm_call call = {};
    launch l = {};
    call.alpha = 1.0f;
    add_jobs(&l, &opaque, &call, 1);
    l.tokens = static_cast<int>(m < TOKENS_A_LAUNCH ? m : TOKENS_A_LAUNCH);
    const choice c = choose(&l, s->dtype);
    ortho_cuda_kernel_report("batch_kernel", reinterpret_cast<const void *>(c.kernel),
                             BATCH_THREADS, static_cast<size_t>(c.memory), sink);
}

} // namespace ortho_fused
