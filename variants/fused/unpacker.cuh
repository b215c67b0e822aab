/*
 * unpacker.cuh: a warp of wide.cuh that unpacks: one or two units of a block's rows, image by image
 * of tile after tile. Packed weights are asked for well before they are needed, and come to shared
 * memory that only this warp reads; sorter.cuh adds Ortho.
 */
#ifndef ORTHO_VARIANTS_FUSED_UNPACKER_CUH
#define ORTHO_VARIANTS_FUSED_UNPACKER_CUH

#include "variants/fused/sorter.cuh"

namespace ortho_fused
{

namespace
{

/* A row's line in a slot has eight columns a piece of 16 bytes, piece p at place p ^ row. Lane 4 *
 * row + t has pieces t and 4 + t ("sides") of either half. Lanes of odd rows turn to side 1 first,
 * so that those that store at once don't meet in banks. */
__device__ __forceinline__ uint32_t first_piece(int lane)
{
    const int row = lane / 4, piece = row % 2 * 4 + lane % 4;
    return static_cast<uint32_t>(row * HALF_LINE + (piece ^ row) * 16);
}

constexpr uint32_t OTHER_PIECE = 4 * 16; /* to be turned in an address */

/* A unit's image, packed in shared memory, to its place in a slot, whose halves are half_bytes
 * apart. groups: of an image, GROUPS of them at most. */
template <int GROUPS> struct image_unpacker {
    int groups, lane;

    /* The lane's row's scale of a strip, twice. */
    __device__ __forceinline__ uint32_t scale(uint32_t packed, int strip) const
    {
        const int group = GROUPS == 1 ? 0 : strip * groups / GROUPS;
        return load_shared_2(packed + IMAGE_BYTES + group * SCALE_BYTES + lane / 4 * 2) * 0x10001u;
    }
    /* Half an image; to: the lane's first piece; scales of the strips in the lane's order. */
    static __device__ __forceinline__ void unpack(uint32_t first, uint32_t second, uint32_t to,
                                                  uint32_t order, uint32_t scale_0,
                                                  uint32_t scale_1)
    {
        uint4 piece[2];
        unpack_weights(__byte_perm(first, 0, order), __byte_perm(second, 0, order), scale_0,
                       scale_1, piece);
        store_shared_16(to, piece[0]);
        store_shared_16(to ^ OTHER_PIECE, piece[1]);
    }
    __device__ __forceinline__ void run(uint32_t packed, uint32_t to, int half_bytes) const
    {
        const int odd = lane / 4 % 2;
        const uint32_t order = odd ? 0x2301 : 0x3210, piece = to + first_piece(lane);
        const uint4 words = load_shared_16(packed + lane * 16);
        uint32_t scales[IMAGE_STRIPS];
#pragma unroll
        for (int i = 0; i < IMAGE_STRIPS; i++)
            scales[i] = GROUPS == 1 && i > 0 ? scales[0] : scale(packed, i ^ odd);
        unpack(words.x, words.y, piece, order, scales[0], scales[1]);
        unpack(words.z, words.w, piece + half_bytes, order, scales[2], scales[3]);
    }
};

__device__ __forceinline__ void copy_16(uint32_t to, const uint8_t *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

/* What a set of warps asks for, image by image of tile after tile, every SETS-th: packed weights.
 * An image is a group of copies. */
template <typename F> struct asker {
    static constexpr int UNITS = F::SET_UNITS;
    const wide_launch &l;
    uint32_t units;  /* shared address of what the warp has of its units */
    int number, set; /* of the warp in its set */
    int lane;
    tile_walk<F> tile;
    int begin, end;                                /* the block's images of a tile */
    int image, base, panel_end;                    /* the next one; those of its panel */
    const uint8_t *nibbles[UNITS], *scales[UNITS]; /* of image `base` */

    __device__ __forceinline__ asker(const wide_launch &launch, const wide_memory<F> &m,
                                     const tile_walk<F> &from, int warp)
        : l(launch), units(m.units + warp * UNITS * F::UNIT_BYTES), number(warp % F::SET_WARPS),
          set(warp / F::SET_WARPS), lane(threadIdx.x % 32), tile(from),
          begin(tile.images_from(tile.splitter())), end(tile.images_from(tile.splitter() + 1)),
          image(begin + set), base(0), panel_end(0)
    {
    }
    /* The warp's first of a tile; what isn't there is read as the last unit. */
    __device__ __forceinline__ int first_unit(const tile_walk<F> &of) const
    {
        return of.row_tile() * F::UNITS + number * UNITS;
    }
    __device__ __forceinline__ void turn_to_panel()
    {
        const shape &s = l.w.s;
        const int window = image / WINDOW_IMAGES, inside = image % WINDOW_IMAGES;
        const int panel = s.panels_of(window) == 2 && inside >= s.panel_first(window, 1) ? 1 : 0;
        base = window * WINDOW_IMAGES + s.panel_first(window, panel);
        panel_end = base + s.panel_images(window, panel);
        const int first = first_unit(tile);
#pragma unroll
        for (int u = 0; u < UNITS; u++) {
            const place at = image_place(s, min(first + u, s.units - 1), base);
            nibbles[u] = l.w.base + at.nibbles + lane * 16;
            scales[u] = l.w.base + at.scales + lane * SCALE_BYTES;
        }
    }
    /* The next image, to place `to` of AHEAD. */
    __device__ __forceinline__ void ask(int to)
    {
        if (image >= end) {
            tile.next();
            image = begin + set;
            panel_end = 0;
        }
        if (tile.there() && image < end) {
            if (image >= panel_end)
                turn_to_panel();
            const int in = image - base;
#pragma unroll
            for (int u = 0; u < UNITS; u++) {
                const uint32_t at = units + u * F::UNIT_BYTES + to * F::PACKED_BYTES;
                copy_16(at + lane * 16, nibbles[u] + in * IMAGE_BYTES);
                if (lane < l.w.s.groups)
                    copy_16(at + IMAGE_BYTES + lane * SCALE_BYTES,
                            scales[u] + in * l.w.s.groups * SCALE_BYTES);
            }
        }
        image += F::SETS;
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    /* Until the image is there that is taken next. */
    static __device__ __forceinline__ void wait()
    {
        asm volatile("cp.async.wait_group %0;" ::"n"(F::AHEAD - 1) : "memory");
        __syncwarp(); /* lanes copy for each other */
    }
};

template <typename F, int GROUPS> struct unpacker {
    static constexpr int UNITS = F::SET_UNITS;
    const wide_launch &l;
    const wide_memory<F> &m;
    tile_walk<F> tile;
    int lane;
    turn slot;
    int place; /* of AHEAD, where the next image is */
    asker<F> a;
    feeder<F> x; /* where no warp of its own is */
    image_unpacker<GROUPS> unpack;
    sorter<F> rows[UNITS];

    __device__ __forceinline__ unpacker(const wide_launch &launch, const wide_memory<F> &of,
                                        const CUtensorMap &map, const tile_walk<F> &from, int warp)
        : l(launch), m(of), tile(from), lane(threadIdx.x % 32), slot{0, 1}, place(0),
          a(launch, of, from, warp), x(of, map), unpack{launch.w.s.groups, lane}
    {
#pragma unroll
        for (int u = 0; u < UNITS; u++)
            rows[u].open(a.units + u * F::UNIT_BYTES);
    }
    /* first: the warp's first unit of the tile. */
    __device__ __forceinline__ void image(int at, int first)
    {
        const uint32_t to = m.w(slot.at) + a.number * UNITS * HALF_UNIT;
        a.wait();
        barrier_wait(m.empty(slot.at), slot.phase);
        if (!F::FEEDS && a.number == 0)
            x.feed(at, slot.at);
        __syncwarp();
#pragma unroll
        for (int u = 0; u < UNITS; u++)
            unpack.run(a.units + u * F::UNIT_BYTES + place * F::PACKED_BYTES, to + u * HALF_UNIT,
                       F::W_HALF);
        __syncwarp(); /* weights of other lanes have entries; and all have read what was packed */
        a.ask(place);
        place = place + 1 == F::AHEAD ? 0 : place + 1;
        if (l.alpha != 0)
#pragma unroll
            for (int u = 0; u < UNITS; u++)
                rows[u].add(l.w, min(first + u, l.w.s.units - 1), at, a.end, to + u * HALF_UNIT,
                            __half_as_ushort(__float2half_rn(l.alpha)));
        __syncwarp();
        if (lane < ARRIVING_LANES)
            barrier_arrive(m.full(slot.at));
    }
    __device__ __forceinline__ void run()
    {
        for (int i = 0; i < F::AHEAD; i++)
            a.ask(i);
        if (!F::FEEDS && a.number == 0)
            ortho_cuda_wait_for_previous(); /* for x */
        slot.next(a.set, m.slots);
#pragma unroll 1
        for (; tile.there(); tile.next()) {
            const int first = a.first_unit(tile);
            x.turn_to(tile);
#pragma unroll 1
            for (int at = a.begin + a.set; at < a.end; at += F::SETS) {
                image(at, first);
                slot.next(at + F::SETS < a.end ? F::SETS : a.end - at + a.set, m.slots);
            }
#pragma unroll
            for (int u = 0; u < UNITS; u++)
                rows[u].restart();
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
