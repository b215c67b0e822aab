#include "variants/tuned.h"

#include <string.h>

/* ---- ways ----------------------------------------------------------------------------------- */

int ortho_way_find(const char *const *ways, const char *name)
{
    for (int i = 0; ways != NULL && ways[i] != NULL; i++)
        if (strcmp(ways[i], name) == 0)
            return i + 1;
    return 0;
}

const char *ortho_way_name(const char *const *ways, int way)
{
    int count = 0;
    while (ways != NULL && ways[count] != NULL)
        count++;
    return way >= 1 && way <= count ? ways[way - 1] : "?";
}

/* ---- how near ------------------------------------------------------------------------------- */

/* The larger over the smaller; 0 where that is farther than near. */
static double ratio_of(double a, double b)
{
    double ratio = a == b ? 1 : a < b ? b / a : a / b;
    return ratio <= ORTHO_TUNED_NEAR ? ratio : 0; /* of 0 and another it is infinite */
}

static bool same_groups(const ortho_tuned_shape *s, const ortho_tuned_query *q)
{
    return s->group == q->group || (s->group >= s->k && q->group >= q->k);
}

/* 0: not near. */
static double distance(const ortho_tuned_shape *s, const ortho_tuned_query *q)
{
    double n = (double)q->n, k = (double)q->k, density = (double)q->nnz / (n * k);
    if (!same_groups(s, q))
        return 0;
    return ratio_of((double)s->n, n) * ratio_of((double)s->k, k) * ratio_of(s->density, density);
}

/* ---- tables --------------------------------------------------------------------------------- */

static bool speaks_of(const ortho_tuned_table *t, const ortho_tuned_query *q)
{
    return t->backend == q->backend && strcmp(t->variant, q->variant) == 0;
}

static const ortho_tuned_table *find_table(const ortho_tuned_table *t, const ortho_tuned_query *q)
{
    char device[ORTHO_TUNED_DEVICE] = "";
    for (; t->variant != NULL; t++) {
        if (!speaks_of(t, q))
            continue;
        if (device[0] == '\0')
            q->device(device);
        if (strcmp(t->device, device) == 0 &&
            (t->threads == 0 || ratio_of(t->threads, q->threads) > 0))
            return t;
    }
    return NULL;
}

_Static_assert(ORTHO_F32 == 0 && ORTHO_F16 == 1 && ORTHO_BF16 == 2, "a dtype is its index");

static bool has_index(ortho_dtype dtype)
{
    return (unsigned)dtype < ORTHO_TUNED_DTYPES;
}

ortho_tuned ortho_tuned_find(const ortho_tuned_table *tables, const ortho_tuned_query *q)
{
    ortho_tuned found = {{NULL}};
    double least[ORTHO_TUNED_DTYPES] = {0};
    const ortho_tuned_table *t = find_table(tables, q);
    for (int i = 0; t != NULL && i < t->shapes; i++) {
        ortho_dtype at = t->shape[i].dtype;
        double far = distance(&t->shape[i], q);
        if (!has_index(at) || far == 0 || (found.of[at] != NULL && far >= least[at]))
            continue;
        found.of[at] = &t->shape[i];
        least[at] = far;
    }
    return found;
}

int ortho_tuned_way(const ortho_tuned *tuned, const char *const *ways, ortho_dtype dtype, int64_t m)
{
    const ortho_tuned_shape *s = has_index(dtype) ? tuned->of[dtype] : NULL;
    const char *way = NULL;
    double least = 0;
    for (int i = 0; s != NULL && i < s->rows; i++) {
        double far = ratio_of((double)s->row[i].m, (double)m);
        /* Rows ascend: between two that are as far the larger one, whose tiles have room. */
        if (far == 0 || (way != NULL && far > least))
            continue;
        way = s->row[i].way;
        least = far;
    }
    return way != NULL ? ortho_way_find(ways, way) : 0;
}
