/* The input is two documents of results, or one to be compared with itself. */
#include "tests/fuzz/fuzz_documents.h"

/* A number of the summary or of a group; it has to be there. */
static double need(const json_t *node, const char *path)
{
    double value = ortho_model_number(node, path);
    if (value != value) {
        fprintf(stderr, "%s is missing\n", path);
        abort();
    }
    return value;
}

/* A case without a verdict on its times says why. */
static void check_cases(const json_t *comparison)
{
    size_t i, k;
    const json_t *one, *measure;
    json_array_foreach(json_object_get(comparison, "cases"), i, one)
    {
        const char *verdict = ortho_model_string(one, "verdict");
        bool timed = json_object_get(one, "time") != NULL;
        if (verdict == NULL || timed == (ortho_model_string(one, "reason") != NULL)) {
            fprintf(stderr, "neither time nor reason: %s\n", json_dumps(one, 0));
            abort();
        }
        json_array_foreach(json_object_get(one, "measures"), k, measure)
        {
            if (ortho_model_string(measure, "name") == NULL)
                abort();
        }
    }
}

static void check(const json_t *comparison)
{
    static const char *const counted[] = {"faster", "slower",  "same",      "ambiguous",
                                          "wrong",  "untimed", "references"};
    size_t i, cases = json_array_size(json_object_get(comparison, "cases"));
    const json_t *group;
    double sum = 0;
    for (i = 0; i < sizeof counted / sizeof *counted; i++)
        sum += need(json_object_get(comparison, "summary"), counted[i]);
    if (sum != (double)cases || !ortho_model_string(comparison, "summary.verdict"))
        abort();
    json_array_foreach(json_object_get(comparison, "groups"), i, group)
    {
        double lo = ortho_model_number(group, "lo"), hi = ortho_model_number(group, "hi");
        double ratio = ortho_model_number(group, "ratio"); /* absent where no double holds it */
        if (!(need(group, "cases") >= 1) || lo > ratio || ratio > hi)
            abort();
    }
}

static void check_file(const json_t *comparison)
{
    json_t *back = NULL;
    char *text = fuzz_written(ortho_comparison_writer_find("json"), comparison,
                              (ortho_writer_options){.color = false});
    char path[128];
    if (text == NULL)
        abort();
    fuzz_write(path, "comparison.json", (const uint8_t *)text, strlen(text));
    if (ortho_document_load(path, &back) != ORTHO_OK || !ortho_is_comparison(back))
        abort();
    json_decref(back);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.json", "b.json"};
    ortho_compare_options options = {.threshold = 0.02,
                                     .alpha = ORTHO_COMPARE_ALPHA,
                                     .confidence = ORTHO_COMPARE_CONFIDENCE,
                                     .spread = ORTHO_COMPARE_SPREAD,
                                     .spread_from = "nobody measured it",
                                     .resamples = 50,
                                     .seed = 1};
    fuzz_documents d;
    json_t *comparison = NULL;
    if (!fuzz_load(data, size, ortho_results_load, &d))
        return 0;
    ortho_compare_side a = {d.document, names, 1};
    ortho_compare_side b = {d.document + d.count - 1, names + 1, 1};
    ortho_status status = ortho_compare(&a, &b, &options, &comparison);
    fuzz_refused(status);
    if (status == ORTHO_OK) {
        check(comparison);
        check_cases(comparison);
        check_file(comparison);
        fuzz_write_all(ortho_comparison_writers, comparison);
    }
    json_decref(comparison);
    fuzz_close(&d);
    return 0;
}
