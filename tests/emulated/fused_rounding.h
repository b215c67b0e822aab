/* fused_rounding.h: linears for the tests of rounding.cu, and what a kernel that rounds makes of
 * their weights, imitated one by one. */
#ifndef ORTHO_TESTS_EMULATED_FUSED_ROUNDING_H
#define ORTHO_TESTS_EMULATED_FUSED_ROUNDING_H

#include "common/half.h"
#include "variants/fused/rounding.h"

#include <algorithm>
#include <math.h>
#include <random>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace
{

typedef std::mt19937_64 source;

inline double normal(source *from)
{
    return std::normal_distribution<double>()(*from);
}

inline double uniform(source *from, double least, double most)
{
    return std::uniform_real_distribution<double>(least, most)(*from);
}

/* One rounding, to nearest even: by way of float there would be two. */
inline double round_half(double v)
{
    int exponent = 0;
    frexp(v, &exponent);
    const int last = std::max(exponent - 11, -24);
    const double rounded = ldexp(nearbyint(ldexp(v, -last)), last);
    return fabs(rounded) > 65504 ? copysign(HUGE_VAL, v) : rounded;
}

inline uint16_t half_bits(double v)
{
    return ortho_float_to_fp16(static_cast<float>(round_half(v)));
}

/* ---- linears --------------------------------------------------------------------------------- */

/* How a linear is made. */
struct recipe {
    int64_t n = 32, k = 3072, group = 128;
    double scale = 0.01, spread = 0.15; /* of scales: the middle, and sigma of the logarithm */
    double q = 2.5;                     /* sigma of q before it is rounded and clamped */
    double zeros = 0;                   /* share of q that are 0 whatever that says */
    double density = 0.01;
    double entry = 4, entry_spread = 0.5; /* of entries, in `scale`s, as scales are told */
    uint64_t seed = 1;
};

struct linear {
    int64_t n, k, group, groups;
    std::vector<uint8_t> q;
    std::vector<uint16_t> scale, col, val;
    std::vector<int32_t> row_ptr;

    double base(int64_t row, int64_t column) const
    {
        const int byte = q[static_cast<size_t>(row * ((k + 1) / 2) + column / 2)];
        const int value = ((byte >> (column % 2 * 4) & 15) ^ 8) - 8;
        return value *
               ortho_fp16_to_float(scale[static_cast<size_t>(row * groups + column / group)]);
    }
};

inline void fill_row(const recipe &r, source *from, int64_t row, linear *l)
{
    for (int64_t g = 0; g < l->groups; g++)
        l->scale.push_back(half_bits(r.scale * exp(r.spread * normal(from))));
    for (int64_t c = 0; c < r.k; c++) {
        const bool zero = r.zeros > 0 && uniform(from, 0, 1) < r.zeros;
        const double q = zero ? 0 : std::min(std::max(nearbyint(r.q * normal(from)), -8.0), 7.0);
        const unsigned nibble = static_cast<unsigned>(static_cast<int>(q)) & 15u;
        l->q[static_cast<size_t>(row * ((r.k + 1) / 2) + c / 2)] |= nibble << (c % 2 * 4);
        if (r.density > 0 && uniform(from, 0, 1) < r.density) {
            const double v = r.scale * r.entry * exp(r.entry_spread * normal(from));
            l->col.push_back(static_cast<uint16_t>(c));
            l->val.push_back(half_bits(std::min(v, 6e4) * (uniform(from, -1, 1) < 0 ? -1 : 1)));
        }
    }
    l->row_ptr.push_back(static_cast<int32_t>(l->val.size()));
}

inline linear make(const recipe &r)
{
    linear l = {r.n, r.k, r.group, (r.k + r.group - 1) / r.group, {}, {}, {}, {}, {0}};
    source from(r.seed);
    l.q.resize(static_cast<size_t>(r.n * ((r.k + 1) / 2)));
    for (int64_t row = 0; row < r.n; row++)
        fill_row(r, &from, row, &l);
    return l;
}

inline ortho_fused::rounding rounding_of(linear *l)
{
    ortho_split s = {};
    s.n = l->n;
    s.k = l->k;
    s.group = l->group;
    s.nnz = static_cast<int64_t>(l->val.size());
    s.q = l->q.data();
    s.scale = l->scale.data();
    s.row_ptr = l->row_ptr.data();
    s.col = l->col.data();
    s.val = l->val.data();
    return ortho_fused::rounding_of(&s);
}

inline bool accepted(linear l, float alpha = 1)
{
    return ortho_fused::may_round(rounding_of(&l), alpha);
}

inline bool accepted(const recipe &r, float alpha = 1)
{
    return accepted(make(r), alpha);
}

/* ---- what the kernel makes of them ----------------------------------------------------------- */

/* A row's weights: what the kernel multiplies by less what they are, and their magnitudes, Base and
 * entries apart. Not patched with alpha 0, as wide.cu does it. */
struct rounded_row {
    std::vector<double> error, magnitude;
};

inline rounded_row round_row(const linear &l, int64_t row, double alpha)
{
    rounded_row out;
    int32_t at = l.row_ptr[static_cast<size_t>(row)];
    for (int64_t c = 0; c < l.k; c++) {
        const double base = l.base(row, c);
        const bool here = at < l.row_ptr[static_cast<size_t>(row) + 1] &&
                          l.col[static_cast<size_t>(at)] == c && ++at > 0;
        const double v = here && alpha != 0
                             ? alpha * ortho_fp16_to_float(l.val[static_cast<size_t>(at) - 1])
                             : 0;
        const double rounded = round_half(base);
        out.error.push_back((here ? round_half(rounded + v) : rounded) - (base + v));
        out.magnitude.push_back(fabs(base) + fabs(v));
    }
    return out;
}

inline double bound_of(double k, double magnitude)
{
    return 8 * sqrt(2 * k) * 0x1p-24 * magnitude;
}

/* An output's error for one x, in bounds. */
inline double drawn_error(const rounded_row &row, const std::vector<double> &x)
{
    double error = 0, magnitude = 0;
    for (size_t i = 0; i < x.size(); i++) {
        error += row.error[i] * x[i];
        magnitude += row.magnitude[i] * fabs(x[i]);
    }
    return error == 0 ? 0 : fabs(error) / bound_of(static_cast<double>(x.size()), magnitude);
}

/* How likely any normal x brings it beyond the bound. */
inline double true_chance(const rounded_row &row)
{
    double squares = 0, magnitude = 0;
    for (size_t i = 0; i < row.error.size(); i++) {
        squares += row.error[i] * row.error[i];
        magnitude += row.magnitude[i] * sqrt(2 / M_PI);
    }
    const double k = static_cast<double>(row.error.size());
    return squares == 0 ? 0 : erfc(bound_of(k, magnitude) / sqrt(2 * squares));
}

/* The rules' own, and a percent for what they leave out. */
constexpr double CHANCE_MOST = 1.01e-7;

} // namespace

#endif
