#include "reports/datasheet.h"

#include <stddef.h>
#include <string.h>

/* NVIDIA's product datasheets and architecture whitepapers (Ampere GA100 and GA102, Ada, Hopper),
 * November 2026. Rates "with sparsity" are halved here; GeForce cards run fp16 with fp32 sums at
 * half their headline rate. */
static const struct {
    const char *gpu; /* as NVML names it */
    ortho_datasheet sheet;
} known[] = {
    {"NVIDIA H200", {4800, 989.5}},
    {"NVIDIA H200 NVL", {4800, 835.5}},
    {"NVIDIA H100 80GB HBM3", {3350, 989.5}}, /* SXM5 */
    {"NVIDIA H100 NVL", {3900, 835.5}},
    {"NVIDIA H100 PCIe", {2000, 756.5}},
    {"NVIDIA A100-SXM4-80GB", {2039, 312}},
    {"NVIDIA A100-SXM4-40GB", {1555, 312}},
    {"NVIDIA A100 80GB PCIe", {1935, 312}},
    {"NVIDIA A100-PCIE-40GB", {1555, 312}},
    {"NVIDIA A30", {933, 165}},
    {"NVIDIA A10", {600, 125}},
    {"NVIDIA L40S", {864, 362}},
    {"NVIDIA L4", {300, 121}},
    {"NVIDIA GeForce RTX 4090", {1008, 165.2}},
    {"NVIDIA GeForce RTX 3090", {936, 71}},
};

bool ortho_datasheet_find(const char *gpu, ortho_datasheet *out)
{
    for (size_t i = 0; gpu != NULL && i < sizeof known / sizeof *known; i++)
        if (strcmp(gpu, known[i].gpu) == 0) {
            *out = known[i].sheet;
            return true;
        }
    return false;
}
