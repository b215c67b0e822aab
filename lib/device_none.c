/* A build without CUDA: no GPU, and all memory is the host's. */
#include "common/error.h"
#include "lib/device.h"

#include <stdio.h>

static ortho_status none(void)
{
    return ortho_fail(ORTHO_E_UNSUPPORTED, "this libortho was built without CUDA");
}

bool ortho_gpu_available(char why[256])
{
    snprintf(why, 256, "this libortho was built without CUDA");
    return false;
}

ortho_memory ortho_gpu_memory(const void *pointer, int *ordinal)
{
    (void)pointer, (void)ordinal;
    return ORTHO_MEMORY_HOST;
}

ortho_status ortho_gpu_open(ortho_account *account, ortho_gpu **out)
{
    (void)account, (void)out;
    return none();
}

void ortho_gpu_close(ortho_gpu *gpu)
{
    (void)gpu;
}

void ortho_gpu_settle(ortho_gpu *gpu)
{
    (void)gpu;
}

int ortho_gpu_ordinal(const ortho_gpu *gpu)
{
    (void)gpu;
    return -1;
}

ortho_status ortho_gpu_enter(const ortho_gpu *gpu, ortho_gpu_scope *scope)
{
    (void)gpu, (void)scope;
    return none();
}

void ortho_gpu_leave(const ortho_gpu_scope *scope)
{
    (void)scope;
}

ortho_services ortho_gpu_services(ortho_gpu *gpu, int threads)
{
    (void)gpu;
    return ortho_account_services(NULL, threads);
}

bool ortho_gpu_reaches(const ortho_gpu *gpu, const void *pointer)
{
    (void)gpu, (void)pointer;
    return false;
}

ortho_status ortho_gpu_gather(const ortho_matrix *from, void *to)
{
    (void)from, (void)to;
    return none();
}

ortho_status ortho_gpu_wait(void)
{
    return none();
}

ortho_status ortho_gpu_take(ortho_gpu *gpu, size_t bytes, void *stream, ortho_gpu_lease *out)
{
    (void)gpu, (void)bytes, (void)stream, (void)out;
    return none();
}

ortho_status ortho_gpu_give(ortho_gpu *gpu, ortho_gpu_lease *lease)
{
    (void)gpu, (void)lease;
    return none();
}
