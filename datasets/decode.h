/* decode.h: stored elements to float. */
#ifndef ORTHO_DATASETS_DECODE_H
#define ORTHO_DATASETS_DECODE_H

#include <ortho/ortho.h>
#include <stdbool.h>

/* F32, F16, BF16, Q4_0, Q4_1, Q8_0. */
bool ortho_dtype_decodable(ortho_dtype dtype);

/* F32, F16, BF16: handed out as stored. */
bool ortho_dtype_plain(ortho_dtype dtype);

/* Decodes `blocks` storage units (elements, or GGUF blocks of 32) from unaligned bytes. Values may
 * be NaN or Inf where the bytes say so. */
void ortho_decode(ortho_dtype dtype, const void *src, int64_t blocks, float *dst);

#endif
