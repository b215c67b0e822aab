/* select.h: which linear layers a caller chose. */
#ifndef ORTHO_LIB_SELECT_H
#define ORTHO_LIB_SELECT_H

#include <ortho/ortho.h>
#include <stdbool.h>

/* Is this layer in a list like "0-3,7"? NULL: every layer. */
bool ortho_select_layer(const char *list, int layer);

/* Is this projection in a list like "q,down"? NULL or "all": every one. */
bool ortho_select_projection(const char *list, const char *projection);

/* ARGUMENT when a list is malformed or names what no model has. */
ortho_status ortho_select_check(const char *layers, const char *projections);

#endif
