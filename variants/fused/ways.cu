/*
 * fused on CUDA: which kernel a call is taken by. What was measured on this GPU decides
 * (variants/tuned.h); without a measurement narrow.cu takes few tokens of small linears, the
 * soonest of wide.cu, once.cu and chunks.cu what they can, batch.cu what else has enough tokens,
 * gemv.cu the rest. Where none of these can run, direct.cu takes all.
 */
#include "common/error.h"
#include "variants/fused/state.h"

#include <cuda_runtime_api.h>
#include <stdio.h>

namespace ortho_fused
{

/* A token as a vector; tokens of a tile, straight from memory, and so many blocks that split K;
 * unpacked chunks; tokens and rows of a block of once.cu and of wide.cu, and so many blocks that
 * share x or split K. */
const char *const way_names[] = {"gemv",
                                 "mma16",
                                 "mma16-direct",
                                 "mma16-k2",
                                 "mma16-k4",
                                 "cublas",
                                 "once-128x128",
                                 "once-128x192",
                                 "once-128x256",
                                 "wgmma-32x64",
                                 "wgmma-32x64-k2",
                                 "wgmma-32x64-k4",
                                 "wgmma-64x64",
                                 "wgmma-64x64-k2",
                                 "wgmma-64x64-k4",
                                 "wgmma-128x64-x2",
                                 "wgmma-128x64-k2",
                                 "wgmma-128x64-k4",
                                 "wgmma-256x64-x2",
                                 "wgmma-256x128-x2",
                                 nullptr};
static_assert(sizeof way_names / sizeof *way_names == WAY_WIDE + WIDE_FORMS, "a name each");

namespace
{

/* What gemv.cu is tried with where another could take it: it reads the weights once every 8. */
constexpr int64_t GEMV_TOKENS_MOST = 32;

bool can_go(const state &s, const ortho_gemm_call &call, int way)
{
    if (way == WAY_DIRECT)
        return takes_direct(s, call);
    if (!s.bulk)
        return false;
    if (way == WAY_GEMV)
        return call.m <= GEMV_TOKENS_MOST || !takes_batch(call.dtype, call.m);
    if (way == WAY_MMA16)
        return takes_batch(call.dtype, call.m);
    if (way >= WAY_NARROW && way < WAY_NARROW + NARROW_FORMS)
        return takes_narrow(s, call);
    if (way == WAY_CUBLAS)
        return takes_chunks(s, call);
    if (way >= WAY_ONCE && way < WAY_ONCE + ONCE_FORMS)
        return takes_once(s, call);
    return way >= WAY_WIDE && way < WAY_WIDE + WIDE_FORMS && takes_wide(s, call);
}

/* Without a table: few tokens, and so few rows that a launch lasts about as long as the chain of
 * latencies in it. */
bool is_narrow(const state &s, const ortho_gemm_call &call)
{
    constexpr int64_t TOKENS_MOST = 16, UNITS_MOST = 4; /* of a multiprocessor */
    return call.m <= TOKENS_MOST && s.w.s.units <= UNITS_MOST * s.multiprocessors &&
           takes_narrow(s, call);
}

/* The soonest of those that round weights, as they expect. Each is asked only where it takes the
 * call: most calls have few tokens, and none of them does. */
int soonest(const state &s, const ortho_gemm_call &call)
{
    int best = WAY_NONE;
    float least = 0;
    const auto offer = [&](int way, float us) {
        if (best == WAY_NONE || us < least) {
            best = way;
            least = us;
        }
    };
    if (takes_wide(s, call)) {
        const int form = wide_form(s, call.m);
        offer(WAY_WIDE + form, wide_us(s, call.m, form));
    }
    if (takes_once(s, call)) {
        const int form = once_form_of(s, call.m);
        offer(WAY_ONCE + form, once_us(s, call.m, form));
    }
    if (takes_chunks(s, call))
        offer(WAY_CUBLAS, chunks_us(s, call.m));
    return best;
}

void name_device(char name[ORTHO_TUNED_DEVICE])
{
    int device = 0;
    cudaDeviceProp properties;
    name[0] = '\0';
    if (cudaGetDevice(&device) == cudaSuccess &&
        cudaGetDeviceProperties(&properties, device) == cudaSuccess)
        snprintf(name, ORTHO_TUNED_DEVICE, "%.127s", properties.name);
    else
        (void)cudaGetLastError(); /* or the next launch would be blamed for it */
}

} // namespace

int way_of(const state &s, const ortho_gemm_call &call)
{
    if (call.way != WAY_NONE)
        return can_go(s, call, call.way) ? call.way : WAY_NONE;
    const int tuned = ortho_tuned_way(&s.tuned, way_names, call.dtype, call.m);
    if (can_go(s, call, tuned))
        return tuned;
    if (!s.bulk)
        return WAY_DIRECT;
    if (is_narrow(s, call))
        return WAY_NARROW + narrow_form(s);
    const int rounded = soonest(s, call);
    if (rounded != WAY_NONE)
        return rounded;
    return takes_batch(call.dtype, call.m) ? WAY_MMA16 : WAY_GEMV;
}

int way_of_call(const void *opaque, const ortho_gemm_call *call)
{
    return way_of(*static_cast<const state *>(opaque), *call);
}

int usual_way(const state &s, int64_t m)
{
    ortho_gemm_call call = {};
    call.m = m;
    call.alpha = 1.0f;
    call.dtype = s.dtype;
    return way_of(s, call);
}

ortho_status refuse_way(const ortho_gemm_call &call)
{
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "fused: way %d (%s) can't take %lld tokens of this layer", call.way,
                      ortho_way_name(way_names, call.way), static_cast<long long>(call.m));
}

ortho_tuned find_tuned(const ortho_split *split)
{
    ortho_tuned_query query = {};
    query.variant = "fused";
    query.backend = ORTHO_CUDA;
    query.n = split->n;
    query.k = split->k;
    query.group = split->group;
    query.nnz = split->nnz;
    query.device = name_device;
    return ortho_tuned_find(ortho_tuned_tables, &query);
}

} // namespace ortho_fused
