/*
 * A pass (--pass decode): every linear of every layer in order over distinct weights, as one token
 * of decoding does. No flush is needed: a model's weights are larger than any cache. All variants
 * hold all linears at once, in each form that is asked for, so that they can be timed in turn; W,
 * the split and what only prepare needs are given back group by group. A launch is one linear, a
 * group of them or all (--form), an operation all of them.
 */
#include "harness/session_pass.h"

#include "common/error.h"
#include "kernels/split.h"
#include "variants/table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FENCE = 1024, VARIANT_FENCE = 64 };

/* A group of linears while it is at work: read, split, and where a lane joins them made one. */
typedef struct group {
    ob_linears linears;
    ob_work work[ORTHO_GROUP_MAX];
    ortho_split split[ORTHO_GROUP_MAX];
    int opened;
    ob_work joined_work;
    ortho_split joined_split;
} group;

static bool is_chain(const ob_runner *r)
{
    return r->lane->c->form == OB_FORM_PERSISTENT;
}

static ortho_status launch(void *ctx, int64_t i)
{
    ob_runner *r = ctx;
    return is_chain(r) ? ob_chain_run(r) : ob_unit_run(r, (int)(i % r->unit_count));
}

/* ---- preparing ------------------------------------------------------------------------------- */

static void drop(ob_runner *r, ortho_status status)
{
    r->lane->before = status == ORTHO_E_WRONG ? "fail" : NULL;
    if (status == ORTHO_E_UNSUPPORTED || status == ORTHO_E_MEMORY)
        ob_lane_skip(r->lane, ortho_last_message());
    else
        ob_lane_fail(r->lane, ortho_last_message());
}

static bool someone_joins(const ob_pass_run *p, ob_linears linears)
{
    for (int v = 0; v < p->count; v++)
        if (!p->runners[v].lane->out && ob_runner_joins(&p->runners[v], linears))
            return true;
    return false;
}

/* Reads and splits one linear of a group. */
static ortho_status open_linear(ob_pass_run *p, group *g, int i, const ob_case *c)
{
    ob_session *s = p->s;
    const ortho_slice *slice = s->plan.linears[g->linears.first + i];
    ob_case here = *c;
    ob_case_at(s->options, slice, &here);
    ortho_status status = ob_work_open(s, slice, &g->work[i]);
    if (status != ORTHO_OK)
        return status;
    status = ob_work_split(s, &g->work[i], &here, &p->chain.services, &g->split[i]);
    if (status != ORTHO_OK) {
        ob_work_close(&g->work[i]);
        return status;
    }
    g->opened++;
    return ob_operands_open(s, &g->work[i], &g->split[i], c->m, &p->operands[g->linears.first + i]);
}

static ortho_status join(ob_pass_run *p, group *g, ob_operands *out, int64_t m)
{
    const ortho_split *splits[ORTHO_GROUP_MAX];
    const ortho_matrix *weights[ORTHO_GROUP_MAX];
    for (int i = 0; i < g->linears.count; i++) {
        splits[i] = &g->split[i];
        weights[i] = &g->work[i].w;
    }
    ortho_status status =
        ob_splits_join(splits, g->linears.count, &p->chain.services, &g->joined_split);
    if (status == ORTHO_OK)
        status = ob_weights_join(weights, g->linears.count, &p->chain.services, &g->joined_work.w);
    return status == ORTHO_OK ? ob_operands_open(p->s, &g->joined_work, &g->joined_split, m, out)
                              : status;
}

/* Every variant prepares, launches once and is checked; for a chain, the states alone. */
static void prepare_lanes(ob_pass_run *p, int index)
{
    ob_linears linears = p->groups[index];
    for (int v = 0; v < p->count; v++) {
        ob_runner *r = &p->runners[v];
        bool single = r->lane->c->form == OB_FORM_SINGLE;
        ortho_status status = ORTHO_OK;
        if (r->lane->out)
            continue;
        if (r->lane->c->form == OB_FORM_GROUPED)
            status = ob_unit_prepare(r, index);
        for (int i = linears.first; status == ORTHO_OK && i < linears.first + linears.count; i++)
            if (single)
                status = ob_unit_prepare(r, i);
            else if (is_chain(r))
                status = ob_unit_prepare_state(r, i);
        if (status != ORTHO_OK)
            drop(r, status);
    }
}

static void close_group(ob_pass_run *p, group *g, ob_operands *joined)
{
    joined->work = NULL;
    joined->split = NULL;
    p->chain.services.free(p->chain.services.ctx, (void *)g->joined_work.w.data);
    ortho_split_free(&g->joined_split, &p->chain.services);
    for (int i = g->opened; i-- > 0;) {
        ob_operands *o = &p->operands[g->linears.first + i];
        o->work = NULL;
        o->split = NULL;
        ortho_split_free(&g->split[i], &p->chain.services);
        ob_work_close(&g->work[i]);
    }
}

static ortho_status prepare_group(ob_pass_run *p, int index, const ob_case *c)
{
    group g = {.linears = p->groups[index]};
    ortho_status status = ORTHO_OK;
    char phase[64];
    for (int i = 0; status == ORTHO_OK && i < g.linears.count; i++) {
        snprintf(phase, sizeof phase, "prepare and verify linear %d of %d", g.linears.first + i + 1,
                 p->linears);
        ob_phase_begin(p->s, 0, &p->lanes[0], phase);
        status = open_linear(p, &g, i, c);
        ob_phase_end();
    }
    if (status == ORTHO_OK && someone_joins(p, g.linears))
        status = join(p, &g, &p->joined[index], c->m);
    if (status == ORTHO_OK)
        prepare_lanes(p, index);
    for (int i = 0; status == ORTHO_OK && p->chain.wanted && i < g.linears.count; i++)
        status = ob_chain_plan_add(p, g.linears.first + i, &g.split[i]);
    close_group(p, &g, &p->joined[index]);
    return status;
}

/* One untimed pass tells how many make a sample; its weights, whether the cache can hold them. */
static ortho_status first_pass(ob_runner *r)
{
    ob_session *s = r->p->s;
    ob_lane *lane = r->lane;
    int64_t units = is_chain(r) ? 1 : r->unit_count;
    ob_span span = {.count = units};
    ortho_status status = is_chain(r) ? ob_chain_prepare(r) : ORTHO_OK;
    lane->rounds = true;
    lane->copies = lane->units = lane->launches = lane->loop.copies = units;
    lane->outputs = 1; /* say_checked tells of how many linears */
    lane->cold = r->cost.bytes > s->backend->cold_factor * (double)s->cache_bytes;
    if (status == ORTHO_OK)
        status = s->backend->time(s->queue, &s->timer, &lane->loop, &span, &lane->first_ns);
    if (status == ORTHO_OK)
        status = ob_memory_check(&r->bench);
    return status == ORTHO_OK ? ob_memory_check(&lane->memory) : status;
}

static void ready(ob_runner *r)
{
    ortho_status status = first_pass(r);
    if (status != ORTHO_OK && is_chain(r)) {
        drop(r, status);
        return;
    }
    if (status != ORTHO_OK) {
        r->lane->before = "fail";
        ob_lane_fail(r->lane, ortho_last_message());
        return;
    }
    r->lane->before = r->copier.hooks->computes == ORTHO_COMPUTES_NOTHING ? "n/a" : "pass";
    if (is_chain(r))
        (void)ob_chain_poison(r);
    for (int i = 0; i < r->unit_count; i++)
        ob_unit_poison(r, i);
}

/* ---- after ----------------------------------------------------------------------------------- */

static ortho_status launch_all(ob_runner *r)
{
    ob_session *s = r->p->s;
    double ns;
    ob_span span = {.count = r->lane->units};
    return s->backend->time(s->queue, &s->timer, &r->lane->loop, &span, &ns);
}

/* What the timed launches left of a chain may have been read from the launch before: it is the
 * same. So it is launched once more over poison. */
static ortho_status check_chain(ob_runner *r)
{
    ortho_status status = ob_chain_check(r);
    if (status == ORTHO_OK)
        status = ob_chain_poison(r);
    if (status == ORTHO_OK)
        status = launch_all(r);
    return status == ORTHO_OK ? ob_chain_check(r) : status;
}

/* Outputs of a pass are of many shapes: what was said of the last one isn't true of all. */
static void say_checked(ob_runner *r)
{
    ob_verdict *v = &r->lane->verdict;
    int linears = r->p->linears;
    size_t used = strlen(v->checked), room = sizeof v->checked;
    if (r->copier.hooks->computes == ORTHO_COMPUTES_NOTHING)
        snprintf(v->checked, room, "y is untouched, of each of %d linears", linears);
    else if (r->lane->c->m <= OB_EXACT_TOKENS)
        snprintf(v->checked, room, "all outputs of each of %d linears", linears);
    else
        snprintf(v->checked + used, room - used, ", of each of %d linears", linears);
}

static void verify_after(ob_runner *r)
{
    ob_lane *lane = r->lane;
    ortho_status status = lane->sampler.status;
    if (status != ORTHO_OK) {
        ob_lane_fail(lane, lane->sampler.message);
        return;
    }
    if (lane->cursor == 0) /* nothing was timed: the outputs are still poisoned */
        status = launch_all(r);
    if (status == ORTHO_OK && is_chain(r))
        status = check_chain(r);
    for (int i = 0; status == ORTHO_OK && i < r->unit_count; i++)
        status = ob_unit_check(r, i);
    if (status == ORTHO_OK)
        status = ob_memory_check(&r->bench);
    if (status == ORTHO_OK)
        status = ob_memory_check(&lane->memory);
    say_checked(r);
    lane->after = status == ORTHO_OK ? lane->before : "fail";
    if (status != ORTHO_OK)
        ob_lane_fail(lane, ortho_last_message());
}

static void describe(ob_runner *r)
{
    ob_lane *lane = r->lane;
    size_t peaks[3] = {
        [ORTHO_WEIGHTS] = lane->memory.peak[ORTHO_WEIGHTS], [ORTHO_WORKING] = r->workspace};
    ob_row_peaks_set(lane->row, peaks, 0, 0);
    if (lane->sampler.count > 0 && lane->c->variant->role != ORTHO_HARNESS)
        ob_row_tokens_set(lane->row, lane->c->m);
    if (lane->c->form == OB_FORM_GROUPED && r->p->group_count < r->p->linears)
        ob_row_grouping_set(lane->row,
                            r->joins ? "weights concatenated" : "one launch over separate weights");
    if (is_chain(r) && r->copier.hooks->chain->kernels != NULL) {
        ortho_kernel_sink kernels = ob_row_kernels(lane->row);
        r->copier.hooks->chain->kernels(r->chain.state, &kernels);
    }
}

static void report(ob_pass_run *p)
{
    ob_session *s = p->s;
    for (int i = 0; i < p->count; i++)
        p->lanes[i].cost = p->runners[i].cost;
    ob_group_ceiling(p->lanes, p->count, &s->read);
    for (int i = 0; i < p->count; i++)
        if (!p->lanes[i].out)
            ob_lane_floor(&p->lanes[i], s->read);
    ob_group_report(s, p->lanes, p->count);
    for (int i = 0; i < p->count; i++)
        if (!p->lanes[i].out)
            describe(&p->runners[i]);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static ortho_status open_runner(ob_pass_run *p, const ob_case *c, int index)
{
    ob_runner *r = &p->runners[index];
    size_t count = (size_t)p->linears;
    ob_lane_open(p->s, c, VARIANT_FENCE, &p->lanes[index]);
    *r = (ob_runner){.p = p, .lane = &p->lanes[index]};
    ob_memory_init(&r->bench, p->s->backend, ob_session_fence(p->s, FENCE));
    r->copies = calloc(count, sizeof *r->copies);
    r->x = calloc(count, sizeof *r->x);
    if (r->copies == NULL || r->x == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a pass");
    bool grouped = c->form == OB_FORM_GROUPED;
    if (!is_chain(r)) {
        r->units = grouped ? p->groups : p->singles;
        r->unit_count = grouped ? p->group_count : p->linears;
    }
    r->joins = grouped && c->variant->gemm->run_group == NULL;
    r->lane->loop =
        (ob_launches){.ctx = r, .launch = launch, .copies = is_chain(r) ? 1 : r->unit_count};
    r->copier = (ob_copier){.session = p->s,
                            .hooks = c->variant->gemm,
                            .bench = &r->bench,
                            .services = ob_session_services(p->s, &r->lane->memory),
                            .activations = c->activations};
    if (ortho_variant_takes(c->variant, c->activations) != ORTHO_OK ||
        ob_chain_supported(c) != ORTHO_OK)
        ob_lane_skip(r->lane, ortho_last_message());
    p->chain.wanted = p->chain.wanted || (is_chain(r) && !r->lane->out);
    return ORTHO_OK;
}

static ortho_status open_pass(ob_pass_run *p, const ob_case *cases)
{
    size_t linears = (size_t)p->linears;
    p->lanes = calloc((size_t)p->count, sizeof *p->lanes);
    p->runners = calloc((size_t)p->count, sizeof *p->runners);
    p->operands = calloc(linears, sizeof *p->operands);
    p->joined = calloc(linears, sizeof *p->joined);
    p->singles = calloc(linears, sizeof *p->singles);
    p->groups = calloc(linears, sizeof *p->groups);
    if (p->lanes == NULL || p->runners == NULL || p->operands == NULL || p->joined == NULL ||
        p->singles == NULL || p->groups == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a pass");
    p->group_count =
        ob_pass_groups((const ortho_slice *const *)p->s->plan.linears, p->linears, p->groups);
    for (int i = 0; i < p->linears; i++)
        p->singles[i] = (ob_linears){.first = i, .count = 1};
    ortho_status status = ORTHO_OK;
    for (int i = 0; status == ORTHO_OK && i < p->count; i++)
        status = open_runner(p, &cases[i], i);
    return status == ORTHO_OK ? ob_chain_plan_open(p) : status;
}

static void close_runner(ob_runner *r)
{
    if (r->lane == NULL)
        return;
    if (r->copier.hooks != NULL)
        ob_chain_release(r);
    for (int i = r->p->linears; r->copies != NULL && i-- > 0;)
        ob_copy_release(&r->copier, &r->copies[i]);
    for (int i = r->widths; i-- > 0;)
        ob_memory_free(&r->bench, r->x[i].x);
    free(r->copies);
    free(r->x);
    ob_memory_close(&r->bench);
}

static void close_pass(ob_pass_run *p)
{
    for (int v = 0; p->runners != NULL && v < p->count; v++)
        close_runner(&p->runners[v]);
    if (p->lanes != NULL)
        ob_group_finish(p->s, p->lanes, p->count);
    ob_chain_plan_close(p);
    for (int i = 0; p->operands != NULL && i < p->linears; i++)
        ob_operands_close(&p->operands[i]);
    for (int i = 0; p->joined != NULL && i < p->group_count; i++)
        ob_operands_close(&p->joined[i]);
    free(p->groups);
    free(p->singles);
    free(p->joined);
    free(p->operands);
    free(p->runners);
    free(p->lanes);
}

/* Every lane that is in by now makes a first pass; an interruption takes them out. */
static void ready_all(ob_pass_run *p)
{
    for (int v = 0; v < p->count; v++)
        if (!p->lanes[v].out && ob_session_interrupted())
            ob_lane_skip(&p->lanes[v], "interrupted");
        else if (!p->lanes[v].out)
            ready(&p->runners[v]);
}

ortho_status ob_pass_group(ob_session *s, const ob_case *cases, int count)
{
    ob_pass_run p = {.s = s, .linears = s->plan.linear_count, .count = count};
    ortho_status status = open_pass(&p, cases);
    for (int g = 0; status == ORTHO_OK && g < p.group_count && !ob_session_interrupted(); g++)
        status = prepare_group(&p, g, &cases[0]);
    if (status == ORTHO_OK)
        ready_all(&p);
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
