/* The input is the manifest of a cache of slices. Its one shard is good: a header, "a" [2, 2] and
 * "b" [1, 4] of F16. */
#include "tests/fuzz/fuzz_reader.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define PLACE  "slices/a--b/" COMMIT

extern const ortho_reader ortho_reader_hf;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] =
        "{\"a\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"F16\",\"shape\":[1,4],\"data_offsets\":[8,16]}}";
    uint8_t shard[8 + sizeof header - 1 + 16] = {sizeof header - 1};
    memcpy(shard + 8, header, sizeof header - 1);
    setenv("ORTHO_CACHE", "folder", 1);
    memory_put(0, PLACE "/manifest.json", data, size);
    memory_put(1, PLACE "/s.slices", shard, sizeof shard);
    fuzz_reader(&ortho_reader_hf, "hf:a/b@" COMMIT);
    return 0;
}
