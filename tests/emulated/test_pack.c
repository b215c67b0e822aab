/*
 * The weights of a CUDA layer over CSR, packed and unpacked by the very kernels that a GPU runs:
 * what comes back is what went in, bit for bit, and what is held is little more than that.
 */
#include "common/account.h"
#include "common/error.h"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

typedef struct shape {
    int64_t n, k, group;
    double density;
} shape;

static size_t held; /* bytes of purpose WEIGHTS that were ever allocated */

static void *alloc(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    (void)ctx, (void)space;
    void *p = NULL;
    if (posix_memalign(&p, 256, bytes > 0 ? bytes : 1) != 0)
        return NULL;
    held += purpose == ORTHO_WEIGHTS ? bytes : 0;
    return memset(p, 0xa5, bytes); /* nothing may count on zeros */
}

static void release(void *ctx, void *p)
{
    (void)ctx;
    free(p);
}

static uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void put_column(ortho_split *s, int64_t i, int64_t col)
{
    if (s->k > 65536)
        ((uint32_t *)s->col)[i] = (uint32_t)col;
    else
        ((uint16_t *)s->col)[i] = (uint16_t)col;
}

/* Entries at every 1/density'th position, so that rows differ. */
static ortho_split make_split(const shape *sh, const ortho_services *services)
{
    ortho_split s;
    uint64_t state = 11;
    int64_t nnz = (int64_t)(sh->density * (double)(sh->n * sh->k)), at = 0;
    assert_int_equal(ortho_split_alloc(sh->n, sh->k, sh->group, nnz, services, ORTHO_WORKING, &s),
                     ORTHO_OK);
    memset(s.q, 0, (size_t)(s.n * ((s.k + 1) / 2)));
    for (int64_t r = 0; r < s.n; r++)
        for (int64_t c = 0; c < s.k; c++)
            s.q[r * ((s.k + 1) / 2) + c / 2] |= (uint8_t)((draw(&state) & 15) << (4 * (c % 2)));
    for (int64_t i = 0; i < s.n * ((s.k + s.group - 1) / s.group); i++)
        s.scale[i] = (uint16_t)(draw(&state) % 0x7c00);
    for (int64_t i = 0; i < nnz; i++) {
        int64_t cell = (int64_t)((double)i / sh->density);
        for (; at <= cell / s.k; at++)
            s.row_ptr[at] = (int32_t)i;
        put_column(&s, i, cell % s.k);
        s.val[i] = (uint16_t)draw(&state);
    }
    for (; at <= s.n; at++)
        s.row_ptr[at] = (int32_t)nnz;
    return s;
}

static void check_shape(const shape *sh)
{
    ortho_services services = {.alloc = alloc, .free = release, .fail = ortho_fail, .threads = 1};
    ortho_split in = make_split(sh, &services), out;
    const ortho_gemm_problem problem = {.n = in.n,
                                        .k = in.k,
                                        .m = 1,
                                        .nnz = in.nnz,
                                        .group = in.group,
                                        .dtype = ORTHO_F16,
                                        .split = &in};
    ortho_cuda_csr state;
    size_t groups = (size_t)((in.k + in.group - 1) / in.group);
    held = 0;
    assert_int_equal(ortho_cuda_csr_prepare(&state, &problem, &services), ORTHO_OK);
    if (in.n % 8 == 0 && in.k % 128 == 0 && in.n * in.k > 1000000) { /* a real layer */
        size_t artifact = ortho_split_base_bytes(&in) + ortho_split_ortho_bytes(&in);
        if ((double)held > 1.05 * (double)artifact)
            fail_msg("%d x %d: %zu bytes held, %zu in an artifact", (int)in.n, (int)in.k, held,
                     artifact);
    }
    assert_int_equal(
        ortho_split_alloc(in.n, in.k, in.group, in.nnz, &services, ORTHO_WORKING, &out), ORTHO_OK);
    assert_int_equal(ortho_cuda_csr_export(&state, &out, &services), ORTHO_OK);
    assert_memory_equal(in.q, out.q, (size_t)in.n * (size_t)((in.k + 1) / 2));
    assert_memory_equal(in.scale, out.scale, (size_t)in.n * groups * 2);
    assert_memory_equal(in.row_ptr, out.row_ptr, (size_t)(in.n + 1) * 4);
    if (in.nnz > 0) {
        assert_memory_equal(in.col, out.col, (size_t)in.nnz * ortho_split_col_bytes(in.k));
        assert_memory_equal(in.val, out.val, (size_t)in.nnz * 2);
    }
    ortho_cuda_csr_release(&state, &services);
    ortho_split_free(&out, &services);
    ortho_split_free(&in, &services);
}

static void odd_shapes_come_back(void **unused)
{
    (void)unused;
    const shape shapes[] = {
        {1, 1, 1, 0},           {1, 1, 1, 1},          {3, 7, 7, 0.3},        {9, 33, 32, 0.1},
        {17, 129, 64, 0.05},    {8, 128, 32, 1},       {5, 200, 128, 0.01},   {6, 640, 256, 0.1},
        {33, 1025, 1025, 0.05}, {2, 65537, 128, 0.01}, {3, 70001, 32, 0.001}, {7, 391, 32, 0},
    };
    for (size_t i = 0; i < COUNT(shapes); i++)
        check_shape(&shapes[i]);
}

/* Llama-3.2-3B's, with fewer rows where that changes nothing but the time: everything is a row's.
 */
static void real_layers_are_held_once(void **unused)
{
    (void)unused;
    const shape shapes[] = {{1024, 3072, 128, 0.01}, {1024, 3072, 128, 0.05},
                            {1024, 3072, 32, 0.01},  {512, 8192, 64, 0.01},
                            {512, 8192, 8192, 0.01}, {1024, 3072, 3072, 0}};
    for (size_t i = 0; i < COUNT(shapes); i++)
        check_shape(&shapes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_shapes_come_back),
        cmocka_unit_test(real_layers_are_held_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
