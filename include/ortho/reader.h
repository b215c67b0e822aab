/*
 * reader.h: the contract of a dataset reader: a way of finding weights behind a name or a path.
 *
 * A reader is one file, datasets/readers/NAME.c, that defines `const ortho_reader
 * ortho_reader_NAME`; the build generates the table. Opening reads headers only; rows are read on
 * demand. Every byte of a file is hostile: an error names file, tensor and byte offset. A source
 * serves one thread at a time.
 */
#ifndef ORTHO_READER_H
#define ORTHO_READER_H

#include <ortho/ortho.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORTHO_READER_ABI  1u
#define ORTHO_MAX_RANK    8
#define ORTHO_NAME_LENGTH 256

typedef struct ortho_tensor {
    char name[ORTHO_NAME_LENGTH];
    ortho_dtype dtype;
    int rank;
    int64_t shape[ORTHO_MAX_RANK]; /* outermost first, so [n, k] for a linear layer, GGUF too */
    uint64_t begin, end;           /* absolute byte range within `file`; 0, 0 when generated */
    const char *file;              /* owned by the source; NULL when generated */
} ortho_tensor;

typedef struct ortho_source
    ortho_source; /* an open checkpoint; each reader has its own behind it */

/* What a source knows of itself beyond its tensors. Strings are "" when unknown. */
typedef struct ortho_source_facts {
    char name[128];     /* canonical: "synthetic:llama-3.2-3b:1"; "" lets the caller name it */
    char path[1024];    /* the file or folder; "" when generated */
    char identity[256]; /* what the data are, told without reading them: generator, version, shapes
                           and seed; the hub's commit; "" for files */
    bool synthetic;     /* a file may say of itself that its weights were made, not trained */
    uint64_t seed;
} ortho_source_facts;

typedef struct ortho_reader {
    uint32_t abi;
    const char *name;
    const char *summary; /* one line, with the form of the specs it takes */
    bool synthetic;      /* what it gives was made, not trained: every result says so */
    /* Does this spec (path or name) belong to this reader? Looks, opens nothing for long. */
    bool (*claims)(const char *spec);
    ortho_status (*open)(const char *spec, ortho_source **out);
    void (*close)(ortho_source *);
    int64_t (*count)(const ortho_source *);
    /* Valid until close. NULL out of range. */
    const ortho_tensor *(*tensor)(const ortho_source *, int64_t index);
    /* Decodes rows [row, row + rows) of a rank-2 tensor to float: dst [rows, k] contiguous. */
    ortho_status (*read_f32)(ortho_source *, int64_t index, int64_t row, int64_t rows, float *dst);
    /* The same rows as stored, for F32, F16, BF16 tensors: dst [rows, k] of the tensor's dtype. */
    ortho_status (*read_raw)(ortho_source *, int64_t index, int64_t row, int64_t rows, void *dst);
    /* Optional: the diagonal Hessian that belongs to this tensor, [k]; NULL: none. */
    ortho_status (*hessian)(ortho_source *, int64_t index, float *dst);
    /* Valid until close. */
    const ortho_source_facts *(*facts)(const ortho_source *);
} ortho_reader;

#ifdef __cplusplus
}
#endif
#endif
