/* choice.h: which variant serves a layer: a table by backend and batch, and each variant's own word
 * on the shape; nothing is measured at run time. */
#ifndef ORTHO_LIB_CHOICE_H
#define ORTHO_LIB_CHOICE_H

#include <ortho/variant.h>

/* Forwards of one layer fall into classes by their tokens; each may have a variant of its own. */
#define ORTHO_BATCH_CLASSES 2

/* Most tokens of a class; INT64_MAX for the last. */
int64_t ortho_batch_class_tokens(int batch_class);

/* What is asked of the table. */
typedef struct ortho_choice {
    const ortho_gemm_problem *problem; /* split NULL; m: the most tokens of a call */
    ortho_backend backend;
    int batch_class;
    const ortho_variant *without; /* passed over; NULL: none */
    const ortho_services *services;
} ortho_choice;

/* The variant for a problem in a batch class: the first of the table's preferences that this build
 * has, that supports it in every dtype of activations, and that gives the split back. UNSUPPORTED
 * when there is none. */
ortho_status ortho_choose(const ortho_choice *choice, const ortho_variant **out);

/* Who makes the canonical split of a layer on a backend, whoever serves it: the first of the
 * table's that this build has. UNSUPPORTED when there is none. */
ortho_status ortho_choose_sieve(ortho_backend backend, const ortho_variant **out);

/* "CPU" or "GPU", for messages. */
const char *ortho_backend_name(ortho_backend backend);

/* Can it serve at all, and this problem in particular, in every dtype of activations? NULL can't.
 * Where its own word on the problem was no, that is the last message. */
bool ortho_variant_serves(const ortho_variant *v, const ortho_gemm_problem *problem,
                          const ortho_services *services);

/* The variant of this name, whatever the table prefers. UNSUPPORTED when it doesn't serve the
 * problem or isn't there: says why, and names those that do. */
ortho_status ortho_choose_named(const ortho_gemm_problem *problem, ortho_backend backend,
                                const char *name, const ortho_services *services,
                                const ortho_variant **out);

/* Names, joined by commas, of a backend's variants that can serve and that run chains; "none". */
void ortho_choice_chains(ortho_backend backend, char names[256]);

#endif
