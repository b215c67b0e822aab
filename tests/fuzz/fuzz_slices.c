/* The input is the manifest of a cache of slices. Its one shard is good: a header, "a" [2, 2] and
 * "b" [1, 4] of F16. */
#include "tests/fuzz/fuzz.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] =
        "{\"a\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"F16\",\"shape\":[1,4],\"data_offsets\":[8,16]}}";
    uint8_t shard[8 + sizeof header - 1 + 16] = {sizeof header - 1};
    char path[128], folder[128];
    memcpy(shard + 8, header, sizeof header - 1);
    snprintf(folder, sizeof folder, "%s/slices", fuzz_folder);
    mkdir(folder, 0700);
    snprintf(folder, sizeof folder, "%s/slices/a--b", fuzz_folder);
    mkdir(folder, 0700);
    snprintf(folder, sizeof folder, "%s/slices/a--b/" COMMIT, fuzz_folder);
    mkdir(folder, 0700);
    setenv("ORTHO_CACHE", fuzz_folder, 1);
    fuzz_write(path, "slices/a--b/" COMMIT "/s.slices", shard, sizeof shard);
    fuzz_write(path, "slices/a--b/" COMMIT "/manifest.json", data, size);
    fuzz_dataset("hf:a/b@" COMMIT);
    return 0;
}
