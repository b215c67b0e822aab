/*
 * sieve_dump: sieves a raw matrix with one variant and writes the split's five arrays to OUT, for
 * comparison with another implementation. Prints one line of JSON: the fastest of REPEAT runs, its
 * working memory.
 *
 *   sieve_dump VARIANT f32|f16|bf16 N K RULE GROUP DENSITY THREADS REPEAT HESSIAN|- IN OUT|-
 */
#include "common/account.h"
#include "common/dtype.h"
#include "kernels/sieve.h"
#include "kernels/split.h"
#include "variants/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const rule_names[] = {"outlier", "residual", "legacy"};
static const struct {
    const char *name;
    ortho_dtype dtype;
} dtypes[] = {{"f32", ORTHO_F32}, {"f16", ORTHO_F16}, {"bf16", ORTHO_BF16}};

static int complain(void)
{
    fprintf(stderr, "sieve_dump: %s\n", ortho_last_message());
    return 1;
}

static void *read_file(const char *path, size_t bytes)
{
    void *data = malloc(bytes + 1);
    FILE *f = fopen(path, "rb");
    if (f == NULL || data == NULL || fread(data, 1, bytes, f) != bytes) {
        perror(path);
        free(data);
        data = NULL;
    }
    if (f != NULL)
        fclose(f);
    return data;
}

static int write_split(const char *path, const ortho_split *s)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    int64_t groups = (s->k + s->group - 1) / s->group;
    fwrite(s->q, 1, (size_t)(s->n * ((s->k + 1) / 2)), f);
    fwrite(s->scale, 2, (size_t)(s->n * groups), f);
    fwrite(s->row_ptr, 4, (size_t)(s->n + 1), f);
    fwrite(s->col, ortho_split_col_bytes(s->k), (size_t)s->nnz, f);
    fwrite(s->val, 2, (size_t)s->nnz, f);
    return fclose(f) != 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int sieve(const ortho_variant *v, const ortho_sieve_problem *p, int threads, int repeat,
                 const char *out)
{
    ortho_account account = {0};
    ortho_services sv = ortho_account_services(&account, threads);
    void *state = calloc(1, v->sieve->state_size + 1);
    double best = 1e300;
    if (state == NULL || v->sieve->prepare(state, p, &sv) != ORTHO_OK)
        return complain();
    for (int i = 0; i < repeat; i++) {
        double start = now();
        if (v->sieve->run(state, p, &sv) != ORTHO_OK)
            return complain();
        double took = now() - start;
        best = took < best ? took : best;
    }
    int failed = 0;
    ortho_split split;
    if (strcmp(out, "-") != 0) {
        if (ortho_split_alloc(p->w->rows, p->w->cols, ortho_sieve_group(p), p->nnz, &sv,
                              ORTHO_OUTPUT, &split) != ORTHO_OK ||
            v->sieve->export_split(state, &split, &sv) != ORTHO_OK)
            return complain();
        failed = write_split(out, &split);
        ortho_split_free(&split, &sv);
    }
    v->sieve->release(state, &sv);
    free(state);
    printf("{\"seconds\": %.6f, \"working_bytes\": %zu, \"nnz\": %lld}\n", best,
           ortho_account_peak(&account, ORTHO_WORKING), (long long)p->nnz);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 13) {
        fprintf(stderr, "usage: sieve_dump VARIANT DTYPE N K RULE GROUP DENSITY THREADS REPEAT "
                        "HESSIAN|- IN OUT|-\n");
        return 2;
    }
    const ortho_variant *v = ortho_variant_find(argv[1], ORTHO_CPU);
    ortho_matrix w = {.rows = atoll(argv[3]), .cols = atoll(argv[4])};
    ortho_sieve_problem p = {.w = &w, .density = atof(argv[7])};
    size_t known_dtype = 0;
    while (known_dtype < 3 && strcmp(dtypes[known_dtype].name, argv[2]) != 0)
        known_dtype++;
    int rule = 0;
    while (rule < 3 && strcmp(rule_names[rule], argv[5]) != 0)
        rule++;
    if (v == NULL || v->sieve == NULL || known_dtype == 3 || rule == 3) {
        fprintf(stderr, "sieve_dump: unknown variant, dtype or rule\n");
        return 2;
    }
    w.dtype = dtypes[known_dtype].dtype;
    w.stride = w.cols;
    p.rule = (ortho_rule)rule;
    p.group = atoll(argv[6]) > 0 ? atoll(argv[6]) : w.cols;
    p.nnz = ortho_sieve_budget(p.density, w.rows, w.cols);
    void *data = read_file(argv[11], (size_t)(w.rows * w.cols) * ortho_dtype_bytes(w.dtype));
    float *h = NULL;
    if (strcmp(argv[10], "-") != 0)
        h = read_file(argv[10], (size_t)w.cols * sizeof *h);
    if (data == NULL || (h == NULL && strcmp(argv[10], "-") != 0))
        return 1;
    w.data = data;
    p.hessian = h;
    int failed = sieve(v, &p, atoi(argv[8]), atoi(argv[9]), argv[12]);
    free(h);
    free(data);
    return failed;
}
