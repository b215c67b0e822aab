/*
 * ortho_layer_sieve: checks what the caller gave, streams the weights through the sieve into the
 * canonical split, lets the chosen variant pack it, and forgets the split.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/sieve_csr.h"
#include "lib/layer.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

static const ortho_sieve_options defaults = {
    .size = sizeof(ortho_sieve_options),
    .density = 0.01,
    .rule = ORTHO_RULE_OUTLIER,
    .group = 128,
};

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

/* Fields that a later version added must be zero: this one can't honour them. */
static ortho_status check_size(const ortho_sieve_options *o)
{
    if (o->size < sizeof *o)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "options.size is %zu; set it to sizeof(ortho_sieve_options), %zu",
                          o->size, sizeof *o);
    for (size_t i = sizeof *o; i < o->size; i++)
        if (((const unsigned char *)o)[i] != 0)
            return ortho_fail(ORTHO_E_UNSUPPORTED,
                              "options ask for something that this version doesn't know");
    return ORTHO_OK;
}

static ortho_status check_options(const ortho_sieve_options *o)
{
    ortho_status status = check_size(o);
    if (status != ORTHO_OK)
        return status;
    if (!(o->density >= 0.0 && o->density <= 1.0))
        return ortho_fail(ORTHO_E_ARGUMENT, "density is %g; it must be 0 to 1", o->density);
    if (o->rule != ORTHO_RULE_OUTLIER && o->rule != ORTHO_RULE_RESIDUAL &&
        o->rule != ORTHO_RULE_LEGACY)
        return ortho_fail(ORTHO_E_ARGUMENT, "rule is %d, which is none", (int)o->rule);
    if (o->group != 0 && o->group != 32 && o->group != 64 && o->group != 128)
        return ortho_fail(ORTHO_E_ARGUMENT, "group is %d; it must be 32, 64, 128, or 0 for the row",
                          (int)o->group);
    if (o->threads < 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "threads is %d; it must be >= 0", (int)o->threads);
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

/* NULL with the message left when there is no memory. */
static ortho_layer *layer_new(const ortho_sieve_problem *problem, int threads)
{
    ortho_layer *layer = calloc(1, sizeof *layer);
    ortho_pool *pool = ortho_pool_new();
    if (layer == NULL || pool == NULL) {
        ortho_pool_free(pool);
        free(layer);
        ortho_fail(ORTHO_E_MEMORY, "no memory for a layer");
        return NULL;
    }
    layer->n = problem->w->rows;
    layer->k = problem->w->cols;
    layer->nnz = problem->nnz;
    layer->group = ortho_sieve_group(problem);
    layer->rule = problem->rule;
    layer->alpha = 1.0f;
    layer->threads = threads > 0 ? threads : omp_get_max_threads();
    layer->pool = pool;
    return layer;
}

static ortho_status sieve_checked(const ortho_sieve_problem *problem, int threads,
                                  ortho_layer **out)
{
    ortho_layer *layer = layer_new(problem, threads);
    if (layer == NULL)
        return ORTHO_E_MEMORY;
    ortho_services services = ortho_account_services(&layer->account, layer->threads);
    ortho_sieve_csr sieve = {0};
    ortho_status status = ortho_sieve_csr_prepare(&sieve, problem, &services);
    if (status != ORTHO_OK)
        goto free_layer;
    status = ortho_sieve_csr_run(&sieve, problem, ORTHO_WALK_VECTOR, &services);
    if (status == ORTHO_OK)
        status = ortho_layer_serve(layer, &sieve.split);
    ortho_sieve_csr_release(&sieve, &services);
    if (status != ORTHO_OK)
        goto free_layer;
    *out = layer;
    return ORTHO_OK;
free_layer:
    ortho_layer_free(layer);
    return status;
}

ORTHO_API ortho_status ortho_layer_sieve(const ortho_matrix *w, const float *hessian,
                                         const ortho_sieve_options *options, ortho_layer **out)
{
    if (w == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_sieve: %s is NULL",
                          w == NULL ? "w" : "out");
    if (options == NULL)
        options = &defaults;
    ortho_status status = check_matrix(w);
    if (status == ORTHO_OK)
        status = check_options(options);
    if (status == ORTHO_OK)
        status = check_hessian(hessian, w->cols);
    if (status != ORTHO_OK)
        return status;
    const ortho_sieve_problem problem = {
        .w = w,
        .hessian = hessian,
        .density = options->density,
        .nnz = ortho_sieve_budget(options->density, w->rows, w->cols),
        .rule = options->rule,
        .group = options->group == 0 ? w->cols : options->group,
    };
    return sieve_checked(&problem, options->threads, out);
}
