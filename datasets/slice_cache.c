#include "datasets/slice_cache.h"

#include "common/error.h"
#include "datasets/file.h"
#include "datasets/reject.h"
#include "datasets/slice_manifest.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "hf:"

bool ortho_hub_spec_is(const char *spec)
{
    return strncmp(spec, PREFIX, strlen(PREFIX)) == 0;
}

bool ortho_commit_valid(const char *text)
{
    return strlen(text) == ORTHO_COMMIT_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == ORTHO_COMMIT_SIZE - 1;
}

bool ortho_shard_name_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length < 200 && !strchr(name, '/') && !strstr(name, "..") &&
           name[0] != '.' && ortho_text_is_clean(name, length);
}

/* It becomes part of an URL and of a file's name: nothing that either could read otherwise. */
static bool revision_valid(const char *text)
{
    static const char legal[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    size_t length = strlen(text);
    return length > 0 && length < ORTHO_REVISION_SIZE && strspn(text, legal) == length &&
           !strchr("./-", text[0]) && text[length - 1] != '/' && !strstr(text, "..") &&
           !strstr(text, "//");
}

ortho_status ortho_hub_spec_parse(const char *spec, ortho_hub_spec *out)
{
    ortho_hub_spec s = {.revision = "main"};
    const char *name = ortho_hub_spec_is(spec) ? spec + strlen(PREFIX) : spec;
    const char *at = strchr(name, '@');
    size_t length = at ? (size_t)(at - name) : strlen(name);
    if (length < sizeof s.name)
        memcpy(s.name, name, length);
    if (!ortho_hub_name_valid(s.name) || strstr(s.name, "--"))
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "\"%.200s\": a model on the hub is written hf:org/name or "
                          "hf:org/name@revision",
                          spec);
    if (at && !revision_valid(at + 1))
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "\"%.200s\": a revision is a branch, a tag or a commit: letters, digits, "
                          "'.', '_', '-' and '/'",
                          spec);
    if (at)
        memcpy(s.revision, at + 1, strlen(at + 1) + 1);
    *out = s;
    return ORTHO_OK;
}

ortho_status ortho_slices_folder(const ortho_hub_spec *spec, char out[ORTHO_PATH_SIZE])
{
    char cache[ORTHO_PATH_SIZE];
    if (!ortho_cache_folder(cache))
        return ortho_fail(ORTHO_E_NOT_FOUND, "no folder for a cache: set ORTHO_CACHE or HOME");
    const char *slash = strchr(spec->name, '/');
    int length = snprintf(out, ORTHO_PATH_SIZE, "%s/slices/%.*s--%s", cache,
                          (int)(slash - spec->name), spec->name, slash + 1);
    /* Below it lie commits and shards, whose names have bounds of their own. */
    if (length < 0 || length + 300 >= ORTHO_PATH_SIZE)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: the cache's path is too long", spec->name);
    return ORTHO_OK;
}

/* Revisions with a '/' (refs/pr/1) become one plain name: '%' can't stand in a revision. */
ortho_status ortho_slices_ref(const char *folder, const ortho_hub_spec *spec,
                              char out[ORTHO_PATH_SIZE])
{
    int used = snprintf(out, ORTHO_PATH_SIZE, "%s/refs/", folder);
    for (const char *p = spec->revision; *p && used >= 0 && used + 4 < ORTHO_PATH_SIZE; p++)
        used += snprintf(out + used, ORTHO_PATH_SIZE - (size_t)used, *p == '/' ? "%%2F" : "%c", *p);
    if (used < 0 || used + 4 >= ORTHO_PATH_SIZE)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: the cache's path is too long", spec->name);
    return ORTHO_OK;
}

ortho_status ortho_slices_commit(const ortho_hub_spec *spec, char commit[ORTHO_COMMIT_SIZE])
{
    char folder[ORTHO_PATH_SIZE], ref[ORTHO_PATH_SIZE];
    if (ortho_commit_valid(spec->revision)) {
        memcpy(commit, spec->revision, ORTHO_COMMIT_SIZE);
        return ORTHO_OK;
    }
    ortho_status status = ortho_slices_folder(spec, folder);
    if (status == ORTHO_OK)
        status = ortho_slices_ref(folder, spec, ref);
    if (status != ORTHO_OK)
        return status;
    if (!ortho_path_is_file(ref))
        return ortho_fail(ORTHO_E_NOT_FOUND,
                          "hf:%s@%s: no slices of it are at hand (%s is missing): `ortho-bench "
                          "fetch hf:%s@%s --layers 0` fetches those of a layer",
                          spec->name, spec->revision, ref, spec->name, spec->revision);
    return ortho_hub_read_commit(ref, commit);
}

bool ortho_slices_at_hand(const char *name)
{
    ortho_hub_spec spec;
    char folder[ORTHO_PATH_SIZE], commit[ORTHO_COMMIT_SIZE], path[ORTHO_PATH_SIZE + 64];
    json_t *manifest = NULL;
    if (ortho_hub_spec_parse(name, &spec) != ORTHO_OK ||
        ortho_slices_folder(&spec, folder) != ORTHO_OK ||
        ortho_slices_commit(&spec, commit) != ORTHO_OK)
        return false;
    snprintf(path, sizeof path, "%s/%s", folder, commit);
    if (ortho_manifest_load(path, &manifest) != ORTHO_OK)
        return false;
    bool any = json_object_size(json_object_get(manifest, "tensors")) > 0;
    json_decref(manifest);
    return any;
}
