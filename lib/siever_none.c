/* siever_none.c: a build without CUDA. */
#include "common/error.h"
#include "lib/siever.h"

const ortho_siever_ops *ortho_siever_cuda(void)
{
    ortho_fail(ORTHO_E_UNSUPPORTED, "this build of libortho has no CUDA");
    return NULL;
}
