/*
 * annotate.h: counts of SASS instructions summed by source line, for `annotate`. What makes the
 * sums is pure and takes the lists of observe_facts.h; what prints them reads the sources from
 * disk.
 */
#ifndef ORTHO_HARNESS_ANNOTATE_H
#define ORTHO_HARNESS_ANNOTATE_H

#include "harness/annotate_source.h"

#include <ortho/variant.h>
#include <stdio.h>

struct json_t;

typedef struct ob_annotation_sum {
    uint64_t instructions; /* SASS instructions that were executed */
    uint64_t warps;        /* warp instructions executed */
    uint64_t threads;      /* of their lanes, those that were active */
    uint64_t enabled;      /* of these, those whose predicate held */
    uint64_t divergent;    /* branches whose lanes went different ways */
    uint64_t stalls;       /* samples of warps that stood still */
} ob_annotation_sum;

typedef struct ob_annotated_line {
    int line;
    ob_annotation_sum sum;
} ob_annotated_line;

typedef struct ob_annotated_file {
    char *path; /* as the line table has it */
    bool ours;  /* of the project or the plug-in; else a header of somebody else's */
    const ob_annotated_line *lines; /* ascending; of the annotation */
    size_t count;
    ob_annotation_sum sum;
} ob_annotated_file;

/* A kernel of the operation beside the one that is annotated. */
typedef struct ob_annotated_kernel {
    char *name;
    uint64_t stalls;
} ob_annotated_kernel;

typedef struct ob_annotation {
    char *kernel;             /* as the source has it, where its name can be read */
    ob_annotated_file *files; /* the loop's first, then ours, then others, each by path */
    size_t file_count;
    ob_annotated_kernel *others; /* the most sampled first */
    size_t other_count;
    ob_annotation_sum total;    /* of the kernel */
    ob_annotation_sum unplaced; /* of this, what has no line */
    uint64_t samples;           /* stalls of all kernels of the operation */
    bool counted, sampled;      /* whether there was a list of it */
    ob_annotated_line *lines;   /* owns those of the files */
} ob_annotation;

/* Sums up. `counted` and `sampled` are the row.instructions of the two kinds of observation, either
 * may be NULL. The kernel is the one that was counted, or without counts the one whose name holds
 * loop->kernel. Sums stop at the largest number that they hold. MEMORY with words. */
ortho_status ob_annotation_make(const struct json_t *counted, const struct json_t *sampled,
                                const ortho_loop *loop, ob_annotation *out);
void ob_annotation_clear(ob_annotation *annotation); /* zeroed is allowed */

/* Mean active lanes, 0 to 32; NAN where nothing was executed. */
double ob_annotation_lanes(const ob_annotation_sum *sum);
/* part / whole; NAN where the whole is nothing. */
double ob_annotation_share(uint64_t part, uint64_t whole);

/* How torn warps were. */
typedef enum ob_heat {
    OB_HEAT_NONE = 0, /* nothing was executed */
    OB_HEAT_FULL,     /* 30 lanes or more */
    OB_HEAT_PART,     /* 16 or more */
    OB_HEAT_TORN
} ob_heat;
ob_heat ob_annotation_heat(const ob_annotation_sum *sum);

/* What the output says beside the sums. */
typedef struct ob_annotation_view {
    const char *key; /* of the case */
    const ortho_loop *loop;
    const struct json_t *measured; /* row.divergence.measured; NULL: not told */
    const char *no_stalls;         /* why there are no samples; NULL: there are */
    const ob_source_places *places;
    bool color;
    int width; /* columns of the terminal; 0: none */
} ob_annotation_view;

/* The sources with their sums. MEMORY with words; a source that can't be read is no failure. */
ortho_status ob_annotation_print(const ob_annotation *annotation, const ob_annotation_view *view,
                                 FILE *out);

/* The sums as a JSON object (docs/COUNTERS.md), and the lines that a heat map shows
 * (reports/heat.h). The caller owns the reference; NULL without memory. */
struct json_t *ob_annotation_json(const ob_annotation *annotation, const ob_annotation_view *view);
struct json_t *ob_annotation_heat_map(const ob_annotation *annotation,
                                      const ob_annotation_view *view);

#endif
