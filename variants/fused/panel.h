/*
 * panel.h: many tokens, the road that gemm.c takes where weights are shared by enough of them;
 * private to variants/fused.
 *
 *   slab   the columns of a few segments, up to ORTHO_FUSED_PANEL
 *   panel  16 rows of a slab in fp32, Ortho added to Base: [columns][16], without padding; 16 KiB,
 *          a thread's own, in the L1 cache while all tokens meet it
 *   tile   a few tokens of a slab, x as [columns][tokens]: as many as fit their sums in registers
 */
#ifndef ORTHO_VARIANTS_FUSED_PANEL_H
#define ORTHO_VARIANTS_FUSED_PANEL_H

#include "variants/fused/pass.h"

/* Can a call with m tokens of any dtype be taken this way? And is it the faster one, as far as is
 * known without a measurement? */
bool ortho_fused_takes_panels(const ortho_fused_state *st, int64_t m);
bool ortho_fused_likes_panels(const ortho_fused_state *st, int64_t m);

/* Bytes for a call with m tokens. */
int64_t ortho_fused_panels_workspace(const ortho_fused_state *st, int64_t m);

/* The whole call, by all `threads` <= st->threads of a parallel region; ends with a barrier. */
void ortho_fused_panels_run(const ortho_fused_state *st, const ortho_gemm_call *call, int threads);

#endif
