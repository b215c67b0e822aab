/* ortho_layer_load: five arrays, read by position, checked, and handed to the variant that serves
 * them. The order in which they lie doesn't matter. */
#include "common/error.h"
#include "datasets/reject.h"
#include "kernels/split.h"
#include "lib/arrays.h"
#include "lib/artifact_file.h"
#include "lib/layer.h"

_Static_assert((int)ORTHO_SPLIT_ROW_PTR == (int)ORTHO_PART_ROW_PTR &&
                   (int)ORTHO_SPLIT_SCALE == (int)ORTHO_PART_SCALE &&
                   (int)ORTHO_SPLIT_VAL == (int)ORTHO_PART_VAL &&
                   (int)ORTHO_SPLIT_COL == (int)ORTHO_PART_COL &&
                   (int)ORTHO_SPLIT_Q == (int)ORTHO_PART_Q,
               "a split's arrays are an artifact's parts");

static ortho_status read_part(const ortho_artifact *a, const ortho_artifact_layer *layer,
                              ortho_part part, void *to)
{
    int64_t index = layer->part[part];
    const ortho_tensor *t = &a->source->tensors[index];
    const ortho_file *file = &a->source->files[a->source->file_of[index]];
    ortho_status status = ortho_file_read(file, t->begin, to, (size_t)(t->end - t->begin));
    return status == ORTHO_OK ? status : ortho_fail_prefix(status, "tensor \"%s\"", t->name);
}

/* Says where in which file an invariant is broken. */
static ortho_status reject(const ortho_artifact *a, const ortho_artifact_layer *layer,
                           const ortho_split_fault *fault)
{
    const ortho_tensor *t = &a->source->tensors[layer->part[fault->array]];
    uint64_t elements = (uint64_t)t->shape[0] * (uint64_t)(t->rank == 2 ? t->shape[1] : 1);
    uint64_t element = elements > 0 ? (t->end - t->begin) / elements : 0;
    ortho_place place = {t->file, t->name, t->begin + (uint64_t)fault->index * element};
    return fault->row < 0 ? ortho_reject(ORTHO_E_FORMAT, place, "%s", fault->what)
                          : ortho_reject(ORTHO_E_FORMAT, place, "row %lld: %s",
                                         (long long)fault->row, fault->what);
}

static ortho_status load(const ortho_artifact *a, const ortho_artifact_layer *layer,
                         const ortho_layer_options *options, ortho_layer **out)
{
    ortho_split split;
    ortho_split_fault fault;
    ortho_status status = ortho_arrays_new(&layer->facts, &split);
    if (status != ORTHO_OK)
        return status;
    for (int p = 0; p < ORTHO_PARTS && status == ORTHO_OK; p++)
        status = read_part(a, layer, (ortho_part)p, ortho_arrays_part(&split, (ortho_part)p));
    if (status == ORTHO_OK && ortho_split_find_fault(&split, &fault))
        status = reject(a, layer, &fault);
    if (status == ORTHO_OK)
        status = ortho_layer_of(&layer->facts, &split, options, out);
    ortho_arrays_free(&split);
    return status;
}

ORTHO_API ortho_status ortho_layer_load(const ortho_artifact *artifact, const char *name,
                                        const ortho_layer_options *options, ortho_layer **out)
{
    if (artifact == NULL || name == NULL || out == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_layer_load: %s is NULL",
                          artifact == NULL ? "artifact"
                          : name == NULL   ? "name"
                                           : "out");
    const ortho_artifact_layer *layer = ortho_artifact_find(artifact, name);
    if (layer == NULL)
        return ortho_fail(ORTHO_E_NOT_FOUND, "%s: none of its %lld layers is called \"%s\"",
                          artifact->source->facts.path, (long long)ortho_artifact_count(artifact),
                          name);
    return load(artifact, layer, options, out);
}
