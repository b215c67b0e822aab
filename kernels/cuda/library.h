/*
 * library.h: NVIDIA's libraries bound at run time, so that a binary starts without them and a
 * missing one is a skip that says what to install. The toolkit's headers give types; nothing is
 * linked.
 */
#ifndef ORTHO_KERNELS_CUDA_LIBRARY_H
#define ORTHO_KERNELS_CUDA_LIBRARY_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A function to be found: its name, and where its address goes. */
typedef struct ortho_cuda_symbol {
    const char *name;
    void *address; /* of a function pointer */
} ortho_cuda_symbol;

/* Opens the first of `names` (NULL-terminated sonames), as the loader finds it, else under
 * $CUDA_HOME/lib64 or /usr/local/cuda/lib64, and looks the symbols up. The library stays loaded for
 * the process's life. UNSUPPORTED, naming the library and how to get it, when it or a symbol is
 * missing. */
ortho_status ortho_cuda_library(const char *const *names, const ortho_cuda_symbol *symbols,
                                int count, const ortho_services *services);

/* For a variant whose library had no header where this was built: supports says so, and nothing
 * else is reached. */
extern const ortho_gemm_hooks ortho_cuda_headerless_gemm;

#ifdef __cplusplus
}
#endif
#endif
