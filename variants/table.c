#include "variants/table.h"

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
