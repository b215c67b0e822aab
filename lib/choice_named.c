/* Who could serve a layer, and the choice by name: a caller's, against the table's. */
#include "lib/choice.h"

#include "common/error.h"
#include "variants/table.h"

#include <stdio.h>
#include <string.h>

const char *ortho_backend_name(ortho_backend backend)
{
    return backend == ORTHO_CPU ? "CPU" : "GPU";
}

static bool supports(const ortho_variant *v, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    static const ortho_dtype dtypes[] = {ORTHO_F32, ORTHO_F16, ORTHO_BF16};
    ortho_gemm_problem p = *problem;
    bool good = true;
    for (int i = 0; i < 3 && good; i++) {
        p.dtype = dtypes[i];
        good = ortho_variant_supports(v, &p, services) == ORTHO_OK;
    }
    return good;
}

/* Could it serve a layer at all? */
static bool servant(const ortho_variant *v)
{
    return v != NULL && v->role == ORTHO_COMPETITOR && v->gemm != NULL &&
           v->gemm->computes == ORTHO_COMPUTES_SPLIT && v->gemm->prepare != NULL &&
           v->gemm->run != NULL && v->gemm->export_split != NULL;
}

bool ortho_variant_serves(const ortho_variant *v, const ortho_gemm_problem *problem,
                          const ortho_services *services)
{
    return servant(v) && supports(v, problem, services);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void add_name(char names[256], const char *name)
{
    size_t length = strlen(names);
    snprintf(names + length, 256 - length, "%s%s", length > 0 ? ", " : "", name);
}

static void finish_names(char names[256])
{
    if (*names == '\0')
        add_name(names, "none");
}

void ortho_choice_chains(ortho_backend backend, char names[256])
{
    *names = '\0';
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
        if ((*v)->backend == backend && servant(*v) && (*v)->gemm->chain != NULL)
            add_name(names, (*v)->name);
    finish_names(names);
}

static void list_servants(const ortho_gemm_problem *problem, ortho_backend backend,
                          const ortho_services *services, char names[256])
{
    *names = '\0';
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
        if ((*v)->backend == backend && ortho_variant_serves(*v, problem, services))
            add_name(names, (*v)->name);
    finish_names(names);
}

ortho_status ortho_choose_named(const ortho_gemm_problem *problem, ortho_backend backend,
                                const char *name, const ortho_services *services,
                                const ortho_variant **out)
{
    const ortho_variant *v = ortho_variant_find(name, backend);
    char why[256] = "this build has none of that name", names[256];
    if (ortho_variant_serves(v, problem, services)) {
        *out = v;
        return ORTHO_OK;
    }
    if (v != NULL) /* a refusal has just left its words */
        snprintf(why, sizeof why, "%s",
                 servant(v) ? ortho_last_message() : "it isn't one that serves layers");
    list_servants(problem, backend, services, names);
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "variant \"%s\" for a layer of %lld x %lld on the %s: %s; these serve it: %s",
                      name, (long long)problem->n, (long long)problem->k,
                      ortho_backend_name(backend), why, names);
}
