// A sampler written in C++ that throws: the exception must end as a status and a message.
#include "harness/gbench.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

static double throws_runtime_error(void *, int repetition, char *, size_t)
{
    if (repetition == 1)
        throw std::runtime_error("thrown on purpose");
    return 1e-3;
}

static double throws_int(void *, int, char *, size_t)
{
    throw 7;
}

static bool ends_with(ob_gbench_sample_fn sample, const char *message)
{
    ob_gbench *g = nullptr;
    char *json = nullptr;
    if (ob_gbench_new(&g) != ORTHO_OK || ob_gbench_add(g, "throws", 3, sample, nullptr) != ORTHO_OK)
        return false;
    ortho_status status = ob_gbench_run(g, &json);
    std::printf("%s: %s\n", ortho_status_name(status), ortho_last_message());
    bool ok = status == ORTHO_E_WRONG && std::strstr(ortho_last_message(), message) != nullptr &&
              json != nullptr && std::strstr(json, message) != nullptr;
    std::free(json);
    ob_gbench_free(g);
    return ok;
}

int main()
{
    bool ok = ends_with(throws_runtime_error, "thrown on purpose");
    ok = ends_with(throws_int, "no std::exception") && ok;
    return ok ? 0 : 1;
}
