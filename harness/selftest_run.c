/* The self-test on this machine's GPU. */
#include "harness/selftest_kernels.h"

#include "common/error.h"

#include <math.h>
#include <string.h>

/* Those of one kernel, or all for OB_SELFTEST_KERNELS, weren't read. */
static void give_up(ob_selftest_result *results, ob_selftest_kernel kernel, const char *why)
{
    const ob_counter_value nothing = {.value = NAN, .code = -1, .reason = why};
    for (int i = 0; i < ob_selftest_count; i++)
        if (kernel == OB_SELFTEST_KERNELS || ob_selftests[i].kernel == kernel)
            ob_selftest_judge(&ob_selftests[i], 0, &nothing, &results[i]);
}

#ifdef ORTHO_HAVE_CUDA

#include "harness/backend.h"
#include "harness/evict.h"

#include <cuda_runtime_api.h>

enum { METRICS_MAX = 16 };

typedef struct bench {
    ob_selftest_memory memory;
    void *scratch; /* what the L2 is filled with before a kernel */
    size_t scratch_bytes, l2_bytes;
    ob_selftest_kernel kernel; /* whose turn it is */
    const char *metrics[METRICS_MAX];
    int metric_count;
} bench;

static ortho_status check(int error, const char *what)
{
    return error == cudaSuccess
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_DEVICE, "%s: %s", what, cudaGetErrorString((cudaError_t)error));
}

/* ---- memory and launches --------------------------------------------------------------------- */

static void close_bench(bench *b)
{
    (void)cudaFree((void *)b->memory.from);
    (void)cudaFree(b->memory.to);
    (void)cudaFree(b->scratch);
}

static void *device_memory(size_t bytes)
{
    void *p = NULL;
    if (cudaMalloc(&p, bytes) == cudaSuccess && cudaMemset(p, 1, bytes) == cudaSuccess)
        return p;
    (void)cudaGetLastError();
    (void)cudaFree(p);
    return NULL;
}

static ortho_status open_bench(bench *b)
{
    b->l2_bytes = ob_backend_cuda.cache_bytes();
    b->scratch_bytes = 4 * b->l2_bytes;
    b->memory = (ob_selftest_memory){.from = device_memory(OB_SELFTEST_BYTES),
                                     .to = device_memory(OB_SELFTEST_BYTES),
                                     .bytes = OB_SELFTEST_BYTES};
    b->scratch = b->scratch_bytes > 0 ? device_memory(b->scratch_bytes) : NULL;
    if (b->memory.from != NULL && b->memory.to != NULL && b->scratch != NULL)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_MEMORY, "no device memory for the self-test (%zu MiB)",
                      (2 * OB_SELFTEST_BYTES + b->scratch_bytes) >> 20);
}

/* Nothing of what is copied is in the L2, and nothing there waits to be written. */
static ortho_status flush(void *ctx)
{
    const bench *b = ctx;
    return check(ob_evict_launch(b->scratch, b->scratch_bytes, NULL), "emptying the L2");
}

static ortho_status launch(void *ctx)
{
    const bench *b = ctx;
    return check(ob_selftest_launch(b->kernel, &b->memory), "the self-test's kernel");
}

/* ---- counters -------------------------------------------------------------------------------- */

static int metric_number(const bench *b, const char *metric)
{
    for (int i = 0; i < b->metric_count; i++)
        if (strcmp(b->metrics[i], metric) == 0)
            return i;
    return -1;
}

static void list_metrics(bench *b)
{
    for (int i = 0; i < ob_selftest_count; i++) {
        const char *metric = ob_selftests[i].metric;
        if (metric != NULL && metric_number(b, metric) < 0 && b->metric_count < METRICS_MAX)
            b->metrics[b->metric_count++] = metric;
    }
}

static void count_kernel(bench *b, ob_counters *counters, ob_selftest_kernel kernel,
                         ob_selftest_result *results)
{
    ob_counter_value values[METRICS_MAX];
    const ob_counted counted = {.ctx = b, .before = flush, .launch = launch};
    int ranges = 0;
    b->kernel = kernel;
    if (ob_counters_measure(counters, OB_RANGE_KERNELS, &counted, 1, values, &ranges) != ORTHO_OK) {
        give_up(results, kernel, ortho_last_message());
        return;
    }
    if (ranges < 1) {
        give_up(results, kernel, "the counters saw no kernel");
        return;
    }
    for (int i = 0; i < ob_selftest_count; i++)
        if (ob_selftests[i].kernel == kernel && ob_selftests[i].metric != NULL)
            ob_selftest_judge(&ob_selftests[i], b->l2_bytes,
                              &values[metric_number(b, ob_selftests[i].metric)], &results[i]);
}

static void count(bench *b, ob_selftest_result *results)
{
    ob_counters *counters = NULL;
    list_metrics(b);
    if (ob_counters_open(b->metrics, b->metric_count, &counters) != ORTHO_OK) {
        give_up(results, OB_SELFTEST_KERNELS, ortho_last_message());
        return;
    }
    for (int kernel = 0; kernel < OB_SELFTEST_KERNELS; kernel++)
        count_kernel(b, counters, (ob_selftest_kernel)kernel, results);
    ob_counters_close(counters);
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* Mean active lanes over the ramp's loop. */
static ortho_status read_lanes(bench *b, double *lanes)
{
    ob_instruction_report report = {0};
    b->kernel = OB_SELFTEST_RAMP;
    ortho_status status = ob_instructions_start(OB_INSTRUCTIONS_COUNTED);
    if (status != ORTHO_OK)
        return status;
    status = launch(b);
    if (status == ORTHO_OK)
        status = ob_instructions_read(&report);
    if (status == ORTHO_OK)
        *lanes = ob_selftest_lanes(&report, ob_selftest_loop());
    if (status == ORTHO_OK && isnan(*lanes))
        status = ortho_fail(ORTHO_E_UNSUPPORTED, "none of %zu instructions is on the loop's lines",
                            report.count);
    ob_instructions_clear(&report);
    ob_instructions_stop();
    return status;
}

static void count_lanes(bench *b, ob_selftest_result *results)
{
    ob_counter_value value = {.value = NAN};
    if (read_lanes(b, &value.value) != ORTHO_OK) {
        value.code = -1;
        value.reason = ortho_last_message();
    }
    for (int i = 0; i < ob_selftest_count; i++)
        if (ob_selftests[i].metric == NULL)
            ob_selftest_judge(&ob_selftests[i], b->l2_bytes, &value, &results[i]);
}

void ob_selftest_run(ob_selftest_result *results)
{
    char why[256];
    bench b = {0};
    give_up(results, OB_SELFTEST_KERNELS, "not run");
    if (!ob_backend_cuda.available(why)) {
        give_up(results, OB_SELFTEST_KERNELS, why);
        return;
    }
    (void)ob_instructions_prepare(); /* if it fails, so does their start, with words */
    if (open_bench(&b) == ORTHO_OK) {
        count(&b, results);
        count_lanes(&b, results);
    } else {
        give_up(results, OB_SELFTEST_KERNELS, ortho_last_message());
    }
    close_bench(&b);
}

#else

void ob_selftest_run(ob_selftest_result *results)
{
    give_up(results, OB_SELFTEST_KERNELS, "this ortho-bench was built without CUDA");
}

#endif
