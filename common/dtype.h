/* dtype.h: names and sizes of dtypes. */
#ifndef ORTHO_COMMON_DTYPE_H
#define ORTHO_COMMON_DTYPE_H

#include <ortho/ortho.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The safetensors name ("BF16"), for GGUF blocks the GGUF name ("Q4_0"); "?" when out of range. */
const char *ortho_dtype_name(ortho_dtype dtype);

/* By that name, case-sensitive. False when there is none. */
bool ortho_dtype_from_name(const char *name, ortho_dtype *out);

/* Elements of one storage unit, and the unit's bytes: 1 and 4 for F32, 32 and 18 for Q4_0, 2 and 1
 * for F4, 4 and 3 for F6. */
int ortho_dtype_block(ortho_dtype dtype);
int ortho_dtype_block_bytes(ortho_dtype dtype);

/* Bytes of one element of F32, F16, BF16 (and other whole-byte dtypes); 0 for blocks. */
size_t ortho_dtype_bytes(ortho_dtype dtype);

/* F32, F16 or BF16 element at index i, as float. */
float ortho_dtype_load(ortho_dtype dtype, const void *data, int64_t i);

/* Stores rounded to nearest even. */
void ortho_dtype_store(ortho_dtype dtype, void *data, int64_t i, float value);

#ifdef __cplusplus
}
#endif

#endif
