/*
 * ortho_layer_sieve: checks what the caller gave, sieves the weights on the layer's device into the
 * canonical split, lets the chosen variant pack it, and forgets the split.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/sieve_csr.h"
#include "kernels/split.h"
#include "lib/layer.h"
#include "lib/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what the caller gave -------------------------------------------------------------------- */

static ortho_status check_matrix(const ortho_matrix *w)
{
    if (w->data == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "w.data is NULL");
    if (w->rows < 1 || w->cols < 1)
        return ortho_fail(ORTHO_E_ARGUMENT, "w is %lld x %lld; both must be >= 1",
                          (long long)w->rows, (long long)w->cols);
    if (w->stride < w->cols)
        return ortho_fail(ORTHO_E_ARGUMENT, "w.stride is %lld; it must be >= cols, %lld",
                          (long long)w->stride, (long long)w->cols);
    if (w->rows > INT32_MAX - 1 || w->cols > INT32_MAX || w->stride > INT64_MAX / 4 / w->rows)
        return ortho_fail(ORTHO_E_ARGUMENT, "w is %lld x %lld with stride %lld: too large",
                          (long long)w->rows, (long long)w->cols, (long long)w->stride);
    if (w->dtype != ORTHO_F32 && w->dtype != ORTHO_F16 && w->dtype != ORTHO_BF16)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "weights of dtype %s: only F32, F16 and BF16 can be",
                          ortho_dtype_name(w->dtype));
    return ORTHO_OK;
}

static ortho_status check_hessian(const float *hessian, int64_t k)
{
    for (int64_t i = 0; hessian != NULL && i < k; i++)
        if (!isfinite(hessian[i]) || hessian[i] < 0.0f)
            return ortho_fail(isfinite(hessian[i]) ? ORTHO_E_ARGUMENT : ORTHO_E_NONFINITE,
                              "hessian[%lld] is %g; it must be finite and >= 0", (long long)i,
                              (double)hessian[i]);
    return ORTHO_OK;
}

/* ---- the sieve ------------------------------------------------------------------------------- */

/* W where the layer's device reads it: the caller's own, or a copy (`*copy`, of the services). */
static ortho_status bring_matrix(ortho_layer *layer, const ortho_services *services,
                                 ortho_matrix *w, void **copy)
{
    int ordinal = -1;
    ortho_memory memory = ortho_gpu_memory(w->data, &ordinal);
    size_t bytes = (size_t)(w->rows * w->cols) * (w->dtype == ORTHO_F32 ? 4 : 2);
    if (memory == ORTHO_MEMORY_DEVICE && layer->gpu != NULL &&
        ordinal != ortho_gpu_ordinal(layer->gpu))
        return ortho_fail(ORTHO_E_ARGUMENT, "w lies on GPU %d, but the thread's current one is %d",
                          ordinal, ortho_gpu_ordinal(layer->gpu));
    bool reached = layer->gpu == NULL
                       ? memory != ORTHO_MEMORY_DEVICE
                       : memory == ORTHO_MEMORY_DEVICE || memory == ORTHO_MEMORY_MANAGED;
    if (reached) /* whoever writes it on the GPU must have ended */
        return memory >= ORTHO_MEMORY_MANAGED ? ortho_gpu_wait() : ORTHO_OK;
    *copy = services->alloc(services->ctx, bytes, layer->gpu != NULL ? ORTHO_DEVICE : ORTHO_HOST,
                            ORTHO_WORKING);
    if (*copy == NULL)
        return ORTHO_E_MEMORY;
    ortho_status status = ortho_gpu_gather(w, *copy);
    w->stride = w->cols;
    w->data = *copy;
    return status;
}

static ortho_status sieve_cpu(ortho_layer *layer, const ortho_sieve_problem *problem,
                              const ortho_services *services)
{
    ortho_sieve_csr sieve = {0};
    ortho_status status = ortho_sieve_csr_prepare(&sieve, problem, services);
    if (status != ORTHO_OK)
        return status;
    status = ortho_sieve_csr_run(&sieve, problem, ORTHO_WALK_VECTOR, services);
    if (status == ORTHO_OK)
        status = ortho_layer_serve(layer, &sieve.split);
    ortho_sieve_csr_release(&sieve, services);
    return status;
}

/* Runs a variant's sieve and fetches what it made into `out`. */
static ortho_status run_hooks(const ortho_variant *v, const ortho_sieve_problem *problem,
                              const ortho_services *services, ortho_split *out)
{
    const ortho_sieve_hooks *hooks = v->sieve;
    void *state = NULL;
    ortho_status status = hooks->supports == NULL ? ORTHO_OK : hooks->supports(problem, services);
    if (status == ORTHO_OK)
        status = ortho_state_new(v, hooks->state_size, &state);
    if (status == ORTHO_OK)
        status = hooks->prepare(state, problem, services);
    if (status != ORTHO_OK) {
        free(state);
        return status;
    }
    status = hooks->run(state, problem, services);
    if (status == ORTHO_OK)
        status = hooks->export_split(state, out, services);
    hooks->release(state, services);
    free(state);
    return status;
}

/* On the GPU one variant sieves for all, whoever serves. The split passes through the host once: a
 * variant packs from there. */
static ortho_status sieve_gpu(const ortho_layer *layer, const ortho_sieve_problem *problem,
                              const ortho_services *services, ortho_split *split)
{
    const ortho_layer_facts *f = &layer->facts;
    const ortho_variant *v = NULL;
    ortho_status status = ortho_choose_sieve(ORTHO_CUDA, &v);
    if (status == ORTHO_OK)
        status = ortho_split_alloc(f->n, f->k, f->group, f->nnz, services, ORTHO_WORKING, split);
    return status == ORTHO_OK ? run_hooks(v, problem, services, split) : status;
}

/* W's copy goes before the weights are packed: they never are in memory together. */
static ortho_status sieve_matrix(ortho_layer *layer, const ortho_sieve_problem *asked)
{
    const ortho_services services = ortho_layer_services(layer);
    ortho_matrix w = *asked->w;
    ortho_sieve_problem problem = *asked;
    ortho_split split = {0};
    void *copy = NULL;
    ortho_status status = bring_matrix(layer, &services, &w, &copy);
    problem.w = &w;
    if (status == ORTHO_OK)
        status = layer->gpu == NULL ? sieve_cpu(layer, &problem, &services)
                                    : sieve_gpu(layer, &problem, &services, &split);
    services.free(services.ctx, copy);
    if (status == ORTHO_OK && layer->gpu != NULL)
        status = ortho_layer_serve(layer, &split);
    ortho_split_free(&split, &services);
    return status;
}

static ortho_status sieve_checked(const ortho_sieve_problem *problem,
                                  const ortho_sieve_options *options, int32_t device,
                                  ortho_layer **out)
{
    ortho_layer_facts facts = {.n = problem->w->rows,
                               .k = problem->w->cols,
                               .nnz = problem->nnz,
                               .group = ortho_sieve_group(problem),
                               .rule = problem->rule,
                               .density = problem->density};
    ortho_layer *layer = NULL;
    ortho_gpu_scope scope;
    snprintf(facts.hessian, sizeof facts.hessian, "%s",
             problem->hessian == NULL ? "weights" : "caller");
    snprintf(facts.source, sizeof facts.source, "%s", ORTHO_NO_HASH);
    ortho_status status = ortho_layer_new(&facts, device, options->threads, &layer);
    if (status == ORTHO_OK)
        status =
            ortho_layer_ask(layer, options->variant, (ortho_activation_mode)options->activations);
    if (status == ORTHO_OK)
        status = ortho_layer_enter(layer, &scope);
    if (status == ORTHO_OK) {
        status = sieve_matrix(layer, problem);
        ortho_layer_leave(layer, &scope);
    }
    if (status != ORTHO_OK)
        ortho_layer_free(layer);
    else
        *out = layer;
    return status;
}

/* AUTO: where W lies. */
static ortho_status settle_device(const ortho_matrix *w, int32_t asked, int32_t *device)
{
    ortho_memory memory = ortho_gpu_memory(w->data, NULL);
    bool gpu = memory == ORTHO_MEMORY_DEVICE || memory == ORTHO_MEMORY_MANAGED;
    return ortho_device_settle(asked, gpu ? ORTHO_DEVICE_CUDA : ORTHO_DEVICE_CPU, device);
}

ORTHO_API ortho_status ortho_layer_sieve(const ortho_matrix *w, const float *hessian,
                                         const ortho_sieve_options *options, ortho_layer **out)
{
    ortho_sieve_options o;
    int32_t device = ORTHO_DEVICE_CPU;
    if (w == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_sieve: %s is NULL",
                          w == NULL ? "w" : "out");
    ortho_status status = check_matrix(w);
    if (status == ORTHO_OK)
        status = ortho_sieve_options_read(options, &o);
    if (status == ORTHO_OK)
        status = check_hessian(hessian, w->cols);
    if (status == ORTHO_OK)
        status = settle_device(w, o.device, &device);
    if (status != ORTHO_OK)
        return status;
    ortho_sieve_problem problem = {
        .w = w,
        .hessian = hessian,
        .density = o.density,
        .nnz = ortho_sieve_budget(o.density, w->rows, w->cols),
        .rule = o.rule,
        .group = o.group == 0 ? w->cols : o.group,
    };
    return sieve_checked(&problem, &o, device, out);
}
