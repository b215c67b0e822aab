/* Recursive descent: sum = product (+|- product)*, product = factor (*|/ factor)*. */
#include "harness/formula.h"

#include "common/error.h"
#include "harness/options_value.h"

#include <math.h>
#include <string.h>

#define NUMBER_MAX 32 /* bytes of a number, with its end */

typedef struct parser {
    const char *text, *at;
    ob_formula_lookup lookup;
    void *ctx;
    int depth;
} parser;

static ortho_status sum(parser *p, ob_formula_value *out);

static void skip_blanks(parser *p)
{
    p->at += strspn(p->at, " ");
}

static ortho_status refuse(const parser *p, const char *why)
{
    return ortho_fail(ORTHO_E_ARGUMENT, "column %d: %s", (int)(p->at - p->text) + 1, why);
}

/* Copies the next bytes that are all in `set`. */
static ortho_status take(parser *p, const char *set, char *out, size_t room)
{
    size_t length = strspn(p->at, set);
    if (length >= room)
        return refuse(p, "this word is too long");
    memcpy(out, p->at, length);
    out[length] = '\0';
    p->at += length;
    return ORTHO_OK;
}

static ortho_status number(parser *p, ob_formula_value *out)
{
    char word[NUMBER_MAX];
    const parser start = *p;
    ortho_status status = take(p, "0123456789.", word, sizeof word);
    if (status == ORTHO_OK && ob_parse_number(word, 0, 1e31, &out->value) != ORTHO_OK)
        status = refuse(&start, "no number");
    return status;
}

static ortho_status name(parser *p, ob_formula_value *out)
{
    char word[OB_FORMULA_NAME];
    ortho_status status = take(p, "abcdefghijklmnopqrstuvwxyz_0123456789", word, sizeof word);
    return status == ORTHO_OK ? p->lookup(p->ctx, word, out) : status;
}

static ortho_status parenthesis(parser *p, ob_formula_value *out)
{
    p->at++;
    ortho_status status = sum(p, out);
    if (status != ORTHO_OK)
        return status;
    if (*p->at != ')')
        return refuse(p, "a ) is missing");
    p->at++;
    return ORTHO_OK;
}

static ortho_status sign(parser *p, ob_formula_value *out);

/* Leaves the parser behind the blanks that follow. */
static ortho_status factor(parser *p, ob_formula_value *out)
{
    skip_blanks(p);
    if (p->depth >= OB_FORMULA_DEPTH)
        return refuse(p, "nested too deeply");
    p->depth++;
    *out = (ob_formula_value){0};
    ortho_status status;
    if (*p->at == '(')
        status = parenthesis(p, out);
    else if (*p->at == '-')
        status = sign(p, out);
    else if ((*p->at >= '0' && *p->at <= '9') || *p->at == '.')
        status = number(p, out);
    else if (*p->at >= 'a' && *p->at <= 'z')
        status = name(p, out);
    else
        status = refuse(p, *p->at == '\0' ? "it ends too early" : "a number or a name is missing");
    p->depth--;
    skip_blanks(p);
    return status;
}

static ortho_status sign(parser *p, ob_formula_value *out)
{
    p->at++;
    ortho_status status = factor(p, out);
    out->value = -out->value;
    return status;
}

static void combine(ob_formula_value *left, char operation, const ob_formula_value *right)
{
    if (left->why == NULL)
        left->why = right->why;
    if (left->why != NULL)
        return;
    if (operation == '/' && right->value == 0) {
        left->why = "division by zero";
        return;
    }
    left->value = operation == '+'   ? left->value + right->value
                  : operation == '-' ? left->value - right->value
                  : operation == '*' ? left->value * right->value
                                     : left->value / right->value;
    if (!isfinite(left->value))
        left->why = "too large a number";
}

/* One level of precedence: what `next` reads, joined by the two operations of `pair`. */
static ortho_status chain(parser *p, const char *pair,
                          ortho_status (*next)(parser *, ob_formula_value *), ob_formula_value *out)
{
    ortho_status status = next(p, out);
    while (status == ORTHO_OK && *p->at != '\0' && strchr(pair, *p->at) != NULL) {
        char operation = *p->at++;
        ob_formula_value right;
        status = next(p, &right);
        if (status == ORTHO_OK)
            combine(out, operation, &right);
    }
    return status;
}

static ortho_status product(parser *p, ob_formula_value *out)
{
    return chain(p, "*/", factor, out);
}

static ortho_status sum(parser *p, ob_formula_value *out)
{
    return chain(p, "+-", product, out);
}

ortho_status ob_formula_evaluate(const char *text, ob_formula_lookup lookup, void *ctx,
                                 ob_formula_value *out)
{
    parser p = {.text = text, .at = text, .lookup = lookup, .ctx = ctx};
    ob_formula_value value;
    ortho_status status = sum(&p, &value);
    if (status == ORTHO_OK && *p.at != '\0')
        status = refuse(&p, *p.at == ')' ? "a ) too many" : "an operation is missing");
    if (status != ORTHO_OK)
        return status;
    if (value.why == NULL && !isfinite(value.value))
        value.why = "not a number";
    if (value.why != NULL || value.value == 0)
        value.value = 0; /* no -0, which would print as one */
    *out = value;
    return ORTHO_OK;
}
