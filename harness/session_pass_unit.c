/*
 * Launches of one linear, or of linears that share x. A variant with run_group takes a group over
 * separately prepared states; for any other the group is one problem. Either way each linear's
 * output is judged by itself.
 */
#include "harness/session_pass.h"

#include "common/dtype.h"
#include "common/error.h"

#include <stdio.h>
#include <string.h>

void ob_linears_name(const ob_pass_run *p, ob_linears unit, char out[64])
{
    const ortho_slice *const *linears = (const ortho_slice *const *)p->s->plan.linears;
    int used = snprintf(out, 64, "L%d.", linears[unit.first]->layer);
    for (int i = 0; i < unit.count && used < 64; i++)
        used += snprintf(out + used, 64 - (size_t)used, "%s%s", i > 0 ? "+" : "",
                         linears[unit.first + i]->proj);
}

/* Puts the name of what failed before the message. */
static ortho_status named(const ob_runner *r, ob_linears unit, ortho_status status)
{
    char name[64];
    if (status == ORTHO_OK)
        return status;
    ob_linears_name(r->p, unit, name);
    return ortho_fail_prefix(status, "%s", name);
}

bool ob_runner_joins(const ob_runner *r, ob_linears unit)
{
    return r->joins && unit.count > 1;
}

/* ---- preparing ------------------------------------------------------------------------------- */

/* The lane's x of this width, made at the first need. */
static ortho_status lend_x(ob_runner *r, const ob_operands *o, ob_copy *copy)
{
    const ob_backend *b = r->p->s->backend;
    int i = 0;
    while (i < r->widths && r->x[i].k != o->k)
        i++;
    if (i == r->widths) {
        void *x = ob_memory_alloc(&r->bench, o->x_bytes, b->space, ORTHO_WORKING);
        if (x == NULL)
            return ORTHO_E_MEMORY;
        r->x[r->widths++] = (ob_shared_x){.k = o->k, .x = x};
        ortho_status status = b->upload(x, o->x, o->x_bytes);
        if (status != ORTHO_OK)
            return status;
    }
    copy->x = r->x[i].x;
    copy->lent_x = true;
    return ORTHO_OK;
}

static ortho_status supported(const ob_runner *r, const ob_operands *o)
{
    ob_expect_message();
    return ob_copier_supports(&r->copier, r->lane->c->variant, o);
}

static ortho_status make(ob_runner *r, const ob_operands *o, ob_copy *copy)
{
    size_t before = r->lane->memory.current[ORTHO_WEIGHTS];
    ortho_status status = supported(r, o);
    if (status == ORTHO_OK)
        status = lend_x(r, o, copy);
    if (status == ORTHO_OK)
        status = ob_copy_make(&r->copier, o, copy);
    if (status != ORTHO_OK)
        return status;
    ortho_cost cost =
        ob_copy_cost(&r->copier, o, copy, r->lane->memory.current[ORTHO_WEIGHTS] - before);
    r->cost.bytes += cost.bytes;
    r->cost.flops += cost.flops;
    return ORTHO_OK;
}

/* Separate states of a group: its launch reads x once. */
static ortho_status make_each(ob_runner *r, ob_linears unit, size_t *workspace)
{
    const ob_pass_run *p = r->p;
    for (int i = unit.first; i < unit.first + unit.count; i++) {
        ortho_status status = make(r, &p->operands[i], &r->copies[i]);
        if (status != ORTHO_OK)
            return named(r, (ob_linears){i, 1}, status);
        *workspace += r->copies[i].workspace_bytes;
    }
    r->cost.bytes -= (double)(unit.count - 1) * (double)p->operands[unit.first].x_bytes;
    return ORTHO_OK;
}

ortho_status ob_unit_prepare(ob_runner *r, int index)
{
    ob_linears unit = r->units[index];
    ob_copy *copy = &r->copies[unit.first];
    ortho_status status;
    size_t workspace = 0;
    double ns;
    if (ob_runner_joins(r, unit)) {
        status = named(r, unit, make(r, &r->p->joined[index], copy));
        workspace = copy->workspace_bytes;
    } else {
        status = make_each(r, unit, &workspace);
    }
    if (status != ORTHO_OK)
        return status;
    r->workspace = workspace > r->workspace ? workspace : r->workspace;
    ob_expect_message();
    status = named(r, unit, ob_lane_launch(r->lane, index, &ns));
    return status == ORTHO_OK ? ob_unit_check(r, index) : status;
}

ortho_status ob_unit_prepare_state(ob_runner *r, int linear)
{
    const ob_operands *o = &r->p->operands[linear];
    ob_copy *copy = &r->copies[linear];
    size_t before = r->lane->memory.current[ORTHO_WEIGHTS];
    ortho_status status = supported(r, o);
    if (status == ORTHO_OK)
        status = ob_copy_prepare(&r->copier, o, copy);
    if (status != ORTHO_OK)
        return named(r, (ob_linears){linear, 1}, status);
    ortho_cost cost =
        ob_copy_cost(&r->copier, o, copy, r->lane->memory.current[ORTHO_WEIGHTS] - before);
    r->cost.bytes += cost.bytes - (double)o->x_bytes; /* its x is an output that was just written */
    r->cost.flops += cost.flops;
    return ORTHO_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static ortho_status run_group(const ob_runner *r, ob_linears unit)
{
    const void *states[ORTHO_GROUP_MAX];
    ortho_gemm_call calls[ORTHO_GROUP_MAX];
    for (int i = 0; i < unit.count; i++) {
        const ob_copy *copy = &r->copies[unit.first + i];
        states[i] = copy->state;
        calls[i] = ob_copy_call(&r->copier, copy, r->p->operands[unit.first + i].m);
    }
    return r->copier.hooks->run_group(states, calls, unit.count);
}

ortho_status ob_unit_run(const ob_runner *r, int index)
{
    ob_linears unit = r->units[index];
    if (unit.count > 1 && !r->joins)
        return run_group(r, unit);
    return ob_copy_run(&r->copier, &r->copies[unit.first], r->p->operands[unit.first].m);
}

/* ---- checking -------------------------------------------------------------------------------- */

static ortho_status check_joined(ob_runner *r, ob_linears unit, const ob_operands *whole)
{
    ob_joined where = {.m = whole->m, .all = whole->n, .element = ortho_dtype_bytes(whole->dtype)};
    ortho_status status = named(r, unit, ob_copy_fetch(&r->copier, whole, &r->copies[unit.first]));
    for (int i = unit.first; status == ORTHO_OK && i < unit.first + unit.count; i++) {
        ob_operands *o = &r->p->operands[i];
        where.n = o->n;
        ob_output_part(whole->host, where, o->host);
        status = named(r, (ob_linears){i, 1}, ob_operands_check(&r->copier, o, &r->lane->verdict));
        where.at += o->n;
    }
    return status;
}

ortho_status ob_unit_check(ob_runner *r, int index)
{
    ob_linears unit = r->units[index];
    if (ob_runner_joins(r, unit))
        return check_joined(r, unit, &r->p->joined[index]);
    ortho_status status = ORTHO_OK;
    for (int i = unit.first; status == ORTHO_OK && i < unit.first + unit.count; i++)
        status =
            named(r, (ob_linears){i, 1},
                  ob_copy_check(&r->copier, &r->p->operands[i], &r->copies[i], &r->lane->verdict));
    return status;
}

void ob_unit_poison(ob_runner *r, int index)
{
    ob_linears unit = r->units[index];
    const ob_backend *b = r->p->s->backend;
    if (ob_runner_joins(r, unit)) {
        b->fill(r->copies[unit.first].y, 0xff, r->p->joined[index].y_bytes);
        return;
    }
    for (int i = unit.first; i < unit.first + unit.count; i++)
        b->fill(r->copies[i].y, 0xff, r->p->operands[i].y_bytes);
}
