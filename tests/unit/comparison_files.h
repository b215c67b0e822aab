/* comparison_files.h: results made up for comparisons, and a random source of known distribution.
 */
#ifndef ORTHO_TESTS_COMPARISON_FILES_H
#define ORTHO_TESTS_COMPARISON_FILES_H

#include "common/random.h"
#include "reports/compare/compare.h"

#include <math.h>
#include <stdlib.h>

static inline double uniform(ortho_random *g)
{
    return ((double)(ortho_random_next(g) >> 11) + 0.5) / 9007199254740992.0;
}

/* Box and Muller's. */
static inline double normal(ortho_random *g)
{
    double radius = sqrt(-2 * log(uniform(g)));
    return radius * cos(6.283185307179586 * uniform(g));
}

/* How a made-up machine times: every standard deviation is a share of the time. */
typedef struct machine {
    double between; /* processes, a normal factor of each */
    double noise;   /* samples within a process */
    double memory;  /* how much of a sample's noise its neighbour inherits: AR(1) */
    double spikes;  /* probability that something else took half as long again */
    size_t processes, samples;
} machine;

/* time_ns of one case on one side. */
static inline json_t *timed_case(const machine *m, double ns, ortho_random *g)
{
    json_t *samples = json_array(), *processes = json_array();
    for (size_t p = 0; p < m->processes; p++) {
        double own = exp(m->between * normal(g)), wave = normal(g);
        for (size_t i = 0; i < m->samples; i++) {
            wave = m->memory * wave + sqrt(1 - m->memory * m->memory) * normal(g);
            double spike = uniform(g) < m->spikes ? 1.5 : 1;
            json_array_append_new(samples, json_real(ns * own * spike * exp(m->noise * wave)));
        }
        json_array_append_new(processes, json_integer((json_int_t)m->samples));
    }
    return json_pack("{s:f, s:f, s:f, s:o, s:o}", "median", ns, "lo", ns, "hi", ns, "samples",
                     samples, "processes", processes);
}

static inline json_t *made_up_row(const char *variant, int layer, json_t *time)
{
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:f, s:i, s:s, s:i, s:s, "
                     "s:s, s:b, s:s, s:{s:s, s:s, s:f, s:f}, s:o, s:{s:i, s:i}}",
                     "key", json_sprintf("gemm/%s/cpu/L%d.gate/m1/d0.01", variant, layer), "op",
                     "gemm", "variant", variant, "role", "competitor", "backend", "cpu", "layer",
                     layer, "proj", "gate", "n", 64, "k", 64, "m", 1, "density", 0.01, "nnz", 40,
                     "rule", "outlier", "group", 128, "dtype", "fp32", "l2", "cold", "synthetic", 0,
                     "status", "ok", "verified", "before", "pass", "after", "pass", "rel_error",
                     1e-7, "tolerance", 1e-5, "time_ns", time, "peak_bytes", "working", 4096,
                     "weights", 65536);
}

static inline json_t *made_up_document(json_t *rows)
{
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s}, s:{s:s, s:s, s:b}}, s:o}", "schema",
                     "ortho-bench/1", "context", "commit", "1a2b3c4", "date",
                     "2026-11-24T21:40:00Z", "binary", "ortho-bench", "cpu", "model", "made up",
                     "model", "name", "m", "hash", "0123", "synthetic", 0, "results", rows);
}

static inline json_t *made_up_side(const machine *m, double ns, int cases, ortho_random *g)
{
    json_t *rows = json_array();
    for (int i = 0; i < cases; i++)
        json_array_append_new(rows, made_up_row("csr", i, timed_case(m, ns, g)));
    return made_up_document(rows);
}

static inline ortho_compare_options usual_options(int resamples)
{
    return (ortho_compare_options){.threshold = 0.02,
                                   .alpha = ORTHO_COMPARE_ALPHA,
                                   .confidence = ORTHO_COMPARE_CONFIDENCE,
                                   .spread = ORTHO_COMPARE_SPREAD,
                                   .spread_from = "nobody measured it: 3 %",
                                   .resamples = resamples,
                                   .seed = 1};
}

/* Compares two documents under the names a.json and b.json; takes both references. */
static inline json_t *compared(json_t *a, json_t *b, const ortho_compare_options *options)
{
    const char *names[] = {"a.json", "b.json"};
    json_t *out = NULL;
    ortho_compare_side left = {&a, &names[0], 1}, right = {&b, &names[1], 1};
    ortho_status status = ortho_compare(&left, &right, options, &out);
    json_decref(a);
    json_decref(b);
    return status == ORTHO_OK ? out : NULL;
}

#endif
