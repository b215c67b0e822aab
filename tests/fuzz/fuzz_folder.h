/* fuzz_folder.h: a folder of this process's own, gone when it ends, for the files that a target
 * makes of its input. */
#ifndef ORTHO_TEST_FUZZ_FOLDER_H
#define ORTHO_TEST_FUZZ_FOLDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char fuzz_folder[64];

static void fuzz_remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", fuzz_folder);
    if (fuzz_folder[0] && system(command) != 0)
        fprintf(stderr, "%s is left behind\n", fuzz_folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(fuzz_folder, sizeof fuzz_folder, "%s/ortho-fuzz-XXXXXX", place);
    if (!mkdtemp(fuzz_folder)) {
        perror(fuzz_folder);
        exit(1);
    }
    atexit(fuzz_remove_folder);
    return 0;
}

/* "FOLDER/NAME" with these bytes in it. */
static void fuzz_write(char path[128], const char *name, const uint8_t *data, size_t size)
{
    snprintf(path, 128, "%s/%s", fuzz_folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

#endif
