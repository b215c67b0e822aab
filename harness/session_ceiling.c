/*
 * The ceilings before anything else. Reads: the variants of role CEILING over a buffer much larger
 * than any slice's launch overhead, so that the floor of a small slice isn't drawn by the cost of
 * starting threads. Its rows aren't results; its rate is.
 */
#include "harness/session_internal.h"

#include "common/account.h"
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/split.h"
#include "variants/table.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 16 MiB of nibbles on the CPU; on a GPU ten times its cache, where 16 MiB take 5 us and a third of
 * them is the launch. */
enum { ROWS = 4096, COLUMNS = 8192, GROUP = 128, CACHES = 10 };

static int64_t rows_for(const ob_session *s)
{
    int64_t rows = s->backend->replays ? CACHES * (int64_t)s->cache_bytes / (COLUMNS / 2) : 0;
    return rows > ROWS ? rows : ROWS;
}

/* A split without entries and with a grid of zeros. */
static ortho_status zero_split(int64_t rows, const ortho_services *services, ortho_split *out)
{
    ortho_status status = ortho_split_alloc(rows, COLUMNS, GROUP, 0, services, ORTHO_OUTPUT, out);
    if (status != ORTHO_OK)
        return status;
    memset(out->q, 0, (size_t)rows * COLUMNS / 2);
    memset(out->scale, 0, (size_t)rows * (COLUMNS / GROUP) * sizeof *out->scale);
    return ORTHO_OK;
}

/* One case in a session of its own, whose rows aren't results; what it learns of ceilings comes
 * back to `s`. *row is a new reference, NULL when there is none. */
static ortho_status run_apart(ob_session *s, const ob_work *work, const ortho_split *split,
                              const ob_case *c, json_t **row)
{
    ob_session own = *s;
    own.progress = NULL;
    own.rows = json_array();
    own.wrong = own.skipped = own.ambiguous = own.ok = own.done = 0;
    if (own.rows == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for results");
    ortho_status status = ob_gemm_group(&own, work, split, -1, c, 1);
    s->read = own.read;
    s->scratch = own.scratch;
    s->scratch_bytes = own.scratch_bytes;
    *row = json_incref(json_array_get(own.rows, 0));
    if (own.wrong > 0)
        ob_say_note(s, "%s failed: %s", c->key, json_string_value(json_object_get(*row, "reason")));
    json_decref(own.rows);
    return status;
}

static ortho_status calibrate_reads(ob_session *s)
{
    const ortho_variant *v = ortho_variant_by_role(ORTHO_CEILING, s->plan.backend, false);
    if (v == NULL)
        return ORTHO_OK;
    int64_t rows = rows_for(s);
    ortho_account account = {0};
    ortho_services services = ortho_account_services(&account, s->threads);
    ortho_split split;
    ortho_status status = zero_split(rows, &services, &split);
    if (status != ORTHO_OK)
        return status;
    ortho_tensor tensor = {.name = "calibration"};
    ortho_slice slice = {.n = rows, .k = COLUMNS, .tensor = &tensor};
    ob_case c = {.key = "calibration of the read ceiling", .variant = v, .slice = &slice, .m = 1};
    ob_work work = {.slice = &slice, .w = {.rows = rows, .cols = COLUMNS, .stride = COLUMNS}};
    json_t *row = NULL;
    status = run_apart(s, &work, &split, &c, &row);
    json_decref(row);
    ortho_split_free(&split, &services);
    return status;
}

/* ---- tensor cores ---------------------------------------------------------------------------- */

/* Random weights (zeros run faster than any model would), one MiB of them over and over. */
static void fill_weights(void *data, ortho_dtype dtype, size_t bytes)
{
    enum { PATTERN = 1 << 20 };
    ob_fill_gaussian(data, dtype, PATTERN / 2, 7);
    for (size_t at = PATTERN; at < bytes; at += PATTERN)
        memcpy((char *)data + at, data, PATTERN);
}

/* The fastest sample's operations a nanosecond; 0 where there is none. */
static double best_rate(const json_t *row)
{
    double best = 0, flops = json_number_value(json_object_get(row, "flops"));
    const json_t *time = json_object_get(row, "time_ns"), *ns;
    size_t i;
    json_array_foreach(json_object_get(time, "samples"), i, ns)
    {
        double rate = flops / json_number_value(ns);
        best = rate > best ? rate : best;
    }
    return best;
}

/* What the baseline reaches on a product large enough to fill the chip. */
static ortho_status calibrate_products(ob_session *s)
{
    enum { SIDE = 8192, TOKENS = 4096 };
    const ortho_variant *v = ortho_variant_by_role(ORTHO_BASELINE, s->plan.backend, false);
    size_t bytes = (size_t)SIDE * SIDE * ortho_dtype_bytes(s->dtype);
    void *data = v != NULL ? malloc(bytes) : NULL;
    if (data == NULL)
        return ORTHO_OK; /* no ceiling, no floor from it */
    fill_weights(data, s->dtype, bytes);
    ortho_split split = {.n = SIDE, .k = SIDE, .group = SIDE}; /* a baseline reads W alone */
    ortho_tensor tensor = {.name = "calibration"};
    ortho_slice slice = {.n = SIDE, .k = SIDE, .tensor = &tensor};
    ob_case c = {
        .key = "calibration of the tensor ceiling", .variant = v, .slice = &slice, .m = TOKENS};
    ob_work work = {
        .slice = &slice,
        .w = {.rows = SIDE, .cols = SIDE, .stride = SIDE, .dtype = s->dtype, .data = data}};
    json_t *row = NULL;
    c.dtype = s->dtype;
    ortho_status status = run_apart(s, &work, &split, &c, &row);
    s->tensor = fmax(s->tensor, best_rate(row));
    json_decref(row);
    free(data);
    return status;
}

static bool has_large_batch(const ob_options *o)
{
    for (int i = 0; i < o->batches.count; i++)
        if (o->batches.item[i] >= 16)
            return true;
    return false;
}

ortho_status ob_ceilings_calibrate(ob_session *s)
{
    ortho_status status = calibrate_reads(s);
    bool products = s->backend->kind == ORTHO_CUDA && s->dtype != ORTHO_F32 && s->tensor == 0 &&
                    has_large_batch(s->options);
    return status == ORTHO_OK && products ? calibrate_products(s) : status;
}
