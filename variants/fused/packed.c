/* packed.c: from the canonical split to blocks, segments and chunks, and back. */
#include "variants/fused/packed.h"

#include <string.h>

#define ZEROS 0x88888888u /* eight weights of value 0 */

/* ---- one row's word of a chunk -------------------------------------------------------------- */

/* Nibbles 0 to 3 of `half` into the low nibbles of bytes 0 to 3, and back. */
static uint32_t spread(uint32_t half)
{
    return (half & 15u) | (half & 0xf0u) << 4 | (half & 0xf00u) << 8 | (half & 0xf000u) << 12;
}

static uint32_t gather(uint32_t bytes)
{
    return (bytes & 15u) | (bytes >> 4 & 0xf0u) | (bytes >> 8 & 0xf00u) | (bytes >> 12 & 0xf000u);
}

/* Columns [column, column + count) of a canonical row, count <= 8: eight nibbles, the first one
 * lowest. */
static uint32_t row_nibbles(const uint8_t *q, int64_t column, int count)
{
    const uint8_t *at = q + column / 2;
    uint32_t nibbles = 0;
    if (column % 2 == 0 && count == 8)
        return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    for (int i = 0; i < count; i++)
        nibbles |= (uint32_t)(q[(column + i) / 2] >> (4 * ((column + i) % 2)) & 15) << (4 * i);
    return nibbles;
}

/* The row must be 0 before the first call. */
static void set_row_nibbles(uint8_t *q, int64_t column, int count, uint32_t nibbles)
{
    for (int i = 0; i < count; i++)
        q[(column + i) / 2] |= (uint8_t)((nibbles >> (4 * i) & 15u) << (4 * ((column + i) % 2)));
}

static void put_word(uint8_t *to, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(word >> (8 * i));
}

static uint32_t get_word(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* ---- segments ------------------------------------------------------------------------------- */

static int64_t group_columns(const ortho_fused_packed *p, int64_t group)
{
    int64_t left = p->k - group * p->group;
    return left < p->group ? left : p->group;
}

/* Bytes that the scales of a segment take up. */
#define SCALES ((int64_t)sizeof(uint16_t) * ORTHO_FUSED_ROWS)

/* Cuts each group; counts alone where segment is NULL. */
static void cut_segments(ortho_fused_packed *p)
{
    int64_t count = 0, at = 0, byte = 0, scales = 0;
    for (int64_t g = 0; g < p->groups; g++) {
        int64_t columns = group_columns(p, g);
        for (int64_t done = 0; done < columns; done += ORTHO_FUSED_SEGMENT, count++) {
            int64_t here = columns - done;
            here = here < ORTHO_FUSED_SEGMENT ? here : ORTHO_FUSED_SEGMENT;
            int64_t chunks = (here + ORTHO_FUSED_COLUMNS - 1) / ORTHO_FUSED_COLUMNS;
            scales = count % 2 == 0 ? byte : scales + SCALES;
            byte += count % 2 == 0 ? 2 * SCALES : 0;
            if (p->segment != NULL)
                p->segment[count] = (ortho_fused_segment){.column = g * p->group + done,
                                                          .at = at,
                                                          .group = g,
                                                          .scales_at = scales,
                                                          .chunks_at = byte,
                                                          .columns = (int32_t)here,
                                                          .chunks = (int32_t)chunks};
            at += chunks * ORTHO_FUSED_COLUMNS;
            byte += chunks * ORTHO_FUSED_CHUNK;
        }
    }
    p->segments = count;
    p->width = at;
    p->stride = byte;
}

/* Columns of a segment's chunk c. */
static int chunk_columns(const ortho_fused_segment *s, int c)
{
    int left = s->columns - c * ORTHO_FUSED_COLUMNS;
    return left < ORTHO_FUSED_COLUMNS ? left : ORTHO_FUSED_COLUMNS;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void pack_segment(const ortho_fused_packed *p, const ortho_split *split, int64_t block,
                         const ortho_fused_segment *s)
{
    uint8_t *from = p->base + block * p->stride, *chunks = from + s->chunks_at;
    uint16_t *scale = (uint16_t *)(void *)(from + s->scales_at);
    int64_t row_bytes = (p->k + 1) / 2;
    for (int r = 0; r < ORTHO_FUSED_ROWS; r++) {
        int64_t row = block * ORTHO_FUSED_ROWS + r;
        scale[r] = row < p->n ? split->scale[row * p->groups + s->group] : 0;
        for (int c = 0; c < s->chunks; c++) {
            uint32_t nibbles = 0;
            if (row < p->n)
                nibbles = row_nibbles(split->q + row * row_bytes,
                                      s->column + c * ORTHO_FUSED_COLUMNS, chunk_columns(s, c));
            put_word(chunks + c * ORTHO_FUSED_CHUNK + 4 * r,
                     (spread(nibbles) | spread(nibbles >> 16) << 4) ^ ZEROS);
        }
    }
}

static void unpack_segment(const ortho_fused_packed *p, int64_t block, const ortho_fused_segment *s,
                           ortho_split *out)
{
    const uint8_t *chunks = ortho_fused_chunks(p, block, s);
    const uint16_t *scale = ortho_fused_scales(p, block, s);
    int64_t row_bytes = (p->k + 1) / 2;
    for (int r = 0; r < ORTHO_FUSED_ROWS && block * ORTHO_FUSED_ROWS + r < p->n; r++) {
        int64_t row = block * ORTHO_FUSED_ROWS + r;
        out->scale[row * p->groups + s->group] = scale[r];
        for (int c = 0; c < s->chunks; c++) {
            uint32_t word = get_word(chunks + c * ORTHO_FUSED_CHUNK + 4 * r) ^ ZEROS;
            set_row_nibbles(out->q + row * row_bytes, s->column + c * ORTHO_FUSED_COLUMNS,
                            chunk_columns(s, c), gather(word) | gather(word >> 4) << 16);
        }
    }
}

/* ---- the object ----------------------------------------------------------------------------- */

static ortho_status allocate(ortho_fused_packed *p, const ortho_services *services)
{
    cut_segments(p);
    p->segment = services->alloc(services->ctx, (size_t)p->segments * sizeof *p->segment,
                                 ORTHO_HOST, ORTHO_WEIGHTS);
    p->base = services->alloc(services->ctx, ortho_fused_base_bytes(p), ORTHO_HOST, ORTHO_WEIGHTS);
    if (p->segment == NULL || p->base == NULL)
        return ORTHO_E_MEMORY;
    cut_segments(p);
    return ORTHO_OK;
}

ortho_status ortho_fused_pack(ortho_fused_packed *packed, const ortho_split *split,
                              const ortho_services *services)
{
    ortho_fused_packed p = {
        .n = split->n,
        .k = split->k,
        .group = split->group,
        .groups = (split->k + split->group - 1) / split->group,
        .blocks = ortho_base_blocks(split->n),
    };
    ortho_status status = ortho_csr_prepare(&p.ortho, split, services);
    if (status == ORTHO_OK)
        status = allocate(&p, services);
    if (status != ORTHO_OK) {
        ortho_fused_packed_free(&p, services);
        return status;
    }
#pragma omp parallel for num_threads(services->threads) schedule(static)
    for (int64_t block = 0; block < p.blocks; block++)
        for (int64_t s = 0; s < p.segments; s++)
            pack_segment(&p, split, block, p.segment + s);
    *packed = p;
    return ORTHO_OK;
}

void ortho_fused_packed_free(ortho_fused_packed *packed, const ortho_services *services)
{
    services->free(services->ctx, packed->base);
    services->free(services->ctx, packed->segment);
    ortho_csr_release(&packed->ortho, services);
    *packed = (ortho_fused_packed){0};
}

void ortho_fused_unpack(const ortho_fused_packed *p, ortho_split *out)
{
    memset(out->q, 0, (size_t)p->n * (size_t)((p->k + 1) / 2));
    for (int64_t block = 0; block < p->blocks; block++)
        for (int64_t s = 0; s < p->segments; s++)
            unpack_segment(p, block, p->segment + s, out);
    ortho_csr_export(&p->ortho, out);
}

size_t ortho_fused_base_bytes(const ortho_fused_packed *p)
{
    return (size_t)(p->blocks * p->stride);
}

int64_t ortho_fused_bytes_before(const ortho_fused_packed *p, int64_t block)
{
    int64_t row = block * ORTHO_FUSED_ROWS < p->n ? block * ORTHO_FUSED_ROWS : p->n;
    int64_t entry = (int64_t)(ortho_split_col_bytes(p->k) + sizeof(uint16_t));
    return block * p->stride + p->ortho.row_ptr[row] * entry;
}
