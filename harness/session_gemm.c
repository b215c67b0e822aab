/*
 * A group of GEMM cases: every variant over one split and one batch. Each variant gets as many
 * copies (state, x, y, workspace) as a cold rotation needs. Verification happens on what was
 * computed: before timing each copy's first launch, after timing each copy's last one, as the timed
 * loop left it; outputs are poisoned in between.
 */
#include "harness/session_observe.h"
#include "harness/ways.h"

#include "common/dtype.h"
#include "common/error.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FENCE = 1024, VARIANT_FENCE = 64 };

typedef struct group group;

typedef struct gemm {
    group *g;
    ob_lane *lane;
    ob_copier copier;
    ob_memory bench;
    ob_copy *copies;
    int64_t made;
    size_t weights, workspace;
} gemm;

struct group {
    ob_session *s;
    ob_operands operands;
    int count;
    ob_lane *lanes;
    gemm *gemms;
};

static ortho_status launch(void *ctx, int64_t i)
{
    gemm *e = ctx;
    return ob_copy_run(&e->copier, &e->copies[i % e->made], e->g->operands.m);
}

/* ---- verification
 * -------------------------------------------------------------------------------- */

static ortho_status check_copy(gemm *e, int64_t index)
{
    return ob_copy_check(&e->copier, &e->g->operands, &e->copies[index], &e->lane->verdict);
}

static ortho_status check_fences(gemm *e)
{
    ortho_status status = ob_memory_check(&e->bench);
    return status == ORTHO_OK ? ob_memory_check(&e->lane->memory) : status;
}

static const char *pass_word(const gemm *e)
{
    return e->copier.hooks->computes == ORTHO_COMPUTES_NOTHING ? "n/a" : "pass";
}

static void fail_before(gemm *e)
{
    e->lane->before = "fail";
    ob_lane_fail(e->lane, ortho_last_message());
}

/* One launch on one copy and its verdict. The first copy's launch is timed, to plan the rotation:
 * the least of several where it is short, since the first one meets pages and threads that aren't
 * there yet, and any may meet a busy neighbour. */
static ortho_status first_launch(gemm *e, int64_t index)
{
    double ns = 0, total = 0, least = INFINITY;
    ob_expect_message();
    ortho_status status = ob_lane_launch(e->lane, index, &ns);
    if (status == ORTHO_OK && index == 0) /* what is right only the second time isn't right */
        status = check_copy(e, index);
    /* On a GPU the very first launch loads modules, and a library sets itself up: it isn't timed.
     */
    for (int i = e->g->s->backend->replays ? -1 : 0; status == ORTHO_OK && index == 0; i++) {
        total += i >= 0 ? ns : 0;
        least = i >= 0 ? fmin(least, ns) : least;
        if (i == OB_AGAIN || total >= OB_AGAIN_NS)
            break;
        status = e->g->s->backend->fill(e->copies[0].y, 0xff, e->g->operands.y_bytes);
        if (status == ORTHO_OK)
            status = ob_lane_launch(e->lane, index, &ns);
    }
    if (index == 0)
        e->lane->first_ns = least;
    return status == ORTHO_OK ? check_copy(e, index) : status;
}

/* ---- phases
 * -------------------------------------------------------------------------------------- */

static bool supported(gemm *e)
{
    ortho_status status = ob_copier_supports(&e->copier, e->lane->c->variant, &e->g->operands);
    if (status == ORTHO_E_UNSUPPORTED)
        ob_lane_skip(e->lane, ortho_last_message());
    else if (status != ORTHO_OK)
        ob_lane_fail(e->lane, ortho_last_message());
    return status == ORTHO_OK;
}

static bool first_copy(gemm *e)
{
    e->copies = calloc(1, sizeof *e->copies);
    ortho_status status = e->copies != NULL
                              ? ob_copy_make(&e->copier, &e->g->operands, &e->copies[0])
                              : ORTHO_E_MEMORY;
    e->made = e->copies != NULL;
    if (status == ORTHO_E_UNSUPPORTED)
        ob_lane_skip(e->lane, ortho_last_message());
    else if (status != ORTHO_OK)
        ob_lane_fail(e->lane, ortho_last_message());
    e->weights = e->lane->memory.current[ORTHO_WEIGHTS];
    e->workspace = e->copies != NULL ? e->copies[0].workspace_bytes : 0;
    return status == ORTHO_OK;
}

/* Whether the way that is asked for can take the calls; in the row: is it the variant's choice? */
static bool can_go(gemm *e)
{
    char reason[128];
    const ob_case *c = e->lane->c;
    if (c->way == 0)
        return true;
    ortho_gemm_call call = ob_copy_call(&e->copier, &e->copies[0], e->g->operands.m);
    const bool can = e->copier.hooks->way(e->copies[0].state, &call) == c->way;
    call.way = 0;
    const bool usual = e->copier.hooks->way(e->copies[0].state, &call) == c->way;
    ob_row_way_set(e->lane->row, c->variant->gemm->ways[c->way - 1], usual);
    if (!can) {
        snprintf(reason, sizeof reason, "%s can't take %lld tokens this way", c->variant->name,
                 (long long)call.m);
        ob_lane_skip(e->lane, reason);
    } else if (!usual && !ob_way_is_asked_for(e->g->s->options->only_ways,
                                              c->variant->gemm->ways[c->way - 1])) {
        ob_lane_skip(e->lane, "not among --ways");
        return false;
    }
    return can;
}

/* The other copies that the rotation wants, each verified. */
static ortho_status other_copies(gemm *e)
{
    ob_lane *lane = e->lane;
    ob_copy *grown = realloc(e->copies, (size_t)lane->copies * sizeof *grown);
    if (grown == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld copies", (long long)lane->copies);
    e->copies = grown;
    double start = ob_timer_now();
    while (e->made < lane->copies && !ob_lane_late(lane, start, e->made)) {
        if (ob_session_interrupted())
            return ORTHO_E_CANCELLED;
        ob_copy *c = &e->copies[e->made++];
        *c = (ob_copy){0};
        ortho_status status = ob_copy_make(&e->copier, &e->g->operands, c);
        if (status == ORTHO_OK)
            status = first_launch(e, e->made - 1);
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

static void prepare_lane(gemm *e)
{
    group *g = e->g;
    ob_lane *lane = e->lane;
    size_t before = ob_device_mark(g->s);
    if (!supported(e) || !first_copy(e) || !can_go(e))
        return;
    ortho_status status = first_launch(e, 0);
    ob_device_since(lane, before);
    if (status == ORTHO_OK && lane->first_ns > g->s->options->case_timeout * 1e9) {
        char reason[160];
        snprintf(reason, sizeof reason, "one launch takes %.3g s, more than the case timeout",
                 lane->first_ns * 1e-9);
        ob_lane_skip(lane, reason);
        return;
    }
    size_t touched = e->weights; /* what a workspace touches of itself nobody knows */
    if (e->weights > 0 || e->copier.hooks->computes != ORTHO_COMPUTES_NOTHING)
        touched += g->operands.x_bytes + g->operands.y_bytes;
    if (status == ORTHO_OK) {
        if (ob_session_rotates(g->s))
            ob_lane_rotate(lane, (double)touched, g->s->memory_budget / (size_t)g->count);
        status = other_copies(e);
        lane->loop.copies = e->made;
    }
    if (status == ORTHO_OK)
        status = check_fences(e);
    if (status == ORTHO_E_CANCELLED)
        ob_lane_skip(lane, "interrupted");
    else if (status != ORTHO_OK)
        fail_before(e);
    else
        lane->before = pass_word(e);
}

static void poison(gemm *e)
{
    for (int64_t i = 0; i < e->made; i++)
        e->g->s->backend->fill(e->copies[i].y, 0xff, e->g->operands.y_bytes);
    e->lane->cursor = 0;
}

/* Every copy as the timed loop left it; copies that it never reached are launched now. */
static void verify_after(gemm *e)
{
    ob_lane *lane = e->lane;
    ortho_status status = lane->sampler.status;
    if (status != ORTHO_OK) {
        ob_lane_fail(lane, lane->sampler.message);
        return;
    }
    int64_t reached = lane->cursor < e->made ? lane->cursor : e->made;
    for (int64_t i = 0; status == ORTHO_OK && i < e->made; i++)
        status = i < reached ? check_copy(e, i) : first_launch(e, i);
    if (status == ORTHO_OK)
        status = check_fences(e);
    lane->after = status == ORTHO_OK ? pass_word(e) : "fail";
    if (status != ORTHO_OK)
        ob_lane_fail(lane, ortho_last_message());
}

/* ---- what else is known of a lane
 * ---------------------------------------------------------------- */

static void count_cost(gemm *e)
{
    const ob_operands *o = &e->g->operands;
    e->lane->cost = ob_copy_cost(&e->copier, o, &e->copies[0], e->weights);
    if (e->g->s->tensor > 0 && o->dtype != ORTHO_F32)
        e->lane->tensor_ns = 2.0 * (double)o->m * (double)o->n * (double)o->k / e->g->s->tensor;
}

static void describe(gemm *e, int blob)
{
    group *g = e->g;
    const ob_operands *o = &g->operands;
    const ob_case *c = e->lane->c;
    size_t peaks[3] = {[ORTHO_WEIGHTS] = e->weights, [ORTHO_WORKING] = e->workspace}, host = 0;
    ob_memory_job job = {.plugin = c->plugin,
                         .variant = c->variant->name,
                         .backend = c->variant->backend,
                         .n = o->n,
                         .k = o->k,
                         .m = o->m,
                         .nnz = o->nnz,
                         .group = o->group,
                         .problem_group = c->group,
                         .dtype = o->dtype,
                         .w_dtype = o->work->w.dtype,
                         .rule = g->s->options->rule,
                         .alpha = g->s->options->alpha,
                         .density = c->density,
                         .threads = g->s->threads,
                         .blob = blob,
                         .hessian = o->work->hessian != NULL,
                         .activations = c->activations};
    if (blob >= 0 && ob_memory_measure(&job, &host) != ORTHO_OK)
        ob_say_note(g->s, "%s: no peak of resident memory: %s", c->key, ortho_last_message());
    ob_row_peaks_set(e->lane->row, peaks, host, e->lane->device_peak);
    if (e->copier.hooks->kernels != NULL) {
        ortho_kernel_sink kernels = ob_row_kernels(e->lane->row);
        e->copier.hooks->kernels(e->copies[0].state, o->m, &kernels);
    }
    if (e->copier.hooks->lanes != NULL) {
        ob_divergence d = {{0}};
        ortho_lane_sink sink = ob_divergence_sink(&d);
        e->copier.hooks->lanes(o->split, o->m, &sink);
        ob_row_divergence_set(e->lane->row, &d);
    }
}

static ortho_status open_group(group *g, const ob_case *cases)
{
    g->lanes = calloc((size_t)g->count, sizeof *g->lanes);
    g->gemms = calloc((size_t)g->count, sizeof *g->gemms);
    if (g->lanes == NULL || g->gemms == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a group of cases");
    for (int i = 0; i < g->count; i++) {
        gemm *e = &g->gemms[i];
        ob_lane_open(g->s, &cases[i], VARIANT_FENCE, &g->lanes[i]);
        e->g = g;
        e->lane = &g->lanes[i];
        e->lane->loop = (ob_launches){.ctx = e, .launch = launch, .copies = 1};
        ob_memory_init(&e->bench, g->s->backend, ob_session_fence(g->s, FENCE));
        e->bench.account = &g->s->account;
        e->copier = (ob_copier){.session = g->s,
                                .hooks = cases[i].variant->gemm,
                                .bench = &e->bench,
                                .services = ob_session_services(g->s, &e->lane->memory),
                                .activations = cases[i].activations,
                                .way = cases[i].way};
    }
    return ORTHO_OK;
}

/* Latest first: that is the order in which blocks are found at once. */
static void close_group(group *g)
{
    for (int i = 0; g->gemms != NULL && i < g->count; i++) {
        gemm *e = &g->gemms[i];
        if (e->lane == NULL)
            continue;
        for (int64_t c = e->made; c-- > 0;)
            ob_copy_release(&e->copier, &e->copies[c]);
        free(e->copies);
        ob_memory_close(&e->bench);
    }
    if (g->lanes != NULL)
        ob_group_finish(g->s, g->lanes, g->count);
    ob_operands_close(&g->operands);
    free(g->gemms);
    free(g->lanes);
}

/* Before a lane is refused for beating the ceiling, the ceiling is measured once more. */
static void recheck_ceiling(const group *g)
{
    for (int i = 0; i < g->count; i++)
        if (ob_lane_beats(&g->lanes[i], g->s->read)) {
            ob_say_note(g->s, "%s beats the read ceiling: measuring that again",
                        g->lanes[i].c->key);
            if (ob_ceilings_calibrate(g->s) != ORTHO_OK)
                ob_say_note(g->s, "%s", ortho_last_message());
            return;
        }
}

static void report(group *g, int blob)
{
    for (int i = 0; i < g->count; i++)
        if (!g->lanes[i].out)
            count_cost(&g->gemms[i]);
    ob_group_ceiling(g->lanes, g->count, &g->s->read);
    recheck_ceiling(g);
    for (int i = 0; i < g->count; i++)
        if (!g->lanes[i].out)
            ob_lane_floor(&g->lanes[i], g->s->read);
    ob_group_report(g->s, g->lanes, g->count);
    for (int i = 0; i < g->count; i++)
        if (!g->lanes[i].out)
            describe(&g->gemms[i], blob);
}

ortho_status ob_gemm_group(ob_session *s, const ob_work *work, const ortho_split *split, int blob,
                           const ob_case *cases, int count)
{
    group g = {.s = s, .count = count};
    ortho_status status = ob_operands_open(s, work, split, cases[0].m, &g.operands);
    if (status == ORTHO_OK)
        status = open_group(&g, cases);
    for (int i = 0; status == ORTHO_OK && i < count; i++) {
        ob_phase_begin(s, i, &g.lanes[i], "verify");
        if (ob_session_interrupted())
            ob_lane_skip(&g.lanes[i], "interrupted");
        else
            prepare_lane(&g.gemms[i]);
        ob_phase_end();
    }
    for (int i = 0; status == ORTHO_OK && i < count; i++)
        if (!g.lanes[i].out)
            poison(&g.gemms[i]);
    if (status == ORTHO_OK)
        ob_group_work(s, g.lanes, count);
    for (int i = 0; status == ORTHO_OK && i < count; i++)
        if (!g.lanes[i].out) {
            ob_phase_begin(s, i, &g.lanes[i], "verify again");
            verify_after(&g.gemms[i]);
            ob_phase_end();
        }
    if (status == ORTHO_OK)
        report(&g, blob);
    close_group(&g);
    return status;
}
