/* The input is a document of results, or of a comparison: it is read and checked, and nothing is
 * made of it, so that there is time for many. */
#define _GNU_SOURCE /* memfd_create */
#include "reports/model.h"
#include "reports/reports.h"
#include "tests/fuzz/json_mutator.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static int fuzz_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    fuzz_fd = memfd_create("document", 0);
    return fuzz_fd < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *document = NULL;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fuzz_fd);
    if (ftruncate(fuzz_fd, 0) != 0 || pwrite(fuzz_fd, data, size, 0) != (ssize_t)size)
        abort();
    if (ortho_document_load(path, &document) != ORTHO_OK &&
        (document != NULL || !ortho_last_message()[0]))
        abort();
    json_decref(document);
    return 0;
}
