/* models.c: the known models, for listing and for choosing one when none was named. */
#include "common/error.h"
#include "datasets/datasets.h"
#include "datasets/registry.h"

#include <stdio.h>

#define FALLBACK "synthetic:llama-3.2-3b"

ortho_status ortho_models_each(void (*each)(void *ctx, const ortho_known_model *), void *ctx)
{
    json_t *registry;
    ortho_status status = ortho_registry_load(&registry);
    if (status != ORTHO_OK)
        return status;
    const json_t *models = json_object_get(registry, "models");
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *model = json_array_get(models, i);
        ortho_known_model known = {
            .name = ortho_registry_text(model, "name"),
            .summary = ortho_registry_text(model, "summary"),
            .licence = ortho_registry_text(model, "licence"),
            .attribution = ortho_registry_text(model, "attribution"),
        };
        known.at_hand = ortho_registry_locate(model, known.where);
        each(ctx, &known);
    }
    json_decref(registry);
    return ORTHO_OK;
}

ortho_status ortho_models_choose(char spec[1024], char why[512])
{
    json_t *registry;
    ortho_status status = ortho_registry_load(&registry);
    if (status != ORTHO_OK)
        return status;
    char missing[256] = "", where[ORTHO_PATH_SIZE];
    size_t used = 0;
    const json_t *models = json_object_get(registry, "models");
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *model = json_array_get(models, i);
        const char *name = ortho_registry_text(model, "name");
        if (!json_is_true(json_object_get(model, "chosen")))
            continue;
        if (ortho_registry_locate(model, where)) {
            snprintf(spec, 1024, "%s", name);
            if (used == 0)
                snprintf(why, 512, "%s is at hand, the model that this project is about.", name);
            else
                snprintf(why, 512, "%s is the best model at hand (%s is not).", name, missing);
            goto done;
        }
        int grown = snprintf(missing + used, sizeof missing - used, "%s%s", used ? ", " : "", name);
        if (grown > 0 && used + (size_t)grown < sizeof missing)
            used += (size_t)grown;
    }
    snprintf(spec, 1024, "%s", FALLBACK);
    snprintf(why, 512,
             "no trained model is at hand (looked for %s): " FALLBACK
             " makes weights at the shapes of Llama-3.2-3B; scripts/setup fetches a small trained "
             "one.",
             missing);
done:
    json_decref(registry);
    return ORTHO_OK;
}
