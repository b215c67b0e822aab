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

/* A unit's image, packed in shared memory, to its place in a slot, whose halves are half_bytes
 * apart. GROUPS: 1, or more than the image's groups. */
template <int GROUPS> struct image_unpacker {
    half_unpacker half;
    int groups;
    uint32_t words, scale_at; /* of the lane */

    __device__ __forceinline__ image_unpacker(int of_image, int lane)
        : half(lane), groups(of_image), words(kept(lane * 16)),
          scale_at(kept(IMAGE_BYTES + lane / 4 * 2))
    {
    }
    /* The lane's row's scale of a strip, twice. */
    __device__ __forceinline__ uint32_t scale(uint32_t packed, int strip) const
    {
        const int group = GROUPS == 1 ? 0 : strip * groups / GROUPS;
        return load_shared_2(packed + scale_at + group * SCALE_BYTES) * 0x10001u;
    }
    struct loaded {
        uint4 w;
        uint32_t scales[IMAGE_STRIPS];
    };
    __device__ __forceinline__ loaded load(uint32_t packed) const
    {
        loaded image;
        image.w = load_shared_16(packed + words);
#pragma unroll
        for (int i = 0; i < IMAGE_STRIPS; i++)
            image.scales[i] = GROUPS == 1 && i > 0 ? image.scales[0] : scale(packed, i ^ half.odd);
        return image;
    }
    __device__ __forceinline__ void store(const loaded &image, uint32_t to, int half_bytes) const
    {
        half.unpack(image.w.x, image.w.y, to, image.scales[0], image.scales[1]);
        half.unpack(image.w.z, image.w.w, to + half_bytes, image.scales[2], image.scales[3]);
    }
};

/* What a set of warps asks for, image by image of tile after tile, every SETS-th: packed weights.
 * An image is a group of copies. */
template <typename F> struct asker {
    static constexpr int UNITS = F::SET_UNITS;
    const wide_launch &l;
    uint32_t units;  /* shared address of what the warp has of its units */
    int number, set; /* of the warp in its set */
    int lane;
    bool there; /* is there a next image? */
    tile_walk<F> tile;
    int begin, end;                                /* the block's images of a tile */
    int image, panel_end;                          /* the next one; of its panel */
    const uint8_t *nibbles[UNITS], *scales[UNITS]; /* of the next image, the lane's */

    __device__ __forceinline__ asker(const wide_launch &launch, const wide_memory<F> &m,
                                     const tile_walk<F> &from, int warp)
        : l(launch), units(m.units + warp * UNITS * F::UNIT_BYTES), number(warp % F::SET_WARPS),
          set(warp / F::SET_WARPS), lane(threadIdx.x % 32), there(true), tile(from),
          begin(tile.images_from(tile.splitter())), end(tile.images_from(tile.splitter() + 1)),
          image(begin + set), panel_end(0)
    {
    }
    /* To the next image's panel, if there is a next image; what isn't there is read as the last
     * unit. */
    __device__ __forceinline__ void turn_to_panel()
    {
        if (image >= end) {
            tile.next();
            image = begin + set;
        }
        there = tile.there() && image < end;
        if (!there)
            return;
        const shape &s = l.w.s;
        const int window = image / WINDOW_IMAGES, inside = image % WINDOW_IMAGES;
        const int panel = s.panels_of(window) == 2 && inside >= s.panel_first(window, 1) ? 1 : 0;
        const int base = window * WINDOW_IMAGES + s.panel_first(window, panel), in = image - base;
        panel_end = min(base + s.panel_images(window, panel), end);
        const int first = tile.row_tile() * F::UNITS + number * UNITS;
#pragma unroll
        for (int u = 0; u < UNITS; u++) {
            const place at = image_place(s, min(first + u, s.units - 1), base);
            nibbles[u] = l.w.base + at.nibbles + lane * 16 + in * IMAGE_BYTES;
            scales[u] = l.w.base + at.scales + (lane + in * s.groups) * SCALE_BYTES;
        }
    }
    /* The next image, to place `to` of AHEAD. */
    __device__ __forceinline__ void ask(int to)
    {
        const int groups = l.w.s.groups;
        if (there && image >= panel_end)
            turn_to_panel();
        if (there) {
#pragma unroll
            for (int u = 0; u < UNITS; u++) {
                const uint32_t at = units + u * F::UNIT_BYTES + to * F::PACKED_BYTES;
                copy_16(at + lane * 16, nibbles[u]);
                if (lane < groups)
                    copy_16(at + IMAGE_BYTES + lane * SCALE_BYTES, scales[u]);
                nibbles[u] += F::SETS * IMAGE_BYTES;
                scales[u] += F::SETS * groups * SCALE_BYTES;
            }
        }
        image += F::SETS;
        copies_commit();
    }
    /* Until the image is there that is taken next. */
    static __device__ __forceinline__ void wait()
    {
        copies_wait<F::AHEAD - 1>();
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
    sorter<F> entries;
    uint16_t alpha;

    __device__ __forceinline__ unpacker(const wide_launch &launch, const wide_memory<F> &of,
                                        const CUtensorMap &map, const tile_walk<F> &from, int warp)
        : l(launch), m(of), tile(from), lane(threadIdx.x % 32), slot{0, 1}, place(0),
          a(launch, of, from, warp), x(of, map), unpack(launch.w.s.groups, lane),
          entries(launch, of, warp), alpha(__half_as_ushort(__float2half_rn(launch.alpha)))
    {
    }
    /* An image's weights without their entries, to its slot. */
    __device__ __forceinline__ void bring(int image)
    {
        const uint32_t to = m.w(slot.at) + a.number * UNITS * HALF_UNIT;
        a.wait();
        typename image_unpacker<GROUPS>::loaded packed[UNITS];
#pragma unroll
        for (int u = 0; u < UNITS; u++)
            packed[u] = unpack.load(a.units + u * F::UNIT_BYTES + place * F::PACKED_BYTES);
        barrier_wait(m.empty(slot.at), slot.phase);
        if (!F::FEEDS && a.number == 0)
            x.feed(image, slot.at);
        __syncwarp(); /* all have read what was packed */
        a.ask(place);
        place = place + 1 == F::AHEAD ? 0 : place + 1;
#pragma unroll
        for (int u = 0; u < UNITS; u++)
            unpack.store(packed[u], to + u * HALF_UNIT, F::W_HALF);
    }
    /* The set's images of a tile; then it sorts for the others. Sorting begins while the first
     * weights are on their way. */
    __device__ __forceinline__ void images()
    {
        const bool patched = l.alpha != 0;
#pragma unroll 1
        for (int at = a.begin + a.set;; at += F::SETS) {
            const bool mine = at < a.end;
            if (patched)
                entries.sort_until(mine ? at + 1 : a.end, a.end);
            if (!mine)
                return;
            typename sorter<F>::found of = {};
            if (patched)
                of = entries.find(at);
            bring(at);
            if (patched)
                entries.add(of, at, m.w(slot.at), alpha);
            __syncwarp();
            if (lane < ARRIVING_LANES)
                barrier_arrive(m.full(slot.at));
            slot.next(at + F::SETS < a.end ? F::SETS : a.end - at + a.set, m.slots);
        }
    }
    /* Another block tells this one's barriers what it is done with: until it has told all, this
     * block must be there. By the set whose turn is next. */
    __device__ __forceinline__ void wait_for_readers()
    {
        if (a.set != 0)
            return;
        for (int i = 0; i < m.slots; i++) {
            barrier_wait(m.empty(slot.at), slot.phase);
            slot.next(1, m.slots);
        }
    }
    __device__ __forceinline__ void run()
    {
        for (int i = 0; i < F::AHEAD; i++)
            a.ask(i);
        if (!F::FEEDS && a.number == 0)
            x.wait_for_x();
        slot.next(a.set, m.slots);
#pragma unroll 1
        for (; tile.there(); tile.next()) {
            x.turn_to(tile);
            entries.restart(tile.row_tile() * F::UNITS, a.begin);
            images();
        }
        if (F::SHARERS > 1)
            wait_for_readers();
    }
};

} // namespace

} // namespace ortho_fused

#endif
