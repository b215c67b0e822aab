/* The input is an index.json up to its first zero byte, then the shard "a". The shard "b" is a good
 * one that holds "b" [1, 1]. */
#include "tests/fuzz/fuzz_reader.h"

extern const ortho_reader ortho_reader_huggingface;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "{\"b\":{\"dtype\":\"F16\",\"shape\":[1,1],\"data_offsets\":[0,2]}}";
    uint8_t shard[8 + sizeof good + 1] = {sizeof good - 1};
    memcpy(shard + 8, good, sizeof good - 1);
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size;
    memory_put(0, "model.safetensors.index.json", data, length);
    memory_put(1, "a", zero ? zero + 1 : data, zero ? size - length - 1 : 0);
    memory_put(2, "b", shard, 8 + sizeof good - 1 + 2);
    fuzz_reader(&ortho_reader_huggingface, "folder/model.safetensors.index.json");
    fuzz_reader(&ortho_reader_huggingface, "folder");
    return 0;
}
