/*
 * pool.h: workspaces that outlive a call, so that a forward need not ask the system for memory, and
 * concurrent forwards never share one. Thread-safe.
 */
#ifndef ORTHO_LIB_POOL_H
#define ORTHO_LIB_POOL_H

#include <ortho/ortho.h>

typedef struct ortho_pool ortho_pool;

/* NULL when there is no memory. */
ortho_pool *ortho_pool_new(void);

/* No workspace may be out. NULL is allowed. */
void ortho_pool_free(ortho_pool *);

/* A workspace of at least `bytes`, 64-byte aligned, contents undefined; the caller gives it back.
 * NULL with the message left when there is no memory. */
void *ortho_pool_take(ortho_pool *, size_t bytes);
void ortho_pool_give(ortho_pool *, void *workspace); /* NULL is allowed */

#endif
