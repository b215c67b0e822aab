#include "variants/fused/once_plan.h"

#include <algorithm>

namespace ortho_fused
{

namespace
{

constexpr int64_t TILES_MOST = 64 << 20; /* bytes */
constexpr int SIDE = 8;                  /* neighbours' x and W come from the L2 at the same time */

int64_t tile_bytes(const shape &s, int rows)
{
    return static_cast<int64_t>(rows) * s.images * IMAGE_COLUMNS * 2;
}

} // namespace

int once_row_tiles(const shape &s, int rows)
{
    return static_cast<int>(divide_up(s.units, rows / UNIT_ROWS));
}

int once_launch_tiles(const shape &s, int rows)
{
    const int64_t most = std::max(TILES_MOST / tile_bytes(s, rows), int64_t{1}),
                  all = once_row_tiles(s, rows);
    return static_cast<int>(divide_up(all, divide_up(all, most)));
}

int once_words(const shape &s, int rows)
{
    return ONCE_CLAIMS + once_launch_tiles(s, rows) * once_chunks(s);
}

size_t once_counter_bytes(int words)
{
    return (sizeof(once_counters) + 2 * 4 * static_cast<size_t>(words) + 255) / 256 * 256;
}

size_t once_bytes(const shape &s, int rows)
{
    return once_counter_bytes(once_words(s, rows)) +
           static_cast<size_t>(once_launch_tiles(s, rows) * tile_bytes(s, rows));
}

int once_chunks(const shape &s)
{
    return static_cast<int>(divide_up(s.images, TASK_IMAGES));
}

int once_token_pairs(int64_t tokens)
{
    return static_cast<int>(divide_up(tokens, ONCE_CLUSTER * ONCE_TOKENS));
}

once_plan once_plan_of(const shape &s, int rows, int64_t tokens, int multiprocessors, int tile)
{
    const int units = rows / UNIT_ROWS, each = once_launch_tiles(s, rows);
    once_plan p = {};
    p.first = tile * units;
    p.units = std::min(each * units, s.units - p.first);
    p.row_tiles = static_cast<int>(divide_up(p.units, units));
    p.token_pairs = once_token_pairs(tokens);
    p.side = std::min(SIDE, p.row_tiles);
    p.chunks = once_chunks(s);
    for (int i = 0; i < p.tiles() && i < multiprocessors / ONCE_CLUSTER; i++)
        p.group_units = std::max(p.group_units, (p.tile(i).row + 1) * units);
    return p;
}

once_counters *once_counters_of(once_sets *sets, const void *workspace)
{
    for (int i = 0; i < once_sets::SETS; i++) {
        const void *owner = nullptr;
        if (sets->owner[i].compare_exchange_strong(owner, workspace) || owner == workspace)
            return reinterpret_cast<once_counters *>(sets->memory +
                                                     static_cast<size_t>(i) * sets->bytes);
    }
    return nullptr;
}

} // namespace ortho_fused
