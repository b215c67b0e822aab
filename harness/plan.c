/*
 * Order: slice, then density, then the sieve, then the GEMM by batch, then variants as the table
 * has them; so that a session reads each slice once and keeps only that one.
 */
#include "harness/plan.h"

#include "common/error.h"
#include "harness/backend.h"
#include "harness/ways.h"
#include "kernels/sieve.h"
#include "variants/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIANTS_MAX = 256, WORDS = 1024 };

typedef struct selection {
    const ortho_variant *variant[VARIANTS_MAX];
    const char *plugin[VARIANTS_MAX];
    int count;
} selection;

const char *ob_dtype_word(ortho_dtype dtype)
{
    return dtype == ORTHO_F16 ? "fp16" : dtype == ORTHO_BF16 ? "bf16" : "fp32";
}

const char *ob_role_name(ortho_role role)
{
    static const char *const names[] = {"competitor", "baseline", "ceiling", "harness", "oracle"};
    return (unsigned)role <= ORTHO_ORACLE ? names[role] : "?";
}

/* ---- variants ------------------------------------------------------------------------------- */

static void add_word(char *words, const char *word)
{
    size_t used = strlen(words);
    snprintf(words + used, WORDS - used, "%s%s", used > 0 ? ", " : "", word);
}

static bool asked_for(const ob_words *asked, const char *name)
{
    for (int i = 0; i < asked->count; i++)
        if (strcmp(asked->item[i], name) == 0)
            return true;
    return false;
}

/* Whether a variant takes part: what was named, and always what prices the harness, draws the
 * ceiling and is the denominator. The oracle is slow: it runs when asked. */
static bool takes_part(const ob_options *o, const ortho_variant *v, bool plugin)
{
    bool everything = asked_for(&o->variants, "all");
    if (plugin || everything || asked_for(&o->variants, v->name))
        return true;
    if (v->role == ORTHO_COMPETITOR)
        return o->variants.count == 0;
    return v->role != ORTHO_ORACLE;
}

/* Does it do any of what was asked for? */
static bool does_any(const ob_options *o, const ortho_variant *v)
{
    if (o->ways)
        return v->gemm != NULL && v->gemm->ways != NULL;
    return (o->do_sieve && v->sieve != NULL) || (o->do_gemm && v->gemm != NULL);
}

/* One that was named and would be silently left out. */
static ortho_status check_operation(const ob_options *o, const ortho_variant *v)
{
    char words[WORDS] = "";
    if (!asked_for(&o->variants, v->name) || does_any(o, v))
        return ORTHO_OK;
    for (const ortho_variant *const *t = ortho_variant_table; *t != NULL; t++)
        if ((*t)->backend == v->backend && does_any(o, *t) && (*t)->role == ORTHO_COMPETITOR)
            add_word(words, (*t)->name);
    return ortho_fail(ORTHO_E_ARGUMENT, "--variant %s has no %s of its own on %s; these have: %s%s",
                      v->name,
                      o->ways       ? "ways to choose between"
                      : o->do_sieve ? "sieve"
                                    : "dual GEMM",
                      ob_backend_name(v->backend), words,
                      o->do_sieve ? " (the library's sieve serves every variant)" : "");
}

static ortho_status select_one(selection *s, const ortho_variant *v, const char *plugin)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->variant[i]->name, v->name) == 0)
            return ortho_fail(ORTHO_E_ARGUMENT, "%s: there is a variant '%s' already",
                              plugin != NULL ? plugin : "variants", v->name);
    if (s->count == VARIANTS_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "more than %d variants", VARIANTS_MAX);
    s->plugin[s->count] = plugin;
    s->variant[s->count++] = v;
    return ORTHO_OK;
}

static ortho_status check_names(const ob_options *o, const ob_plan *plan)
{
    for (int i = 0; i < o->variants.count; i++) {
        const char *name = o->variants.item[i];
        bool known = strcmp(name, "all") == 0;
        char words[WORDS] = "";
        for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
            if ((*v)->backend == plan->backend) {
                known = known || strcmp((*v)->name, name) == 0;
                add_word(words, (*v)->name);
            }
        for (int p = 0; p < plan->plugin_count; p++) {
            known = known || strcmp(plan->plugins[p].variant->name, name) == 0;
            add_word(words, plan->plugins[p].variant->name);
        }
        if (!known)
            return ortho_fail(ORTHO_E_ARGUMENT, "--variant %s: unknown on %s; known: %s, all", name,
                              ob_backend_name(plan->backend), words);
    }
    return ORTHO_OK;
}

static ortho_status select_variants(const ob_options *o, ob_plan *plan, selection *s)
{
    for (int i = 0; i < o->plugins.count; i++) {
        ob_plugin *p = &plan->plugins[plan->plugin_count];
        ortho_status status = ob_plugin_load(o->plugins.item[i], p);
        if (status != ORTHO_OK)
            return status;
        plan->plugin_count++;
        if (p->variant->backend != plan->backend)
            return ortho_fail(ORTHO_E_ARGUMENT, "%s: variant '%s' is for %s, this run is on %s",
                              p->path, p->variant->name, ob_backend_name(p->variant->backend),
                              ob_backend_name(plan->backend));
    }
    ortho_status status = check_names(o, plan);
    for (const ortho_variant *const *v = ortho_variant_table; status == ORTHO_OK && *v != NULL; v++)
        if ((*v)->backend == plan->backend && takes_part(o, *v, false)) {
            status = ob_variant_check(*v, "built-in");
            if (status == ORTHO_OK)
                status = check_operation(o, *v);
            if (status == ORTHO_OK)
                status = select_one(s, *v, NULL);
        }
    for (int i = 0; status == ORTHO_OK && i < plan->plugin_count; i++)
        status = select_one(s, plan->plugins[i].variant, plan->plugins[i].path);
    return status;
}

/* ---- backend -------------------------------------------------------------------------------- */

static bool backend_usable(ortho_backend kind, char why[256])
{
    int built = 0;
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
        built += (*v)->backend == kind;
    const ob_backend *b = ob_backend_find(kind);
    if (b == NULL || built == 0) {
        snprintf(why, 256, "this build has no %s variants", ob_backend_name(kind));
        return false;
    }
    return b->available(why);
}

static ortho_status choose_backend(const ob_options *o, ob_plan *plan)
{
    char why[256] = "";
    bool cuda = o->backend != OB_BACKEND_CPU && backend_usable(ORTHO_CUDA, why);
    if (o->backend == OB_BACKEND_CUDA && !cuda)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "--backend cuda: %s", why);
    plan->backend = cuda ? ORTHO_CUDA : ORTHO_CPU;
    plan->dtype = o->dtype != OB_DTYPE_AUTO ? o->dtype : cuda ? ORTHO_F16 : ORTHO_F32;
    if (o->backend == OB_BACKEND_AUTO)
        snprintf(plan->backend_note, sizeof plan->backend_note, "backend %s%s%.200s",
                 ob_backend_name(plan->backend), cuda ? "" : ": ", why);
    return ORTHO_OK;
}

/* ---- slices --------------------------------------------------------------------------------- */

static bool layer_wanted(const ob_options *o, int layer, int first)
{
    if (o->layers.count == 0)
        return o->pass != OB_PASS_NONE || layer == first;
    for (int i = 0; i < o->layers.count; i++)
        if ((int)o->layers.item[i] == layer)
            return true;
    return false;
}

static bool projection_wanted(const ob_options *o, const char *proj)
{
    return o->projections.count == 0 || asked_for(&o->projections, proj) ||
           asked_for(&o->projections, "all");
}

static ortho_status unknown_projection(const ortho_dataset *d, const char *asked)
{
    char words[WORDS] = "";
    for (int64_t i = 0; i < ortho_dataset_slices(d); i++) {
        const ortho_slice *s = ortho_dataset_slice(d, i);
        bool seen = false;
        for (int64_t j = 0; j < i && !seen; j++)
            seen = strcmp(ortho_dataset_slice(d, j)->proj, s->proj) == 0;
        if (!seen)
            add_word(words, s->proj);
    }
    return ortho_fail(ORTHO_E_ARGUMENT, "--proj %s: this model has %s", asked, words);
}

/* Every layer and projection that was named must exist somewhere. */
static ortho_status check_slices(const ob_options *o, const ortho_dataset *d)
{
    int64_t count = ortho_dataset_slices(d);
    if (count == 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s has no linear layer that this tool knows",
                          ortho_dataset_facts(d)->name);
    int low = ortho_dataset_slice(d, 0)->layer, high = low;
    for (int64_t i = 0; i < count; i++) {
        int layer = ortho_dataset_slice(d, i)->layer;
        low = layer < low ? layer : low;
        high = layer > high ? layer : high;
    }
    for (int l = 0; l < o->layers.count; l++) {
        bool found = false;
        for (int64_t i = 0; i < count && !found; i++)
            found = ortho_dataset_slice(d, i)->layer == (int)o->layers.item[l];
        if (!found)
            return ortho_fail(ORTHO_E_ARGUMENT, "--layers %d: this model has layers %d-%d",
                              (int)o->layers.item[l], low, high);
    }
    for (int p = 0; p < o->projections.count; p++) {
        bool found = strcmp(o->projections.item[p], "all") == 0;
        for (int64_t i = 0; i < count && !found; i++)
            found = strcmp(ortho_dataset_slice(d, i)->proj, o->projections.item[p]) == 0;
        if (!found)
            return unknown_projection(d, o->projections.item[p]);
    }
    return ORTHO_OK;
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void write_key(const ob_options *o, ob_case *c)
{
    char who[80], how[48];
    const char *backend = ob_backend_name(c->variant->backend), *dtype = ob_dtype_word(c->dtype);
    snprintf(who, sizeof who, "%s/%s", c->variant->name, backend);
    if (o->group == 0)
        snprintf(how, sizeof how, "%s/grow", ob_rule_name(o->rule));
    else
        snprintf(how, sizeof how, "%s/g%d", ob_rule_name(o->rule), o->group);
    char extras[64] = "";
    if (!c->sieve && c->activations == ORTHO_ACTIVATIONS_INT8)
        snprintf(extras, sizeof extras, "/int8");
    if (c->way > 0)
        snprintf(extras, sizeof extras, "/%.48s", c->variant->gemm->ways[c->way - 1]);
    if (!c->sieve && o->alpha != 1)
        snprintf(extras + strlen(extras), sizeof extras - strlen(extras), "/a%g", o->alpha);
    if (!c->sieve && strcmp(o->ortho_rows, "sieve") != 0)
        snprintf(extras + strlen(extras), sizeof extras - strlen(extras), "/%.40s", o->ortho_rows);
    bool formed = c->form != OB_FORM_SINGLE;
    if (c->pass)
        snprintf(c->key, sizeof c->key, "pass/%s/%s%s%s/m%lld/d%g/%s/%s%s", who,
                 ob_pass_name(o->pass), formed ? "-" : "", formed ? ob_form_name(c->form) : "",
                 (long long)c->m, c->density, how, dtype, extras);
    else if (c->sieve)
        snprintf(c->key, sizeof c->key, "sieve/%s/L%d.%s/d%g/%s/%s", who, c->slice->layer,
                 c->slice->proj, c->density, how, ob_l2_name(o->l2));
    else
        snprintf(c->key, sizeof c->key, "gemm/%s/L%d.%s/m%lld/d%g/%s/%s/%s%s", who, c->slice->layer,
                 c->slice->proj, (long long)c->m, c->density, how, dtype, ob_l2_name(o->l2),
                 extras);
}

void ob_case_at(const ob_options *o, const ortho_slice *slice, ob_case *c)
{
    c->slice = slice;
    c->group = o->group == 0 ? slice->k : o->group;
    c->nnz = ortho_sieve_budget(c->density, slice->n, slice->k);
}

static ortho_status add_case(const ob_options *o, ob_plan *plan, const ob_case *what)
{
    ob_case c = *what;
    c.dtype = plan->dtype;
    if (!c.pass)
        ob_case_at(o, c.slice, &c);
    write_key(o, &c);
    if (o->case_key != NULL && strcmp(o->case_key, c.key) != 0)
        return ORTHO_OK;
    if ((plan->count & (plan->count - 1)) == 0) {
        size_t capacity = plan->count > 0 ? 2 * (size_t)plan->count : 1;
        ob_case *grown = realloc(plan->cases, capacity * sizeof *grown);
        if (grown == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu cases", capacity);
        plan->cases = grown;
    }
    plan->cases[plan->count++] = c;
    return ORTHO_OK;
}

/* One variant, in every form. */
static ortho_status add_forms(const ob_options *o, ob_plan *plan, ob_case c)
{
    ortho_status status = ORTHO_OK;
    for (int f = 0; status == ORTHO_OK && f < OB_FORMS; f++) {
        c.form = (ob_form)(1 << f);
        if (c.pass ? (o->forms & c.form) != 0 : c.form == OB_FORM_SINGLE)
            status = add_case(o, plan, &c);
    }
    return status;
}

/* One variant, once or in each of its ways. */
static ortho_status add_ways(const ob_options *o, ob_plan *plan, ob_case c)
{
    ortho_status status = ORTHO_OK;
    if (!o->ways)
        return add_forms(o, plan, c);
    status = ob_ways_check(o->only_ways, c.variant);
    for (int w = 0; status == ORTHO_OK && c.variant->gemm->ways[w] != NULL; w++) {
        c.way = w + 1;
        status = add_case(o, plan, &c);
    }
    return status;
}

/* References aren't asked for a mode of activations: what a competitor's is held against stays the
 * same. */
static bool has_mode(const ob_options *o, const ob_case *c, ortho_activation_mode mode)
{
    bool chooses = !c->sieve && c->variant->role == ORTHO_COMPETITOR;
    return chooses ? (o->activations & 1 << mode) != 0 : mode == ORTHO_ACTIVATIONS_EXACT;
}

/* One group: every selected variant that does the operation, with activations of every mode. */
static ortho_status add_group(const ob_options *o, const selection *s, ob_plan *plan, ob_case c)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; status == ORTHO_OK && i < s->count; i++) {
        c.variant = s->variant[i];
        c.plugin = s->plugin[i];
        if ((c.sieve ? c.variant->sieve == NULL : c.variant->gemm == NULL) ||
            (o->ways && c.variant->gemm->ways == NULL))
            continue;
        for (int mode = 0; status == ORTHO_OK && mode < 2; mode++) {
            c.activations = (ortho_activation_mode)mode;
            if (has_mode(o, &c, c.activations))
                status = add_ways(o, plan, c);
        }
    }
    return status;
}

static ortho_status add_slice(const ob_options *o, const selection *s, ob_plan *plan,
                              const ortho_slice *slice, int *number)
{
    ortho_status status = ORTHO_OK;
    for (int d = 0; status == ORTHO_OK && d < o->densities.count; d++) {
        ob_case c = {.slice = slice, .density = o->densities.item[d]};
        if (o->do_sieve) {
            c.sieve = true;
            c.group_number = (*number)++;
            status = add_group(o, s, plan, c);
        }
        for (int b = 0; status == ORTHO_OK && o->do_gemm && b < o->batches.count; b++) {
            c.sieve = false;
            c.m = (int64_t)o->batches.item[b];
            c.group_number = (*number)++;
            status = add_group(o, s, plan, c);
        }
    }
    return status;
}

/* One group a density and batch, over all slices that are wanted. */
static ortho_status add_passes(const ob_options *o, const selection *s, ob_plan *plan)
{
    ortho_status status = ORTHO_OK;
    int number = 0;
    for (int d = 0; status == ORTHO_OK && d < o->densities.count; d++)
        for (int b = 0; status == ORTHO_OK && b < o->batches.count; b++) {
            ob_case c = {.pass = true, .density = o->densities.item[d]};
            c.m = (int64_t)o->batches.item[b];
            c.linears = plan->linear_count;
            for (int i = 0; i < plan->linear_count; i++)
                c.nnz += ortho_sieve_budget(c.density, plan->linears[i]->n, plan->linears[i]->k);
            c.group_number = number++;
            status = add_group(o, s, plan, c);
        }
    return status;
}

/* Of a shape one is enough to choose a way by. */
static bool is_repeated(const ob_options *o, const ob_plan *plan, const ortho_slice *s)
{
    bool found = false;
    for (int i = 0; o->ways && i < plan->linear_count; i++)
        found = found || (plan->linears[i]->n == s->n && plan->linears[i]->k == s->k);
    return found;
}

/* The wanted slices, in the model's order. */
static ortho_status list_linears(const ob_options *o, const ortho_dataset *d, ob_plan *plan)
{
    int64_t all = ortho_dataset_slices(d);
    plan->linears = calloc((size_t)all + 1, sizeof *plan->linears);
    if (plan->linears == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the plan");
    int first = all > 0 ? ortho_dataset_slice(d, 0)->layer : 0;
    for (int64_t i = 0; i < all; i++) {
        const ortho_slice *s = ortho_dataset_slice(d, i);
        if (layer_wanted(o, s->layer, first) && projection_wanted(o, s->proj) &&
            !is_repeated(o, plan, s))
            plan->linears[plan->linear_count++] = s;
    }
    return ORTHO_OK;
}

static ortho_status add_slices(const ob_options *o, const selection *s, ob_plan *plan)
{
    ortho_status status = ORTHO_OK;
    int number = 0;
    for (int i = 0; status == ORTHO_OK && i < plan->linear_count; i++)
        status = add_slice(o, s, plan, plan->linears[i], &number);
    return status;
}

ortho_status ob_plan_make(const ob_options *o, const ortho_dataset *dataset, ob_plan *out)
{
    ob_plan plan = {.backend = ORTHO_CPU};
    selection *chosen = calloc(1, sizeof *chosen);
    ortho_status status =
        chosen != NULL ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory for the plan");
    if (status == ORTHO_OK)
        status = choose_backend(o, &plan);
    if (status == ORTHO_OK)
        status = select_variants(o, &plan, chosen);
    if (status == ORTHO_OK)
        status = check_slices(o, dataset);
    if (status == ORTHO_OK)
        status = list_linears(o, dataset, &plan);
    if (status == ORTHO_OK)
        status =
            o->pass != OB_PASS_NONE ? add_passes(o, chosen, &plan) : add_slices(o, chosen, &plan);
    if (status == ORTHO_OK && plan.count == 0)
        status = o->case_key != NULL
                     ? ortho_fail(ORTHO_E_ARGUMENT,
                                  "--case %s: no such case under these options; --dry-run lists "
                                  "the keys",
                                  o->case_key)
                     : ortho_fail(ORTHO_E_ARGUMENT, "these options select no case");
    free(chosen);
    if (status != ORTHO_OK) {
        ob_plan_free(&plan);
        return status;
    }
    *out = plan;
    return ORTHO_OK;
}

const ortho_loop *ob_case_loop(const ob_case *c)
{
    return c->sieve ? c->variant->sieve->loop : c->variant->gemm->loop;
}

void ob_plan_free(ob_plan *plan)
{
    for (int i = 0; i < plan->plugin_count; i++)
        ob_plugin_unload(&plan->plugins[i]);
    free(plan->linears);
    free(plan->cases);
    *plan = (ob_plan){0};
}
