/*
 * unpacker.cuh and sorter.cuh, the warps of wide.cu that unpack, on a CPU: their code as it is. In
 * place of warps that multiply there are some that write down what stands in a slot once it is
 * full: each weight has to be, bit for bit, q * scale rounded to fp16, and alpha times its entry
 * added and rounded once more; wherever the tile, however many entries there is room for, whoever
 * rests.
 */
#include "cuda_async.h"
#include "fused_linear.h"

#include "variants/fused/unpacker.cuh"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

extern "C" {
#include <cmocka.h>
}

namespace ortho_fused
{

namespace
{

/* Tokens, warpgroups, sharers, splitters, sets. Here the form is meant, not the function that
 * chooses one. */
typedef wide_form<32, 1, 1, 1, 3> three_sets;
typedef wide_form<64, 1, 1, 1, 2> two_sets;
typedef wide_form<64, 1, 1, 2, 2> two_splitters;
typedef wide_form<128, 1, 1, 1, 1> one_set;
typedef wide_form<64, 2, 1, 1, 1> two_units; /* of a warp */

} // namespace

} // namespace ortho_fused

namespace
{

constexpr uint8_t X_BYTE = 0x5a; /* what x is made of */

/* ---- a linear -------------------------------------------------------------------------------- */

/* Its index, which a plan has only where it is small beside the rest. */
struct index_of {
    std::vector<uint32_t> first;
    std::vector<uint8_t> count;

    explicit index_of(packed_linear *l)
        : first(static_cast<size_t>(l->fused.w.s.windows * l->fused.w.s.units) * UNIT_ROWS),
          count(static_cast<size_t>(l->fused.w.s.units * l->fused.w.s.images) * UNIT_ROWS)
    {
        const shape &s = l->fused.w.s;
        for (int window = 0; window < s.windows; window++) {
            uint32_t segments = 0; /* of a section, so far */
            for (int unit = 0; unit < s.units; unit++)
                for (int row = 0; row < UNIT_ROWS; row++) {
                    if (s.place_of_unit(unit).unit == 0 && row == 0)
                        segments = 0;
                    first[static_cast<size_t>((window * s.units + unit) * UNIT_ROWS + row)] =
                        segments;
                    segments +=
                        (count_row(*l, window, unit, row) + SEGMENT_ENTRIES - 1) / SEGMENT_ENTRIES;
                }
        }
        l->fused.w.first = first.data();
        l->fused.w.count = count.data();
    }
    /* Of each of a window's images; all. */
    uint32_t count_row(const packed_linear &l, int window, int unit, int in)
    {
        const shape &s = l.fused.w.s;
        const int64_t row = static_cast<int64_t>(l.dealt.unit[unit]) * UNIT_ROWS + in;
        uint32_t all = 0;
        for (int64_t e = row < s.n ? l.split.row_ptr[row] : 0;
             row < s.n && e < l.split.row_ptr[row + 1]; e++) {
            const int64_t image = ortho_split_col(&l.split, e) / IMAGE_COLUMNS;
            if (image / WINDOW_IMAGES != window)
                continue;
            count[static_cast<size_t>((unit * s.images + image) * UNIT_ROWS + in)]++;
            all++;
        }
        return all;
    }
};

/* ---- a launch -------------------------------------------------------------------------------- */

/* Slots as they were when they were full: [tiles of rows][images][HALVES * F::W_HALF]; and how
 * often. */
struct written {
    uint8_t *slots;
    int *times; /* [tiles of rows][images] */
};

int64_t slot_number(const shape &s, int row_tile, int image)
{
    return static_cast<int64_t>(row_tile) * s.images + image;
}

/* A warp in place of one that multiplies: its share of each slot. */
template <typename F>
void write_down(const wide_launch &l, const wide_memory<F> &m, tile_walk<F> tile, int warp,
                const written &out)
{
    constexpr int BYTES = HALVES * F::W_HALF, READERS = F::MULTIPLIERS / 32;
    const int lane = static_cast<int>(threadIdx.x % 32);
    turn slot = {0, 0};
    for (; tile.there(); tile.next())
        for (int i = tile.images_from(tile.splitter()); i < tile.images_from(tile.splitter() + 1);
             i++) {
            barrier_wait(m.full(slot.at), slot.phase);
            const int64_t number = slot_number(l.w.s, tile.row_tile(), i);
            for (int at = (warp * 32 + lane) * 16; at < BYTES; at += READERS * 32 * 16)
                memcpy(out.slots + number * BYTES + at, emulated_shared<uint4>(m.w(slot.at) + at),
                       16);
            if (*emulated_shared<uint8_t>(m.x(slot.at) + lane) != X_BYTE)
                emulated_fail("x isn't there, and nobody waited for it");
            if (warp == 0 && lane == 0)
                out.times[number]++;
            __syncwarp();
            m.release(slot.at, lane);
            slot.next(1, m.slots);
        }
    /* Behind the list of entries there is what these warps alone write to. */
    for (int at = 0; at < F::OUT_ALL; at++)
        if (*emulated_shared<uint8_t>(m.out + at) != 0xff)
            emulated_fail("more entries are in the list than there is room for");
}

/* As wide_kernel. */
template <typename F, int OF_IMAGE>
void unpack_kernel(const wide_launch l, const CUtensorMap map, const written out)
{
    const wide_memory<F> m(dynamic_shared(), l);
    const tile_walk<F> tile(l);
    const int warp = static_cast<int>(threadIdx.x / 32), readers = F::MULTIPLIERS / 32;
    if (threadIdx.x == 0)
        m.open();
    __syncthreads();
    if (warp < readers) {
        write_down<F>(l, m, tile, warp, out);
    } else if (F::FEEDS && warp == F::THREADS / 32 - 1) {
        feeder<F> x(m, map);
        x.run(tile);
    } else {
        unpacker<F, OF_IMAGE> u(l, m, map, tile, warp - readers);
        u.run();
    }
}

/* How it is launched. */
struct call {
    float alpha;
    int tokens, slots, sorted, clusters;
};

template <typename F>
void run(const packed_linear &l, const call &c, const written &out, unsigned seed)
{
    const shape &s = l.fused.w.s;
    std::vector<uint8_t> x(F::X_HALF, X_BYTE);
    const CUtensorMap map = {x.data(), F::X_HALF};
    wide_launch launch = {};
    launch.w = l.fused.w;
    launch.alpha = c.alpha;
    launch.tokens = c.tokens;
    launch.slots = c.slots;
    launch.sorted = c.sorted;
    launch.token_tiles = (c.tokens + F::TOKENS - 1) / F::TOKENS;
    launch.tiles = (s.units + F::UNITS - 1) / F::UNITS * launch.token_tiles;
    launch.mine = {0, F::SPLIT > 1 ? launch.tiles : std::min(c.clusters, launch.tiles)};
    emulated_uneven(seed);
    emulated_run(
        dim3(static_cast<unsigned>(launch.mine.count * F::CLUSTER)), dim3(F::THREADS),
        [&] {
            if (s.groups == 1)
                unpack_kernel<F, 1>(launch, map, out);
            else
                unpack_kernel<F, IMAGE_STRIPS>(launch, map, out);
        },
        static_cast<size_t>(F::bytes(c.slots, c.sorted)));
}

/* ---- what weights must be -------------------------------------------------------------------- */

/* fp16 [n, k] */
std::vector<uint16_t> weights_of(const packed_linear &l, float alpha)
{
    const ortho_split &s = l.split;
    const double times = emulated_half(emulated_to_half(alpha).bits);
    std::vector<uint16_t> w(static_cast<size_t>(s.n * s.k));
    for (int64_t row = 0; row < s.n; row++) {
        uint16_t *const of = &w[static_cast<size_t>(row * s.k)];
        for (int64_t c = 0; c < s.k; c++)
            of[c] = emulated_to_half(static_cast<double>(q_of(s, row, c)) *
                                     emulated_half(scale_of(s, row, c)))
                        .bits;
        for (int64_t e = s.row_ptr[row]; alpha != 0 && e < s.row_ptr[row + 1]; e++) {
            uint16_t *const at = &of[ortho_split_col(&s, e)];
            *at = emulated_to_half(emulated_half(*at) + times * emulated_half(s.val[e])).bits;
        }
    }
    return w;
}

/* Of a slot, from its first byte. */
template <typename F> uint16_t weight_in(const uint8_t *slot, int unit, int row, int column)
{
    const int in = column % HALF_COLUMNS * 2;
    uint16_t bits;
    memcpy(&bits,
           slot + column / HALF_COLUMNS * F::W_HALF + unit * HALF_UNIT + row * HALF_LINE +
               (in ^ row * 16),
           2);
    return bits;
}

template <typename F>
void must_be(const packed_linear &l, const written &out, const std::vector<uint16_t> &wanted)
{
    const shape &s = l.fused.w.s;
    for (int unit = 0; unit < s.units; unit++)
        for (int64_t i = 0; i < UNIT_ROWS * s.k; i++) {
            const int64_t column = i % s.k,
                          row = static_cast<int64_t>(l.dealt.unit[unit]) * UNIT_ROWS + i / s.k;
            if (row >= s.n)
                continue;
            const int64_t number =
                slot_number(s, unit / F::UNITS, static_cast<int>(column / IMAGE_COLUMNS));
            const uint16_t got =
                weight_in<F>(out.slots + number * HALVES * F::W_HALF, unit % F::UNITS,
                             static_cast<int>(i / s.k), static_cast<int>(column % IMAGE_COLUMNS));
            if (got != wanted[static_cast<size_t>(row * s.k + column)])
                fail_msg("row %lld, column %lld of %lld x %lld: %04x, not %04x",
                         static_cast<long long>(row), static_cast<long long>(column),
                         static_cast<long long>(s.n), static_cast<long long>(s.k), got,
                         wanted[static_cast<size_t>(row * s.k + column)]);
        }
}

template <typename F> void check(const packed_linear &l, const call &c, unsigned seed)
{
    const shape &s = l.fused.w.s;
    const size_t count = static_cast<size_t>((s.units + F::UNITS - 1) / F::UNITS * s.images);
    std::vector<uint8_t> slots(count * HALVES * F::W_HALF, 0xee);
    std::vector<int> times(count);
    run<F>(l, c, {slots.data(), times.data()}, seed);
    for (const int each : times)
        assert_int_equal(each, (c.tokens + F::TOKENS - 1) / F::TOKENS);
    must_be<F>(l, {slots.data(), times.data()}, weights_of(l, c.alpha));
}

/* ---- tests ------------------------------------------------------------------------------------
 */

constexpr float ALPHAS[] = {1, 1, 0.5f, -0.25f, 0};

/* Room for fewer entries than an image may have, for those of some, and for all. */
constexpr int ROOM[] = {4, 64, 400, 1024, 4096};

template <typename F> void random_linears(unsigned seed)
{
    constexpr int SLOTS_LEAST = F::SETS > 1 ? 2 * F::SETS - 1 : 2;
    ortho_random from = ortho_random_seeded(seed);
    for (int i = 0; i < 24; i++) {
        static constexpr int64_t GROUPS[] = {32, 64, 128, INT64_MAX};
        static constexpr double DENSITIES[] = {0, 0.01, 0.05, 0.4};
        recipe r = {draw(&from, 1, 150), draw(&from, 1, 900), pick_one(&from, GROUPS)};
        r.multiprocessors = draw(&from, 1, 20);
        r.density = DENSITIES[i % 4];
        packed_linear l = make_linear(r, &from);
        const index_of index(&l);
        const call c = {r.density > 0 ? pick_one(&from, ALPHAS) : 0, draw(&from, 1, 3 * F::TOKENS),
                        draw(&from, SLOTS_LEAST, SLOTS_LEAST + 1), pick_one(&from, ROOM),
                        draw(&from, 1, 3)};
        check<F>(l, c, seed + static_cast<unsigned>(i));
        free_linear(&l);
    }
}

void random_linears_are_right(void **)
{
    random_linears<three_sets>(1);
    random_linears<two_sets>(2);
    random_linears<two_splitters>(3);
    random_linears<one_set>(4);
    random_linears<two_units>(5);
}

/* More than 8192 columns: entries are found window by window. */
void two_windows_are_right(void **)
{
    ortho_random from = ortho_random_seeded(6);
    packed_linear l = make_linear({20, 8192 + 300, 128, 1, 0.02}, &from);
    const index_of index(&l);
    for (const int room : ROOM) {
        check<two_sets>(l, {1, 10, 3, room, 1}, 0);
        check<one_set>(l, {1, 10, 2, room, 1}, 7);
    }
    free_linear(&l);
}

/* All weights have one. */
void full_rows_are_right(void **)
{
    ortho_random from = ortho_random_seeded(8);
    packed_linear l = make_linear({70, 400, 64, 3, 1}, &from);
    const index_of index(&l);
    for (const int room : ROOM) {
        check<two_sets>(l, {1, 65, 3, room, 1}, 9);
        check<two_units>(l, {1, 65, 2, room, 1}, 10);
    }
    free_linear(&l);
}

/* In one image or in two, with room for all, and for all but one; lists have room for a multiple of
 * four. */
void the_last_entry_has_room_or_none(void **)
{
    ortho_random from = ortho_random_seeded(11);
    for (const int64_t columns : {101, 229}) {
        int whole = 0, one_short = 0;
        for (int rows = 40; rows < 60; rows++) {
            packed_linear l = make_linear({rows, columns, 128, 1, 1}, &from);
            const index_of index(&l);
            const int entries = l.split.row_ptr[rows];
            if (entries % 4 < 2)
                check<two_sets>(l, {1, 64, 3, entries / 4 * 4, 1}, 0);
            whole += entries % 4 == 0;
            one_short += entries % 4 == 1;
            free_linear(&l);
        }
        assert_true(whole > 0 && one_short > 0);
    }
}

} // namespace

int main(void)
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(random_linears_are_right), cmocka_unit_test(two_windows_are_right),
        cmocka_unit_test(full_rows_are_right), cmocka_unit_test(the_last_entry_has_room_or_none)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
