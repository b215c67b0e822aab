/* The input is the documents of two or three processes, or one that both say. */
#include "harness/processes_merge.h"
#include "tests/fuzz/fuzz_documents.h"

/* Names of what a row is made of. Their files would bring in the whole harness, and a merge makes
 * no row. */
const char *ob_role_name(ortho_role role)
{
    (void)role;
    abort();
}

const char *ob_dtype_word(ortho_dtype dtype)
{
    (void)dtype;
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_documents d;
    ob_process processes[FUZZ_DOCUMENTS];
    if (!fuzz_load(data, size, ortho_results_load, &d))
        return 0;
    size_t count = d.count < 2 ? 2 : d.count;
    for (size_t i = 0; i < count; i++)
        processes[i] = (ob_process){(int)i + 1, d.document[i < d.count ? i : 0]};
    ob_options options = {.processes = (int)count, .seed = 1, .ci_target = 0.01};
    json_t *merged = ob_processes_merge(processes, count, &options);
    if (merged == NULL)
        abort();
    fuzz_write_all(ortho_writers, merged);
    json_decref(merged);
    fuzz_close(&d);
    return 0;
}
