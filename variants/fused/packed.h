/*
 * packed.h: the weights of `fused` on the CPU, packed so that one pass reads them in the order in
 * which they are used.
 *
 *   block    16 rows, worked by one thread while their sums stay in the L1 cache
 *   segment  up to 256 columns of one group, padded to a multiple of 8: they share a scale, and the
 *            activations over them share a unit (digits.h)
 *   chunk    16 rows x 8 columns in 64 bytes: row r has the 32-bit word at byte 4 * r, and a byte b
 *            of it holds column b below and column b + 4 above. Nibbles hold q + 8, 0 to 15.
 *
 *   scales   16 fp16 of a segment, two segments' in the 64 bytes before the first one's chunks
 *
 * A block is one stream of lines: scales, the chunks of two segments, scales, and so on. So a lane
 * of a vector is a row: no sum is folded across lanes, a scale costs one conversion for 16 rows,
 * and the two nibbles of a byte meet activations in their natural order. Padding is q = 0 and
 * scale = 0. Ortho stays CSR: its entries lie in the order in which blocks use them.
 */
#ifndef ORTHO_VARIANTS_FUSED_PACKED_H
#define ORTHO_VARIANTS_FUSED_PACKED_H

#include "kernels/spmm.h"

#define ORTHO_FUSED_ROWS    16 /* of a block: those of a patch too, ORTHO_BASE_ROWS */
#define ORTHO_FUSED_COLUMNS 8  /* of a chunk */
#define ORTHO_FUSED_CHUNK   64 /* bytes */
#define ORTHO_FUSED_SEGMENT ORTHO_INT8_COLUMNS /* most columns of a segment: 32 chunks, 2 KiB */

typedef struct ortho_fused_segment {
    int64_t column; /* first, in the split */
    int64_t at;     /* first, counted with all padding of columns */
    int64_t group;
    int64_t scales_at, chunks_at; /* bytes from the block's first */
    int32_t columns;              /* without padding, 1 .. ORTHO_FUSED_SEGMENT */
    int32_t chunks;
} ortho_fused_segment;

typedef struct ortho_fused_packed {
    int64_t n, k, group, groups; /* groups of a row */
    int64_t blocks;
    int64_t width; /* columns of a row with all padding */
    int64_t segments;
    int64_t stride;               /* bytes of a block */
    ortho_fused_segment *segment; /* [segments] */
    uint8_t *base;                /* [blocks][stride], 64-byte aligned */
    ortho_csr ortho;
} ortho_fused_packed;

/* Packs a canonical split (purpose WEIGHTS). Any n, k, group >= 1. */
ortho_status ortho_fused_pack(ortho_fused_packed *packed, const ortho_split *split,
                              const ortho_services *services);
void ortho_fused_packed_free(ortho_fused_packed *packed, const ortho_services *services);

/* Writes the canonical split back, bit for bit, into arrays that the caller sized. */
void ortho_fused_unpack(const ortho_fused_packed *packed, ortho_split *out);

/* Bytes of Base; of everything of the rows before `block`, Ortho's entries included. */
size_t ortho_fused_base_bytes(const ortho_fused_packed *packed);
int64_t ortho_fused_bytes_before(const ortho_fused_packed *packed, int64_t block);

static inline const uint8_t *ortho_fused_chunks(const ortho_fused_packed *packed, int64_t block,
                                                const ortho_fused_segment *segment)
{
    return packed->base + block * packed->stride + segment->chunks_at;
}

static inline const uint16_t *ortho_fused_scales(const ortho_fused_packed *packed, int64_t block,
                                                 const ortho_fused_segment *segment)
{
    const uint8_t *at = packed->base + block * packed->stride + segment->scales_at;
    return (const uint16_t *)(const void *)at;
}

#endif
