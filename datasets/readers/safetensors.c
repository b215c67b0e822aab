/* safetensors: one .safetensors file. The format's rules are in safetensors_header.c, the reading
 * of rows in checkpoint.c. */
#include "datasets/checkpoint.h"
#include "datasets/datasets.h"
#include "datasets/safetensors_header.h"

#include <string.h>

static bool claims(const char *spec)
{
    size_t length = strlen(spec), suffix = strlen(".safetensors");
    return length > suffix && strcmp(spec + length - suffix, ".safetensors") == 0 &&
           ortho_path_is_file(spec);
}

static ortho_status parse(ortho_source *source, size_t file)
{
    return ortho_safetensors_parse(source, file, NULL); /* no index claims its tensors */
}

static ortho_status open_file(const char *spec, ortho_source **out)
{
    return ortho_checkpoint_open(spec, parse, out);
}

extern const ortho_reader ortho_reader_safetensors;
const ortho_reader ortho_reader_safetensors = {
    .abi = ORTHO_READER_ABI,
    .name = "safetensors",
    .summary = "FILE.safetensors: F32, F16, BF16; every dtype is named",
    .claims = claims,
    .open = open_file,
    .close = ortho_checkpoint_free,
    .count = ortho_checkpoint_count,
    .tensor = ortho_checkpoint_tensor,
    .read_f32 = ortho_checkpoint_read_f32,
    .read_raw = ortho_checkpoint_read_raw,
    .facts = ortho_checkpoint_facts,
};
