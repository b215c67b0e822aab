/* fuzz.h: what the targets share: hostile bytes become a file in a folder of this process's own,
 * which is opened as a dataset; whatever can be read of it is read. */
#ifndef ORTHO_TEST_FUZZ_H
#define ORTHO_TEST_FUZZ_H

#include "tests/fuzz/fuzz_folder.h"
#include "tests/fuzz/fuzz_tensors.h"

#include <sys/stat.h>

static void fuzz_dataset(const char *spec)
{
    ortho_dataset *dataset = NULL;
    if (ortho_dataset_open(spec, &dataset) != ORTHO_OK) {
        if (dataset || !ortho_last_message()[0])
            abort();
        return;
    }
    for (int64_t i = 0; i < ortho_dataset_tensors(dataset); i++) {
        struct stat st;
        if (stat(ortho_dataset_tensor(dataset, i)->file, &st) != 0)
            abort();
        fuzz_read_tensor(dataset, i, (uint64_t)st.st_size);
    }
    fuzz_check_slices(dataset);
    ortho_dataset_close(dataset);
}

#endif
