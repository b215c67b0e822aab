/* Which headers this library serves. */
#include "common/error.h"

#include <stdbool.h>

#define MAJOR(v) ((v) / 10000)
#define MINOR(v) ((v) / 100 % 100)
#define PATCH(v) ((v) % 100)

ORTHO_API int ortho_version(void)
{
    return ORTHO_VERSION;
}

ORTHO_API ortho_status ortho_check_version(int header)
{
    int library = ortho_version();
    bool same =
        MAJOR(header) == MAJOR(library) && (MAJOR(library) > 0 || MINOR(header) == MINOR(library));
    if (header >= 0 && same && header <= library)
        return ORTHO_OK;
    return ortho_fail(
        ORTHO_E_UNSUPPORTED, "compiled with ortho.h %d.%d.%d, but this is libortho %d.%d.%d: %s",
        MAJOR(header), MINOR(header), PATCH(header), MAJOR(library), MINOR(library), PATCH(library),
        same ? "install the newer library" : "compile again with its header");
}
