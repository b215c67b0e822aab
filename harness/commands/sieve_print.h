/* sieve_print.h: what `sieve` tells at its end, as text and as JSON
 * (reports/schema/ortho-bench-sieve-1.schema.json). */
#ifndef ORTHO_HARNESS_SIEVE_PRINT_H
#define ORTHO_HARNESS_SIEVE_PRINT_H

#include "datasets/datasets.h"
#include "harness/options.h"

#include <ortho/ortho.h>

/* All that is known of a run. */
typedef struct ob_sieve_outcome {
    const ob_options *options;
    ortho_model_facts facts;
    ortho_checkpoint_report report;
    int64_t units_total;     /* 0: nothing was begun */
    int64_t layers, weights; /* of the finished artifact's sieved layers; 0: it isn't finished */
    uint64_t layer_bytes;    /* of those */
    bool interrupted;
} ob_sieve_outcome;

/* On stdout. */
void ob_sieve_print(const ob_sieve_outcome *outcome);

/* On stdout, one object. MEMORY only: a stream that fails is main's to tell. */
ortho_status ob_sieve_print_json(const ob_sieve_outcome *outcome);

#endif
