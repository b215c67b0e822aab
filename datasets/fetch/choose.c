#include "datasets/fetch/choose.h"

#include "common/error.h"
#include "datasets/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ortho_status ortho_fetch_spec(const char *spec, ortho_hub_spec *out)
{
    json_t *registry;
    ortho_status status = ortho_registry_load(&registry);
    if (status != ORTHO_OK)
        return status;
    const json_t *model = ortho_registry_by_name(registry, spec);
    const char *hub = json_string_value(json_array_get(json_object_get(model, "hub"), 0));
    if (model && !hub)
        status =
            ortho_fail(ORTHO_E_ARGUMENT, "%s is not on the hub: scripts/setup fetches it", spec);
    else
        status = ortho_hub_spec_parse(hub ? hub : spec, out);
    json_decref(registry);
    return status;
}

ortho_status ortho_fetch_notice(const char *repository, char licence[128], char **notice)
{
    json_t *registry;
    ortho_status status = ortho_registry_load(&registry);
    if (status != ORTHO_OK)
        return status;
    const json_t *model = ortho_registry_by_hub(registry, repository);
    char *copy = strdup(ortho_registry_text(model, "notice"));
    if (copy) {
        snprintf(licence, 128, "%s", ortho_registry_text(model, "licence"));
        *notice = copy;
    } else {
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a notice");
    }
    json_decref(registry);
    return status;
}

/* ---- choosing -------------------------------------------------------------------------------- */

typedef struct choice {
    const ortho_fetch_request *request;
    const json_t *registry;
    size_t scheme;
    json_t *wanted;
    bool *layer_found; /* [layer_count] */
    bool proj_found[ORTHO_PROJ_COUNT], proj_there[ORTHO_PROJ_COUNT];
    int low, high; /* the model's layers */
} choice;

/* The first scheme that names one of them, as slices.c has it. */
static bool find_scheme(choice *c, json_t *names)
{
    int proj, layer;
    const char *name;
    json_t *value;
    for (c->scheme = 0; c->scheme < ortho_registry_schemes(c->registry); c->scheme++)
        json_object_foreach(names, name, value)
        {
            if (ortho_registry_parse_name(c->registry, c->scheme, name, &proj, &layer))
                return true;
        }
    return false;
}

static bool layer_wanted(choice *c, int layer)
{
    const ortho_fetch_request *r = c->request;
    if (r->layer_count == 0)
        return layer == 0;
    for (int i = 0; i < r->layer_count; i++)
        if (r->layers[i] == layer) {
            c->layer_found[i] = true;
            return true;
        }
    return false;
}

static bool proj_wanted(choice *c, int proj)
{
    const ortho_fetch_request *r = c->request;
    bool all = r->proj_count == 0;
    for (int i = 0; i < r->proj_count; i++) {
        all = all || strcmp(r->projs[i], "all") == 0;
        if (strcmp(r->projs[i], ortho_proj_names[proj]) == 0)
            c->proj_found[proj] = true;
    }
    return all || c->proj_found[proj];
}

static ortho_status consider(choice *c, const char *name, json_t *value)
{
    int proj, layer;
    if (!ortho_registry_parse_name(c->registry, c->scheme, name, &proj, &layer))
        return ORTHO_OK;
    c->low = c->low < 0 || layer < c->low ? layer : c->low;
    c->high = layer > c->high ? layer : c->high;
    c->proj_there[proj] = true;
    bool wanted = layer_wanted(c, layer);
    wanted = proj_wanted(c, proj) && wanted;
    if (wanted && json_object_set(c->wanted, name, value) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to choose tensors");
    return ORTHO_OK;
}

static ortho_status check_projs(const choice *c)
{
    char words[128] = "";
    size_t used = 0;
    for (int p = 0; p < ORTHO_PROJ_COUNT; p++)
        if (c->proj_there[p])
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", used ? ", " : "",
                                     ortho_proj_names[p]);
    for (int i = 0; i < c->request->proj_count; i++) {
        const char *asked = c->request->projs[i];
        bool found = strcmp(asked, "all") == 0;
        for (int p = 0; p < ORTHO_PROJ_COUNT; p++)
            found = found || (c->proj_found[p] && strcmp(asked, ortho_proj_names[p]) == 0);
        if (!found)
            return ortho_fail(ORTHO_E_ARGUMENT, "--proj %s: this model has %s", asked, words);
    }
    return ORTHO_OK;
}

static ortho_status check_found(const choice *c)
{
    for (int i = 0; i < c->request->layer_count; i++)
        if (!c->layer_found[i])
            return ortho_fail(ORTHO_E_ARGUMENT, "--layers %d: this model has layers %d-%d",
                              c->request->layers[i], c->low, c->high);
    ortho_status status = check_projs(c);
    if (status == ORTHO_OK && json_object_size(c->wanted) == 0)
        status = ortho_fail(ORTHO_E_ARGUMENT,
                            "none of these projections in these layers (the model has layers "
                            "%d-%d)",
                            c->low, c->high);
    return status;
}

static ortho_status choose(choice *c, json_t *names)
{
    const char *name;
    json_t *value;
    if (!find_scheme(c, names))
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "none of its %zu tensors has the name of a linear layer that this tool "
                          "knows; --all fetches them all",
                          json_object_size(names));
    json_object_foreach(names, name, value)
    {
        ortho_status status = consider(c, name, value);
        if (status != ORTHO_OK)
            return status;
    }
    return check_found(c);
}

ortho_status ortho_fetch_choose(const ortho_fetch_request *request, json_t *names, json_t **out)
{
    json_t *registry;
    if (request->everything) {
        *out = json_incref(names);
        return ORTHO_OK;
    }
    ortho_status status = ortho_registry_load(&registry);
    if (status != ORTHO_OK)
        return status;
    choice c = {.request = request, .registry = registry, .low = -1, .high = -1};
    c.wanted = json_object();
    c.layer_found = calloc((size_t)request->layer_count + 1, sizeof *c.layer_found);
    status = c.wanted && c.layer_found ? choose(&c, names)
                                       : ortho_fail(ORTHO_E_MEMORY, "no memory to choose tensors");
    if (status == ORTHO_OK)
        *out = json_incref(c.wanted);
    free(c.layer_found);
    json_decref(c.wanted);
    json_decref(registry);
    return status;
}
