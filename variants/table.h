/* table.h: every variant that the build found under variants/. The tables are generated. */
#ifndef ORTHO_VARIANTS_TABLE_H
#define ORTHO_VARIANTS_TABLE_H

#include <ortho/variant.h>

/* NULL-terminated, sorted by folder name; CPU and CUDA descriptors of one name are neighbours. */
extern const ortho_variant *const ortho_variant_table[];

/* NULL when this build has none. */
const ortho_variant *ortho_variant_find(const char *name, ortho_backend backend);

/* The first of a role that has the hook asked for; NULL when there is none. */
const ortho_variant *ortho_variant_by_role(ortho_role role, ortho_backend backend, bool sieve);

/* UNSUPPORTED, naming it and those that can, where this variant, which has the GEMM, can't have
 * activations of a mode: by its hooks, so that no variant has to refuse what it never heard of. */
ortho_status ortho_variant_takes(const ortho_variant *v, ortho_activation_mode activations);

/* Would it take a problem, of which sizes, dtype and activations are read? As ortho_variant_takes,
 * then its own word (hooks->supports). */
ortho_status ortho_variant_supports(const ortho_variant *v, const ortho_gemm_problem *problem,
                                    const ortho_services *services);

#endif
