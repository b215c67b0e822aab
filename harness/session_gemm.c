/*
 * A group of GEMM cases: every variant over one split and one batch. Each variant gets as many
 * copies (state, x, y, workspace) as a cold rotation needs. Verification happens on what was
 * computed: before timing each copy's first launch, after timing each copy's last one, as the timed
 * loop left it; outputs are poisoned in between.
 */
#include "harness/session_internal.h"

#include "common/dtype.h"
#include "common/error.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FENCE = 1024, VARIANT_FENCE = 64 };

typedef struct copy {
    void *state, *x, *y, *workspace;
    bool prepared;
} copy;

typedef struct group group;

typedef struct gemm {
    group *g;
    ob_lane *lane;
    const ortho_gemm_hooks *hooks;
    copy *copies;
    int64_t made, next;
    ob_memory bench; /* what the harness lends: state, x, y, workspace */
    ortho_services services;
    size_t weights, workspace;
    ortho_gemm_call call; /* of the timed loop */
} gemm;

struct group {
    ob_session *s;
    const ob_work *work;
    const ortho_split *split;
    int64_t n, k, m;
    ortho_dtype dtype;
    size_t x_bytes, y_bytes;
    void *x;                /* the activations, host */
    void *host, *back;      /* for the y and the x that come back */
    ob_gemm_truth truth[2]; /* by ortho_computes: SPLIT, UNSPLIT; made at the first need */
    int count;
    ob_lane *lanes;
    gemm *gemms;
};

static ortho_gemm_problem problem_of(const group *g)
{
    return (ortho_gemm_problem){.n = g->n,
                                .k = g->k,
                                .m = g->m,
                                .nnz = g->split->nnz,
                                .group = g->split->group,
                                .dtype = g->dtype};
}

/* ---- copies ------------------------------------------------------------------------------------
 */

static void release_copy(gemm *e, copy *c)
{
    if (c->prepared)
        e->hooks->release(c->state, &e->services);
    ob_memory_free(&e->bench, c->workspace);
    ob_memory_free(&e->bench, c->y);
    ob_memory_free(&e->bench, c->x);
    ob_memory_free(&e->bench, c->state);
    *c = (copy){0};
}

static ortho_status make_copy(gemm *e, copy *c)
{
    const group *g = e->g;
    const ob_backend *b = g->s->backend;
    ortho_gemm_problem p = problem_of(g);
    p.split = g->split;
    p.w = &g->work->w;
    c->state = ob_memory_alloc(&e->bench, e->hooks->state_size, ORTHO_HOST, ORTHO_WORKING);
    if (c->state == NULL)
        return ORTHO_E_MEMORY;
    memset(c->state, 0, e->hooks->state_size);
    ortho_status status = e->hooks->prepare(c->state, &p, &e->services);
    if (status != ORTHO_OK)
        return status;
    c->prepared = true;
    e->workspace = e->hooks->workspace != NULL ? e->hooks->workspace(c->state, g->m) : 0;
    c->x = ob_memory_alloc(&e->bench, g->x_bytes, b->space, ORTHO_WORKING);
    c->y = ob_memory_alloc(&e->bench, g->y_bytes, b->space, ORTHO_WORKING);
    c->workspace = ob_memory_alloc(&e->bench, e->workspace, b->space, ORTHO_WORKING);
    if (c->x == NULL || c->y == NULL || c->workspace == NULL)
        return ORTHO_E_MEMORY;
    status = b->upload(c->x, g->x, g->x_bytes);
    return status == ORTHO_OK ? b->fill(c->y, 0xff, g->y_bytes) : status;
}

static ortho_status launch(void *ctx, int64_t i)
{
    gemm *e = ctx;
    const copy *c = &e->copies[e->next];
    (void)i;
    e->next = e->next + 1 == e->made ? 0 : e->next + 1;
    e->call.x = c->x;
    e->call.y = c->y;
    e->call.workspace = c->workspace;
    return e->hooks->run(c->state, &e->call);
}

/* ---- verification
 * -------------------------------------------------------------------------------- */

static ortho_status truth_of(group *g, ortho_computes computes, const ob_gemm_truth **out)
{
    ob_gemm_truth *t = &g->truth[computes];
    ob_gemm_inputs in = {.split = g->split,
                         .w = computes == ORTHO_COMPUTES_UNSPLIT ? &g->work->w : NULL,
                         .x = g->x,
                         .dtype = g->dtype,
                         .m = g->m,
                         .alpha = (float)g->s->options->alpha,
                         .threads = g->s->threads,
                         .seed = g->s->options->seed};
    ortho_status status = t->y == NULL ? ob_gemm_truth_make(&in, t) : ORTHO_OK;
    *out = t;
    return status;
}

static ortho_status check_input(const group *g, const copy *c)
{
    ortho_status status = g->s->backend->download(g->back, c->x, g->x_bytes);
    if (status == ORTHO_OK && memcmp(g->back, g->x, g->x_bytes) != 0)
        status = ortho_fail(ORTHO_E_WRONG, "it changed its input x");
    return status;
}

/* What a copy holds now: that x is as it was, and its y. */
static ortho_status check_copy(gemm *e, const copy *c)
{
    group *g = e->g;
    const ob_gemm_truth *truth;
    ortho_status status = check_input(g, c);
    if (status == ORTHO_OK)
        status = g->s->backend->download(g->host, c->y, g->y_bytes);
    if (status != ORTHO_OK)
        return status;
    if (e->hooks->computes == ORTHO_COMPUTES_NOTHING)
        return ob_poison_verify(g->host, g->y_bytes, &e->lane->verdict);
    status = truth_of(g, e->hooks->computes, &truth);
    return status == ORTHO_OK ? ob_gemm_verify(truth, g->host, &e->lane->verdict) : status;
}

static ortho_status check_fences(gemm *e)
{
    ortho_status status = ob_memory_check(&e->bench);
    return status == ORTHO_OK ? ob_memory_check(&e->lane->memory) : status;
}

static const char *pass_word(const gemm *e)
{
    return e->hooks->computes == ORTHO_COMPUTES_NOTHING ? "n/a" : "pass";
}

static void fail_before(gemm *e)
{
    e->lane->before = "fail";
    ob_lane_fail(e->lane, ortho_last_message());
}

static ortho_status launch_one(gemm *e, int64_t index, double *ns)
{
    ob_session *s = e->g->s;
    e->next = index;
    return s->backend->time(&s->timer, &e->lane->loop, 0, 1, ns);
}

/* One launch on one copy and its verdict. The first copy's launch is timed, to plan the rotation:
 * the least of several where it is short, since the first one meets pages and threads that aren't
 * there yet, and any may meet a busy neighbour. */
static ortho_status first_launch(gemm *e, int64_t index)
{
    double ns = 0, total = 0, least = INFINITY;
    ob_expect_message();
    ortho_status status = launch_one(e, index, &ns);
    for (int i = 0; status == ORTHO_OK && index == 0; i++) {
        total += ns;
        least = fmin(least, ns);
        if (i == OB_AGAIN || total >= OB_AGAIN_NS)
            break;
        status = e->g->s->backend->fill(e->copies[0].y, 0xff, e->g->y_bytes);
        if (status == ORTHO_OK)
            status = launch_one(e, index, &ns);
    }
    if (index == 0)
        e->lane->first_ns = least;
    return status == ORTHO_OK ? check_copy(e, &e->copies[index]) : status;
}

/* ---- phases
 * -------------------------------------------------------------------------------------- */

static bool supported(gemm *e)
{
    ortho_gemm_problem p = problem_of(e->g);
    ortho_status status =
        e->hooks->supports != NULL ? e->hooks->supports(&p, &e->services) : ORTHO_OK;
    if (status == ORTHO_E_UNSUPPORTED)
        ob_lane_skip(e->lane, ortho_last_message());
    else if (status != ORTHO_OK)
        ob_lane_fail(e->lane, ortho_last_message());
    return status == ORTHO_OK;
}

static bool first_copy(gemm *e)
{
    e->copies = calloc(1, sizeof *e->copies);
    ortho_status status = e->copies != NULL ? make_copy(e, &e->copies[0]) : ORTHO_E_MEMORY;
    e->made = e->copies != NULL;
    if (status == ORTHO_E_UNSUPPORTED)
        ob_lane_skip(e->lane, ortho_last_message());
    else if (status != ORTHO_OK)
        ob_lane_fail(e->lane, ortho_last_message());
    e->weights = e->lane->memory.current[ORTHO_WEIGHTS];
    return status == ORTHO_OK;
}

/* The other copies that the rotation wants, each verified. */
static ortho_status other_copies(gemm *e)
{
    ob_lane *lane = e->lane;
    copy *grown = realloc(e->copies, (size_t)lane->copies * sizeof *grown);
    if (grown == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld copies", (long long)lane->copies);
    e->copies = grown;
    double start = ob_timer_now();
    while (e->made < lane->copies && !ob_lane_late(lane, start, e->made)) {
        if (ob_interrupted())
            return ORTHO_E_CANCELLED;
        copy *c = &e->copies[e->made++];
        *c = (copy){0};
        ortho_status status = make_copy(e, c);
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
    if (!supported(e) || !first_copy(e))
        return;
    ortho_status status = first_launch(e, 0);
    if (status == ORTHO_OK && lane->first_ns > g->s->options->case_timeout * 1e9) {
        char reason[160];
        snprintf(reason, sizeof reason, "one launch takes %.3g s, more than the case timeout",
                 lane->first_ns * 1e-9);
        ob_lane_skip(lane, reason);
        return;
    }
    size_t touched = e->weights + e->workspace;
    if (e->weights > 0 || e->hooks->computes != ORTHO_COMPUTES_NOTHING)
        touched += g->x_bytes + g->y_bytes;
    if (status == ORTHO_OK) {
        if (!g->s->options->verify_only)
            ob_lane_rotate(lane, (double)touched, g->s->memory_budget / (size_t)g->count);
        status = other_copies(e);
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
        e->g->s->backend->fill(e->copies[i].y, 0xff, e->g->y_bytes);
    e->next = 0;
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
        status = i < reached ? check_copy(e, &e->copies[i]) : first_launch(e, i);
    if (status == ORTHO_OK)
        status = check_fences(e);
    lane->after = status == ORTHO_OK ? pass_word(e) : "fail";
    if (status != ORTHO_OK)
        ob_lane_fail(lane, ortho_last_message());
}

/* ---- what else is known of a lane
 * ---------------------------------------------------------------- */

static ortho_cost cost_of(const gemm *e)
{
    const group *g = e->g;
    ortho_cost cost = {.bytes = (double)(e->weights + g->x_bytes + g->y_bytes),
                       .flops = 2.0 * (double)g->m *
                                ((double)g->n * (double)g->k + (double)g->split->nnz)};
    if (e->hooks->cost != NULL)
        e->hooks->cost(e->copies[0].state, g->m, &cost);
    return cost;
}

static void describe(gemm *e, int blob)
{
    group *g = e->g;
    const ob_case *c = e->lane->c;
    size_t peaks[3] = {[ORTHO_WEIGHTS] = e->weights, [ORTHO_WORKING] = e->workspace}, host = 0;
    ob_memory_job job = {.plugin = c->plugin,
                         .variant = c->variant->name,
                         .backend = c->variant->backend,
                         .n = g->n,
                         .k = g->k,
                         .m = g->m,
                         .nnz = g->split->nnz,
                         .group = g->split->group,
                         .problem_group = c->group,
                         .dtype = g->dtype,
                         .w_dtype = g->work->w.dtype,
                         .rule = g->s->options->rule,
                         .alpha = g->s->options->alpha,
                         .density = c->density,
                         .threads = g->s->threads,
                         .blob = blob,
                         .hessian = g->work->hessian != NULL};
    if (blob >= 0 && ob_memory_measure(&job, &host) != ORTHO_OK)
        ob_say_note(g->s, "%s: no peak of resident memory: %s", c->key, ortho_last_message());
    ob_row_peaks_set(e->lane->row, peaks, host);
    if (e->hooks->lanes != NULL) {
        ob_divergence d = {{0}};
        ortho_lane_sink sink = ob_divergence_sink(&d);
        e->hooks->lanes(g->split, g->m, &sink);
        ob_row_divergence_set(e->lane->row, &d);
    }
}

static ortho_status open_group(group *g, const ob_case *cases)
{
    g->lanes = calloc((size_t)g->count, sizeof *g->lanes);
    g->gemms = calloc((size_t)g->count, sizeof *g->gemms);
    g->x = malloc(g->x_bytes);
    g->host = malloc(g->y_bytes);
    g->back = malloc(g->x_bytes);
    if (g->lanes == NULL || g->gemms == NULL || g->x == NULL || g->host == NULL || g->back == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a batch of %lld", (long long)g->m);
    ob_fill_gaussian(g->x, g->dtype, g->m * g->k, g->s->options->seed + (uint64_t)g->m);
    for (int i = 0; i < g->count; i++) {
        gemm *e = &g->gemms[i];
        ob_lane_open(g->s, &cases[i], VARIANT_FENCE, &g->lanes[i]);
        e->g = g;
        e->lane = &g->lanes[i];
        e->hooks = cases[i].variant->gemm;
        e->lane->loop = (ob_launches){.ctx = e, .launch = launch};
        ob_memory_init(&e->bench, g->s->backend, FENCE);
        e->services = ob_memory_services(&e->lane->memory, g->s->threads);
        e->call = (ortho_gemm_call){
            .m = g->m, .alpha = (float)g->s->options->alpha, .threads = g->s->threads};
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
            release_copy(e, &e->copies[c]);
        free(e->copies);
        ob_memory_close(&e->bench);
    }
    if (g->lanes != NULL)
        ob_group_finish(g->s, g->lanes, g->count);
    for (int i = 0; i < 2; i++)
        ob_gemm_truth_free(&g->truth[i]);
    free(g->back);
    free(g->host);
    free(g->x);
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
            g->lanes[i].cost = cost_of(&g->gemms[i]);
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
    size_t element = ortho_dtype_bytes(s->options->dtype);
    group g = {.s = s,
               .work = work,
               .split = split,
               .n = split->n,
               .k = split->k,
               .m = cases[0].m,
               .dtype = s->options->dtype,
               .x_bytes = (size_t)(cases[0].m * split->k) * element,
               .y_bytes = (size_t)(cases[0].m * split->n) * element,
               .count = count};
    ortho_status status = open_group(&g, cases);
    for (int i = 0; status == ORTHO_OK && i < count; i++) {
        ob_say_phase(s, i, &g.lanes[i], "verify");
        if (ob_interrupted())
            ob_lane_skip(&g.lanes[i], "interrupted");
        else
            prepare_lane(&g.gemms[i]);
    }
    for (int i = 0; status == ORTHO_OK && i < count; i++)
        if (!g.lanes[i].out)
            poison(&g.gemms[i]);
    if (status == ORTHO_OK && !s->options->verify_only)
        ob_group_sample(s, g.lanes, count);
    for (int i = 0; status == ORTHO_OK && i < count; i++)
        if (!g.lanes[i].out) {
            ob_say_phase(s, i, &g.lanes[i], "verify again");
            verify_after(&g.gemms[i]);
        }
    if (status == ORTHO_OK)
        report(&g, blob);
    close_group(&g);
    return status;
}
