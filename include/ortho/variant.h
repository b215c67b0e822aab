/*
 * variant.h: the contract between the instrument and a competing implementation.
 *
 * A variant is one folder, variants/NAME/, whose cpu.c (and cuda.cu) defines one constant
 * descriptor `ortho_variant_NAME_cpu` (dashes become underscores). The build finds the file and
 * generates the table; nothing else is edited. An out-of-tree variant is a shared object that
 * exports `const ortho_variant *ortho_plugin(void)`, loaded with --plugin: this header is all that
 * it needs, and the services below are all that it may call.
 *
 * Rules: a descriptor never changes. Private state is allocated zeroed by the caller (state_size),
 * aligned to 64 bytes. A hook that fails leaves its message through services->fail and leaves
 * nothing allocated; release is called exactly once after a prepare that succeeded, never
 * otherwise.
 */
#ifndef ORTHO_VARIANT_H
#define ORTHO_VARIANT_H

#include <ortho/ortho.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a struct of this header changes its layout or a hook its meaning. */
#define ORTHO_VARIANT_ABI 8u

typedef enum ortho_backend { ORTHO_CPU = 0, ORTHO_CUDA = 1 } ortho_backend;

/* What a variant stands for in a table. The instrument branches on this, never on a name. */
typedef enum ortho_role {
    ORTHO_COMPETITOR = 0, /* a way of doing the sieve or the dual GEMM */
    ORTHO_BASELINE, /* what a user would otherwise run: speed-ups are over the first of these */
    ORTHO_CEILING,  /* moves bytes and computes nothing: measures the bandwidth for floors */
    ORTHO_HARNESS,  /* does nothing: prices the harness */
    ORTHO_ORACLE    /* fp64, slow, trusted: what every other result is compared with */
} ortho_role;

/* What a GEMM hook computes, hence what its output is verified against. */
typedef enum ortho_computes {
    ORTHO_COMPUTES_SPLIT = 0, /* x * (Base + alpha * Ortho)^T */
    ORTHO_COMPUTES_UNSPLIT,   /* x * W^T, the weights before the sieve, rounded to the problem's
                                 dtype as a user would store them */
    ORTHO_COMPUTES_NOTHING    /* y stays as it was (verified: the poison must survive) */
} ortho_computes;

/* Bytes of one column index of a split with k columns. */
static inline size_t ortho_split_col_bytes(int64_t k)
{
    return k > 65536 ? sizeof(uint32_t) : sizeof(uint16_t);
}

/* Column of entry i. */
static inline int64_t ortho_split_col(const ortho_split *s, int64_t i)
{
    return s->k > 65536 ? (int64_t)((const uint32_t *)s->col)[i]
                        : (int64_t)((const uint16_t *)s->col)[i];
}

typedef enum ortho_space { ORTHO_HOST = 0, ORTHO_DEVICE = 1 } ortho_space;

/*
 * CUDA. A run hook (of a GEMM, of a sieve) only enqueues: kernels and device-to-device copies on
 * the given stream, each launch checked. It is captured into a CUDA graph and replayed, so it
 * allocates nothing, waits for nothing and copies nothing from or to host memory. What it finds out
 * late (a NaN in W) is told by the hook that waits anyway: a sieve's export_split. prepare may use
 * the stream of its services and wait for it. Weights, x, y, workspace and a sieve's W are device
 * pointers.
 */

/* What an allocation is for: the account that its bytes are booked on. */
typedef enum ortho_purpose {
    ORTHO_WEIGHTS = 0, /* a GEMM's packed weights and index, kept from prepare to release */
    ORTHO_OUTPUT,      /* what a sieve produces, kept from prepare to release */
    ORTHO_WORKING      /* temporaries: the peak of these is the column "working memory" */
} ortho_purpose;

/* What the caller lends to every hook. Valid during the call, except ctx/alloc/free, which stay
 * valid until release. */
typedef struct ortho_services {
    void *ctx;
    /* 64-byte aligned (device: 256), not zeroed; NULL on failure, with the message left. Zero bytes
     * give a valid pointer. */
    void *(*alloc)(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose);
    void (*free)(void *ctx, void *ptr); /* NULL is allowed */
    /* Records a printf-style message for the current thread and returns `status`. */
    ortho_status (*fail)(ortho_status status, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
    int threads;  /* CPU threads to use, >= 1 */
    void *stream; /* cudaStream_t; NULL on the CPU */
} ortho_services;

/* One kernel that an operation launches, as the compiler made it. */
typedef struct ortho_kernel_facts {
    const char *name;     /* static storage */
    int threads;          /* of a block */
    int registers;        /* of a thread */
    size_t shared_bytes;  /* of a block, static and dynamic */
    size_t spilled_bytes; /* local memory of a thread: spills, and arrays that found no register */
} ortho_kernel_facts;

typedef struct ortho_kernel_sink {
    void *ctx;
    void (*kernel)(void *ctx, const ortho_kernel_facts *);
} ortho_kernel_sink;

/* Receives warp instructions of a modelled loop: `count` of them were issued with `active` lanes.
 */
typedef struct ortho_lane_sink {
    void *ctx;
    void (*issue)(void *ctx, int active, double count);
} ortho_lane_sink;

/* Where in the source a modelled loop stands, so that an instrument can count what its instructions
 * did. All static storage. */
typedef struct ortho_loop {
    const char *kernel; /* part of the kernel's (mangled) name */
    const char *file;   /* __FILE__ of it */
    int first, last;    /* lines, inclusive */
} ortho_loop;

/* One warp runs a loop whose 32 lanes make trips[] iterations of `weight` instructions each: lanes
 * that are done wait for the longest. */
static inline void ortho_lanes_loop(const ortho_lane_sink *sink, const int64_t trips[32],
                                    double weight)
{
    int64_t done = 0;
    for (;;) {
        int active = 0;
        int64_t next = INT64_MAX;
        for (int lane = 0; lane < 32; lane++)
            if (trips[lane] > done) {
                active++;
                next = trips[lane] < next ? trips[lane] : next;
            }
        if (active == 0)
            return;
        sink->issue(sink->ctx, active, weight * (double)(next - done));
        done = next;
    }
}

/* A thread a row, 32 consecutive rows a warp, one trip of `weight` instructions per entry of the
 * row: rows of unequal length leave lanes waiting for the longest. Lanes beyond n never enter. */
static inline void ortho_lanes_rows(const ortho_split *split, const ortho_lane_sink *sink,
                                    double weight)
{
    for (int64_t row = 0; row < split->n; row += 32) {
        int64_t trips[32] = {0};
        for (int lane = 0; lane < 32 && row + lane < split->n; lane++)
            trips[lane] = split->row_ptr[row + lane + 1] - split->row_ptr[row + lane];
        ortho_lanes_loop(sink, trips, weight);
    }
}

/* ---- dual GEMM ------------------------------------------------------------------------------ */

typedef struct ortho_gemm_problem {
    int64_t n, k, m; /* m: tokens of the calls to come; a call may bring fewer */
    int64_t nnz;
    int64_t group;            /* as in ortho_split */
    ortho_dtype dtype;        /* of the calls' x and y, unless they say another */
    const ortho_split *split; /* valid during prepare only; NULL in supports */
    const ortho_matrix *w;    /* the unsplit W, valid during prepare only; may be NULL */
    /* Of the calls over the state. INT8 comes to variants alone whose hooks say int8_activations:
     * the callers of supports and prepare see to it. */
    ortho_activation_mode activations;
} ortho_gemm_problem;

typedef struct ortho_gemm_call {
    const void *x; /* [m, k] contiguous */
    void *y;       /* [m, n] contiguous; every element is written */
    /* Of x and y: F32, F16 or BF16. A competitor takes each that its `supports` doesn't refuse,
     * over one state, whatever the problem said; others may answer UNSUPPORTED to one that isn't
     * the problem's. */
    ortho_dtype dtype;
    int64_t m;   /* 1 .. problem.m */
    float alpha; /* 0: Ortho is not read at all, so a NaN in it can't leak */
    /* `workspace` bytes, 64-byte aligned (device: 256), with anything in them. Other calls on the
     * stream, of any variant, may have had the same: a launch that begins before the one in front
     * of it ends must wait for that end before it touches them. */
    void *workspace;
    int threads;
    void *stream;
    int way; /* 0: the variant decides; else one of its hooks' ways, counted from 1 */
} ortho_gemm_call;

/* What one call must move and compute, for floors and rooflines. */
typedef struct ortho_cost {
    double bytes; /* weights and index as packed, x read once, y written once */
    double flops; /* 2 * m * (n*k + nnz) */
} ortho_cost;

/*
 * A chain: linears one after the other for one token, each one's x a range of what those before it
 * gave: what a decode pass is, without attention, norms and activations between. An implementation
 * may run all of it in one launch.
 */
typedef struct ortho_chain_step {
    const void *state; /* a prepared GEMM state of this variant, which outlives the chain */
    int64_t n, k;      /* its problem's */
    int64_t x_at; /* its x is y[x_at .. x_at + k) of the chain's y, all of it outputs of earlier
                     steps; -1: the chain's x */
    float scale;  /* y = scale * x * (Base + alpha * Ortho)^T: stands for the norms that keep
                     magnitudes within range; finite */
} ortho_chain_step;

typedef struct ortho_chain_problem {
    const ortho_chain_step *steps; /* valid during prepare only */
    int count;                     /* 1 .. ORTHO_CHAIN_MAX */
    ortho_dtype dtype;             /* of x and y */
} ortho_chain_problem;

typedef struct ortho_chain_call {
    const void *x;      /* [k], of the steps whose x_at is -1 */
    void *y;            /* [sum of n]: outputs of all steps, in order; every element is written */
    const float *alpha; /* [count], host; read before run returns. 0 as in ortho_gemm_call */
    void *workspace;
    void *stream;
} ortho_chain_call;

#define ORTHO_CHAIN_MAX ORTHO_PASS_MAX

#define ORTHO_WAYS_MAX 32 /* of a variant */

typedef struct ortho_chain_hooks {
    size_t state_size;
    /* As of a GEMM: private state, services, errors; UNSUPPORTED where a step can't be had so. */
    ortho_status (*prepare)(void *chain, const ortho_chain_problem *, const ortho_services *);
    size_t (*workspace)(const void *chain); /* optional */
    /* As a GEMM's run: enqueues, allocates nothing, re-entrant with separate workspaces and y. */
    ortho_status (*run)(const void *chain, const ortho_chain_call *);
    void (*release)(void *chain, const ortho_services *);
    /* Optional (CUDA): the kernels that a call launches, in order. */
    void (*kernels)(const void *chain, const ortho_kernel_sink *);
} ortho_chain_hooks;

typedef struct ortho_gemm_hooks {
    size_t state_size;
    ortho_computes computes;
    /* Optional. UNSUPPORTED with a reason makes the case a skip. Reads sizes only. */
    ortho_status (*supports)(const ortho_gemm_problem *, const ortho_services *);
    /* Builds the variant's own layout from the canonical split. Not timed. */
    ortho_status (*prepare)(void *state, const ortho_gemm_problem *, const ortho_services *);
    /* Optional: bytes of workspace that a call with m tokens of this dtype (as ortho_gemm_call's)
     * needs, in any of the ways that can take it. NULL: none. */
    size_t (*workspace)(const void *state, int64_t m, ortho_dtype dtype);
    /* The timed call. Allocates nothing; re-entrant over one state with separate workspaces. A way
     * that can't take the call is an error (UNSUPPORTED), never another way in its place. */
    ortho_status (*run)(const void *state, const ortho_gemm_call *);
    void (*release)(void *state, const ortho_services *);
    /* Optional: NULL means weights' bytes as booked + x + y, and the formula above. */
    void (*cost)(const void *state, int64_t m, ortho_cost *);
    /* Optional lane model of the Ortho loop of the variant's GPU mapping, over these real rows. */
    void (*lanes)(const ortho_split *, int64_t m, const ortho_lane_sink *);
    /* Optional (CUDA, with lanes): the source lines that the lane model speaks of. */
    const ortho_loop *loop;
    /* Optional (CUDA): the kernels that a call with m tokens launches, in order. */
    void (*kernels)(const void *state, int64_t m, const ortho_kernel_sink *);
    /* Optional: writes the canonical split back from the packed weights, bit for bit, into host
     * arrays that the caller sized; out->n, k, nnz and group are the problem's. On CUDA it may use
     * the stream of its services and waits for it. A variant without it can't be saved by the
     * library, which passes it over. */
    ortho_status (*export_split)(const void *state, ortho_split *out, const ortho_services *);
    /* Optional: linears that share x (q, k and v; gate and up) in one launch: calls[i] over
     * states[i], 1 .. ORTHO_GROUP_MAX of them. The calls agree in x, m, dtype, threads and stream,
     * the states in k; each call has its own y, alpha and workspace. Without it the caller runs
     * them in turn. */
    ortho_status (*run_group)(const void *const *states, const ortho_gemm_call *calls, int count);
    /* Optional: many linears in one launch. */
    const ortho_chain_hooks *chain;
    /* Can a problem ask for ORTHO_ACTIVATIONS_INT8? A chain is of states of one mode or of both. */
    bool int8_activations;
    /* Optional, both or neither: the ways in which calls can be taken (kernels, shapes of tiles,
     * orders of loops), between which the variant decides by shape and batch. Names as variants
     * have them, static storage, NULL behind the last, ORTHO_WAYS_MAX at most. `ortho-bench tune`
     * times them all. */
    const char *const *ways;
    /* The way in which `run` would take this call, counted from 1; 0: it asks for one that can't.
     * Of x and y no more than the addresses is read. */
    int (*way)(const void *state, const ortho_gemm_call *call);
} ortho_gemm_hooks;

/* ---- sieve ---------------------------------------------------------------------------------- */

typedef struct ortho_sieve_problem {
    const ortho_matrix *w; /* device pointer in data for ORTHO_CUDA */
    const float *hessian;  /* [k] diagonal, host; NULL: mean over n of W[n,k]^2 */
    double density;
    int64_t nnz; /* floor(density * n * k), computed once by the caller */
    ortho_rule rule;
    int64_t group; /* as asked, k for the whole row; LEGACY uses k whatever this says */
} ortho_sieve_problem;

typedef struct ortho_sieve_hooks {
    size_t state_size;
    ortho_status (*supports)(const ortho_sieve_problem *, const ortho_services *); /* optional */
    /* Allocates the outputs (purpose OUTPUT), whose sizes are all known. Not timed. */
    ortho_status (*prepare)(void *state, const ortho_sieve_problem *, const ortho_services *);
    /* The timed call. Temporaries through services with purpose WORKING, freed before it returns;
     * on CUDA, where run allocates nothing, they are prepare's and kept until release. May be
     * called again on the same state, with another copy of the same problem. */
    ortho_status (*run)(void *state, const ortho_sieve_problem *, const ortho_services *);
    /* Writes the result in canonical form into buffers that the caller sized from the problem:
     * verification, not timed. */
    ortho_status (*export_split)(const void *state, ortho_split *out, const ortho_services *);
    void (*release)(void *state, const ortho_services *);
    /* Optional lane model of the emit loop of the variant's GPU mapping, given the result's rows.
     */
    void (*lanes)(const ortho_split *, const ortho_lane_sink *);
    /* Optional (CUDA, with lanes): the source lines that the lane model speaks of. */
    const ortho_loop *loop;
    /* Times that the algorithm reads W for this rule: its share of the floor. 0 counts as 1. */
    int w_reads[3]; /* indexed by ortho_rule */
    /* Optional (CUDA): the kernels that a run launches, in order. */
    void (*kernels)(const void *state, const ortho_kernel_sink *);
} ortho_sieve_hooks;

/* ---- descriptor ----------------------------------------------------------------------------- */

typedef struct ortho_variant {
    uint32_t abi;        /* ORTHO_VARIANT_ABI */
    uint32_t size;       /* sizeof(ortho_variant) */
    const char *name;    /* lower-case words joined by dashes: "warp-per-row" */
    const char *summary; /* one line for `ortho-bench list` */
    ortho_backend backend;
    ortho_role role;
    const ortho_sieve_hooks *sieve; /* NULL: doesn't do it */
    const ortho_gemm_hooks *gemm;   /* NULL: doesn't do it */
} ortho_variant;

/* The one symbol that a --plugin shared object exports. */
typedef const ortho_variant *ortho_plugin_fn(void);

#ifdef __cplusplus
}
#endif
#endif
