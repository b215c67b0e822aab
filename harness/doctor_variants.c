/* NVIDIA's libraries, and which variants would be skipped. */
#include "harness/doctor.h"

#include "common/account.h"
#include "common/error.h"
#include "harness/backend.h"
#include "harness/options.h"
#include "variants/table.h"

#include <string.h>

/* ---- libraries ------------------------------------------------------------------------------- */

#ifdef ORTHO_HAVE_CUDA

#include "kernels/cuda/library.h"

void ob_doctor_libraries(ob_findings *list)
{
    static const struct {
        const char *name, *for_what;
        const char *files[4];
    } libraries[] = {
        {"cublas", "dense", {"libcublas.so.13", "libcublas.so.12", "libcublas.so", NULL}},
        {"cublaslt",
         "dense-lt",
         {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", NULL}},
        {"cusparse",
         "cusparse",
         {"libcusparse.so.12", "libcusparse.so.13", "libcusparse.so", NULL}},
    };
    const ortho_services services = ortho_services_default();
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (ortho_cuda_library(libraries[i].files, NULL, 0, &services) == ORTHO_OK)
            ob_finding_add(list, libraries[i].name, OB_HEALTH_OK, "can be loaded");
        else
            ob_finding_add(list, libraries[i].name, OB_HEALTH_NA, "%s; without it there is no %s",
                           ortho_last_message(), libraries[i].for_what);
}

#else

void ob_doctor_libraries(ob_findings *list)
{
    (void)list; /* of no use to a build without CUDA */
}

#endif

/* ---- variants -------------------------------------------------------------------------------- */

enum { SIZE = 3072, GROUP = 128 };

/* What a default run asks for: 1 % Ortho, one token, the backend's own dtype. */
static bool would_multiply(const ortho_variant *v, const ortho_services *services)
{
    const ortho_gemm_problem p = {.n = SIZE,
                                  .k = SIZE,
                                  .m = 1,
                                  .nnz = SIZE * SIZE / 100,
                                  .group = GROUP,
                                  .dtype = v->backend == ORTHO_CUDA ? ORTHO_F16 : ORTHO_F32};
    return v->gemm != NULL && ortho_variant_supports(v, &p, services) == ORTHO_OK;
}

static bool would_sieve(const ortho_variant *v, const ortho_services *services)
{
    const ortho_matrix w = {.rows = SIZE, .cols = SIZE, .stride = SIZE, .dtype = ORTHO_BF16};
    const ortho_sieve_problem p = {.w = &w,
                                   .density = 0.01,
                                   .nnz = SIZE * SIZE / 100,
                                   .rule = ORTHO_RULE_OUTLIER,
                                   .group = GROUP};
    return v->sieve != NULL &&
           (v->sieve->supports == NULL || v->sieve->supports(&p, services) == ORTHO_OK);
}

static void add_variant(ob_findings *list, const ortho_variant *v)
{
    char why[256];
    const ob_backend *backend = ob_backend_find(v->backend);
    const ortho_services services = ortho_services_default();
    const char *where = ob_backend_name(v->backend);
    if (backend == NULL || !backend->available(why)) {
        ob_finding_add(list, v->name, OB_HEALTH_NA, "on %s: %s", where,
                       backend == NULL ? "this build hasn't got it" : why);
        return;
    }
    bool sieves = would_sieve(v, &services);
    bool multiplies = would_multiply(v, &services);
    if (!sieves && !multiplies && (v->sieve != NULL || v->gemm != NULL))
        ob_finding_add(list, v->name, OB_HEALTH_NA, "on %s: %s", where, ortho_last_message());
    else
        ob_finding_add(list, v->name, OB_HEALTH_OK, "on %s: %s%s%s", where, sieves ? "sieve" : "",
                       sieves && multiplies ? ", " : "", multiplies ? "gemm" : "");
}

void ob_doctor_variants(ob_findings *list)
{
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
        add_variant(list, *v);
}
