/* safetensors: one .safetensors file. The format's rules are in safetensors_header.c, the reading
 * of rows in checkpoint.c. */
#include "datasets/checkpoint.h"
#include "datasets/datasets.h"
#include "datasets/safetensors_header.h"

#include <stdio.h>
#include <string.h>

static bool claims(const char *spec)
{
    size_t length = strlen(spec), suffix = strlen(".safetensors");
    return length > suffix && strcmp(spec + length - suffix, ".safetensors") == 0 &&
           ortho_path_is_file(spec);
}

static ortho_status open_file(const char *spec, ortho_source **out)
{
    ortho_source *source;
    size_t file;
    ortho_status status = ortho_checkpoint_new(&source);
    if (status != ORTHO_OK)
        return status;
    snprintf(source->facts.path, sizeof source->facts.path, "%s", spec);
    status = ortho_checkpoint_add_file(source, spec, &file);
    if (status != ORTHO_OK)
        goto fail;
    status = ortho_safetensors_parse(source, file, NULL);
    if (status != ORTHO_OK)
        goto fail;
    *out = source;
    return ORTHO_OK;
fail:
    ortho_checkpoint_free(source);
    return status;
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
