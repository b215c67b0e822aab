/* The input is a comparison; a document of results is read, too, as the page takes both. */
#include "tests/fuzz/fuzz_documents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_documents d;
    if (!fuzz_load(data, size, ortho_document_load, &d))
        return 0;
    for (size_t i = 0; i < d.count; i++)
        if (ortho_is_comparison(d.document[i])) {
            ortho_comparison_read(d.document[i]);
            fuzz_write_all(ortho_comparison_writers, d.document[i]);
            fuzz_page(&(ortho_page){.comparison = d.document[i]});
        }
    fuzz_close(&d);
    return 0;
}
