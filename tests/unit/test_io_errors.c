/* Both engines of I/O: what fails says why and touches nothing else; which engine serves. */
#define _GNU_SOURCE /* mkostemp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/io_engine.h"
#include "tests/unit/io_requests.h"

#include <errno.h>
#include <sys/resource.h>

/* The file ends within a piece, before all, and exactly where it should. */
static void short_file(void **state)
{
    ortho_io *io = open_with(state, 4, 4096);
    int fd = make_file(FILE_BYTES);
    ortho_io_request r = reading(fd, FILE_BYTES - 9000, 20000);
    assert_int_equal(move(io, &r), ORTHO_E_FORMAT);
    says("a/file: the file became shorter while it was read");
    says("ends at byte 300007"); /* the first piece that failed, whichever ended first */
    says("20000 bytes at offset 291007");
    assert_true(r.done <= 9000 && r.error == 0);
    r.bytes = 9000;
    assert_int_equal(move(io, &r), ORTHO_OK); /* the same request once more */
    assert_int_equal(r.done, 9000);
    assert_true(as_meant(&r));
    r.offset = 2 * FILE_BYTES;
    assert_int_equal(move(io, &r), ORTHO_E_FORMAT);
    free(r.data);
    ortho_io_close(io);
    close(fd);
}

static void no_space(void **state)
{
    ortho_io *io = open_with(state, 4, 4096);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    static char zeros[100000];
    ortho_io_request w = {.kind = ORTHO_IO_WRITE, .fd = fd, .path = "out", .bytes = sizeof zeros};
    w.data = zeros;
    w.offset = 1000;
    assert_int_equal(move(io, &w), ORTHO_E_IO);
    assert_int_equal(w.error, ENOSPC);
    assert_int_equal(w.failed_at, 1000);
    assert_int_equal(w.done, 0);
    says("out: can't write at offset 1000: No space left on device; free space");
    says("--resume");
    ortho_io_close(io);
    close(fd);
}

/* Beyond the largest file: an error, without the signal that would end the program. */
static void too_large(void **state)
{
    ortho_io *io = open_with(state, 4, 4096);
    int fd = make_file(0);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = 10000, .rlim_max = before.rlim_max};
    char *zeros = calloc(1, 50000);
    ortho_io_request w = {.kind = ORTHO_IO_WRITE, .fd = fd, .path = "out", .bytes = 50000};
    w.data = zeros;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ortho_status status = move(io, &w);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, ORTHO_E_IO);
    assert_int_equal(w.error, EFBIG);
    assert_int_equal(w.failed_at, 10000); /* what still fitted was written before */
    says("ulimit -f");
    free(zeros);
    ortho_io_close(io);
    close(fd);
}

static void bad_files(void **state)
{
    ortho_io *io = open_with(state, 4, 4096);
    int fd = make_file(1);
    close(fd);
    ortho_io_request r = reading(fd, 0, 1);
    assert_int_equal(move(io, &r), ORTHO_E_IO);
    assert_int_equal(r.error, EBADF);
    says("a/file: can't read at offset 0: Bad file descriptor");
    r.kind = ORTHO_IO_SYNC;
    r.bytes = 0;
    assert_int_equal(move(io, &r), ORTHO_E_IO);
    says("a/file: can't make durable: Bad file descriptor");
    free(r.data);
    int folder = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = reading(folder, 0, 5);
    assert_int_equal(move(io, &r), ORTHO_E_IO);
    assert_int_equal(r.error, EISDIR);
    free(r.data);
    close(folder);
    ortho_io_close(io);
}

/* A failure doesn't touch the requests beside it. */
static void one_of_many(void **state)
{
    ortho_io *io = open_with(state, 3, 4096);
    int fd = make_file(FILE_BYTES);
    ortho_io_request r[30], *list[30];
    for (size_t i = 0; i < 30; i++) {
        r[i] = reading(i % 3 == 1 ? -1 : fd, i * 1000, 50000);
        list[i] = &r[i];
    }
    assert_int_equal(ortho_io_submit(io, list, 30), ORTHO_OK);
    for (size_t i = 0; i < 30; i++)
        assert_true(ortho_io_wait(io, 60000) != NULL);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(r[i].status, i % 3 == 1 ? ORTHO_E_IO : ORTHO_OK);
        assert_true(i % 3 == 1 || as_meant(&r[i]));
        free(r[i].data);
    }
    ortho_io_close(io);
    close(fd);
}

static void bad_requests(void **state)
{
    ortho_io *io = open_with(state, 2, 0);
    int fd = make_file(10);
    ortho_io_request good = reading(fd, 0, 10);
    const ortho_io_request bad[] = {
        {.kind = ORTHO_IO_READ, .bytes = 1, .data = good.data},
        {.kind = ORTHO_IO_READ, .bytes = 1, .path = "p"},
        {.kind = (ortho_io_kind)3, .bytes = 1, .data = good.data, .path = "p"},
        {.kind = ORTHO_IO_SYNC, .bytes = 1, .data = good.data, .path = "p"},
        {.kind = ORTHO_IO_READ, .bytes = 1, .data = good.data, .path = "p", .offset = INT64_MAX},
        {.kind = ORTHO_IO_READ, .bytes = 0, .data = good.data, .path = "p", .offset = UINT64_MAX},
        {.kind = ORTHO_IO_READ, .bytes = SIZE_MAX, .data = good.data, .path = "p", .offset = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ortho_io_request one = bad[i], *list[] = {&good, &one};
        assert_int_equal(ortho_io_submit(io, list, 2), ORTHO_E_ARGUMENT);
    }
    assert_int_equal(ortho_io_submit(io, (ortho_io_request *[]){NULL}, 1), ORTHO_E_ARGUMENT);
    assert_true(ortho_io_wait(io, 5) == NULL); /* not even the good ones were taken */
    ortho_io_request empty = {.kind = ORTHO_IO_READ, .fd = -1, .path = "p"};
    assert_int_equal(move(io, &empty), ORTHO_OK);
    free(good.data);
    ortho_io_close(io);
    close(fd);
}

/* What the kernel may say, one call after another. */
static void steps(void **state)
{
    (void)state;
    ortho_io_request r = {.kind = ORTHO_IO_READ};
    char data[10];
    ortho_io_piece p = {.request = &r, .data = data, .bytes = 10, .offset = 100};
    assert_true(ortho_io_continue(&p, -EINTR) && ortho_io_continue(&p, -EAGAIN));
    assert_true(ortho_io_continue(&p, 4));
    assert_true(p.data == data + 4 && p.bytes == 6 && p.offset == 104 && p.moved == 4);
    for (int i = 1; i < ORTHO_IO_TRIES; i++)
        assert_true(ortho_io_continue(&p, -EAGAIN));
    assert_false(ortho_io_continue(&p, -EAGAIN));
    assert_true(p.status == ORTHO_E_IO && p.error == EAGAIN);
    assert_false(ortho_io_continue(&p, -ENOMEM));
    assert_int_equal(p.status, ORTHO_E_MEMORY);
    assert_false(ortho_io_continue(&p, 0));
    assert_true(p.status == ORTHO_E_FORMAT && p.error == 0);
    assert_false(ortho_io_continue(&p, 6));
    assert_true(p.status == ORTHO_OK && p.moved == 10);
    r.kind = ORTHO_IO_WRITE;
    p = (ortho_io_piece){.request = &r, .data = data, .bytes = 10};
    assert_false(ortho_io_continue(&p, 0));
    assert_true(p.status == ORTHO_E_IO && p.error == EIO);
}

static void choice(void **state)
{
    (void)state;
    ortho_io *io = NULL;
    assert_int_equal(setenv("ORTHO_IO", "threads", 1), 0);
    assert_int_equal(ortho_io_open(NULL, &io), ORTHO_OK);
    assert_string_equal(ortho_io_engine_name(io), "threads");
    ortho_io_close(io);
    setenv("ORTHO_IO", "io_uring", 1);
    if (ortho_io_open(NULL, &io) == ORTHO_OK) {
        assert_string_equal(ortho_io_engine_name(io), "io_uring");
        ortho_io_close(io);
    } else {
        says("io_uring"); /* demanded, and refused */
    }
    assert_int_equal(ortho_io_open(&(ortho_io_options){.engine = ORTHO_IO_THREADS}, &io), ORTHO_OK);
    assert_string_equal(ortho_io_engine_name(io), "threads");
    ortho_io_close(io);
    io = NULL;
    setenv("ORTHO_IO", "fast", 1);
    assert_int_equal(ortho_io_open(NULL, &io), ORTHO_E_ARGUMENT);
    says("ORTHO_IO=fast");
    setenv("ORTHO_IO", "", 1);
    const ortho_io_options bad[] = {{.depth = -1},    {.depth = 4097},           {.threads = -1},
                                    {.threads = 257}, {.piece = (1u << 30) + 1}, {.engine = 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ortho_io_open(&bad[i], &io), ORTHO_E_ARGUMENT);
    assert_true(io == NULL);
    ortho_io_close(NULL);
    unsetenv("ORTHO_IO");
}

/* No ring to be had, here for want of descriptors: demanded it is an error, else threads serve. */
static void fallback(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    ortho_io *io = NULL, *demanded = NULL;
    setrlimit(RLIMIT_NOFILE, &none);
    ortho_status status = ortho_io_open(NULL, &io),
                 refused = ortho_io_open(&(ortho_io_options){.engine = ORTHO_IO_URING}, &demanded);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(status, ORTHO_OK);
    assert_string_equal(ortho_io_engine_name(io), "threads");
    assert_int_equal(refused, ORTHO_E_UNSUPPORTED);
    assert_true(demanded == NULL);
    random_reads(io);
}

int main(void)
{
    static ortho_io_engine_kind uring = ORTHO_IO_URING, threads = ORTHO_IO_THREADS;
    const struct CMUnitTest tests[] = {
        EACH(short_file),        EACH(no_space),           EACH(too_large),
        EACH(bad_files),         EACH(one_of_many),        EACH(bad_requests),
        cmocka_unit_test(steps), cmocka_unit_test(choice), cmocka_unit_test(fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
