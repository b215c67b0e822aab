#include "harness/commands/gate.h"

#include "common/error.h"
#include "reports/model.h"
#include "reports/reports.h"

#include <jansson.h>
#include <unistd.h>

ortho_status ob_gate_compare(const ob_options *options, const ortho_compare_side *a,
                             const ortho_compare_side *b, json_t **out)
{
    bool given = options->process_spread > 0;
    ortho_compare_options how = {.threshold = options->threshold,
                                 .alpha = ORTHO_COMPARE_ALPHA,
                                 .confidence = ORTHO_COMPARE_CONFIDENCE,
                                 .spread = given ? options->process_spread : ORTHO_COMPARE_SPREAD,
                                 .spread_from = given ? "--process-spread"
                                                      : "assumed: nobody measured this machine",
                                 .resamples = ORTHO_COMPARE_RESAMPLES,
                                 .seed = 1};
    return ortho_compare(a, b, &how, out);
}

ortho_status ob_gate_print(const ob_options *options, const json_t *comparison, const char *path)
{
    const char *usual = path != NULL ? "json" : "table";
    const char *name = options->comparison_format != NULL ? options->comparison_format : usual;
    const ortho_writer *writer = ortho_comparison_writer_find(name);
    if (writer == NULL)
        return ortho_fail(ORTHO_E_INTERNAL, "no writer '%s' for comparisons in this build", name);
    ortho_writer_options how = {.color = ob_color_wanted(options->color, STDOUT_FILENO),
                                .width = ob_terminal_width(STDOUT_FILENO)};
    ortho_status status = ortho_report_write(comparison, writer, &how, path != NULL ? path : "-");
    if (status == ORTHO_E_IO && path == NULL && ob_reader_left(STDOUT_FILENO))
        return ORTHO_OK; /* it has seen enough */
    return status;
}

static void say_why_nothing(const json_t *comparison, const ob_log *log)
{
    const json_t *one = json_array_get(ortho_model_at(comparison, "refused"), 0);
    if (one != NULL)
        ob_log_error(log, "nothing to compare: %s is %s in a and %s in b",
                     ortho_model_string(one, "what"), ortho_model_string(one, "a"),
                     ortho_model_string(one, "b"));
    else
        ob_log_error(log, "nothing to compare: the sides share no case that has a time in both");
}

int ob_gate_exit(const ob_options *options, const json_t *comparison, const ob_log *log)
{
    switch (ortho_comparison_read(comparison)) {
    case ORTHO_COMPARISON_WRONG:
        return OB_EXIT_WRONG;
    case ORTHO_COMPARISON_SLOWER:
        return OB_EXIT_REGRESSION;
    case ORTHO_COMPARISON_AMBIGUOUS:
        return options->strict ? OB_EXIT_AMBIGUOUS : OB_EXIT_OK;
    case ORTHO_COMPARISON_NOTHING:
        say_why_nothing(comparison, log);
        return OB_EXIT_RUNTIME;
    default:
        return OB_EXIT_OK;
    }
}
