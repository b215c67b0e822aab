/* choice.h: which variant serves a layer: a table by backend and batch, and each variant's own word
 * on the shape; nothing is measured at run time. */
#ifndef ORTHO_LIB_CHOICE_H
#define ORTHO_LIB_CHOICE_H

#include <ortho/variant.h>

/* Forwards of one layer fall into classes by their tokens; each may have a variant of its own. */
#define ORTHO_BATCH_CLASSES 2

/* Most tokens of a class; INT64_MAX for the last. */
int64_t ortho_batch_class_tokens(int batch_class);

/* The variant for a problem (split NULL, m: the most tokens of a call) in a batch class: the first
 * of the table's preferences that this build has, that supports it in every dtype of activations,
 * and that gives the split back. UNSUPPORTED when there is none. */
ortho_status ortho_choose(const ortho_gemm_problem *problem, ortho_backend backend, int batch_class,
                          const ortho_services *services, const ortho_variant **out);

#endif
