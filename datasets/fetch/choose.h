/* choose.h: which tensors of a checkpoint a request means. */
#ifndef ORTHO_FETCH_CHOOSE_H
#define ORTHO_FETCH_CHOOSE_H

#include "datasets/fetch/fetch.h"

#include <jansson.h>

/* Of `names` (the keys of an object) those that the request wants, as keys of *out, each with its
 * value; the caller owns *out. ARGUMENT names a layer or projection that the model hasn't. */
ortho_status ortho_fetch_choose(const ortho_fetch_request *, json_t *names, json_t **out);

/* The request's spec, a known model's name replaced by its first name on the hub. */
ortho_status ortho_fetch_spec(const char *spec, ortho_hub_spec *out);

/* Licence and notice of a model on the hub, for the caller to free; "" when it isn't known. */
ortho_status ortho_fetch_notice(const char *repository, char licence[128], char **notice);

#endif
