/*
 * model.h: reading a results document (docs/RESULTS.md). Every writer and plot goes through these
 * getters, so that one place decides what is absent and which rows may show a number.
 *
 * A number that is absent, or of another type, or not finite, is NAN here; a string is NULL. No
 * getter fails: a document may hold anything.
 */
#ifndef ORTHO_REPORTS_MODEL_H
#define ORTHO_REPORTS_MODEL_H

#include <jansson.h>
#include <ortho/ortho.h>
#include <stdbool.h>
#include <stdio.h>

#define ORTHO_RESULTS_SCHEMA "ortho-bench/1"

typedef enum ortho_case_status {
    ORTHO_CASE_OK = 0,
    ORTHO_CASE_AMBIGUOUS, /* verified and timed, but the interval stayed wide */
    ORTHO_CASE_FAILED,    /* a wrong result, or one that claims to be ok and was never verified */
    ORTHO_CASE_SKIPPED,
    ORTHO_CASE_UNKNOWN, /* a status that this schema doesn't know */
    ORTHO_CASE_STATUSES
} ortho_case_status;

/* The node at a dotted path ("time_ns.median"); NULL where any step is missing. */
const json_t *ortho_model_at(const json_t *node, const char *path);
double ortho_model_number(const json_t *node, const char *path);
const char *ortho_model_string(const json_t *node, const char *path);
bool ortho_model_true(const json_t *node, const char *path); /* false when absent */

/* The list of rows: its length, and a row by index; NULL out of range or when it is no object. */
size_t ortho_model_count(const json_t *results);
const json_t *ortho_model_row(const json_t *results, size_t index);

/* The status that a report shows. "ok" and "ambiguous" hold only when the row was verified before
 * and after timing and has a time above 0; else it is FAILED, whatever the row calls itself. */
ortho_case_status ortho_model_status(const json_t *row);
const char *ortho_model_status_name(ortho_case_status status);
/* Why it isn't ok: the row's reason, or words of ours. "" when ok. Valid as long as the row. */
const char *ortho_model_reason(const json_t *row);
bool ortho_model_timed(const json_t *row); /* ok or ambiguous */

/* Derived columns, NAN where a part is absent; docs/METRICS.md derives each. */
double ortho_model_time(const json_t *row);        /* median, ns; NAN unless timed */
double ortho_model_half_width(const json_t *row);  /* (hi - lo) / 2 / median, a share */
double ortho_model_gbps(const json_t *row);        /* bytes / time */
double ortho_model_gflops(const json_t *row);      /* flops / time */
double ortho_model_floor_share(const json_t *row); /* floor_ns / time, a share */
double ortho_model_lanes(const json_t *row);       /* predicted active lanes, a share */

/* Samples that fell while something held the GPU's clock down; 0 when none did or nobody looked. */
size_t ortho_model_throttled(const json_t *row);

/* How many processes the samples came from: 1 where the row has samples and lists no processes; 0
 * where it has none, or where the list doesn't add up to them. */
size_t ortho_model_processes(const json_t *row);

/* What stands for a row's kernels: the one that needs the most registers, and the most that any
 * of them spills. False when the row lists none. */
typedef struct ortho_kernel_view {
    const char *name; /* NULL: not told */
    double threads, registers, shared_bytes, spilled_bytes;
} ortho_kernel_view;
bool ortho_model_kernel(const json_t *row, ortho_kernel_view *out);

/* The context says that the weights were made, not trained, or a row does. */
bool ortho_model_synthetic(const json_t *results);

/* The context names a GPU and a row ran on it: the ceilings are the GPU's then. */
bool ortho_model_on_gpu(const json_t *results);

/* What the document was measured on: the GPU's name where it did the work, else the CPU's model;
 * NULL where it tells none. Valid as long as the document. */
const char *ortho_model_device(const json_t *results);

/* A pass over all linears of a model: it has no layer and no one shape. */
bool ortho_model_pass(const json_t *row);

/* How a pass was launched: "single" where its row doesn't tell, as documents did before there were
 * others; NULL of what is no pass. */
const char *ortho_model_form(const json_t *row);

/* A row's variant, and its activations where they aren't exact: "csr", "fused (int8 activations)";
 * "?" without a variant. Not cleaned. */
#define ORTHO_LABEL_BYTES 96
void ortho_model_variant(const json_t *row, char out[ORTHO_LABEL_BYTES]);

/* What a row is called beside others of its group: the same, and a form other than single: "csr",
 * "csr grouped". */
void ortho_model_label(const json_t *row, char out[ORTHO_LABEL_BYTES]);

/* "L0.gate", "L0", "pass", or the tensor's name; written to `out`, cleaned of control characters.
 */
void ortho_model_slice(const json_t *row, char *out, size_t size);

/* Rows that stand in one table: one operation on one slice with one setting, variants apart.
 * Groups come in the order of their first rows. */
typedef struct ortho_group {
    const json_t **rows; /* competitors and baseline first, then ceilings, harness, oracle */
    size_t count;
} ortho_group;

typedef struct ortho_groups {
    ortho_group *group;
    size_t count;
} ortho_groups;

/* A string that two rows share exactly when they belong to one group, or would if they agreed in
 * the key `but` (NULL: none is left out). The caller frees it; NULL without memory. */
char *ortho_model_group_id(const json_t *row, const char *but);

ortho_status ortho_model_groups(const json_t *results, ortho_groups *out);
void ortho_groups_free(ortho_groups *groups); /* zeroed is allowed */

/* A group's heading: "gemm · L0.gate · 1536×576 · m 1 · density 0.01 (8847) · ...", or "pass · 196
 * linears · m 1 · ..." */
void ortho_model_heading(const ortho_group *group, FILE *out);

#endif
