/* fuzz_reader.h: hostile bytes in memory are opened by one reader, as ortho_dataset_open does, but
 * that the list of known models is parsed once: ten thousands of inputs a second. */
#ifndef ORTHO_TEST_FUZZ_READER_H
#define ORTHO_TEST_FUZZ_READER_H

#include "datasets/dataset.h"
#include "datasets/registry.h"
#include "tests/fuzz/fuzz_tensors.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static json_t *fuzz_registry;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (ortho_registry_load(&fuzz_registry) != ORTHO_OK)
        abort();
    return 0;
}

static ortho_status fuzz_open(const ortho_reader *reader, const char *spec, ortho_dataset **out)
{
    ortho_dataset *d = calloc(1, sizeof *d);
    if (d == NULL)
        abort();
    d->reader = reader;
    ortho_status status = reader->open(spec, &d->source);
    if (status == ORTHO_OK)
        status = ortho_dataset_find_slices(d, fuzz_registry);
    if (status == ORTHO_OK)
        status = ortho_dataset_describe(d, fuzz_registry, NULL, spec);
    if (status == ORTHO_OK)
        *out = d;
    else
        ortho_dataset_close(d);
    return status;
}

static void fuzz_reader(const ortho_reader *reader, const char *spec)
{
    ortho_dataset *d = NULL;
    if (fuzz_open(reader, spec, &d) != ORTHO_OK) {
        if (!ortho_last_message()[0])
            abort(); /* refused without a word */
        return;
    }
    for (int64_t i = 0; i < ortho_dataset_tensors(d); i++)
        fuzz_read_tensor(d, i, memory_size_of(ortho_dataset_tensor(d, i)->file));
    fuzz_check_slices(d);
    ortho_dataset_close(d);
}

#endif
