/*
 * Linears that share x: q, k and v; gate and up. A token's linear is over in microseconds, and a
 * launch apiece leaves the memory idle between them, so a variant that can runs them in one. Each
 * layer keeps its own weights, alpha and workspace: nothing is concatenated.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "lib/forward.h"

typedef struct group {
    int count;
    ortho_forward part[ORTHO_GROUP_MAX];
} group;

/* ---- what the caller gave -------------------------------------------------------------------- */

static ortho_status check_layer(const ortho_layer *first, const ortho_layer *layer, int i)
{
    ortho_status status = ortho_forward_check_together(first, layer, "layer", i);
    if (status == ORTHO_OK && layer->facts.k != first->facts.k)
        status =
            ortho_fail(ORTHO_E_ARGUMENT,
                       "layer %d has k = %lld and layer 0 %lld: layers that share x agree in k", i,
                       (long long)layer->facts.k, (long long)first->facts.k);
    return status;
}

static ortho_status check_layers(const ortho_layer *const *layers, int32_t count)
{
    ortho_status status = ORTHO_OK;
    if (layers == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_group_forward: layers is NULL");
    if (count < 1 || count > ORTHO_GROUP_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "count is %d; it must be 1 to %d", (int)count,
                          ORTHO_GROUP_MAX);
    for (int i = 0; i < count && status == ORTHO_OK; i++)
        status = check_layer(layers[0], layers[i], i);
    return status;
}

/* y[i] against x, and against those before it. */
static ortho_status check_outputs(const group *g)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < g->count && status == ORTHO_OK; i++) {
        const ortho_forward *a = &g->part[i];
        const size_t tokens = (size_t)a->m * ortho_dtype_bytes(a->dtype);
        status = ortho_forward_check_memory(a->layer, a->x, a->m, a->dtype, a->y);
        if (status != ORTHO_OK)
            return ortho_fail_prefix(status, "layer %d", i);
        for (int j = 0; j < i; j++) {
            const ortho_forward *b = &g->part[j];
            if (ortho_forward_overlap(a->y, tokens * (size_t)a->layer->facts.n, b->y,
                                      tokens * (size_t)b->layer->facts.n))
                return ortho_fail(ORTHO_E_ARGUMENT, "y[%d] and y[%d] overlap", j, i);
        }
    }
    return status;
}

static ortho_status check_sides(const group *g)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < g->count && status == ORTHO_OK; i++) {
        const ortho_forward *f = &g->part[i];
        status = ortho_forward_check_sides(f->layer, f->x, f->y);
        if (status != ORTHO_OK)
            status = ortho_fail_prefix(status, "layer %d", i);
    }
    return status;
}

/* ---- the work -------------------------------------------------------------------------------- */

/* Does one variant serve them all, with a hook for it? On the CPU workspaces are sized for a
 * layer's threads, so these must agree, too. */
static bool is_one_launch(const group *g)
{
    const ortho_forward *first = &g->part[0];
    bool same = first->server->variant->gemm->run_group != NULL && g->count > 1;
    for (int i = 1; i < g->count; i++)
        same = same && g->part[i].server->variant == first->server->variant &&
               (first->layer->gpu != NULL || g->part[i].layer->threads == first->layer->threads);
    return same;
}

static ortho_status run_together(const group *g)
{
    const ortho_forward *first = &g->part[0];
    const void *states[ORTHO_GROUP_MAX];
    ortho_gemm_call calls[ORTHO_GROUP_MAX];
    ortho_status status = ORTHO_OK;
    for (int64_t t = 0; t < first->m && status == ORTHO_OK; t += first->piece) {
        for (int i = 0; i < g->count; i++) {
            states[i] = g->part[i].server->state;
            calls[i] = ortho_forward_piece(&g->part[i], t);
            calls[i].threads = first->layer->threads;
        }
        status = first->server->variant->gemm->run_group(states, calls, g->count);
    }
    return status;
}

static ortho_status run_in_turn(const group *g)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < g->count && status == ORTHO_OK; i++) {
        status = ortho_forward_run(&g->part[i]);
        if (status != ORTHO_OK)
            status = ortho_fail_prefix(status, "layer %d", i);
    }
    return status;
}

/* All alike, as the one with the shortest pieces is: a launch takes the same tokens of each. */
static void cut(group *g)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < g->count; i++) {
        const int64_t piece = ortho_forward_piece_tokens(&g->part[i]);
        least = piece < least ? piece : least;
    }
    for (int i = 0; i < g->count; i++)
        g->part[i].piece = least;
}

/* All workspaces before the first launch: without memory every y stays as it was. */
static ortho_status run(group *g)
{
    ortho_status status = ORTHO_OK;
    int taken = 0;
    cut(g);
    while (taken < g->count && status == ORTHO_OK) {
        status = ortho_forward_take(&g->part[taken]);
        taken += status == ORTHO_OK;
    }
    if (status != ORTHO_OK)
        status = ortho_fail_prefix(status, "layer %d", taken);
    else
        status = is_one_launch(g) ? run_together(g) : run_in_turn(g);
    while (taken > 0) {
        ortho_status given = ortho_forward_give(&g->part[--taken]);
        status = status != ORTHO_OK ? status : given;
    }
    return status;
}

static ortho_status check_call(const ortho_layer *const *layers, int32_t count,
                               const ortho_forward *asked)
{
    ortho_status status = check_layers(layers, count);
    if (status == ORTHO_OK && asked->m < 0)
        status = ortho_fail(ORTHO_E_ARGUMENT, "m is %lld; it must be >= 0", (long long)asked->m);
    if (status == ORTHO_OK)
        status = ortho_forward_check_dtype(asked->dtype);
    if (status == ORTHO_OK)
        status = ortho_forward_check_stream(layers[0], asked->stream);
    return status;
}

static ortho_status fill(group *g, const ortho_layer *const *layers, const ortho_forward *asked,
                         void *const *y)
{
    if (asked->x == NULL || y == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "ortho_group_forward: %s is NULL",
                          y == NULL ? "y" : "x");
    for (int i = 0; i < g->count; i++) {
        if (y[i] == NULL)
            return ortho_fail(ORTHO_E_ARGUMENT, "y[%d] is NULL", i);
        g->part[i] = *asked;
        g->part[i].layer = layers[i];
        g->part[i].server = ortho_forward_server(layers[i], asked->m);
        g->part[i].y = y[i];
    }
    return check_outputs(g);
}

ORTHO_API ortho_status ortho_group_forward(const ortho_layer *const *layers, int32_t count,
                                           const void *x, int64_t m, ortho_dtype dtype,
                                           void *const *y, void *stream)
{
    const ortho_forward asked = {.x = x, .m = m, .dtype = dtype, .stream = stream};
    group g = {.count = count};
    ortho_gpu_scope scope;
    ortho_status status = check_call(layers, count, &asked);
    if (status != ORTHO_OK || m == 0)
        return status;
    status = fill(&g, layers, &asked, y);
    if (status == ORTHO_OK)
        status = ortho_layer_enter(layers[0], &scope);
    if (status != ORTHO_OK)
        return status;
    status = check_sides(&g);
    if (status == ORTHO_OK)
        status = run(&g);
    ortho_layer_leave(layers[0], &scope);
    return status;
}
