/* json: the comparison itself, whole. */
#include "reports/compare/compare.h"

#include "common/error.h"

static ortho_status write_json(const json_t *document, const ortho_writer_options *options,
                               FILE *out)
{
    (void)options;
    if (json_dumpf(document, out, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) != 0)
        return ortho_fail(ORTHO_E_IO, "the comparison can't be written as JSON");
    fputc('\n', out);
    return ORTHO_OK;
}

extern const ortho_writer ortho_comparison_writer_json;
const ortho_writer ortho_comparison_writer_json = {
    .abi = ORTHO_REPORT_ABI,
    .name = "json",
    .extension = "json",
    .summary = "the comparison itself, schema ortho-bench-compare/1",
    .write = write_json,
};
