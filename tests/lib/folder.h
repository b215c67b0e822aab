/* folder.h: a folder of a test's own, and whole files in it. */
#ifndef ORTHO_TESTS_LIB_FOLDER_H
#define ORTHO_TESTS_LIB_FOLDER_H

#include "testing.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static inline int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/ortho-test-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static inline int folder_remove(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* "FOLDER/NAME"; a few may be in use at once. */
static inline const char *in_folder(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* How many files the folder holds, temporary ones too. */
static inline int files_in_folder(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static inline char *read_file(const char *path, size_t *bytes)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    char *data = malloc((size_t)st.st_size + 1);
    assert_non_null(data);
    *bytes = fread(data, 1, (size_t)st.st_size, f);
    data[*bytes] = '\0';
    fclose(f);
    return data;
}

static inline void write_file(const char *path, const char *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

/* An artifact of one layer, "l". */
static inline void save_alone(const ortho_layer *layer, const char *path)
{
    ortho_writer *writer = NULL;
    must(ortho_writer_open(path, &writer));
    must(ortho_layer_save(layer, writer, "l"));
    must(ortho_writer_commit(writer));
}

static inline ortho_layer *load_one(const char *path, const char *name)
{
    ortho_artifact *artifact = NULL;
    ortho_layer *layer = NULL;
    must(ortho_artifact_open(path, &artifact));
    must(ortho_layer_load(artifact, name, &on_cpu, &layer));
    ortho_artifact_close(artifact);
    return layer;
}

#endif
