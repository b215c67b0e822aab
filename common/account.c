#include "common/account.h"

#include "common/error.h"

#include <stdlib.h>

/* A header of one cache line keeps the payload aligned to 64 bytes and remembers what to unbook. */
typedef struct block {
    _Alignas(64) size_t bytes;
    ortho_purpose purpose;
} block;

void ortho_account_book(ortho_account *a, ortho_purpose purpose, size_t bytes)
{
    size_t now = atomic_fetch_add(&a->current[purpose], bytes) + bytes;
    size_t peak = atomic_load(&a->peak[purpose]);
    while (now > peak && !atomic_compare_exchange_weak(&a->peak[purpose], &peak, now)) {
    }
}

void ortho_account_unbook(ortho_account *a, ortho_purpose purpose, size_t bytes)
{
    atomic_fetch_sub(&a->current[purpose], bytes);
}

static void *account_alloc(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    if (space != ORTHO_HOST) {
        ortho_fail(ORTHO_E_UNSUPPORTED, "device memory asked of the CPU backend");
        return NULL;
    }
    if (bytes > SIZE_MAX / 2 - 2 * sizeof(block)) {
        ortho_fail(ORTHO_E_MEMORY, "%zu bytes asked: more than the address space", bytes);
        return NULL;
    }
    size_t padded = (bytes + 63) / 64 * 64;
    block *b = aligned_alloc(64, sizeof(block) + padded);
    if (b == NULL) {
        ortho_fail(ORTHO_E_MEMORY, "no memory for %zu bytes", bytes);
        return NULL;
    }
    b->bytes = bytes;
    b->purpose = purpose;
    if (ctx != NULL)
        ortho_account_book(ctx, purpose, bytes);
    return b + 1;
}

static void account_free(void *ctx, void *ptr)
{
    if (ptr == NULL)
        return;
    block *b = (block *)ptr - 1;
    ortho_account *a = ctx;
    if (a != NULL)
        ortho_account_unbook(a, b->purpose, b->bytes);
    free(b);
}

ortho_services ortho_account_services(ortho_account *account, int threads)
{
    return (ortho_services){
        .ctx = account,
        .alloc = account_alloc,
        .free = account_free,
        .fail = ortho_fail,
        .threads = threads > 0 ? threads : 1,
    };
}

ortho_services ortho_services_default(void)
{
    return ortho_account_services(NULL, 1);
}

void ortho_account_restart(ortho_account *account)
{
    for (int i = 0; i < ORTHO_PURPOSES; i++)
        atomic_store(&account->peak[i], atomic_load(&account->current[i]));
}

size_t ortho_account_peak(const ortho_account *account, ortho_purpose purpose)
{
    return atomic_load(&account->peak[purpose]);
}

size_t ortho_account_current(const ortho_account *account, ortho_purpose purpose)
{
    return atomic_load(&account->current[purpose]);
}
