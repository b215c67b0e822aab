/* Layers from the canonical split, and back. */
#include "common/error.h"
#include "kernels/split.h"
#include "lib/layer.h"
#include "lib/options.h"

#include <stddef.h>
#include <stdio.h>

static const ortho_form options_form = {
    .name = "ortho_layer_options",
    .least = offsetof(ortho_layer_options, variant),
    .bytes = sizeof(ortho_layer_options),
};

ortho_layer_facts ortho_facts_of_split(const ortho_split *split)
{
    ortho_layer_facts facts = {
        .n = split->n,
        .k = split->k,
        .nnz = split->nnz,
        .group = split->group,
        .rule = ORTHO_RULE_OUTLIER, /* nobody said; the arrays mean the same under any */
        .density = (double)split->nnz / ((double)split->n * (double)split->k),
    };
    snprintf(facts.source, sizeof facts.source, "%s", ORTHO_NO_HASH);
    return facts;
}

ortho_status ortho_layer_of(const ortho_layer_facts *facts, const ortho_split *split,
                            const ortho_layer_options *options, ortho_layer **out)
{
    ortho_layer_options o = {0};
    ortho_layer *layer = NULL;
    int32_t device = ORTHO_DEVICE_CPU;
    ortho_status status = ORTHO_OK;
    if (options != NULL)
        status = ortho_options_read(&options_form, options, &o);
    if (status == ORTHO_OK && o.threads < 0)
        status = ortho_fail(ORTHO_E_ARGUMENT, "threads is %d; it must be >= 0", (int)o.threads);
    if (status == ORTHO_OK)
        status = ortho_activations_check(o.activations, o.unused);
    if (status == ORTHO_OK)
        status = ortho_device_settle(o.device, ortho_device_at_hand(), &device);
    if (status == ORTHO_OK)
        status = ortho_layer_new(facts, device, o.threads, &layer);
    if (status != ORTHO_OK)
        return status;
    status = ortho_layer_ask(layer, o.variant, (ortho_activation_mode)o.activations);
    if (status == ORTHO_OK)
        status = ortho_layer_serve(layer, split);
    if (status != ORTHO_OK)
        ortho_layer_free(layer);
    else
        *out = layer;
    return status;
}

/* The name of an array that isn't there; NULL: all that must be are. */
static const char *missing_array(const ortho_split *s)
{
    return s->q == NULL                   ? "q"
           : s->scale == NULL             ? "scale"
           : s->row_ptr == NULL           ? "row_ptr"
           : s->col == NULL && s->nnz > 0 ? "col"
           : s->val == NULL && s->nnz > 0 ? "val"
                                          : NULL;
}

ORTHO_API ortho_status ortho_layer_from_split(const ortho_split *split,
                                              const ortho_layer_options *options, ortho_layer **out)
{
    if (split == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_from_split: %s is NULL",
                          split == NULL ? "split" : "out");
    const char *missing = missing_array(split);
    if (missing != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "split.%s is NULL", missing);
    ortho_status status = ortho_split_check(split);
    if (status != ORTHO_OK)
        return status;
    const ortho_layer_facts facts = ortho_facts_of_split(split);
    return ortho_layer_of(&facts, split, options, out);
}

ORTHO_API ortho_status ortho_layer_export(const ortho_layer *layer, ortho_split *out)
{
    if (layer == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_export: %s is NULL",
                          layer == NULL ? "layer" : "out");
    const ortho_layer_facts *f = &layer->facts;
    if (out->n != f->n || out->k != f->k || out->nnz != f->nnz || out->group != f->group)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "the split is %lld x %lld with %lld entries, group %lld; the layer has "
                          "%lld x %lld, %lld, %lld",
                          (long long)out->n, (long long)out->k, (long long)out->nnz,
                          (long long)out->group, (long long)f->n, (long long)f->k,
                          (long long)f->nnz, (long long)f->group);
    const char *missing = missing_array(out);
    if (missing != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "split.%s is NULL", missing);
    ortho_gpu_scope scope;
    /* Booking temporaries is all that the account of a layer goes through here, and it is atomic.
     */
    ortho_services services = ortho_layer_services((ortho_layer *)(uintptr_t)layer);
    ortho_status status = ortho_layer_enter(layer, &scope);
    if (status != ORTHO_OK)
        return status;
    const ortho_server *server = &layer->server[0];
    status = server->variant->gemm->export_split(server->state, out, &services);
    ortho_layer_leave(layer, &scope);
    return status;
}
