/* The input is a .safetensors file. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[128];
    fuzz_write(path, "x.safetensors", data, size);
    fuzz_dataset(path);
    return 0;
}
