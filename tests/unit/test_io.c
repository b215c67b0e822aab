/* Both engines of I/O: what is written is what was meant, what fails says why, nothing is lost. */
#define _GNU_SOURCE /* pipe2, mkostemp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/io.h"
#include "lib/io_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILE_BYTES 300007u
#define MANY       3000

/* What byte i of a file is: no piece looks like its neighbour. */
static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)((i * 0x9e3779b97f4a7c15u) >> 56);
}

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A file without a name, of FILE_BYTES known bytes, or empty. */
static int make_file(size_t bytes)
{
    char path[] = "/tmp/test_io.XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(path);
    uint8_t *all = malloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        all[i] = byte_at(i);
    assert_int_equal(pwrite(fd, all, bytes, 0), (ssize_t)bytes);
    free(all);
    return fd;
}

static ortho_io *open_with(void **state, int depth, size_t piece)
{
    ortho_io_options o = {.engine = *(ortho_io_engine_kind *)*state,
                          .depth = depth,
                          .threads = depth,
                          .piece = piece};
    ortho_io *io = NULL;
    ortho_status status = ortho_io_open(&o, &io);
    if (status == ORTHO_E_UNSUPPORTED && o.engine == ORTHO_IO_URING) {
        print_message("skipped: %s\n", ortho_last_message());
        skip();
    }
    assert_int_equal(status, ORTHO_OK);
    return io;
}

static void submit(ortho_io *io, ortho_io_request *r)
{
    assert_int_equal(ortho_io_submit(io, &r, 1), ORTHO_OK);
}

/* Submits one, and it must be what comes out. */
static ortho_status move(ortho_io *io, ortho_io_request *r)
{
    submit(io, r);
    assert_ptr_equal(ortho_io_wait(io, 60000), r);
    assert_true(ortho_io_wait(io, 0) == NULL);
    return ortho_io_result(r);
}

static void says(const char *words)
{
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' doesn't say '%s'", ortho_last_message(), words);
}

static ortho_io_request reading(int fd, uint64_t offset, size_t bytes)
{
    return (ortho_io_request){.kind = ORTHO_IO_READ,
                              .fd = fd,
                              .offset = offset,
                              .bytes = bytes,
                              .data = calloc(1, bytes + 1),
                              .path = "a/file"};
}

static bool as_meant(const ortho_io_request *r)
{
    const uint8_t *data = r->data;
    for (size_t i = 0; i < r->bytes; i++)
        if (data[i] != byte_at(r->offset + i))
            return false;
    return data[r->bytes] == 0; /* not a byte too many */
}

/* Thousands of requests of any size, empty ones and multiples of a piece among them. */
static void random_reads(ortho_io *io)
{
    int fd = make_file(FILE_BYTES);
    ortho_io_request *all = calloc(MANY, sizeof *all), **list = calloc(MANY, sizeof *list);
    uint64_t seed = 7;
    for (size_t i = 0; i < MANY; i++) {
        uint64_t offset = next(&seed) % FILE_BYTES, most = FILE_BYTES - offset;
        size_t bytes = (size_t)(next(&seed) % 20000);
        if (i % 5 == 0)
            bytes = bytes / 4096 * 4096;
        all[i] = reading(fd, offset, i % 100 == 0 ? most : bytes < most ? bytes : most);
        list[i] = &all[i];
    }
    assert_int_equal(ortho_io_submit(io, list, MANY), ORTHO_OK);
    for (size_t i = 0; i < MANY; i++) {
        ortho_io_request *r = ortho_io_wait(io, 60000);
        assert_true(r != NULL && r->user == NULL);
        r->user = r; /* each comes once */
        assert_int_equal(ortho_io_result(r), ORTHO_OK);
        assert_int_equal(r->done, r->bytes);
        assert_int_equal(r->error, 0);
        assert_true(as_meant(r));
        free(r->data);
    }
    assert_true(ortho_io_wait(io, 1) == NULL);
    ortho_io_close(io);
    free(all);
    free(list);
    close(fd);
}

static void reads(void **state)
{
    random_reads(open_with(state, 8, 4096));
}

static void depth_one(void **state)
{
    random_reads(open_with(state, 1, 4096));
}

static void defaults(void **state)
{
    random_reads(open_with(state, 0, 0));
}

/* Written in chunks from the back, made durable, read back. */
static void writes(void **state)
{
    enum { CHUNK = 10007, CHUNKS = 40 };
    ortho_io *io = open_with(state, 4, 4096);
    int fd = make_file(0);
    ortho_io_request w[CHUNKS];
    uint8_t *all = malloc((size_t)CHUNK * CHUNKS + 1);
    for (size_t i = 0; i < (size_t)CHUNK * CHUNKS; i++)
        all[i] = byte_at(i);
    for (size_t i = CHUNKS; i-- > 0;) {
        w[i] = (ortho_io_request){.kind = ORTHO_IO_WRITE, .fd = fd, .path = "out", .bytes = CHUNK};
        w[i].offset = i * CHUNK;
        w[i].data = all + i * CHUNK;
        submit(io, &w[i]);
    }
    for (size_t i = 0; i < CHUNKS; i++)
        assert_int_equal(ortho_io_result(ortho_io_wait(io, 60000)), ORTHO_OK);
    ortho_io_request sync = {.kind = ORTHO_IO_SYNC, .fd = fd, .path = "out"};
    assert_int_equal(move(io, &sync), ORTHO_OK);
    assert_int_equal(lseek(fd, 0, SEEK_END), CHUNK * CHUNKS);
    ortho_io_request r = reading(fd, 0, (size_t)CHUNK * CHUNKS);
    assert_int_equal(move(io, &r), ORTHO_OK);
    assert_true(as_meant(&r));
    free(r.data);
    free(all);
    ortho_io_close(io);
    close(fd);
}

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

typedef struct crowd {
    ortho_io *io;
    int fd;
    atomic_int left, wrong;
} crowd;

/* Submits its own, and works on whatever comes out until all of everybody's came out. */
static void *one_of_crowd(void *user)
{
    enum { MINE = 200 };
    crowd *c = user;
    uint64_t seed = (uint64_t)(uintptr_t)&seed | 1;
    ortho_io_request *mine = calloc(MINE, sizeof *mine);
    for (int i = 0; i < MINE; i++) {
        mine[i] = reading(c->fd, next(&seed) % 200000, (size_t)(next(&seed) % 9000));
        ortho_io_request *r = &mine[i];
        if (ortho_io_submit(c->io, &r, 1) != ORTHO_OK)
            atomic_fetch_add(&c->wrong, 1);
    }
    while (atomic_load(&c->left) > 0) {
        ortho_io_request *r = ortho_io_wait(c->io, 2);
        if (r == NULL)
            continue;
        if (ortho_io_result(r) != ORTHO_OK || !as_meant(r))
            atomic_fetch_add(&c->wrong, 1);
        free(r->data);
        atomic_fetch_sub(&c->left, 1);
    }
    return mine; /* others may have come upon them: freed when all are back */
}

static void many_threads(void **state)
{
    crowd c = {.io = open_with(state, 4, 4096), .fd = make_file(FILE_BYTES), .left = 6 * 200};
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_crowd, &c), 0);
    void *requests[6];
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], &requests[i]);
    for (int i = 0; i < 6; i++)
        free(requests[i]);
    assert_int_equal(atomic_load(&c.wrong), 0);
    assert_int_equal(atomic_load(&c.left), 0);
    ortho_io_close(c.io);
    close(c.fd);
}

/* Every request is settled: whole, or cancelled. */
static void close_in_flight(void **state)
{
    int fd = make_file(FILE_BYTES), cancelled = 0;
    for (int round = 0; round < 20; round++) {
        ortho_io *io = open_with(state, 2, 4096);
        ortho_io_request r[50], *list[50];
        for (size_t i = 0; i < 50; i++) {
            r[i] = reading(fd, i * 100, FILE_BYTES - i * 100);
            list[i] = &r[i];
        }
        assert_int_equal(ortho_io_submit(io, list, 50), ORTHO_OK);
        for (int i = 0; i < round % 3; i++)
            assert_true(ortho_io_wait(io, 60000) != NULL);
        ortho_io_close(io);
        for (size_t i = 0; i < 50; i++) {
            if (r[i].status == ORTHO_OK)
                assert_true(as_meant(&r[i]) && r[i].done == r[i].bytes);
            else
                assert_int_equal(ortho_io_result(&r[i]), ORTHO_E_CANCELLED);
            cancelled += r[i].status != ORTHO_OK;
            free(r[i].data);
        }
    }
    assert_true(cancelled > 0); /* nobody waits for 15 MB to be told to stop */
    says("cancelled");
    close(fd);
}

/* A waiter sleeps till its time is over, and is woken before by what ends elsewhere. */
static void *late(void *user)
{
    crowd *c = user;
    usleep(20000);
    ortho_io_request *r = calloc(1, sizeof *r);
    *r = reading(c->fd, 5, 10);
    submit(c->io, r);
    return NULL;
}

static void timeouts(void **state)
{
    crowd c = {.io = open_with(state, 2, 0), .fd = make_file(FILE_BYTES)};
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_true(ortho_io_wait(c.io, 30) == NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double passed = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    assert_true(passed >= 0.03 && passed < 30);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, late, &c), 0);
    ortho_io_request *r = ortho_io_wait(c.io, -1);
    assert_true(r != NULL && as_meant(r));
    pthread_join(thread, NULL);
    free(r->data);
    free(r);
    ortho_io_close(c.io);
    close(c.fd);
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

#define EACH(test)                                                                                 \
    {#test ": io_uring", test, NULL, NULL, &uring},                                                \
    {                                                                                              \
#test ": threads", test, NULL, NULL, &threads                                              \
    }

int main(void)
{
    static ortho_io_engine_kind uring = ORTHO_IO_URING, threads = ORTHO_IO_THREADS;
    const struct CMUnitTest tests[] = {
        EACH(reads),
        EACH(depth_one),
        EACH(defaults),
        EACH(writes),
        EACH(short_file),
        EACH(no_space),
        EACH(too_large),
        EACH(bad_files),
        EACH(one_of_many),
        EACH(many_threads),
        EACH(close_in_flight),
        EACH(timeouts),
        EACH(bad_requests),
        cmocka_unit_test(steps),
        cmocka_unit_test(choice),
        cmocka_unit_test(fallback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
