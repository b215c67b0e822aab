/*
 * A pass (--pass decode): every linear of every layer in order over distinct weights, as one token
 * of decoding does. No flush is needed: a model's weights are larger than any cache. All variants
 * hold all linears at once, so that they can be timed in turn; W, the split and what only prepare
 * needs are given back slice by slice. A launch is one linear, an operation all of them.
 */
#include "harness/session_internal.h"

#include "common/account.h"
#include "common/error.h"
#include "kernels/split.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { FENCE = 1024, VARIANT_FENCE = 64 };

typedef struct pass pass;

/* One variant's whole pass. */
typedef struct runner {
    pass *p;
    ob_lane *lane;
    ob_copier copier;
    ob_memory bench;
    ob_copy *copies; /* [linears] */
    ortho_cost cost;
    size_t workspace;
} runner;

struct pass {
    ob_session *s;
    int linears;
    ob_operands *operands; /* [linears] */
    int count;
    ob_lane *lanes;
    runner *runners;
};

static ortho_status launch(void *ctx, int64_t i)
{
    runner *r = ctx;
    int64_t linear = i % r->p->linears;
    return ob_copy_run(&r->copier, &r->copies[linear], r->p->operands[linear].m);
}

/* ---- preparing ------------------------------------------------------------------------------- */

static ortho_status prepare_linear(runner *r, int i)
{
    ob_operands *o = &r->p->operands[i];
    ortho_gemm_problem problem = ob_operands_problem(o);
    const ortho_gemm_hooks *hooks = r->copier.hooks;
    double ns;
    size_t before = r->lane->memory.current[ORTHO_WEIGHTS];
    ob_expect_message();
    ortho_status status =
        hooks->supports != NULL ? hooks->supports(&problem, &r->copier.services) : ORTHO_OK;
    if (status == ORTHO_OK)
        status = ob_copy_make(&r->copier, o, &r->copies[i]);
    if (status == ORTHO_OK)
        status = ob_lane_launch(r->lane, i, &ns);
    if (status == ORTHO_OK)
        status = ob_copy_check(&r->copier, o, &r->copies[i], &r->lane->verdict);
    if (status != ORTHO_OK)
        return status;
    ortho_cost cost =
        ob_copy_cost(&r->copier, o, &r->copies[i], r->lane->memory.current[ORTHO_WEIGHTS] - before);
    r->cost.bytes += cost.bytes;
    r->cost.flops += cost.flops;
    size_t workspace = r->copies[i].workspace_bytes;
    r->workspace = workspace > r->workspace ? workspace : r->workspace;
    return ORTHO_OK;
}

/* A variant that can't do one linear, or hold all of them, has no pass. */
static void drop(runner *r, const ortho_slice *slice, ortho_status status)
{
    (void)ortho_fail_prefix(status, "L%d.%s", slice->layer, slice->proj);
    r->lane->before = status == ORTHO_E_WRONG ? "fail" : NULL;
    if (status == ORTHO_E_UNSUPPORTED || status == ORTHO_E_MEMORY)
        ob_lane_skip(r->lane, ortho_last_message());
    else
        ob_lane_fail(r->lane, ortho_last_message());
}

/* Reads slice i, splits it, and has every variant prepare, launch once and be checked. */
static ortho_status prepare_slice(pass *p, int i, const ob_case *c)
{
    ob_session *s = p->s;
    const ortho_slice *slice = s->plan.linears[i];
    ortho_account account = {0};
    ortho_services services = ortho_account_services(&account, s->threads);
    ob_case here = *c;
    ortho_split split;
    ob_work work;
    ob_case_at(s->options, slice, &here);
    ortho_status status = ob_work_open(s, slice, &work);
    if (status != ORTHO_OK)
        return status;
    status = ob_work_split(s, &work, &here, &services, &split);
    if (status == ORTHO_OK) {
        status = ob_operands_open(s, &work, &split, c->m, &p->operands[i]);
        for (int v = 0; status == ORTHO_OK && v < p->count; v++) {
            runner *r = &p->runners[v];
            ortho_status prepared = r->lane->out ? ORTHO_OK : prepare_linear(r, i);
            if (prepared != ORTHO_OK)
                drop(r, slice, prepared);
        }
        p->operands[i].work = NULL;
        p->operands[i].split = NULL;
        ortho_split_free(&split, &services);
    }
    ob_work_close(&work);
    return status;
}

/* One untimed pass tells how many make a sample; its weights, whether the cache can hold them. */
static void ready(runner *r)
{
    pass *p = r->p;
    ob_session *s = p->s;
    ob_lane *lane = r->lane;
    ob_span span = {.count = p->linears};
    lane->rounds = true;
    lane->copies = lane->units = lane->launches = lane->loop.copies = p->linears;
    lane->cold = r->cost.bytes > s->backend->cold_factor * (double)s->cache_bytes;
    ortho_status status =
        s->backend->time(s->queue, &s->timer, &lane->loop, &span, &lane->first_ns);
    if (status == ORTHO_OK)
        status = ob_memory_check(&r->bench);
    if (status == ORTHO_OK)
        status = ob_memory_check(&lane->memory);
    if (status != ORTHO_OK) {
        lane->before = "fail";
        ob_lane_fail(lane, ortho_last_message());
        return;
    }
    lane->before = r->copier.hooks->computes == ORTHO_COMPUTES_NOTHING ? "n/a" : "pass";
    for (int i = 0; i < p->linears; i++)
        s->backend->fill(r->copies[i].y, 0xff, p->operands[i].y_bytes);
}

/* ---- after ----------------------------------------------------------------------------------- */

static void verify_after(runner *r)
{
    pass *p = r->p;
    ob_lane *lane = r->lane;
    ortho_status status = lane->sampler.status;
    if (status != ORTHO_OK) {
        ob_lane_fail(lane, lane->sampler.message);
        return;
    }
    double ns;
    ob_span span = {.count = p->linears};
    if (lane->cursor == 0) /* nothing was timed: the outputs are still poisoned */
        status = p->s->backend->time(p->s->queue, &p->s->timer, &lane->loop, &span, &ns);
    for (int i = 0; status == ORTHO_OK && i < p->linears; i++)
        status = ob_copy_check(&r->copier, &p->operands[i], &r->copies[i], &lane->verdict);
    if (status == ORTHO_OK)
        status = ob_memory_check(&r->bench);
    if (status == ORTHO_OK)
        status = ob_memory_check(&lane->memory);
    lane->after = status == ORTHO_OK ? lane->before : "fail";
    if (status != ORTHO_OK)
        ob_lane_fail(lane, ortho_last_message());
}

static void report(pass *p)
{
    ob_session *s = p->s;
    for (int i = 0; i < p->count; i++)
        p->lanes[i].cost = p->runners[i].cost;
    ob_group_ceiling(p->lanes, p->count, &s->read);
    for (int i = 0; i < p->count; i++)
        if (!p->lanes[i].out)
            ob_lane_floor(&p->lanes[i], s->read);
    ob_group_report(s, p->lanes, p->count);
    for (int i = 0; i < p->count; i++) {
        if (p->lanes[i].out)
            continue;
        size_t peaks[3] = {[ORTHO_WEIGHTS] = p->lanes[i].memory.peak[ORTHO_WEIGHTS],
                           [ORTHO_WORKING] = p->runners[i].workspace};
        ob_row_peaks_set(p->lanes[i].row, peaks, 0, 0);
        if (p->lanes[i].sampler.count > 0 && p->lanes[i].c->variant->role != ORTHO_HARNESS)
            ob_row_tokens_set(p->lanes[i].row, p->lanes[i].c->m);
    }
}

static ortho_status open_pass(pass *p, const ob_case *cases)
{
    p->lanes = calloc((size_t)p->count, sizeof *p->lanes);
    p->runners = calloc((size_t)p->count, sizeof *p->runners);
    p->operands = calloc((size_t)p->linears, sizeof *p->operands);
    if (p->lanes == NULL || p->runners == NULL || p->operands == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a pass");
    for (int i = 0; i < p->count; i++) {
        runner *r = &p->runners[i];
        r->copies = calloc((size_t)p->linears, sizeof *r->copies);
        if (r->copies == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a pass");
        ob_lane_open(p->s, &cases[i], VARIANT_FENCE, &p->lanes[i]);
        r->p = p;
        r->lane = &p->lanes[i];
        r->lane->loop = (ob_launches){.ctx = r, .launch = launch, .copies = p->linears};
        ob_memory_init(&r->bench, p->s->backend, ob_session_fence(p->s, FENCE));
        r->copier = (ob_copier){.session = p->s,
                                .hooks = cases[i].variant->gemm,
                                .bench = &r->bench,
                                .services = ob_session_services(p->s, &r->lane->memory)};
    }
    return ORTHO_OK;
}

static void close_pass(pass *p)
{
    for (int v = 0; p->runners != NULL && v < p->count; v++) {
        runner *r = &p->runners[v];
        for (int i = p->linears; r->lane != NULL && i-- > 0;)
            ob_copy_release(&r->copier, &r->copies[i]);
        free(r->copies);
        if (r->lane != NULL)
            ob_memory_close(&r->bench);
    }
    if (p->lanes != NULL)
        ob_group_finish(p->s, p->lanes, p->count);
    for (int i = 0; p->operands != NULL && i < p->linears; i++)
        ob_operands_close(&p->operands[i]);
    free(p->operands);
    free(p->runners);
    free(p->lanes);
}

ortho_status ob_pass_group(ob_session *s, const ob_case *cases, int count)
{
    pass p = {.s = s, .linears = s->plan.linear_count, .count = count};
    char phase[64];
    ortho_status status = open_pass(&p, cases);
    for (int i = 0; status == ORTHO_OK && i < p.linears && !ob_session_interrupted(); i++) {
        snprintf(phase, sizeof phase, "prepare and verify linear %d of %d", i + 1, p.linears);
        ob_phase_begin(s, 0, &p.lanes[0], phase);
        status = prepare_slice(&p, i, &cases[0]);
        ob_phase_end();
    }
    for (int v = 0; status == ORTHO_OK && v < count; v++)
        if (!p.lanes[v].out && ob_session_interrupted())
            ob_lane_skip(&p.lanes[v], "interrupted");
        else if (!p.lanes[v].out)
            ready(&p.runners[v]);
    if (status == ORTHO_OK &&
        (ob_session_times(s) || s->options->profile || s->observation != NULL))
        ob_group_work(s, p.lanes, count);
    for (int v = 0; status == ORTHO_OK && v < count; v++)
        if (!p.lanes[v].out) {
            ob_phase_begin(s, v, &p.lanes[v], "verify again");
            verify_after(&p.runners[v]);
            ob_phase_end();
        }
    if (status == ORTHO_OK)
        report(&p);
    close_pass(&p);
    return status;
}
