#include "harness/plugin.h"

#include "common/error.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 48 };

static bool name_is_good(const char *name)
{
    if (name == NULL || name[0] < 'a' || name[0] > 'z')
        return false;
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool dash = c == '-' && i + 1 < length && name[i + 1] != '-';
        if (!word && !dash)
            return false;
    }
    return length <= NAME_MAX_LENGTH && strcmp(name, "all") != 0;
}

static ortho_status missing(const char *from, const ortho_variant *v, const char *hook)
{
    return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s' lacks the required hook %s", from,
                      v->name, hook);
}

static ortho_status check_ways(const ortho_variant *v, const char *from)
{
    const ortho_gemm_hooks *h = v->gemm;
    if (h->ways == NULL && h->way == NULL)
        return ORTHO_OK;
    if (h->ways == NULL || h->way == NULL)
        return missing(from, v, h->ways == NULL ? "gemm.ways" : "gemm.way");
    for (int i = 0; h->ways[i] != NULL; i++) {
        if (i == ORTHO_WAYS_MAX)
            return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s' has more than %d ways", from,
                              v->name, ORTHO_WAYS_MAX);
        if (!name_is_good(h->ways[i]))
            return ortho_fail(ORTHO_E_ARGUMENT,
                              "%s: variant '%s': its way '%.64s' isn't lower-case words joined by "
                              "dashes, at most %d characters",
                              from, v->name, h->ways[i], NAME_MAX_LENGTH);
    }
    return ORTHO_OK;
}

static ortho_status check_gemm(const ortho_variant *v, const char *from)
{
    const ortho_gemm_hooks *h = v->gemm;
    if (h->prepare == NULL)
        return missing(from, v, "gemm.prepare");
    if (h->run == NULL)
        return missing(from, v, "gemm.run");
    if (h->release == NULL)
        return missing(from, v, "gemm.release");
    if ((unsigned)h->computes > ORTHO_COMPUTES_NOTHING)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s': gemm.computes is %d, not one of 0-2",
                          from, v->name, (int)h->computes);
    if (h->int8_activations && h->computes != ORTHO_COMPUTES_SPLIT)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s: variant '%s': gemm.int8_activations are for a product with the "
                          "split alone",
                          from, v->name);
    if (h->chain != NULL && h->chain->prepare == NULL)
        return missing(from, v, "gemm.chain.prepare");
    if (h->chain != NULL && h->chain->run == NULL)
        return missing(from, v, "gemm.chain.run");
    if (h->chain != NULL && h->chain->release == NULL)
        return missing(from, v, "gemm.chain.release");
    return check_ways(v, from);
}

static ortho_status check_sieve(const ortho_variant *v, const char *from)
{
    const ortho_sieve_hooks *h = v->sieve;
    if (h->prepare == NULL)
        return missing(from, v, "sieve.prepare");
    if (h->run == NULL)
        return missing(from, v, "sieve.run");
    if (h->export_split == NULL)
        return missing(from, v, "sieve.export_split");
    if (h->release == NULL)
        return missing(from, v, "sieve.release");
    return ORTHO_OK;
}

ortho_status ob_variant_check(const ortho_variant *v, const char *from)
{
    if (v == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: no descriptor (NULL)", from);
    if (v->abi != ORTHO_VARIANT_ABI)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s: built for ABI %u of variant.h, this ortho-bench speaks ABI %u: "
                          "rebuild it against this version's header",
                          from, v->abi, ORTHO_VARIANT_ABI);
    if (v->size != sizeof *v)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s: its descriptor has %u bytes, ABI %u has %zu: rebuild it", from,
                          v->size, ORTHO_VARIANT_ABI, sizeof *v);
    if (!name_is_good(v->name))
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s: its name '%.64s' isn't lower-case words joined by dashes, at most "
                          "%d characters",
                          from, v->name != NULL ? v->name : "(null)", NAME_MAX_LENGTH);
    if (v->summary == NULL || v->summary[0] == '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s' has no summary", from, v->name);
    if (v->backend != ORTHO_CPU && v->backend != ORTHO_CUDA)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s': backend %d is unknown", from,
                          v->name, (int)v->backend);
    if ((unsigned)v->role > ORTHO_ORACLE)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s': role %d is unknown", from, v->name,
                          (int)v->role);
    if (v->gemm == NULL && v->sieve == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s' does neither the sieve nor the GEMM",
                          from, v->name);
    ortho_status status = v->gemm != NULL ? check_gemm(v, from) : ORTHO_OK;
    if (status == ORTHO_OK && v->sieve != NULL)
        status = check_sieve(v, from);
    return status;
}

ortho_status ob_plugin_load(const char *path, ob_plugin *out)
{
    /* A bare name would be looked up along the library path: the user means a file. */
    char local[4096];
    if (snprintf(local, sizeof local, "%s%s", strchr(path, '/') != NULL ? "" : "./", path) >=
        (int)sizeof local)
        return ortho_fail(ORTHO_E_ARGUMENT, "--plugin: the path is too long");
    void *handle = dlopen(local, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return ortho_fail(ORTHO_E_NOT_FOUND, "--plugin %s: can't be loaded: %s", path, dlerror());
    ortho_plugin_fn *entry = NULL;
    *(void **)&entry = dlsym(handle, "ortho_plugin");
    ortho_status status = ORTHO_OK;
    const ortho_variant *variant = NULL;
    if (entry == NULL) {
        status = ortho_fail(ORTHO_E_ARGUMENT,
                            "%s: exports no symbol ortho_plugin: it isn't a variant", path);
    } else {
        variant = entry();
        status = ob_variant_check(variant, path);
    }
    if (status != ORTHO_OK) {
        dlclose(handle);
        return status;
    }
    *out = (ob_plugin){.handle = handle, .path = path, .variant = variant};
    return ORTHO_OK;
}

void ob_plugin_unload(ob_plugin *plugin)
{
    if (plugin->handle != NULL)
        dlclose(plugin->handle);
    *plugin = (ob_plugin){0};
}
