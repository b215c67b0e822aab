/*
 * A short list under a lock. A block that comes back stays, unless the list is full: then the
 * smallest goes. Blocks carry their size in a header of one cache line before the payload.
 */
#include "lib/pool.h"

#include "common/error.h"

#include <pthread.h>
#include <stdlib.h>

#define POOL_SLOTS 4

typedef struct block {
    _Alignas(64) size_t bytes;
} block;

struct ortho_pool {
    pthread_mutex_t lock;
    block *idle[POOL_SLOTS];
};

ortho_pool *ortho_pool_new(void)
{
    ortho_pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL && pthread_mutex_init(&pool->lock, NULL) != 0) {
        free(pool);
        return NULL;
    }
    return pool;
}

void ortho_pool_free(ortho_pool *pool)
{
    if (pool == NULL)
        return;
    for (int i = 0; i < POOL_SLOTS; i++)
        free(pool->idle[i]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void *ortho_pool_take(ortho_pool *pool, size_t bytes)
{
    block *found = NULL;
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < POOL_SLOTS && found == NULL; i++)
        if (pool->idle[i] != NULL && pool->idle[i]->bytes >= bytes) {
            found = pool->idle[i];
            pool->idle[i] = NULL;
        }
    pthread_mutex_unlock(&pool->lock);
    if (found != NULL)
        return found + 1;
    if (bytes < SIZE_MAX / 2)
        found = aligned_alloc(64, sizeof(block) + (bytes + 63) / 64 * 64);
    if (found == NULL) {
        ortho_fail(ORTHO_E_MEMORY, "no memory for a workspace of %zu bytes", bytes);
        return NULL;
    }
    found->bytes = bytes;
    return found + 1;
}

void ortho_pool_give(ortho_pool *pool, void *workspace)
{
    if (workspace == NULL)
        return;
    block *back = (block *)workspace - 1;
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < POOL_SLOTS && back != NULL; i++)
        if (pool->idle[i] == NULL || pool->idle[i]->bytes < back->bytes) {
            block *smaller = pool->idle[i];
            pool->idle[i] = back;
            back = smaller;
        }
    pthread_mutex_unlock(&pool->lock);
    free(back);
}
