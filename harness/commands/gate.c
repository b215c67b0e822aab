#include "harness/commands/gate.h"

#include "common/error.h"
#include "harness/spread.h"
#include "reports/compare/view.h"
#include "reports/model.h"
#include "reports/reports.h"

#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

ortho_status ob_gate_compare(const ob_options *options, const ortho_compare_side *a,
                             const ortho_compare_side *b, json_t **out)
{
    char from[128];
    double known = 0;
    json_t *variants = NULL;
    const char *device = ortho_model_device(b->documents[0]);
    ortho_compare_options how = {.threshold = options->threshold,
                                 .alpha = ORTHO_COMPARE_ALPHA,
                                 .confidence = ORTHO_COMPARE_CONFIDENCE,
                                 .spread = ORTHO_COMPARE_SPREAD,
                                 .spread_from = "assumed: nobody measured this machine",
                                 .resamples = ORTHO_COMPARE_RESAMPLES,
                                 .seed = 1};
    if (options->process_spread > 0) {
        how.spread = options->process_spread;
        how.spread_from = "--process-spread";
    } else if (ob_spread_known(device, &known, from) && known > 0) {
        how.spread = fmax(known, ORTHO_COMPARE_SPREAD_LEAST);
        how.spread_from = from;
        how.spreads = variants = ob_spread_variants(device);
    }
    ortho_status status = ortho_compare(a, b, &how, out);
    json_decref(variants);
    return status;
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
    else if (ortho_model_number(comparison, "summary.references") > 0)
        ob_log_error(log, "nothing to compare: the sides share references alone, which tell of the "
                          "machine and are judged by nothing");
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

int ob_gate_baseline(const ob_options *options, json_t *baseline, json_t *results,
                     const ob_log *log)
{
    static const char *const now = "this run";
    json_t *comparison = NULL;
    char headline[256];
    int code = OB_EXIT_RUNTIME;
    bool stdout_is_taken = options->out != NULL && strcmp(options->out, "-") == 0;
    ortho_status status =
        ob_gate_compare(options, &(ortho_compare_side){&baseline, &options->baseline, 1},
                        &(ortho_compare_side){&results, &now, 1}, &comparison);
    if (status == ORTHO_OK && !stdout_is_taken) {
        putchar('\n');
        status = ob_gate_print(options, comparison, NULL);
    }
    if (status == ORTHO_OK) {
        ortho_comparison_headline(comparison, headline, sizeof headline);
        ob_log_note(log, "against baseline '%s': %s", options->baseline, headline);
        code = ob_gate_exit(options, comparison, log);
    } else {
        ob_log_error(log, "%s", ortho_last_message());
    }
    json_decref(comparison);
    return code;
}
