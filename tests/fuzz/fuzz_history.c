/* The input is documents of results: a history takes each in, twice, and tells of them. */
#include "harness/history.h"
#include "tests/fuzz/fuzz_documents.h"

static void add(ob_history *history, const json_t *document)
{
    bool added = false, again = true;
    ortho_status status = ob_history_add(history, document, "a.json", &added);
    fuzz_refused(status);
    if (status == ORTHO_OK &&
        (ob_history_add(history, document, NULL, &again) != ORTHO_OK || again))
        abort(); /* what it has, it has */
}

static void ask(ob_history *history, const ob_history_query *query)
{
    json_t *runs = NULL, *trends = NULL;
    if (ob_history_runs(history, query, &runs) != ORTHO_OK ||
        ob_history_trends(history, query, &trends) != ORTHO_OK) {
        fprintf(stderr, "%s\n", ortho_last_message());
        abort();
    }
    json_decref(runs);
    json_decref(trends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"history.db", "history.db-wal", "history.db-shm",
                                        "history.db-journal"};
    char path[128];
    fuzz_documents d;
    ob_history *history = NULL;
    if (!fuzz_load(data, size, ortho_results_load, &d))
        return 0;
    setenv("ORTHO_BENCH_STATE", fuzz_folder, 1);
    if (ob_history_open(OB_HISTORY_WRITE, &history) != ORTHO_OK)
        abort();
    for (size_t i = 0; i < d.count; i++)
        add(history, d.document[i]);
    ask(history, &(ob_history_query){.limit = 0});
    ask(history, &(ob_history_query){.key = "gemm/*", .since = "2026-11-25", .limit = 1});
    ob_history_close(history);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", fuzz_folder, files[i]);
        unlink(path);
    }
    fuzz_close(&d);
    return 0;
}
