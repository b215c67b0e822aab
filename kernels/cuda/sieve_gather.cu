/*
 * One read of W against a bracket [lo, hi): what is above it is counted for its row, what is in it
 * is listed with its key, and the scores' columns of both are staged for emission, which then need
 * not read W again.
 *
 * A weight in a hundred gets that far, so the test that all of them take must be cheap, and what
 * few lanes of a warp have to do must not be done a lane at a time. The test asks only whether the
 * weight may belong, seven instructions and no key, and leaves a bit in a map of the row; the map
 * is turned into a list of columns, in order; and a lane each computes their keys. Bound by
 * reading.
 */
#include "kernels/cuda/sieve_device.cuh"
#include "kernels/cuda/sieve_kernels.h"

using namespace ortho_sieve;

namespace
{

constexpr uint32_t FOUND = 512;          /* listed keys that a block holds */
constexpr uint32_t HELD = 1024;          /* columns that a warp holds */
constexpr int CHUNK = 32;                /* tiles that a warp's map covers: 8,192 columns */
constexpr int WORDS = CHUNK * TILE / 32; /* of that map */
constexpr int TILE_WORDS = TILE / 32;

/* What a warp keeps of the part of a row that it is at. */
struct row_notes {
    union {
        uint8_t eights[CHUNK * 32]; /* bit i: column 8 e + i may belong */
        uint32_t words[WORDS];
    } map;
    uint16_t held[HELD]; /* columns, those that stay in front */
};

/* What a block found: it reserves its places in the list and the stage once, at the end. */
struct found {
    uint32_t count, base, stage;
    unsigned long long above;
    uint32_t kept[WARPS]; /* a row's staged columns; WALK: too many */
    uint64_t entry[FOUND];
};

/* What all of a row's tests need. */
template <what WHAT> struct gathering {
    const view &v;
    ortho_cuda_selection *s;
    found *f;
    row_notes *notes;
    row_context c;
    uint32_t lo, hi, shift;
    float from;           /* MAGNITUDES: a smaller weight of this row is below the bracket */
    uint32_t above, kept; /* above: this lane's */
    bool walks;
};

template <what WHAT>
__device__ __forceinline__ gathering<WHAT> open_gathering(const view &v, found *f, row_notes *notes,
                                                          int64_t row)
{
    ortho_cuda_selection *s = &v.selection[WHAT];
    const row_context c = open_row<WHAT>(v, row);
    const float from = WHAT == MAGNITUDES ? reach_of(s->lo, c.inverse_rms).from : 0.0f;
    return {v, s, f, notes, c, s->lo, s->hi, s->shift, from, 0, 0, false};
}

/* ---- the test -------------------------------------------------------------------------------- */

/* A bit for each of eight differences that isn't negative. */
__device__ __forceinline__ uint32_t not_negative(const float d[EIGHT])
{
    uint32_t negative = 0;
#pragma unroll
    for (int i = EIGHT - 1; i >= 0; i--)
        negative = __funnelshift_l(__float_as_uint(d[i]), negative, 1);
    return ~negative & 0xffu;
}

/* Which of eight weights may be at or above the bracket. For scores: the error |e| against the
 * least that can matter in its column. It is taken on the grid 0 .. 7 for both signs, which makes
 * it too large for some, never too small. */
template <what WHAT, bool EXCLUDES>
__device__ __forceinline__ uint32_t may_belong(const gathering<WHAT> &g, uint32_t col,
                                               uint16_t half, const float size[EIGHT])
{
    float d[EIGHT];
    if (WHAT == MAGNITUDES) {
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            d[i] = size[i] - g.from;
        return not_negative(d);
    }
    const float4 x = *reinterpret_cast<const float4 *>(g.v.reach + col);
    const float4 y = *reinterpret_cast<const float4 *>(g.v.reach + col + 4);
    const float reach[EIGHT] = {x.x, x.y, x.z, x.w, y.x, y.y, y.z, y.w};
    const float scale = half_value(half), inverse = scale > 0.0f ? __fdividef(1.0f, scale) : 0.0f;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        const float q = fminf(__fmaf_rn(size[i], inverse, GRID_ZERO), GRID_ZERO + 7.0f) - GRID_ZERO;
        d[i] = fabsf(__fmaf_rn(-scale, q, size[i])) - reach[i];
        if (EXCLUDES)
            d[i] = fmaxf(d[i], size[i] - g.c.out_from);
    }
    return not_negative(d);
}

/* A few tiles of a row on their way: the next ones are requested before these are tested. */
template <typename R, what WHAT> struct batch {
    typedef typename R::element element;
    static constexpr int TILES = sizeof(element) == 2 ? 2 : 1;
    R eight[TILES];
    uint16_t half[TILES];

    __device__ __forceinline__ void request_weights(const view &v, const element *from, int tile)
    {
#pragma unroll
        for (int i = 0; i < TILES; i++)
            eight[i].request(v, from, column_of(tile + i));
    }
    __device__ __forceinline__ void request_scales(const view &v, const uint16_t *scale, int tile)
    {
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            half[i] = 0;
            if (WHAT == SCORES && column_of(tile + i) < v.cols)
                half[i] = __ldg(scale + (column_of(tile + i) >> v.group_shift));
        }
    }
};

/* Tests tiles [first, end), of which `ahead` has the first ones, and fills it for what follows. */
template <typename R, what WHAT, bool EXCLUDES>
__device__ __forceinline__ void map_chunk(const gathering<WHAT> &g, int first, int end,
                                          batch<R, WHAT> *ahead)
{
    typedef batch<R, WHAT> B;
    const view &v = g.v;
    const typename R::element *from = row_of<R>(v, g.c.row);
    for (int t = first; t < end; t += B::TILES) {
        const B now = *ahead;
        if (t + B::TILES < v.tiles) {
            ahead->request_weights(v, from, t + B::TILES);
            ahead->request_scales(v, g.c.scale, t + B::TILES);
        }
#pragma unroll
        for (int i = 0; i < B::TILES && t + i < end; i++) {
            const uint32_t col = column_of(t + i);
            float size[EIGHT];
            now.eight[i].open_sizes(size);
            uint32_t bits = may_belong<WHAT, EXCLUDES>(g, col, now.half[i], size);
            if (col + EIGHT > v.cols) /* the end of the row */
                bits &= col < v.cols ? (1u << (v.cols - col)) - 1 : 0;
            g.notes->map.eights[(t + i - first) * 32 + threadIdx.x % 32] =
                static_cast<uint8_t>(bits);
        }
    }
    __syncwarp();
}

/* ---- what passed it -------------------------------------------------------------------------- */

__device__ __forceinline__ void list(const view &v, int which, uint32_t place, uint64_t entry)
{
    if (place < v.list_size)
        v.list[which][place] = entry;
}

/* Counts or lists a column's key where it belongs. */
template <what WHAT>
__device__ __forceinline__ void consider(gathering<WHAT> *g, uint32_t col, uint32_t key)
{
    g->above += key >= g->hi;
    if (key < g->lo || key >= g->hi)
        return;
    const uint64_t e = ranked(key, g->c.at + col);
    const uint32_t at = atomicAdd(&g->f->count, 1u);
    atomicAdd(&g->v.bracket[(key - g->lo) >> g->shift], 1u);
    if (at < FOUND)
        g->f->entry[at] = e;
    else /* more than a fair sample promised: straight to the list */
        list(g->v, WHAT, atomicAdd(&g->s->listed, 1u), e);
}

/* A stretch of a map, its words shared out among the lanes in order. */
struct stretch {
    int first, end;      /* this lane's words */
    uint32_t mine, here; /* columns in them, and in the stretch */
};

__device__ __forceinline__ stretch open_stretch(const row_notes *notes, int first_tile, int tiles)
{
    const int words = tiles * TILE_WORDS, each = (words + 31) / 32, lane = threadIdx.x % 32;
    const int first = first_tile * TILE_WORDS + min(lane * each, words);
    stretch s = {first, min(first + each, (first_tile + tiles) * TILE_WORDS), 0, 0};
    for (int i = s.first; i < s.end; i++)
        s.mine += __popc(notes->map.words[i]);
    s.here = warp_sum(s.mine);
    return s;
}

/* Its columns behind those held. begin: the map's first column. */
__device__ __forceinline__ void spread(row_notes *notes, const stretch &s, uint32_t begin,
                                       uint32_t kept)
{
    uint32_t to = kept + lanes_before(s.mine);
    for (int i = s.first; i < s.end; i++)
        for (uint32_t bits = notes->map.words[i]; bits != 0; bits &= bits - 1)
            notes->held[to++] = static_cast<uint16_t>(begin + i * 32 + __ffs(bits) - 1);
    __syncwarp();
}

/* Keys of held[kept .. end), a lane each, a few of a lane in flight. Those that stay move down to
 * the front. */
template <typename R, what WHAT>
__device__ __forceinline__ void examine(gathering<WHAT> *g, uint32_t end)
{
    constexpr int AHEAD = 2;
    const uint32_t lane = threadIdx.x % 32;
    for (uint32_t from = g->kept + lane; from - lane < end; from += 32 * AHEAD) {
        uint32_t col[AHEAD];
        lone one[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            col[i] = from + i * 32 < end ? g->notes->held[from + i * 32] : 0;
            one[i] = load_lone<R, WHAT>(g->v, g->c, col[i]);
        }
        __syncwarp();
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            if (from - lane + i * 32 >= end)
                break;
            const bool there = from + i * 32 < end;
            const uint32_t key = there ? lone_key<WHAT>(g->v, g->c, col[i], one[i]) : 0;
            consider(g, col[i], key);
            if (WHAT == MAGNITUDES)
                continue;
            const uint32_t stays = __ballot_sync(ALL, key >= g->lo);
            if (key >= g->lo)
                g->notes->held[g->kept + __popc(stays & ((1u << lane) - 1))] =
                    static_cast<uint16_t>(col[i]);
            g->kept += __popc(stays);
        }
        __syncwarp();
    }
}

/* A map's columns. Where they are more than are held, the row isn't staged, and they are looked at
 * in stretches that fit whatever they hold. */
template <typename R, what WHAT>
__device__ __forceinline__ void examine_map(gathering<WHAT> *g, uint32_t begin, int tiles)
{
    stretch s = open_stretch(g->notes, 0, tiles);
    const bool fits = g->kept + s.here <= HELD;
    const int step = fits ? tiles : static_cast<int>(HELD) / TILE;
    g->walks |= !fits;
    for (int first = 0; first < tiles; first += step) {
        if (g->walks)
            g->kept = 0;
        if (!fits)
            s = open_stretch(g->notes, first, min(step, tiles - first));
        spread(g->notes, s, begin, g->kept);
        examine<R, WHAT>(g, g->kept + s.here);
    }
}

template <typename R, what WHAT, bool EXCLUDES>
__device__ __forceinline__ void gather_row(gathering<WHAT> *g, batch<R, WHAT> *ahead)
{
    ahead->request_scales(g->v, g->c.scale, 0);
    for (int first = 0; first < g->v.tiles; first += CHUNK) {
        const int tiles = min(g->v.tiles - first, CHUNK);
        map_chunk<R, WHAT, EXCLUDES>(*g, first, first + tiles, ahead);
        examine_map<R>(g, static_cast<uint32_t>(first) * TILE, tiles);
    }
}

/* ---- handing in ------------------------------------------------------------------------------ */

/* Places for what a block found, in the list and in the stage: one thread, its atomics on their way
 * at once. */
template <what WHAT> __device__ void reserve(const view &v, ortho_cuda_selection *s, found *f)
{
    uint32_t kept = 0, stage = 0;
    if constexpr (WHAT == SCORES) {
#pragma unroll
        for (int i = 0; i < WARPS; i++)
            kept += f->kept[i] != WALK ? f->kept[i] : 0;
        stage = v.stage_size != 0 ? atomicAdd(&s->staged, kept) : 0;
    }
    atomicAdd(reinterpret_cast<unsigned long long *>(&s->above), f->above);
    f->base = atomicAdd(&s->listed, f->count < FOUND ? f->count : FOUND);
    f->stage = stage;
    if (WHAT == SCORES && stage + kept > v.stage_size)
        for (int i = 0; i < WARPS; i++)
            f->kept[i] = WALK;
}

__device__ void stage_row(const view &v, const found *f, int64_t row, const uint16_t *held)
{
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t at = f->stage, count = f->kept[warp];
    for (int i = 0; i < warp; i++)
        at += f->kept[i] != WALK ? f->kept[i] : 0;
    if (lane == 0)
        v.staged[row] = {at, count};
    for (uint32_t i = lane; count != WALK && i < count; i += 32)
        v.stage[at + i] = held[i];
}

__device__ void hand_in(const view &v, int which, const found *f)
{
    const uint32_t count = f->count < FOUND ? f->count : FOUND;
    for (uint32_t i = threadIdx.x; i < count; i += THREADS)
        list(v, which, f->base + i, f->entry[i]);
}

template <typename R, what WHAT, bool EXCLUDES>
__global__ void __launch_bounds__(THREADS, 4) gather_kernel(const view v)
{
    __shared__ found f;
    __shared__ row_notes notes[WARPS];
    ortho_cuda_selection *s = &v.selection[WHAT];
    const int warp = threadIdx.x / 32;
    /* Backwards: what the read before has left in the L2 comes first. */
    const int64_t row = v.n - 1 - (blockIdx.x * static_cast<int64_t>(WARPS) + warp);
    batch<R, WHAT> ahead;
    if (row >= 0)
        ahead.request_weights(v, row_of<R>(v, row), 0);
    if (threadIdx.x == 0) {
        f.count = 0;
        f.above = 0;
    }
    ortho_cuda_release_dependents();
    ortho_cuda_wait_for_previous();
    __syncthreads();
    if (s->missed != 0)
        return;
    uint32_t above = 0, kept = 0;
    if (row >= 0) {
        gathering<WHAT> g = open_gathering<WHAT>(v, &f, &notes[warp], row);
        gather_row<R, WHAT, EXCLUDES>(&g, &ahead);
        above = warp_sum(g.above);
        kept = g.walks ? WALK : g.kept;
    }
    if (threadIdx.x % 32 == 0) {
        f.kept[warp] = kept;
        if (WHAT == SCORES && row >= 0)
            v.row_ptr[row + 1] = static_cast<int32_t>(above);
        if (WHAT == SCORES && row == 0)
            v.row_ptr[0] = 0;
        if (above != 0)
            atomicAdd(&f.above, static_cast<unsigned long long>(above));
    }
    __syncthreads();
    if (threadIdx.x == 0)
        reserve<WHAT>(v, s, &f);
    __syncthreads();
    if (WHAT == SCORES && v.stage_size != 0 && row >= 0)
        stage_row(v, &f, row, notes[warp].held);
    hand_in(v, WHAT, &f);
}

typedef void (*gather_function)(const view v);

template <typename R> gather_function gather_for(const view &v, bool scores)
{
    if (!scores)
        return gather_kernel<R, MAGNITUDES, false>;
    return v.row_squares != nullptr ? gather_kernel<R, SCORES, true>
                                    : gather_kernel<R, SCORES, false>;
}

} // namespace

ortho_status ortho_sieve_launch_gather(const view &v, bool scores, ortho_dtype dtype,
                                       cudaStream_t stream)
{
    const unsigned blocks = static_cast<unsigned>((v.n + WARPS - 1) / WARPS);
    ortho_status status = ORTHO_OK;
    with_reader(v, dtype, [&](auto type) {
        status = ortho_sieve_launch("gather_kernel", ORTHO_SIEVE_BEHIND,
                                    gather_for<decltype(type)>(v, scores), {blocks, THREADS, 0},
                                    stream, v);
    });
    return status;
}

void ortho_sieve_report_gather(const view &v, ortho_dtype dtype, const ortho_kernel_sink *sink)
{
    with_reader(v, dtype, [&](auto type) {
        ortho_cuda_kernel_report("gather_kernel", (const void *)gather_for<decltype(type)>(v, true),
                                 THREADS, 0, sink);
    });
}
