#include "variants/table.h"

#include "common/error.h"

#include <stdio.h>
#include <string.h>

const ortho_variant *ortho_variant_find(const char *name, ortho_backend backend)
{
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
        if ((*v)->backend == backend && strcmp((*v)->name, name) == 0)
            return *v;
    return NULL;
}

const ortho_variant *ortho_variant_by_role(ortho_role role, ortho_backend backend, bool sieve)
{
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        bool has_hook = sieve ? (*v)->sieve != NULL : (*v)->gemm != NULL;
        if ((*v)->role == role && (*v)->backend == backend && has_hook)
            return *v;
    }
    return NULL;
}

/* ---- problems -------------------------------------------------------------------------------- */

/* Names, joined by commas, of those on the CPU that take int8 activations; "none". */
static void list_int8(char names[256])
{
    size_t used = 0;
    snprintf(names, 256, "none");
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL && used < 256; v++)
        if ((*v)->backend == ORTHO_CPU && (*v)->gemm != NULL && (*v)->gemm->int8_activations)
            used += (size_t)snprintf(names + used, 256 - used, "%s%s", used > 0 ? ", " : "",
                                     (*v)->name);
}

ortho_status ortho_variant_takes(const ortho_variant *v, ortho_activation_mode activations)
{
    char names[256];
    if (activations == ORTHO_ACTIVATIONS_EXACT || v->gemm->int8_activations)
        return ORTHO_OK;
    list_int8(names);
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "%s on the %s takes no int8 activations, which are had on the CPU only, "
                      "from: %s",
                      v->name, v->backend == ORTHO_CPU ? "CPU" : "GPU", names);
}

ortho_status ortho_variant_supports(const ortho_variant *v, const ortho_gemm_problem *problem,
                                    const ortho_services *services)
{
    ortho_status status = ortho_variant_takes(v, problem->activations);
    return status == ORTHO_OK && v->gemm->supports != NULL ? v->gemm->supports(problem, services)
                                                           : status;
}
