/*
 * formula.h: small arithmetic over named values: + - * / and parentheses. What can't be computed
 * has no value and says why; it is never infinite.
 */
#ifndef ORTHO_HARNESS_FORMULA_H
#define ORTHO_HARNESS_FORMULA_H

#include <ortho/ortho.h>
#include <stdbool.h>

#define OB_FORMULA_NAME  48 /* bytes of a name, with its end */
#define OB_FORMULA_DEPTH 32 /* parentheses and signs within one another */

typedef struct ob_formula_value {
    double value;    /* finite */
    const char *why; /* why there is no value, static storage; NULL: there is one */
} ob_formula_value;

/* Sets *out to what a name stands for. Fails, with a message, for a name that means nothing: the
 * formula then fails with that status. */
typedef ortho_status (*ob_formula_lookup)(void *ctx, const char *name, ob_formula_value *out);

/* Division by zero, a result that isn't finite and a name without value give OK and a `why`: that
 * of the first that was met. ARGUMENT, with the column, for text that is no formula. Reads all of
 * the text whatever comes of it, so that a lookup that knows the names is a check. */
ortho_status ob_formula_evaluate(const char *text, ob_formula_lookup lookup, void *ctx,
                                 ob_formula_value *out);

#endif
