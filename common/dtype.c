#include "common/dtype.h"

#include "common/half.h"

#include <string.h>

typedef struct dtype_facts {
    const char *name;
    int block, block_bytes;
} dtype_facts;

static const dtype_facts facts[ORTHO_DTYPE_COUNT] = {
    [ORTHO_F32] = {"F32", 1, 4},         [ORTHO_F16] = {"F16", 1, 2},
    [ORTHO_BF16] = {"BF16", 1, 2},       [ORTHO_F64] = {"F64", 1, 8},
    [ORTHO_I8] = {"I8", 1, 1},           [ORTHO_U8] = {"U8", 1, 1},
    [ORTHO_I16] = {"I16", 1, 2},         [ORTHO_U16] = {"U16", 1, 2},
    [ORTHO_I32] = {"I32", 1, 4},         [ORTHO_U32] = {"U32", 1, 4},
    [ORTHO_I64] = {"I64", 1, 8},         [ORTHO_U64] = {"U64", 1, 8},
    [ORTHO_BOOL] = {"BOOL", 1, 1},       [ORTHO_F8_E4M3] = {"F8_E4M3", 1, 1},
    [ORTHO_F8_E5M2] = {"F8_E5M2", 1, 1}, [ORTHO_F8_E8M0] = {"F8_E8M0", 1, 1},
    [ORTHO_F6_E2M3] = {"F6_E2M3", 4, 3}, [ORTHO_F6_E3M2] = {"F6_E3M2", 4, 3},
    [ORTHO_F4] = {"F4", 2, 1},           [ORTHO_C64] = {"C64", 1, 8},
    [ORTHO_Q4_0] = {"Q4_0", 32, 18},     [ORTHO_Q4_1] = {"Q4_1", 32, 20},
    [ORTHO_Q8_0] = {"Q8_0", 32, 34},
};

static const dtype_facts *lookup(ortho_dtype dtype)
{
    static const dtype_facts unknown = {"?", 1, 0};
    return (unsigned)dtype < ORTHO_DTYPE_COUNT ? &facts[dtype] : &unknown;
}

const char *ortho_dtype_name(ortho_dtype dtype)
{
    return lookup(dtype)->name;
}

bool ortho_dtype_from_name(const char *name, ortho_dtype *out)
{
    for (int i = 0; i < ORTHO_DTYPE_COUNT; i++)
        if (strcmp(facts[i].name, name) == 0) {
            *out = (ortho_dtype)i;
            return true;
        }
    return false;
}

int ortho_dtype_block(ortho_dtype dtype)
{
    return lookup(dtype)->block;
}

int ortho_dtype_block_bytes(ortho_dtype dtype)
{
    return lookup(dtype)->block_bytes;
}

size_t ortho_dtype_bytes(ortho_dtype dtype)
{
    const dtype_facts *f = lookup(dtype);
    return f->block == 1 ? (size_t)f->block_bytes : 0;
}

float ortho_dtype_load(ortho_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case ORTHO_F16:
        return ortho_fp16_to_float(((const uint16_t *)data)[i]);
    case ORTHO_BF16:
        return ortho_bf16_to_float(((const uint16_t *)data)[i]);
    default:
        return ((const float *)data)[i];
    }
}

void ortho_dtype_store(ortho_dtype dtype, void *data, int64_t i, float value)
{
    switch (dtype) {
    case ORTHO_F16:
        ((uint16_t *)data)[i] = ortho_float_to_fp16(value);
        break;
    case ORTHO_BF16:
        ((uint16_t *)data)[i] = ortho_float_to_bf16(value);
        break;
    default:
        ((float *)data)[i] = value;
    }
}
