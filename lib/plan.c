#define _GNU_SOURCE
#include "lib/plan.h"

#include "common/dtype.h"
#include "common/error.h"
#include "datasets/decode.h"
#include "datasets/file.h"
#include "datasets/tensor.h"
#include "kernels/sieve.h"
#include "lib/hash.h"
#include "lib/plan_order.h"
#include "lib/select.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const ortho_reader ortho_reader_safetensors;

void ortho_plan_free(ortho_plan *plan)
{
    if (plan == NULL)
        return;
    for (int32_t i = 0; i < plan->shard_count; i++)
        ortho_header_clear(&plan->shards[i].header);
    ortho_dataset_close(plan->dataset);
    for (int32_t i = 0; i < plan->file_count; i++)
        if (plan->files[i].fd >= 0)
            close(plan->files[i].fd);
    free(plan->files);
    free(plan->shards);
    free(plan->layers);
    free(plan->units);
    free(plan);
}

const char *ortho_plan_unit_name(const ortho_plan *plan, const ortho_unit *unit)
{
    return ortho_dataset_tensor(plan->dataset, unit->tensor)->name;
}

/* ---- files and shards ------------------------------------------------------------------------ */

static int by_path(const void *a, const void *b)
{
    const ortho_plan_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* The source's files, each once, in the order of their names. */
static ortho_status find_files(ortho_plan *plan)
{
    int64_t tensors = ortho_dataset_tensors(plan->dataset), all = 0;
    ortho_plan_file *files = calloc((size_t)tensors + 1, sizeof *files);
    if (files == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld tensors", (long long)tensors);
    for (int64_t i = 0; i < tensors; i++) {
        const char *path = ortho_dataset_tensor(plan->dataset, i)->file;
        if (path != NULL && (all == 0 || strcmp(files[all - 1].path, path) != 0))
            files[all++] = (ortho_plan_file){.path = path, .fd = -1};
    }
    qsort(files, (size_t)all, sizeof *files, by_path);
    int32_t count = 0;
    for (int64_t i = 0; i < all; i++)
        if (count == 0 || strcmp(files[count - 1].path, files[i].path) != 0)
            files[count++] = files[i];
    plan->files = files;
    plan->file_count = count;
    return ORTHO_OK;
}

static ortho_status open_files(ortho_plan *plan)
{
    for (int32_t i = 0; i < plan->file_count; i++) {
        ortho_plan_file *f = &plan->files[i];
        struct stat st;
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
        if (f->fd < 0 || fstat(f->fd, &st) != 0)
            return ortho_fail(ORTHO_E_IO, "%s: %s", f->path, strerror(errno));
        f->bytes = (uint64_t)st.st_size;
        f->time = st.st_mtim;
    }
    return ORTHO_OK;
}

ortho_status ortho_plan_check_source(const ortho_plan *plan)
{
    for (int32_t i = 0; i < plan->file_count; i++) {
        const ortho_plan_file *f = &plan->files[i];
        struct stat st;
        if (fstat(f->fd, &st) != 0)
            return ortho_fail(ORTHO_E_IO, "%s: %s", f->path, strerror(errno));
        if ((uint64_t)st.st_size != f->bytes || st.st_mtim.tv_sec != f->time.tv_sec ||
            st.st_mtim.tv_nsec != f->time.tv_nsec)
            return ortho_fail(ORTHO_E_FORMAT,
                              "%s was written to while it was read: when it is whole again, sieve "
                              "it into another folder",
                              f->path);
    }
    return ORTHO_OK;
}

static int32_t file_of(const ortho_plan *plan, const ortho_tensor *t)
{
    ortho_plan_file key = {.path = t->file};
    const ortho_plan_file *found =
        t->file == NULL
            ? NULL
            : bsearch(&key, plan->files, (size_t)plan->file_count, sizeof *plan->files, by_path);
    return found == NULL ? -1 : (int32_t)(found - plan->files);
}

static ortho_status begin_shard(ortho_plan *plan, int32_t i)
{
    ortho_plan_shard *shard = &plan->shards[i];
    const ortho_model_facts *facts = ortho_dataset_facts(plan->dataset);
    const ortho_sieve_options *o = &plan->options.sieve;
    char density[32], group[32];
    if (plan->shard_count == 1)
        snprintf(shard->name, sizeof shard->name, "model.safetensors");
    else
        snprintf(shard->name, sizeof shard->name, "model-%05d-of-%05d.safetensors", i + 1,
                 plan->shard_count);
    snprintf(density, sizeof density, "%.9g", o->density);
    snprintf(group, sizeof group, "%d", (int)o->group);
    const char *pairs[][2] = {{"ortho.source", facts->name},
                              {"ortho.source_headers", facts->hash},
                              {"ortho.rule", ortho_rule_word(o->rule)},
                              {"ortho.density", density},
                              {"ortho.group", o->group == 0 ? "row" : group},
                              {"ortho.hessian", plan->hessian}};
    ortho_status status = ortho_header_begin(&shard->header);
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs && status == ORTHO_OK; p++)
        status = ortho_header_say(&shard->header, pairs[p][0], pairs[p][1]);
    if (status == ORTHO_OK && facts->synthetic) /* as the reader of checkpoints looks for it */
        status = ortho_header_say(&shard->header, "made", "yes");
    return status;
}

static ortho_status begin_shards(ortho_plan *plan)
{
    int32_t count = plan->file_count > 0 ? plan->file_count : 1;
    plan->shards = calloc((size_t)count, sizeof *plan->shards);
    if (plan->shards == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %d shards", count);
    plan->shard_count = count;
    ortho_status status = ORTHO_OK;
    for (int32_t i = 0; i < count && status == ORTHO_OK; i++)
        status = begin_shard(plan, i);
    return status;
}

/* ---- layers ---------------------------------------------------------------------------------- */

static bool selected(const ortho_plan *plan, const ortho_slice *slice)
{
    return ortho_select_layer(plan->options.layers, slice->layer) &&
           ortho_select_projection(plan->options.projections, slice->proj);
}

static ortho_status check_layer(const ortho_slice *slice, int64_t nnz)
{
    const ortho_tensor *t = slice->tensor;
    if (!ortho_dtype_decodable(t->dtype))
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "tensor \"%s\" is of dtype %s, which the sieve can't read: leave it out "
                          "by the choice of layers and projections",
                          t->name, ortho_dtype_name(t->dtype));
    if (slice->n >= INT32_MAX || slice->k > INT32_MAX || slice->n > UINT32_MAX / slice->k ||
        nnz > INT32_MAX)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "tensor \"%s\" of %lld x %lld: the sieve takes up to 2^32 weights and "
                          "2^31 entries",
                          t->name, (long long)slice->n, (long long)slice->k);
    return ORTHO_OK;
}

static ortho_status add_layer(ortho_plan *plan, int64_t slice_index)
{
    const ortho_slice *slice = ortho_dataset_slice(plan->dataset, slice_index);
    const ortho_sieve_options *o = &plan->options.sieve;
    ortho_matrix w = {.rows = slice->n, .cols = slice->k, .stride = slice->k};
    ortho_sieve_problem p = {.w = &w, .rule = o->rule, .group = o->group};
    ortho_plan_layer *layer = &plan->layers[plan->layer_count];
    int64_t nnz = slice->n > INT64_MAX / slice->k
                      ? INT64_MAX
                      : ortho_sieve_budget(o->density, slice->n, slice->k);
    ortho_status status = check_layer(slice, nnz);
    if (status != ORTHO_OK)
        return status;
    *layer = (ortho_plan_layer){.slice = slice_index,
                                .dtype = ortho_dataset_read_dtype(slice),
                                .facts = {.n = slice->n,
                                          .k = slice->k,
                                          .nnz = nnz,
                                          .group = ortho_sieve_group(&p),
                                          .rule = o->rule,
                                          .density = o->density}};
    ortho_artifact_layer_name(slice->tensor->name, layer->facts.name);
    memcpy(layer->facts.tensor, slice->tensor->name, sizeof layer->facts.tensor);
    memcpy(layer->facts.hessian, plan->hessian, sizeof layer->facts.hessian);
    if (strlen(layer->facts.name) > ORTHO_NAME_LENGTH - 20)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "tensor \"%s\": its name is too long for what its "
                          "arrays would be called",
                          slice->tensor->name);
    plan->layer_count++;
    return ORTHO_OK;
}

static ortho_status choose_layers(ortho_plan *plan)
{
    int64_t slices = ortho_dataset_slices(plan->dataset);
    plan->layers = calloc((size_t)slices + 1, sizeof *plan->layers);
    if (plan->layers == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld layers", (long long)slices);
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; i < slices && status == ORTHO_OK; i++)
        if (selected(plan, ortho_dataset_slice(plan->dataset, i)))
            status = add_layer(plan, i);
    if (status == ORTHO_OK && plan->layer_count == 0)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s has no linear layer among those chosen (it has %lld in all; "
                          "ortho-bench inspect lists its tensors)",
                          ortho_dataset_facts(plan->dataset)->name, (long long)slices);
    return status;
}

/* ---- the Hessian ----------------------------------------------------------------------------- */

static bool source_has(ortho_source *source, const char *name)
{
    for (int64_t i = 0; i < ortho_reader_safetensors.count(source); i++)
        if (strcmp(ortho_reader_safetensors.tensor(source, i)->name, name) == 0)
            return true;
    return false;
}

/* Before hours of work: does the file speak of every layer? */
static ortho_status check_hessian_file(const ortho_plan *plan)
{
    ortho_source *source;
    const char *path = plan->options.hessian;
    ortho_status status = ortho_reader_safetensors.open(path, &source);
    if (status != ORTHO_OK)
        return status;
    for (int64_t i = 0; i < plan->layer_count && status == ORTHO_OK; i++)
        if (!source_has(source, plan->layers[i].facts.tensor))
            status =
                ortho_fail(ORTHO_E_NOT_FOUND,
                           "%s: no tensor is called \"%s\": leave that layer out, or calibrate "
                           "it, too",
                           path, plan->layers[i].facts.tensor);
    ortho_reader_safetensors.close(source);
    return status;
}

ortho_status ortho_plan_hessian(const ortho_plan *plan, const ortho_plan_layer *layer, float *h,
                                bool *given)
{
    const ortho_slice *slice = ortho_dataset_slice(plan->dataset, layer->slice);
    *given = true;
    if (plan->options.hessian != NULL)
        return ortho_hessian_from_file(plan->options.hessian, slice, h);
    if (plan->dataset->reader->hessian != NULL)
        return ortho_dataset_hessian(plan->dataset, slice, h);
    *given = false;
    return ORTHO_OK;
}

static ortho_status name_hessian(ortho_plan *plan)
{
    char hash[ORTHO_HASH_LENGTH + 1];
    if (plan->options.hessian == NULL) {
        strcpy(plan->hessian, plan->dataset->reader->hessian != NULL ? "source" : "weights");
        return ORTHO_OK;
    }
    ortho_status status = ortho_hash_file(plan->options.hessian, hash);
    if (status == ORTHO_OK)
        snprintf(plan->hessian, sizeof plan->hessian, "file:%s", hash);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static ortho_status fill(ortho_plan *plan)
{
    ortho_status status = find_files(plan);
    if (status == ORTHO_OK)
        status = open_files(plan);
    if (status == ORTHO_OK)
        status = name_hessian(plan);
    if (status == ORTHO_OK)
        status = begin_shards(plan);
    if (status == ORTHO_OK)
        status = choose_layers(plan);
    if (status == ORTHO_OK && plan->options.hessian != NULL)
        status = check_hessian_file(plan);
    return status == ORTHO_OK ? ortho_plan_lay_out(plan, file_of) : status;
}

ortho_status ortho_plan_make(const char *model, const ortho_plan_options *options, ortho_plan **out)
{
    ortho_status status = ortho_select_check(options->layers, options->projections);
    if (status != ORTHO_OK)
        return status;
    ortho_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a plan");
    plan->options = *options;
    status = ortho_dataset_open(model, &plan->dataset);
    if (status == ORTHO_OK)
        status = fill(plan);
    if (status == ORTHO_OK)
        *out = plan;
    else
        ortho_plan_free(plan);
    return status;
}
