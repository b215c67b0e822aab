/* fused: dealing units to parts, and entries to segments and steps. Host code only. */
#include "kernels/split.h"
#include "variants/fused/plan.h"

#include <algorithm>
#include <string.h>

namespace ortho_fused
{

namespace
{

constexpr uint32_t FILL = 1, COLUMN_MASK = 0x3ffe, ROW_SHIFT = 14;

void *host_bytes(size_t bytes, const ortho_services *s)
{
    void *p = s->alloc(s->ctx, bytes, ORTHO_HOST, ORTHO_WORKING);
    if (p != nullptr)
        memset(p, 0, bytes);
    return p;
}

/* ---- units to parts -------------------------------------------------------------------------- */

/* A part while units are dealt. */
struct hand {
    int64_t load; /* entries */
    int part, left;
};

/* Least loaded first, for a heap whose top is its greatest; ties by number, so that the same split
 * is always dealt the same way. */
bool later(const hand &a, const hand &b)
{
    return a.load != b.load ? a.load > b.load : a.part > b.part;
}

struct weighed {
    int64_t entries;
    uint32_t unit;
};

bool heavier(const weighed &a, const weighed &b)
{
    return a.entries != b.entries ? a.entries > b.entries : a.unit < b.unit;
}

int64_t entries_of(const ortho_split *split, int64_t unit)
{
    const int64_t first = unit * UNIT_ROWS;
    const int64_t end = first + UNIT_ROWS < split->n ? first + UNIT_ROWS : split->n;
    return split->row_ptr[end] - split->row_ptr[first];
}

/* The heaviest unit to the part with the least, among those that have room: each part's number of
 * units is fixed, because Base outweighs all entries. */
void deal(const shape &s, weighed *units, hand *hands, uint32_t *unit)
{
    std::sort(units, units + s.units, heavier);
    for (int p = 0; p < s.parts; p++)
        hands[p] = {0, p, s.units_of(p)};
    int open = s.parts;
    std::make_heap(hands, hands + open, later);
    for (int i = 0; i < s.units; i++) {
        std::pop_heap(hands, hands + open, later);
        hand *h = &hands[open - 1];
        h->left--;
        unit[s.first_unit(h->part) + h->left] = units[i].unit;
        h->load += units[i].entries;
        if (h->left > 0)
            std::push_heap(hands, hands + open, later);
        else
            open--;
    }
}

ortho_status order_units(const shape &s, const ortho_split *split, const ortho_services *services,
                         uint32_t *unit)
{
    weighed *units =
        static_cast<weighed *>(host_bytes(static_cast<size_t>(s.units) * sizeof *units, services));
    hand *hands =
        static_cast<hand *>(host_bytes(static_cast<size_t>(s.parts) * sizeof *hands, services));
    const bool good = units != nullptr && hands != nullptr;
    for (int i = 0; good && i < s.units; i++)
        units[i] = {entries_of(split, i), static_cast<uint32_t>(i)};
    if (good)
        deal(s, units, hands, unit);
    services->free(services->ctx, hands);
    services->free(services->ctx, units);
    return good ? ORTHO_OK : ORTHO_E_MEMORY;
}

/* ---- entries to steps ------------------------------------------------------------------------ */

/* Where the entries of one row stand in one window: [first, end). */
struct range {
    int64_t first, end;
};

range row_window(const ortho_split *split, int64_t row, int window)
{
    const int64_t from = static_cast<int64_t>(window) * WINDOW_COLUMNS, to = from + WINDOW_COLUMNS;
    range r = {split->row_ptr[row], split->row_ptr[row]};
    const int64_t end = split->row_ptr[row + 1];
    while (r.first < end && ortho_split_col(split, r.first) < from)
        r.first++;
    for (r.end = r.first; r.end < end && ortho_split_col(split, r.end) < to;)
        r.end++;
    return r;
}

/* Walks the rows of one section; row < 0 where a unit reaches beyond the last. */
template <typename F>
void each_row(const shape &s, const uint32_t *unit, int part, int batch, const F &f)
{
    const uint32_t *mine = unit + s.first_unit(part) + batch * BATCH_UNITS;
    for (int i = 0; i < s.units_of_batch(part, batch) * UNIT_ROWS; i++) {
        const int64_t row = static_cast<int64_t>(mine[i / UNIT_ROWS]) * UNIT_ROWS + i % UNIT_ROWS;
        if (row < s.n)
            f(row, i);
    }
}

template <typename F> void each_section(const shape &s, const F &f)
{
    for (int part = 0; part < s.parts; part++)
        for (int batch = 0; batch < s.batches; batch++)
            for (int window = 0; window < s.windows; window++)
                f(part, batch, window);
}

/* begin[] from the rows' lengths; an empty batch of a smaller part has no steps. */
uint32_t count_steps(const shape &s, const ortho_split *split, const uint32_t *unit,
                     uint32_t *begin)
{
    uint32_t steps = 0;
    each_section(s, [&](int part, int batch, int window) {
        int64_t segments = 0;
        begin[s.section(part, batch, window)] = steps;
        if (batch < s.batches_of(part))
            each_row(s, unit, part, batch, [&](int64_t row, int) {
                const range r = row_window(split, row, window);
                segments += (r.end - r.first + SEGMENT_ENTRIES - 1) / SEGMENT_ENTRIES;
            });
        steps += static_cast<uint32_t>((segments + SEGMENTS - 1) / SEGMENTS);
    });
    begin[s.sections()] = steps;
    return steps;
}

uint32_t entry_word(uint32_t value, int row, int slot, uint32_t column, uint32_t fill)
{
    const uint32_t bits = static_cast<uint32_t>(row) >> (2 * slot) & 3u;
    return value << 16 | bits << ROW_SHIFT | column << 1 | fill;
}

/* Where a row's entries are found again: from which segment on, and how many an image has. */
void note_row(const shape &s, const ortho_split *split, const range &r, int window, int unit,
              int row, int segment, plan *p)
{
    const size_t units = static_cast<size_t>(s.units);
    p->first[(static_cast<size_t>(window) * units + static_cast<size_t>(unit)) * UNIT_ROWS +
             static_cast<size_t>(row)] = static_cast<uint32_t>(segment);
    for (int64_t at = r.first; at < r.end; at++) {
        const int64_t image = ortho_split_col(split, at) / IMAGE_COLUMNS;
        p->count[(unit * static_cast<int64_t>(s.images) + image) * UNIT_ROWS + row]++;
    }
}

/* Writes a section's segments, then fills its last step up: with the last row, so that rows still
 * ascend. */
void pack_section(const shape &s, const ortho_split *split, int part, int batch, int window,
                  plan *p)
{
    const int at_section = s.section(part, batch, window);
    const int steps = static_cast<int>(p->begin[at_section + 1] - p->begin[at_section]);
    uint32_t *section = reinterpret_cast<uint32_t *>(p->steps) +
                        static_cast<size_t>(p->begin[at_section]) * (STEP_BYTES / 4);
    const int before = s.first_unit(part) + batch * BATCH_UNITS;
    int last = 0, segment = 0;
    const int64_t from = static_cast<int64_t>(window) * WINDOW_COLUMNS;
    each_row(s, p->unit, part, batch, [&](int64_t row, int local) {
        const range r = row_window(split, row, window);
        if (p->count_bytes > 0)
            note_row(s, split, r, window, before + local / UNIT_ROWS, local % UNIT_ROWS, segment,
                     p);
        for (int64_t at = r.first; at < r.end; at += SEGMENT_ENTRIES, last = local) {
            uint32_t *out = section + segment_place(steps, segment++) * SEGMENT_ENTRIES;
            for (int i = 0; i < SEGMENT_ENTRIES; i++) {
                const bool real = at + i < r.end;
                const int64_t e = real ? at + i : at; /* a column that is there */
                out[i] = entry_word(real ? split->val[e] : 0u, local, i,
                                    static_cast<uint32_t>(ortho_split_col(split, e) - from),
                                    real ? 0 : FILL);
            }
        }
    });
    for (; segment < steps * SEGMENTS; segment++)
        for (int i = 0; i < SEGMENT_ENTRIES; i++)
            section[segment_place(steps, segment) * SEGMENT_ENTRIES + i] =
                entry_word(0, last, i, 0, FILL);
}

} // namespace

shape shape_of(int64_t n, int64_t k, int64_t group, int multiprocessors)
{
    shape s = {};
    s.n = n;
    s.k = k;
    s.units = static_cast<int>((n + UNIT_ROWS - 1) / UNIT_ROWS);
    s.images = static_cast<int>((k + IMAGE_COLUMNS - 1) / IMAGE_COLUMNS);
    s.groups = group >= k || group >= IMAGE_COLUMNS ? 1 : static_cast<int>(IMAGE_COLUMNS / group);
    s.parts = s.units < multiprocessors ? s.units : multiprocessors;
    s.each = s.units / s.parts;
    s.extra = s.units % s.parts;
    s.batches = s.batches_of(0);
    s.windows = (s.images + WINDOW_IMAGES - 1) / WINDOW_IMAGES;
    return s;
}

ortho_status plan_alloc(const shape &s, size_t steps, const ortho_services *services, plan *p)
{
    p->unit_bytes = static_cast<size_t>(s.units) * sizeof(uint32_t);
    p->begin_bytes = (static_cast<size_t>(s.sections()) + 1) * sizeof(uint32_t);
    p->step_bytes = steps * STEP_BYTES;
    p->unit = static_cast<uint32_t *>(host_bytes(p->unit_bytes, services));
    p->where = static_cast<uint32_t *>(host_bytes(p->unit_bytes, services));
    p->begin = static_cast<uint32_t *>(host_bytes(p->begin_bytes, services));
    p->steps = static_cast<uint8_t *>(host_bytes(p->step_bytes, services));
    return p->unit != nullptr && p->where != nullptr && p->begin != nullptr && p->steps != nullptr
               ? ORTHO_OK
               : ORTHO_E_MEMORY;
}

namespace
{

/* The index of entries, if it fits beside the rest. */
ortho_status open_index(const shape &s, const ortho_split *split, const ortho_services *services,
                        plan *p)
{
    const size_t first = p->unit_bytes * static_cast<size_t>(UNIT_ROWS * s.windows),
                 count = static_cast<size_t>(s.units) * static_cast<size_t>(s.images * UNIT_ROWS);
    const size_t all = static_cast<size_t>(s.base_bytes()) + p->step_bytes + p->begin_bytes +
                       2 * p->unit_bytes + first + count;
    const size_t artifact = ortho_split_base_bytes(split) + ortho_split_ortho_bytes(split);
    const bool fits = static_cast<double>(all) <= PLAN_MOST * static_cast<double>(artifact);
    p->first_bytes = fits && split->nnz > 0 ? first : 0;
    p->count_bytes = fits && split->nnz > 0 ? count : 0;
    p->first = static_cast<uint32_t *>(host_bytes(p->first_bytes, services));
    p->count = static_cast<uint8_t *>(host_bytes(p->count_bytes, services));
    return p->first != nullptr && p->count != nullptr ? ORTHO_OK : ORTHO_E_MEMORY;
}

} // namespace

ortho_status plan_make(const shape &s, const ortho_split *split, const ortho_services *services,
                       plan *p)
{
    ortho_status status = plan_alloc(s, 0, services, p);
    if (status == ORTHO_OK)
        status = order_units(s, split, services, p->unit);
    if (status != ORTHO_OK)
        return status;
    for (int i = 0; i < s.units; i++)
        p->where[p->unit[i]] = static_cast<uint32_t>(i);
    p->step_bytes = static_cast<size_t>(count_steps(s, split, p->unit, p->begin)) * STEP_BYTES;
    services->free(services->ctx, p->steps);
    p->steps = static_cast<uint8_t *>(host_bytes(p->step_bytes, services));
    if (p->steps == nullptr)
        return ORTHO_E_MEMORY;
    status = open_index(s, split, services, p);
    if (status != ORTHO_OK)
        return status;
    each_section(s, [&](int part, int batch, int window) {
        const int at = s.section(part, batch, window);
        if (p->begin[at] < p->begin[at + 1])
            pack_section(s, split, part, batch, window, p);
    });
    return ORTHO_OK;
}

void plan_free(plan *p, const ortho_services *services)
{
    services->free(services->ctx, p->steps);
    services->free(services->ctx, p->count);
    services->free(services->ctx, p->first);
    services->free(services->ctx, p->begin);
    services->free(services->ctx, p->where);
    services->free(services->ctx, p->unit);
    *p = plan{};
}

namespace
{

int row_of_segment(const uint32_t *segment)
{
    uint32_t row = 0;
    for (int i = 0; i < SEGMENT_ENTRIES; i++)
        row |= (segment[i] >> ROW_SHIFT & 3u) << (2 * i);
    return static_cast<int>(row);
}

/* Calls f(row, column, value) for all entries, each row's in ascending columns. */
template <typename F> void each_entry(const shape &s, const plan &p, const F &f)
{
    const uint32_t *words = reinterpret_cast<const uint32_t *>(p.steps);
    each_section(s, [&](int part, int batch, int window) {
        const int at = s.section(part, batch, window);
        const uint32_t *unit = p.unit + s.first_unit(part) + batch * BATCH_UNITS;
        const uint32_t *section = words + static_cast<size_t>(p.begin[at]) * (STEP_BYTES / 4);
        const int steps = static_cast<int>(p.begin[at + 1] - p.begin[at]);
        for (int i = 0; i < steps * SEGMENTS; i++) {
            const uint32_t *segment = section + segment_place(steps, i) * SEGMENT_ENTRIES;
            const int local = row_of_segment(segment);
            const int64_t row =
                static_cast<int64_t>(unit[local / UNIT_ROWS]) * UNIT_ROWS + local % UNIT_ROWS;
            for (int e = 0; e < SEGMENT_ENTRIES && (segment[e] & FILL) == 0; e++)
                f(row,
                  static_cast<int64_t>(window) * WINDOW_COLUMNS + ((segment[e] & COLUMN_MASK) >> 1),
                  static_cast<uint16_t>(segment[e] >> 16));
        }
    });
}

void set_column(ortho_split *out, int64_t at, int64_t column)
{
    if (out->k > 65536)
        static_cast<uint32_t *>(out->col)[at] = static_cast<uint32_t>(column);
    else
        static_cast<uint16_t *>(out->col)[at] = static_cast<uint16_t>(column);
}

} // namespace

ortho_status plan_export(const shape &s, const plan &p, const ortho_services *services,
                         ortho_split *out)
{
    int32_t *next =
        static_cast<int32_t *>(host_bytes(static_cast<size_t>(s.n) * sizeof *next, services));
    if (next == nullptr)
        return ORTHO_E_MEMORY;
    each_entry(s, p, [&](int64_t row, int64_t, uint16_t) { next[row]++; });
    out->row_ptr[0] = 0;
    for (int64_t row = 0; row < s.n; row++) {
        out->row_ptr[row + 1] = out->row_ptr[row] + next[row];
        next[row] = out->row_ptr[row];
    }
    each_entry(s, p, [&](int64_t row, int64_t column, uint16_t value) {
        const int32_t at = next[row]++;
        set_column(out, at, column);
        out->val[at] = value;
    });
    services->free(services->ctx, next);
    return ORTHO_OK;
}

} // namespace ortho_fused
