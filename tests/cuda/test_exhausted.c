/*
 * A sieve of a checkpoint on a GPU whose memory others have taken, all but 64 MiB: it says so,
 * nothing has its final name, and once there is memory again a resume gives the bytes of an
 * undisturbed run.
 */
#define _GNU_SOURCE /* mkdtemp */
#include "testing.h"

#include "tests/unit/made_checkpoint.h"

#include <unistd.h>

#define MIB      ((size_t)1 << 20)
#define LEFT     (64 * MIB)
#define MOST     64
#define SMALLEST (1 * MIB)

/* All memory of the device but LEFT, in pieces: no one may be had whole. */
typedef struct hoard {
    void *piece[MOST];
    int count;
} hoard;

static size_t left(void)
{
    size_t available, total;
    cuda_ok(cudaMemGetInfo(&available, &total));
    return available;
}

static void take_all(hoard *h)
{
    h->count = 0;
    for (size_t bytes = left() - LEFT; bytes >= SMALLEST && h->count < MOST;) {
        if (left() < bytes + LEFT) {
            bytes /= 2;
        } else if (cudaMalloc(&h->piece[h->count], bytes) == cudaSuccess) {
            h->count++;
        } else {
            (void)cudaGetLastError();
            bytes /= 2;
        }
    }
    assert_true(left() < LEFT + 4 * MIB);
}

static void give_all(hoard *h)
{
    while (h->count > 0)
        cuda_ok(cudaFree(h->piece[--h->count]));
}

/* Layers of 16 MiB, so that those under way at once want more than is left. */
static ortho_status sieve(const char *folder, const char *out, bool resume)
{
    const ortho_sieve_options o = {
        .size = sizeof o, .density = 0.01, .group = 128, .device = ORTHO_DEVICE_CUDA};
    const ortho_checkpoint_options c = {.size = sizeof c, .sieve = &o, .resume = resume};
    char model[256], path[256];
    snprintf(model, sizeof model, "%s/model", folder);
    snprintf(path, sizeof path, "%s/%s", folder, out);
    return ortho_checkpoint_sieve(model, path, &c, NULL);
}

static bool is_there(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void nothing_is_left(void **state)
{
    char folder[] = "/tmp/ortho-exhausted-XXXXXX", model[256], command[512];
    hoard h;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(model, sizeof model, "%s/model", folder);
    made_checkpoint_write(&(made_checkpoint){
        .folder = model, .layers = 3, .shards = 1, .n = 2048, .k = 2048, .seed = 9});
    ok(sieve(folder, "whole", false));
    take_all(&h);
    size_t before = left();
    ortho_status status = sieve(folder, "out", false);
    size_t after = left();
    give_all(&h);
    assert_int_equal(status, ORTHO_E_MEMORY);
    says("device memory");
    assert_int_equal(after, before); /* what it had got is given back */
    assert_false(is_there(folder, "out/model.safetensors"));
    ok(sieve(folder, "out", true));
    assert_false(is_there(folder, "out/.ortho-sieve"));
    snprintf(command, sizeof command, "cmp '%s/whole/model.safetensors' '%s/out/model.safetensors'",
             folder, folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    if (gpu_is_missing())
        return OB_EXIT_SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_left)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
