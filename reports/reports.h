/* reports.h: everything that can be made of a results document. */
#ifndef ORTHO_REPORTS_H
#define ORTHO_REPORTS_H

#include <ortho/report.h>

extern const ortho_writer *const ortho_writers[]; /* NULL-terminated, generated */
extern const ortho_plot *const ortho_plots[];     /* NULL-terminated, generated */

/* By its name, or by its extension ("md" is markdown); NULL when there is none. */
const ortho_writer *ortho_writer_find(const char *name);

/* Writes results with one writer to a path ("-": stdout), never half-written. A comparison goes to
 * the writer's `compare`; UNSUPPORTED where it has none. */
ortho_status ortho_report_write(const struct json_t *results, const ortho_writer *,
                                const ortho_writer_options *, const char *path);

/* Writes every export, every plot and a page of them (index.html) into a folder. `told` (may be
 * NULL) hears a line for each file made or plot left out, with the reason. A plot that can't be
 * filled by these results is no failure. */
ortho_status ortho_report_folder(const struct json_t *results, const char *folder,
                                 void (*told)(void *ctx, const char *line), void *ctx);

/* The two halves of it: everything but the page, and the page alone. */
ortho_status ortho_report_files(const struct json_t *results, const char *folder,
                                void (*told)(void *ctx, const char *line), void *ctx);
struct ortho_page; /* page/page.h */
ortho_status ortho_report_page(const struct ortho_page *page, const char *folder,
                               void (*told)(void *ctx, const char *line), void *ctx);

/* Draws one plot as text. */
ortho_status ortho_plot_tty(const struct json_t *results, const ortho_plot *, int width, int height,
                            FILE *out);

/* Reads a native results file and checks schema name and version. The caller owns the reference. */
ortho_status ortho_results_load(const char *path, struct json_t **out);

/* The same, and a comparison (schema ortho-bench-compare/1) is welcome too; ortho_is_comparison of
 * verdict.h tells which it is. */
ortho_status ortho_document_load(const char *path, struct json_t **out);

#endif
