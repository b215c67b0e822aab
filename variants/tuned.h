/*
 * tuned.h: which way was measured to be the fastest, by device, shape and batch. `ortho-bench tune`
 * measures; variants/NAME/tuned/DEVICE.tsv keeps it; cmake/OrthoTuned.cmake makes the table of it.
 *
 * A call is decided by the measured case that is nearest to it:
 *   device   the same, by name; on the CPU with at most twice or half of the threads
 *   dtype    the same; the same group, or whole rows both
 *   shape    the least n/n' * k/k' * density/density', each the larger over the smaller and 2 at
 *            most: so the very shape where it was measured. Density 0 is near to 0 alone
 *   tokens   of the cases of that shape the least m/m', 2 at most; of two as near the more
 * Where none is near enough the table decides nothing, and the variant does as without one.
 */
#ifndef ORTHO_VARIANTS_TUNED_H
#define ORTHO_VARIANTS_TUNED_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORTHO_TUNED_NEAR   2.0 /* how far each of those may be off */
#define ORTHO_TUNED_DEVICE 128 /* bytes of a device's name */
#define ORTHO_TUNED_DTYPES 3

typedef struct ortho_tuned_row {
    int64_t m;
    const char *way;
} ortho_tuned_row;

/* The cases of one shape. */
typedef struct ortho_tuned_shape {
    int64_t n, k, group;
    double density;
    ortho_dtype dtype;
    int rows;
    const ortho_tuned_row *row; /* m ascending */
} ortho_tuned_shape;

typedef struct ortho_tuned_table {
    const char *variant; /* NULL behind the last table */
    ortho_backend backend;
    const char *device;
    int threads; /* with which it was measured; 0: no matter */
    int shapes;
    const ortho_tuned_shape *shape;
} ortho_tuned_table;

/* Generated: one a file, sorted by its path. */
extern const ortho_tuned_table ortho_tuned_tables[];

/* What is asked of the tables when a linear is prepared. */
typedef struct ortho_tuned_query {
    const char *variant;
    ortho_backend backend;
    int threads; /* of the calls; on the CPU alone */
    int64_t n, k, group, nnz;
    /* Writes the device's name, "" where it can't be told. Called if there is a table at all. */
    void (*device)(char name[ORTHO_TUNED_DEVICE]);
} ortho_tuned_query;

/* The cases that are the nearest to one linear, for F32, F16 and BF16; NULL: none is near. Zeroed
 * it decides nothing. */
typedef struct ortho_tuned {
    const ortho_tuned_shape *of[ORTHO_TUNED_DTYPES];
} ortho_tuned;

ortho_tuned ortho_tuned_find(const ortho_tuned_table *tables, const ortho_tuned_query *query);

/* The way for a call with m tokens, counted from 1 in the variant's own names; 0: the table decides
 * nothing, or names a way that isn't there. */
int ortho_tuned_way(const ortho_tuned *tuned, const char *const *ways, ortho_dtype dtype,
                    int64_t m);

/* Number of a way by its name, counted from 1; 0: there is none. */
int ortho_way_find(const char *const *ways, const char *name);

/* How messages call a way: its name, or "?" for a number that is none's. */
const char *ortho_way_name(const char *const *ways, int way);

#ifdef __cplusplus
}
#endif

#endif
