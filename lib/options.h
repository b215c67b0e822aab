/* options.h: structs that cross the API with their own size in front: older and newer callers. */
#ifndef ORTHO_LIB_OPTIONS_H
#define ORTHO_LIB_OPTIONS_H

#include <ortho/ortho.h>

/* A struct of the API as this library knows it. */
typedef struct ortho_form {
    const char *name; /* "ortho_sieve_options" */
    size_t least;     /* bytes of its first version */
    size_t bytes;     /* of this one's */
} ortho_form;

/* Copies a caller's options into `to` [form->bytes]. What an older caller's struct lacks is 0.
 * ARGUMENT: its size is smaller than any version's; UNSUPPORTED: it sets something behind what this
 * library knows. */
ortho_status ortho_options_read(const ortho_form *form, const void *from, void *to);

/* Fills a caller's struct from `from` [form->bytes], as far as its size goes, which stays; what a
 * newer caller's has beyond becomes 0. ARGUMENT: too small. */
ortho_status ortho_info_write(const ortho_form *form, const void *from, void *to);

/* The fields at the end of both options. ARGUMENT: no ortho_activation_mode; UNSUPPORTED: `unused`
 * is used, by a later version. */
ortho_status ortho_activations_check(int32_t activations, int32_t unused);

/* The sieve's, with its defaults for NULL. ARGUMENT says which field can't be. */
ortho_status ortho_sieve_options_read(const ortho_sieve_options *from, ortho_sieve_options *to);

#endif
