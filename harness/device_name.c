#include "harness/device_name.h"

#include "reports/model.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

static bool name_device(const json_t *document, bool gpu, char out[OB_DEVICE_NAME])
{
    const char *name = ortho_model_string(document, gpu ? "context.gpu.name" : "context.cpu.model");
    double cores = ortho_model_number(document, "context.cpu.cores");
    if (name == NULL || name[0] == '\0')
        return false;
    snprintf(out, OB_DEVICE_NAME, "%.200s", name);
    ortho_text_trim(out);
    size_t used = strlen(out);
    if (!gpu && !isnan(cores))
        snprintf(out + used, OB_DEVICE_NAME - used, ", %g core%s", cores, cores == 1 ? "" : "s");
    return true;
}

bool ob_device_of_row(const json_t *document, const json_t *row, char out[OB_DEVICE_NAME])
{
    const char *backend = ortho_model_string(row, "backend");
    return name_device(document, backend != NULL && strcmp(backend, "cuda") == 0, out);
}

bool ob_device_of_run(const json_t *document, char out[OB_DEVICE_NAME])
{
    return name_device(document, ortho_model_on_gpu(document), out);
}
