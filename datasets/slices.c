/* slices.c: which tensors are linear layers. The naming schemes are data (models.json); the first
 * scheme that names a matrix of the checkpoint is the checkpoint's. */
#include "datasets/dataset.h"
#include "datasets/registry.h"

#include "common/error.h"

#include <stdlib.h>
#include <string.h>

static bool is_matrix(const ortho_tensor *t)
{
    return t->rank == 2 && t->shape[0] > 0 && t->shape[1] > 0;
}

/* The order in which slices are listed. */
static int proj_rank(const char *proj)
{
    int i = 0;
    while (i < ORTHO_PROJ_COUNT && strcmp(ortho_proj_names[i], proj) != 0)
        i++;
    return i;
}

static int by_layer(const void *a, const void *b)
{
    const ortho_slice *x = a, *y = b;
    return x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                : proj_rank(x->proj) - proj_rank(y->proj);
}

static void add_slice(ortho_dataset *dataset, int64_t index, int layer, const char *proj)
{
    const ortho_tensor *t = ortho_dataset_tensor(dataset, index);
    ortho_slice *slice = &dataset->slices[dataset->slice_count++];
    *slice = (ortho_slice){
        .layer = layer, .index = index, .n = t->shape[0], .k = t->shape[1], .tensor = t};
    strcpy(slice->proj, proj);
}

static void match_scheme(ortho_dataset *dataset, const json_t *registry, size_t scheme)
{
    int64_t tensors = ortho_dataset_tensors(dataset);
    for (int64_t i = 0; i < tensors; i++) {
        int proj, layer;
        const ortho_tensor *t = ortho_dataset_tensor(dataset, i);
        if (is_matrix(t) && ortho_registry_parse_name(registry, scheme, t->name, &proj, &layer))
            add_slice(dataset, i, layer, ortho_proj_names[proj]);
    }
}

/* A checkpoint with one matrix: that is what was meant, whatever its name. */
static void match_lone_matrix(ortho_dataset *dataset)
{
    int64_t tensors = ortho_dataset_tensors(dataset), matrices = 0, last = 0;
    for (int64_t i = 0; i < tensors; i++)
        if (is_matrix(ortho_dataset_tensor(dataset, i))) {
            matrices++;
            last = i;
        }
    if (matrices == 1)
        add_slice(dataset, last, 0, "w");
}

ortho_status ortho_dataset_find_slices(ortho_dataset *dataset, const json_t *registry)
{
    size_t room = (size_t)ortho_dataset_tensors(dataset) + 1;
    dataset->slices = calloc(room, sizeof *dataset->slices);
    if (!dataset->slices)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu slices", room);
    for (size_t s = 0; s < ortho_registry_schemes(registry) && dataset->slice_count == 0; s++)
        match_scheme(dataset, registry, s);
    if (dataset->slice_count == 0)
        match_lone_matrix(dataset);
    qsort(dataset->slices, (size_t)dataset->slice_count, sizeof *dataset->slices, by_layer);
    return ORTHO_OK;
}
