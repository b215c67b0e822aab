/*
 * fused: what rounding a linear's weights to fp16 does to its outputs. Host code only.
 *
 * An output is moved by sum e x, where e is what a weight loses. With x from a normal distribution
 * that is normal as well, its variance the sum of e^2 (times that of x). The bound of verification
 * is 8 sqrt(2 k) 2^-24 sum |w x|, Base and entries apart. It grows as k^1.5, the error as its root:
 * long rows have room, unless few of their weights outweigh the others.
 *
 * e is found out by rounding as the kernel does it, weight by weight: Base, and the sum once more
 * where there is an entry. An average over numbers of all sizes (0.4 x 2^-11 of w) doesn't do: q =
 * 1, 2 and 4 lose nothing, what the others lose depends on the scale's mantissa and differs 1.5
 * times between rows of one scale; and one large entry is one number.
 */
#include "common/half.h"
#include "variants/fused/rounding.h"

#include <math.h>
#include <stdlib.h>

namespace ortho_fused
{

namespace
{

/* An output's, the mean over rows. Verification looks at up to 262,144 of a linear, and allows for
 * rounding y to fp16 besides, which makes it some ten times less likely. */
constexpr double CHANCE_MOST = 1e-7;
/* Shorter rows have no room but by chance, if their scales are powers of two. */
constexpr int64_t COLUMNS_LEAST = 2048;
constexpr float SMALLEST = 0x1p-14f, LARGEST = 0x1p14f; /* normal numbers of fp16, and their sums */
constexpr double MEAN_X = 0.79; /* |x|, of a normal distribution of variance 1; rounded down */

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

double to_half(double v)
{
    return ortho_fp16_to_float(ortho_float_to_fp16(static_cast<float>(v)));
}

double square(double v)
{
    return v * v;
}

/* For each byte how many of its two weights have the magnitudes 1 to 8, eight bits each: what 64
 * bytes have adds up in one word. */
struct byte_counts {
    uint64_t of[256];

    byte_counts() : of{}
    {
        for (int byte = 0; byte < 256; byte++)
            for (int side = 0; side < 2; side++) {
                const int q = abs(weight_of(static_cast<uint8_t>(byte), side));
                of[byte] += q > 0 ? uint64_t{1} << (8 * (q - 1)) : 0;
            }
    }
};

constexpr int64_t COUNTED = 64;

/* A row's weights so far. */
struct row_sums {
    double base, entries;    /* of magnitudes */
    double base_errors;      /* of e^2, without entries */
    double changes[ROUNDED]; /* what entries add to it, with each alpha */
};

/* Of one scale. */
void add_weights(row_sums *row, double scale, const uint8_t *q, int64_t bytes)
{
    static const byte_counts table;
    for (int64_t first = 0; first < bytes; first += COUNTED) {
        const int64_t end = first + COUNTED < bytes ? first + COUNTED : bytes;
        uint64_t counts = 0;
        for (int64_t i = first; i < end; i++)
            counts += table.of[q[i]];
        for (int m = 1; m <= 8; m++, counts >>= 8) {
            const double w = m * scale, times = static_cast<double>(counts & 255);
            row->base += times * w;
            if ((m & (m - 1)) != 0) /* powers of two lose nothing */
                row->base_errors += times * square(to_half(w) - w);
        }
    }
}

void add_entry(row_sums *row, double base, double entry)
{
    const double before = square(to_half(base) - base);
    row->entries += fabs(entry);
    for (int a = 0; a < ROUNDED; a++) {
        const double exact = static_cast<double>(ROUNDED_ALPHAS[a]) * entry;
        const double after = square(to_half(to_half(base) + exact) - (base + exact));
        row->changes[a] += ROUNDED_ALPHAS[a] == 0 ? 0 : after - before; /* not 0 times NaN */
    }
}

double row_chance(const row_sums &row, double k, int a)
{
    const double alpha = static_cast<double>(ROUNDED_ALPHAS[a]);
    const double sum = row.base + (alpha == 0 ? 0 : alpha * row.entries);
    const double errors = row.base_errors + row.changes[a];
    const double deviations = 8 * sqrt(2 * k) * 0x1p-24 * MEAN_X * sum / sqrt(errors);
    return errors <= 0 ? 0 : erfc(deviations / sqrt(2.0));
}

void add_base(rounding *out, row_sums *row, const ortho_split *split, int64_t r)
{
    const int64_t groups = (split->k + split->group - 1) / split->group;
    const uint8_t *q = split->q + r * ((split->k + 1) / 2);
    for (int64_t g = 0; g < groups; g++) {
        const float v = magnitude(split->scale[r * groups + g]);
        const int64_t first = g * split->group, left = split->k - first;
        note_magnitude(v, &out->least, &out->most);
        out->zero_scales = out->zero_scales || v == 0;
        add_weights(row, v, q + first / 2, ((left < split->group ? left : split->group) + 1) / 2);
    }
}

void add_entries(rounding *out, row_sums *row, const ortho_split *split, int64_t r)
{
    const int64_t groups = (split->k + split->group - 1) / split->group;
    const uint8_t *q = split->q + r * ((split->k + 1) / 2);
    for (int64_t i = split->row_ptr[r]; i < split->row_ptr[r + 1]; i++) {
        const int64_t column = ortho_split_col(split, i);
        const double scale = ortho_fp16_to_float(split->scale[r * groups + column / split->group]);
        const float v = ortho_fp16_to_float(split->val[i]);
        note_magnitude(fabsf(v), &out->least_entry, &out->entry);
        add_entry(row, weight_of(q[column / 2], column) * scale, v);
    }
}

/* The rows that are most likely to be moved beyond the bound, the likeliest first, and the sum of
 * the others' chances. */
struct worst_rows {
    int count;
    int32_t row[MENDED_MOST];
    double chance[MENDED_MOST], others;

    void note(int32_t r, double v)
    {
        const int last = MENDED_MOST - 1;
        if (isnan(v) || (count > last && v <= chance[last])) {
            others += v;
            return;
        }
        if (count > last)
            others += chance[--count];
        int at = count++;
        for (; at > 0 && chance[at - 1] < v; at--) {
            chance[at] = chance[at - 1];
            row[at] = row[at - 1];
        }
        chance[at] = v;
        row[at] = r;
    }
    /* The sum of all but the first so many. */
    double without(int first) const
    {
        double sum = others;
        for (int i = first; i < count; i++)
            sum += chance[i];
        return sum;
    }
};

/* One row in so many may be computed twice. */
constexpr int64_t ROWS_A_MENDED = 256;

/* Without those rows that have to be mended; none where that wouldn't do. */
void choose_mended(rounding *out, const worst_rows &worst, int64_t n)
{
    const double rows = static_cast<double>(n);
    const int64_t most = n / ROWS_A_MENDED < worst.count ? n / ROWS_A_MENDED : worst.count;
    int mended = 0;
    while (mended < most && !(worst.without(mended) / rows <= CHANCE_MOST))
        mended++;
    if (!(worst.without(mended) / rows <= CHANCE_MOST))
        mended = 0;
    out->mended = mended;
    out->chance_left = worst.without(mended) / rows;
    for (int i = 0; i < mended; i++)
        out->row[i] = worst.row[i];
}

/* ROUNDED where it is none of these. */
int place_of(float alpha)
{
    int a = 0;
    while (a < ROUNDED && ROUNDED_ALPHAS[a] != alpha)
        a++;
    return a;
}

} // namespace

rounding rounding_of(const ortho_split *split)
{
    rounding out = {};
    if (split->k < COLUMNS_LEAST) {
        for (double &chance : out.chance)
            chance = 1;
        out.chance_left = 1;
        return out;
    }
    const double k = static_cast<double>(split->k), n = static_cast<double>(split->n);
    worst_rows worst = {};
    for (int64_t r = 0; r < split->n; r++) {
        row_sums row = {};
        add_base(&out, &row, split, r);
        add_entries(&out, &row, split, r);
        for (int a = 0; a < ROUNDED; a++) {
            const double chance = row_chance(row, k, a);
            out.chance[a] += chance / n;
            if (ROUNDED_ALPHAS[a] == MENDED_ALPHA)
                worst.note(static_cast<int32_t>(r), chance);
        }
    }
    choose_mended(&out, worst, split->n);
    return out;
}

bool may_round(const rounding &r, float alpha)
{
    const int a = place_of(alpha);
    if (r.most > 0 && (r.least < SMALLEST || r.most * 8 > LARGEST))
        return false;
    /* Small entries are lost beside Base, not where Base is 0. */
    const double chance = a == ROUNDED || alpha == MENDED_ALPHA ? r.chance_left : r.chance[a];
    return a < ROUNDED && r.entry <= LARGEST && chance <= CHANCE_MOST &&
           (!r.zero_scales || alpha == 0 || alpha * r.least_entry >= SMALLEST);
}

} // namespace ortho_fused
