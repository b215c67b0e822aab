/*
 * session_pass.h: what the files of a pass share. session_pass.c holds the pass and its lanes;
 * session_pass_unit.c makes, runs and checks launches of one linear or one group;
 * session_pass_join.c makes one problem of a group; session_pass_chain.c runs all linears as one
 * launch.
 */
#ifndef ORTHO_HARNESS_SESSION_PASS_H
#define ORTHO_HARNESS_SESSION_PASS_H

#include "common/account.h"
#include "harness/pass_groups.h"
#include "harness/session_internal.h"

typedef struct ob_pass_run ob_pass_run;

/* The activations of one width, in the backend's memory: what all linears of a lane read, as they
 * would in decoding, where x was just written and lies in the cache. */
typedef struct ob_shared_x {
    int64_t k;
    void *x;
} ob_shared_x;

/* A variant's chain over all linears. */
typedef struct ob_chain {
    void *state, *x, *y, *workspace;
    bool prepared;
} ob_chain;

/* One lane's whole pass. */
typedef struct ob_runner {
    ob_pass_run *p;
    ob_lane *lane;
    ob_copier copier;
    ob_memory bench;
    const ob_linears *units; /* what one launch is of; form persistent: one launch is of them all */
    int unit_count;
    bool joins;      /* groups become one problem each, for want of run_group */
    ob_copy *copies; /* [linears]; of a joined group its first linear's. Of a chain: states alone */
    ob_shared_x *x;  /* [linears] at most */
    int widths;      /* of x */
    ob_chain chain;  /* form persistent */
    ortho_cost cost; /* of all launches */
    size_t workspace; /* the largest of a launch */
} ob_runner;

/* What chains are made of and checked against, whichever variant's they are. The canonical split of
 * every linear stays in host memory: an output is judged by the x that its step saw, which no one
 * knows before it ran. 1.6 GB for Llama-3.2-3B. */
typedef struct ob_chain_plan {
    bool wanted;
    int64_t outputs; /* of all steps */
    int64_t *x_at;   /* [linears] as in ortho_chain_step */
    int64_t *y_at;   /* [linears] where a step's outputs begin */
    float *scale;    /* [linears] */
    float *alpha;    /* [linears] */
    void *x;         /* the chain's x, as wide as the widest step that takes it; host */
    size_t x_bytes;
    void *y; /* [outputs] first as the oracle computes them, then as they come back; host */
    ortho_split *splits; /* [linears] */
    ortho_account account;
    ortho_services services;
} ob_chain_plan;

struct ob_pass_run {
    ob_session *s;
    int linears;
    ob_operands *operands; /* [linears] */
    ob_linears *singles;   /* [linears] */
    ob_linears *groups;    /* [group_count] */
    int group_count;
    ob_operands *joined; /* [group_count]: of groups of several, where a lane joins */
    ob_chain_plan chain;
    int count; /* of lanes */
    ob_lane *lanes;
    ob_runner *runners;
};

/* "L0.q", or "L0.q+k+v". */
void ob_linears_name(const ob_pass_run *p, ob_linears unit, char out[64]);

/* ---- session_pass_unit.c: forms single and grouped */

/* Whether a lane's launch is of a joined problem. */
bool ob_runner_joins(const ob_runner *r, ob_linears unit);
/* Prepares launch number `index`, makes it once and verifies it. What fails names the linear. */
ortho_status ob_unit_prepare(ob_runner *r, int index);
ortho_status ob_unit_run(const ob_runner *r, int index);
/* Verifies what the launch left. */
ortho_status ob_unit_check(ob_runner *r, int index);
void ob_unit_poison(ob_runner *r, int index);
/* Prepares a linear's state alone, for a chain. */
ortho_status ob_unit_prepare_state(ob_runner *r, int linear);

/* ---- session_pass_join.c */

/* Splits of one k and group made one: rows appended in order. The caller frees. */
ortho_status ob_splits_join(const ortho_split *const *parts, int count,
                            const ortho_services *services, ortho_split *out);
/* The same of weights: of their dtype, or F32 where they differ. The caller frees data with the
 * services. */
ortho_status ob_weights_join(const ortho_matrix *const *parts, int count,
                             const ortho_services *services, ortho_matrix *out);
/* Columns [at, at + n) of a joined output [m, all] as the output [m, n] of one part. */
typedef struct ob_joined {
    int64_t m, all, at, n;
    size_t element;
} ob_joined;
void ob_output_part(const void *joined, ob_joined where, void *out);

/* ---- session_pass_chain.c: form persistent */

/* UNSUPPORTED with the reason where this case can't be had as a chain of so many linears. */
ortho_status ob_chain_supported(const ob_case *c);
ortho_status ob_chain_plan_open(ob_pass_run *p);
void ob_chain_plan_close(ob_pass_run *p);
/* Takes the split of linear i, whose predecessors it has; finds its scale. Leaves *split empty. */
ortho_status ob_chain_plan_add(ob_pass_run *p, int i, ortho_split *split);
/* Once all states are prepared: prepares the chain, launches it once and verifies every step. */
ortho_status ob_chain_prepare(ob_runner *r);
ortho_status ob_chain_run(const ob_runner *r);
ortho_status ob_chain_check(ob_runner *r);
ortho_status ob_chain_poison(ob_runner *r);
void ob_chain_release(ob_runner *r);

#endif
