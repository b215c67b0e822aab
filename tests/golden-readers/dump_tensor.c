/*
 * dump_tensor: what a reader sees, for comparison with other implementations.
 *   dump_tensor PATH                lists: name, dtype, shape, begin, end, separated by tabs
 *   dump_tensor PATH NAME ROW ROWS  decoded rows to stdout, as native floats
 */
#include "common/dtype.h"
#include "datasets/datasets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void list(const ortho_reader *reader, const ortho_source *source)
{
    for (int64_t i = 0; i < reader->count(source); i++) {
        const ortho_tensor *t = reader->tensor(source, i);
        printf("%s\t%s\t[", t->name, ortho_dtype_name(t->dtype));
        for (int d = 0; d < t->rank; d++)
            printf("%s%lld", d ? ", " : "", (long long)t->shape[d]);
        printf("]\t%llu\t%llu\n", (unsigned long long)t->begin, (unsigned long long)t->end);
    }
}

static int dump(const ortho_reader *reader, ortho_source *source, char **args)
{
    int64_t index = 0, row = atoll(args[1]), rows = atoll(args[2]);
    while (index < reader->count(source) &&
           strcmp(reader->tensor(source, index)->name, args[0]) != 0)
        index++;
    const ortho_tensor *t = reader->tensor(source, index);
    if (!t || t->rank != 2 || rows < 0 || rows > t->shape[0])
        return fprintf(stderr, "%s: no such rows\n", args[0]), 1;
    size_t count = (size_t)(rows * t->shape[1]);
    float *values = malloc(count * sizeof *values + 1);
    if (!values || reader->read_f32(source, index, row, rows, values) != ORTHO_OK)
        return fprintf(stderr, "%s\n", ortho_last_message()), free(values), 1;
    int rc = fwrite(values, sizeof *values, count, stdout) == count ? 0 : 1;
    free(values);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 5)
        return fprintf(stderr, "usage: dump_tensor PATH [NAME ROW ROWS]\n"), 2;
    for (const ortho_reader *const *r = ortho_reader_table; *r; r++) {
        ortho_source *source;
        int rc = 0;
        if (!(*r)->claims(argv[1]))
            continue;
        if ((*r)->open(argv[1], &source) != ORTHO_OK)
            return fprintf(stderr, "%s\n", ortho_last_message()), 1;
        if (argc == 2)
            list(*r, source);
        else
            rc = dump(*r, source, argv + 2);
        (*r)->close(source);
        return rc;
    }
    return fprintf(stderr, "%s: no reader takes it\n", argv[1]), 1;
}
