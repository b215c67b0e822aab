/* narrow_plan.cu: how a launch of narrow.cu deals its work. Host code only. */
#include "variants/fused/narrow_plan.h"

namespace ortho_fused
{

namespace
{

/* One part or the other of two, of which the first is no smaller. */
image_range half_of(image_range all, int half)
{
    const int first = (all.count + 1) / 2;
    return half == 0 ? image_range{all.first, first}
                     : image_range{all.first + first, all.count - first};
}

/* A block's: never of two panels, which are halves themselves. */
image_range images_of_block(int images, int blocks, int block)
{
    const image_range all = {0, images};
    return blocks == 2 ? half_of(all, block) : half_of(half_of(all, block / 2), block % 2);
}

narrow_layout layout_of(const narrow_launch &l)
{
    const int images = l.images[0].count, units = l.units_of(0).count;
    const bool patched = l.alpha != 0;
    narrow_layout at = {};
    at.unit_weights = images * IMAGE_BYTES;
    at.unit_scales = images * l.w.s.groups * SCALE_BYTES;
    at.senders = l.blocks * ((1 << l.column_shift) + patched);
    at.quads = (units + QUAD_UNITS - 1) / QUAD_UNITS;
    at.x = units * at.unit_weights;
    at.sums = at.x + images * IMAGE_TILE_BYTES;
    at.chunks = at.sums + (units + l.blocks - 1) / l.blocks * at.senders * UNIT_SUM_BYTES;
    at.scales = at.chunks + (patched ? l.ortho() * CHUNK_SLOTS * chunk_bytes(l.chunk) : 0);
    at.start = at.scales + units * at.unit_scales;
    at.zeros = at.start + images * l.w.s.groups * TILE_TOKENS * 4;
    at.rows = at.zeros + (patched ? TILE_LINE : 0);
    at.barriers = at.rows + (patched ? units * static_cast<int>(sizeof(unit_rows)) : 0);
    at.bytes = at.barriers + (at.quads + 1) * 8;
    return at;
}

/* A launch's blocks where two fit a multiprocessor: the next launch's are there before they end. */
constexpr int SHARED_MOST = MULTIPROCESSOR_BYTES / 2 - BLOCK_RESERVED;

/* Warps of Base, where there are entries. */
constexpr int BASE_WARPS[] = {8, 6, 4};

/* What the entries of a launch are expected to take, likewise: those of a warp, step by step, and a
 * latency whenever all the room for them is asked for anew. */
float expected_of_entries(const narrow_launch &l, float density)
{
    constexpr float STEP = 0.8f, LATENCY = 2;
    const float entries = density * static_cast<float>(l.units_of(0).count * UNIT_ROWS) *
                          static_cast<float>(l.images[0].count * IMAGE_COLUMNS) /
                          static_cast<float>(l.ortho()),
                room = static_cast<float>(CHUNK_SLOTS * l.chunk * SEGMENT_ENTRIES);
    return entries / (STEP_SEGMENTS * SEGMENT_ENTRIES) * STEP +
           (entries > room ? (entries - room) / room * LATENCY : 0.0f);
}

/* What a launch is expected to take, in images that a warp multiplies: those of the busiest warp,
 * or entries, those that are still to be multiplied when the last quad has come, and sums to be
 * added; more where launches don't overlap, and where few entries are asked for at once. Measured
 * on an H100, roughly: it chooses well among few. */
float expected_images(const narrow_launch &l, float density)
{
    constexpr float APART = 10, FEW = 2;
    const int groups = 1 << l.column_shift, rows = l.base / groups,
              each = (l.images[0].count + groups - 1) / groups;
    const float products = static_cast<float>((l.at.quads + rows - 1) / rows * each),
                entries = expected_of_entries(l, density);
    return (products > entries ? products : entries) + 0.5f * static_cast<float>(each) +
           0.25f * static_cast<float>(groups) + (l.at.bytes > SHARED_MOST ? APART : 0.0f) +
           (l.alpha != 0 && l.chunk < CHUNKS[1] ? FEW : 0.0f);
}

/* Deals columns to warps, and room to entries on their way, so that it takes the least time. False
 * where a cluster has more than there is room for. */
bool deal_columns(narrow_launch *l, float density)
{
    narrow_launch best = *l;
    bool fits = false;
    float least = 0;
    const auto offer = [&](int base, int shift, int chunk) {
        l->base = base;
        l->column_shift = shift;
        l->chunk = chunk;
        l->at = layout_of(*l);
        const float cost = expected_images(*l, density);
        if (l->at.bytes <= BLOCK_MOST && (!fits || cost < least)) {
            best = *l;
            least = cost;
            fits = true;
        }
    };
    for (const int base : BASE_WARPS)
        for (int shift = 0; base % (1 << shift) == 0; shift++) /* as many warps each */
            for (const int chunk : CHUNKS)
                offer(base, shift, chunk);
    *l = best;
    return fits;
}

/* Clusters that run at once where a block has a multiprocessor of its own: those of four are within
 * the 16 or 18 multiprocessors of a GPC, of which two are left over. */
int clusters_at_once(int multiprocessors, int blocks)
{
    constexpr int GPC = 18;
    const int fit =
        blocks == 2 ? multiprocessors / 2 : (multiprocessors - multiprocessors / GPC * 2) / 4 + 1;
    return fit > 0 ? fit : 1;
}

bool deal_to(narrow_launch *l, int clusters, float density)
{
    l->mine.count = clusters;
    l->each = l->w.s.units / clusters;
    l->extra = l->w.s.units % clusters;
    return deal_columns(l, density);
}

/* As many clusters as run at once, or more where they would have too much each; alone, and where
 * two blocks fit a multiprocessor, some more, so that none has a quad that is hardly filled. */
bool deal_units(narrow_launch *l, int at_once, bool alone, float density)
{
    const int units = l->w.s.units;
    int rounds = (units + at_once * NARROW_UNITS - 1) / (at_once * NARROW_UNITS);
    while (!deal_to(l, smaller(units, at_once * rounds), density)) {
        if (l->mine.count == units)
            return false;
        rounds++;
    }
    const int even = (units / l->mine.count + QUAD_UNITS - 1) / QUAD_UNITS * QUAD_UNITS,
              more = (units + even - 1) / even;
    if (alone && l->at.bytes <= SHARED_MOST && more > l->mine.count && more <= 2 * at_once)
        return deal_to(l, more, density);
    return true;
}

/* Enough to keep the memory busy until x is there, which would queue behind more. */
constexpr int QUADS_AHEAD_BYTES = 40 << 10;

/* Of a linear, with so many clusters at once. */
bool plan_one(narrow_launch *l, int64_t entries, int clusters, bool alone)
{
    const float density =
        static_cast<float>(entries) / static_cast<float>(l->w.s.n) / static_cast<float>(l->w.s.k);
    for (int i = 0; i < l->blocks; i++)
        l->images[i] = images_of_block(l->w.s.images, l->blocks, i);
    if (!deal_units(l, clusters, alone, density))
        return false;
    /* Where a launch begins behind the last one's blocks, Ortho's warps have to look for entries
     * while x comes. */
    l->bringers = l->alpha == 0 || l->at.bytes <= SHARED_MOST ? NARROW_WARPS : l->base;
    l->quads_ahead = QUADS_AHEAD_BYTES / (QUAD_UNITS * l->at.unit_weights) + 1;
    return true;
}

} // namespace

bool narrow_plan(narrow_group *g, const int64_t *entries, int multiprocessors)
{
    const int at_once = clusters_at_once(multiprocessors, g->of[0].blocks);
    int64_t units = 0, before = 0;
    int next = 0;
    for (int i = 0; i < g->count; i++)
        units += g->of[i].w.s.units;
    for (int i = 0; i < g->count; i++) {
        narrow_launch &l = g->of[i];
        const int part = part_of_group(at_once, before, l.w.s.units, units);
        if (!plan_one(&l, entries[i], part, g->count == 1))
            return false;
        l.mine.first = next;
        next += l.mine.count;
        before += l.w.s.units;
    }
    return true;
}

int narrow_bytes(const narrow_group &g)
{
    int most = 0;
    for (int i = 0; i < g.count; i++)
        most = g.of[i].at.bytes > most ? g.of[i].at.bytes : most;
    return most;
}

} // namespace ortho_fused
