/* gguf: one GGUF file, version 2 or 3. The format's rules are in gguf_header.c, the reading of rows
 * in checkpoint.c, the blocks in decode.c. */
#include "datasets/checkpoint.h"
#include "datasets/datasets.h"
#include "datasets/gguf_header.h"

#include <string.h>

static bool claims(const char *spec)
{
    size_t length = strlen(spec), suffix = strlen(".gguf");
    return length > suffix && strcmp(spec + length - suffix, ".gguf") == 0 &&
           ortho_path_is_file(spec);
}

static ortho_status open_file(const char *spec, ortho_source **out)
{
    return ortho_checkpoint_open(spec, ortho_gguf_parse, out);
}

extern const ortho_reader ortho_reader_gguf;
const ortho_reader ortho_reader_gguf = {
    .abi = ORTHO_READER_ABI,
    .name = "gguf",
    .summary = "FILE.gguf, version 2 or 3: F32, F16, BF16, Q4_0, Q4_1, Q8_0",
    .claims = claims,
    .open = open_file,
    .close = ortho_checkpoint_free,
    .count = ortho_checkpoint_count,
    .tensor = ortho_checkpoint_tensor,
    .read_f32 = ortho_checkpoint_read_f32,
    .read_raw = ortho_checkpoint_read_raw,
    .facts = ortho_checkpoint_facts,
};
