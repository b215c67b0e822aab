/* account.h: host memory, booked. The services that hooks allocate from; each purpose has its
 * current and peak bytes, so that "working memory" is a count, not an estimate. Thread-safe. */
#ifndef ORTHO_COMMON_ACCOUNT_H
#define ORTHO_COMMON_ACCOUNT_H

#include <ortho/variant.h>
#include <stdatomic.h>

#define ORTHO_PURPOSES 3

typedef struct ortho_account {
    atomic_size_t current[ORTHO_PURPOSES], peak[ORTHO_PURPOSES];
} ortho_account;

/* Services that allocate host memory booked on `account`, which must outlive them. */
ortho_services ortho_account_services(ortho_account *account, int threads);

/* For allocators of other memory: books bytes, and takes them off again. */
void ortho_account_book(ortho_account *account, ortho_purpose purpose, size_t bytes);
void ortho_account_unbook(ortho_account *account, ortho_purpose purpose, size_t bytes);

/* Forgets the peaks: they restart from what is held now. */
void ortho_account_restart(ortho_account *account);

size_t ortho_account_peak(const ortho_account *account, ortho_purpose purpose);
size_t ortho_account_current(const ortho_account *account, ortho_purpose purpose);

/* For tests and tools that don't care for the account. */
ortho_services ortho_services_default(void);

#endif
