/* Moves past the page cache: where a request is cut, which descriptor serves which piece, what
 * happens when the file system refuses; and whether such a file is to be had. */
#define _GNU_SOURCE /* O_DIRECT, mkostemp, memfd_create */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/direct.h"
#include "lib/io_engine.h"
#include "tests/unit/io_requests.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { UNIT = ORTHO_DIRECT_UNIT, CACHED = 100, PAST = 200, PIECE = 3 * UNIT };

/* ---- where a request is cut ------------------------------------------------------------------ */

typedef struct tally {
    size_t bytes, past; /* of all pieces; of those that go past the cache */
    int pieces;
} tally;

/* Takes every piece of one request. They must follow each other without a gap, and those past the
 * cache be of whole units; a unit that is moved one way isn't moved the other. */
static tally take_all(ortho_io_request *r)
{
    ortho_io io = {.piece = PIECE, .waiting = {.first = r, .last = r}};
    ortho_io_piece p;
    tally t = {0};
    uint64_t cached_unit = UINT64_MAX;
    while (ortho_io_take(&io, &p)) {
        bool past = ortho_io_fd(&p) == PAST;
        assert_true(past || ortho_io_fd(&p) == CACHED);
        assert_int_equal(p.offset, r->offset + t.bytes);
        assert_ptr_equal(p.data, (char *)r->data + t.bytes);
        assert_true(p.bytes > 0 && p.bytes <= PIECE);
        if (past) {
            assert_true(p.offset % UNIT == 0 && p.bytes % UNIT == 0);
            assert_int_equal((uintptr_t)p.data % UNIT, 0);
            assert_true(p.offset / UNIT != cached_unit);
            t.past += p.bytes;
        } else {
            cached_unit = (p.offset + p.bytes - 1) / UNIT;
        }
        t.bytes += p.bytes;
        t.pieces++;
    }
    assert_int_equal(t.bytes, r->bytes);
    return t;
}

static void cuts(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset;
        size_t bytes, past;
        int pieces;
    } cases[] = {
        {0, 1, 0, 1},
        {0, UNIT - 1, 0, 1},
        {0, UNIT, UNIT, 1},
        {0, UNIT + 1, UNIT, 2},
        {1, UNIT - 1, 0, 1}, /* to where the next unit begins */
        {1, UNIT, 0, 2},
        {1, 2 * UNIT - 1, UNIT, 2},
        {1, 2 * UNIT, UNIT, 3},
        {UNIT - 1, 1, 0, 1},
        {UNIT - 1, UNIT, 0, 2},
        {UNIT - 1, UNIT + 1, UNIT, 2},
        {UNIT - 1, UNIT + 2, UNIT, 3},
        {UNIT, UNIT - 1, 0, 1},
        {UNIT, 2 * UNIT, 2 * UNIT, 1},
        {UNIT + 64, 10 * UNIT, 9 * UNIT, 5}, /* head, three pieces of three units, tail */
        {UNIT, PIECE + UNIT + 5, PIECE + UNIT, 3},
    };
    char *memory = aligned_alloc(UNIT, 16 * UNIT);
    const int past = PAST, none = -1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ortho_io_request r = {.kind = ORTHO_IO_WRITE,
                              .fd = CACHED,
                              .direct = &past,
                              .offset = cases[i].offset,
                              .data = memory + cases[i].offset % UNIT,
                              .bytes = cases[i].bytes,
                              .path = "p"};
        tally t = take_all(&r);
        assert_int_equal(t.past, cases[i].past);
        assert_int_equal(t.pieces, cases[i].pieces);
        for (int how = 0; how < 3; how++) { /* memory that lies otherwise; no such descriptor */
            r.issued = 0;
            r.data = memory + cases[i].offset % UNIT + (how == 0);
            r.direct = how == 0 ? &past : how == 1 ? &none : NULL;
            t = take_all(&r);
            assert_int_equal(t.past, 0);
            assert_int_equal(t.pieces, (cases[i].bytes + PIECE - 1) / PIECE);
        }
    }
    free(memory);
}

/* What the kernel may say of a piece that goes past the cache. */
static void steps(void **state)
{
    (void)state;
    char *memory = aligned_alloc(UNIT, 2 * UNIT);
    const int past = PAST;
    ortho_io_request r = {.kind = ORTHO_IO_WRITE, .fd = CACHED, .direct = &past};
    ortho_io_piece whole = {.request = &r, .data = memory, .bytes = 2 * UNIT}, p = whole;
    assert_int_equal(ortho_io_fd(&p), PAST);
    assert_true(ortho_io_continue(&p, UNIT));
    assert_int_equal(ortho_io_fd(&p), PAST);
    assert_true(ortho_io_continue(&p, 50)); /* the rest isn't whole any more */
    assert_int_equal(ortho_io_fd(&p), CACHED);
    assert_false(ortho_io_continue(&p, -EINVAL)); /* of the cache it is an error */
    assert_true(p.status == ORTHO_E_IO && p.error == EINVAL);
    p = whole;
    assert_true(ortho_io_continue(&p, -EINVAL)); /* past it, a reason to go through it */
    assert_int_equal(ortho_io_fd(&p), CACHED);
    assert_true(p.bytes == 2 * UNIT && p.moved == 0);
    assert_true(ortho_io_continue(&p, UNIT));
    assert_int_equal(ortho_io_fd(&p), CACHED); /* for all of this piece */
    p = whole;
    assert_false(ortho_io_continue(&p, -EIO));
    assert_true(p.status == ORTHO_E_IO && p.error == EIO);
    free(memory);
}

/* ---- both engines ---------------------------------------------------------------------------- */

/* A file of known bytes from many writes that each begin anywhere, neighbours at the same time, the
 * last ones first; then read in the same pieces. */
static void write_and_read(void **state, int fd, const int *direct)
{
    enum { COUNT = 60, ROOM = 3 * PIECE };
    ortho_io *io = open_with(state, 8, PIECE);
    ortho_io_request r[COUNT];
    char *memory = aligned_alloc(UNIT, (size_t)COUNT * ROOM);
    uint64_t seed = 11, at = 4000;
    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = (size_t)(next(&seed) % (i % 3 == 0 ? 2 * UNIT : 2 * PIECE)) + 1;
        char *data = memory + i * ROOM + at % UNIT;
        r[i] = (ortho_io_request){.kind = ORTHO_IO_WRITE, .fd = fd, .direct = direct, .path = "p"};
        r[i].offset = at;
        r[i].data = data;
        r[i].bytes = bytes;
        for (size_t b = 0; b < bytes; b++)
            data[b] = (char)byte_at(at + b);
        at += bytes;
    }
    assert_int_equal(posix_fallocate(fd, 0, (off_t)at), 0);
    for (int reads = 0; reads < 2; reads++) {
        for (size_t i = COUNT; i-- > 0;)
            submit(io, &r[i]);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(ortho_io_result(ortho_io_wait(io, 60000)), ORTHO_OK);
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(r[i].done, r[i].bytes);
            for (size_t b = 0; b < r[i].bytes && reads > 0; b++)
                assert_int_equal(((uint8_t *)r[i].data)[b], byte_at(r[i].offset + b));
            memset(r[i].data, 0, r[i].bytes);
            r[i].kind = ORTHO_IO_READ;
        }
    }
    assert_int_equal(lseek(fd, 0, SEEK_END), at);
    free(memory);
    ortho_io_close(io);
}

static void anywhere(void **state)
{
    int fd = make_file(0), direct = ortho_direct_open_output(fd);
    printf("writes past the page cache are %s here\n", direct >= 0 ? "possible" : "not possible");
    write_and_read(state, fd, &direct);
    if (direct >= 0)
        close(direct);
    close(fd);
}

/* A descriptor to which nothing can be written: huge pages are only mapped. */
static void refused(void **state)
{
    int fd = make_file(0), direct = memfd_create("refuses", MFD_CLOEXEC | MFD_HUGETLB);
    if (direct < 0) {
        close(fd);
        print_message("skipped: no huge pages here\n");
        skip();
    }
    char *unit = aligned_alloc(UNIT, UNIT);
    assert_true(pwrite(direct, unit, UNIT, 0) < 0 && errno == EINVAL);
    free(unit);
    ortho_io *io = open_with(state, 2, PIECE);
    char *memory = aligned_alloc(UNIT, 3 * PIECE), *back = calloc(1, 3 * PIECE);
    for (size_t i = 0; i < 3 * PIECE; i++)
        memory[i] = (char)byte_at(i);
    ortho_io_request w = {.kind = ORTHO_IO_WRITE,
                          .fd = fd,
                          .direct = &direct,
                          .offset = 5,
                          .data = memory + 5,
                          .bytes = 3 * PIECE - 10,
                          .path = "p"};
    assert_int_equal(move(io, &w), ORTHO_OK);
    assert_int_equal(pread(fd, back, 3 * PIECE, 0), 3 * PIECE - 5);
    assert_memory_equal(back + 5, memory + 5, 3 * PIECE - 10);
    ortho_io_close(io);
    free(memory);
    free(back);
    close(direct);
    close(fd);
}

/* ---- the choice ------------------------------------------------------------------------------ */

/* As the library must find it, by the test's own hand. */
static bool can_be_direct(int fd)
{
    char path[64], *unit = aligned_alloc(UNIT, UNIT);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    bool able =
        direct >= 0 && sysconf(_SC_PAGESIZE) <= UNIT && pread(direct, unit, UNIT, 0) == UNIT;
    if (direct >= 0)
        close(direct);
    free(unit);
    return able;
}

/* The linker puts this in fstat's place: a file system says what it keeps its files in. */
int __real_fstat(int fd, struct stat *out);
int __wrap_fstat(int fd, struct stat *out);

static blksize_t *told(void)
{
    static blksize_t bytes;
    return &bytes;
}

int __wrap_fstat(int fd, struct stat *out)
{
    int rc = __real_fstat(fd, out);
    if (rc == 0 && *told() > 0)
        out->st_blksize = *told();
    return rc;
}

static void choice(void **state)
{
    (void)state;
    int fd = make_file(2 * UNIT);
    unsetenv("ORTHO_DIRECT");
    int direct = ortho_direct_open_output(fd); /* in the cache, and all the same */
    assert_int_equal(direct >= 0, can_be_direct(fd));
    if (direct >= 0) {
        assert_int_equal(fcntl(direct, F_GETFL) & (O_DIRECT | O_ACCMODE), O_DIRECT | O_RDWR);
        close(direct);
    }
    *told() = UNIT + UNIT; /* one of its pages would be written both ways */
    assert_int_equal(ortho_direct_open_output(fd), -1);
    *told() = 0;
    setenv("ORTHO_DIRECT", "never", 1);
    assert_int_equal(ortho_direct_open_output(fd), -1);
    unsetenv("ORTHO_DIRECT");
    close(fd);
    assert_int_equal(ortho_direct_open_output(fd), -1); /* closed */
}

int main(void)
{
    static ortho_io_engine_kind uring = ORTHO_IO_URING, threads = ORTHO_IO_THREADS;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts), cmocka_unit_test(steps),  EACH(anywhere),
        EACH(refused),          cmocka_unit_test(choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
