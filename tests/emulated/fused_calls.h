/*
 * fused_calls.h: calls of fused's kernels on a CPU: what x is drawn for them, where y goes, and
 * what it must be.
 */
#ifndef ORTHO_TESTS_EMULATED_FUSED_CALLS_H
#define ORTHO_TESTS_EMULATED_FUSED_CALLS_H

#include "fused_linear.h"

#include "common/dtype.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

extern "C" {
#include "variants/reference/oracle.h"

#include <cmocka.h>
}

namespace
{

constexpr int64_t GROUPS[] = {32, 64, 128, 256, INT64_MAX};

/* ---- calls ----------------------------------------------------------------------------------- */

struct tokens {
    ortho_dtype dtype;
    int64_t m, k;
    char *memory, *x;

    float at(int64_t token, int64_t column) const
    {
        return ortho_dtype_load(dtype, x, token * k + column);
    }
    void set(int64_t token, int64_t column, float v) const
    {
        ortho_dtype_store(dtype, x, token * k + column, v);
    }
};

/* off: elements from a multiple of 16 bytes. */
inline tokens open_tokens(ortho_dtype dtype, int64_t m, int64_t k, int off)
{
    const size_t element = ortho_dtype_bytes(dtype), before = static_cast<size_t>(off) * element;
    tokens t = {dtype, m, k, nullptr, nullptr};
    t.memory =
        static_cast<char *>(guarded_alloc(before + static_cast<size_t>(m * k) * element, 16));
    t.x = t.memory + before;
    return t;
}

inline tokens draw_tokens(ortho_dtype dtype, int64_t m, int64_t k, int off, ortho_random *from)
{
    const tokens t = open_tokens(dtype, m, k, off);
    for (int64_t i = 0; i < m; i++)
        for (int64_t c = 0; c < k; c++)
            t.set(i, c, 3 * draw_part(from));
    return t;
}

/* y with a guard before and behind, all of it 0xa5. */
struct outputs {
    static constexpr size_t GUARD = 64;
    size_t before, bytes;
    char *memory;

    char *y() const
    {
        return memory + before;
    }
};

inline outputs open_outputs(ortho_dtype dtype, int64_t count, int off)
{
    const size_t element = ortho_dtype_bytes(dtype);
    outputs o = {outputs::GUARD + static_cast<size_t>(off) * element,
                 static_cast<size_t>(count) * element, nullptr};
    o.memory = static_cast<char *>(guarded_alloc(o.before + o.bytes + outputs::GUARD, 16));
    return o;
}

inline void guards_must_be_whole(const outputs &o)
{
    for (size_t i = 0; i < o.before + o.bytes + outputs::GUARD; i++)
        if (i < o.before || i >= o.before + o.bytes)
            assert_int_equal(static_cast<unsigned char>(o.memory[i]), 0xa5);
}

/* ---- what y must be -------------------------------------------------------------------------- */

/* y in fp64, sums of |w x|, of Base alone and of Base and entries. [m][n] */
struct reference {
    std::vector<double> y, base, all;
};

inline void ask_oracle(const packed_linear &l, const tokens &t, float alpha, std::vector<double> *y,
                       std::vector<double> *magnitude)
{
    ortho_oracle_job job = {};
    y->resize(static_cast<size_t>(t.m * l.split.n));
    magnitude->resize(y->size());
    job.split = &l.split;
    job.x = t.x;
    job.dtype = t.dtype;
    job.m = t.m;
    job.alpha = alpha;
    job.threads = 1;
    job.y = y->data();
    job.magnitude = magnitude->data();
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
}

inline reference reference_of(const packed_linear &l, const tokens &t, float alpha)
{
    reference r;
    ask_oracle(l, t, 0, &r.y, &r.base);
    ask_oracle(l, t, alpha, &r.y, &r.all);
    return r;
}

/* What a nibble's operand may be at most: c + q + 8 (activations.cuh). */
inline double operand_most(ortho_dtype dtype, int64_t column)
{
    const double c = dtype != ORTHO_F16 ? 128 : column % 4 < 2 ? 1024 : 64;
    return c + 15;
}

/* Sums of operand * |x| over each group of a token. */
inline std::vector<double> operand_sums(const packed_linear &l, const tokens &t, int64_t token)
{
    std::vector<double> sums(static_cast<size_t>(groups_of(l.split)));
    for (int64_t c = 0; c < t.k; c++)
        sums[static_cast<size_t>(c / l.split.group)] +=
            operand_most(t.dtype, c) * fabs(static_cast<double>(t.at(token, c)));
    return sums;
}

/* scale * operand * |x|, summed over a row. */
inline double operand_sum(const packed_linear &l, const std::vector<double> &sums, int64_t row)
{
    double sum = 0;
    for (int64_t g = 0; g < groups_of(l.split); g++)
        sum += sums[static_cast<size_t>(g)] *
               ortho_fp16_to_float(scale_of(l.split, row, g * l.split.group));
    return sum;
}

/* y's own rounding, where its sums are `sums` off. */
inline double rounding_of_y(ortho_dtype dtype, double y, double sums)
{
    const double unit = dtype == ORTHO_F16 ? 0x1p-11 : dtype == ORTHO_BF16 ? 0x1p-8 : 0;
    return unit * (fabs(y) + sums) + (dtype == ORTHO_F16 ? 0x1p-25 : 1e-38);
}

/* What isn't finite needn't be the same infinity or NaN, but mustn't be finite. */
inline bool is_within(double got, double wanted, double tolerance)
{
    return isfinite(wanted) ? fabs(got - wanted) <= tolerance : !isfinite(got);
}

struct output_at {
    float alpha;
    int64_t token, row;
};

inline void fail_at(const packed_linear &l, const tokens &t, const output_at &at, double got,
                    double wanted, double most)
{
    fail_msg("%s, %d x %d, group %d, alpha %g: token %d of %d, row %d: y is %.9g, not %.9g, more "
             "than %.3g off",
             ortho_dtype_name(t.dtype), static_cast<int>(l.split.n), static_cast<int>(t.k),
             static_cast<int>(l.split.group), static_cast<double>(at.alpha),
             static_cast<int>(at.token), static_cast<int>(t.m), static_cast<int>(at.row), got,
             wanted, most);
}

} // namespace

#endif
