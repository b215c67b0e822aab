#include "harness/annotate_cases.h"

#include <string.h>

static bool is_named(const ob_options *o, const char *variant)
{
    for (int i = 0; i < o->variants.count; i++)
        if (strcmp(o->variants.item[i], variant) == 0)
            return true;
    return false;
}

/* Baselines and the like are in every plan: they are meant only where they are named. */
static bool is_meant(const ob_options *o, const ob_case *c)
{
    return o->variants.count > 0 ? is_named(o, c->variant->name) : c->plugin != NULL;
}

static bool alike(const ob_case *a, const ob_case *b)
{
    return a->variant == b->variant && a->sieve == b->sieve && a->pass == b->pass &&
           a->form == b->form;
}

bool ob_annotate_takes(const ob_options *o, const ob_plan *plan, int at, int *more)
{
    *more = 0;
    if (!is_meant(o, &plan->cases[at]))
        return false;
    for (int i = 0; i < at; i++)
        if (alike(&plan->cases[i], &plan->cases[at]))
            return false;
    for (int i = at + 1; i < plan->count; i++)
        *more += alike(&plan->cases[i], &plan->cases[at]);
    return true;
}
