/*
 * The peak that only the operating system knows. A child of this very binary gets the inputs
 * through a memory file (so it needs neither the model nor the sieve), prepares the variant, lets
 * go of what only prepare needed, resets the kernel's high-water mark and runs the operation once:
 * what VmHWM says then is the operation's own, beside the bare program.
 */
#define _GNU_SOURCE
#include "common/account.h"
#include "common/dtype.h"
#include "common/error.h"
#include "harness/child.h"
#include "harness/environment.h"
#include "harness/memory.h"
#include "harness/plugin.h"
#include "variants/table.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARTS = 7, PATIENCE_MS = 60000 };

/* Sizes of the blob's parts, in order: W, hessian, q, scale, row_ptr, col, val. */
static void part_sizes(const ob_memory_job *j, size_t size[PARTS])
{
    size_t n = (size_t)j->n, k = (size_t)j->k, nnz = (size_t)j->nnz, g = (size_t)j->group;
    size[0] = n * k * ortho_dtype_bytes(j->w_dtype);
    size[1] = j->hessian ? k * sizeof(float) : 0;
    size[2] = j->sieve ? 0 : n * ((k + 1) / 2);
    size[3] = j->sieve ? 0 : n * ((k + g - 1) / g) * sizeof(uint16_t);
    size[4] = j->sieve ? 0 : (n + 1) * sizeof(int32_t);
    size[5] = j->sieve ? 0 : nnz * ortho_split_col_bytes(j->k);
    size[6] = j->sieve ? 0 : nnz * sizeof(uint16_t);
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* ---- parent ---------------------------------------------------------------------------------- */

static bool write_part(int fd, const void *data, size_t bytes)
{
    static const char zeros[64];
    size_t slack = padded(bytes) - bytes;
    for (size_t done = 0; done < bytes;) {
        ssize_t w = write(fd, (const char *)data + done, bytes - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        done += (size_t)w;
    }
    return slack == 0 || write(fd, zeros, slack) == (ssize_t)slack;
}

static int blob_fail(int fd)
{
    ortho_fail(ORTHO_E_IO, "the memory file for the child: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int ob_memory_blob(const ortho_matrix *w, const float *hessian, const ortho_split *s)
{
    int fd = (int)syscall(SYS_memfd_create, "ortho-bench", 0u);
    if (fd < 0)
        return blob_fail(fd);
    ob_memory_job j = {.sieve = s == NULL,
                       .n = w->rows,
                       .k = w->cols,
                       .nnz = s != NULL ? s->nnz : 0,
                       .group = s != NULL ? s->group : 1,
                       .w_dtype = w->dtype,
                       .hessian = hessian != NULL};
    size_t size[PARTS];
    part_sizes(&j, size);
    const void *part[PARTS] = {w->data, hessian};
    if (s != NULL) {
        part[2] = s->q;
        part[3] = s->scale;
        part[4] = s->row_ptr;
        part[5] = s->col;
        part[6] = s->val;
    }
    for (int i = 0; i < PARTS; i++)
        if (size[i] > 0 && !write_part(fd, part[i], size[i]))
            return blob_fail(fd);
    return fd;
}

static ortho_status start_child(const ob_memory_job *j, int *out, pid_t *pid)
{
    char numbers[512], exe[] = "/proc/self/exe", word[] = "__memory";
    snprintf(numbers, sizeof numbers,
             "%d %d %lld %lld %lld %lld %lld %lld %d %d %d %a %a %d %d %d %d", j->sieve,
             (int)j->backend, (long long)j->n, (long long)j->k, (long long)j->m, (long long)j->nnz,
             (long long)j->group, (long long)j->problem_group, (int)j->dtype, (int)j->w_dtype,
             (int)j->rule, j->alpha, j->density, j->threads, j->blob, j->hessian,
             (int)j->activations);
    char *argv[] = {
        exe, word, numbers, (char *)j->variant, j->plugin != NULL ? (char *)j->plugin : NULL, NULL};
    return ob_child_start(argv, out, pid);
}

/* Reads the child's one line, for a minute at most; kills a child that takes longer. */
static bool read_answer(int fd, pid_t pid, char *text, size_t size)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    size_t used = 0;
    bool ended = false;
    while (!ended && used + 1 < size) {
        if (poll(&wait, 1, PATIENCE_MS) <= 0)
            break;
        ssize_t got = read(fd, text + used, size - 1 - used);
        ended = got <= 0;
        used += got > 0 ? (size_t)got : 0;
    }
    text[used] = '\0';
    if (!ended)
        kill(pid, SIGKILL);
    return ended;
}

ortho_status ob_memory_measure(const ob_memory_job *job, size_t *bytes)
{
    int out;
    pid_t pid;
    char text[512];
    ortho_status status = start_child(job, &out, &pid);
    if (status != ORTHO_OK)
        return status;
    bool ended = read_answer(out, pid, text, sizeof text);
    int code = ob_child_wait(pid);
    unsigned long long peak = 0;
    close(out);
    if (!ended)
        return ortho_fail(ORTHO_E_IO, "the child took more than a minute");
    if (!WIFEXITED(code) || WEXITSTATUS(code) != 0 || sscanf(text, "%llu", &peak) != 1)
        return ortho_fail(ORTHO_E_IO, "the child ended with %s %d: %s",
                          WIFEXITED(code) ? "code" : "signal",
                          WIFEXITED(code) ? WEXITSTATUS(code) : WTERMSIG(code), text);
    *bytes = (size_t)peak;
    return ORTHO_OK;
}

/* ---- child ----------------------------------------------------------------------------------- */

typedef struct child {
    ob_memory_job job;
    ob_plugin plugin;
    const ortho_variant *variant;
    unsigned char *map;
    size_t mapped;
    ortho_matrix w;
    const float *hessian;
    ortho_split split;
    ortho_services services;
} child;

static ortho_status parse_job(int argc, char **argv, child *c)
{
    ob_memory_job *j = &c->job;
    long long n, k, m, nnz, group, problem_group;
    int sieve, backend, dtype, w_dtype, rule, hessian, activations;
    if (argc < 4 ||
        sscanf(argv[2], "%d %d %lld %lld %lld %lld %lld %lld %d %d %d %la %la %d %d %d %d", &sieve,
               &backend, &n, &k, &m, &nnz, &group, &problem_group, &dtype, &w_dtype, &rule,
               &j->alpha, &j->density, &j->threads, &j->blob, &hessian, &activations) != 17)
        return ortho_fail(ORTHO_E_ARGUMENT, "__memory is for ortho-bench itself");
    j->sieve = sieve != 0;
    j->hessian = hessian != 0;
    j->backend = (ortho_backend)backend;
    j->n = n;
    j->k = k;
    j->m = m;
    j->nnz = nnz;
    j->group = group;
    j->problem_group = problem_group;
    j->dtype = (ortho_dtype)dtype;
    j->w_dtype = (ortho_dtype)w_dtype;
    j->rule = (ortho_rule)rule;
    j->activations = (ortho_activation_mode)activations;
    if (argc > 4) {
        ortho_status status = ob_plugin_load(argv[4], &c->plugin);
        if (status != ORTHO_OK)
            return status;
        c->variant = c->plugin.variant;
    } else {
        c->variant = ortho_variant_find(argv[3], j->backend);
    }
    return c->variant != NULL ? ORTHO_OK : ortho_fail(ORTHO_E_NOT_FOUND, "no variant %s", argv[3]);
}

static ortho_status map_blob(child *c)
{
    size_t size[PARTS], at[PARTS], total = 0;
    part_sizes(&c->job, size);
    for (int i = 0; i < PARTS; i++) {
        at[i] = total;
        total += padded(size[i]);
    }
    c->map = mmap(NULL, total, PROT_READ, MAP_PRIVATE, c->job.blob, 0);
    if (c->map == MAP_FAILED) {
        c->map = NULL;
        return ortho_fail(ORTHO_E_IO, "can't map the inputs: %s", strerror(errno));
    }
    c->mapped = total;
    c->w = (ortho_matrix){.rows = c->job.n,
                          .cols = c->job.k,
                          .stride = c->job.k,
                          .dtype = c->job.w_dtype,
                          .data = c->map};
    c->hessian = c->job.hessian ? (const float *)(c->map + at[1]) : NULL;
    c->split = (ortho_split){.n = c->job.n,
                             .k = c->job.k,
                             .nnz = c->job.nnz,
                             .group = c->job.group,
                             .q = c->map + at[2],
                             .scale = (uint16_t *)(c->map + at[3]),
                             .row_ptr = (int32_t *)(c->map + at[4]),
                             .col = c->map + at[5],
                             .val = (uint16_t *)(c->map + at[6])};
    return ORTHO_OK;
}

/* Linux forgets VmHWM on request; where it doesn't, the mark includes prepare, which is more. */
static void reset_high_water(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "5", 1) != 1)
            errno = 0;
        close(fd);
    }
}

static ortho_status run_gemm(child *c)
{
    const ortho_gemm_hooks *h = c->variant->gemm;
    const ob_memory_job *j = &c->job;
    size_t bytes = ortho_dtype_bytes(j->dtype);
    ortho_gemm_problem p = {.n = j->n,
                            .k = j->k,
                            .m = j->m,
                            .nnz = j->nnz,
                            .group = j->group,
                            .dtype = j->dtype,
                            .split = &c->split,
                            .w = &c->w,
                            .activations = j->activations};
    ortho_services *s = &c->services;
    void *state = s->alloc(s->ctx, h->state_size, ORTHO_HOST, ORTHO_WORKING);
    void *x = s->alloc(s->ctx, (size_t)(j->m * j->k) * bytes, ORTHO_HOST, ORTHO_WORKING);
    void *y = s->alloc(s->ctx, (size_t)(j->m * j->n) * bytes, ORTHO_HOST, ORTHO_WORKING);
    ortho_status status = state != NULL && x != NULL && y != NULL ? ORTHO_OK : ORTHO_E_MEMORY;
    if (status == ORTHO_OK) {
        memset(state, 0, h->state_size);
        memset(x, 0, (size_t)(j->m * j->k) * bytes);
        status = h->prepare(state, &p, s);
    }
    if (status != ORTHO_OK)
        return status;
    munmap(c->map, c->mapped);
    size_t workspace = h->workspace != NULL ? h->workspace(state, j->m, j->dtype) : 0;
    ortho_gemm_call call = {.x = x,
                            .y = y,
                            .dtype = j->dtype,
                            .m = j->m,
                            .alpha = (float)j->alpha,
                            .workspace = s->alloc(s->ctx, workspace, ORTHO_HOST, ORTHO_WORKING),
                            .threads = j->threads};
    reset_high_water();
    return call.workspace != NULL ? h->run(state, &call) : ORTHO_E_MEMORY;
}

static ortho_status run_sieve(child *c)
{
    const ortho_sieve_hooks *h = c->variant->sieve;
    ortho_sieve_problem p = {.w = &c->w,
                             .hessian = c->hessian,
                             .density = c->job.density,
                             .nnz = c->job.nnz,
                             .rule = c->job.rule,
                             .group = c->job.problem_group};
    ortho_services *s = &c->services;
    void *state = s->alloc(s->ctx, h->state_size, ORTHO_HOST, ORTHO_WORKING);
    if (state == NULL)
        return ORTHO_E_MEMORY;
    memset(state, 0, h->state_size);
    ortho_status status = h->prepare(state, &p, s);
    if (status != ORTHO_OK)
        return status;
    reset_high_water();
    return h->run(state, &p, s);
}

/* The process ends here, so nothing is given back: the mark has been read by then. */
int ob_memory_child(int argc, char **argv)
{
    child c = {.services = {0}};
    ortho_status status = parse_job(argc, argv, &c);
    if (status == ORTHO_OK)
        status = map_blob(&c);
    if (status == ORTHO_OK) {
        c.services = ortho_account_services(NULL, c.job.threads);
        status = c.job.sieve ? run_sieve(&c) : run_gemm(&c);
    }
    if (status != ORTHO_OK) {
        printf("%s\n", ortho_last_message());
        return 1;
    }
    printf("%zu\n", ob_environment_max_rss());
    return 0;
}
