/*
 * tune.h: which way of a variant is the fastest, case by case, out of the results of a session that
 * timed them all (options.ways); and the table of it that the build takes (variants/tuned.h).
 */
#ifndef ORTHO_HARNESS_TUNE_H
#define ORTHO_HARNESS_TUNE_H

#include "reports/model.h"

#include <ortho/variant.h>

/* What a way has to save of the usual one's time to be preferred to it: less comes and goes with
 * the process. Their intervals have to be apart, too, and both cold, or both warm. */
#define OB_TUNE_GAIN 0.02

typedef struct ob_tune_way {
    const char *name, *key;
    ortho_case_status status;
    const char *reason; /* "" when ok */
    const char *l2;     /* as it was measured: cold, or warm where there was no time for copies */
    double ns, lo, hi;  /* NAN unless timed */
} ob_tune_way;

/* All ways of one shape and batch. */
typedef struct ob_tune_case {
    int64_t n, k, group, m;
    double density;
    const char *dtype;
    int count;
    ob_tune_way way[ORTHO_WAYS_MAX];
    int usual, best, second; /* indices; -1: none. best: the one for the table */
} ob_tune_case;

/* Strings are the document's, which has to live as long. */
typedef struct ob_tune {
    const char *variant, *backend;
    ob_tune_case *cases; /* [count], as a table has them: by shape, then m */
    size_t count;
    size_t failed;     /* ways that computed a wrong result, over all cases */
    size_t unfinished; /* cases left out, since they were interrupted */
} ob_tune;

/* ARGUMENT for a document with ways of several variants. */
ortho_status ob_tune_read(const json_t *results, ob_tune *out);
void ob_tune_clear(ob_tune *tune); /* zeroed is allowed */

/* Is another way than the usual one to be taken? Without a usual one that works: yes. */
bool ob_tune_changes(const ob_tune_case *c);

/* What the table says of where it comes from, besides what the document tells. */
typedef struct ob_tune_origin {
    const char *device; /* as the variant asks for it: the GPU's name, or ortho_cpu_device */
    int threads;        /* 0: no matter */
} ob_tune_origin;

/* Writes the table, whole or not at all; "-" is stdout. */
ortho_status ob_tune_write(const ob_tune *tune, const json_t *results, const ob_tune_origin *origin,
                           const char *path);

/* "variants/fused/tuned/nvidia-h100-80gb-hbm3.tsv": where the build looks for it. */
void ob_tune_place(const ob_tune *tune, const char *device, char path[512]);

#endif
