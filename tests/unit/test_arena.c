/* The buffer that layers share: pieces are aligned, never overlap, fill every gap that is large
 * enough; and the choice of reads past the page cache. */
#define _GNU_SOURCE /* O_DIRECT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/random.h"
#include "lib/arena.h"
#include "lib/direct.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 40 };

static ortho_arena made(void)
{
    return (ortho_arena){.base = aligned_alloc(PAGE, PAGES * PAGE), .bytes = PAGES * PAGE};
}

static void gaps_are_filled(void **state)
{
    (void)state;
    ortho_arena a = made();
    char *first = ortho_arena_take(&a, 10 * PAGE), *second = ortho_arena_take(&a, 10 * PAGE - 1),
         *third = ortho_arena_take(&a, 20 * PAGE);
    assert_true(first == a.base && second == a.base + 10 * PAGE && third == a.base + 20 * PAGE);
    assert_null(ortho_arena_take(&a, 1)); /* full to the last page */
    ortho_arena_give(&a, second);
    assert_null(ortho_arena_take(&a, 10 * PAGE + 1));
    char *in_gap = ortho_arena_take(&a, 4 * PAGE);
    assert_true(in_gap == second);
    ortho_arena_give(&a, first);
    assert_true(ortho_arena_take(&a, 10 * PAGE) == first);
    assert_true(ortho_arena_take(&a, 6 * PAGE) == second + 4 * PAGE);
    ortho_arena_give(&a, NULL);
    assert_null(ortho_arena_take(&a, (size_t)PAGES * PAGE + 1));
    free(a.base);
}

/* Many takes and gives, each piece filled with a byte of its own that must stay. */
static void pieces_are_apart(void **state)
{
    (void)state;
    ortho_arena a = made();
    struct {
        unsigned char *at;
        size_t bytes;
    } out[8] = {{0}};
    int taken = 0, refused = 0;
    ortho_random draw = ortho_random_seeded(7);
    for (int round = 0; round < 4000; round++) {
        uint64_t bits = ortho_random_next(&draw);
        int i = (int)(bits % 8);
        if (out[i].at != NULL) {
            for (size_t b = 0; b < out[i].bytes; b += 97)
                assert_int_equal(out[i].at[b], i + 1);
            ortho_arena_give(&a, out[i].at);
            out[i].at = NULL;
            continue;
        }
        out[i].bytes = 1 + (size_t)(bits >> 8) % (12 * PAGE);
        out[i].at = ortho_arena_take(&a, out[i].bytes);
        if (out[i].at == NULL) {
            refused++;
            continue;
        }
        taken++;
        assert_int_equal((uintptr_t)out[i].at % PAGE, 0);
        assert_true((char *)out[i].at + out[i].bytes <= a.base + a.bytes);
        memset(out[i].at, i + 1, out[i].bytes);
    }
    assert_true(taken > 1000 && refused > 50);
    free(a.base);
}

static void no_more_than_its_list(void **state)
{
    (void)state;
    ortho_arena a = {.bytes = (ORTHO_ARENA_PIECES + 8) * (size_t)PAGE};
    a.base = aligned_alloc(PAGE, a.bytes);
    char *last = NULL;
    for (int i = 0; i < ORTHO_ARENA_PIECES; i++)
        assert_non_null(last = ortho_arena_take(&a, 1));
    assert_null(ortho_arena_take(&a, 1));
    ortho_arena_give(&a, last);
    assert_true(ortho_arena_take(&a, 1) == last);
    free(a.base);
}

/* As the library must find it, by the test's own hand: `page` is aligned. */
static bool can_be_direct(const char *path, char *page)
{
    int fd = open(path, O_RDONLY | O_DIRECT);
    bool able = fd >= 0 && read(fd, page, PAGE) == PAGE;
    if (fd >= 0)
        close(fd);
    return able;
}

/* False as well where the kernel doesn't tell. */
static bool is_out_of_cache(int fd)
{
    uint64_t all[2] = {0}, state[5] = {0};
    return syscall(451, fd, all, state, 0) == 0 && state[0] == 0; /* cachestat */
}

/* A file that was just written is in the cache; one that was told to leave it isn't, where the file
 * system does as it is told and the kernel tells. */
static void direct_where_it_pays(void **state)
{
    (void)state;
    char path[] = "/tmp/ortho-direct-XXXXXX", *page = aligned_alloc(PAGE, PAGE);
    int fd = mkstemp(path), direct;
    assert_true(fd >= 0);
    memset(page, 7, PAGE);
    for (int i = 0; i < PAGES; i++)
        assert_int_equal(write(fd, page, PAGE), PAGE);
    unsetenv("ORTHO_DIRECT");
    assert_int_equal(ortho_direct_open(fd, PAGES * PAGE), -1);
    setenv("ORTHO_DIRECT", "always", 1);
    direct = ortho_direct_open(fd, PAGES * PAGE);
    bool able = can_be_direct(path, page);
    assert_int_equal(direct >= 0, able);
    if (able) {
        assert_true((fcntl(direct, F_GETFL) & O_DIRECT) != 0);
        close(direct);
    }
    unsetenv("ORTHO_DIRECT");
    assert_int_equal(fsync(fd), 0);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    direct = ortho_direct_open(fd, PAGES * PAGE);
    if (direct >= 0)
        close(direct);
    printf("direct reads are %s here, and taken for a file out of the cache: %s\n",
           able ? "possible" : "not possible", direct >= 0 ? "yes" : "no");
    if (!able || is_out_of_cache(fd))
        assert_int_equal(direct >= 0, able);
    setenv("ORTHO_DIRECT", "never", 1);
    assert_int_equal(ortho_direct_open(fd, PAGES * PAGE), -1);
    unsetenv("ORTHO_DIRECT");
    close(fd);
    unlink(path);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_filled),
        cmocka_unit_test(pieces_are_apart),
        cmocka_unit_test(no_more_than_its_list),
        cmocka_unit_test(direct_where_it_pays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
