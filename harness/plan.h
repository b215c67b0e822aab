/*
 * plan.h: which cases a run has: operations x variants x slices x batches x densities, each with
 * the key that runs it again alone. The plan reads no weights.
 */
#ifndef ORTHO_HARNESS_PLAN_H
#define ORTHO_HARNESS_PLAN_H

#include "datasets/datasets.h"
#include "harness/options.h"
#include "harness/plugin.h"

typedef struct ob_case {
    char key[192];
    bool sieve;   /* else GEMM */
    bool pass;    /* a GEMM over all linears of the plan: slice is NULL, nnz all of theirs */
    ob_form form; /* of a pass; OB_FORM_SINGLE else */
    const ortho_variant *variant;
    const char *plugin; /* the file it came from; NULL when built in */
    const ortho_slice *slice;
    int linears;                       /* of a pass */
    int64_t m;                         /* GEMM */
    ortho_dtype dtype;                 /* GEMM: of x and y */
    ortho_activation_mode activations; /* GEMM */
    int way;                           /* GEMM: what its calls ask for; 0: nothing */
    double density;
    int64_t nnz;   /* floor(density * n * k) */
    int64_t group; /* as asked: k for the whole row */
    /* Cases with one number are timed together, interleaved: same operation, slice, density and
     * batch; of a pass, in all of its forms; with activations of either mode. Numbers ascend along
     * the plan. */
    int group_number;
} ob_case;

typedef struct ob_plan {
    ob_plugin plugins[OB_LIST_MAX];
    int plugin_count;
    ortho_backend backend;
    char backend_note[256]; /* why this backend, one line */
    ortho_dtype dtype;      /* of activations: asked for, or the backend's own */
    ob_case *cases;
    int count;
    const ortho_slice **linears; /* of a pass, in the model's order; NULL otherwise */
    int linear_count;
} ob_plan;

/* Expands the options over an open dataset. `options` and `dataset` must outlive the plan. ARGUMENT
 * for a variant, layer, projection or case key that isn't there, listing the known ones. */
ortho_status ob_plan_make(const ob_options *options, const ortho_dataset *dataset, ob_plan *out);

/* Fills slice, nnz and group of a case as they are for one slice. */
void ob_case_at(const ob_options *options, const ortho_slice *slice, ob_case *c);

/* Where the source has the loop that the variant's lane model speaks of; NULL: it doesn't tell. */
const ortho_loop *ob_case_loop(const ob_case *c);

/* Frees the cases and unloads the plug-ins. Safe on a zeroed plan. */
void ob_plan_free(ob_plan *plan);

/* "fp32", "fp16", "bf16": as keys and rows spell them. */
const char *ob_dtype_word(ortho_dtype dtype);

/* "competitor", "baseline", ... */
const char *ob_role_name(ortho_role role);

#endif
