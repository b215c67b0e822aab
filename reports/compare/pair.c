#include "reports/compare/pair.h"

#include "common/error.h"
#include "reports/json_set.h"
#include "reports/model.h"
#include "reports/text.h"

#include <stdlib.h>
#include <string.h>

/* A value as text, that the caller frees: "" for what is absent. */
static char *text_of(const json_t *value)
{
    char digits[32];
    if (json_is_string(value))
        return ortho_text_clean(json_string_value(value));
    if (json_is_number(value))
        return strdup(ortho_text_number(json_number_value(value), digits));
    return strdup(json_is_true(value) ? "true" : json_is_false(value) ? "false" : "");
}

/* What it is called, and where it stands in a document. */
typedef struct place {
    const char *what, *path;
} place;

static const place identity[] = {{"model", "context.model.hash"}};
static const place remarks[] = {{"driver", "context.gpu.driver"},
                                {"CUDA", "context.gpu.cuda_runtime"},
                                {"compiler", "context.compiler"},
                                {"flags", "context.flags"},
                                {"host", "context.host"},
                                {"governor", "context.cpu.governor"},
                                {"seed", "context.seed"},
                                {"threads", "context.options.threads"},
                                {"engine", "context.engine"},
                                {"power limit", "context.gpu.power_limit_w"},
                                {"Hessian", "context.options.hessian"}};

static void refuse(json_t *refused, const char *key, const char *what, const char *a, const char *b)
{
    json_t *one = json_object();
    ortho_json_text(one, "key", key);
    ortho_json_text(one, "what", what);
    ortho_json_text(one, "a", a);
    ortho_json_text(one, "b", b);
    json_array_append_new(refused, one);
}

static bool refuse_values(json_t *refused, const char *key, const char *what, const json_t *a,
                          const json_t *b)
{
    if (json_equal(a, b))
        return false;
    char *left = text_of(a), *right = text_of(b);
    bool differ = left == NULL || right == NULL || strcmp(left, right) != 0;
    if (differ)
        refuse(refused, key, what, left != NULL ? left : "?", right != NULL ? right : "?");
    free(left);
    free(right);
    return differ;
}

size_t ortho_refuse_documents(const json_t *a, const json_t *b, json_t *refused)
{
    size_t before = json_array_size(refused);
    const char *left = ortho_model_device(a), *right = ortho_model_device(b);
    if (left == NULL || right == NULL || strcmp(left, right) != 0)
        refuse(refused, "*", "device", left != NULL ? left : "none told",
               right != NULL ? right : "none told");
    else if (!ortho_model_on_gpu(a)) /* hypervisors give one name to processors of any size */
        refuse_values(refused, "*", "number of cores", ortho_model_at(a, "context.cpu.cores"),
                      ortho_model_at(b, "context.cpu.cores"));
    for (size_t i = 0; i < sizeof identity / sizeof *identity; i++)
        refuse_values(refused, "*", identity[i].what, ortho_model_at(a, identity[i].path),
                      ortho_model_at(b, identity[i].path));
    return json_array_size(refused) - before;
}

/* One document twice is no second observation: its spread is 0, which would prove anything. */
static ortho_status check_twice(const ortho_compare_side *side)
{
    for (size_t i = 1; i < side->count; i++)
        for (size_t j = 0; j < i; j++)
            if (json_equal(side->documents[i], side->documents[j]))
                return ortho_fail(ORTHO_E_ARGUMENT,
                                  "%s and %s are the same results: they count once, leave one out",
                                  side->files[j], side->files[i]);
    return ORTHO_OK;
}

ortho_status ortho_side_check(const ortho_compare_side *side)
{
    json_t *refused = json_array();
    ortho_status status = ORTHO_OK;
    for (size_t i = 1; status == ORTHO_OK && i < side->count; i++)
        if (ortho_refuse_documents(side->documents[0], side->documents[i], refused) > 0) {
            const json_t *one = json_array_get(refused, 0);
            status = ortho_fail(ORTHO_E_ARGUMENT,
                                "%s and %s are no one side: another %s, %.80s and %.80s",
                                side->files[0], side->files[i], ortho_model_string(one, "what"),
                                ortho_model_string(one, "a"), ortho_model_string(one, "b"));
        }
    json_decref(refused);
    return status == ORTHO_OK ? check_twice(side) : status;
}

ortho_status ortho_side_cases(const ortho_compare_side *side, json_t **out)
{
    json_t *cases = json_object();
    bool ok = cases != NULL;
    for (size_t d = 0; ok && d < side->count; d++) {
        size_t i;
        json_t *row, *rows = json_object_get(side->documents[d], "results");
        json_t *seen = json_object();
        ok = seen != NULL;
        json_array_foreach(rows, i, row)
        {
            const char *key = ortho_model_string(row, "key");
            if (!ok || key == NULL || json_object_get(seen, key) != NULL)
                continue; /* a key that a document has twice names no case */
            json_object_set_new(seen, key, json_true());
            if (json_object_get(cases, key) == NULL)
                ok = json_object_set_new(cases, key, json_array()) == 0;
            ok = ok && json_array_append(json_object_get(cases, key), row) == 0;
        }
        json_decref(seen);
    }
    if (!ok) {
        json_decref(cases);
        return ortho_fail(ORTHO_E_MEMORY, "no memory to pair cases");
    }
    *out = cases;
    return ORTHO_OK;
}

/* ---- rows of one key ------------------------------------------------------------------------- */

/* Rows that agree in these are of one thing in two settings. */
static const char *const thing[] = {"op", "variant", "backend", "layer", "proj", "tensor", "m"};
/* And in the form of a pass, which documents didn't always tell. */
static const char *const setting[] = {"density", "l2",    "rule",       "group",
                                      "dtype",   "alpha", "ortho_rows", "activations"};

static bool refuse_row(const char *key, const json_t *a, const json_t *b, json_t *refused)
{
    static const char *const same[] = {"n", "k", "nnz", "synthetic"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (refuse_values(refused, key, same[i], json_object_get(a, same[i]),
                          json_object_get(b, same[i])))
            return true;
    for (size_t i = 0; i < sizeof setting / sizeof *setting; i++) {
        const json_t *left = json_object_get(a, setting[i]),
                     *right = json_object_get(b, setting[i]);
        if (left != NULL && right != NULL && refuse_values(refused, key, setting[i], left, right))
            return true;
    }
    return false;
}

bool ortho_refuse_rows(const char *key, const json_t *a_rows, const json_t *b_rows, json_t *refused)
{
    size_t i;
    const json_t *row, *first = json_array_get(b_rows, 0);
    json_array_foreach(a_rows, i, row) if (refuse_row(key, row, first, refused)) return true;
    first = json_array_get(a_rows, 0);
    json_array_foreach(b_rows, i, row) if (refuse_row(key, first, row, refused)) return true;
    return false;
}

/* ---- cases that one side alone has ----------------------------------------------------------- */

/* What a row is of, as text that the caller frees. */
static char *thing_of(const json_t *row)
{
    json_t *values = json_array();
    for (size_t i = 0; i < sizeof thing / sizeof *thing; i++) {
        json_t *value = json_object_get(row, thing[i]);
        json_array_append(values, value != NULL ? value : json_null());
    }
    const char *form = ortho_model_form(row);
    json_array_append_new(values, form != NULL ? json_string(form) : json_null());
    char *text = json_dumps(values, JSON_COMPACT);
    json_decref(values);
    return text;
}

/* {"thing": [row, ...]} of cases: sides of thousands of cases that share no key would take minutes
 * if each were held against each. NULL without memory. */
static json_t *by_thing(const json_t *cases)
{
    const char *key;
    json_t *rows, *found = json_object();
    bool ok = found != NULL;
    json_object_foreach((json_t *)cases, key, rows)
    {
        char *name = ok ? thing_of(json_array_get(rows, 0)) : NULL;
        ok = name != NULL;
        if (ok && json_object_get(found, name) == NULL)
            ok = json_object_set_new(found, name, json_array()) == 0;
        ok = ok && json_array_append(json_object_get(found, name), json_array_get(rows, 0)) == 0;
        free(name);
    }
    if (ok)
        return found;
    json_decref(found);
    return NULL;
}

/* Refuses the case of `row` by the first row of `others` that is the same thing in another setting;
 * false where there is none. */
static bool refuse_by(const char *key, const json_t *row, const json_t *others, json_t *refused)
{
    size_t at;
    const json_t *against;
    char *name = thing_of(row);
    const json_t *alike = name != NULL ? json_object_get(others, name) : NULL;
    free(name);
    json_array_foreach(alike, at, against)
    {
        for (size_t i = 0; i < sizeof setting / sizeof *setting; i++)
            if (refuse_values(refused, key, setting[i], json_object_get(row, setting[i]),
                              json_object_get(against, setting[i])))
                return true;
    }
    return false;
}

/* The cases of `from` that `in` hasn't got. */
static json_t *alone(const json_t *from, const json_t *in)
{
    const char *key;
    json_t *rows, *found = json_object();
    json_object_foreach((json_t *)from, key, rows) if (json_object_get(in, key) == NULL)
        json_object_set(found, key, rows);
    return found;
}

ortho_status ortho_refuse_alone(const json_t *a, const json_t *b, json_t *out)
{
    const char *key;
    json_t *rows, *left = alone(a, b), *right = alone(b, a);
    json_t *left_things = by_thing(left), *right_things = by_thing(right);
    json_t *refused = json_object_get(out, "refused");
    json_t *only_a = json_object_get(out, "only_a"), *only_b = json_object_get(out, "only_b");
    bool ok = left_things != NULL && right_things != NULL;
    json_object_foreach(
        left, key, rows) if (ok && !refuse_by(key, json_array_get(rows, 0), right_things, refused))
        ok = json_array_append_new(only_a, json_string(key)) == 0;
    /* What was refused from a's side isn't told a second time from b's. */
    json_object_foreach(right, key, rows)
    {
        json_t *told = json_array();
        if (ok && !refuse_by(key, json_array_get(rows, 0), left_things, told))
            ok = json_array_append_new(only_b, json_string(key)) == 0;
        json_decref(told);
    }
    json_decref(left);
    json_decref(right);
    json_decref(left_things);
    json_decref(right_things);
    return ok ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory to pair cases");
}

/* To 80 bytes of whole characters. */
static void shorten(char *text)
{
    if (text == NULL || strlen(text) <= 80)
        return;
    text[80] = '\0';
    ortho_text_trim(text);
}

json_t *ortho_compare_notes(const json_t *a, const json_t *b)
{
    json_t *notes = json_array();
    for (size_t i = 0; i < sizeof remarks / sizeof *remarks; i++) {
        char *left = text_of(ortho_model_at(a, remarks[i].path));
        char *right = text_of(ortho_model_at(b, remarks[i].path));
        bool differ = left != NULL && right != NULL && strcmp(left, right) != 0;
        shorten(left);
        shorten(right);
        if (differ)
            json_array_append_new(notes, json_sprintf("%s: %s in a, %s in b", remarks[i].what,
                                                      *left != '\0' ? left : "not told",
                                                      *right != '\0' ? right : "not told"));
        free(left);
        free(right);
    }
    return notes;
}
