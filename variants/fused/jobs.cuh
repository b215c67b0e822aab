/* jobs.cuh: what a launch over one x is told, whatever its kernel. */
#ifndef ORTHO_VARIANTS_FUSED_JOBS_CUH
#define ORTHO_VARIANTS_FUSED_JOBS_CUH

#include "variants/fused/rounds.h"
#include "variants/fused/state.h"

namespace ortho_fused
{

namespace
{

/* Of a warp of Ortho. Where a group of 128 weights has less than an entry on average the short ring
 * does, and what the long one adds is better spent on a slot of Base. */
constexpr int BUNDLE_SLOTS_FEW = 2, BUNDLE_SLOTS = 4, WEIGHTS_PER_ENTRY_FEW = 128;

/* A linear of a launch. */
struct job {
    linear w;
    void *y;     /* [tokens, n] */
    float alpha; /* 0 also where there are no entries */
    int turn;    /* block i has part i + turn */
    int round;   /* linears of the round that begins here; 0 within one */
};

struct launch {
    job jobs[ORTHO_GROUP_MAX];
    const void *x; /* [tokens, k] */
    int count, blocks, tokens;
    int slots, slot_bytes, flight;
    int bundle_slots; /* of a warp of Ortho: what entries ask for; after size_ring what they get */
};

/* Of a launch whose alpha isn't 0 for `entries` of its weights. */
inline int bundle_slots(int64_t entries, int64_t weights)
{
    return entries > weights / WEIGHTS_PER_ENTRY_FEW ? BUNDLE_SLOTS : BUNDLE_SLOTS_FEW;
}

/* The linears of a launch; the parts of each are turned by the remainders of those before it, so
 * that the units too many don't all meet in the first blocks. */
inline void add_jobs(launch *l, const void *const *states, const ortho_gemm_call *calls, int count)
{
    int turn = 0, units[ORTHO_GROUP_MAX], sizes[ORTHO_GROUP_MAX];
    int64_t entries = 0, weights = 0;
    for (int i = 0; i < count; i++) {
        const state *s = static_cast<const state *>(states[i]);
        l->jobs[i].w = s->w;
        l->jobs[i].alpha = s->nnz > 0 ? calls[i].alpha : 0.0f;
        l->jobs[i].turn = turn;
        entries += l->jobs[i].alpha != 0 ? s->nnz : 0;
        weights += s->w.s.n * s->w.s.k;
        l->blocks = s->w.s.parts > l->blocks ? s->w.s.parts : l->blocks;
        units[i] = s->w.s.units_of(0);
        turn += s->w.s.extra;
    }
    mark_rounds(units, count, sizes);
    for (int i = 0; i < count; i++) {
        l->jobs[i].turn %= l->blocks;
        l->jobs[i].round = sizes[i];
    }
    l->count = count;
    l->bundle_slots = bundle_slots(entries, weights);
}

} // namespace

} // namespace ortho_fused

#endif
