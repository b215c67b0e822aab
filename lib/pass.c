/*
 * A pass: the linears of one token, known beforehand. The variant that serves the layers prepares
 * a chain of their packed weights, which are not copied; a forward of it is one launch, and the
 * memory never waits for the host. Without such a variant the CPU takes the steps in turn.
 */
#include "lib/pass.h"

#include "common/dtype.h"
#include "common/error.h"
#include "lib/forward.h"
#include "lib/options.h"

#include <math.h>
#include <stdlib.h>

static const ortho_form info_form = {
    .name = "ortho_pass_info",
    .least = sizeof(ortho_pass_info),
    .bytes = sizeof(ortho_pass_info),
};

/* ---- what the caller gave -------------------------------------------------------------------- */

/* `outputs`: of the steps before it. */
static ortho_status check_step(const ortho_pass_step *step, int i, int64_t outputs)
{
    const int64_t k = step->layer->facts.k;
    if (!isfinite(step->scale))
        return ortho_fail(ORTHO_E_ARGUMENT, "step %d: scale is %g; it must be finite", i,
                          (double)step->scale);
    if (step->x_at < -1 || (step->x_at >= 0 && step->x_at > outputs - k))
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "step %d: x_at is %lld and k %lld, but the steps before it give %lld "
                          "outputs; x_at is -1 for the pass's x",
                          i, (long long)step->x_at, (long long)k, (long long)outputs);
    return ORTHO_OK;
}

static ortho_status check_call(const ortho_pass_step *steps, int32_t count, ortho_dtype dtype)
{
    if (steps == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_pass_create: steps is NULL");
    if (count < 1 || count > ORTHO_PASS_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "count is %d; it must be 1 to %d", (int)count,
                          ORTHO_PASS_MAX);
    return ortho_forward_check_dtype(dtype);
}

/* ---- making ---------------------------------------------------------------------------------- */

static ortho_status add_links(ortho_pass *pass, const ortho_pass_step *steps)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < pass->count && status == ORTHO_OK; i++) {
        const ortho_layer *layer = steps[i].layer;
        status = ortho_forward_check_together(steps[0].layer, layer, "step", i);
        if (status == ORTHO_OK)
            status = check_step(&steps[i], i, pass->n);
        if (status != ORTHO_OK)
            return status;
        pass->links[i] = (ortho_pass_link){
            .layer = layer, .x_at = steps[i].x_at, .y_at = pass->n, .scale = steps[i].scale};
        pass->n += layer->facts.n;
        if (steps[i].x_at < 0 && layer->facts.k > pass->k)
            pass->k = layer->facts.k;
    }
    return status;
}

static const ortho_variant *variant_of(const ortho_pass *pass, int i)
{
    return ortho_forward_server(pass->links[i].layer, 1)->variant;
}

/* The variant that serves every layer and has chains; without one a GPU can't. */
static ortho_status choose_variant(ortho_pass *pass)
{
    const ortho_variant *first = variant_of(pass, 0);
    const bool gpu = pass->links[0].layer->gpu != NULL;
    char names[256];
    int i = 1;
    while (i < pass->count && variant_of(pass, i) == first)
        i++;
    if (i == pass->count && first->gemm->chain != NULL)
        pass->variant = first;
    if (pass->variant != NULL || !gpu)
        return ORTHO_OK;
    ortho_choice_chains(ORTHO_CUDA, names);
    if (i < pass->count)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "step %d is served by %s and step 0 by %s: a pass on a GPU wants one "
                          "variant for all; ask for it when the layers are made, of: %s",
                          i, variant_of(pass, i)->name, first->name, names);
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "%s, which serves the layers, runs no passes on a GPU; ask for another "
                      "when the layers are made, of: %s",
                      first->name, names);
}

static ortho_services services_of(ortho_pass *pass)
{
    return pass->gpu != NULL ? ortho_gpu_services(pass->gpu, pass->threads)
                             : ortho_account_services(&pass->account, pass->threads);
}

static ortho_status prepare_chain(ortho_pass *pass)
{
    const ortho_chain_hooks *hooks = pass->variant->gemm->chain;
    const ortho_services services = services_of(pass);
    ortho_chain_step *steps = malloc((size_t)pass->count * sizeof *steps);
    const ortho_chain_problem problem = {
        .steps = steps, .count = pass->count, .dtype = pass->dtype};
    void *state = NULL;
    if (steps == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the steps of a pass");
    for (int i = 0; i < pass->count; i++) {
        const ortho_pass_link *link = &pass->links[i];
        steps[i] = (ortho_chain_step){.state = ortho_forward_server(link->layer, 1)->state,
                                      .n = link->layer->facts.n,
                                      .k = link->layer->facts.k,
                                      .x_at = link->x_at,
                                      .scale = link->scale};
    }
    ortho_status status = ortho_state_new(pass->variant, hooks->state_size, &state);
    if (status == ORTHO_OK)
        status = hooks->prepare(state, &problem, &services);
    free(steps);
    if (status != ORTHO_OK)
        free(state);
    else
        pass->chain = state;
    return status;
}

/* In the scope of the layers' device. */
static ortho_status prepare(ortho_pass *pass)
{
    ortho_status status = ORTHO_OK;
    if (pass->links[0].layer->gpu != NULL)
        status = ortho_gpu_open(&pass->account, &pass->gpu);
    if (status != ORTHO_OK || pass->variant == NULL)
        return status;
    status = prepare_chain(pass);
    if (status == ORTHO_E_UNSUPPORTED && pass->gpu == NULL) {
        pass->variant = NULL; /* not these steps: in turn */
        return ORTHO_OK;
    }
    if (status != ORTHO_OK)
        status = ortho_fail_prefix(status, "a pass by %s", pass->variant->name);
    return status;
}

static ortho_status build(ortho_pass *pass, const ortho_pass_step *steps)
{
    ortho_gpu_scope scope;
    pass->pool = ortho_pool_new();
    pass->links = calloc((size_t)pass->count, sizeof *pass->links);
    if (pass->pool == NULL || pass->links == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a pass");
    ortho_status status = add_links(pass, steps);
    pass->threads = pass->links[0].layer != NULL ? pass->links[0].layer->threads : 1;
    if (status == ORTHO_OK)
        status = choose_variant(pass);
    if (status == ORTHO_OK)
        status = ortho_layer_enter(steps[0].layer, &scope);
    if (status != ORTHO_OK)
        return status;
    status = prepare(pass);
    ortho_layer_leave(steps[0].layer, &scope);
    return status;
}

ORTHO_API ortho_status ortho_pass_create(const ortho_pass_step *steps, int32_t count,
                                         ortho_dtype dtype, ortho_pass **out)
{
    ortho_status status = check_call(steps, count, dtype);
    if (status == ORTHO_OK && out == NULL)
        status = ortho_fail(ORTHO_E_ARGUMENT, "ortho_pass_create: out is NULL");
    if (status != ORTHO_OK)
        return status;
    ortho_pass *pass = calloc(1, sizeof *pass);
    if (pass == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a pass");
    pass->count = count;
    pass->dtype = dtype;
    status = build(pass, steps);
    if (status != ORTHO_OK)
        ortho_pass_free(pass);
    else
        *out = pass;
    return status;
}

/* ---- forward --------------------------------------------------------------------------------- */

static ortho_status run_chain(const ortho_pass *pass, const void *x, void *y, void *stream)
{
    const ortho_chain_hooks *hooks = pass->variant->gemm->chain;
    const size_t bytes = hooks->workspace != NULL ? hooks->workspace(pass->chain) : 0;
    float alpha[ORTHO_PASS_MAX];
    ortho_gpu_lease lease = {0};
    ortho_chain_call call = {.x = x, .y = y, .alpha = alpha, .stream = stream};
    ortho_status status = ORTHO_OK, given = ORTHO_OK;
    for (int i = 0; i < pass->count; i++)
        alpha[i] = pass->links[i].layer->alpha;
    if (pass->gpu != NULL)
        status = ortho_gpu_take(pass->gpu, bytes, stream, &lease);
    else if ((lease.memory = ortho_pool_take(pass->pool, bytes)) == NULL)
        status = ORTHO_E_MEMORY;
    if (status != ORTHO_OK)
        return status;
    call.workspace = lease.memory;
    status = hooks->run(pass->chain, &call);
    if (pass->gpu != NULL)
        given = ortho_gpu_give(pass->gpu, &lease);
    else
        ortho_pool_give(pass->pool, lease.memory);
    return status != ORTHO_OK ? status : given;
}

static ortho_status check_forward(const ortho_pass *pass, const void *x, const void *y,
                                  const void *stream)
{
    if (pass == NULL || x == NULL || y == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_pass_forward: %s is NULL",
                          pass == NULL ? "pass"
                          : x == NULL  ? "x"
                                       : "y");
    const size_t bytes = ortho_dtype_bytes(pass->dtype);
    ortho_status status = ortho_forward_check_stream(pass->links[0].layer, stream);
    if (status == ORTHO_OK &&
        ortho_forward_overlap(x, (size_t)pass->k * bytes, y, (size_t)pass->n * bytes))
        status = ortho_fail(ORTHO_E_ARGUMENT, "x and y overlap");
    return status;
}

ORTHO_API ortho_status ortho_pass_forward(const ortho_pass *pass, const void *x, void *y,
                                          void *stream)
{
    ortho_gpu_scope scope;
    ortho_status status = check_forward(pass, x, y, stream);
    if (status != ORTHO_OK)
        return status;
    const ortho_layer *first = pass->links[0].layer;
    status = ortho_layer_enter(first, &scope);
    if (status != ORTHO_OK)
        return status;
    status = ortho_forward_check_sides(first, x, y);
    if (status == ORTHO_OK)
        status = pass->variant != NULL ? run_chain(pass, x, y, stream)
                                       : ortho_pass_run_in_turn(pass, x, y);
    ortho_layer_leave(first, &scope);
    return status;
}

ORTHO_API ortho_status ortho_pass_inspect(const ortho_pass *pass, ortho_pass_info *info)
{
    if (pass == NULL || info == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_pass_inspect: %s is NULL",
                          pass == NULL ? "pass" : "info");
    ortho_pass_info all = {
        .k = pass->k,
        .n = pass->n,
        .count = pass->count,
        .device = pass->gpu != NULL ? ORTHO_DEVICE_CUDA : ORTHO_DEVICE_CPU,
        .variant = pass->variant != NULL ? pass->variant->name : NULL,
    };
    for (int p = 0; p < ORTHO_PURPOSES; p++)
        all.bytes += ortho_account_current(&pass->account, (ortho_purpose)p);
    return ortho_info_write(&info_form, &all, info);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* In the scope of the pass's own device: its layers may be gone. */
static void release_chain(ortho_pass *pass)
{
    const ortho_services services = services_of(pass);
    ortho_gpu_scope scope;
    if (pass->gpu != NULL && ortho_gpu_enter(pass->gpu, &scope) != ORTHO_OK)
        return;
    if (pass->gpu != NULL)
        ortho_gpu_settle(pass->gpu); /* the chain may still be read */
    pass->variant->gemm->chain->release(pass->chain, &services);
    if (pass->gpu != NULL)
        ortho_gpu_leave(&scope);
}

ORTHO_API void ortho_pass_free(ortho_pass *pass)
{
    if (pass == NULL)
        return;
    if (pass->chain != NULL)
        release_chain(pass);
    free(pass->chain);
    ortho_gpu_close(pass->gpu);
    ortho_pool_free(pass->pool);
    free(pass->links);
    free(pass);
}
