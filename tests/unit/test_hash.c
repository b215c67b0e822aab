/* Whatever vectors the processor has, a hash is the library's: journals and artifacts of other
 * machines must be read. */
#define _GNU_SOURCE /* setenv */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/random.h"
#include "kernels/cpu.h"
#include "lib/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BYTES = 40000 };

/* All lengths at which the algorithm changes its way, and some in between, at odd addresses. */
static void is_the_librarys(const unsigned char *data)
{
    char expected[ORTHO_HASH_LENGTH + 1], hash[ORTHO_HASH_LENGTH + 1];
    for (size_t bytes = 0; bytes < BYTES - 64; bytes += bytes < 1100 ? 1 : 997) {
        const unsigned char *from = data + bytes % 64;
        XXH128_hash_t h = XXH3_128bits(from, bytes);
        snprintf(expected, sizeof expected, "%016llx%016llx", (unsigned long long)h.high64,
                 (unsigned long long)h.low64);
        ortho_hash(from, bytes, hash);
        assert_string_equal(hash, expected);
    }
}

static void every_level_hashes_alike(void **state)
{
    (void)state;
    unsigned char *data = malloc(BYTES);
    ortho_random draw = ortho_random_seeded(11);
    assert_non_null(data);
    for (int i = 0; i < BYTES; i++)
        data[i] = (unsigned char)ortho_random_next(&draw);
    unsetenv("ORTHO_CPU");
    ortho_cpu_level best = ortho_cpu_detect();
    for (int level = 0; level <= (int)best; level++) {
        const char *name = ortho_cpu_level_name((ortho_cpu_level)level);
        setenv("ORTHO_CPU", name, 1);
        print_message("by %s\n", name);
        is_the_librarys(data);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_level_hashes_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
