/* options.h: structs that begin with their own size, from callers older and newer than this. */
#ifndef ORTHO_LIB_OPTIONS_H
#define ORTHO_LIB_OPTIONS_H

#include <ortho/ortho.h>

/* Copies a caller's struct into ours of `size` bytes: what an older caller's lacks is 0; what a
 * newer one's has beyond must be 0, UNSUPPORTED otherwise. given NULL: all 0. `name` for words. */
ortho_status ortho_options_read(const void *given, size_t size, const char *name, void *out);

/* The sieve's, with defaults for NULL, checked: ARGUMENT says which field. */
ortho_status ortho_sieve_options_read(const ortho_sieve_options *given, ortho_sieve_options *out);

#endif
