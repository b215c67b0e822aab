/* test_reader_files.h: makes files for the tests of readers, and checks how a bad one is refused.
 */
#ifndef ORTHO_TEST_READER_FILES_H
#define ORTHO_TEST_READER_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "datasets/datasets.h"

typedef struct bytes {
    unsigned char at[1 << 18];
    size_t length;
} bytes;

/* A folder of this test's own; *state keeps its path. */
static inline int folder_make(void **state)
{
    char *path = strdup("/tmp/ortho-reader-XXXXXX");
    if (!path || !mkdtemp(path))
        return -1;
    *state = path;
    return 0;
}

static inline int folder_remove(void **state)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    int rc = system(command);
    free(*state);
    return rc;
}

/* "folder/name", valid until the next call. */
static inline const char *in_folder(void **state, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", (char *)*state, name);
    return path;
}

static inline void put(bytes *b, const void *data, size_t length)
{
    assert_true(b->length + length <= sizeof b->at);
    memcpy(b->at + b->length, data, length);
    b->length += length;
}

static inline void put_little(bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)(value >> (8 * i));
        put(b, &byte, 1);
    }
}

static inline void file_write(const char *path, const void *data, size_t length)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

/* A safetensors file: this header, `length` bytes of it, then the data. */
static inline void safetensors_write(const char *path, const char *header, size_t length,
                                     const void *data, size_t data_length)
{
    bytes *b = calloc(1, sizeof *b);
    assert_non_null(b);
    put_little(b, length, 8);
    put(b, header, length);
    put(b, data, data_length);
    file_write(path, b->at, b->length);
    free(b);
}

/* Opening must fail with this status, and the message must name the file, the tensor (unless NULL),
 * the offset, and hold `words`. */
static inline void expect_refusal(const char *spec, ortho_status status, const char *file,
                                  const char *tensor, uint64_t offset, const char *words)
{
    ortho_dataset *dataset = NULL;
    char want[300];
    ortho_status got = ortho_dataset_open(spec, &dataset);
    if (got == ORTHO_OK)
        ortho_dataset_close(dataset);
    else
        assert_null(dataset); /* an output is set only on success */
    const char *message = ortho_last_message();
    if (got != status || !strstr(message, words))
        print_message("%s: status %d, \"%s\"; wanted %d, \"%s\"\n", file, got, message, status,
                      words);
    assert_int_equal(got, status);
    assert_non_null(strstr(message, words));
    assert_non_null(strstr(message, file));
    snprintf(want, sizeof want, "byte %llu: ", (unsigned long long)offset);
    if (!strstr(message, want))
        print_message("\"%s\" doesn't say \"%s\"\n", message, want);
    assert_non_null(strstr(message, want));
    snprintf(want, sizeof want, "tensor \"%s\"", tensor ? tensor : "");
    if (tensor)
        assert_non_null(strstr(message, want));
    else
        assert_null(strstr(message, "tensor \""));
}

#endif
