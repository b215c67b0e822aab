/*
 * ortho.h: the public C API of libortho.
 *
 * LibOrtho splits a weight matrix W [n, k] into a dense INT4 Base and a sparse high-precision
 * Ortho (the sieve), and computes Y = X * Base^T + alpha * X * Ortho^T (the dual GEMM).
 *
 * Conventions that hold for every call:
 *   - it returns an ortho_status; on anything but ORTHO_OK, ortho_last_message() tells in words
 *     what happened and what to do, for the calling thread, until its next failing call;
 *   - an output parameter is set only on success;
 *   - nothing aborts, nothing prints, no global state changes;
 *   - handles are opaque; calls on different handles may run in different threads at once;
 *   - a struct of options or information begins with its own size, set by the caller: a newer
 *     library takes an older caller's, and an older one refuses only what it would have to ignore;
 *   - matrices are row-major; sizes are in elements unless a name says bytes.
 */
#ifndef ORTHO_ORTHO_H
#define ORTHO_ORTHO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORTHO_VERSION_MAJOR 0
#define ORTHO_VERSION_MINOR 1
#define ORTHO_VERSION_PATCH 0
#define ORTHO_VERSION                                                                              \
    (ORTHO_VERSION_MAJOR * 10000 + ORTHO_VERSION_MINOR * 100 + ORTHO_VERSION_PATCH)

#if defined(__GNUC__)
#define ORTHO_API __attribute__((visibility("default")))
#else
#define ORTHO_API
#endif

typedef enum ortho_status {
    ORTHO_OK = 0,
    ORTHO_E_ARGUMENT = 1,    /* the caller passed something that can never work */
    ORTHO_E_MEMORY = 2,      /* an allocation failed */
    ORTHO_E_IO = 3,          /* the operating system refused a read or a write */
    ORTHO_E_FORMAT = 4,      /* a file contradicts its own format */
    ORTHO_E_NONFINITE = 5,   /* NaN or Inf where a weight must be finite */
    ORTHO_E_UNSUPPORTED = 6, /* legal, but this build, machine or variant can't: a skip */
    ORTHO_E_NOT_FOUND = 7,   /* no such file, model, tensor, variant */
    ORTHO_E_CANCELLED = 8,   /* a progress callback or a signal asked to stop */
    ORTHO_E_DEVICE = 9,      /* the GPU's driver reported an error */
    ORTHO_E_WRONG = 10,      /* a result failed verification */
    ORTHO_E_INTERNAL = 11    /* a bug of ours */
} ortho_status;

/* Every dtype that a safetensors or GGUF file may name. Only F32, F16, BF16 and the GGUF blocks are
 * decoded; the others are named, sized and refused with a clear word. */
typedef enum ortho_dtype {
    ORTHO_F32 = 0,
    ORTHO_F16,
    ORTHO_BF16,
    ORTHO_F64,
    ORTHO_I8,
    ORTHO_U8,
    ORTHO_I16,
    ORTHO_U16,
    ORTHO_I32,
    ORTHO_U32,
    ORTHO_I64,
    ORTHO_U64,
    ORTHO_BOOL,
    ORTHO_F8_E4M3,
    ORTHO_F8_E5M2,
    ORTHO_F8_E8M0,
    ORTHO_F6_E2M3,
    ORTHO_F6_E3M2,
    ORTHO_F4,
    ORTHO_C64,
    ORTHO_Q4_0, /* GGUF: 32 weights in 18 bytes, (q - 8) * d */
    ORTHO_Q4_1, /* GGUF: 32 weights in 20 bytes, q * d + m */
    ORTHO_Q8_0, /* GGUF: 32 weights in 34 bytes, q * d */
    ORTHO_DTYPE_COUNT
} ortho_dtype;

typedef enum ortho_rule {
    ORTHO_RULE_OUTLIER = 0, /* half by |w| / row-rms, kept out of the grid fit; half by e^2 * H */
    ORTHO_RULE_RESIDUAL,    /* absmax/7 per group, score e^2 * H */
    ORTHO_RULE_LEGACY       /* absmax/7 per row whatever the group, score e^2 / H: the original */
} ortho_rule;

/* Where a layer lives and computes. CUDA is the calling thread's current device. */
typedef enum ortho_device {
    ORTHO_DEVICE_AUTO = 0, /* where the weights lie; from a file: the GPU when there is one */
    ORTHO_DEVICE_CPU,
    ORTHO_DEVICE_CUDA
} ortho_device;

/* What activations are multiplied as. */
typedef enum ortho_activation_mode {
    ORTHO_ACTIVATIONS_EXACT = 0, /* as they are: nothing is lost but fp32's roundings of sums */
    /* Rounded to int8 where they meet Base, as they are where they meet Ortho. Each stretch of
     * ORTHO_INT8_COLUMNS columns of a group, from the group's first on (the last may be shorter),
     * has a step for itself, the largest |x| of the token there / 127, and x counts as the nearest
     * multiple of it, of two the even one: what a token loses is at most step / 2 * sum |Base| a
     * row and stretch. A stretch whose largest |x| is below 2^-96 or not below 2^127 stays exact.
     * On the CPU alone. */
    ORTHO_ACTIVATIONS_INT8
} ortho_activation_mode;

#define ORTHO_INT8_COLUMNS 256 /* most columns that share a step */

/* A row-major matrix that the caller owns, in host or device memory; the library tells them apart.
 * stride: elements between rows, >= cols. */
typedef struct ortho_matrix {
    int64_t rows, cols, stride;
    ortho_dtype dtype; /* ORTHO_F32, ORTHO_F16 or ORTHO_BF16 */
    const void *data;
} ortho_matrix;

/*
 * The canonical split of a W [n, k], in host memory: what a sieve makes and what an artifact keeps.
 * Invariants: scale finite, >= 0; row_ptr[0] = 0, monotone, row_ptr[n] = nnz; columns ascend
 * strictly within a row and are < k, so that a position has at most one entry; val finite.
 */
typedef struct ortho_split {
    int64_t n, k, nnz;
    int64_t group;    /* weights per scale along k; k for the whole row */
    uint8_t *q;       /* [n, (k+1)/2] two's complement nibbles, low nibble = even column; an odd
                         k leaves the last high nibble 0 */
    uint16_t *scale;  /* [n, ceil(k/group)] fp16 */
    int32_t *row_ptr; /* [n+1] */
    void *col;        /* [nnz] uint16_t, or uint32_t where k > 65536 */
    uint16_t *val;    /* [nnz] fp16: W - Base at that position */
} ortho_split;

typedef struct ortho_sieve_options {
    size_t size;    /* sizeof(ortho_sieve_options): lets later versions add fields */
    double density; /* 0 to 1: exactly floor(density * n * k) entries go to Ortho */
    ortho_rule rule;
    int32_t group;   /* weights along k that share a scale: 32, 64, 128, or 0 for the whole row */
    int32_t threads; /* CPU threads of the sieve and of forwards; 0: all that OpenMP sees now */
    int32_t device;  /* ortho_device */
    const char *variant; /* as in ortho_layer_options; NULL for a checkpoint */
    int32_t activations; /* as in ortho_layer_options; 0 for a checkpoint */
    int32_t unused;      /* 0 */
} ortho_sieve_options;

/* How a layer that is already sieved is to be served. */
typedef struct ortho_layer_options {
    size_t size;
    int32_t device;      /* ortho_device */
    int32_t threads;     /* CPU threads of forwards; 0: all */
    const char *variant; /* the name of the one that serves every m; NULL: the library's choice */
    int32_t activations; /* ortho_activation_mode of its forwards */
    int32_t unused;      /* 0 */
} ortho_layer_options;

typedef struct ortho_layer ortho_layer;       /* a sieved linear layer */
typedef struct ortho_pass ortho_pass;         /* linears one after the other, for one token */
typedef struct ortho_artifact ortho_artifact; /* an open artifact: a file, or a folder of shards */
typedef struct ortho_writer ortho_writer;     /* an artifact in the making */

/* What ortho_layer_inspect tells. Bytes are those that the layer holds, weights and index, in the
 * memory of its device. */
typedef struct ortho_layer_info {
    size_t size; /* sizeof(ortho_layer_info), set by the caller */
    int64_t n, k, nnz;
    int32_t group;
    ortho_rule rule;
    float alpha;
    size_t bytes;
    const char *variant; /* the variant that serves it; static storage */
    int32_t device;      /* ORTHO_DEVICE_CPU or ORTHO_DEVICE_CUDA */
    int32_t activations; /* ortho_activation_mode */
} ortho_layer_info;

/* What an artifact says of one of its layers. */
typedef struct ortho_artifact_info {
    size_t size;        /* set by the caller */
    const char *name;   /* "model.layers.0.mlp.gate_proj"; valid until the artifact is closed */
    const char *tensor; /* the weight it was sieved from; "" when it wasn't said */
    int64_t n, k, nnz;
    int32_t group;
    ortho_rule rule;
    double density;
    size_t bytes; /* of its five arrays */
} ortho_artifact_info;

/* The library's version, as ORTHO_VERSION_*: major * 10000 + minor * 100 + patch. Compare it with
 * the header's before the first call: a different major number means another ABI. */
ORTHO_API int ortho_version(void);

/* Does this library serve a caller that was compiled with a header of this version? Pass
 * ORTHO_VERSION. UNSUPPORTED, naming both, when the ABI is another: a different major number, or,
 * below 1.0.0, a different minor one; or when the header is newer than the library. */
ORTHO_API ortho_status ortho_check_version(int header_version);

/* A short English name of a status ("format"); "unknown" for any other number. Static storage. */
ORTHO_API const char *ortho_status_name(ortho_status status);

/* The last failing call's message in this thread; "" when none failed. Valid until the thread's
 * next failing call. */
ORTHO_API const char *ortho_last_message(void);

/* ---- a layer --------------------------------------------------------------------------------- */

/* Sieves W into a new layer that the caller frees with ortho_layer_free.
 *   w        [n, k], finite; not modified, not kept
 *   hessian  [k], host, finite, non-negative diagonal; NULL: the mean over n of W[n,k]^2; not kept
 *   options  NULL: density 0.01, rule outlier, group 128, all threads, the device where W lies.
 *            Bytes beyond the struct that this version knows must be 0
 * A W in host memory may be sieved for the GPU and the other way round: it is copied once. alpha
 * starts at 1. The layer holds its weights once, packed for the variant that serves it.
 * Errors: ARGUMENT, MEMORY, NONFINITE (names row and column, or the entry of the hessian),
 * UNSUPPORTED (dtype; no GPU; the variant asked for: names those that could; an option of a later
 * version), DEVICE. */
ORTHO_API ortho_status ortho_layer_sieve(const ortho_matrix *w, const float *hessian,
                                         const ortho_sieve_options *options, ortho_layer **out);

/* A layer from a canonical split that the caller keeps. options NULL: the GPU when there is one.
 * Errors: ARGUMENT, MEMORY, FORMAT (an invariant of ortho_split doesn't hold: names the row),
 * UNSUPPORTED, DEVICE. */
ORTHO_API ortho_status ortho_layer_from_split(const ortho_split *split,
                                              const ortho_layer_options *options,
                                              ortho_layer **out);

/* Writes the layer in canonical form into host arrays of the caller, whose sizes follow from
 * ortho_layer_inspect; out->n, k, nnz and group must agree with it: ARGUMENT otherwise. Exact: what
 * was sieved or loaded comes back bit for bit. */
ORTHO_API ortho_status ortho_layer_export(const ortho_layer *layer, ortho_split *out);

/* y [m, n] = x [m, k] * (Base + alpha * Ortho)^T. x and y share `dtype` (F32, F16, BF16), are
 * contiguous and don't overlap. Sums are fp32 whatever the dtype, and rounded once. On a GPU, with
 * F16 and 9 tokens or more, each weight (Base + alpha * Ortho) may be rounded to fp16 before it is
 * multiplied: where alpha is 0, 0.5 or 1 and that moves at most one y in 10^7, of x from a normal
 * distribution, by more than 8 sqrt(2 k) 2^-24 sum |w x|. Long rows of even weights are like that.
 *   CPU layer   x and y in host memory; stream NULL
 *   CUDA layer  x and y in memory of its device (device, managed or pinned); stream is the caller's
 *               cudaStream_t (NULL: the default stream); the call only enqueues, and may be
 *               captured into a graph once a call of the same m and dtype has run before
 * Safe to call from several threads on one layer as long as none sets alpha. m = 0 does nothing and
 * succeeds.
 * Errors: ARGUMENT (NULL, m < 0, overlap, memory of the wrong side), UNSUPPORTED (dtype, stream),
 * MEMORY, DEVICE; y is untouched then. A workspace is taken from a pool, the layer's own on the
 * CPU, on a GPU that of all layers there, so that calls of one size allocate once. It stays until
 * the layer is freed, or the last of that GPU. */
ORTHO_API ortho_status ortho_layer_forward(const ortho_layer *layer, const void *x, int64_t m,
                                           ortho_dtype dtype, void *y, void *stream);

/* The kill switch. alpha = 0 computes Base alone, whatever Ortho holds. alpha must be finite:
 * ARGUMENT otherwise, and the old one stays. */
ORTHO_API ortho_status ortho_layer_set_alpha(ortho_layer *layer, float alpha);

/* Fills *info, whose size the caller has set; ARGUMENT when that is too small or a pointer NULL. */
ORTHO_API ortho_status ortho_layer_inspect(const ortho_layer *layer, ortho_layer_info *info);

/* Frees the layer; on the GPU waits for its forwards under way, and for other layers' that had the
 * same workspace after them. NULL is allowed. */
ORTHO_API void ortho_layer_free(ortho_layer *layer);

/* ---- linears that share x, and whole passes -------------------------------------------------- */

#define ORTHO_GROUP_MAX 8   /* layers of one ortho_group_forward */
#define ORTHO_PASS_MAX  512 /* steps of a pass */

/* y[i] [m, n of layer i] = x [m, k] * (Base + alpha * Ortho)^T of layers[i], each with its own
 * alpha: q, k and v of one input, or gate and up. The layers agree in k and in device; each may
 * stand there more than once. Where one variant serves them all at this m and can run them in one
 * launch, it does; else they run in turn, with the results of ortho_layer_forward to the last bits
 * of an fp32 sum. Everything else as in ortho_layer_forward, whose rules hold for x and each y[i];
 * no y[i] overlaps another. `layers` and `y` [count] are read before the call returns.
 * Errors: as there, naming the layer; ARGUMENT also for a count that isn't 1 .. ORTHO_GROUP_MAX and
 * for layers that don't agree. */
ORTHO_API ortho_status ortho_group_forward(const ortho_layer *const *layers, int32_t count,
                                           const void *x, int64_t m, ortho_dtype dtype,
                                           void *const *y, void *stream);

/* One linear of a pass. A pass has one y, in which the outputs of its steps lie one after the
 * other. */
typedef struct ortho_pass_step {
    const ortho_layer *layer;
    int64_t x_at; /* its x is y[x_at .. x_at + k), all of it outputs of earlier steps; -1: the
                     pass's x */
    float scale;  /* its outputs are scale * x * (Base + alpha * Ortho)^T: stands for the norms
                     that keep magnitudes within range; finite; 1 where nothing is to happen */
} ortho_pass_step;

/* A pass: the linears that one token goes through, as decoding does, one after the other, with
 * nothing between them but a factor. What is known of it before the first token (which layers,
 * where each one's x comes from) is made ready once; where the variant that serves the layers at
 * one token can, a forward of it is one launch.
 *   steps  [count], not kept; the layers outlive the pass, which the caller frees with
 *          ortho_pass_free. All are on one device
 *   dtype  of x and y: F32, F16 or BF16
 * On a GPU one variant must serve all the layers at m = 1 and run passes. On the CPU the steps run
 * in turn where it doesn't.
 * Errors: ARGUMENT, naming the step; UNSUPPORTED (dtype; a GPU's variant that runs no passes: names
 * it and those that do), MEMORY, DEVICE. */
ORTHO_API ortho_status ortho_pass_create(const ortho_pass_step *steps, int32_t count,
                                         ortho_dtype dtype, ortho_pass **out);

/* One token through all the steps.
 *   x  [the largest k of the steps whose x_at is -1; each takes the first k of it]
 *   y  [the sum of n]: the outputs of all steps, in order; every element is written
 * Sums and their product with scale are fp32, rounded once to the dtype; what a later step reads is
 * the rounded value. alpha is each layer's at the time of the call. Memory, stream, graphs and
 * threads are as in ortho_layer_forward, whose errors are this call's, too; after MEMORY or DEVICE
 * some steps may have written their outputs. On a GPU x and y are aligned to 16 bytes: ARGUMENT
 * otherwise. */
ORTHO_API ortho_status ortho_pass_forward(const ortho_pass *pass, const void *x, void *y,
                                          void *stream);

/* What ortho_pass_inspect tells. */
typedef struct ortho_pass_info {
    size_t size;    /* set by the caller */
    int64_t k, n;   /* elements of x and of y */
    int32_t count;  /* steps */
    int32_t device; /* ORTHO_DEVICE_CPU or ORTHO_DEVICE_CUDA */
    size_t bytes;   /* that it holds on its device beside what its layers do, workspaces apart */
    const char *variant; /* the variant that runs it whole; NULL: its steps in turn */
} ortho_pass_info;

/* Fills *info, whose size the caller has set; ARGUMENT when that is too small or a pointer NULL. */
ORTHO_API ortho_status ortho_pass_inspect(const ortho_pass *pass, ortho_pass_info *info);

/* Frees the pass, not its layers; on the GPU waits for the forwards under way, as ortho_layer_free
 * does. NULL is allowed. */
ORTHO_API void ortho_pass_free(ortho_pass *pass);

/* ---- artifacts -------------------------------------------------------------------------------
 *
 * An artifact is a safetensors file that any tool reads, or a folder of shards with their index. A
 * layer called NAME is five tensors: NAME.ortho.row_ptr I32 [n+1], NAME.base.scale F16
 * [n, ceil(k/group)], NAME.ortho.val F16 [nnz], NAME.ortho.col U16 [nnz] (U32 where k > 65536) and
 * NAME.base.q U8 [n, ceil(k/2)]; the metadata say how it was made. docs/ARTIFACT.md is the format.
 */

/* Begins an artifact of one file. Nothing appears under `path` before ortho_writer_commit. */
ORTHO_API ortho_status ortho_writer_open(const char *path, ortho_writer **out);

/* Adds a layer under a name that the artifact doesn't have yet (1 to 200 bytes of UTF-8, no control
 * characters). The layer may be freed afterwards. A failure leaves the writer as it was, or, when
 * the disk refused (IO), fit only for ortho_writer_abort. */
ORTHO_API ortho_status ortho_layer_save(const ortho_layer *layer, ortho_writer *writer,
                                        const char *name);

/* Writes the file whole, synced, under its name, replacing what was there; frees the writer in any
 * case. On failure the target is what it was. */
ORTHO_API ortho_status ortho_writer_commit(ortho_writer *writer);

/* Forgets it and frees the writer; NULL is allowed. */
ORTHO_API void ortho_writer_abort(ortho_writer *writer);

/* Opens an artifact: a file, a folder with model.safetensors or its index, or that index. Reads
 * headers only. Errors: NOT_FOUND, IO, FORMAT (names file, tensor and offset), UNSUPPORTED (a later
 * version's artifact; a checkpoint that holds no sieved layer). */
ORTHO_API ortho_status ortho_artifact_open(const char *path, ortho_artifact **out);
ORTHO_API void ortho_artifact_close(ortho_artifact *artifact); /* NULL is allowed */

/* How many sieved layers it has, and what it says of one (0 .. count - 1). */
ORTHO_API int64_t ortho_artifact_count(const ortho_artifact *artifact);
ORTHO_API ortho_status ortho_artifact_inspect(const ortho_artifact *artifact, int64_t index,
                                              ortho_artifact_info *info);

/* Loads one layer. Every invariant of ortho_split is checked: a hostile file gets FORMAT, naming
 * file, tensor and row. options NULL: the GPU when there is one. An artifact serves several threads
 * at once. */
ORTHO_API ortho_status ortho_layer_load(const ortho_artifact *artifact, const char *name,
                                        const ortho_layer_options *options, ortho_layer **out);

/* ---- checkpoints ----------------------------------------------------------------------------- */

/* Where a sieve of a checkpoint stands. Bytes are the source's. */
typedef struct ortho_progress {
    size_t size;        /* of the library's struct */
    const char *phase;  /* "measuring", "checking", "sieving", "finishing" */
    const char *tensor; /* the one that was finished last; "" before the first */
    uint64_t bytes_done, bytes_total;
    uint64_t bytes_resumed;          /* of bytes_done: what an earlier run had done */
    int64_t units_done, units_total; /* layers, and pieces of what is copied */
    double seconds;                  /* since the call began */
} ortho_progress;

/* Called from the calling thread, a few times a second. Anything but 0 cancels: what is finished is
 * kept for `resume`. */
typedef int ortho_progress_fn(void *ctx, const ortho_progress *progress);

typedef struct ortho_checkpoint_options {
    size_t size;
    const ortho_sieve_options
        *sieve;              /* NULL: as in ortho_layer_sieve; device AUTO: GPU, else CPU */
    const char *layers;      /* "0-3,7"; NULL: all */
    const char *projections; /* "q,k,v,o,gate,up,down"; NULL: all */
    const char *hessian;     /* safetensors file of diagonals [k] or activations [t, k],
                                named as the weights; NULL: the source's own (of
                                 generators), else from the weights */
    uint64_t memory_budget;  /* bytes of buffers, in host and in device memory each; 0: 256 MiB */
    int32_t resume;          /* 1: continue what an interrupted run left in the folder */
    int32_t measure;         /* 1: first measure read, copy, write and sieve alone */
    ortho_progress_fn *progress; /* NULL: none */
    void *progress_ctx;
} ortho_checkpoint_options;

/* What a run did and what it took. Rates are bytes of the source (writes: of the artifact) a
 * second; 0: not measured. */
typedef struct ortho_checkpoint_report {
    size_t size;
    int64_t layers_sieved, pieces_copied; /* by this run; a large tensor is copied in pieces */
    int64_t units_resumed;                /* layers and pieces that were there already */
    uint64_t bytes_read, bytes_written, bytes_sieved;
    double seconds;
    int32_t device;               /* ORTHO_DEVICE_CPU or ORTHO_DEVICE_CUDA */
    char io[16];                  /* "io_uring" or "threads" */
    uint64_t host_peak_bytes;     /* resident, the process's */
    uint64_t host_before_bytes;   /* of it: before the call, or with CUDA once its context was up */
    uint64_t device_peak_bytes;   /* allocated by the run, exact */
    uint64_t device_memory_bytes; /* the same as the driver saw it: what disappeared of the free */
    uint64_t buffer_bytes;        /* host buffers within the budget */
    int32_t slots;                /* of the largest layer, as many as the budget holds at once */
    double read_rate, copy_rate, write_rate, sieve_rate; /* alone, with `measure` */
    double both_rate;     /* read and written at once, where source and target share a device */
    double floor_seconds; /* the slowest of them over what it had to move */
} ortho_checkpoint_report;

/* Streams a checkpoint (a safetensors file or folder, a GGUF file, a hub name in the local cache,
 * a generator: whatever ortho-bench takes) through the sieve into an artifact in folder `out`,
 * sharded like its source: selected linear layers become Base and Ortho, everything else is copied
 * byte for byte (GGUF blocks, which safetensors can't hold, as F32), config and tokenizer files are
 * carried along; config.json gets a quantization_config, by which Transformers knows libortho's.
 * Never more than a few layers are in memory.
 * A file appears under its final name only whole and synced. Killed or failed at any moment, the
 * folder keeps what was finished, and `resume` goes on to the very bytes that an uninterrupted run
 * gives. Two runs on one folder: the second is refused.
 * report may be NULL; it is filled on failure, too.
 * Errors: ARGUMENT (options; a budget too small: says which would do), NOT_FOUND, FORMAT (the
 * source contradicts itself, or became shorter; its config.json is no JSON object), NONFINITE
 * (names tensor, row, column), IO (disk full, not writable, in use), CANCELLED, MEMORY, UNSUPPORTED
 * (the source is quantised already, ...), DEVICE. */
ORTHO_API ortho_status ortho_checkpoint_sieve(const char *model, const char *out,
                                              const ortho_checkpoint_options *options,
                                              ortho_checkpoint_report *report);

#ifdef __cplusplus
}
#endif
#endif
