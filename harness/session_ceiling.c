/*
 * The read ceiling before anything else: the variants of role CEILING over a buffer much larger
 * than any slice's launch overhead, so that the floor of a small slice isn't drawn by the cost of
 * starting threads. Its rows aren't results; its rate is.
 */
#include "harness/session_internal.h"

#include "common/account.h"
#include "common/error.h"
#include "kernels/split.h"
#include "variants/table.h"

#include <jansson.h>
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

ortho_status ob_ceilings_calibrate(ob_session *s)
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
    /* A session of its own, from which only the rate comes back. */
    ob_session own = *s;
    own.progress = NULL;
    own.rows = json_array();
    own.wrong = own.skipped = own.ambiguous = own.ok = own.done = 0;
    status = own.rows != NULL ? ob_gemm_group(&own, &work, &split, -1, &c, 1)
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for results");
    s->read = own.read;
    s->scratch = own.scratch;
    s->scratch_bytes = own.scratch_bytes;
    if (own.wrong > 0)
        ob_say_note(s, "the read ceiling could not be calibrated: %s",
                    json_string_value(json_object_get(json_array_get(own.rows, 0), "reason")));
    json_decref(own.rows);
    ortho_split_free(&split, &services);
    return status;
}
