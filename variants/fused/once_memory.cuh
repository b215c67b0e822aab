/*
 * once_memory.cuh: the shapes of once.cu's blocks, what a launch is told, and where things are: in
 * shared memory and in the workspace.
 *
 * A slot has half an image, 64 columns, of the block's tokens of x and of a tile of rows of W. The
 * two blocks of a cluster have the same rows and other tokens; each asks for half of W, for both.
 *
 * In the workspace a tile's halves of images follow each other, each as it will stand in a slot:
 * [row tile][half][row of the tile][128 bytes, swizzled].
 */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_MEMORY_CUH
#define ORTHO_VARIANTS_FUSED_ONCE_MEMORY_CUH

#include "variants/fused/cluster.cuh"
#include "variants/fused/jobs.cuh"
#include "variants/fused/once_plan.h"
#include "variants/fused/swizzled.cuh"

namespace ortho_fused
{

namespace
{

constexpr int ONCE_GROUPS = 2, ONCE_GROUP_TOKENS = 64; /* warpgroups that multiply */
static_assert(ONCE_GROUPS * ONCE_GROUP_TOKENS == ONCE_TOKENS, "a tile's tokens");
/* Warps: those that multiply, then one that asks, then those that unpack. */
constexpr int ONCE_MULTIPLIERS = ONCE_GROUPS * 4, ONCE_FEEDER = ONCE_MULTIPLIERS,
              ONCE_UNPACKERS = 3, ONCE_WARPS = ONCE_FEEDER + 1 + ONCE_UNPACKERS,
              ONCE_THREADS = ONCE_WARPS * 32;
constexpr int ONCE_REGISTERS = 168; /* of a thread, as launched */
constexpr int TASK_HALVES = TASK_IMAGES * HALVES, TASK_BYTES = TASK_HALVES * HALF_UNIT;

/* What a launch depends on. x's tensor map is beside it. */
struct once_launch {
    linear w;
    const __half *x; /* [tokens, k] */
    void *y;         /* [tokens, n] */
    float alpha;     /* 0 where there are no entries */
    int tokens;
    once_plan p;
    bool aligned; /* eight rows of y may be written at once */
    mended_rows mended;
    uint8_t *tiles; /* W unpacked */
    once_counters *counters;
    int words; /* of a half of the counters */
};

/* The half of the counters that a launch counts with, once the launch before has ended. */
struct once_half {
    uint32_t *claims, *tasks;
    uint32_t *other_words, *other_tasks;

    __device__ __forceinline__ void find(const once_launch &l)
    {
        once_counters *const c = l.counters;
        const uint32_t mine = __ldcg(&c->ended) / ONE_LAUNCH % 2, other = 1 - mine;
        claims = c->words + mine * l.words;
        tasks = &c->tasks[mine];
        other_words = c->words + other * l.words;
        other_tasks = &c->tasks[other];
    }
    /* Of a tile: [chunks] */
    __device__ __forceinline__ uint32_t *ready(const once_launch &l, int tile) const
    {
        return claims + ONCE_CLAIMS + tile * l.p.chunks;
    }
    /* What the launch before counted becomes 0 for the next one, by some threads of all blocks. */
    __device__ __forceinline__ void clear_other(const once_launch &l, int thread, int threads) const
    {
        const int block = static_cast<int>(blockIdx.x);
        for (int i = block * threads + thread; i < l.words;
             i += static_cast<int>(gridDim.x) * threads)
            other_words[i] = 0;
        if (block == 0 && thread == 0)
            *other_tasks = 0;
    }
};

/* A block has tiles of ROWS_ rows. */
template <int ROWS_, int SLOTS_> struct once_form {
    static constexpr int ROWS = ROWS_, UNITS = ROWS / UNIT_ROWS, SLOTS = SLOTS_;
    static_assert(ROWS % 32 == 0 && UNITS % ONCE_CLUSTER == 0, "whole pieces");
    static constexpr int W_BYTES = ROWS * HALF_LINE, X_BYTES = ONCE_TOKENS * HALF_LINE,
                         SLOT_BYTES = W_BYTES + X_BYTES;
    /* The last KiB is for alignment. */
    static constexpr int BYTES =
        SLOTS * SLOT_BYTES + ONCE_UNPACKERS * TASK_BYTES + SLOTS * 16 + 1024;
    /* Sums of the tile at work, y of the one before as far as there is room, and others. */
    static constexpr int WANTED = ROWS < 256 ? ROWS / 2 + ROWS / 4 + 48 : 216;
    static constexpr bool SHARES_OUT = WANTED > ONCE_REGISTERS;
    static constexpr int OTHERS_REGISTERS =
        (ONCE_WARPS * ONCE_REGISTERS - ONCE_MULTIPLIERS * WANTED) /
        (ONCE_WARPS - ONCE_MULTIPLIERS) / 8 * 8;
};

/* Tiles of y, which a cluster takes one after the other. */
struct once_walk {
    const once_launch &l;
    int at;

    __device__ __forceinline__ explicit once_walk(const once_launch &launch)
        : l(launch), at(static_cast<int>(blockIdx.x) / ONCE_CLUSTER)
    {
    }
    __device__ __forceinline__ bool there() const
    {
        return at < l.p.tiles();
    }
    __device__ __forceinline__ void next()
    {
        at += static_cast<int>(gridDim.x) / ONCE_CLUSTER;
    }
    __device__ __forceinline__ once_tile tile() const
    {
        return l.p.tile(at);
    }
    /* The block's first token. */
    static __device__ __forceinline__ int token(once_tile t)
    {
        return (t.pair * ONCE_CLUSTER + rank_in_cluster()) * ONCE_TOKENS;
    }
};

/* Slots come first: they have to be aligned to a KiB. */
template <typename F> struct once_memory {
    uint32_t data, tasks, barriers;

    __device__ __forceinline__ explicit once_memory(const void *memory)
        : data((shared_address(memory) + 1023) & ~1023u), tasks(data + F::SLOTS * F::SLOT_BYTES),
          barriers(tasks + ONCE_UNPACKERS * TASK_BYTES)
    {
    }
    __device__ __forceinline__ uint32_t w(int slot) const
    {
        return data + slot * F::SLOT_BYTES;
    }
    __device__ __forceinline__ uint32_t x(int slot) const
    {
        return w(slot) + F::W_BYTES;
    }
    __device__ __forceinline__ uint32_t full(int slot) const
    {
        return barriers + slot * 16;
    }
    __device__ __forceinline__ uint32_t empty(int slot) const
    {
        return full(slot) + 8;
    }
    __device__ __forceinline__ void open() const
    {
        for (int i = 0; i < F::SLOTS; i++) {
            barrier_init(full(i), 1);
            barrier_init(empty(i), ONCE_CLUSTER * ONCE_MULTIPLIERS * ARRIVING_LANES);
        }
        barriers_show();
    }
    /* A warp is done with a slot, whose W came with the other block's. */
    __device__ __forceinline__ void release(int slot, int lane) const
    {
        if (lane >= ARRIVING_LANES)
            return;
        for (int block = 0; block < ONCE_CLUSTER; block++)
            barrier_arrive_of(block, empty(slot));
    }
};

} // namespace

} // namespace ortho_fused

#endif
