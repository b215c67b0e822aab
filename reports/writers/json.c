/* json: the native document itself, in the canonical form of emit.h: writing what was read gives
 * the same bytes again. */
#include "reports/emit.h"
#include "reports/reports.h"

static ortho_status write_json(const json_t *results, const ortho_writer_options *options,
                               FILE *out)
{
    (void)options;
    ortho_status status = ortho_json_emit(results, 0, out);
    fputc('\n', out);
    return status;
}

const ortho_writer ortho_writer_json = {
    .abi = ORTHO_REPORT_ABI,
    .name = "json",
    .extension = "json",
    .summary = "the native document, with every sample",
    .write = write_json,
    .compare = write_json,
};
