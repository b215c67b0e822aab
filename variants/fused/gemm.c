/*
 * fused, dual GEMM on the CPU: one pass over the weights for up to 16 tokens, Base and Ortho
 * together; linears that share x prepare it once and need one parallel region; a chain of linears
 * needs one as well (chain.c). Many tokens meet weights that are fp32 for a while (panel.c).
 *
 * One token is bound by memory: 0.5 byte a weight and 4 an entry, in the order of their use, from
 * four places at once a thread. What computes has to fit under it: 9 operations for 128 weights
 * with AVX-512 (gemm_avx512.c), 33 with AVX2. docs/KERNELS.md has what was measured.
 */
#include "common/error.h"
#include "kernels/cpu.h"
#include "variants/fused/panel.h"

#include <omp.h>

extern const ortho_gemm_hooks ortho_fused_gemm_cpu;
extern const ortho_chain_hooks ortho_fused_chain_cpu;

static const ortho_fused_level *pick_level(void)
{
#if defined(__x86_64__)
    switch (ortho_cpu_detect()) {
    case ORTHO_CPU_AVX512:
        return &ortho_fused_level_avx512;
    case ORTHO_CPU_AVX2:
        return &ortho_fused_level_avx2;
    case ORTHO_CPU_PORTABLE:
        break;
    }
#endif
    return &ortho_fused_level_portable;
}

/* A vector of entries more costs 7 cycles with each row that doesn't need it, a row that needs more
 * than usual a mispredicted branch, some 20: whatever makes these rows cheapest. */
static int usual_trips(const ortho_csr *csr)
{
    enum { MOST = 8 };
    int64_t rows[MOST + 2] = {0}, best = INT64_MAX;
    int chosen = 0;
    for (int64_t r = 0; r < csr->n; r++) {
        int64_t trips = (csr->row_ptr[r + 1] - csr->row_ptr[r] + 15) / 16;
        rows[trips <= MOST ? trips : MOST + 1]++;
    }
    for (int usual = 0; usual <= MOST; usual++) {
        int64_t cost = 0;
        for (int trips = 0; trips <= MOST + 1; trips++)
            cost += rows[trips] * (trips > usual ? 20 + 7 * trips : 7 * usual);
        if (cost < best) {
            best = cost;
            chosen = usual;
        }
    }
    return chosen;
}

static void name_device(char name[ORTHO_TUNED_DEVICE])
{
    ortho_cpu_device(name, ORTHO_TUNED_DEVICE);
}

static ortho_tuned find_tuned(const ortho_gemm_problem *problem, int threads)
{
    return ortho_tuned_find(ortho_tuned_tables, &(ortho_tuned_query){.variant = "fused",
                                                                     .backend = ORTHO_CPU,
                                                                     .threads = threads,
                                                                     .n = problem->n,
                                                                     .k = problem->k,
                                                                     .group = problem->group,
                                                                     .nnz = problem->split->nnz,
                                                                     .device = name_device});
}

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    ortho_fused_state *st = opaque;
    ortho_fused_packed packed;
    ortho_status status = ortho_fused_pack(&packed, problem->split, services);
    if (status != ORTHO_OK)
        return status;
    const ortho_fused_segment *last = packed.segment + packed.segments - 1;
    *st = (ortho_fused_state){
        .packed = packed,
        .level = pick_level(),
        .spmm = ortho_spmm_pick(),
        .dtype = problem->dtype,
        .threads = services->threads,
        .trips = usual_trips(&packed.ortho),
        .straight = last->at == last->column,
        .int8 = problem->activations == ORTHO_ACTIVATIONS_INT8,
        .tuned = find_tuned(problem, services->threads),
    };
    return ORTHO_OK;
}

static void release(void *opaque, const ortho_services *services)
{
    ortho_fused_packed_free(&((ortho_fused_state *)opaque)->packed, services);
}

static void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const ortho_fused_state *st = opaque;
    const ortho_fused_packed *p = &st->packed;
    double element = st->dtype == ORTHO_F32 ? 4 : 2, n = (double)p->n, k = (double)p->k;
    out->bytes = (double)(ortho_fused_base_bytes(p) + ortho_csr_bytes(&p->ortho)) +
                 (double)m * (n + k) * element;
    out->flops = 2 * (double)m * (n * k + (double)p->ortho.nnz);
}

static ortho_status export_split(const void *opaque, ortho_split *out,
                                 const ortho_services *services)
{
    (void)services;
    ortho_fused_unpack(&((const ortho_fused_state *)opaque)->packed, out);
    return ORTHO_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Whoever cuts a batch into pieces has one workspace for them and for the shorter last piece, which
 * may go another way and may need more: of one token each thread has its own x. */
static size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype)
{
    (void)dtype;
    const ortho_fused_state *st = opaque;
    int64_t bytes = ortho_fused_workspace(st, m);
    if (m > ORTHO_FUSED_TOKENS)
        bytes = larger(bytes, ortho_fused_workspace(st, 1));
    if (ortho_fused_takes_panels(st, m))
        bytes = larger(bytes, ortho_fused_panels_workspace(st, m));
    return (size_t)bytes;
}

/* ---- ways ----------------------------------------------------------------------------------- */

/* Weights stay packed and meet up to 16 tokens at a time; or are fp32 for a while (panel.c). */
enum { BY_ROWS = 1, BY_PANELS };
static const char *const ways[] = {"rows", "panel", NULL};

static bool can_go(const ortho_fused_state *st, int64_t m, int way)
{
    return way == BY_ROWS || (way == BY_PANELS && ortho_fused_takes_panels(st, m));
}

static int way_of(const void *opaque, const ortho_gemm_call *call)
{
    const ortho_fused_state *st = opaque;
    if (call->way != 0)
        return can_go(st, call->m, call->way) ? call->way : 0;
    int tuned = ortho_tuned_way(&st->tuned, ways, call->dtype, call->m);
    if (can_go(st, call->m, tuned))
        return tuned;
    return ortho_fused_likes_panels(st, call->m) ? BY_PANELS : BY_ROWS;
}

static ortho_status refuse(const ortho_gemm_call *call)
{
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "fused: way %d (%s) can't take %lld tokens of this layer", call->way,
                      ortho_way_name(ways, call->way), (long long)call->m);
}

/* ---- the run -------------------------------------------------------------------------------- */

static void run_tokens(const ortho_fused_worker *w)
{
    for (int64_t first = 0; first < w->call->m; first += ORTHO_FUSED_TOKENS) {
        int64_t left = w->call->m - first;
        int tokens = left < ORTHO_FUSED_TOKENS ? (int)left : ORTHO_FUSED_TOKENS;
        ortho_fused_load(w, first, tokens);
#pragma omp barrier
        ortho_fused_run(w, first, tokens);
#pragma omp barrier
    }
}

/* One thread, linears that share x: of one token it is prepared once, where it can be. */
static void run_linears(const void *const *states, const ortho_gemm_call *calls, const int *way,
                        int count)
{
    ortho_fused_worker before = {0};
    for (int i = 0; i < count; i++) {
        const ortho_fused_state *st = states[i];
        if (way[i] == BY_PANELS) {
            ortho_fused_panels_run(st, calls + i, omp_get_num_threads());
            continue;
        }
        ortho_fused_worker w = ortho_fused_worker_begin(st, calls + i, omp_get_num_threads());
        if (calls[i].m > 1) {
            run_tokens(&w);
            continue;
        }
        if (i > 0 && ortho_fused_same_x(st, before.st))
            w.x[0] = before.x[0];
        else
            ortho_fused_load(&w, 0, 1);
        ortho_fused_run(&w, 0, 1);
        before = w;
    }
}

static ortho_status run_group(const void *const *states, const ortho_gemm_call *calls, int count)
{
    int threads = calls[0].threads, way[ORTHO_GROUP_MAX];
    for (int i = 0; i < count; i++) {
        const ortho_fused_state *st = states[i];
        threads = st->threads < threads ? st->threads : threads;
        way[i] = way_of(st, calls + i);
        if (way[i] == 0)
            return refuse(calls + i);
    }
#pragma omp parallel num_threads(threads)
    run_linears(states, calls, way, count);
    return ORTHO_OK;
}

static ortho_status run(const void *state, const ortho_gemm_call *call)
{
    return run_group(&state, call, 1);
}

const ortho_gemm_hooks ortho_fused_gemm_cpu = {
    .state_size = sizeof(ortho_fused_state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .export_split = export_split,
    .run_group = run_group,
    .chain = &ortho_fused_chain_cpu,
    .int8_activations = true,
    .ways = ways,
    .way = way_of,
};
