/* The input is a .gguf file. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[128];
    fuzz_write(path, "x.gguf", data, size);
    fuzz_dataset(path);
    return 0;
}
