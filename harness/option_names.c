/* The words for options' values, as results and keys have them. */
#include "harness/options.h"

const char *ob_rule_name(ortho_rule rule)
{
    static const char *const names[] = {[ORTHO_RULE_OUTLIER] = "outlier",
                                        [ORTHO_RULE_RESIDUAL] = "residual",
                                        [ORTHO_RULE_LEGACY] = "legacy"};
    return (unsigned)rule < 3 ? names[rule] : "?";
}

const char *ob_backend_name(ortho_backend backend)
{
    return backend == ORTHO_CPU ? "cpu" : backend == ORTHO_CUDA ? "cuda" : "?";
}

const char *ob_l2_name(ob_l2 l2)
{
    return l2 == OB_L2_COLD ? "cold" : l2 == OB_L2_WARM ? "warm" : "?";
}

const char *ob_pass_name(ob_pass pass)
{
    return pass == OB_PASS_DECODE ? "decode" : "none";
}

const char *ob_form_name(ob_form form)
{
    return form == OB_FORM_GROUPED      ? "grouped"
           : form == OB_FORM_PERSISTENT ? "persistent"
                                        : "single";
}
