/* The input is an index.json up to its first zero byte, then the shard "a". The shard "b" is a good
 * one that holds "b" [1, 1]. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "{\"b\":{\"dtype\":\"F16\",\"shape\":[1,1],\"data_offsets\":[0,2]}}";
    uint8_t shard[8 + sizeof good + 1] = {sizeof good - 1};
    memcpy(shard + 8, good, sizeof good - 1);
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size;
    char path[128];
    fuzz_write(path, "b", shard, 8 + sizeof good - 1 + 2);
    fuzz_write(path, "a", zero ? zero + 1 : data, zero ? size - length - 1 : 0);
    fuzz_write(path, "model.safetensors.index.json", data, length);
    fuzz_dataset(path);
    fuzz_dataset(fuzz_folder);
    return 0;
}
