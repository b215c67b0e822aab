/*
 * 200 sieves in one process, with options that alternate, failing and cancelled ones among them:
 * from the 20th to the last, resident memory grows by less than 1 %, and what is allocated,
 * descriptors and threads not at all. malloc's caches would hide that: ctest turns them off
 * (GLIBC_TUNABLES, MALLOC_ARENA_MAX). The peak is told only: how many layers are under way at once
 * is the scheduler's doing.
 */
#define _GNU_SOURCE
#include "tests/unit/made_checkpoint.h"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

enum { RUNS = 200, WARM = 20, KINDS = 10 };

typedef struct soak {
    char folder[64], model[96], out[96], bad[96];
    made_checkpoint made;
    int wrong;
} soak;

/* ---- what is held ---------------------------------------------------------------------------- */

typedef struct held {
    long resident, peak; /* kB */
    size_t allocated;    /* bytes that malloc gave and didn't get back */
    int files, threads;
} held;

static int entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return count;
}

/* Free pages that malloc keeps are no leak: it gives them back first. */
static held look(void)
{
    held h = {.files = entries("/proc/self/fd"), .threads = entries("/proc/self/task")};
    char line[256];
    malloc_trim(0);
    struct mallinfo2 m = mallinfo2();
    h.allocated = m.uordblks + m.hblkhd;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            h.resident = atol(line + 6);
        if (strncmp(line, "VmHWM:", 6) == 0)
            h.peak = atol(line + 6);
    }
    if (status != NULL)
        fclose(status);
    return h;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void expect(soak *s, int run, ortho_status status, ortho_status wanted)
{
    if (status == wanted)
        return;
    s->wrong++;
    fprintf(stderr, "run %d: %s, not %s: %s\n", run, ortho_status_name(status),
            ortho_status_name(wanted), ortho_last_message());
}

static void empty(const soak *s)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", s->out);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", s->out);
}

static int stop_soon(void *ctx, const ortho_progress *p)
{
    (void)ctx;
    return p->units_done >= 3;
}

/* A checkpoint; of ten runs one is cancelled and resumed, and three fail, each for another reason.
 */
static void sieve_checkpoint(soak *s, int run)
{
    static const int32_t groups[] = {0, 32, 64, 128};
    const ortho_sieve_options sieve = {.size = sizeof sieve,
                                       .density = 0.01 * (run % 4),
                                       .rule = (ortho_rule)(run % 3),
                                       .group = groups[run % 4],
                                       .threads = 1 + run % 2,
                                       .device = ORTHO_DEVICE_CPU};
    ortho_checkpoint_options o = {.size = sizeof o, .sieve = &sieve, .measure = run % 5 == 0};
    int kind = run % KINDS;
    o.memory_budget = kind == 1 ? 1000 : kind % 2 == 0 ? 0 : 8000000;
    o.projections = kind == 2 ? "q" : NULL;
    o.progress = kind == 3 ? stop_soon : NULL;
    setenv("ORTHO_IO", kind < 5 ? "" : "threads", 1);
    const char *model = kind == 4 ? s->bad : kind == 5 ? "/nowhere/at/all" : s->model;
    ortho_status wanted = kind == 1   ? ORTHO_E_ARGUMENT
                          : kind == 3 ? ORTHO_E_CANCELLED
                          : kind == 4 ? ORTHO_E_NONFINITE
                          : kind == 5 ? ORTHO_E_NOT_FOUND
                                      : ORTHO_OK;
    empty(s);
    expect(s, run, ortho_checkpoint_sieve(model, s->out, &o, NULL), wanted);
    o.progress = NULL;
    o.resume = 1;
    if (kind == 3)
        expect(s, run, ortho_checkpoint_sieve(model, s->out, &o, NULL), ORTHO_OK);
}

static void sieve_layer(soak *s, int run)
{
    made_tensor t = made_tensor_at(&s->made, 4);
    ortho_matrix w = {.rows = t.n, .cols = t.k, .stride = t.k, .dtype = t.dtype};
    const ortho_sieve_options o = {.size = sizeof o, .density = 0.01, .group = 64, .threads = 2};
    ortho_layer *layer = NULL;
    char *data = malloc(t.bytes);
    float *x = calloc((size_t)(t.k + t.n) * 3, sizeof *x);
    made_fill(&s->made, 4, data);
    w.data = data;
    expect(s, run, ortho_layer_sieve(&w, NULL, &o, &layer), ORTHO_OK);
    if (layer != NULL)
        expect(s, run, ortho_layer_forward(layer, x, 1 + run % 3, ORTHO_F32, x + t.k * 3, NULL),
               ORTHO_OK);
    ortho_layer_free(layer);
    free(data);
    free(x);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* A layer's NaN is found when the others are under way. */
static void write_bad(const soak *s)
{
    made_checkpoint bad = s->made;
    char path[128];
    bad.folder = s->bad;
    bad.shards = 1;
    made_checkpoint_write(&bad);
    snprintf(path, sizeof path, "%s/model.safetensors", s->bad);
    FILE *f = fopen(path, "r+b");
    if (f == NULL || fseek(f, -10000, SEEK_END) != 0 ||
        fwrite("\xff\xff\xff\xff\xff\xff\xff\xff", 1, 8, f) != 8 || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static bool open_soak(soak *s)
{
    snprintf(s->folder, sizeof s->folder, "%s/ortho-soak-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(s->folder) == NULL)
        return false;
    snprintf(s->model, sizeof s->model, "%s/model", s->folder);
    snprintf(s->out, sizeof s->out, "%s/out", s->folder);
    snprintf(s->bad, sizeof s->bad, "%s/bad", s->folder);
    s->made = (made_checkpoint){
        .folder = s->model, .layers = 4, .shards = 2, .n = 256, .k = 768, .seed = 11};
    made_checkpoint_write(&s->made);
    write_bad(s);
    return true;
}

static void tell(int run, held h)
{
    printf("after run %d: %zu bytes allocated, %ld kB resident, %ld kB at most, %d descriptors, %d "
           "threads\n",
           run, h.allocated, h.resident, h.peak, h.files, h.threads);
}

static bool has_grown(held before, held after)
{
    tell(WARM, before);
    tell(RUNS, after);
    return after.allocated > before.allocated || after.files != before.files ||
           after.threads != before.threads || after.resident * 100 > before.resident * 101;
}

int main(void)
{
    soak s = {0};
    held before = {0};
    char command[128];
    if (!open_soak(&s))
        return 1;
    for (int run = 1; run <= RUNS; run++) {
        sieve_checkpoint(&s, run);
        sieve_layer(&s, run);
        if (run == WARM)
            before = look();
    }
    bool grown = has_grown(before, look());
    snprintf(command, sizeof command, "rm -rf '%s'", s.folder);
    return system(command) != 0 || grown || s.wrong > 0;
}
