/*
 * How `fused` on the CPU lays weights out, and that whole numbers come out of it exactly, whatever
 * the shape, the entries, the level and the threads.
 */
#include "kernels/cpu.h"
#include "tests/unit/fused_cpu.h"
#include "variants/fused/levels.h"
#include "variants/reference/oracle.h"

/* ---- layout --------------------------------------------------------------------------------- */

/* 1 .. most */
static int64_t random_size(uint64_t *seed, int64_t most)
{
    return 1 + (int64_t)(random_next(seed) % (uint64_t)most);
}

/* Scales, then the chunks of two segments, without a gap but behind the scales of a last one; rows
 * that aren't there have scale 0. */
static void check_block(const ortho_fused_packed *p, const ortho_split *s, int64_t block)
{
    int64_t at = 0;
    for (int64_t i = 0; i < p->segments; i++) {
        const ortho_fused_segment *segment = p->segment + i;
        const uint16_t *scales = ortho_fused_scales(p, block, segment);
        if (i % 2 == 0)
            at += ORTHO_FUSED_CHUNK;
        assert_int_equal((const uint8_t *)scales - p->base,
                         block * p->stride + p->segment[i - i % 2].chunks_at - 64 + i % 2 * 32);
        assert_int_equal(segment->chunks_at, at);
        assert_int_equal((uintptr_t)ortho_fused_chunks(p, block, segment) % 64, 0);
        for (int64_t r = block * 16; r < block * 16 + 16; r++)
            assert_int_equal(scales[r % 16],
                             r < s->n ? s->scale[r * p->groups + segment->group] : 0);
        at += segment->chunks * ORTHO_FUSED_CHUNK;
    }
    assert_int_equal(p->stride, at);
}

static void a_block_is_one_stream_of_lines(void **unused)
{
    (void)unused;
    ortho_services services = ortho_services_default();
    uint64_t seed = 11;
    for (int i = 0; i < 60; i++) {
        int64_t k = random_size(&seed, 1500), group = i % 3 == 0 ? k : random_size(&seed, k);
        ortho_split s = split_make(random_size(&seed, 60), k, group, 0, seed);
        ortho_fused_packed p;
        assert_int_equal(ortho_fused_pack(&p, &s, &services), ORTHO_OK);
        for (int64_t block = 0; block < p.blocks; block++)
            check_block(&p, &s, block);
        assert_int_equal(ortho_fused_base_bytes(&p), p.blocks * p.stride);
        assert_int_equal(ortho_fused_bytes_before(&p, p.blocks), p.blocks * p.stride);
        ortho_fused_packed_free(&p, &services);
        split_free(&s);
    }
}

/* ---- panels --------------------------------------------------------------------------------- */

static const ortho_fused_panels *panels_of(int level)
{
#if defined(__x86_64__)
    if (level == 1 && ortho_cpu_detect() >= ORTHO_CPU_AVX2)
        return &ortho_fused_panels_avx2;
    if (level == 2 && ortho_cpu_detect() >= ORTHO_CPU_AVX512)
        return &ortho_fused_panels_avx512;
#endif
    return level == 0 ? &ortho_fused_panels_portable : NULL;
}

/* All segments of block 0 as one slab: q times its scale without a rounding. */
static void check_panel(const ortho_fused_packed *p, const ortho_split *s, int level)
{
    float *panel = make(ORTHO_FUSED_PANEL_FLOATS * sizeof *panel);
    panels_of(level)->unpack(
        p, &(ortho_fused_slab){.to = p->segments, .columns = s->k, .panel = panel});
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t c = 0; c < s->k; c++) {
            int nibble = s->q[r * ((s->k + 1) / 2) + c / 2] >> (4 * (c % 2)) & 15;
            double q = nibble < 8 ? nibble : nibble - 16;
            double scale = (double)ortho_fp16_to_float(s->scale[r * p->groups + c / s->group]);
            if ((double)panel[c * ORTHO_FUSED_ROWS + r] != q * scale)
                fail_msg("%s: row %d, column %d is %a, not %g times %a", levels[level], (int)r,
                         (int)c, (double)panel[c * ORTHO_FUSED_ROWS + r], q, scale);
        }
    free(panel);
}

/* Scales of every size and either sign, subnormal ones too. */
static void a_panel_holds_weights_exactly(void **unused)
{
    (void)unused;
    ortho_services services = ortho_services_default();
    uint64_t seed = 13;
    for (int i = 0; i < 60; i++) {
        int64_t k = random_size(&seed, ORTHO_FUSED_PANEL);
        ortho_split s = split_make(random_size(&seed, 16), k, random_size(&seed, k), 0, seed);
        ortho_fused_packed p;
        for (int64_t g = 0; g < s.n * ((k + s.group - 1) / s.group); g++) {
            uint64_t bits = random_next(&seed);
            s.scale[g] = (uint16_t)(bits % 0x7c00 | (bits >> 32 & 0x8000));
        }
        assert_int_equal(ortho_fused_pack(&p, &s, &services), ORTHO_OK);
        for (int level = 0; level < 3; level++)
            if (panels_of(level) != NULL)
                check_panel(&p, &s, level);
        ortho_fused_packed_free(&p, &services);
        split_free(&s);
    }
}

/* ---- products ------------------------------------------------------------------------------- */

/* With whole numbers and one scale every sum is a whole number below 2^24: no rounding is excused.
 */
static void check_whole_numbers(const ortho_split *s, int64_t m, int threads)
{
    input in = input_make(m, s->k, ORTHO_F32, 2);
    in.threads = threads;
    for (int64_t g = 0; g < s->n * ((s->k + s->group - 1) / s->group); g++)
        s->scale[g] = 0x3c00; /* 1 */
    for (int64_t i = 0; i < s->nnz; i++)
        s->val[i] = ortho_float_to_fp16(roundf(ortho_fp16_to_float(s->val[i]) * 20));
    for (int64_t c = 0; c < m * s->k; c++)
        ((float *)in.x)[c] = roundf(((float *)in.x)[c] * 200);
    double *exact = make((size_t)(m * s->n) * sizeof *exact);
    const ortho_oracle_job job = {
        .split = s, .x = in.x, .dtype = ORTHO_F32, .m = m, .alpha = 1, .threads = 1, .y = exact};
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    for (int l = 0; l < 3; l++) {
        setenv("ORTHO_CPU", levels[l], 1);
        float *y = run_once(s, &in);
        for (int64_t o = 0; o < m * s->n; o++)
            if ((double)y[o] != exact[o])
                fail_msg("%s, %d x %d, group %d, %d tokens, %d threads: y[%d] is %g, not %g",
                         levels[l], (int)s->n, (int)s->k, (int)s->group, (int)m, threads, (int)o,
                         (double)y[o], exact[o]);
        free(y);
    }
    unsetenv("ORTHO_CPU");
    free(exact);
    free(in.x);
}

static void small_integers_come_out_exactly(void **unused)
{
    (void)unused;
    const int64_t tokens[] = {1, 2, 3, 4, 5, 17};
    for (int i = 0; i < 6; i++) {
        ortho_split s = split_make(90, 300, 128, 0, 1);
        check_whole_numbers(&s, tokens[i], 1);
        split_free(&s);
    }
}

/* Enough rows that threads read several streams, and entries few and many. */
static void they_do_with_any_shape_and_entries(void **unused)
{
    (void)unused;
    uint64_t seed = 12;
    for (int i = 0; i < 40; i++) {
        int64_t k = random_size(&seed, 700), group = i % 4 == 0 ? k : random_size(&seed, 200);
        double per_row = (double)random_size(&seed, 60) - 1;
        ortho_split s = split_make(random_size(&seed, 400), k, group, per_row, seed);
        check_whole_numbers(&s, i % 2 == 0 ? 1 : random_size(&seed, 18),
                            (int)random_size(&seed, 3));
        split_free(&s);
    }
}

/* Tiles of every size, several batches, odd numbers of blocks; slabs of one segment and of many,
 * that begin where no entry does; columns beyond 65536. */
static void they_do_with_many_tokens(void **unused)
{
    (void)unused;
    const int64_t groups[] = {32, 64, 128, 5, 100, 600};
    for (int64_t m = 5; m < 26; m++) {
        ortho_split s = split_make(16 * (m % 5) + m, 600, groups[m % 6], m % 3 * 20, (uint64_t)m);
        check_whole_numbers(&s, m, 1 + (int)(m % 3));
        split_free(&s);
    }
    for (int i = 0; i < 3; i++) {
        ortho_split s = split_make(70, 300, 128, 10, 3);
        check_whole_numbers(&s, 192 * (i + 1) + i % 2, 2);
        split_free(&s);
    }
    ortho_split wide = split_make(5, 66000, 128, 50, 4);
    check_whole_numbers(&wide, 9, 2);
    split_free(&wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_one_stream_of_lines),
        cmocka_unit_test(a_panel_holds_weights_exactly),
        cmocka_unit_test(small_integers_come_out_exactly),
        cmocka_unit_test(they_do_with_any_shape_and_entries),
        cmocka_unit_test(they_do_with_many_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
