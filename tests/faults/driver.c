/*
 * Runs ortho_checkpoint_sieve with one system call or allocation failing, for each call and each
 * n, until the n-th is never reached. After a failure the status is an error whose message says
 * something of use, no file has its final name that isn't whole, no descriptor and no memory is
 * left behind, and a resume gives the very bytes of an undisturbed run. Success is as good, if its
 * bytes are right.
 *
 * usage: LD_PRELOAD=libfault_shim.so driver [CALL]     ORTHO_FAULTS=all: every n, not a sample
 */
#define _GNU_SOURCE
#include "tests/faults/shim.h"
#include "tests/unit/made_checkpoint.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#define FIRST_ONES 12 /* tried one by one */
#define SAMPLE     10 /* of those behind them */

typedef struct expected {
    fault fault;
    bool survives;    /* it must succeed all the same */
    const char *says; /* in the message of a failure; NULL: anything */
} expected;

#define SHORT(name, bytes)                                                                         \
    {                                                                                              \
        .fault = {.call = name, .keep = bytes}, .survives = true                                   \
    }
#define FAILS(name, error_, ...)                                                                   \
    {                                                                                              \
        .fault = {.call = name, .error = error_}, __VA_ARGS__                                      \
    }
#define STAYS(name, error_, ...)                                                                   \
    {                                                                                              \
        .fault = {.call = name, .error = error_, .forever = true}, __VA_ARGS__                     \
    }

static const expected faults[] = {
    FAILS("open", EACCES, .says = "Permission denied"),
    FAILS("open", EMFILE, .says = "Too many open files"),
    FAILS("pread", EIO, .says = "Input/output error"),
    FAILS("pread", EINTR, .survives = true),
    FAILS("pread", EINVAL, .says = "Invalid argument"), /* fine past the page cache */
    SHORT("pread", 1),
    SHORT("pread", 100),
    FAILS("pwrite", ENOSPC, .says = "No space left on device"),
    STAYS("pwrite", ENOSPC, .says = "No space left on device"),
    FAILS("pwrite", EIO, .says = "Input/output error"),
    FAILS("pwrite", EINTR, .survives = true),
    FAILS("pwrite", EINVAL, .says = "Invalid argument"),
    STAYS("pwrite", EINVAL, .says = "Invalid argument"),
    SHORT("pwrite", 1),
    SHORT("pwrite", 50),
    {.fault = {.call = "pwrite", .error = ENOSPC, .keep = 50}, .says = "No space left on device"},
    FAILS("fsync", EIO, .says = "Input/output error"),
    FAILS("fdatasync", EIO, .says = "Input/output error"),
    FAILS("rename", EACCES, .says = "Permission denied"),
    FAILS("rename", EINVAL, .says = "Invalid argument"),
    FAILS("mkdir", EROFS, .says = "Read-only file system"),
    FAILS("mkstemp", ENOSPC, .says = "No space left on device"),
    FAILS("ftruncate", EIO, .says = "Input/output error"),
    FAILS("fallocate", ENOSPC, .says = "make room, then --resume"),
    FAILS("fallocate", EOPNOTSUPP, .survives = true),
    FAILS("flock", ENOLCK, .says = "can't be locked"),
    FAILS("fstat", EIO, .says = "Input/output error"),
    FAILS("unlink", EACCES, .says = "Permission denied"),
    FAILS("rmdir", EBUSY, .says = "busy"),
    FAILS("fflush", ENOSPC, .says = "No space left on device"),
    FAILS("fclose", EIO),
    FAILS("close", EIO),
    FAILS("pthread_create", EAGAIN),
    FAILS("malloc", ENOMEM, .says = "memory"),
    STAYS("malloc", ENOMEM, .says = "memory"),
};

/* ---- the system under test ------------------------------------------------------------------- */

/* Where a run begins. */
typedef enum start { FRESH, INTERRUPTED, MEASURED, STARTS } start;

static const char *const starts[] = {"fresh", "interrupted", "measured"};

typedef struct bench {
    fault_arm_fn *arm;
    fault_calls_fn *calls;
    fault_blocks_fn *blocks;
    made_checkpoint model;
    char source[256], whole[256], half[256], out[256], hessian[300];
    int runs, faults, wrong;
    bool all;
} bench;

static int stop_in_the_middle(void *ctx, const ortho_progress *p)
{
    (void)ctx;
    return p->units_done >= 4;
}

static ortho_status sieve(const bench *b, const char *out, start from, bool resume, bool stop)
{
    static const ortho_sieve_options sieve = {
        .size = sizeof sieve, .density = 0.02, .threads = 1, .device = ORTHO_DEVICE_CPU};
    const ortho_checkpoint_options o = {.size = sizeof o,
                                        .sieve = &sieve,
                                        .hessian = b->hessian,
                                        .memory_budget = 100000, /* one slot or two */
                                        .resume = resume,
                                        .measure = from == MEASURED,
                                        .progress = stop ? stop_in_the_middle : NULL};
    return ortho_checkpoint_sieve(b->source, out, &o, NULL);
}

static void shell(const char *format, const char *a, const char *b)
{
    char command[1024];
    snprintf(command, sizeof command, format, a, b);
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
}

static int open_files(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return count;
}

/* ---- what must be there ---------------------------------------------------------------------- */

static char *slurp(const char *folder, const char *name, size_t *bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    char *all = malloc(1 << 22);
    *bytes = fread(all, 1, 1 << 22, f);
    fclose(f);
    return all;
}

/* "" or what is wrong with the files that have their final names; `all`: and all must. */
static const char *fault_of_files(const bench *b, bool all)
{
    static const char *const names[] = {"model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors",
                                        "model.safetensors.index.json", "config.json"};
    const char *what = "";
    for (size_t i = 0; i < sizeof names / sizeof *names && what[0] == '\0'; i++) {
        size_t wanted = 0, got = 0;
        char *good = slurp(b->whole, names[i], &wanted), *made = slurp(b->out, names[i], &got);
        if (good == NULL)
            what = "the undisturbed run is incomplete";
        else if (made == NULL && all)
            what = "a file is missing";
        else if (made != NULL && (got != wanted || memcmp(made, good, got) != 0))
            what = "a file has its final name and other bytes";
        free(good);
        free(made);
    }
    return what;
}

/* Names that nobody but a run in the making may have: what a success must not leave behind. */
static const char *fault_of_leftovers(const bench *b)
{
    DIR *dir = opendir(b->out);
    const char *what = "";
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        size_t length = strlen(e->d_name);
        bool known = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                     strcmp(e->d_name, "config.json") == 0 ||
                     (length > 12 && strcmp(e->d_name + length - 12, ".safetensors") == 0) ||
                     strcmp(e->d_name, "model.safetensors.index.json") == 0;
        if (!known)
            what = "something is left behind";
    }
    if (dir != NULL)
        closedir(dir);
    return what;
}

static const char *fault_of_message(const expected *e, const char *message)
{
    if (message[0] == '\0')
        return "nothing is said";
    if (strchr(message, '/') == NULL && strstr(message, "memory") == NULL &&
        strstr(message, "safetensors") == NULL && strstr(message, "thread") == NULL)
        return "no place is told";
    return e->says == NULL || strstr(message, e->says) != NULL ? "" : "another reason is told";
}

/* ---- one fault ------------------------------------------------------------------------------- */

static void complain(bench *b, const expected *e, start from, long n, const char *what)
{
    b->wrong++;
    fprintf(stderr, "%s: call %ld of %s, %s%s: %s (%s)\n", starts[from], n, e->fault.call,
            e->fault.error != 0 ? strerror(e->fault.error) : "short",
            e->fault.forever ? ", from there on" : "", what, ortho_last_message());
}

static void prepare(const bench *b, start from)
{
    shell("rm -rf '%s'", b->out, NULL);
    if (from == INTERRUPTED)
        shell("cp -a '%s' '%s'", b->half, b->out);
}

static const char *judge(const bench *b, const expected *e, start from, ortho_status status)
{
    const char *what = fault_of_files(b, status == ORTHO_OK);
    if (what[0] == '\0' && status == ORTHO_OK)
        what = fault_of_leftovers(b);
    if (what[0] == '\0' && status != ORTHO_OK)
        what = e->survives ? "it must survive that" : fault_of_message(e, ortho_last_message());
    if (what[0] == '\0' && status != ORTHO_OK && sieve(b, b->out, from, true, false) != ORTHO_OK)
        what = "a resume fails";
    if (what[0] == '\0' && status != ORTHO_OK)
        what = fault_of_files(b, true);
    return what[0] == '\0' && status != ORTHO_OK ? fault_of_leftovers(b) : what;
}

/* False when the n-th call was never made. */
static bool try(bench *b, const expected *e, start from, long n)
{
    prepare(b, from);
    int before = open_files();
    long blocks = b->blocks();
    b->arm(&e->fault, n);
    ortho_status status = sieve(b, b->out, from, from == INTERRUPTED, false);
    bool reached = b->calls() >= n;
    b->arm(NULL, 0);
    blocks = b->blocks() - blocks;
    const char *what = open_files() != before ? "a file stays open"
                       : blocks != 0          ? "memory isn't given back"
                                              : judge(b, e, from, status);
    if (!reached && status != ORTHO_OK)
        what = "it fails without any fault";
    if (what[0] != '\0')
        complain(b, e, from, n, what);
    b->runs++;
    b->faults += reached;
    return reached;
}

/* All n, or the first ones and a sample of the others, the last among them; fewer with measuring,
 * which takes its time. */
static void try_all(bench *b, const expected *e, start from)
{
    int share = from == MEASURED ? 3 : 1;
    long n = 1, first = FIRST_ONES / share;
    while ((b->all || n <= first) && try(b, e, from, n))
        n++;
    if (b->all || n <= first)
        return;
    try(b, e, from, 1L << 40); /* never reached: how many are there? */
    long calls = b->calls(), step = (calls - n) * share / SAMPLE + 1;
    for (; n < calls; n += step)
        try(b, e, from, n);
    try(b, e, from, calls);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* A hessian of [k] for each layer: the very tensors' names, F32. */
static void write_hessian(const bench *b)
{
    char *text = NULL;
    size_t length, at = 0;
    FILE *to = open_memstream(&text, &length);
    for (int i = 0; i < made_tensors(&b->model); i++) {
        made_tensor t = made_tensor_at(&b->model, i);
        size_t bytes = (size_t)t.k * sizeof(float);
        if (!t.sieved)
            continue;
        fprintf(to, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%lld],\"data_offsets\":[%zu,%zu]}",
                at == 0 ? '{' : ',', t.name, (long long)t.k, at, at + bytes);
        at += bytes;
    }
    fprintf(to, "}");
    fclose(to);
    char *all = calloc(1, 8 + length + at);
    for (int i = 0; i < 8; i++)
        all[i] = (char)(length >> (8 * i) & 255);
    memcpy(all + 8, text, length);
    for (size_t i = 0; i < at / sizeof(float); i++)
        memcpy(all + 8 + length + i * sizeof(float), &(float){1.0f + (float)(i % 7)}, 4);
    made_write(b->hessian, all, 8 + length + at);
    free(all);
    free(text);
}

static bool open_bench(bench *b, const char *folder)
{
    b->arm = (fault_arm_fn *)dlsym(RTLD_DEFAULT, "fault_arm");
    b->calls = (fault_calls_fn *)dlsym(RTLD_DEFAULT, "fault_calls");
    b->blocks = (fault_blocks_fn *)dlsym(RTLD_DEFAULT, "fault_blocks");
    if (b->arm == NULL || b->calls == NULL || b->blocks == NULL) {
        fprintf(stderr, "usage: LD_PRELOAD=.../libfault_shim.so driver [CALL]\n");
        return false;
    }
    const char *which = getenv("ORTHO_FAULTS");
    b->all = which != NULL && strcmp(which, "all") == 0;
    snprintf(b->source, sizeof b->source, "%s/model", folder);
    snprintf(b->whole, sizeof b->whole, "%s/whole", folder);
    snprintf(b->half, sizeof b->half, "%s/half", folder);
    snprintf(b->out, sizeof b->out, "%s/out", folder);
    snprintf(b->hessian, sizeof b->hessian, "%s/hessian.safetensors", folder);
    b->model = (made_checkpoint){
        .folder = b->source, .layers = 2, .shards = 2, .n = 32, .k = 64, .seed = 3};
    made_checkpoint_write(&b->model);
    write_hessian(b);
    /* Measured: the sieve runs in this thread, too, whose OpenMP keeps what it once took. */
    if (sieve(b, b->whole, MEASURED, false, false) == ORTHO_OK &&
        sieve(b, b->half, FRESH, false, true) == ORTHO_E_CANCELLED)
        return true;
    fprintf(stderr, "undisturbed runs: %s\n", ortho_last_message());
    return false;
}

int main(int argc, char **argv)
{
    bench b = {0};
    char folder[128];
    const char *only = argc > 1 ? argv[1] : NULL; /* a call's name, to look into it */
    snprintf(folder, sizeof folder, "%s/ortho-faults-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    setenv("ORTHO_IO", "threads", 1); /* io_uring passes libc by */
    if (mkdtemp(folder) == NULL || !open_bench(&b, folder))
        return 1;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (int from = 0; from < STARTS; from++)
            if (only == NULL || strcmp(only, faults[i].fault.call) == 0)
                try_all(&b, &faults[i], (start)from);
    shell("rm -rf '%s'", folder, NULL);
    printf("%d runs, %d with a fault, %d wrong\n", b.runs, b.faults, b.wrong);
    return b.wrong > 0;
}
