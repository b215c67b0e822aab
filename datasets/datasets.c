/* datasets.c: from a spec to an open dataset: which reader, which slices, what is known of it. */
#include "datasets/datasets.h"

#include "common/dtype.h"
#include "common/error.h"
#include "datasets/dataset.h"
#include "datasets/decode.h"
#include "datasets/file.h"
#include "datasets/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ortho_dataset_close(ortho_dataset *dataset)
{
    if (!dataset)
        return;
    if (dataset->source)
        dataset->reader->close(dataset->source);
    free(dataset->slices);
    free(dataset);
}

const ortho_model_facts *ortho_dataset_facts(const ortho_dataset *dataset)
{
    return &dataset->facts;
}

int64_t ortho_dataset_tensors(const ortho_dataset *dataset)
{
    return dataset->reader->count(dataset->source);
}

const ortho_tensor *ortho_dataset_tensor(const ortho_dataset *dataset, int64_t index)
{
    return dataset->reader->tensor(dataset->source, index);
}

int64_t ortho_dataset_slices(const ortho_dataset *dataset)
{
    return dataset->slice_count;
}

const ortho_slice *ortho_dataset_slice(const ortho_dataset *dataset, int64_t index)
{
    return index >= 0 && index < dataset->slice_count ? &dataset->slices[index] : NULL;
}

static ortho_status open_with(const ortho_reader *reader, const char *path, ortho_dataset *dataset)
{
    dataset->reader = reader;
    return reader->open(path, &dataset->source);
}

static ortho_status open_spec(const char *spec, ortho_dataset *dataset)
{
    for (const ortho_reader *const *r = ortho_reader_table; *r; r++)
        if ((*r)->claims(spec))
            return open_with(*r, spec, dataset);
    if (ortho_path_is_folder(spec))
        return ortho_fail(ORTHO_E_NOT_FOUND,
                          "%s: a folder without model.safetensors.index.json or model.safetensors",
                          spec);
    if (ortho_path_is_file(spec))
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "%s: neither .safetensors nor .gguf: no reader takes it", spec);
    return ortho_fail(ORTHO_E_NOT_FOUND,
                      "%s: no such file, folder or known model (ortho-bench list --models)", spec);
}

/* A known model by its short name: opened where it lies. A path of that name needs "./". */
static ortho_status open_known(const json_t *model, ortho_dataset *dataset)
{
    char where[ORTHO_PATH_SIZE];
    if (!ortho_registry_locate(model, where))
        return ortho_fail(ORTHO_E_NOT_FOUND, "%s is not at hand: %s",
                          ortho_registry_text(model, "name"), where);
    return open_spec(where, dataset);
}

ortho_status ortho_dataset_open(const char *spec, ortho_dataset **out)
{
    json_t *registry;
    ortho_status status = ortho_registry_load(&registry);
    if (status != ORTHO_OK)
        return status;
    ortho_dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset) {
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for %s", spec);
        goto done;
    }
    const json_t *model = ortho_registry_by_name(registry, spec);
    status = model ? open_known(model, dataset) : open_spec(spec, dataset);
    if (status != ORTHO_OK)
        goto done;
    status = ortho_dataset_find_slices(dataset, registry);
    if (status != ORTHO_OK)
        goto done;
    status = ortho_dataset_describe(dataset, registry, model, spec);
    if (status != ORTHO_OK)
        goto done;
    *out = dataset;
    dataset = NULL;
done:
    ortho_dataset_close(dataset);
    json_decref(registry);
    return status;
}

ortho_dtype ortho_dataset_read_dtype(const ortho_slice *slice)
{
    return ortho_dtype_plain(slice->tensor->dtype) ? slice->tensor->dtype : ORTHO_F32;
}

ortho_status ortho_dataset_read(ortho_dataset *dataset, const ortho_slice *slice, int64_t row,
                                int64_t rows, void *dst, ortho_dtype *dtype)
{
    const ortho_reader *reader = dataset->reader;
    ortho_dtype stored = ortho_dataset_read_dtype(slice);
    ortho_status status = stored == slice->tensor->dtype
                              ? reader->read_raw(dataset->source, slice->index, row, rows, dst)
                              : reader->read_f32(dataset->source, slice->index, row, rows, dst);
    if (status != ORTHO_OK)
        return status;
    int64_t at = ortho_find_nonfinite(stored, dst, rows * slice->k);
    if (at >= 0)
        return ortho_fail(ORTHO_E_NONFINITE, "%s: tensor \"%s\": row %lld, column %lld is %g",
                          slice->tensor->file ? slice->tensor->file : dataset->facts.name,
                          slice->tensor->name, (long long)(row + at / slice->k),
                          (long long)(at % slice->k), (double)ortho_dtype_load(stored, dst, at));
    *dtype = stored;
    return ORTHO_OK;
}

ortho_status ortho_dataset_hessian(ortho_dataset *dataset, const ortho_slice *slice, float *dst)
{
    if (!dataset->reader->hessian)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "%s has no Hessian of its own", dataset->facts.name);
    return dataset->reader->hessian(dataset->source, slice->index, dst);
}
