/* fused: what rounding a linear's weights to fp16 does to its outputs. Host code only. */
#include "common/half.h"
#include "variants/fused/rounding.h"

#include <math.h>

namespace ortho_fused
{

namespace
{

constexpr float WIDE_DEVIATIONS = 8; /* of the error of rounding, within verification's bound */
constexpr float SMALLEST = 0x1p-14f, LARGEST = 0x1p14f; /* normal numbers of fp16, and their sums */

float magnitude(uint16_t bits)
{
    return fabsf(ortho_fp16_to_float(bits));
}

void note_magnitude(float v, float *least, float *most)
{
    if (v == 0)
        return;
    *least = *least == 0 ? v : fminf(*least, v);
    *most = fmaxf(*most, v);
}

/*
 * How many standard deviations of the error that comes of rounding a row's weights to fp16 lie
 * within the bound of verification, 8 sqrt(2 k) 2^-24 sum |w x|. A rounded weight is off by 0.2 x
 * 2^-11 of itself (the root of the mean square, over numbers of all sizes), independently of the
 * others; |x| is 0.8 of its root mean square on average, as that of a normal distribution is, and
 * so is |q s|, where q is taken to be 3 in the root mean square.
 */
float row_deviations(double k, double scale, double sum, double squares)
{
    const double base = 3 * scale, all = 0.8 * k * base + sum, root = k * base * base + squares;
    return static_cast<float>(8 * sqrt(2 * k) * 0x1p-24 * 0.8 * all / (0.2 * 0x1p-11 * sqrt(root)));
}

void note_row(rounding *out, const ortho_split *split, int64_t r)
{
    const int64_t groups = (split->k + split->group - 1) / split->group;
    const double k = static_cast<double>(split->k);
    double scale = 0, sum = 0, squares = 0;
    for (int64_t g = r * groups; g < (r + 1) * groups; g++) {
        const float v = magnitude(split->scale[g]);
        note_magnitude(v, &out->least, &out->most);
        out->zero_scales = out->zero_scales || v == 0;
        scale += static_cast<double>(v) / static_cast<double>(groups);
    }
    for (int64_t i = split->row_ptr[r]; i < split->row_ptr[r + 1]; i++) {
        const float v = magnitude(split->val[i]);
        note_magnitude(v, &out->least_entry, &out->entry);
        sum += v;
        squares += static_cast<double>(v) * v;
    }
    if (scale > 0)
        out->deviations = fminf(out->deviations, row_deviations(k, scale, 0, 0));
    if (squares > 0)
        out->deviations = fminf(out->deviations, row_deviations(k, scale, sum, squares));
}

/* alpha times an entry is exact, and no farther from Base than the entry. */
bool keeps_entries(float alpha)
{
    int exponent = 0;
    return alpha == 0 || (fabsf(alpha) <= 1 && fabsf(frexpf(alpha, &exponent)) == 0.5f);
}

} // namespace

rounding rounding_of(const ortho_split *split)
{
    rounding out = {};
    out.deviations = INFINITY;
    for (int64_t r = 0; r < split->n; r++)
        note_row(&out, split, r);
    return out;
}

bool may_round(const rounding &r, float alpha)
{
    const float times = fabsf(alpha);
    if (r.most > 0 && (r.least < SMALLEST || r.most * 8 > LARGEST))
        return false;
    /* Small entries are lost beside Base, not where Base is 0. */
    return keeps_entries(alpha) && r.entry <= LARGEST && r.deviations >= WIDE_DEVIATIONS &&
           (!r.zero_scales || times == 0 || times * r.least_entry >= SMALLEST);
}

} // namespace ortho_fused
