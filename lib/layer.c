/* The handle: what a layer holds, what it tells of itself, and how it ends. */
#include "lib/layer.h"

#include "common/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ORTHO_API int ortho_version(void)
{
    return ORTHO_VERSION_MAJOR * 10000 + ORTHO_VERSION_MINOR * 100 + ORTHO_VERSION_PATCH;
}

static void release_server(ortho_server *server, const ortho_services *services)
{
    server->variant->gemm->release(server->state, services);
    free(server->state);
}

/* State is aligned to 64 bytes and zeroed, as variant.h promises. */
static ortho_status prepare_server(const ortho_variant *variant, const ortho_gemm_problem *problem,
                                   const ortho_services *services, ortho_server *out)
{
    size_t bytes = (variant->gemm->state_size + 64) / 64 * 64;
    void *state = aligned_alloc(64, bytes);
    if (state == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the state of %s", variant->name);
    memset(state, 0, bytes);
    ortho_status status = variant->gemm->prepare(state, problem, services);
    if (status != ORTHO_OK) {
        free(state);
        return status;
    }
    *out = (ortho_server){.variant = variant, .state = state};
    return ORTHO_OK;
}

ortho_status ortho_layer_serve(ortho_layer *layer, const ortho_split *split)
{
    ortho_services services = ortho_account_services(&layer->account, layer->threads);
    ortho_gemm_problem problem = {.n = layer->n,
                                  .k = layer->k,
                                  .m = ORTHO_LAYER_TOKENS,
                                  .nnz = layer->nnz,
                                  .group = layer->group,
                                  .dtype = ORTHO_F32};
    ortho_status status = ORTHO_OK;
    for (int c = 0; c < ORTHO_BATCH_CLASSES; c++) {
        const ortho_variant *variant = NULL;
        problem.split = NULL;
        status = ortho_choose(&problem, c, &services, &variant);
        if (status != ORTHO_OK)
            break;
        int count = layer->server_count;
        if (count == 0 || layer->server[count - 1].variant != variant) {
            problem.split = split;
            status = prepare_server(variant, &problem, &services, &layer->server[count]);
            if (status != ORTHO_OK)
                break;
            count = ++layer->server_count;
        } /* else one copy of the weights serves both classes */
        layer->server[count - 1].max_m = ortho_batch_class_tokens(c);
    }
    if (status != ORTHO_OK)
        while (layer->server_count > 0)
            release_server(&layer->server[--layer->server_count], &services);
    return status;
}

ORTHO_API ortho_status ortho_layer_set_alpha(ortho_layer *layer, float alpha)
{
    if (layer == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_set_alpha: layer is NULL");
    if (!isfinite(alpha))
        return ortho_fail(ORTHO_E_ARGUMENT, "alpha is %g; it must be finite", (double)alpha);
    layer->alpha = alpha;
    return ORTHO_OK;
}

ORTHO_API ortho_status ortho_layer_inspect(const ortho_layer *layer, ortho_layer_info *info)
{
    if (layer == NULL || info == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_inspect: %s is NULL",
                          layer == NULL ? "layer" : "info");
    if (info->size < sizeof *info)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "ortho_layer_info.size is %zu; set it to sizeof(ortho_layer_info), %zu",
                          info->size, sizeof *info);
    *info = (ortho_layer_info){
        .size = info->size,
        .n = layer->n,
        .k = layer->k,
        .nnz = layer->nnz,
        .group = (int32_t)layer->group,
        .rule = layer->rule,
        .alpha = layer->alpha,
        .bytes = ortho_account_current(&layer->account, ORTHO_WEIGHTS),
        .variant = layer->server[0].variant->name,
    };
    return ORTHO_OK;
}

ORTHO_API void ortho_layer_free(ortho_layer *layer)
{
    if (layer == NULL)
        return;
    ortho_services services = ortho_account_services(&layer->account, 1);
    while (layer->server_count > 0)
        release_server(&layer->server[--layer->server_count], &services);
    ortho_pool_free(layer->pool);
    free(layer);
}
