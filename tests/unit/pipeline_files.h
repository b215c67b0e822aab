/* pipeline_files.h: folders of the pipeline's tests, and what must be in them. Included after
 * cmocka.h. */
#ifndef ORTHO_TESTS_PIPELINE_FILES_H
#define ORTHO_TESTS_PIPELINE_FILES_H

#include "common/account.h"
#include "datasets/datasets.h"
#include "kernels/sieve.h"
#include "kernels/sieve_csr.h"
#include "kernels/split.h"
#include "lib/artifact.h"
#include "tests/unit/made_checkpoint.h"

#include <unistd.h>

/* A folder of this test's own; *state keeps its path. */
static inline int folder_make(void **state)
{
    char *path = strdup("/tmp/ortho-pipeline-XXXXXX");
    *state = path;
    return path != NULL && mkdtemp(path) != NULL ? 0 : -1;
}

static inline int folder_remove(void **state)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    int rc = system(command);
    free(*state);
    return rc;
}

/* "folder/name" */
static inline const char *at(void **state, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", (char *)*state, name);
    return path;
}

static inline void ok(ortho_status status)
{
    if (status != ORTHO_OK)
        fail_msg("%s: %s", ortho_status_name(status), ortho_last_message());
}

static inline void says(const char *words)
{
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' doesn't say '%s'", ortho_last_message(), words);
}

/* A file's bytes, to be freed; NULL when it isn't there. */
static inline char *slurp(const char *folder, const char *name, size_t *bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    char *all = malloc(*bytes + 1);
    assert_int_equal(fread(all, 1, *bytes, f), *bytes);
    fclose(f);
    return all;
}

/* The names that an artifact of `m` has; NULL beyond the last. */
static inline const char *artifact_name(const made_checkpoint *m, int i, char name[64])
{
    if (i < m->shards)
        made_shard_name(m, i, name);
    else if (i == m->shards)
        snprintf(name, 64, "config.json");
    else if (i == m->shards + 1 && m->shards > 1)
        snprintf(name, 64, "model.safetensors.index.json");
    else
        return NULL;
    return name;
}

/* Every file that is under its final name in `folder` is the one of `whole`; `all`: and all are. */
static inline void same_files(const made_checkpoint *m, const char *folder, const char *whole,
                              bool all)
{
    char name[64], work[512];
    for (int i = 0; artifact_name(m, i, name) != NULL; i++) {
        size_t wanted = 0, got = 0;
        char *a = slurp(whole, name, &wanted), *b = slurp(folder, name, &got);
        assert_non_null(a);
        if (all && b == NULL)
            fail_msg("%s/%s is missing", folder, name);
        if (b != NULL && (wanted != got || memcmp(a, b, got) != 0))
            fail_msg("%s/%s isn't what an uninterrupted run gives", folder, name);
        free(a);
        free(b);
    }
    snprintf(work, sizeof work, "%s/.ortho-sieve", folder);
    if (all)
        assert_int_not_equal(access(work, F_OK), 0);
}

/* The bytes of a tensor of an artifact, to be freed. */
static inline char *tensor_bytes(ortho_dataset *artifact, const char *name, size_t *bytes)
{
    for (int64_t i = 0; i < ortho_dataset_tensors(artifact); i++) {
        const ortho_tensor *t = ortho_dataset_tensor(artifact, i);
        if (strcmp(t->name, name) != 0)
            continue;
        *bytes = (size_t)(t->end - t->begin);
        char *data = malloc(*bytes + 1);
        FILE *f = fopen(t->file, "rb");
        assert_non_null(f);
        assert_int_equal(fseek(f, (long)t->begin, SEEK_SET), 0);
        assert_int_equal(fread(data, 1, *bytes, f), *bytes);
        fclose(f);
        return data;
    }
    fail_msg("no tensor \"%s\"", name);
    return NULL;
}

static inline void same_tensor(ortho_dataset *artifact, const char *name, const void *wanted,
                               size_t bytes)
{
    size_t got = 0;
    char *data = tensor_bytes(artifact, name, &got);
    if (got != bytes || memcmp(data, wanted, bytes) != 0)
        fail_msg("tensor \"%s\" isn't the reference's", name);
    free(data);
}

/* One layer against a plain sieve of it, in one thread. */
static inline void same_layer(ortho_dataset *artifact, const made_tensor *t, const void *data,
                              const ortho_sieve_options *o)
{
    ortho_services services = ortho_account_services(NULL, 1);
    ortho_matrix w = {.rows = t->n, .cols = t->k, .stride = t->k, .dtype = t->dtype, .data = data};
    ortho_sieve_problem p = {.w = &w,
                             .density = o->density,
                             .nnz = ortho_sieve_budget(o->density, t->n, t->k),
                             .rule = o->rule,
                             .group = o->group > 0 ? o->group : t->k};
    ortho_sieve_csr sieve = {0};
    char layer[ORTHO_NAME_LENGTH], name[ORTHO_NAME_LENGTH + 32];
    ok(ortho_sieve_csr_prepare(&sieve, &p, &services));
    ok(ortho_sieve_csr_run(&sieve, &p, ORTHO_WALK_SCALAR, &services));
    const ortho_split *s = &sieve.split;
    const ortho_layer_facts facts = {.n = s->n, .k = s->k, .nnz = s->nnz, .group = s->group};
    const void *const parts[] = {s->row_ptr, s->scale, s->val, s->col, s->q};
    ortho_artifact_layer_name(t->name, layer);
    for (int i = 0; i < ORTHO_PARTS; i++) {
        snprintf(name, sizeof name, "%s%s", layer, ortho_part_suffix((ortho_part)i));
        same_tensor(artifact, name, parts[i], ortho_part_bytes(&facts, (ortho_part)i));
    }
    ortho_sieve_csr_release(&sieve, &services);
}

/* The artifact in `folder` is what a plain loop over the tensors gives. */
static inline void same_as_reference(const made_checkpoint *m, const char *folder,
                                     const ortho_sieve_options *o)
{
    ortho_dataset *artifact;
    ok(ortho_dataset_open(folder, &artifact));
    for (int i = 0; i < made_tensors(m); i++) {
        made_tensor t = made_tensor_at(m, i);
        char *data = aligned_alloc(64, (t.bytes + 63) / 64 * 64);
        made_fill(m, i, data);
        if (t.sieved)
            same_layer(artifact, &t, data, o);
        else
            same_tensor(artifact, t.name, data, t.bytes);
        free(data);
    }
    ortho_dataset_close(artifact);
}

#endif
