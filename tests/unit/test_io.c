/* Both engines of I/O: what is written is what was meant, and no request is lost. */
#define _GNU_SOURCE /* mkostemp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/io_requests.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

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

int main(void)
{
    static ortho_io_engine_kind uring = ORTHO_IO_URING, threads = ORTHO_IO_THREADS;
    const struct CMUnitTest tests[] = {
        EACH(reads),        EACH(depth_one),       EACH(defaults), EACH(writes),
        EACH(many_threads), EACH(close_in_flight), EACH(timeouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
