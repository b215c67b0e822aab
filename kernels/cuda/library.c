#include "kernels/cuda/library.h"

#include "common/error.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NODELETE: these libraries keep threads and device state that don't survive an unloading. */
static void *open_at(const char *folder, const char *name)
{
    char path[1024];
    if (folder == NULL)
        return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return NULL;
    return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static void *open_first(const char *const *names)
{
    char home[900] = "";
    const char *cuda = getenv("CUDA_HOME");
    if (cuda != NULL && strlen(cuda) < sizeof home - 8)
        snprintf(home, sizeof home, "%.880s/lib64", cuda);
    const char *const folders[] = {NULL, home[0] != '\0' ? home : NULL, "/usr/local/cuda/lib64"};
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++)
        for (const char *const *name = names; *name != NULL; name++) {
            void *library = f > 0 && folders[f] == NULL ? NULL : open_at(folders[f], *name);
            if (library != NULL)
                return library;
        }
    return NULL;
}

ortho_status ortho_cuda_library(const char *const *names, const ortho_cuda_symbol *symbols,
                                int count, const ortho_services *services)
{
    void *library = open_first(names);
    if (library == NULL)
        return services->fail(ORTHO_E_UNSUPPORTED,
                              "%s can't be loaded: install the CUDA toolkit's library, or put its "
                              "folder on LD_LIBRARY_PATH",
                              names[0]);
    for (int i = 0; i < count; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (address == NULL) {
            dlclose(library);
            return services->fail(ORTHO_E_UNSUPPORTED, "%s lacks %s: another version is needed",
                                  names[0], symbols[i].name);
        }
        /* ISO C has no conversion to a function pointer; POSIX promises that the bits fit. */
        memcpy(symbols[i].address, &address, sizeof address);
    }
    dlclose(library); /* NODELETE keeps it */
    return ORTHO_OK;
}

/* ---- a toolkit without the library's header -------------------------------------------------- */

#define HEADERLESS                                                                                 \
    "built where the CUDA toolkit had no header of this library (cublas_v2.h, cublasLt.h, "        \
    "cusparse.h): install its development package and build again"

static ortho_status headerless_supports(const ortho_gemm_problem *problem,
                                        const ortho_services *services)
{
    (void)problem;
    return services->fail(ORTHO_E_UNSUPPORTED, HEADERLESS);
}

static ortho_status headerless_prepare(void *state, const ortho_gemm_problem *problem,
                                       const ortho_services *services)
{
    (void)state;
    return headerless_supports(problem, services);
}

static ortho_status headerless_run(const void *state, const ortho_gemm_call *call)
{
    (void)state, (void)call;
    return ortho_fail(ORTHO_E_UNSUPPORTED, HEADERLESS);
}

static void headerless_release(void *state, const ortho_services *services)
{
    (void)state, (void)services;
}

const ortho_gemm_hooks ortho_cuda_headerless_gemm = {
    .supports = headerless_supports,
    .prepare = headerless_prepare,
    .run = headerless_run,
    .release = headerless_release,
};
