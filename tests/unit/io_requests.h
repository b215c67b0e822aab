/* io_requests.h: files whose bytes are known, and requests for them. Included after cmocka.h. */
#ifndef ORTHO_TESTS_IO_REQUESTS_H
#define ORTHO_TESTS_IO_REQUESTS_H

#include "lib/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES 300007u
#define MANY       3000

/* A test, once for each engine: its state is the engine's kind. */
#define EACH(test)                                                                                 \
    {#test ": io_uring", test, NULL, NULL, &uring},                                                \
    {                                                                                              \
#test ": threads", test, NULL, NULL, &threads                                              \
    }

/* What byte i of a file is: no piece looks like its neighbour. */
static inline uint8_t byte_at(uint64_t i)
{
    return (uint8_t)((i * 0x9e3779b97f4a7c15u) >> 56);
}

static inline uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A file without a name, of FILE_BYTES known bytes, or empty. */
static inline int make_file(size_t bytes)
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

static inline ortho_io *open_with(void **state, int depth, size_t piece)
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

static inline void submit(ortho_io *io, ortho_io_request *r)
{
    assert_int_equal(ortho_io_submit(io, &r, 1), ORTHO_OK);
}

/* Submits one, and it must be what comes out. */
static inline ortho_status move(ortho_io *io, ortho_io_request *r)
{
    submit(io, r);
    assert_ptr_equal(ortho_io_wait(io, 60000), r);
    assert_true(ortho_io_wait(io, 0) == NULL);
    return ortho_io_result(r);
}

static inline void says(const char *words)
{
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' doesn't say '%s'", ortho_last_message(), words);
}

static inline ortho_io_request reading(int fd, uint64_t offset, size_t bytes)
{
    return (ortho_io_request){.kind = ORTHO_IO_READ,
                              .fd = fd,
                              .offset = offset,
                              .bytes = bytes,
                              .data = calloc(1, bytes + 1),
                              .path = "a/file"};
}

static inline bool as_meant(const ortho_io_request *r)
{
    const uint8_t *data = r->data;
    for (size_t i = 0; i < r->bytes; i++)
        if (data[i] != byte_at(r->offset + i))
            return false;
    return data[r->bytes] == 0; /* not a byte too many */
}

/* Thousands of requests of any size, empty ones and multiples of a piece among them. */
static inline void random_reads(ortho_io *io)
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

#endif
