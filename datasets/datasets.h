/*
 * datasets.h: models and their slices, whatever they are stored in.
 *
 * A spec is a path (a safetensors or GGUF file, a directory of shards), a known model's name
 * (`llama-3.2-3b`), a hub name (`org/name`, looked up in the local hub cache), slices that were
 * fetched from the hub (`hf:org/name@revision`) or a generator (`synthetic:llama-3.2-3b:7`,
 * `random:512x384`). Opening reads headers only.
 */
#ifndef ORTHO_DATASETS_H
#define ORTHO_DATASETS_H

#include <ortho/reader.h>

extern const ortho_reader *const ortho_reader_table[]; /* NULL-terminated, generated */

typedef struct ortho_dataset ortho_dataset;

/* One projection of one layer: what a benchmark case works on. */
typedef struct ortho_slice {
    int layer;
    char proj[16]; /* "q", "k", "v", "o", "gate", "up", "down", or "w" for a lone matrix */
    int64_t index; /* the tensor's, in its source */
    int64_t n, k;
    const ortho_tensor *tensor;
} ortho_slice;

typedef struct ortho_model_facts {
    char name[128];  /* as reports print it: "smollm2-135m", "synthetic:llama-3.2-3b:1" */
    char path[1024]; /* where it lies; "" when generated */
    char format[32]; /* the reader's name */
    char hash[65]; /* hex; identity of the data: xxh3-128 of headers and sizes, or of an identity */
    char licence[128], attribution[256]; /* "" when unknown */
    bool synthetic;
    bool four_bit; /* its linears were already quantised: no claim about quality stands */
    uint64_t seed; /* of a generator */
} ortho_model_facts;

/* Opens a spec. NOT_FOUND says where it looked and what to do. */
ortho_status ortho_dataset_open(const char *spec, ortho_dataset **out);
void ortho_dataset_close(ortho_dataset *);
const ortho_model_facts *ortho_dataset_facts(const ortho_dataset *);

/* Every tensor, for inspect. */
int64_t ortho_dataset_tensors(const ortho_dataset *);
const ortho_tensor *ortho_dataset_tensor(const ortho_dataset *, int64_t index);

/* The linear layers, ordered by layer, then q k v o gate up down. Valid until close. */
int64_t ortho_dataset_slices(const ortho_dataset *);
const ortho_slice *ortho_dataset_slice(const ortho_dataset *, int64_t index);

/* Reads rows [row, row + rows) of a slice. F32, F16 and BF16 tensors come as stored and *dtype says
 * so; anything else comes decoded to F32. dst holds rows * k * 4 bytes at most. NONFINITE names
 * tensor, row and column. */
ortho_status ortho_dataset_read(ortho_dataset *, const ortho_slice *, int64_t row, int64_t rows,
                                void *dst, ortho_dtype *dtype);

/* The dtype that ortho_dataset_read will give. */
ortho_dtype ortho_dataset_read_dtype(const ortho_slice *);

/* The source's own diagonal Hessian, [k] floats (generators have one); UNSUPPORTED when none. */
ortho_status ortho_dataset_hessian(ortho_dataset *, const ortho_slice *, float *dst);

/* H from activations in a safetensors file: the tensor named after the slice's weight tensor, [k]
 * (a diagonal) or [t, k] (activations: H[k] = mean over t of x^2). */
ortho_status ortho_hessian_from_file(const char *path, const ortho_slice *, float *dst);

/* Activations that no calibration saw, to judge a sieve by. */
typedef struct ortho_activations {
    float *h;       /* [k]: the diagonal that the file holds, or the mean over tokens of x^2 */
    float *x;       /* [tokens, k]; NULL where the file holds a diagonal */
    int64_t tokens; /* 0 with a diagonal */
} ortho_activations;

/* The same file, its activations kept: they must fit into memory. *out is the caller's, to be freed
 * with ortho_activations_free. */
ortho_status ortho_activations_from_file(const char *path, const ortho_slice *,
                                         ortho_activations *out);
void ortho_activations_free(ortho_activations *);

/* Known models (datasets/models.json), for `list --models` and for choosing one. */
typedef struct ortho_known_model {
    const char *name, *summary, *licence, *attribution;
    bool at_hand;
    char where[1024]; /* path when at hand; else how to get it */
} ortho_known_model;

/* Calls back for each known model, in order of preference. */
ortho_status ortho_models_each(void (*each)(void *ctx, const ortho_known_model *), void *ctx);

/* The best model at hand: llama-3.2-3b, else smollm2-135m, else the synthetic one. `why` (a
 * sentence) says which and why. */
ortho_status ortho_models_choose(char spec[1024], char why[512]);

/* Imposes a row distribution on a sieved split: `spec` is "uniform", "lognormal:SIGMA" or
 * "one-full" ("sieve" leaves it alone). nnz is kept; columns are drawn without repetition from
 * `seed`, values are residuals of W where the caller gives it. In place: row_ptr, col, val. */
struct ortho_split;
ortho_status ortho_rows_impose(struct ortho_split *split, const char *spec, uint64_t seed);

#endif
