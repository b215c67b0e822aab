/* The input is a .gguf file. */
#include "tests/fuzz/fuzz_reader.h"

extern const ortho_reader ortho_reader_gguf;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memory_file = data;
    memory_file_size = size;
    fuzz_reader(&ortho_reader_gguf, "x.gguf");
    return 0;
}
