/*
 * report.h: the contract of a report: something written from a results document.
 *
 * The results model is the native JSON document itself (docs/RESULTS.md, schema ortho-bench/1),
 * held as a jansson value, so that a live run and a file read back go through the same writers. A
 * writer is one file, reports/writers/NAME.c, defining `const ortho_writer ortho_writer_NAME`; a
 * plot is one file, reports/plots/NAME.c, defining `const ortho_plot ortho_plot_NAME`.
 */
#ifndef ORTHO_REPORT_H
#define ORTHO_REPORT_H

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct json_t;

#define ORTHO_REPORT_ABI 1u

typedef struct ortho_writer_options {
    bool color; /* ANSI colours wanted */
    int width;  /* columns of the terminal; 0: unlimited */
} ortho_writer_options;

typedef struct ortho_writer {
    uint32_t abi;
    const char *name;      /* "markdown" */
    const char *extension; /* "md"; NULL for one that is meant for the terminal only */
    const char *summary;
    ortho_status (*write)(const struct json_t *results, const ortho_writer_options *, FILE *out);
    /* The same of a comparison (schema ortho-bench-compare/1); NULL: it has no form for one. */
    ortho_status (*compare)(const struct json_t *comparison, const ortho_writer_options *,
                            FILE *out);
} ortho_writer;

/* A plot turns results into a headerless TSV block and a gnuplot body. The frame (terminal, fonts,
 * colours, caption, the four outputs SVG, PNG, .gp, TSV) belongs to the plot engine. */
typedef struct ortho_plot {
    uint32_t abi;
    const char *name;    /* file stem: "speedup" */
    const char *summary; /* the question that it answers */
    /* Writes the TSV rows. UNSUPPORTED (with the reason) when these results can't fill the plot. */
    ortho_status (*data)(const struct json_t *results, FILE *tsv);
    /* Writes gnuplot commands that plot the data block $data; the engine has set the style. */
    ortho_status (*body)(const struct json_t *results, FILE *gp);
} ortho_plot;

#ifdef __cplusplus
}
#endif
#endif
