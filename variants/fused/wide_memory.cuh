/*
 * wide_memory.cuh: the shapes of wide.cuh's blocks, and where things are in their shared memory.
 *
 * A slot has an image, 128 columns in two halves: of the block's rows of W, fp16 and patched, and
 * of its tokens of x. Slots are filled and read in turn; both operands of a slot come and go
 * together.
 *
 * Blocks of a cluster may share x: they have the same tokens and other rows, and each asks for its
 * part of x in a slot, for all of them. Or they split K: they have the same tokens and rows and
 * other images, and add up in the end.
 */
#ifndef ORTHO_VARIANTS_FUSED_WIDE_MEMORY_CUH
#define ORTHO_VARIANTS_FUSED_WIDE_MEMORY_CUH

#include "variants/fused/cluster.cuh"
#include "variants/fused/group.cuh"
#include "variants/fused/jobs.cuh"
#include "variants/fused/meeting.cuh"
#include "variants/fused/swizzled.cuh"
#include "variants/fused/tile.cuh"

namespace ortho_fused
{

namespace
{

constexpr int GROUP_WARPS = 4, GROUP_THREADS = GROUP_WARPS * 32;
constexpr int GROUP_UNITS = 8, GROUP_ROWS = GROUP_UNITS * UNIT_ROWS; /* of a warpgroup */
constexpr int WIDE_SLOTS_MOST = 8;
/* What a warp that multiplies turns at once: 16 tokens of its two units. */
constexpr int OUT_TOKENS = 16, OUT_BYTES = OUT_TOKENS * 2 * UNIT_ROWS * 2;
constexpr int REGISTERS = 65536; /* of a multiprocessor */

/* What a launch depends on. x's tensor map is beside it. */
struct wide_launch {
    linear w;
    const __half *x; /* [tokens, k] */
    void *y;         /* [tokens, n] */
    float alpha;     /* 0 where there are no entries */
    int tokens, slots;
    int sorted;             /* entries that a tile has room for at once */
    int tiles, token_tiles; /* a cluster's tiles of y, side by side, count as one */
    cluster_range mine;     /* which take them in turn */
    bool aligned;           /* eight rows of y may be written at once */
    mended_rows mended;     /* which warps that multiply compute exactly, before anything else */
};

typedef group_launch<wide_launch, 1> wide_single;
typedef group_launch<wide_launch, GROUP_LINEARS> wide_group;

/* A block: T tokens; R warpgroups that multiply 64 rows each; SETS_ sets of eight warps that
 * unpack, which take images in turn. A cluster: X blocks that share x, or S blocks that split K;
 * then a block has one tile. */
template <int T, int R, int X, int S, int SETS_> struct wide_form {
    static_assert(X == 1 || S == 1, "either shares x or splits K");
    static constexpr int TOKENS = T, ROW_GROUPS = R, SHARERS = X, SPLIT = S, CLUSTER = X * S;
    static constexpr int UNITS = R * GROUP_UNITS, ROWS = UNITS * UNIT_ROWS;
    static constexpr int MULTIPLIERS = R * GROUP_THREADS;
    static constexpr int CLUSTER_READERS = X * R * GROUP_WARPS; /* warps that read a slot of x */
    static constexpr int SETS = SETS_, SET_WARPS = 8, SET_UNITS = UNITS / SET_WARPS;
    /* Registers that a launch gives all warps alike are all that there is to be shared out. */
    static constexpr bool SHARES_OUT = T * R > 256;
    /* A warp of its own asks for x, where registers allow: else a warp that unpacks. */
    static constexpr bool FEEDS = R == 1 && T <= 64;
    static constexpr int THREADS = MULTIPLIERS + (SETS * SET_WARPS + FEEDS) * 32;
    static constexpr int UNPACKER_REGISTERS = 88;
    static constexpr int MULTIPLIER_REGISTERS =
        (REGISTERS / THREADS / 8 * 8 * THREADS - SETS * SET_WARPS * 32 * UNPACKER_REGISTERS) /
        MULTIPLIERS / 8 * 8;
    static constexpr int W_HALF = ROWS * HALF_LINE, X_HALF = T * HALF_LINE;
    static constexpr int SLOT_BYTES = HALVES * (W_HALF + X_HALF);
    /* Two only: one can't be kept until the next one's products have begun. */
    static constexpr bool FEW_SLOTS = 3 * SLOT_BYTES > 150 << 10;
    static constexpr int SUMS_BYTES = S > 1 ? T / 2 * MULTIPLIERS * 4 : 0;
    /* What a warp has of each of its units: images that were asked for, packed. */
    static constexpr int AHEAD = R == 1 ? 3 : 1;
    static constexpr int PACKED_BYTES = IMAGE_BYTES + IMAGE_STRIPS * SCALE_BYTES,
                         UNIT_BYTES = AHEAD * PACKED_BYTES;
    /* What all have of a tile: entries by image and unit; where they end, how many there are, and
     * of each unit where they come from (sorter.cuh). */
    static constexpr int BINS = WINDOW_IMAGES * UNITS, BINS_BYTES = BINS * 6 + UNITS * 16;
    static constexpr int OUT_ALL = R * GROUP_WARPS * OUT_BYTES;
    static constexpr int BARRIERS_BYTES = (2 * WIDE_SLOTS_MOST + 2) * 8;

    /* With room for so many sorted entries. The last KiB is for alignment. Sums stand where slots
     * were. */
    static ORTHO_FUSED_SHARED constexpr int bytes(int slots, int sorted)
    {
        return (slots * SLOT_BYTES > SUMS_BYTES ? slots * SLOT_BYTES : SUMS_BYTES) +
               SETS * UNITS * UNIT_BYTES + sorted * 4 + BINS_BYTES + OUT_ALL + BARRIERS_BYTES +
               1024;
    }
};

/* Tiles of y, which a cluster of blocks takes one after the other: so many tokens, and a row of
 * tiles for each of its blocks. Tokens come first, so that their weights are still in the L2. */
template <typename F> struct tile_walk {
    const wide_launch &l;
    int at;

    __device__ __forceinline__ explicit tile_walk(const wide_launch &launch)
        : l(launch), at(cluster() - l.mine.first)
    {
    }
    __device__ __forceinline__ bool there() const
    {
        return at < l.tiles;
    }
    __device__ __forceinline__ void next()
    {
        at += l.mine.count;
    }
    __device__ __forceinline__ int token_tile() const
    {
        return at % l.token_tiles;
    }
    __device__ __forceinline__ int row_tile() const
    {
        return at / l.token_tiles * F::SHARERS + sharer();
    }
    static __device__ __forceinline__ int cluster()
    {
        return static_cast<int>(blockIdx.x) / F::CLUSTER;
    }
    /* The block's number among those that share x, and among those that split K. */
    static __device__ __forceinline__ int sharer()
    {
        return static_cast<int>(blockIdx.x) % F::SHARERS;
    }
    static __device__ __forceinline__ int splitter()
    {
        return static_cast<int>(blockIdx.x) % F::SPLIT;
    }
    /* The block's images of each tile: from this one on; of splitter + 1: up to that one. */
    __device__ __forceinline__ int images_from(int splitter) const
    {
        return l.w.s.images * splitter / F::SPLIT;
    }
};

/* Where things are in shared memory. Slots come first: they have to be aligned to a KiB. */
template <typename F> struct wide_memory {
    uint32_t data, units, bins, sorted, out, barriers;
    int slots;

    __device__ __forceinline__ wide_memory(const void *memory, const wide_launch &l)
        : data((shared_address(memory) + 1023) & ~1023u), slots(l.slots)
    {
        barriers = data + F::bytes(slots, l.sorted) - 1024 - F::BARRIERS_BYTES;
        out = barriers - F::OUT_ALL;
        sorted = out - l.sorted * 4;
        bins = sorted - F::BINS_BYTES;
        units = bins - F::SETS * F::UNITS * F::UNIT_BYTES;
    }
    __device__ __forceinline__ uint32_t w(int slot) const
    {
        return data + slot * F::SLOT_BYTES;
    }
    __device__ __forceinline__ uint32_t x(int slot) const
    {
        return w(slot) + HALVES * F::W_HALF;
    }
    __device__ __forceinline__ uint32_t full(int slot) const
    {
        return barriers + slot * 16;
    }
    __device__ __forceinline__ uint32_t empty(int slot) const
    {
        return full(slot) + 8;
    }
    /* Where blocks that split K wait for each other's sums. */
    __device__ __forceinline__ uint32_t sums() const
    {
        return barriers + 2 * WIDE_SLOTS_MOST * 8;
    }
    __device__ __forceinline__ void open() const
    {
        for (int i = 0; i < slots; i++) {
            barrier_init(full(i), F::SET_WARPS * ARRIVING_LANES + 1);
            barrier_init(empty(i), F::CLUSTER_READERS * ARRIVING_LANES);
        }
        if (F::SPLIT > 1) {
            barrier_init(sums(), 1);
            barrier_expect(sums(), F::SUMS_BYTES);
        }
        barriers_show();
    }
    /* A warp is done with a slot: its own block's, and those of the others that its x came with. */
    __device__ __forceinline__ void release(int slot, int lane) const
    {
        if (lane >= ARRIVING_LANES)
            return;
        if constexpr (F::SHARERS == 1)
            barrier_arrive(empty(slot));
        else
            for (int block = 0; block < F::SHARERS; block++)
                barrier_arrive_of(block, empty(slot));
    }
};

/* Asks for x of a tile, for an image into a slot that is empty. */
template <typename F> struct feeder {
    static constexpr int MINE = F::TOKENS / F::SHARERS; /* tokens that this block asks for */
    const wide_memory<F> &m;
    const CUtensorMap &map;
    int sharer, token; /* the block's number; the first of its tokens */

    /* Of no tile yet. */
    __device__ __forceinline__ feeder(const wide_memory<F> &of, const CUtensorMap &x)
        : m(of), map(x), sharer(tile_walk<F>::sharer()), token(0)
    {
    }
    __device__ __forceinline__ void turn_to(const tile_walk<F> &tile)
    {
        token = tile.token_tile() * F::TOKENS + sharer * MINE;
    }
    __device__ __forceinline__ void feed(int image, int slot) const
    {
        if (threadIdx.x % 32 != 0)
            return;
        const uint32_t full = m.full(slot), to = m.x(slot) + sharer * MINE * HALF_LINE;
        barrier_expect(full, HALVES * F::X_HALF);
#pragma unroll
        for (int half = 0; half < HALVES; half++)
            bring_x<F::SHARERS>(&map, to + half * F::X_HALF,
                                image * IMAGE_COLUMNS + half * HALF_COLUMNS, token, full);
    }
    /* Before x is asked for. What follows on the stream begins only now: mend.cu reads x without
     * waiting for this kernel's end. */
    static __device__ __forceinline__ void wait_for_x()
    {
        ortho_cuda_wait_for_previous();
        ortho_cuda_release_dependents();
    }
    /* All tiles, by a warp that does nothing else. */
    __device__ __forceinline__ void run(tile_walk<F> tile)
    {
        const int begin = tile.images_from(tile.splitter()),
                  end = tile.images_from(tile.splitter() + 1);
        turn slot = {0, 1};
        wait_for_x();
#pragma unroll 1
        for (; tile.there(); tile.next()) {
            turn_to(tile);
#pragma unroll 1
            for (int image = begin; image < end; image++) {
                barrier_wait(m.empty(slot.at), slot.phase);
                feed(image, slot.at);
                slot.next(1, m.slots);
            }
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
