/* sieve_internal.h: what the streaming sieve's files share. */
#ifndef ORTHO_KERNELS_SIEVE_INTERNAL_H
#define ORTHO_KERNELS_SIEVE_INTERNAL_H

#include "kernels/select.h"
#include "kernels/sieve.h"

#include <stdatomic.h>

typedef struct ortho_sieve_run {
    const ortho_sieve_problem *problem;
    const ortho_services *services;
    const ortho_quant_ops *ops;
    int threads;
    int64_t n, k, group, groups;
    float *weight;      /* [k padded]: what e^2 is multiplied with: H, 1/H under LEGACY */
    float *inverse_rms; /* [n], see ortho_outliers; NULL but for OUTLIER with entries to exclude */
    ortho_cut outliers; /* of the magnitudes */
    uint8_t *q;
    uint16_t *scale;
    _Atomic int64_t bad_row; /* the first row that can't be sieved; n: none */
} ortho_sieve_run;

/* Notes that a row can't be sieved; the least one stays. */
void ortho_sieve_reject(ortho_sieve_run *run, int64_t row);

/* Fills run->weight from the problem's H or the weights. */
ortho_status ortho_sieve_weigh(ortho_sieve_run *run);

/* Chooses scales, writes q and scale of a row. An ortho_keys.prepare. */
void ortho_sieve_fit_row(void *run, int64_t row);

/* Loads a chunk of W, zero-padded. */
void ortho_sieve_load(const ortho_sieve_run *run, int64_t row, int64_t col, int count, float *w);

/* Which weights of this chunk are outliers. */
ortho_outliers ortho_sieve_outliers(const ortho_sieve_run *run, int64_t row, int64_t col);

#endif
