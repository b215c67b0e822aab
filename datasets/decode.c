/*
 * decode.c: the GGUF blocks, little-endian, 32 weights each. Nibble i of byte j: the low half holds
 * elements 0..15, the high half 16..31.
 *   Q4_0  fp16 d, 16 bytes     (q - 8) * d
 *   Q4_1  fp16 d, fp16 m, 16   q * d + m
 *   Q8_0  fp16 d, 32 int8      q * d
 */
#include "datasets/decode.h"

#include "common/dtype.h"
#include "common/half.h"

#include <string.h>

#define BLOCK 32

static float load_fp16(const uint8_t *p)
{
    return ortho_fp16_to_float((uint16_t)(p[0] | p[1] << 8));
}

static void decode_q4_0(const uint8_t *src, float *dst)
{
    float d = load_fp16(src);
    for (int j = 0; j < BLOCK / 2; j++) {
        dst[j] = (float)((src[2 + j] & 15) - 8) * d;
        dst[j + BLOCK / 2] = (float)((src[2 + j] >> 4) - 8) * d;
    }
}

static void decode_q4_1(const uint8_t *src, float *dst)
{
    float d = load_fp16(src), m = load_fp16(src + 2);
    for (int j = 0; j < BLOCK / 2; j++) {
        dst[j] = (float)(src[4 + j] & 15) * d + m;
        dst[j + BLOCK / 2] = (float)(src[4 + j] >> 4) * d + m;
    }
}

static void decode_q8_0(const uint8_t *src, float *dst)
{
    float d = load_fp16(src);
    for (int j = 0; j < BLOCK; j++)
        dst[j] = (float)(int8_t)src[2 + j] * d;
}

static void decode_f32(const uint8_t *src, float *dst)
{
    memcpy(dst, src, sizeof *dst);
}

static void decode_f16(const uint8_t *src, float *dst)
{
    *dst = load_fp16(src);
}

static void decode_bf16(const uint8_t *src, float *dst)
{
    *dst = ortho_bf16_to_float((uint16_t)(src[0] | src[1] << 8));
}

/* One storage unit to float; NULL: named, not decoded. */
static void (*const decoders[ORTHO_DTYPE_COUNT])(const uint8_t *src, float *dst) = {
    [ORTHO_F32] = decode_f32,   [ORTHO_F16] = decode_f16,   [ORTHO_BF16] = decode_bf16,
    [ORTHO_Q4_0] = decode_q4_0, [ORTHO_Q4_1] = decode_q4_1, [ORTHO_Q8_0] = decode_q8_0,
};

bool ortho_dtype_decodable(ortho_dtype dtype)
{
    return (unsigned)dtype < ORTHO_DTYPE_COUNT && decoders[dtype] != NULL;
}

bool ortho_dtype_plain(ortho_dtype dtype)
{
    return ortho_dtype_decodable(dtype) && ortho_dtype_block(dtype) == 1;
}

void ortho_decode(ortho_dtype dtype, const void *src, int64_t blocks, float *dst)
{
    const uint8_t *p = src;
    int elements = ortho_dtype_block(dtype), bytes = ortho_dtype_block_bytes(dtype);
    for (int64_t i = 0; i < blocks; i++)
        decoders[dtype](p + i * bytes, dst + i * elements);
}
