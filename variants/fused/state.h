/* state.h: what a prepared linear of `fused` is; pack.cu makes it, those that launch use it. */
#ifndef ORTHO_VARIANTS_FUSED_STATE_H
#define ORTHO_VARIANTS_FUSED_STATE_H

#include "kernels/cuda/blas.h"
#include "variants/fused/layout.cuh"
#include "variants/fused/once_counters.h"
#include "variants/fused/rounding.h"
#include "variants/tuned.h"

namespace ortho_fused
{

/* One linear as a kernel sees it. Device memory. */
struct linear {
    shape s;
    const uint8_t *base;   /* [units][images], packed */
    const uint8_t *ortho;  /* steps */
    const uint32_t *begin; /* [sections + 1] first step of a section */
    const uint32_t *unit;  /* [units] the rows' unit, in the order of the parts */
    const uint32_t *where; /* [units] the place in that order of a unit of rows */
    const uint32_t *first; /* [windows][units][8] the first segment of a row, from its section's */
    const uint8_t *count;  /* [units][images][8] entries of a row in an image */
};

/* Rows with exact weights. Device memory. */
struct mended_rows {
    const float *w; /* [count, k] */
    const int32_t *row;
    int count;
    size_t bytes;
};

struct state {
    linear w;
    int64_t nnz, group, groups; /* as in the split; groups of a row */
    ortho_dtype dtype;          /* the problem's, for costs */
    size_t bytes;               /* of all arrays */
    rounding rounded;           /* may its weights be rounded to fp16? */
    bool indexed;               /* w.first and w.count are there */
    size_t index_bytes;         /* of these and `mended`, among all bytes */
    mended_rows mended;         /* those that may_round() asks for */
    ortho_cublas *blas;         /* NULL where there is none */
    bool bulk;                  /* has_bulk_copies() */
    bool hopper;                /* bulk, and compute capability 9.x */
    once_sets *sets;            /* once.cu's; NULL where it takes no call */
    int multiprocessors;
    ortho_tuned tuned; /* what was measured of linears like this one */
};

/* Number i of those that share x. */
inline const state &state_of(const void *const *states, int i)
{
    return *static_cast<const state *>(states[i]);
}

ortho_status supports(const ortho_gemm_problem *problem, const ortho_services *services);
ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services);
void release(void *opaque, const ortho_services *services);
ortho_status export_split(const void *opaque, ortho_split *out, const ortho_services *services);
void cost(const void *opaque, int64_t m, ortho_cost *out);

/* Launches of group.cu, gemv.cu, batch.cu, direct.cu, narrow.cu, chunks.cu, once.cu, wide.cu and
 * chain.cu. */
size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype);
ortho_status run(const void *opaque, const ortho_gemm_call *call);
ortho_status run_group(const void *const *states, const ortho_gemm_call *calls, int count);
void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink);
/* Linears that share x and have the same groups of an image, of any number of tokens. */
ortho_status run_few(const void *const *states, const ortho_gemm_call *calls, int count);
/* Can the kernels run here that stream weights by bulk copies: all but direct.cu's? It takes a GPU
 * of compute capability 9.0 with as much shared memory as an H100's, and code compiled for it. */
bool has_bulk_copies();
/* Are so many tokens batch.cu's? Those of fp32 are not. */
bool takes_batch(ortho_dtype dtype, int64_t m);
/* Linears that share x and have the same groups of an image. */
ortho_status run_batch(const void *const *states, const ortho_gemm_call *calls, int count);
void batch_kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink);
/* Does a call have entries to be added? */
inline bool is_patched(const state &s, float alpha)
{
    return s.nnz > 0 && alpha != 0;
}

/* Fewer tokens are never taken by a kernel that rounds weights. */
constexpr int64_t ROUNDED_TOKENS_LEAST = 9;
/* May a kernel that rounds weights to fp16 take a call of one linear, which mend() then ends? */
bool takes_rounded(const state &s, const ortho_gemm_call &call);
/* Does `takes` say so of some alpha? */
bool takes_at_any_alpha(const state &s, int64_t m, ortho_dtype dtype,
                        bool (*takes)(const state &, const ortho_gemm_call &));
/* Are there rows to be computed exactly? */
inline bool is_mended(const state &s, float alpha)
{
    return s.mended.count > 0 && alpha == MENDED_ALPHA;
}
/* Computes them, behind a kernel that rounded them. */
ortho_status mend(const state &s, const ortho_gemm_call &call);
void mend_kernels(const state &s, int64_t m, const ortho_kernel_sink *sink);
ortho_status keep_mended(const rounding &r, const ortho_split *split, const ortho_services *s,
                         mended_rows *out);
void free_mended(mended_rows *rows, const ortho_services *s);

/* Can chunks.cu take a call of one linear? It takes about so many us. */
bool takes_chunks(const state &s, const ortho_gemm_call &call);
float chunks_us(const state &s, int64_t m);
ortho_status run_chunks(const state &s, const ortho_gemm_call &call);
void chunk_kernels(const state &s, int64_t m, const ortho_kernel_sink *sink);
size_t chunk_workspace(const state &s, int64_t m, ortho_dtype dtype);

/* Can once.cu take a call of one linear? In the form that it expects to take the least time, or in
 * another: forms count from 0. It takes about so many us. */
bool takes_once(const state &s, const ortho_gemm_call &call);
int once_form_of(const state &s, int64_t m);
float once_us(const state &s, int64_t m, int form);
ortho_status run_once(const state &s, const ortho_gemm_call &call, int form);
void once_kernels(const state &s, int64_t m, int form, const ortho_kernel_sink *sink);
size_t once_workspace(const state &s, int64_t m, ortho_dtype dtype);
ortho_status open_sets(const state &s, const ortho_services *services, once_sets **out);
void close_sets(once_sets *sets, const ortho_services *services); /* NULL is allowed */

/* Can wide.cu take a call of one linear? In the form that it expects to take the least time, or in
 * another: forms count from 0, WIDE_FORMS of them. */
bool takes_wide(const state &s, const ortho_gemm_call &call);
int wide_form(const state &s, int64_t m);
float wide_us(const state &s, int64_t m, int form);
/* Of one linear or of several that share x and have the same groups of an image, as many as
 * GROUP_LINEARS. */
ortho_status run_wide(const void *const *states, const ortho_gemm_call *calls, int count, int form);
/* The form for several, where it expects one launch to take less time than one each in forms of
 * their own; -1 where it doesn't. */
int wide_group_form(const void *const *states, const ortho_gemm_call *calls, int count);
void wide_kernels(const state &s, int64_t m, int form, const ortho_kernel_sink *sink);

/* Can direct.cu take a call of one linear? All calls, where others can't run; else few tokens, for
 * whoever asks. */
bool takes_direct(const state &s, const ortho_gemm_call &call);
ortho_status run_direct(const state &s, const ortho_gemm_call &call);
void direct_kernels(const state &s, int64_t m, const ortho_kernel_sink *sink);

/* Can narrow.cu take a call of one linear? Its forms are clusters of two and of four blocks; the
 * one that is usually the faster for a linear. */
bool takes_narrow(const state &s, const ortho_gemm_call &call);
inline int narrow_form(const state &s)
{
    return s.w.s.images > PANEL_IMAGES;
}
/* Of one linear or of several that share x, have the same groups of an image and all have entries
 * to be added, or none; as many as GROUP_LINEARS. */
ortho_status run_narrow(const void *const *states, const ortho_gemm_call *calls, int count,
                        int form);
void narrow_kernels(const state &s, int64_t m, int form, const ortho_kernel_sink *sink);

/* The ways of a call, in ways.cu: those that a call may ask for, in the order of their names. */
constexpr int NARROW_FORMS = 2, ONCE_FORMS = 3, WIDE_FORMS = 11; /* from WAY_NARROW on, and so on */
enum way {
    WAY_NONE = 0,
    WAY_GEMV,
    WAY_MMA16,
    WAY_DIRECT, /* from here on: one linear a launch */
    WAY_NARROW,
    WAY_CUBLAS = WAY_NARROW + NARROW_FORMS,
    WAY_ONCE,
    WAY_WIDE = WAY_ONCE + ONCE_FORMS
};
extern const char *const way_names[];
/* Of one linear's call: as hooks' `way`. */
int way_of(const state &s, const ortho_gemm_call &call);
int way_of_call(const void *opaque, const ortho_gemm_call *call);
/* The same of m tokens in the problem's dtype, x aligned and alpha 1. */
int usual_way(const state &s, int64_t m);
ortho_status refuse_way(const ortho_gemm_call &call);
/* What was measured of linears of this shape on this GPU. */
ortho_tuned find_tuned(const ortho_split *split);
extern const ortho_loop steps_loop;
extern const ortho_chain_hooks chain_hooks;

} // namespace ortho_fused

#endif
