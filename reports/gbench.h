/*
 * gbench.h: Google Benchmark's JSON, what its two writers share: the frame, the context, the rows
 * of cases without a verified time, and the fields that every row has.
 */
#ifndef ORTHO_REPORTS_GBENCH_H
#define ORTHO_REPORTS_GBENCH_H

#include "reports/model.h"

typedef struct ortho_gbench_case {
    const json_t *row;
    const char *name;   /* its key */
    int index;          /* of the case in this file */
    size_t repetitions; /* rows of run_type "iteration" that it gets; set before the first */
    const char *label;  /* a doubt that its rows repeat; NULL: none */
    FILE *out;
    bool *first; /* no row was written yet */
} ortho_gbench_case;

/* Writes the whole document; `timed` writes the rows of one case that has a verified time. */
ortho_status ortho_gbench_write(const json_t *results, ortho_status (*timed)(ortho_gbench_case *),
                                FILE *out);

/* A row "NAMEsuffix" with what identifies it; NULL without memory. Setting a field of NULL does
 * nothing, and ortho_gbench_emit tells that there was no memory. */
json_t *ortho_gbench_row(const ortho_gbench_case *c, const char *suffix, const char *run_type);

/* A field whose value is unknown (NAN, NULL) is left out. */
void ortho_gbench_number(json_t *row, const char *key, double value);
void ortho_gbench_integer(json_t *row, const char *key, double value);
void ortho_gbench_string(json_t *row, const char *key, const char *value);

/* iterations, real_time and cpu_time (ns both: we measure wall time), time_unit. */
void ortho_gbench_times(json_t *row, double iterations, double ns);

/* The counters of a row whose time is `ns`, and the label. */
void ortho_gbench_counters(json_t *row, const ortho_gbench_case *c, double ns);

/* Writes the row and drops the reference to it. */
ortho_status ortho_gbench_emit(const ortho_gbench_case *c, json_t *row);

#endif
