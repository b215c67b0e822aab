/*
 * rounding.h: may a linear's weights be rounded to fp16, as wide.cu's kernel does? Only where
 * verification's bound isn't reached. Found out when a linear is packed, decided for each call:
 * plain code of the host, tested without a GPU.
 */
#ifndef ORTHO_VARIANTS_FUSED_ROUNDING_H
#define ORTHO_VARIANTS_FUSED_ROUNDING_H

#include <ortho/variant.h>

namespace ortho_fused
{

/* With this alpha a few rows may be computed once more, with exact weights. */
constexpr float MENDED_ALPHA = 1.0f;
constexpr int MENDED_MOST = 32;

/* With any other alpha the exact kernel is used: what rounding costs then isn't found out. */
constexpr float ROUNDED_ALPHAS[] = {0.0f, 0.5f, 1.0f};
constexpr int ROUNDED = sizeof ROUNDED_ALPHAS / sizeof *ROUNDED_ALPHAS;

/* A weight of a split's row, by the byte that has it. */
inline int weight_of(uint8_t byte, int64_t column)
{
    return static_cast<int>(((column & 1 ? byte >> 4 : byte) & 15u) ^ 8u) - 8;
}

/* What decides, of a linear's weights. */
struct rounding {
    float least, most;        /* of the scales that aren't 0, by magnitude; 0 without any */
    float least_entry, entry; /* the same of the entries */
    bool zero_scales;         /* there are some */
    double chance[ROUNDED];   /* with each alpha: that an output is moved beyond the bound */
    /* With MENDED_ALPHA: without the rows that have to be mended, which are few or none. */
    double chance_left;
    int mended;
    int32_t row[MENDED_MOST];
};

/* Reads all weights, one by one; none of rows that are too short whatever they hold. */
rounding rounding_of(const ortho_split *split);

/* May Base + alpha * Ortho be rounded to fp16? With MENDED_ALPHA, if r.row[] is mended. */
bool may_round(const rounding &r, float alpha);

} // namespace ortho_fused

#endif
