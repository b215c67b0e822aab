/* The input is documents of results: whatever can be written of each, and a page of all. */
#include "reports/plot.h"
#include "tests/fuzz/fuzz_documents.h"

static void plot(const json_t *results, const ortho_plot *plot)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    ortho_status status = ortho_plot_script(results, plot, stream);
    fuzz_refused(status);
    fclose(stream);
    if (status == ORTHO_OK)
        fuzz_check_text(text, size, false, plot->name);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.json", "b.json", "c.json"};
    fuzz_documents d;
    if (!fuzz_load(data, size, ortho_results_load, &d))
        return 0;
    for (size_t i = 0; i < d.count; i++) {
        fuzz_write_all(ortho_writers, d.document[i]);
        for (const ortho_plot *const *p = ortho_plots; *p != NULL; p++)
            plot(d.document[i], *p);
    }
    fuzz_page(&(ortho_page){
        .results = (const json_t *const *)d.document, .names = names, .count = d.count});
    fuzz_close(&d);
    return 0;
}
