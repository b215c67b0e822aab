/*
 * compare.h: two sides of results, case by case: is b slower than a? Each side is one document or
 * several, each of one process or several (docs/COMPARE.md). What comes out is a document again,
 * schema ortho-bench-compare/1, that the writers of reports/compare/writers/ print.
 *
 * Cases are paired by key. What can't be compared is refused by name: another device, another
 * model, another density of the same slice.
 */
#ifndef ORTHO_REPORTS_COMPARE_H
#define ORTHO_REPORTS_COMPARE_H

#include <jansson.h>
#include <ortho/report.h>

#define ORTHO_COMPARE_SCHEMA "ortho-bench-compare/1"

/* Documents of a side and the files they came from, for words only; at least one. */
typedef struct ortho_compare_side {
    json_t *const *documents;
    const char *const *files;
    size_t count;
} ortho_compare_side;

typedef struct ortho_compare_options {
    double threshold;        /* of the ratio: 0.02 */
    double alpha;            /* false discovery rate: 0.005 */
    double confidence;       /* of the intervals shown: 0.95 */
    double spread;           /* between processes where a side can't tell: a share */
    const char *spread_from; /* where that is from, in words */
    const json_t *spreads;   /* {"op/variant/backend": share}: of those known to move by more than
                                `spread`; borrowed; NULL: of none */
    int resamples;
    uint64_t seed;
} ortho_compare_options;

#define ORTHO_COMPARE_ALPHA      0.005
#define ORTHO_COMPARE_CONFIDENCE 0.95
#define ORTHO_COMPARE_SPREAD     0.03 /* where nobody measured it: what cuBLAS was seen to do */
#define ORTHO_COMPARE_RESAMPLES  1000
/* What a machine is known for counts no less: three processes can be alike by chance. */
#define ORTHO_COMPARE_SPREAD_LEAST 0.005

/* ARGUMENT when the files of one side aren't of one device and one model. The caller owns the
 * reference. */
ortho_status ortho_compare(const ortho_compare_side *a, const ortho_compare_side *b,
                           const ortho_compare_options *options, json_t **out);

/* What a comparison says as a whole. */
typedef enum ortho_comparison_verdict {
    ORTHO_COMPARISON_SAME = 0,
    ORTHO_COMPARISON_FASTER,    /* some cases are, none is slower */
    ORTHO_COMPARISON_AMBIGUOUS, /* none is slower, but for some nobody can tell */
    ORTHO_COMPARISON_SLOWER,    /* a case is slower or takes more memory */
    ORTHO_COMPARISON_WRONG,     /* a case that a passed fails in b */
    ORTHO_COMPARISON_NOTHING    /* no case could be compared */
} ortho_comparison_verdict;
ortho_comparison_verdict ortho_comparison_read(const json_t *document);

/* A writer is one file, reports/compare/writers/NAME.c, defining ortho_comparison_writer_NAME; its
 * `write` gets a comparison. Its contract is that of a results' writer. */
extern const ortho_writer *const ortho_comparison_writers[]; /* NULL-terminated, generated */
/* By name or extension; NULL when there is none. */
const ortho_writer *ortho_comparison_writer_find(const char *name);

/* Whether a document says that it is a comparison. */
bool ortho_is_comparison(const json_t *document);

#endif
