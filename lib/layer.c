/* The handle: what a layer holds, what it tells of itself, and how it ends. */
#include "lib/layer.h"

#include "common/error.h"
#include "kernels/split.h"
#include "lib/options.h"

#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const ortho_form info_form = {
    .name = "ortho_layer_info",
    .least = offsetof(ortho_layer_info, device),
    .bytes = sizeof(ortho_layer_info),
};

/* ---- device ---------------------------------------------------------------------------------- */

int32_t ortho_device_at_hand(void)
{
    char why[256];
    return ortho_gpu_available(why) ? ORTHO_DEVICE_CUDA : ORTHO_DEVICE_CPU;
}

ortho_status ortho_device_settle(int32_t asked, int32_t automatic, int32_t *out)
{
    char why[256];
    if (asked != ORTHO_DEVICE_AUTO && asked != ORTHO_DEVICE_CPU && asked != ORTHO_DEVICE_CUDA)
        return ortho_fail(ORTHO_E_ARGUMENT, "device is %d, which is none", (int)asked);
    if (asked == ORTHO_DEVICE_CUDA && !ortho_gpu_available(why))
        return ortho_fail(ORTHO_E_UNSUPPORTED, "a layer on the GPU: %s", why);
    *out = asked == ORTHO_DEVICE_AUTO ? automatic : asked;
    return ORTHO_OK;
}

ortho_status ortho_layer_enter(const ortho_layer *layer, ortho_gpu_scope *scope)
{
    return layer->gpu != NULL ? ortho_gpu_enter(layer->gpu, scope) : ORTHO_OK;
}

void ortho_layer_leave(const ortho_layer *layer, const ortho_gpu_scope *scope)
{
    if (layer->gpu != NULL)
        ortho_gpu_leave(scope);
}

ortho_backend ortho_layer_backend(const ortho_layer *layer)
{
    return layer->gpu != NULL ? ORTHO_CUDA : ORTHO_CPU;
}

int64_t ortho_layer_tokens(const ortho_gpu *gpu)
{
    return gpu != NULL ? ORTHO_LAYER_TOKENS_GPU : ORTHO_LAYER_TOKENS;
}

ortho_services ortho_layer_services(ortho_layer *layer)
{
    return layer->gpu != NULL ? ortho_gpu_services(layer->gpu, layer->threads)
                              : ortho_account_services(&layer->account, layer->threads);
}

/* ---- making ---------------------------------------------------------------------------------- */

ortho_status ortho_layer_new(const ortho_layer_facts *facts, int32_t device, int32_t threads,
                             ortho_layer **out)
{
    ortho_status status = ORTHO_OK;
    ortho_layer *layer = calloc(1, sizeof *layer);
    if (layer == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a layer");
    layer->facts = *facts;
    layer->alpha = 1.0f;
    layer->threads = threads > 0 ? threads : omp_get_max_threads();
    layer->pool = ortho_pool_new();
    if (layer->pool == NULL)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a layer");
    else if (device == ORTHO_DEVICE_CUDA)
        status = ortho_gpu_open(&layer->account, &layer->gpu);
    if (status != ORTHO_OK)
        ortho_layer_free(layer);
    else
        *out = layer;
    return status;
}

ortho_status ortho_state_new(const ortho_variant *variant, size_t bytes, void **out)
{
    size_t padded = (bytes + 64) / 64 * 64;
    void *state = aligned_alloc(64, padded);
    if (state == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the state of %s", variant->name);
    *out = memset(state, 0, padded);
    return ORTHO_OK;
}

static void release_server(ortho_server *server, const ortho_services *services)
{
    server->variant->gemm->release(server->state, services);
    free(server->state);
}

static ortho_status prepare_server(const ortho_variant *variant, const ortho_gemm_problem *problem,
                                   const ortho_services *services, ortho_server *out)
{
    void *state = NULL;
    ortho_status status = ortho_state_new(variant, variant->gemm->state_size, &state);
    if (status == ORTHO_OK)
        status = variant->gemm->prepare(state, problem, services);
    if (status != ORTHO_OK)
        free(state);
    else
        *out = (ortho_server){.variant = variant, .state = state};
    return status;
}

ortho_gemm_problem ortho_layer_problem(const ortho_layer *layer)
{
    const ortho_layer_facts *f = &layer->facts;
    return (ortho_gemm_problem){.n = f->n,
                                .k = f->k,
                                .m = ortho_layer_tokens(layer->gpu),
                                .nnz = f->nnz,
                                .group = f->group,
                                .dtype = ORTHO_F32,
                                .activations = layer->activations};
}

/* In the scope of the layer. Without a name the choice is made again once there is a split: this
 * one only tells, before a long sieve, whether anybody takes such activations. */
static ortho_status ask(ortho_layer *layer, const char *variant)
{
    const ortho_gemm_problem problem = ortho_layer_problem(layer);
    const ortho_services services = ortho_layer_services(layer);
    const ortho_variant *somebody;
    const ortho_choice choice = {
        .problem = &problem, .backend = ortho_layer_backend(layer), .services = &services};
    return variant == NULL
               ? ortho_choose(&choice, &somebody)
               : ortho_choose_named(&problem, choice.backend, variant, &services, &layer->asked);
}

ortho_status ortho_layer_ask(ortho_layer *layer, const char *variant,
                             ortho_activation_mode activations)
{
    ortho_gpu_scope scope;
    layer->activations = activations;
    if (variant == NULL && activations == ORTHO_ACTIVATIONS_EXACT)
        return ORTHO_OK;
    ortho_status status = ortho_layer_enter(layer, &scope);
    if (status != ORTHO_OK)
        return status;
    status = ask(layer, variant);
    ortho_layer_leave(layer, &scope);
    return status;
}

/* One copy of the weights serves neighbouring classes that agree. */
static ortho_status add_server(ortho_layer *layer, const ortho_choice *choice,
                               const ortho_split *split)
{
    const ortho_variant *variant = layer->asked;
    int count = layer->server_count;
    ortho_status status = variant == NULL ? ortho_choose(choice, &variant) : ORTHO_OK;
    if (status != ORTHO_OK)
        return status;
    if (count == 0 || layer->server[count - 1].variant != variant) {
        ortho_gemm_problem problem = *choice->problem;
        problem.split = split;
        status = prepare_server(variant, &problem, choice->services, &layer->server[count]);
        if (status != ORTHO_OK)
            return status;
        count = ++layer->server_count;
    }
    layer->server[count - 1].max_m = ortho_batch_class_tokens(choice->batch_class);
    return ORTHO_OK;
}

static void release_servers(ortho_layer *layer)
{
    ortho_services services = ortho_layer_services(layer);
    while (layer->server_count > 0)
        release_server(&layer->server[--layer->server_count], &services);
}

/* By the table's choice without one of its variants (NULL: with all), unless one was asked for. */
static ortho_status add_servers(ortho_layer *layer, const ortho_split *split,
                                const ortho_variant *without)
{
    const ortho_gemm_problem problem = ortho_layer_problem(layer);
    const ortho_services services = ortho_layer_services(layer);
    ortho_choice choice = {.problem = &problem,
                           .backend = ortho_layer_backend(layer),
                           .without = without,
                           .services = &services};
    ortho_status status = ORTHO_OK;
    for (int c = 0; c < ORTHO_BATCH_CLASSES && status == ORTHO_OK; c++) {
        choice.batch_class = c;
        status = add_server(layer, &choice, split);
    }
    if (status != ORTHO_OK)
        release_servers(layer);
    return status;
}

/* A layer holds its weights once: so many times its bytes in an artifact, at most. Padding weighs
 * more on a layer of less than a MiB, and little on a machine. */
#define HELD_MOST  1.05
#define REAL_BYTES ((size_t)1 << 20)

static bool holds_too_much(const ortho_layer *layer, const ortho_split *split)
{
    const size_t artifact = ortho_split_base_bytes(split) + ortho_split_ortho_bytes(split);
    const size_t held = ortho_account_current(&layer->account, ORTHO_WEIGHTS);
    return artifact >= REAL_BYTES && (double)held > HELD_MOST * (double)artifact;
}

/* By the table's choice without its first, if that holds less; by the first again if not. One copy
 * goes before the next is made. */
static ortho_status serve_with_less(ortho_layer *layer, const ortho_split *split)
{
    const ortho_variant *first = layer->server[0].variant;
    release_servers(layer);
    if (add_servers(layer, split, first) == ORTHO_OK && !holds_too_much(layer, split))
        return ORTHO_OK;
    release_servers(layer);
    return add_servers(layer, split, NULL);
}

ortho_status ortho_layer_serve(ortho_layer *layer, const ortho_split *split)
{
    ortho_gpu_scope scope;
    ortho_status status = ortho_layer_enter(layer, &scope);
    if (status != ORTHO_OK)
        return status;
    status = add_servers(layer, split, NULL);
    if (status == ORTHO_OK && layer->asked == NULL && holds_too_much(layer, split))
        status = serve_with_less(layer, split);
    ortho_layer_leave(layer, &scope);
    return status;
}

/* ---- the handle ------------------------------------------------------------------------------ */

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
    const ortho_layer_info all = {
        .n = layer->facts.n,
        .k = layer->facts.k,
        .nnz = layer->facts.nnz,
        .group = (int32_t)layer->facts.group,
        .rule = layer->facts.rule,
        .alpha = layer->alpha,
        .bytes = ortho_account_current(&layer->account, ORTHO_WEIGHTS),
        .variant = layer->server[0].variant->name,
        .device = layer->gpu != NULL ? ORTHO_DEVICE_CUDA : ORTHO_DEVICE_CPU,
        .activations = layer->activations,
    };
    return ortho_info_write(&info_form, &all, info);
}

ORTHO_API void ortho_layer_free(ortho_layer *layer)
{
    ortho_gpu_scope scope;
    if (layer == NULL)
        return;
    if (ortho_layer_enter(layer, &scope) == ORTHO_OK) {
        if (layer->gpu != NULL)
            ortho_gpu_settle(layer->gpu); /* weights may still be read */
        release_servers(layer);
        ortho_layer_leave(layer, &scope);
    }
    ortho_gpu_close(layer->gpu);
    ortho_pool_free(layer->pool);
    free(layer);
}
