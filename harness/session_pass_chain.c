/*
 * A pass as one launch: every linear feeds those after it, as pass_groups.h links them. What a step
 * must give depends on the x that it saw, which an implementation made itself and rounded: so each
 * step's x is read back from y, and its outputs are compared with the oracle's on just that x.
 *
 * A step's outputs are scaled by a power of two, which rounds nothing, such that their mean square
 * is near 1: in a model norms do that. It comes from the oracle's own way through the chain.
 */
#include "harness/session_pass.h"

#include "common/dtype.h"
#include "common/error.h"
#include "kernels/split.h"
#include "variants/reference/oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this a scale would make up for weights that are no model's. */
enum { SCALE_EXPONENT = 40 };

ortho_status ob_chain_supported(const ob_case *c)
{
    const ortho_gemm_hooks *hooks = c->variant->gemm;
    if (c->form != OB_FORM_PERSISTENT)
        return ORTHO_OK;
    if (hooks->chain == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "the variant has no chain: it can't run all linears in one launch");
    if (hooks->computes != ORTHO_COMPUTES_SPLIT)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "only a product with the split is checked as a "
                                               "chain, and the variant computes another");
    if (c->m != 1)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "a chain is of one token, not of %lld",
                          (long long)c->m);
    if (c->linears > ORTHO_CHAIN_MAX)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "%d linears are more than a chain's %d: choose fewer --layers",
                          c->linears, ORTHO_CHAIN_MAX);
    return ORTHO_OK;
}

/* ---- what all chains share ------------------------------------------------------------------- */

static const ortho_slice *slice_of(const ob_pass_run *p, int i)
{
    return p->s->plan.linears[i];
}

/* Where step i's x begins; `y` and the chain's x in host memory. */
static const void *x_of(const ob_chain_plan *c, int i, size_t element)
{
    return c->x_at[i] < 0 ? c->x : (const char *)c->y + (size_t)c->x_at[i] * element;
}

static ortho_status alloc_plan(ob_pass_run *p)
{
    ob_chain_plan *c = &p->chain;
    size_t count = (size_t)p->linears;
    c->x_at = calloc(count, sizeof *c->x_at);
    c->y_at = calloc(count, sizeof *c->y_at);
    c->scale = calloc(count, sizeof *c->scale);
    c->alpha = calloc(count, sizeof *c->alpha);
    c->splits = calloc(count, sizeof *c->splits);
    if (c->x_at == NULL || c->y_at == NULL || c->scale == NULL || c->alpha == NULL ||
        c->splits == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a chain");
    return ORTHO_OK;
}

ortho_status ob_chain_plan_open(ob_pass_run *p)
{
    ob_chain_plan *c = &p->chain;
    const ob_session *s = p->s;
    size_t element = ortho_dtype_bytes(s->dtype);
    int64_t widest = 0;
    c->services = ortho_account_services(&c->account, s->threads);
    if (!c->wanted)
        return ORTHO_OK;
    ortho_status status = alloc_plan(p);
    if (status != ORTHO_OK)
        return status;
    ob_pass_links((const ortho_slice *const *)s->plan.linears, p->groups, p->group_count, c->x_at);
    for (int i = 0; i < p->linears; i++) {
        const ortho_slice *slice = slice_of(p, i);
        c->y_at[i] = c->outputs;
        c->outputs += slice->n;
        c->alpha[i] = (float)s->options->alpha;
        widest = c->x_at[i] < 0 && slice->k > widest ? slice->k : widest;
    }
    c->x_bytes = (size_t)widest * element;
    c->x = malloc(c->x_bytes);
    c->y = malloc((size_t)c->outputs * element);
    if (c->x == NULL || c->y == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a chain's activations");
    ob_fill_gaussian(c->x, s->dtype, widest, s->options->seed + 1);
    return ORTHO_OK;
}

void ob_chain_plan_close(ob_pass_run *p)
{
    ob_chain_plan *c = &p->chain;
    for (int i = 0; c->splits != NULL && i < p->linears; i++)
        ortho_split_free(&c->splits[i], &c->services);
    free(c->splits);
    free(c->y);
    free(c->x);
    free(c->alpha);
    free(c->scale);
    free(c->y_at);
    free(c->x_at);
}

/* The power of two that brings these outputs' root mean square between 2^-1/2 and 2^1/2. */
static float scale_of(const double *y, int64_t n)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        square += y[i] * y[i];
    double exponent = round(-0.5 * log2(square / (double)n));
    if (!(fabs(exponent) <= SCALE_EXPONENT)) /* no output but 0 has no size to bring anywhere */
        return 1;
    return (float)ldexp(1, (int)exponent);
}

ortho_status ob_chain_plan_add(ob_pass_run *p, int i, ortho_split *split)
{
    ob_chain_plan *c = &p->chain;
    ortho_dtype dtype = p->s->dtype;
    size_t element = ortho_dtype_bytes(dtype);
    double *y = malloc((size_t)split->n * sizeof *y);
    if (y == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a step of a chain");
    ortho_status status = ortho_oracle_gemm(&(ortho_oracle_job){.split = split,
                                                                .x = x_of(c, i, element),
                                                                .dtype = dtype,
                                                                .m = 1,
                                                                .alpha = c->alpha[i],
                                                                .threads = p->s->threads,
                                                                .y = y});
    if (status == ORTHO_OK) {
        c->scale[i] = scale_of(y, split->n);
        for (int64_t row = 0; row < split->n; row++)
            ortho_dtype_store(dtype, c->y, c->y_at[i] + row, (float)(c->scale[i] * y[row]));
        c->splits[i] = *split;
        *split = (ortho_split){0};
    }
    free(y);
    return status;
}

/* ---- one variant's --------------------------------------------------------------------------- */

static ortho_status prepare_hook(ob_runner *r)
{
    const ob_pass_run *p = r->p;
    const ob_chain_plan *c = &p->chain;
    const ortho_chain_hooks *hooks = r->copier.hooks->chain;
    ortho_chain_step *steps = calloc((size_t)p->linears, sizeof *steps);
    if (steps == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the steps of a chain");
    for (int i = 0; i < p->linears; i++)
        steps[i] = (ortho_chain_step){.state = r->copies[i].state,
                                      .n = slice_of(p, i)->n,
                                      .k = slice_of(p, i)->k,
                                      .x_at = c->x_at[i],
                                      .scale = c->scale[i]};
    ortho_chain_problem problem = {.steps = steps, .count = p->linears, .dtype = p->s->dtype};
    ob_expect_message();
    ortho_status status = hooks->prepare(r->chain.state, &problem, &r->copier.services);
    r->chain.prepared = status == ORTHO_OK;
    free(steps);
    return status;
}

static ortho_status make(ob_runner *r)
{
    const ob_chain_plan *c = &r->p->chain;
    const ortho_chain_hooks *hooks = r->copier.hooks->chain;
    const ob_backend *b = r->p->s->backend;
    ob_chain *chain = &r->chain;
    size_t y_bytes = (size_t)c->outputs * ortho_dtype_bytes(r->p->s->dtype);
    chain->state = ob_memory_alloc(&r->bench, hooks->state_size, ORTHO_HOST, ORTHO_WORKING);
    if (chain->state == NULL)
        return ORTHO_E_MEMORY;
    memset(chain->state, 0, hooks->state_size);
    ortho_status status = prepare_hook(r);
    if (status != ORTHO_OK)
        return status;
    r->workspace = hooks->workspace != NULL ? hooks->workspace(chain->state) : 0;
    chain->x = ob_memory_alloc(&r->bench, c->x_bytes, b->space, ORTHO_WORKING);
    chain->y = ob_memory_alloc(&r->bench, y_bytes, b->space, ORTHO_WORKING);
    chain->workspace = ob_memory_alloc(&r->bench, r->workspace, b->space, ORTHO_WORKING);
    if (chain->x == NULL || chain->y == NULL || chain->workspace == NULL)
        return ORTHO_E_MEMORY;
    r->cost.bytes += (double)c->x_bytes;
    return b->upload(chain->x, c->x, c->x_bytes);
}

ortho_status ob_chain_prepare(ob_runner *r)
{
    double ns;
    ortho_status status = make(r);
    if (status == ORTHO_OK)
        status = ob_chain_poison(r);
    ob_expect_message();
    if (status == ORTHO_OK)
        status = ob_lane_launch(r->lane, 0, &ns);
    return status == ORTHO_OK ? ob_chain_check(r) : status;
}

ortho_status ob_chain_run(const ob_runner *r)
{
    const ob_session *s = r->p->s;
    ortho_chain_call call = {.x = r->chain.x,
                             .y = r->chain.y,
                             .alpha = r->p->chain.alpha,
                             .workspace = r->chain.workspace,
                             .stream = s->backend->stream(s->queue)};
    return r->copier.hooks->chain->run(r->chain.state, &call);
}

ortho_status ob_chain_poison(ob_runner *r)
{
    size_t element = ortho_dtype_bytes(r->p->s->dtype);
    return r->p->s->backend->fill(r->chain.y, 0xff, (size_t)r->p->chain.outputs * element);
}

void ob_chain_release(ob_runner *r)
{
    if (r->chain.prepared)
        r->copier.hooks->chain->release(r->chain.state, &r->copier.services);
    ob_memory_free(&r->bench, r->chain.workspace);
    ob_memory_free(&r->bench, r->chain.y);
    ob_memory_free(&r->bench, r->chain.x);
    ob_memory_free(&r->bench, r->chain.state);
    r->chain = (ob_chain){0};
}

/* ---- checking -------------------------------------------------------------------------------- */

/* One step's outputs in c->y by the x that it saw there; the tolerance is any GEMM's, and scaled
 * with what it is of. */
static ortho_status check_step(ob_runner *r, int i)
{
    const ob_chain_plan *c = &r->p->chain;
    const ob_session *s = r->p->s;
    size_t element = ortho_dtype_bytes(s->dtype);
    ob_gemm_inputs in = {.split = &c->splits[i],
                         .x = x_of(c, i, element),
                         .dtype = s->dtype,
                         .m = 1,
                         .alpha = c->alpha[i],
                         .threads = s->threads,
                         .seed = s->options->seed,
                         .activations = r->copier.activations};
    ob_gemm_truth truth = {0};
    ortho_status status = ob_gemm_truth_make(&in, &truth);
    for (int64_t row = 0; status == ORTHO_OK && row < truth.n; row++) {
        truth.y[row] *= c->scale[i];
        truth.magnitude[row] *= c->scale[i];
        if (truth.rounding != NULL)
            truth.rounding[row] *= c->scale[i];
    }
    if (status == ORTHO_OK)
        status = ob_gemm_verify(&truth, (const char *)c->y + (size_t)c->y_at[i] * element,
                                &r->lane->verdict);
    ob_gemm_truth_free(&truth);
    if (status == ORTHO_OK)
        return ORTHO_OK;
    return ortho_fail_prefix(status, "step %d of %d, L%d.%s", i + 1, r->p->linears,
                             slice_of(r->p, i)->layer, slice_of(r->p, i)->proj);
}

static ortho_status check_input(const ob_runner *r)
{
    const ob_chain_plan *c = &r->p->chain;
    void *back = malloc(c->x_bytes);
    if (back == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to check a chain's x");
    ortho_status status = r->p->s->backend->download(back, r->chain.x, c->x_bytes);
    if (status == ORTHO_OK && memcmp(back, c->x, c->x_bytes) != 0)
        status = ortho_fail(ORTHO_E_WRONG, "it changed its input x");
    free(back);
    return status;
}

ortho_status ob_chain_check(ob_runner *r)
{
    ob_pass_run *p = r->p;
    char phase[64];
    size_t bytes = (size_t)p->chain.outputs * ortho_dtype_bytes(p->s->dtype);
    ortho_status status = check_input(r);
    if (status == ORTHO_OK)
        status = p->s->backend->download(p->chain.y, r->chain.y, bytes);
    for (int i = 0; status == ORTHO_OK && i < p->linears; i++) {
        snprintf(phase, sizeof phase, "verify step %d of %d", i + 1, p->linears);
        ob_phase_begin(p->s, (int)(r->lane - p->lanes), r->lane, phase);
        status = check_step(r, i);
        ob_phase_end();
    }
    return status;
}
